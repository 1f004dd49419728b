//! A target that is lost at each step, and comes back.

use k8s_openapi::api::events::v1::Event;
use kurator_api::{cluster::AttachedCluster, migrate::Migrate, velero};
use kurator_testkit::{
    fixtures::{BOUND, FixtureError, json_of, velero as in_member},
    wait::until,
};
use serde_json::json;

use crate::{Outcome, Scene, in_turn, left_in};

/// A target that is cut off. Healed also when the test fails, for those that come after it.
struct Cut<'a>(&'a Scene<'a>, usize);

impl<'a> Cut<'a> {
    async fn new(scene: &'a Scene<'a>, i: usize) -> Result<Self, FixtureError> {
        scene.lab.partition(scene.lab.member(i).name())?;
        let cut = Self(scene, i);
        scene.tenant.all::<AttachedCluster>().until_reason(&scene.cluster(i), "Unreachable").await?;
        Ok(cut)
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        let healed = self.0.lab.heal(self.0.lab.member(self.1).name());
        assert!(healed.is_ok() || std::thread::panicking(), "{healed:?}");
    }
}

#[test]
fn k43_a_target_lost_before_the_start_delays_no_other_and_follows_when_it_is_back() -> Outcome {
    in_turn("mg-before", async |scene| {
        let cut = Cut::new(scene, 2).await?;
        scene.migrate(&[2, 3], json!({})).await?;
        scene.until_row(3, "Completed", "Completed").await?;
        let said = scene.until_row(2, "Pending", "Unreachable").await?;
        assert_eq!(json_of(&said)["status"]["phase"], "RestoreInProgress");
        drop(cut);
        scene.until_phase("Completed").await?;
        Ok(())
    })
}

#[test]
fn k43_a_target_lost_while_the_source_is_backed_up_follows_when_it_is_back() -> Outcome {
    in_turn("mg-during", async |scene| {
        scene.lab.member(1).stop_velero()?;
        scene.migrate(&[2, 3], json!({})).await?;
        scene.until_phase("BackupInProgress").await?;
        let cut = Cut::new(scene, 2).await?;
        scene.lab.member(1).start_velero()?;
        scene.until_row(3, "Completed", "Completed").await?;
        scene.until_row(2, "Pending", "Unreachable").await?;
        drop(cut);
        scene.until_phase("Completed").await?;
        Ok(())
    })
}

#[test]
fn k44_a_target_lost_while_it_is_restored_keeps_its_row_and_runs_once() -> Outcome {
    in_turn("mg-restoring", async |scene| {
        scene.lab.member(2).stop_velero()?;
        let migrate = scene.migrate(&[2, 3], json!({})).await?;
        let uid = async || -> anyhow::Result<Option<String>> {
            Ok(scene.child::<velero::Restore>(2, &migrate).await?.metadata.uid)
        };
        // Velero in the target is stopped, so the way has to be called good in its place.
        let mounts = in_member::<velero::BackupStorageLocation>(scene.lab.member(2))?;
        let mount = scene.child::<velero::BackupStorageLocation>(2, &migrate).await?;
        let name = mount.metadata.name.unwrap_or_default();
        mounts.merge(&name, json!({"status": {"phase": "Available"}})).await?;
        let made = uid().await?;
        scene.until_row(2, "InProgress", "InProgress").await?;
        let cut = Cut::new(scene, 2).await?;
        scene.until_row(2, "InProgress", "Unreachable").await?;
        scene.until_row(3, "Completed", "Completed").await?;
        drop(cut);
        scene.lab.member(2).start_velero()?;
        scene.until_phase("Completed").await?;
        assert_eq!(uid().await?, made, "run twice");
        Ok(())
    })
}

#[test]
fn k45_a_migrate_is_deleted_only_when_a_lost_target_is_back_and_clean() -> Outcome {
    in_turn("mg-deleted", async |scene| {
        let migrate = scene.migrate(&[2, 3], json!({})).await?;
        scene.until_phase("Completed").await?;
        let migrates = scene.tenant.all::<Migrate>();
        let cut = Cut::new(scene, 2).await?;
        migrates.delete("m").await?;
        let why = migrates.until_reason("m", "MemberCleanupPending").await?;
        assert!(why.contains(&scene.cluster(2)) && why.contains("kurator.dev/force-delete"), "{why}");
        scene.until_phase("Deleting").await?;
        drop(cut);
        migrates.until_gone("m").await?;
        for i in [2, 3] {
            assert!(left_in(scene.lab.member(i), &migrate).await?.is_empty());
        }
        Ok(())
    })
}

#[test]
fn k45_force_delete_gives_up_on_a_lost_target_alone_and_says_so() -> Outcome {
    in_turn("mg-forced", async |scene| {
        let migrate = scene.migrate(&[2, 3], json!({})).await?;
        scene.until_phase("Completed").await?;
        let migrates = scene.tenant.all::<Migrate>();
        let cut = Cut::new(scene, 2).await?;
        migrates
            .merge("m", json!({"metadata": {"annotations": {"kurator.dev/force-delete": "true"}}}))
            .await?;
        migrates.delete("m").await?;
        migrates.until_gone("m").await?;
        let events = scene.tenant.all::<Event>();
        let given_up = format!("given up on {}", scene.cluster(2));
        until("an event that names what was given up", BOUND, async || {
            let all = events.list("").await?;
            let mut notes = all.iter().filter_map(|event| event.note.as_ref());
            Ok::<_, FixtureError>(notes.any(|note| note.starts_with(&given_up)).then_some(()))
        })
        .await?;
        assert!(left_in(scene.lab.member(3), &migrate).await?.is_empty());
        drop(cut);
        Ok(())
    })
}
