//! Backups that wait for this engine or are run by it: nobody else says how they end. Nor do others of which somebody doubts
//! what they say.
//!
//! A status is a field that anybody may write. A good end that this engine has not told is looked for in the store: it is
//! believed where the store has it, as after the run of another engine, and corrected where the store has nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt as _;
use kurator_api::velero::{Backup, BackupPhase};
use kurator_archive::BackupFiles;
use kurator_member::causes::chain;
use kurator_store::Purpose;
use tokio::time::Instant;

use super::Server;
use super::ended::{failed, tell};
use super::queue::Work as _;
use super::rounds::End;

/// Pause before the store is asked again; doubles with each further time.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest pause before the store is asked again.
const LONGEST: Duration = Duration::from_secs(300);

/// Backups by UID.
#[derive(Default)]
pub(super) struct Awaited(Mutex<All>);

#[derive(Default)]
struct All {
    awaited: HashSet<String>,
    /// Those that were looked for in the store.
    tried: HashMap<String, Tried>,
}

struct Tried {
    times: u32,
    again: Instant,
}

/// What follows from what a Backup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    Rest,
    /// Nothing before this time has passed.
    Later(Duration),
    /// Whether it is stored has to be seen.
    Prove,
}

impl Awaited {
    /// Looks at a Backup; `ours` is one that this engine runs or has ended.
    pub(super) fn look(&self, server: &Server, backup: &Backup, ours: bool) -> Look {
        let Some(uid) = backup.uid().filter(|_| !ours) else { return Look::Rest };
        let claims = good_end(backup).is_some();
        // Asked before the lock is taken.
        let is_doubted = claims && server.stores.is_doubted(&uid);
        let mut all = self.lock();
        if backup.stage().is_some() {
            all.awaited.insert(uid);
            return Look::Rest;
        }
        if !claims {
            all.forget(&uid);
            return Look::Rest;
        }
        if !is_doubted && !all.awaited.contains(&uid) {
            return Look::Rest;
        }
        let rest = all.tried.get(&uid).map(|tried| tried.again.saturating_duration_since(Instant::now()));
        rest.filter(|rest| !rest.is_zero()).map_or(Look::Prove, Look::Later)
    }

    /// What its status says from now on may be believed.
    pub(super) fn ended(&self, uid: &str) {
        self.lock().forget(uid);
    }

    /// Of what is gone nothing has to be remembered.
    pub(super) fn keep_only(&self, there: impl Fn(&str) -> bool) {
        let mut all = self.lock();
        all.awaited.retain(|uid| there(uid));
        all.tried.retain(|uid, _| there(uid));
    }

    /// It is looked for now, and not again at once, however that ends.
    fn tries(&self, uid: &str) {
        let mut all = self.lock();
        let tried =
            all.tried.entry(uid.to_owned()).or_insert_with(|| Tried { times: 0, again: Instant::now() });
        tried.again = Instant::now() + PAUSE.saturating_mul(1 << tried.times.min(10)).min(LONGEST);
        tried.times = tried.times.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn forget(&mut self, uid: &str) {
        self.awaited.remove(uid);
        self.tried.remove(uid);
    }
}

/// The good end that its status claims.
pub(super) fn good_end(backup: &Backup) -> Option<&BackupPhase> {
    backup.status.as_ref()?.phase.as_ref().filter(|phase| phase.is_usable())
}

/// Why there is nowhere to look for a Backup, if its location is not there: it may come back, which wakes the engine.
pub(super) fn nowhere(server: &Server, backup: &Backup) -> Option<String> {
    let name = backup.spec.storage_location.as_deref().unwrap_or_default();
    let is_absent = server.member.locations().get(name).is_absent();
    is_absent.then(|| format!("there is no location `{name}`; create it again, or delete the Backup"))
}

/// Sees whether a Backup that says it has ended well is in the store; if not, it is told to have failed.
pub(super) async fn prove(server: &Server, backup: &Backup) -> End {
    let uid = backup.uid().unwrap_or_default();
    server.awaited.tries(&uid);
    match stored(server, backup).await {
        Ok(Some(end)) => {
            server.stores.proven(&uid, &end);
            server.awaited.ended(&uid);
        }
        Ok(None) => {
            let phase = good_end(backup).map_or("", BackupPhase::as_str);
            let why =
                format!("its status was set to {phase}, and nothing of it is stored; create another Backup");
            tell(server, &failed(server, backup.clone(), why)).await;
        }
        Err(why) => {
            tracing::warn!(backup = backup.name_any(), why, "cannot see whether it is stored; trying again");
            server.stores.unproven(&uid, &why);
            return End::BrokenOff;
        }
    }
    End::Done
}

/// How it has ended, as the store has it.
async fn stored(server: &Server, backup: &Backup) -> Result<Option<BackupPhase>, String> {
    let locations = server.locations().ok_or("the locations are not known")?;
    let name = backup.spec.storage_location.clone().unwrap_or_default();
    let location = locations.iter().find(|location| location.name_any() == name);
    let location = location.ok_or_else(|| format!("location `{name}` has gone"))?;
    let at = BackupFiles::new("", &backup.name_any()).map_err(|error| error.to_string())?;
    let store = server.stores.open(location, Purpose::Look).await?;
    let found = store.get(&at.metadata()).await.map_err(|error| chain(&error))?;
    let found = found.and_then(|found| serde_json::from_slice::<Backup>(&found).ok());
    Ok(found.filter(|found| is_of(found, backup)).and_then(|found| good_end(&found).cloned()))
}

/// Whether what is stored is this Backup, or what this one was brought back from.
fn is_of(stored: &Backup, backup: &Backup) -> bool {
    let times = |backup: &Backup| {
        let status = backup.status.as_ref()?;
        Some((status.start_timestamp?, status.completion_timestamp?))
    };
    stored.uid() == backup.uid() || times(stored).is_some_and(|stored| times(backup) == Some(stored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn backup(uid: &str, status: &Value) -> Backup {
        serde_json::from_value(json!({"metadata": {"name": "b", "uid": uid}, "spec": {}, "status": status}))
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_asked_ever_less_often() {
        let awaited = Awaited::default();
        let pauses = [(); 8].map(|()| {
            awaited.tries("b");
            (awaited.lock().tried["b"].again - Instant::now()).as_secs()
        });
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn what_is_stored_is_known_by_its_uid_or_after_a_sync_by_its_times() {
        let times =
            json!({"startTimestamp": "2026-01-01T00:00:00Z", "completionTimestamp": "2026-01-01T00:01:00Z"});
        let late =
            json!({"startTimestamp": "2026-01-01T00:00:00Z", "completionTimestamp": "2026-01-01T00:02:00Z"});
        let stored = backup("a", &times);
        for (uid, status, expected) in
            [("a", json!({}), true), ("b", times, true), ("b", late, false), ("b", json!({}), false)]
        {
            assert_eq!(is_of(&stored, &backup(uid, &status)), expected, "{uid} {status}");
        }
        assert!(!is_of(&backup("a", &json!({})), &backup("b", &json!({}))));
    }
}
