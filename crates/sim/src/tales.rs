//! What only some users do: which, follows from the seed.

use std::time::Duration;

use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::manifests::{self, on_hub};
use crate::story::{Broken, CALM, Story};
use crate::user::User;
use crate::world::MEMBERS;

/// A part of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tale {
    /// The second Backup is deleted with its data.
    Deletion,
    /// A Backup runs by the clock for a while.
    Schedule,
    /// None of this.
    Nothing,
}

/// How often it is looked for what the clock brings.
const LOOK_EVERY: Duration = Duration::from_secs(15);

impl Story {
    pub(crate) fn tale(&self) -> Tale {
        match self.world.chance.below(4, "tale") {
            0 => Tale::Deletion,
            1 => Tale::Schedule,
            _ => Tale::Nothing,
        }
    }

    pub(crate) async fn tell_tale(&self) -> Result<(), Broken> {
        self.world.history.count(&format!("tale: {:?}", self.tale()));
        match self.tale() {
            Tale::Deletion => self.delete_with_data().await,
            Tale::Schedule => self.run_by_the_clock().await,
            Tale::Nothing => Ok(()),
        }
    }

    /// The files of the second Backup go with it, and those of the first stay.
    async fn delete_with_data(&self) -> Result<(), Broken> {
        let (stored, backup) = (self.stored().await?, on_hub("Backup", "backup1"));
        self.hub.delete(&backup).await?;
        self.hub.until(&backup, CALM, |found| found.is_none()).await?;
        let left = self.stored().await?;
        let expected = stored.into_iter().filter(|(key, _)| !key.contains("-backup1/"));
        if left != expected.collect() {
            return Err(Broken(format!("after the deletion of backup1 there is {left:?}")));
        }
        Ok(())
    }

    /// Every member has a complete backup of a schedule in time.
    async fn run_by_the_clock(&self) -> Result<(), Broken> {
        self.hub.create(manifests::scheduled("nightly", "* * * * *")).await?;
        let deadline = Instant::now() + CALM;
        for (user, place) in self.members.iter().zip(MEMBERS) {
            while !has_completed(user, "nightly").await? {
                if Instant::now() >= deadline {
                    return Err(Broken(format!("the clock has brought no backup to {place} in {CALM:?}")));
                }
                sleep(LOOK_EVERY).await;
            }
            self.is_stored(user, place).await?;
        }
        let backup = on_hub("Backup", "nightly");
        self.hub.delete(&backup).await?;
        self.hub.until(&backup, CALM, |found| found.is_none()).await.map(drop)
    }
}

async fn has_completed(user: &User, schedule: &str) -> Result<bool, Broken> {
    let like: Value =
        json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"namespace": "velero"}});
    let all = user.all(&like).await?;
    Ok(all
        .iter()
        .any(|backup| backup.name_any().contains(schedule) && backup.data["status"]["phase"] == "Completed"))
}
