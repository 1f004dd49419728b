//! Deletions on the hub: what goes from the members and from the object store, what stays, and what is waited for.

use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kurator_api::backup::Backup;
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::restore::Restore;
use kurator_api::velero::{self, BackupStorageLocation, Schedule};
use kurator_api::{cluster::ClusterKind, names};
use kurator_testkit::Cluster;
use kurator_testkit::fixtures::{BOUND, FixtureError, Object, Tenant, minio, sow, velero as in_member};
use kurator_testkit::wait::until;
use serde_json::{Value, json};

use crate::{Outcome, Stage, on_stage};

/// Two looks of Velero into the store, each of which may come after two minutes.
const TWO_SYNCS: Duration = Duration::from_secs(300);

/// A Backup of the tenant's namespace in all clusters of its fleet.
fn spec(tenant: &Tenant<'_>, deletion_policy: &str) -> Value {
    json!({
        "destination": {"fleet": tenant.name()},
        "policy": {"resourceFilter": {"includedNamespaces": [tenant.name()]}},
        "deletionPolicy": deletion_policy,
    })
}

/// A completed Backup `b`; the names of its Velero Backups.
async fn backed_up(tenant: &Tenant<'_>, deletion_policy: &str) -> anyhow::Result<Vec<String>> {
    tenant.create::<Backup>("b", spec(tenant, deletion_policy)).await?;
    let backup = tenant.all::<Backup>().until_phase("b", "Completed").await?;
    let rows = backup.status.context("no status")?.backup_details;
    rows.into_iter().map(|row| row.backup_name_in_cluster.context("no name in a row")).collect()
}

/// Keys of all backups below the tenant's prefix.
async fn stored(stage: &Stage, tenant: &Tenant<'_>) -> anyhow::Result<Vec<String>> {
    let mut keys = stage.lab.s3().list(tenant.name()).await?;
    keys.retain(|key| key.contains("/backups/"));
    Ok(keys)
}

async fn delete<K: Object>(tenant: &Tenant<'_>, name: &str) -> Outcome {
    tenant.all::<K>().delete(name).await?;
    Ok(tenant.all::<K>().until_gone(name).await?)
}

/// How many storage locations and Secrets of the tenant's fleet a member has.
async fn plugin_in(member: &Cluster, tenant: &Tenant<'_>) -> Result<(usize, usize), FixtureError> {
    let label = format!("{}={}", names::FLEET_NAME_LABEL, tenant.name());
    let locations = in_member::<BackupStorageLocation>(member)?.list(&label).await?.len();
    Ok((locations, in_member::<Secret>(member)?.list(&label).await?.len()))
}

async fn until_plugin_in(member: &Cluster, tenant: &Tenant<'_>, wanted: (usize, usize)) -> Outcome {
    until(
        &format!("{wanted:?} locations and Secrets in {}", member.name()),
        BOUND,
        async || match plugin_in(member, tenant).await {
            Ok(found) if found == wanted => Ok(Some(())),
            Ok(found) => Err(format!("{found:?}")),
            Err(error) => Err(error.to_string()),
        },
    )
    .await?;
    Ok(())
}

#[test]
fn k05_a_backup_deleted_with_its_data_is_gone_from_the_store_and_does_not_come_back() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k5").await?;
        for i in [1, 2] {
            sow(stage.lab.member(i), "k5").await?;
        }
        tenant.ready_fleet(2).await?;
        let children = backed_up(&tenant, "Delete").await?;
        assert_eq!(children.len(), 2);
        assert!(!stored(stage, &tenant).await?.is_empty());
        delete::<Backup>(&tenant, "b").await?;
        assert_eq!(stored(stage, &tenant).await?, Vec::<String>::new());

        let member = stage.lab.member(1);
        let locations = in_member::<BackupStorageLocation>(member)?;
        let label = format!("{}=k5", names::FLEET_NAME_LABEL);
        let location = locations.list(&label).await?.remove(0).name_any();
        locations.merge(&location, json!({"spec": {"backupSyncPeriod": "1s"}})).await?;
        let synced = async || {
            let status = locations.get(&location).await?.status.unwrap_or_default();
            Ok::<_, FixtureError>(status.last_synced_time)
        };
        let (mut last, mut syncs) = (synced().await?, 0);
        until("two syncs of the location", TWO_SYNCS, async || {
            let now = synced().await?;
            syncs += u32::from(now != last);
            last = now;
            Ok::<_, FixtureError>((syncs >= 2).then_some(()))
        })
        .await?;
        for i in [1, 2] {
            let member = stage.lab.member(i);
            assert_eq!(in_member::<velero::Backup>(member)?.list(&label).await?, []);
            assert_eq!(in_member::<velero::DeleteBackupRequest>(member)?.list(&label).await?, []);
        }
        Ok(())
    })
}

