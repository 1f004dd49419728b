//! What only some users do: which, follows from the seed.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::manifests::{self, on_hub};
use crate::story::{Broken, CALM, SETTLED, Story};
use crate::user::User;
use crate::world::MEMBERS;

/// A part of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tale {
    /// The second Backup is to be deleted with its data.
    Deletion,
    /// A Backup runs by the clock for a while.
    Schedule,
    /// The keys of the store are changed.
    Keys,
    /// Somebody takes a type of velero.io from a member, and its namespace.
    Loss,
    /// None of this.
    Nothing,
}

/// Types that the hub works with in a member.
const NEEDED: [&str; 6] = [
    "backups",
    "restores",
    "backupstoragelocations",
    "schedules",
    "deletebackuprequests",
    "serverstatusrequests",
];
/// How often it is looked for what the clock brings.
const LOOK_EVERY: Duration = Duration::from_secs(15);

impl Story {
    pub(crate) fn tale(&self) -> Tale {
        match self.world.chance.below(5, "tale") {
            0 => Tale::Deletion,
            1 => Tale::Schedule,
            2 => Tale::Keys,
            3 => Tale::Loss,
            _ => Tale::Nothing,
        }
    }

    pub(crate) async fn tell_tale(&self) -> Result<(), Broken> {
        self.world.history.count(&format!("tale: {:?}", self.tale()));
        match self.tale() {
            Tale::Deletion => self.delete_with_data().await,
            Tale::Schedule => self.run_by_the_clock().await,
            Tale::Keys => self.change_keys().await,
            Tale::Loss => self.lose_what_backups_need().await,
            Tale::Nothing => Ok(()),
        }
    }

    /// The engine deletes nothing that it has stored yet: it says so, and lets go of it once nothing is to be deleted.
    async fn delete_with_data(&self) -> Result<(), Broken> {
        let (stored, mut backup) = (self.stored().await?, on_hub("Backup", "backup1"));
        self.hub.delete(&backup).await?;
        let is_refused = |found: Option<&DynamicObject>| {
            let conditions = found.and_then(|found| found.data["status"]["conditions"].as_array());
            conditions.into_iter().flatten().any(|condition| condition["reason"] == "DeletionRefused")
        };
        self.hub.until(&backup, CALM, is_refused).await?;
        backup["spec"] = json!({"deletionPolicy": "Retain"});
        self.hub.change(&backup).await?;
        self.hub.until(&backup, CALM, |found| found.is_none()).await?;
        if self.stored().await? != stored {
            return Err(Broken("something went with backup1 that was stored".to_owned()));
        }
        Ok(())
    }

    /// What comes after it is done with the new ones.
    async fn change_keys(&self) -> Result<(), Broken> {
        self.hub.change(&manifests::store_keys("second-key")).await?;
        self.world.buckets.change_key("second-key");
        sleep(SETTLED).await;
        let backup = manifests::backup("backup2");
        self.hub.create(backup.clone()).await?;
        self.ended(&backup).await.map(drop)
    }

    /// It is made again: what runs meanwhile comes to an end, what comes after it is done, and what was done before is not
    /// done again.
    async fn lose_what_backups_need(&self) -> Result<(), Broken> {
        let user = &self.members[0];
        let number =
            usize::try_from(self.world.chance.below(NEEDED.len() as u64, "type")).unwrap_or_default();
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.velero.io", NEEDED[number])},
        });
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "velero"}});
        let meanwhile = manifests::backup("backup2");
        self.hub.create(meanwhile.clone()).await?;
        sleep(Duration::from_millis(self.world.chance.below(500, "meanwhile"))).await;
        user.delete(&definition).await?;
        self.ended_somehow(&meanwhile).await?;
        for (name, lost) in [("backup3", definition), ("backup4", namespace)] {
            user.until(&lost, CALM, |found| found.is_some()).await?;
            user.delete(&lost).await?;
            let backup = manifests::backup(name);
            self.hub.create(backup.clone()).await?;
            self.ended(&backup).await?;
            user.until(&lost, CALM, |found| found.is_some()).await?;
            self.is_stored(user, MEMBERS[0]).await?;
        }
        let like =
            json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"namespace": "velero"}});
        let left: Vec<_> = user.all(&like).await?.iter().map(|backup| backup.name_any()).collect();
        if left.len() != 1 || !left[0].contains("backup4") {
            return Err(Broken(format!("after the loss of all of them the member has the Backups {left:?}")));
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
