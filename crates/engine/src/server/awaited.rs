//! Backups that wait for this engine or are run by it: nobody else says how they end.
//!
//! A status is a field that anybody may write. One that has ended without this engine is believed when the store has the
//! backup, as after the run of another engine, and corrected when it has not.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt as _;
use kurator_api::velero::{Backup, BackupPhase};
use kurator_archive::BackupFiles;
use kurator_member::causes::chain;
use kurator_store::Purpose;

use super::Server;
use super::ended::{failed, tell};
use super::queue::Work as _;
use super::rounds::End;
use super::write::AGAIN;

/// UIDs of the Backups.
#[derive(Default)]
pub(super) struct Awaited(Mutex<HashSet<String>>);

/// What follows from what a Backup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    Rest,
    /// Whether it is stored has to be seen.
    Prove,
}

impl Awaited {
    /// Looks at a Backup; `ours` is one that this engine runs or has ended.
    pub(super) fn look(&self, server: &Server, backup: &Backup, ours: bool) -> Look {
        let Some(uid) = backup.uid() else { return Look::Rest };
        if ours {
            return Look::Rest;
        }
        if backup.stage().is_some() {
            if self.lock().insert(uid.clone()) {
                server.stores.awaits(&uid);
            }
            return Look::Rest;
        }
        let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
        // The lock is given back before anything is done.
        let is_awaited = self.lock().contains(&uid);
        match is_awaited {
            true if phase.is_some_and(BackupPhase::is_usable) => Look::Prove,
            true => {
                self.ended(server, &uid);
                Look::Rest
            }
            false => Look::Rest,
        }
    }

    /// What its status says from now on may be believed.
    pub(super) fn ended(&self, server: &Server, uid: &str) {
        self.lock().remove(uid);
        server.stores.believes(uid);
    }

    /// Of what is gone nothing has to be remembered.
    pub(super) fn keep_only(&self, server: &Server, there: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self.lock().iter().filter(|uid| !there(uid)).cloned().collect();
        for uid in gone {
            self.ended(server, &uid);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees whether a Backup that somebody says has ended is in the store; if not, it is told to have failed.
pub(super) async fn prove(server: &Server, backup: &Backup) -> End {
    match is_stored(server, backup).await {
        Ok(true) => server.awaited.ended(server, &backup.uid().unwrap_or_default()),
        Ok(false) => {
            let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
            let phase = phase.map_or("", BackupPhase::as_str);
            let why = format!(
                "its status was set to {phase} by somebody else before it was run, and nothing is stored; create another \
                 Backup"
            );
            tell(server, &failed(server, backup.clone(), why)).await;
            // It is believed when the watch shows that.
            tokio::time::sleep(AGAIN).await;
        }
        Err(why) => {
            tracing::warn!(backup = backup.name_any(), why, "cannot see whether it is stored; trying again");
            tokio::time::sleep(AGAIN).await;
            return End::BrokenOff;
        }
    }
    End::Done
}

async fn is_stored(server: &Server, backup: &Backup) -> Result<bool, String> {
    let locations = server.locations().ok_or("the locations are not known")?;
    let name = backup.spec.storage_location.clone().unwrap_or_default();
    // Where nothing can be, nothing is.
    let Some(location) = locations.iter().find(|location| location.name_any() == name) else {
        return Ok(false);
    };
    let at = BackupFiles::new("", &backup.name_any()).map_err(|error| error.to_string())?;
    let store = server.stores.open(location, Purpose::Look).await?;
    let found = store.get(&at.metadata()).await.map_err(|error| chain(&error))?;
    let found = found.and_then(|found| serde_json::from_slice::<Backup>(&found).ok());
    Ok(found.is_some_and(|found| found.uid() == backup.uid()))
}
