//! What becomes of Velero's objects: odd ends, ends that nobody knows, deletion by hand, and no Velero at all.
//!
//! In member 1 Velero never runs. The tests act in its place and write the status of its objects, which brings
//! about ends that the real one can't be made to have. In member 2 it is the real one.

use std::{path::Path, sync::OnceLock};

use anyhow::anyhow;
use k8s_openapi::{
    api::core::v1::ConfigMap, api::events::v1::Event,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use kurator_api::{
    backup::{Backup, RowPhase},
    fleet::Fleet,
    names,
    restore::Restore,
    velero,
};
use kurator_testkit::{
    Cluster, Lab, LabSpec, Serving,
    fixtures::{
        BOUND, FixtureError, Object, Shelf, Tenant, condition, json_of, minio, object, ready, sow,
        velero as in_member,
    },
    wait::until,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

type Outcome = anyhow::Result<()>;

/// The one hub process; whoever restarts it holds it.
struct Stage {
    lab: &'static Lab,
    serving: Mutex<Serving>,
    /// Who may stop and start the real Velero.
    real: Mutex<()>,
}

impl Stage {
    fn set() -> anyhow::Result<Self> {
        let lab = Lab::shared(LabSpec { members: 2, velero: true, s3: true })?;
        lab.member(1).stop_velero()?;
        let serving = lab.run(async {
            open_for_later_releases::<velero::Backup>(lab.member(1)).await?;
            open_for_later_releases::<velero::Restore>(lab.member(1)).await?;
            serve(lab).await
        })?;
        Ok(Self { lab, serving: Mutex::new(serving), real: Mutex::default() })
    }

    async fn restart_the_hub(&self) -> Outcome {
        let mut serving = self.serving.lock().await;
        serving.terminate(BOUND)?;
        *serving = serve(self.lab).await?;
        Ok(())
    }
}

/// Lets the member store every status of this kind, as a later release of Velero with its own types would.
async fn open_for_later_releases<V: Object>(member: &Cluster) -> Outcome {
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let at = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    let patch = serde_json::from_value(json!([{"op": "replace", "path": at, "value": anything}]))?;
    let crds = Api::<CustomResourceDefinition>::all(member.client()?);
    let name = format!("{}.{}", V::plural(&()), V::group(&()));
    crds.patch(&name, &PatchParams::default(), &Patch::<()>::Json(patch)).await?;

    // The API server takes a moment to follow.
    let shelf = in_member::<V>(member)?;
    shelf.create(&object("probe", json!({}))?).await?;
    until(&format!("{name} to take anything"), BOUND, async || {
        let said = shelf.merge("probe", json!({"status": {"phase": "SomethingNew", "later": true}})).await?;
        Ok::<_, FixtureError>((json_of(&said)["status"]["later"] == true).then_some(()))
    })
    .await?;
    Ok(shelf.delete("probe").await?)
}

async fn serve(lab: &Lab) -> anyhow::Result<Serving> {
    let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
    ready(&serving).await?;
    Ok(serving)
}

fn on_stage(test: impl AsyncFnOnce(&'static Stage) -> Outcome) -> Outcome {
    static STAGE: OnceLock<anyhow::Result<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(Stage::set).as_ref();
    let stage = stage.map_err(|error| anyhow!("the stage is not set: {error:#}"))?;
    stage.lab.run(test(stage))
}

/// A fleet of member 1 alone whose storage location the test has called Available, and the objects of Velero there.
struct Acting<'a> {
    tenant: Tenant<'a>,
    backups: Shelf<velero::Backup>,
    restores: Shelf<velero::Restore>,
}

impl<'a> Acting<'a> {
    async fn new(stage: &Stage, name: &str) -> anyhow::Result<Acting<'a>> {
        let member = stage.lab.member(1);
        let tenant = Tenant::new(stage.lab, name).await?;
        let cluster = tenant.attach(1).await?;
        let fleet = tenant.fleet(&[&cluster], Some(minio(name))).await?;
        let locations = in_member::<velero::BackupStorageLocation>(member)?;
        let location = only(&locations, &fleet).await?.name_any();
        locations.merge(&location, json!({"status": {"phase": "Available"}})).await?;
        Ok(Acting { tenant, backups: in_member(member)?, restores: in_member(member)? })
    }

    /// Creates a Backup; its Velero Backup, once the hub has seen it.
    async fn back_up(&self, name: &str) -> anyhow::Result<velero::Backup> {
        let spec = json!({"destination": {"fleet": self.tenant.name()}});
        let backup: Backup = self.tenant.create(name, spec).await?;
        self.tenant.all::<Backup>().until_phase(name, "InProgress").await?;
        let child = only(&self.backups, &backup).await?;
        let seen = |backup: &Backup| row_of_backup(backup)["backupStatusInCluster"].is_object();
        self.tenant.all::<Backup>().until(name, "a row with the child's status", seen).await?;
        Ok(child)
    }

    /// Creates a Restore of a Backup; its Velero Restore, once the hub has seen it.
    async fn restore(&self, name: &str, of: &str) -> anyhow::Result<velero::Restore> {
        let restore: Restore = self.tenant.create(name, json!({"backupName": of})).await?;
        let child = only(&self.restores, &restore).await?;
        let seen = |restore: &Restore| row_of_restore(restore)["restoreStatusInCluster"].is_object();
        self.tenant.all::<Restore>().until(name, "a row with the child's status", seen).await?;
        Ok(child)
    }

    /// Waits until the hub must have seen everything that happened in the member so far: a later change of
    /// another object of each kind has come through.
    async fn hub_is_up_to_date(&self, marker: &str) -> Outcome {
        let backup = self.back_up(marker).await?;
        self.backups.merge(&backup.name_any(), json!({"status": {"phase": "Completed"}})).await?;
        self.tenant.all::<Backup>().until_phase(marker, "Completed").await?;
        let restore = self.restore(marker, marker).await?;
        self.restores.merge(&restore.name_any(), json!({"status": {"phase": "Completed"}})).await?;
        self.tenant.all::<Restore>().until_phase(marker, "Completed").await?;
        Ok(())
    }
}

/// The one object that was made for this owner, once it is there.
async fn only<V: Object, K: ResourceExt>(shelf: &Shelf<V>, owner: &K) -> anyhow::Result<V> {
    let label = format!("{}={}", names::OWNER_UID_LABEL, owner.uid().unwrap_or_default());
    let what = format!("the {} of {}", V::kind(&()), owner.name_any());
    let found = until(&what, BOUND, async || match shelf.list(&label).await {
        Ok(mut found) if found.len() <= 1 => Ok(found.pop()),
        Ok(found) => Err(format!("{} of them", found.len())),
        Err(error) => Err(error.to_string()),
    });
    Ok(found.await?)
}

fn row_of_backup(backup: &Backup) -> Value {
    json_of(backup)["status"]["backupDetails"][0].take()
}

fn row_of_restore(restore: &Restore) -> Value {
    json_of(restore)["status"]["restoreDetails"][0].take()
}

/// Velero's terminal phases, with the phase of the row and of the whole.
const ENDS: [(&str, RowPhase, &str); 4] = [
    ("Completed", RowPhase::Completed, "Completed"),
    ("PartiallyFailed", RowPhase::PartiallyFailed, "PartiallyFailed"),
    ("Failed", RowPhase::Failed, "Failed"),
    ("FailedValidation", RowPhase::FailedValidation, "Failed"),
];

#[test]
fn k16_every_terminal_phase_of_velero_ends_a_backup_for_good() -> Outcome {
    on_stage(async |stage| {
        let acting = Acting::new(stage, "k16-backup").await?;
        let mut ended = Vec::new();
        for (velero, row, whole) in ENDS {
            let name = velero.to_lowercase();
            let child = acting.back_up(&name).await?.name_any();
            acting.backups.merge(&child, json!({"status": {"phase": velero}})).await?;
            let backup: Backup = acting.tenant.all().until_phase(&name, whole).await?;
            assert_eq!(row_of_backup(&backup)["phase"], json!(row), "{velero}");
            // Another end, as no Velero would say it: nobody listens any more.
            let child = acting.backups.merge(&child, json!({"status": {"phase": "InProgress"}})).await?;
            ended.push((backup, child));
        }
        acting.hub_is_up_to_date("later").await?;
        for (backup, child) in ended {
            let now = acting.tenant.all::<Backup>().get(&backup.name_any()).await?;
            assert_eq!(now.status, backup.status);
            assert_eq!(
                acting.backups.get(&child.name_any()).await?.resource_version(),
                child.resource_version()
            );
        }
        Ok(())
    })
}

#[test]
fn k16_every_terminal_phase_of_velero_ends_a_restore_for_good() -> Outcome {
    on_stage(async |stage| {
        let acting = Acting::new(stage, "k16-restore").await?;
        acting.hub_is_up_to_date("source").await?;
        let mut ended = Vec::new();
        for (velero, row, whole) in ENDS {
            let name = velero.to_lowercase();
            let child = acting.restore(&name, "source").await?.name_any();
            acting.restores.merge(&child, json!({"status": {"phase": velero}})).await?;
            let restore: Restore = acting.tenant.all().until_phase(&name, whole).await?;
            assert_eq!(row_of_restore(&restore)["phase"], json!(row), "{velero}");
            let child = acting.restores.merge(&child, json!({"status": {"phase": "InProgress"}})).await?;
            ended.push((restore, child));
        }
        acting.hub_is_up_to_date("later").await?;
        for (restore, child) in ended {
            let now = acting.tenant.all::<Restore>().get(&restore.name_any()).await?;
            assert_eq!(now.status, restore.status);
            assert_eq!(
                acting.restores.get(&child.name_any()).await?.resource_version(),
                child.resource_version()
            );
        }
        Ok(())
    })
}

#[test]
fn n02_phases_and_fields_that_nobody_knows_reach_the_row_and_count_as_in_progress() -> Outcome {
    on_stage(async |stage| {
        let acting = Acting::new(stage, "n02").await?;
        let child = acting.back_up("odd").await?.name_any();
        for phase in ["Queued", "ReadyToStart", "SomethingNew"] {
            let said = json!({"phase": phase, "queuePosition": 3, "hintOfTomorrow": {"since": [1, 2]}});
            acting.backups.merge(&child, json!({"status": said})).await?;
            let in_row = |backup: &Backup| row_of_backup(backup)["backupStatusInCluster"] == said;
            let backup: Backup =
                acting.tenant.all().until("odd", &format!("{said} in its row"), in_row).await?;
            assert_eq!(row_of_backup(&backup)["phase"], "InProgress");
            assert_eq!(json_of(&backup)["status"]["phase"], "InProgress");
        }
        acting.backups.merge(&child, json!({"status": {"phase": "Completed"}})).await?;
        acting.tenant.all::<Backup>().until_phase("odd", "Completed").await?;

        let child = acting.restore("odd", "odd").await?.name_any();
        for phase in ["FinalizingPartiallyFailed", "SomethingNew"] {
            let said = json!({"phase": phase, "hintOfTomorrow": true});
            acting.restores.merge(&child, json!({"status": said})).await?;
            let in_row = |restore: &Restore| row_of_restore(restore)["restoreStatusInCluster"] == said;
            let restore: Restore =
                acting.tenant.all().until("odd", &format!("{said} in its row"), in_row).await?;
            assert_eq!(row_of_restore(&restore)["phase"], "InProgress");
        }
        Ok(())
    })
}

#[test]
fn k06_an_unfinished_backup_whose_velero_backup_is_deleted_by_hand_has_failed_and_is_not_taken_again()
-> Outcome {
    on_stage(async |stage| {
        let acting = Acting::new(stage, "k06-unfinished").await?;
        let child = acting.back_up("gone").await?;
        acting.backups.delete(&child.name_any()).await?;
        let backup: Backup = acting.tenant.all().until_phase("gone", "Failed").await?;
        assert_eq!(row_of_backup(&backup)["reason"], "ChildGone");
        acting.hub_is_up_to_date("later").await?;
        assert!(acting.backups.api().get_opt(&child.name_any()).await?.is_none());
        Ok(())
    })
}

#[test]
fn k06_an_unfinished_restore_whose_velero_restore_is_deleted_by_hand_has_failed_and_is_not_run_again()
-> Outcome {
    on_stage(async |stage| {
        let acting = Acting::new(stage, "k06-restore").await?;
        acting.hub_is_up_to_date("source").await?;
        let child = acting.restore("gone", "source").await?;
        acting.restores.delete(&child.name_any()).await?;
        let restore: Restore = acting.tenant.all().until_phase("gone", "Failed").await?;
        assert_eq!(row_of_restore(&restore)["reason"], "ChildGone");
        acting.hub_is_up_to_date("later").await?;
        assert!(acting.restores.api().get_opt(&child.name_any()).await?.is_none());
        Ok(())
    })
}

/// Has a Backup deleted with its data; its Velero Backup.
async fn deleted_with_its_data(acting: &Acting<'_>, name: &str, child: &velero::Backup) -> Outcome {
    acting.backups.merge(&child.name_any(), json!({"status": {"phase": "Completed"}})).await?;
    let backups = acting.tenant.all::<Backup>();
    backups.until_phase(name, "Completed").await?;
    backups.merge(name, json!({"spec": {"deletionPolicy": "Delete"}})).await?;
    Ok(backups.delete(name).await?)
}

fn says(object: &impl Object) -> String {
    condition(object, "Ready").unwrap_or_default()["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn k05_a_backup_that_is_being_restored_is_deleted_when_that_has_ended() -> Outcome {
    on_stage(async |stage| {
        let acting = Acting::new(stage, "k05-reader").await?;
        let child = acting.back_up("read").await?;
        acting.backups.merge(&child.name_any(), json!({"status": {"phase": "Completed"}})).await?;
        let reader = acting.restore("reader", "read").await?;
        deleted_with_its_data(&acting, "read", &child).await?;
        let waits = |backup: &Backup| says(backup).contains("Restore `reader` of it has not ended");
        acting.tenant.all::<Backup>().until("read", "waits for its Restore", waits).await?;
        let requests = in_member::<velero::DeleteBackupRequest>(stage.lab.member(1))?;
        let label = format!("velero.io/backup-uid={}", child.uid().unwrap_or_default());
        assert_eq!(requests.list(&label).await?, []);

        acting.restores.merge(&reader.name_any(), json!({"status": {"phase": "Completed"}})).await?;
        acting.tenant.all::<Restore>().until_phase("reader", "Completed").await?;
        until("Velero to be asked to delete it", BOUND, async || {
            Ok::<_, FixtureError>(requests.list(&label).await?.pop())
        })
        .await?;
        Ok(())
    })
}

#[test]
fn k45_force_gives_up_on_a_velero_that_does_not_delete_what_it_is_asked_to() -> Outcome {
    on_stage(async |stage| {
        let acting = Acting::new(stage, "k45-silent").await?;
        let child = acting.back_up("kept").await?;
        deleted_with_its_data(&acting, "kept", &child).await?;
        let backups = acting.tenant.all::<Backup>();
        let remedy = "annotate `kurator.dev/force-delete: \"true\"` to give up on what nobody does";
        let said = |backup: &Backup| {
            says(backup).contains(remedy) && says(backup).contains("Velero has not taken up the deletion of")
        };
        backups.until("kept", remedy, said).await?;
        let force = json!({"metadata": {"annotations": {names::FORCE_DELETE_ANNOTATION: "true"}}});
        backups.merge("kept", force).await?;
        backups.until_gone("kept").await?;
        let events = acting.tenant.all::<Event>();
        until("an event that names what was given up", BOUND, async || {
            let gives_up = |event: &Event| {
                event.note.as_ref().is_some_and(|note| note.starts_with("given up on k45-silent-m1: "))
            };
            Ok::<_, FixtureError>(events.list("").await?.iter().any(gives_up).then_some(()))
        })
        .await?;
        assert!(acting.backups.api().get_opt(&child.name_any()).await?.is_some());
        Ok(())
    })
}

#[test]
fn k06_a_finished_backup_whose_velero_backup_is_deleted_is_not_taken_again_and_can_be_restored() -> Outcome {
    on_stage(async |stage| {
        let _mine = stage.real.lock().await;
        let member = stage.lab.member(2);
        let backups = in_member::<velero::Backup>(member)?;
        let tenant = fleet_of_the_real_one(stage, "k06-finished").await?;
        sow(member, "k06-shop").await?;
        let spec = json!({
            "destination": {"fleet": tenant.name()},
            "policy": {"resourceFilter": {"includedNamespaces": ["k06-shop"]}},
        });
        tenant.create::<Backup>("kept", spec.clone()).await?;
        let kept: Backup = tenant.all().until_phase("kept", "Completed").await?;
        let child = only(&backups, &kept).await?;
        let name = child.name_any();

        // Nobody but the hub can bring it back now, and whatever it makes stays as it was made.
        member.stop_velero()?;
        backups.delete(&name).await?;
        let hub_is_up_to_date = async |marker: &str| {
            let marker: Backup = tenant.create(marker, spec.clone()).await?;
            only(&backups, &marker).await.map(drop)
        };
        hub_is_up_to_date("before").await?;
        assert!(backups.api().get_opt(&name).await?.is_none(), "taken again");
        stage.restart_the_hub().await?;
        hub_is_up_to_date("after").await?;
        assert!(backups.api().get_opt(&name).await?.is_none(), "taken again by the next process");
        assert_eq!(tenant.all::<Backup>().get("kept").await?.status, kept.status);

        let maps = Api::<ConfigMap>::namespaced(member.client()?, "k06-shop");
        maps.delete("prices", &Default::default()).await?;
        let restore: Restore = tenant.create("back", json!({"backupName": "kept"})).await?;
        let copy =
            backups.until(&name, "as it was when it finished", |copy| copy.status == child.status).await?;
        assert_eq!(
            copy.annotations().get(names::OWNER_ANNOTATION),
            child.annotations().get(names::OWNER_ANNOTATION)
        );
        member.start_velero()?;
        tenant.all::<Restore>().until_phase(&restore.name_any(), "Completed").await?;
        maps.get("prices").await?;
        Ok(())
    })
}

#[test]
fn a_velero_that_does_not_run_is_reported_and_the_fleet_is_ready_once_it_does() -> Outcome {
    on_stage(async |stage| {
        let _mine = stage.real.lock().await;
        let member = stage.lab.member(2);
        member.stop_velero()?;
        let tenant = Tenant::new(stage.lab, "silent").await?;
        let cluster = tenant.attach(2).await?;
        tenant.fleet(&[&cluster], Some(minio("silent"))).await?;
        let said = |fleet: &Fleet| {
            let row = fleet.status.as_ref().and_then(|status| status.clusters.first()?.backup.clone());
            row.and_then(|row| row.reason)
        };
        let fleets = tenant.all::<Fleet>();
        let is_silent = |fleet: &Fleet| said(fleet).as_deref() == Some("VeleroSilent");
        let silent = fleets.until(tenant.name(), "its row says VeleroSilent", is_silent).await;
        member.start_velero()?;
        let message = json_of(&silent?)["status"]["clusters"][0]["backup"]["message"].take();
        // The lab's Velero is a process beside its Deployment, which has no replicas.
        let seen = "Velero's types are there, but no server answers: when it was asked, Deployment `velero` had no pod; \
                    scale it up, or see its events";
        assert_eq!(message, seen);
        fleets.until_phase(tenant.name(), "Ready").await?;
        Ok(())
    })
}

async fn fleet_of_the_real_one<'a>(stage: &'a Stage, name: &str) -> anyhow::Result<Tenant<'a>> {
    let tenant = Tenant::new(stage.lab, name).await?;
    let cluster = tenant.attach(2).await?;
    tenant.fleet(&[&cluster], Some(minio(name))).await?;
    tenant.all::<Fleet>().until_phase(name, "Ready").await?;
    Ok(tenant)
}
