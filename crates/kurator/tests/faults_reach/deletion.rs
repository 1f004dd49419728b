//! Deletion on the hub when a member is lost, or when what is to be deleted in it is gone already.

use anyhow::Context as _;
use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kurator_api::{
    backup::Backup,
    cluster::AttachedCluster,
    fleet::Fleet,
    restore::Restore,
    velero::{self, BackupStorageLocation},
};
use kurator_testkit::{
    fixtures::{BOUND, FixtureError, json_of, velero as in_member},
    wait::until,
};
use serde_json::json;

use crate::{Outcome, Scene, with_a_shaky_member};

/// A completed Restore; names of its Velero Restores in the shaky and in the steady member.
async fn restored(scene: &Scene<'_>) -> Result<[String; 2], FixtureError> {
    scene.back_up("b").await?;
    scene.tenant.all::<Backup>().until_phase("b", "Completed").await?;
    scene.restore("r", "b").await?;
    let restore: Restore = scene.tenant.all().until_phase("r", "Completed").await?;
    let rows = restore.status.unwrap_or_default().restore_details;
    let name_in = |cluster: &str| {
        let row = rows.iter().find(|row| row.cluster_name == cluster);
        row.and_then(|row| row.restore_name_in_cluster.clone()).unwrap_or_default()
    };
    Ok([name_in(&scene.shaky), name_in(&scene.steady)])
}

#[test]
fn k48_a_restore_of_which_half_is_gone_already_is_deleted() -> Outcome {
    with_a_shaky_member(2, "k48-restore", async |scene| {
        let [in_shaky, in_steady] = restored(scene).await?;
        let restores = in_member::<velero::Restore>(scene.member)?;
        restores.delete(&in_shaky).await?;
        restores.until_gone(&in_shaky).await?;
        scene.tenant.all::<Restore>().delete("r").await?;
        scene.tenant.all::<Restore>().until_gone("r").await?;
        in_member::<velero::Restore>(scene.lab.member(crate::STEADY))?.until_gone(&in_steady).await?;
        Ok(())
    })
}

#[test]
fn k48_a_restore_is_deleted_only_when_a_lost_member_is_back() -> Outcome {
    with_a_shaky_member(1, "k48-lost", async |scene| {
        let [in_shaky, _] = restored(scene).await?;
        let restores = scene.tenant.all::<Restore>();
        let cut = scene.lose().await?;
        restores.delete("r").await?;
        let why = restores.until_reason("r", "MemberCleanupPending").await?;
        assert!(why.contains(&scene.shaky) && why.contains("kurator.dev/force-delete"), "{why}");
        drop(cut);
        restores.until_gone("r").await?;
        in_member::<velero::Restore>(scene.member)?.until_gone(&in_shaky).await?;
        Ok(())
    })
}

#[test]
fn k48_force_delete_gives_up_on_a_lost_member_and_says_so_in_an_event() -> Outcome {
    with_a_shaky_member(2, "k48-force", async |scene| {
        restored(scene).await?;
        let restores = scene.tenant.all::<Restore>();
        let _cut = scene.lose().await?;
        restores.delete("r").await?;
        restores.until_reason("r", "MemberCleanupPending").await?;
        restores
            .merge("r", json!({"metadata": {"annotations": {"kurator.dev/force-delete": "true"}}}))
            .await?;
        restores.until_gone("r").await?;
        let events = scene.tenant.all::<Event>();
        until("an event that names what was given up", BOUND, async || {
            let given_up = format!("given up on {}", scene.shaky);
            let all = events.list("").await?;
            let said =
                all.iter().filter_map(|event| event.note.as_ref()).any(|note| note.starts_with(&given_up));
            Ok::<_, FixtureError>(said.then_some(()))
        })
        .await?;
        Ok(())
    })
}

#[test]
fn k48_a_fleet_of_which_half_is_gone_already_is_deleted_when_a_lost_member_is_back() -> Outcome {
    with_a_shaky_member(1, "k48-fleet", async |scene| {
        let fleets = scene.tenant.all::<Fleet>();
        let cut = scene.lose().await?;
        fleets.delete(scene.tenant.name()).await?;
        fleets.until_reason(scene.tenant.name(), "MemberCleanupPending").await?;
        let ours = format!("fleet.kurator.dev/fleet-name={}", scene.tenant.name());
        let locations = ["delete", "backupstoragelocations.velero.io", "-n", "velero", "-l", &ours];
        let deleted = scene.lab.kubectl_within(scene.member, &locations)?;
        assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
        drop(cut);
        fleets.until_gone(scene.tenant.name()).await?;
        let secrets = in_member::<Secret>(scene.member)?;
        assert!(secrets.list(&ours).await?.is_empty());
        Ok(())
    })
}