#[test]
fn a_retained_backup_keeps_its_data_and_a_new_one_of_its_name_runs_beside_it() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("retain").await?;
        sow(stage.lab.member(1), "retain").await?;
        tenant.ready_fleet(1).await?;
        let first = backed_up(&tenant, "Retain").await?.remove(0);
        let keys = stored(stage, &tenant).await?;
        delete::<Backup>(&tenant, "b").await?;
        let kept = in_member::<velero::Backup>(stage.lab.member(1))?.get(&first).await?;
        assert!(kept.annotations().contains_key(names::RELEASED_ANNOTATION), "{:?}", kept.annotations());
        assert_eq!(stored(stage, &tenant).await?, keys);

        let second = backed_up(&tenant, "Retain").await?.remove(0);
        let uid = tenant.all::<Backup>().get("b").await?.uid().context("no uid")?;
        assert_eq!(second, names::second_choice(&first, &uid));
        Ok(())
    })
}

/// What Kurator made for a Backup `b`, as it made it: without a word on whose it is.
fn kurators(name: &str, schedule: Option<&str>) -> anyhow::Result<velero::Backup> {
    let mut labels = json!({names::BACKUP_NAME_LABEL: "b", names::PLUGIN_LABEL: names::BACKUP_PLUGIN});
    if let Some(schedule) = schedule {
        labels[names::VELERO_SCHEDULE_NAME_LABEL] = json!(schedule);
    }
    // Over, and nothing is stored under it.
    let status = json!({"phase": "FailedValidation"});
    let backup = json!({"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status});
    Ok(serde_json::from_value(backup)?)
}

#[test]
fn k39_a_backup_takes_nothing_along_that_is_called_alike() -> Outcome {
    on_stage(async |stage| {
        let member = stage.lab.member(1);
        sow(member, "k39").await?;
        // In a member, `x-b` of `k39` and `b` of `k39-x` are called the same.
        let mut children = Vec::new();
        let tenants = [stage.tenant("k39").await?, stage.tenant("k39-x").await?];
        for tenant in &tenants {
            tenant.attach_as("shared", &member.kubeconfig()).await?;
            tenant.fleet(&["shared"], None).await?;
        }
        for (tenant, name) in [(&tenants[0], "x-b"), (&tenants[0], "b"), (&tenants[1], "b")] {
            let mut spec = spec(tenant, "Delete");
            spec["policy"]["resourceFilter"]["includedNamespaces"] = json!(["k39"]);
            tenant.create::<Backup>(name, spec).await?;
            let backup = tenant.all::<Backup>().until_phase(name, "Completed").await?;
            let row = backup.status.context("no status")?.backup_details.remove(0);
            children.push(row.backup_name_in_cluster.context("no name")?);
        }
        assert!(children[2].starts_with("shared-backup-k39-x-b-"), "{children:?}");
        let backups = in_member::<velero::Backup>(member)?;
        backups.create(&kurators("k39-of-kurator", None)?).await?;

        delete::<Backup>(&tenants[1], "b").await?;
        backups.until_gone(&children[2]).await?;
        for kept in [&children[0], &children[1], "k39-of-kurator"] {
            let kept = backups.get(kept).await?;
            assert_eq!(kept.metadata.deletion_timestamp, None);
        }
        Ok(())
    })
}

/// A schedule of the tenant's only cluster that comes due at new year, with a Velero Schedule in member 1; its UID and the
/// name of the Schedule.
async fn scheduled(stage: &Stage, tenant: &Tenant<'_>, policy: &str) -> anyhow::Result<(String, String)> {
    let cluster = tenant.attach(1).await?;
    tenant.fleet(&[&cluster], None).await?;
    let mut spec = spec(tenant, policy);
    spec["schedule"] = json!("0 0 1 1 *");
    let uid = tenant.create::<Backup>("b", spec).await?.uid().context("no uid")?;
    let backups = tenant.all::<Backup>();
    backups.until("b", "a phase", |b| b.status.as_ref().is_some_and(|s| s.phase.is_some())).await?;

    let name = format!("{cluster}-backup-{}-b", tenant.name());
    let (labels, annotations) = of_owner(tenant, &uid);
    let schedule: Schedule = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"schedule": "0 0 1 1 *", "template": {"storageLocation": "default"}},
    }))?;
    match in_member::<Schedule>(stage.lab.member(1))?.create(&schedule).await {
        Err(error) if error.refusal().is_some_and(|why| why.contains("already exists")) => {}
        created => created.map(drop)?,
    }
    let row = json!({
        "clusterKind": ClusterKind::AttachedCluster, "clusterName": cluster,
        "schedule": {"scheduleNameInCluster": name},
    });
    backups.merge_status("b", json!({"backupDetails": [row]})).await?;
    Ok((uid, name))
}

