//! A hub that is built again from its files: nothing that has finished runs once more unless somebody asks for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kurator_api::backup::Backup;
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_testkit::fixtures::{FixtureError, Object, Tenant, json_of, ready, sow, velero as in_member};
use kurator_testkit::{Lab, LabSpec, Serving};
use serde_json::json;

type Outcome = anyhow::Result<()>;

const MEMBERS: usize = 2;
/// How long a process may take to end in order.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

/// What becomes of the hub before the files are applied again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// All objects are gone and their finalizers did not run.
    Objects,
    /// It is another hub.
    Hub,
}

/// One test at a time: there is one hub, and it gets lost.
fn in_turn(test: impl AsyncFnOnce(&'static Lab) -> Outcome) -> Outcome {
    static TURN: Mutex<()> = Mutex::new(());
    let _mine = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::shared(LabSpec { members: MEMBERS, velero: true, s3: true })?;
    lab.run(test(lab))
}

async fn serve(lab: &Lab) -> Result<Serving, FixtureError> {
    let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
    ready(&serving).await?;
    Ok(serving)
}

/// Applies the files that tell of a fleet, a Backup and a Restore of it.
async fn apply(tenant: &Tenant<'_>) -> Result<(), FixtureError> {
    tenant.ready_fleet(MEMBERS).await?;
    let policy = json!({"resourceFilter": {"includedNamespaces": [tenant.name()]}});
    let spec = json!({"destination": {"fleet": tenant.name()}, "policy": policy});
    tenant.create::<Backup>("b", spec).await?;
    tenant.create::<Restore>("r", json!({"backupName": "b"})).await.map(drop)
}

/// Runs the Backup and the Restore, loses the hub and applies the files to the one that comes after it, which is then
/// served. `test` gets what has been made in the members until then.
async fn rebuilt(
    lab: &Lab,
    name: &str,
    loss: Loss,
    test: impl AsyncFnOnce(&Tenant<'_>, Made) -> Outcome,
) -> Outcome {
    let mut serving = serve(lab).await?;
    let tenant = Tenant::new(lab, name).await?;
    for i in 1..=MEMBERS {
        sow(lab.member(i), name).await?;
    }
    apply(&tenant).await?;
    tenant.all::<Restore>().until_phase("r", "Completed").await?;
    let made = made(lab, name).await?;
    assert_eq!(made.len(), 2 * MEMBERS, "{made:?}");
    serving.terminate(ENDED_WITHIN)?;

    if loss == Loss::Hub {
        lab.hub().rebuild()?;
    } else {
        forget(&tenant).await?;
    }
    let mut serving = serve(lab).await?;
    let tenant = if loss == Loss::Hub { Tenant::new(lab, name).await? } else { tenant };
    if loss == Loss::Objects {
        tenant.credentials().await?;
    }
    apply(&tenant).await?;
    for i in 1..=MEMBERS {
        let label = format!("{}={name}", names::FLEET_NAME_LABEL);
        let locations = in_member::<velero::BackupStorageLocation>(lab.member(i))?.list(&label).await?;
        let secrets = in_member::<Secret>(lab.member(i))?.list(&label).await?;
        assert_eq!((locations.len(), secrets.len()), (1, 1), "{locations:?}");
    }
    test(&tenant, made).await?;
    serving.terminate(ENDED_WITHIN)?;
    Ok(())
}

/// Takes everything off the hub without letting any finalizer run.
async fn forget(tenant: &Tenant<'_>) -> Result<(), FixtureError> {
    drop_all::<Restore>(tenant).await?;
    drop_all::<Backup>(tenant).await?;
    drop_all::<Fleet>(tenant).await?;
    drop_all::<AttachedCluster>(tenant).await?;
    drop_all::<Secret>(tenant).await
}

async fn drop_all<K: Object>(tenant: &Tenant<'_>) -> Result<(), FixtureError> {
    let all = tenant.all::<K>();
    for object in all.list("").await? {
        let name = object.name_any();
        all.merge(&name, json!({"metadata": {"finalizers": null}})).await?;
        all.delete(&name).await?;
        all.until_gone(&name).await?;
    }
    Ok(())
}

/// UIDs of the Velero Backups and Restores of a test, by member, kind and name.
type Made = BTreeMap<(usize, &'static str, String), String>;

async fn made(lab: &Lab, name: &str) -> Result<Made, FixtureError> {
    let mut made = Made::new();
    for i in 1..=MEMBERS {
        of_kind::<velero::Backup>(lab, name, (i, "Backup"), &mut made).await?;
        of_kind::<velero::Restore>(lab, name, (i, "Restore"), &mut made).await?;
    }
    Ok(made)
}

async fn of_kind<V: Object>(
    lab: &Lab,
    name: &str,
    (i, kind): (usize, &'static str),
    made: &mut Made,
) -> Result<(), FixtureError> {
    let label = format!("{}={name}", names::FLEET_NAME_LABEL);
    for object in in_member::<V>(lab.member(i))?.list(&label).await? {
        made.insert((i, kind, object.name_any()), object.meta().uid.clone().unwrap_or_default());
    }
    Ok(())
}

async fn annotate<K: Object>(tenant: &Tenant<'_>, name: &str, annotation: &str) -> Result<(), FixtureError> {
    let annotations = json!({"metadata": {"annotations": {annotation: "true"}}});
    tenant.all::<K>().merge(name, annotations).await.map(drop)
}

/// Nothing runs again; adopted, the Backup and the Restore are what they were.
async fn is_reported_then_adopted(lab: &Lab, tenant: &Tenant<'_>, made_before: Made) -> Outcome {
    let name = tenant.name();
    let message = tenant.all::<Backup>().until_reason("b", "AlreadyExists").await?;
    let taken = format!("`{name}-m1-backup-{name}-b` was made before, for an object of this name");
    assert!(message.contains(&taken), "{message}");
    annotate::<Backup>(tenant, "b", names::ADOPT_ANNOTATION).await?;
    let backup = tenant.all::<Backup>().until_phase("b", "Completed").await?;
    for row in json_of(&backup)["status"]["backupDetails"].as_array().into_iter().flatten() {
        let cluster = row["clusterName"].as_str().unwrap_or_default();
        assert_eq!(row["backupNameInCluster"], format!("{cluster}-backup-{name}-b"));
    }

    let message = tenant.all::<Restore>().until_reason("r", "AlreadyExists").await?;
    assert!(message.contains("was made before, for an object of this name"), "{message}");
    annotate::<Restore>(tenant, "r", names::ADOPT_ANNOTATION).await?;
    tenant.all::<Restore>().until_phase("r", "Completed").await?;
    assert_eq!(made(lab, name).await?, made_before);
    Ok(())
}

#[test]
fn k06_objects_that_were_lost_and_applied_again_report_what_is_there_and_adopt_it_when_told() -> Outcome {
    in_turn(async |lab| {
        rebuilt(lab, "lost-objects", Loss::Objects, async |tenant, made_before| {
            is_reported_then_adopted(lab, tenant, made_before).await
        })
        .await
    })
}

#[test]
fn k06_another_hub_with_the_same_files_reports_what_is_there_and_adopts_it_when_told() -> Outcome {
    in_turn(async |lab| {
        rebuilt(lab, "lost-hub", Loss::Hub, async |tenant, made_before| {
            is_reported_then_adopted(lab, tenant, made_before).await
        })
        .await
    })
}

#[test]
fn k06_what_is_told_to_run_again_does_so_beside_what_is_there() -> Outcome {
    in_turn(async |lab| {
        rebuilt(lab, "run-again", Loss::Objects, async |tenant, made_before| {
            tenant.all::<Backup>().until_reason("b", "AlreadyExists").await?;
            annotate::<Backup>(tenant, "b", names::RUN_AGAIN_ANNOTATION).await?;
            tenant.all::<Backup>().until_phase("b", "Completed").await?;
            tenant.all::<Restore>().until_reason("r", "AlreadyExists").await?;
            annotate::<Restore>(tenant, "r", names::RUN_AGAIN_ANNOTATION).await?;
            tenant.all::<Restore>().until_phase("r", "Completed").await?;

            let now = made(lab, tenant.name()).await?;
            assert!(made_before.iter().all(|(child, uid)| now.get(child) == Some(uid)), "{now:?}");
            assert_eq!(now.len(), 2 * made_before.len(), "{now:?}");
            Ok(())
        })
        .await
    })
}