/// A completed Backup that is to be deleted with its data; names of its Velero Backups in the shaky and in the steady
/// member.
async fn backed_up(scene: &Scene<'_>) -> anyhow::Result<[String; 2]> {
    scene.back_up("b").await?;
    let backups = scene.tenant.all::<Backup>();
    backups.until_phase("b", "Completed").await?;
    let backup = backups.merge("b", json!({"spec": {"deletionPolicy": "Delete"}})).await?;
    let rows = backup.status.unwrap_or_default().backup_details;
    let name_in = |cluster: &str| {
        let row = rows.iter().find(|row| row.cluster_name == cluster);
        row.and_then(|row| row.backup_name_in_cluster.clone()).context("no name in a row")
    };
    Ok([name_in(&scene.shaky)?, name_in(&scene.steady)?])
}

/// Keys of what is stored under this name.
async fn stored(scene: &Scene<'_>, backup: &str) -> anyhow::Result<usize> {
    let keys = scene.lab.s3().list(scene.tenant.name()).await?;
    Ok(keys.iter().filter(|key| key.contains(&format!("/backups/{backup}/"))).count())
}

async fn force<K: kurator_testkit::fixtures::Object>(scene: &Scene<'_>, name: &str) -> anyhow::Result<()> {
    let annotations = json!({"kurator.dev/force-delete": "true"});
    scene.tenant.all::<K>().merge(name, json!({"metadata": {"annotations": annotations}})).await?;
    Ok(scene.tenant.all::<K>().until_gone(name).await?)
}

