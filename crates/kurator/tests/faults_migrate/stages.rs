//! Ends of the source's backup that the real Velero can't be made to have: the tests write them in its place.

use anyhow::Context as _;
use kube::ResourceExt;
use kurator_api::{
    migrate::Migrate,
    names,
    velero::{self, BackupStorageLocation, PodVolumeBackup},
};
use kurator_testkit::{
    fixtures::{BOUND, FixtureError, condition, json_of, velero as in_member},
    wait::until,
};
use serde_json::{Value, json};

use crate::{Outcome, Scene, in_turn, row};

impl Scene<'_> {
    /// A Migrate into member 2 whose Velero Backup in the source the test acts on.
    async fn acting(&self, policy: Value) -> anyhow::Result<(Migrate, String)> {
        self.lab.member(1).stop_velero()?;
        let migrate = self.migrate(&[2], policy).await?;
        self.until_phase("BackupInProgress").await?;
        let backup = self.child::<velero::Backup>(1, &migrate).await?.name_any();
        Ok((migrate, backup))
    }

    /// Says what became of the backup of the source, as Velero would.
    async fn source_is(&self, backup: &str, phase: &str) -> Outcome {
        let status = json!({"phase": phase, "formatVersion": "1.1.0", "version": 1, "errors": 1});
        in_member::<velero::Backup>(self.lab.member(1))?.merge(backup, json!({"status": status})).await?;
        Ok(())
    }
}

#[test]
fn k08_the_way_is_prepared_while_the_backup_runs_and_nothing_is_restored() -> Outcome {
    in_turn("k08-runs", async |scene| {
        let (migrate, backup) = scene.acting(json!({})).await?;
        scene.source_is(&backup, "InProgress").await?;
        let location = scene.child::<BackupStorageLocation>(2, &migrate).await?.name_any();
        in_member::<BackupStorageLocation>(scene.lab.member(2))?.until_phase(&location, "Available").await?;
        let said = scene.until_row(2, "Pending", "BackupNotFinished").await?;
        assert_eq!(row(&said, &scene.cluster(2))["sourceLocation"], json!(location));
        assert_eq!(json_of(&said)["status"]["phase"], "BackupInProgress");
        assert_eq!(scene.restores(2, &migrate).await?, 0);
        assert!(in_member::<velero::Backup>(scene.lab.member(2))?.api().get_opt(&backup).await?.is_none());
        Ok(())
    })
}

#[test]
fn k08_a_failed_source_fails_the_migrate_and_the_way_goes_again() -> Outcome {
    in_turn("k08-failed", async |scene| {
        let (migrate, backup) = scene.acting(json!({})).await?;
        let location = scene.child::<BackupStorageLocation>(2, &migrate).await?.name_any();
        scene.source_is(&backup, "Failed").await?;
        let failed = scene.until_phase("Failed").await?;
        let ready = condition(&failed, "sourceReady").context("no sourceReady")?;
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("BackupFailed")));
        let of_target = row(&failed, &scene.cluster(2));
        assert_eq!(
            (&of_target["phase"], &of_target["reason"]),
            (&json!("FailedValidation"), &json!("BackupFailed"))
        );
        in_member::<BackupStorageLocation>(scene.lab.member(2))?.until_gone(&location).await?;
        assert_eq!(scene.restores(2, &migrate).await?, 0);
        Ok(())
    })
}

#[test]
fn k08_an_incomplete_source_waits_until_the_policy_allows_it() -> Outcome {
    in_turn("k08-partial", async |scene| {
        let (migrate, backup) = scene.acting(json!({})).await?;
        scene.source_is(&backup, "PartiallyFailed").await?;
        let why = scene.tenant.all::<Migrate>().until_reason("m", "SourcePartiallyFailed").await?;
        assert!(why.contains("set spec.policy.allowPartiallyFailed: true"), "{why}");
        scene.until_phase("Pending").await?;
        assert_eq!(scene.restores(2, &migrate).await?, 0);

        let allowed = json!({"spec": {"policy": {"allowPartiallyFailed": true}}});
        scene.tenant.all::<Migrate>().merge("m", allowed).await?;
        let restore = scene.child::<velero::Restore>(2, &migrate).await?;
        assert_eq!(restore.spec.backup_name, Some(backup));
        // There is nothing in the store, as nobody has backed up anything: so ends a bad run of a target.
        let failed = scene.until_phase("Failed").await?;
        assert_eq!(condition(&failed, "sourceReady").context("no sourceReady")?["status"], "True");
        assert_eq!(row(&failed, &scene.cluster(2))["phase"], "Failed");
        Ok(())
    })
}

#[test]
fn records_of_volumes_move_along_with_the_copy_and_go_with_it() -> Outcome {
    in_turn("mg-volumes", async |scene| {
        let (migrate, backup) = scene.acting(json!({})).await?;
        let record: PodVolumeBackup = serde_json::from_value(json!({
            "metadata": {
                "name": format!("{backup}-x1"),
                "labels": {"velero.io/backup-name": names::label_value(&backup), "velero.io/backup-uid": "source"},
            },
            "spec": {
                "node": "n", "pod": {"kind": "Pod", "namespace": "mg-volumes", "name": "p"}, "volume": "data",
                "backupStorageLocation": "default", "repoIdentifier": "",
            },
            "status": {"phase": "Completed", "snapshotID": "k1"},
        }))?;
        in_member::<PodVolumeBackup>(scene.lab.member(1))?.create(&record).await?;
        scene.source_is(&backup, "Completed").await?;
        scene.child::<velero::Restore>(2, &migrate).await?;

        let copy = in_member::<velero::Backup>(scene.lab.member(2))?.get(&backup).await?;
        assert_eq!(copy.annotations().get(names::VOLUMES_ANNOTATION).map(String::as_str), Some("1"));
        let records = in_member::<PodVolumeBackup>(scene.lab.member(2))?;
        let moved = records.get(&record.name_any()).await?;
        assert_eq!(moved.spec.backup_storage_location, copy.spec.storage_location);
        assert_eq!(moved.labels().get(names::VELERO_BACKUP_UID_LABEL), copy.uid().as_ref());
        assert_eq!(json_of(&moved)["status"]["snapshotID"], "k1");

        scene.tenant.all::<Migrate>().delete("m").await?;
        scene.tenant.all::<Migrate>().until_gone("m").await?;
        until("the record to go with the copy", BOUND, async || {
            let left = records.list("velero.io/backup-uid").await?;
            Ok::<_, FixtureError>(left.is_empty().then_some(()))
        })
        .await?;
        Ok(())
    })
}