/// Labels and annotations of what was made for the tenant's Backup `b`.
fn of_owner(tenant: &Tenant<'_>, uid: &str) -> (Value, Value) {
    let labels = json!({
        names::BACKUP_NAME_LABEL: "b", names::PLUGIN_LABEL: names::BACKUP_PLUGIN, names::OWNER_UID_LABEL: uid,
    });
    let cluster = format!("AttachedCluster {0}/{0}-m1", tenant.name());
    let owner = names::owner("Backup", tenant.name(), "b");
    (labels, json!({names::OWNER_ANNOTATION: owner, names::CLUSTER_ANNOTATION: cluster}))
}

/// A run of a schedule, as Velero makes it.
fn run_of(tenant: &Tenant<'_>, uid: &str, schedule: &str, at: &str) -> anyhow::Result<velero::Backup> {
    let (mut labels, annotations) = of_owner(tenant, uid);
    labels[names::VELERO_SCHEDULE_NAME_LABEL] = json!(schedule);
    let spec = json!({"storageLocation": "default", "includedNamespaces": [tenant.name()]});
    let metadata = json!({"name": format!("{schedule}-{at}"), "labels": labels, "annotations": annotations});
    Ok(serde_json::from_value(json!({"metadata": metadata, "spec": spec}))?)
}

#[test]
fn n07_a_schedule_deleted_with_its_data_takes_all_its_runs_along_and_no_others() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("n7").await?;
        let member = stage.lab.member(1);
        sow(member, "n7").await?;
        let (uid, schedule) = scheduled(stage, &tenant, "Delete").await?;
        let backups = in_member::<velero::Backup>(member)?;
        let ours = [
            run_of(&tenant, &uid, &schedule, "20260101000000")?,
            run_of(&tenant, &uid, &schedule, "20260102000000")?,
            kurators(&format!("{schedule}-20250101000000"), Some(&schedule))?,
        ];
        let of_an_earlier_one = run_of(&tenant, "earlier-uid", &schedule, "20240101000000")?;
        for run in ours.iter().chain([&of_an_earlier_one]) {
            backups.create(run).await?;
        }
        for run in &ours[..2] {
            backups.until_phase(&run.name_any(), "Completed").await?;
        }
        let keys = async || {
            let mut keys = stage.lab.s3().list(crate::BASE).await?;
            keys.retain(|key| key.contains(&schedule) && !key.contains("20240101000000"));
            Ok::<_, anyhow::Error>(keys)
        };
        assert!(!keys().await?.is_empty());

        delete::<Backup>(&tenant, "b").await?;
        assert!(in_member::<Schedule>(member)?.get(&schedule).await.is_err());
        for run in &ours {
            assert!(backups.get(&run.name_any()).await.is_err(), "{}", run.name_any());
        }
        assert_eq!(keys().await?, Vec::<String>::new());
        backups.get(&of_an_earlier_one.name_any()).await?;
        Ok(())
    })
}