#[test]
fn k45_a_backup_goes_with_its_data_where_it_can_and_elsewhere_when_the_member_is_back() -> Outcome {
    with_a_shaky_member(1, "k45-lost", async |scene| {
        let [in_shaky, in_steady] = backed_up(scene).await?;
        let backups = scene.tenant.all::<Backup>();
        let cut = scene.lose().await?;
        backups.delete("b").await?;
        in_member::<velero::Backup>(scene.lab.member(crate::STEADY))?.until_gone(&in_steady).await?;
        let why = backups.until_reason("b", "MemberCleanupPending").await?;
        for part in [scene.shaky.as_str(), "kurator.dev/force-delete", "`Retain`"] {
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(json_of(&backups.get("b").await?)["status"]["phase"], "Deleting");
        assert_ne!(stored(scene, &in_shaky).await?, 0);
        drop(cut);
        backups.until_gone("b").await?;
        assert_eq!((stored(scene, &in_shaky).await?, stored(scene, &in_steady).await?), (0, 0));
        in_member::<velero::Backup>(scene.member)?.until_gone(&in_shaky).await?;
        Ok(())
    })
}

#[test]
fn k45_force_delete_gives_up_on_the_data_of_a_lost_member_alone_and_says_so() -> Outcome {
    with_a_shaky_member(2, "k45-force", async |scene| {
        let [in_shaky, in_steady] = backed_up(scene).await?;
        let _cut = scene.lose().await?;
        scene.tenant.all::<Backup>().delete("b").await?;
        force::<Backup>(scene, "b").await?;
        let given_up = format!("given up on {}: ", scene.shaky);
        until("an event that names what was given up", BOUND, async || {
            let events = scene.tenant.all::<Event>().list("").await?;
            let found =
                events.iter().any(|e| e.note.as_ref().is_some_and(|note| note.starts_with(&given_up)));
            Ok::<_, FixtureError>(found.then_some(()))
        })
        .await?;
        assert_ne!(stored(scene, &in_shaky).await?, 0);
        assert_eq!(stored(scene, &in_steady).await?, 0);
        Ok(())
    })
}

#[test]
fn a_retained_backup_does_not_wait_for_a_lost_member() -> Outcome {
    with_a_shaky_member(1, "retain-lost", async |scene| {
        scene.back_up("b").await?;
        let backups = scene.tenant.all::<Backup>();
        backups.until_phase("b", "Completed").await?;
        let _cut = scene.lose().await?;
        backups.delete("b").await?;
        backups.until_gone("b").await?;
        Ok(())
    })
}

/// Names of what the tenant's fleet has in the shaky member.
async fn plugin(scene: &Scene<'_>) -> Result<Vec<Option<String>>, FixtureError> {
    let label = format!("fleet.kurator.dev/fleet-name={}", scene.tenant.name());
    let locations = in_member::<BackupStorageLocation>(scene.member)?.list(&label).await?;
    let secrets = in_member::<Secret>(scene.member)?.list(&label).await?;
    let names = locations.into_iter().map(|l| l.metadata.name);
    Ok(names.chain(secrets.into_iter().map(|s| s.metadata.name)).collect())
}

#[test]
fn k46_a_fleet_goes_when_the_backup_that_runs_in_it_has_ended_and_the_backup_is_complete() -> Outcome {
    with_a_shaky_member(2, "fleet-busy", async |scene| {
        let (name, fleets) = (scene.tenant.name(), scene.tenant.all::<Fleet>());
        scene.member.stop_velero()?;
        let waiting = async {
            scene.back_up("b").await?;
            let running = |backup: &Backup| {
                let rows = json_of(backup)["status"]["backupDetails"].take();
                let mut rows = rows.as_array().into_iter().flatten();
                rows.any(|row| row["clusterName"] == scene.shaky && row["phase"] == "InProgress")
            };
            scene.tenant.all::<Backup>().until("b", "under way in the shaky member", running).await?;
            let before = plugin(scene).await?;
            fleets.delete(name).await?;
            let why = fleets.until_reason(name, "MemberCleanupPending").await?;
            assert!(why.contains("Backup `b` has not ended there"), "{why}");
            assert_eq!(plugin(scene).await?, before);
            Ok::<_, FixtureError>(())
        };
        let waiting = waiting.await;
        scene.member.start_velero()?;
        waiting?;
        fleets.until_gone(name).await?;
        assert_eq!(plugin(scene).await?, Vec::<Option<String>>::new());
        let backup = scene.tenant.all::<Backup>().get("b").await?;
        assert_eq!(json_of(&backup)["status"]["phase"], "Completed");
        Ok(())
    })
}

#[test]
fn a_forced_fleet_cleans_up_what_it_reaches_although_a_backup_needs_it() -> Outcome {
    with_a_shaky_member(1, "fleet-force", async |scene| {
        let (name, fleets) = (scene.tenant.name(), scene.tenant.all::<Fleet>());
        backed_up(scene).await?;
        let cut = scene.lose().await?;
        fleets.delete(name).await?;
        fleets.until_reason(name, "MemberCleanupPending").await?;
        force::<Fleet>(scene, name).await?;
        let note = scene.tenant.until_event("Fleet", name, "MemberCleanupPending").await?;
        assert!(note.contains(name), "{note}");
        drop(cut);
        let label = format!("fleet.kurator.dev/fleet-name={name}");
        let steady = scene.lab.member(crate::STEADY);
        assert!(in_member::<BackupStorageLocation>(steady)?.list(&label).await?.is_empty());
        assert!(in_member::<Secret>(steady)?.list(&label).await?.is_empty());
        Ok(())
    })
}

#[test]
fn k45_a_cluster_object_deleted_while_its_member_is_lost_waits_for_it_and_so_does_its_fleet() -> Outcome {
    with_a_shaky_member(2, "k45-object-lost", async |scene| {
        let (name, fleets) = (scene.tenant.name(), scene.tenant.all::<Fleet>());
        let clusters = scene.tenant.all::<AttachedCluster>();
        let cut = scene.lose().await?;
        fleets.delete(name).await?;
        fleets.until_reason(name, "MemberCleanupPending").await?;
        clusters.delete(&scene.shaky).await?;
        let why = clusters.until_reason(&scene.shaky, "MemberCleanupPending").await?;
        let what = format!("waiting until nothing of Fleet `{name}` is left in the cluster; annotate ");
        assert!(why.starts_with(&what), "{why}");
        scene.tenant.all::<Secret>().delete(&scene.shaky).await?;
        drop(cut);
        clusters.until_gone(&scene.shaky).await?;
        fleets.until_gone(name).await?;
        assert_eq!(plugin(scene).await?, Vec::<Option<String>>::new());
        Ok(())
    })
}

#[test]
fn k45_force_gives_up_on_a_cluster_object_that_waits_and_both_it_and_the_fleet_say_so() -> Outcome {
    with_a_shaky_member(1, "k45-object-force", async |scene| {
        let (name, fleets) = (scene.tenant.name(), scene.tenant.all::<Fleet>());
        let clusters = scene.tenant.all::<AttachedCluster>();
        scene.tenant.all::<Secret>().delete(&scene.shaky).await?;
        clusters.until_reason(&scene.shaky, "KubeconfigSecretMissing").await?;
        clusters.delete(&scene.shaky).await?;
        let why = clusters.until_reason(&scene.shaky, "MemberCleanupPending").await?;
        assert!(why.contains("there is no Secret"), "{why}");
        fleets.delete(name).await?;
        fleets.until_reason(name, "MemberCleanupPending").await?;
        force::<AttachedCluster>(scene, &scene.shaky).await?;
        fleets.until_gone(name).await?;
        for (kind, name) in [("AttachedCluster", scene.shaky.as_str()), ("Fleet", name)] {
            let about =
                |event: &Event| {
                    event.regarding.as_ref().is_some_and(|of| {
                        of.kind.as_deref() == Some(kind) && of.name.as_deref() == Some(name)
                    }) && event.note.as_ref().is_some_and(|note| note.starts_with("given up on the clean-up"))
                };
            let events = until("an event that tells of what is left", BOUND, async || {
                let told: Vec<_> =
                    scene.tenant.all::<Event>().list("").await?.into_iter().filter(about).collect();
                Ok::<_, FixtureError>((!told.is_empty()).then_some(told))
            })
            .await?;
            assert_eq!(events.len(), 1, "{events:?}");
        }
        Ok(())
    })
}
