//! Since when nothing has been done about a Backup that is to be deleted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::velero::{Backup, DeleteBackupRequest};
use tokio::time::Instant;

/// A running Velero takes up what it is asked for within seconds, and writes down how far it is.
pub(super) const TAKEN_UP_WITHIN: Duration = Duration::from_secs(30);

/// Owner, cluster and name of a Backup.
pub(super) type Key = (String, ClusterKey, String);

/// What was last seen of each Backup and its request, and since when: by our own clock. Lost in a restart, which then
/// waits once more.
#[derive(Default)]
pub(super) struct Idle(Mutex<HashMap<Key, (Versions, Instant)>>);

type Versions = [Option<String>; 2];

impl Idle {
    /// When nobody carries out what is asked for, if nothing happens until then.
    pub(super) fn until(&self, key: Key, backup: &Backup, request: Option<&DeleteBackupRequest>) -> Instant {
        let versions = [backup.resource_version(), request.and_then(ResourceExt::resource_version)];
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.entry(key).or_insert_with(|| (versions.clone(), Instant::now()));
        if seen.0 != versions {
            *seen = (versions, Instant::now());
        }
        seen.1 + TAKEN_UP_WITHIN
    }

    pub(super) fn forget(&self, owner: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(uid, _, _), _| uid != owner);
    }
}