#[test]
fn a_retained_schedule_goes_and_its_runs_stay_marked() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("n7-retain").await?;
        let member = stage.lab.member(1);
        let (uid, schedule) = scheduled(stage, &tenant, "Retain").await?;
        let backups = in_member::<velero::Backup>(member)?;
        let run = run_of(&tenant, &uid, &schedule, "20260101000000")?;
        backups.create(&run).await?;
        delete::<Backup>(&tenant, "b").await?;
        assert!(in_member::<Schedule>(member)?.get(&schedule).await.is_err());
        let kept = backups.get(&run.name_any()).await?;
        assert!(kept.annotations().contains_key(names::RELEASED_ANNOTATION), "{:?}", kept.annotations());
        Ok(())
    })
}

#[test]
fn a_refused_deletion_is_told_in_veleros_words_until_the_data_is_to_stay() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("deletion-refused").await?;
        let (uid, schedule) = scheduled(stage, &tenant, "Delete").await?;
        let mut run = run_of(&tenant, &uid, &schedule, "20260101000000")?;
        run.spec.storage_location = Some("nowhere".to_owned());
        run.status = Some(serde_json::from_value(json!({"phase": "Completed"}))?);
        in_member::<velero::Backup>(stage.lab.member(1))?.create(&run).await?;
        let backups = tenant.all::<Backup>();
        backups.delete("b").await?;
        let said = backups.until_reason("b", "DeletionRefused").await?;
        let name = run.name_any();
        assert!(
            said.contains(&format!("; deletion-refused-m1: `{name}`: ")) && said.contains("nowhere"),
            "{said}"
        );
        assert!(said.contains("set spec.deletionPolicy to `Retain`"), "{said}");
        backups.until_phase("b", "Deleting").await?;
        backups.merge("b", json!({"spec": {"deletionPolicy": "Retain"}})).await?;
        backups.until_gone("b").await?;
        in_member::<velero::Backup>(stage.lab.member(1))?.get(&name).await?;
        Ok(())
    })
}

#[test]
fn k45_a_restore_of_a_backup_that_was_deleted_before_it_is_deleted() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k45-order").await?;
        sow(stage.lab.member(1), "k45-order").await?;
        tenant.ready_fleet(1).await?;
        backed_up(&tenant, "Delete").await?;
        tenant.create::<Restore>("r", json!({"backupName": "b"})).await?;
        tenant.all::<Restore>().until_phase("r", "Completed").await?;
        delete::<Backup>(&tenant, "b").await?;
        delete::<Restore>(&tenant, "r").await?;
        let label = format!("{}=k45-order", names::FLEET_NAME_LABEL);
        assert_eq!(in_member::<velero::Restore>(stage.lab.member(1))?.list(&label).await?, []);
        Ok(())
    })
}

