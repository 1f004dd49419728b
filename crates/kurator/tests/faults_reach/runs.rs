//! Backups and Restores of two members of which one is lost, before they start or while they run.

use kurator_api::{
    backup::{Backup, RowPhase},
    restore::Restore,
    velero,
};
use kurator_testkit::fixtures::{FixtureError, Object, json_of, velero as in_member};
use serde_json::{Value, json};

use crate::{Outcome, Scene, with_a_shaky_member};

/// A Backup or a Restore.
trait Run: Object {
    const ROWS: &str;

    /// Phase and reason of a cluster's row.
    fn row(&self, cluster: &str) -> (Value, Value) {
        let rows = json_of(self)["status"][Self::ROWS].take();
        let row = rows.as_array().into_iter().flatten().find(|row| row["clusterName"] == cluster);
        row.map(|row| (row["phase"].clone(), row["reason"].clone())).unwrap_or_default()
    }
}

impl Run for Backup {
    const ROWS: &str = "backupDetails";
}

impl Run for Restore {
    const ROWS: &str = "restoreDetails";
}

impl Scene<'_> {
    pub(crate) async fn back_up(&self, name: &str) -> Result<Backup, FixtureError> {
        let spec = json!({
            "destination": {"fleet": self.tenant.name()},
            "policy": {"resourceFilter": {"includedNamespaces": [self.tenant.name()]}},
        });
        self.tenant.create(name, spec).await
    }

    pub(crate) async fn restore(&self, name: &str, backup: &str) -> Result<Restore, FixtureError> {
        self.tenant.create(name, json!({"backupName": backup})).await
    }

    /// Waits until the steady member is through and the shaky one's row is in this phase for this reason.
    async fn until_half_done<R: Run>(
        &self,
        name: &str,
        phase: RowPhase,
        reason: &str,
    ) -> Result<R, FixtureError> {
        let half = |run: &R| {
            run.row(&self.steady).0 == json!(RowPhase::Completed)
                && run.row(&self.shaky) == (json!(phase), json!(reason))
        };
        let what = format!("{} done, {} {phase:?} {reason}", self.steady, self.shaky);
        let run = self.tenant.all().until(name, &what, half).await?;
        assert_eq!(json_of(&run)["status"]["phase"], "InProgress");
        Ok(run)
    }

    async fn until_completed<R: Run>(&self, name: &str) -> Outcome {
        let run: R = self.tenant.all().until_phase(name, "Completed").await?;
        for cluster in [&self.shaky, &self.steady] {
            assert_eq!(run.row(cluster).0, json!(RowPhase::Completed), "{cluster}");
        }
        Ok(())
    }

    /// Loses the shaky member while this run can't get on in it, and gets it back.
    async fn lose_while_it_runs<R: Run, V: Object>(&self, name: &str) -> Outcome {
        let child = self.until_half_done::<R>(name, RowPhase::InProgress, "InProgress").await;
        let lost = async {
            child?;
            let uids = self.uids::<V>().await?;
            let cut = self.lose().await?;
            self.until_half_done::<R>(name, RowPhase::InProgress, "Unreachable").await?;
            drop(cut);
            Ok::<_, FixtureError>(uids)
        };
        let lost = lost.await;
        self.member.start_velero()?;
        let uids = lost?;
        self.until_completed::<R>(name).await?;
        assert_eq!(self.uids::<V>().await?, uids, "run twice");
        Ok(())
    }

    /// UIDs of all objects of a kind in the shaky member that belong to this test.
    async fn uids<V: Object>(&self) -> Result<Vec<Option<String>>, FixtureError> {
        let all = in_member::<V>(self.member)?
            .list(&format!("fleet.kurator.dev/fleet-name={}", self.tenant.name()))
            .await?;
        Ok(all.iter().map(|object| object.meta().uid.clone()).collect())
    }
}

#[test]
fn k43_a_member_lost_before_a_backup_delays_no_other_and_is_backed_up_when_it_is_back() -> Outcome {
    with_a_shaky_member(1, "k43-before", async |scene| {
        let cut = scene.lose().await?;
        scene.back_up("b").await?;
        scene.until_half_done::<Backup>("b", RowPhase::Pending, "Unreachable").await?;
        drop(cut);
        scene.until_completed::<Backup>("b").await
    })
}

#[test]
fn k44_a_member_lost_during_a_backup_keeps_its_row_and_finishes_when_it_is_back() -> Outcome {
    with_a_shaky_member(2, "k44-during", async |scene| {
        scene.member.stop_velero()?;
        scene.back_up("b").await?;
        scene.lose_while_it_runs::<Backup, velero::Backup>("b").await
    })
}

#[test]
fn k43_a_member_lost_before_a_restore_delays_no_other_and_is_restored_when_it_is_back() -> Outcome {
    with_a_shaky_member(1, "k43-restore", async |scene| {
        scene.back_up("b").await?;
        scene.until_completed::<Backup>("b").await?;
        let cut = scene.lose().await?;
        scene.restore("r", "b").await?;
        scene.until_half_done::<Restore>("r", RowPhase::Pending, "Unreachable").await?;
        drop(cut);
        scene.until_completed::<Restore>("r").await
    })
}

#[test]
fn k44_a_member_lost_during_a_restore_keeps_its_row_and_finishes_when_it_is_back() -> Outcome {
    with_a_shaky_member(2, "k44-restore", async |scene| {
        scene.back_up("b").await?;
        scene.until_completed::<Backup>("b").await?;
        scene.member.stop_velero()?;
        scene.restore("r", "b").await?;
        scene.lose_while_it_runs::<Restore, velero::Restore>("r").await
    })
}
