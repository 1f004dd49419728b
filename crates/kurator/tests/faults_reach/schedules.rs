//! Schedules in a member that is lost while something about them changes.

use kurator_api::{
    backup::{Backup, BackupDetails, RowPhase},
    names::RUN_NOW_ANNOTATION,
    velero,
};
use kurator_testkit::fixtures::{FixtureError, Shelf, json_of, velero as in_member};
use serde_json::json;

use crate::{Outcome, Scene, with_a_shaky_member};

impl Scene<'_> {
    /// A Backup `b` that runs once a year, in force in both members.
    async fn schedule(&self) -> Result<Backup, FixtureError> {
        let spec = json!({
            "schedule": "0 0 1 1 *",
            "destination": {"fleet": self.tenant.name()},
            "policy": {"resourceFilter": {"includedNamespaces": [self.tenant.name()]}},
        });
        self.tenant.create::<Backup>("b", spec).await?;
        self.tenant.all::<Backup>().until_reason("b", "Enabled").await?;
        self.tenant.all().get("b").await
    }

    /// Waits until the rows of these clusters are so.
    async fn until_rows(
        &self,
        what: &str,
        holds: impl Fn(&Scene<'_>, &[BackupDetails]) -> bool,
    ) -> Result<Backup, FixtureError> {
        let rows = |backup: &Backup| {
            holds(self, backup.status.as_ref().map(|s| s.backup_details.as_slice()).unwrap_or_default())
        };
        self.tenant.all::<Backup>().until("b", what, rows).await
    }

    fn name_in_shaky(&self) -> String {
        format!("{}-backup-{}-b", self.shaky, self.tenant.name())
    }

    fn in_shaky(&self) -> Result<Shelf<velero::Schedule>, FixtureError> {
        in_member(self.member)
    }
}

fn row<'a>(rows: &'a [BackupDetails], cluster: &str) -> Option<&'a BackupDetails> {
    rows.iter().find(|row| row.cluster_name == cluster)
}

fn ran(row: Option<&BackupDetails>, token: &str) -> bool {
    let schedule = row.and_then(|row| row.schedule.as_ref());
    row.is_some_and(|row| row.phase == Some(RowPhase::Completed))
        && schedule.is_some_and(|schedule| schedule.ran_now.as_deref() == Some(token))
}

#[test]
fn k29_an_edit_and_a_run_asked_for_reach_a_lost_member_when_it_is_back_and_hold_up_no_other() -> Outcome {
    with_a_shaky_member(1, "k29-away", async |scene| {
        scene.schedule().await?;
        let cut = scene.lose().await?;
        let backups = scene.tenant.all::<Backup>();
        let edit = json!({
            "metadata": {"annotations": {RUN_NOW_ANNOTATION: "now"}},
            "spec": {"policy": {"ttl": "48h"}},
        });
        backups.merge("b", edit).await?;
        let half = |scene: &Scene<'_>, rows: &[BackupDetails]| {
            let lost = row(rows, &scene.shaky).and_then(|row| row.reason.as_deref());
            ran(row(rows, &scene.steady), "now") && lost == Some("Unreachable")
        };
        let told = scene.until_rows("run in one of two members", half).await?;
        assert_eq!(json_of(&told)["status"]["phase"], "Enabled");
        drop(cut);
        scene
            .until_rows("run in both", |scene, rows| {
                [&scene.shaky, &scene.steady].iter().all(|cluster| ran(row(rows, cluster), "now"))
            })
            .await?;
        let there = scene.in_shaky()?.get(&scene.name_in_shaky()).await?;
        assert_eq!(there.spec.template.ttl.as_deref(), Some("48h"));
        backups.until_reason("b", "Enabled").await?;
        Ok(())
    })
}

#[test]
fn k29_a_lost_member_that_is_taken_off_keeps_its_row_until_its_schedule_is_removed() -> Outcome {
    with_a_shaky_member(2, "k29-off", async |scene| {
        scene.schedule().await?;
        let cut = scene.lose().await?;
        scene.take_off().await?;
        scene
            .until_rows("a row that says what is pending", |scene, rows| {
                row(rows, &scene.shaky).and_then(|row| row.reason.as_deref()) == Some("MemberCleanupPending")
            })
            .await?;
        drop(cut);
        scene.in_shaky()?.until_gone(&scene.name_in_shaky()).await?;
        scene.until_rows("one row", |_, rows| rows.len() == 1).await?;
        scene.tenant.all::<Backup>().until_reason("b", "Enabled").await?;
        Ok(())
    })
}