#[test]
fn k45_everything_deleted_at_once_leaves_nothing_in_the_members() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k45-all").await?;
        for i in [1, 2] {
            sow(stage.lab.member(i), "k45-all").await?;
        }
        let clusters = tenant.ready_fleet(2).await?;
        backed_up(&tenant, "Delete").await?;
        for cluster in &clusters {
            tenant.all::<AttachedCluster>().delete(cluster).await?;
            tenant.all::<Secret>().delete(cluster).await?;
        }
        try_join(delete::<Fleet>(&tenant, "k45-all"), delete::<Backup>(&tenant, "b")).await?;
        for i in [1, 2] {
            assert_eq!(plugin_in(stage.lab.member(i), &tenant).await?, (0, 0));
        }
        assert_eq!(stored(stage, &tenant).await?, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn k45_a_cluster_whose_object_is_deleted_is_left_clean_and_served_again_when_it_is_back() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k45-object").await?;
        let cluster = tenant.ready_fleet(1).await?.remove(0);
        let member = stage.lab.member(1);
        assert_eq!(plugin_in(member, &tenant).await?, (1, 1));
        delete::<AttachedCluster>(&tenant, &cluster).await?;
        until_plugin_in(member, &tenant, (0, 0)).await?;
        let is_missed = |fleet: &Fleet| {
            let row = fleet.status.as_ref().and_then(|status| status.clusters.first());
            row.is_some_and(|row| row.reason.as_deref() == Some("ClusterNotFound") && row.backup.is_none())
        };
        tenant.all::<Fleet>().until("k45-object", "a row without the plugin", is_missed).await?;
        let reference = json!({"kubeconfig": {"name": cluster, "key": "value"}});
        tenant.create::<AttachedCluster>(&cluster, reference).await?;
        tenant.all::<Fleet>().until_phase("k45-object", "Ready").await?;
        assert_eq!(plugin_in(member, &tenant).await?, (1, 1));
        Ok(())
    })
}

#[test]
fn k45_a_restore_deleted_after_its_cluster_object_names_what_it_leaves_there() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k45-late").await?;
        sow(stage.lab.member(1), "k45-late").await?;
        let cluster = tenant.ready_fleet(1).await?.remove(0);
        backed_up(&tenant, "Retain").await?;
        tenant.create::<Restore>("r", json!({"backupName": "b"})).await?;
        let restore = tenant.all::<Restore>().until_phase("r", "Completed").await?;
        let row = restore.status.context("no status")?.restore_details.remove(0);
        let name = row.restore_name_in_cluster.context("no name")?;
        delete::<AttachedCluster>(&tenant, &cluster).await?;
        delete::<Restore>(&tenant, "r").await?;
        let note = tenant.until_event("Restore", "r", "MemberCleanupPending").await?;
        assert_eq!(note, format!("given up on {cluster}: Velero Restore `{name}` may be left"));
        in_member::<velero::Restore>(stage.lab.member(1))?.get(&name).await?;
        Ok(())
    })
}

#[test]
fn k45_a_cluster_object_that_goes_takes_the_schedules_in_its_cluster_along() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k45-schedule").await?;
        let cluster = tenant.ready_fleet(1).await?.remove(0);
        let mut spec = spec(&tenant, "Retain");
        spec["schedule"] = json!("0 0 1 1 *");
        tenant.create::<Backup>("b", spec).await?;
        let schedules = in_member::<Schedule>(stage.lab.member(1))?;
        let label = format!("{}=k45-schedule", names::FLEET_NAME_LABEL);
        tenant.all::<Backup>().until_phase("b", "Enabled").await?;
        assert_eq!(schedules.list(&label).await?.len(), 1);
        delete::<AttachedCluster>(&tenant, &cluster).await?;
        assert!(schedules.list(&label).await?.is_empty());
        assert_eq!(plugin_in(stage.lab.member(1), &tenant).await?, (0, 0));
        Ok(())
    })
}

#[test]
fn a_plugin_that_is_removed_leaves_a_member_as_it_was_found_and_can_be_added_again() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("removal").await?;
        tenant.ready_fleet(1).await?;
        let (member, fleets) = (stage.lab.member(1), tenant.all::<Fleet>());
        fleets.merge("removal", json!({"spec": {"plugin": minio("removal/moved")}})).await?;
        until_plugin_in(member, &tenant, (2, 1)).await?;
        fleets.merge("removal", json!({"spec": {"plugin": null}})).await?;
        until_plugin_in(member, &tenant, (0, 0)).await?;
        let forgotten = |fleet: &Fleet| {
            fleet.status.as_ref().is_some_and(|status| status.clusters.iter().all(|row| row.backup.is_none()))
        };
        fleets.until("removal", "rows without the plugin", forgotten).await?;
        fleets.merge("removal", json!({"spec": {"plugin": minio("removal")}})).await?;
        until_plugin_in(member, &tenant, (1, 1)).await?;
        fleets.until_phase("removal", "Ready").await?;
        Ok(())
    })
}
