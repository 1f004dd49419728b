//! Signs of life of Velero servers.
//!
//! A running server validates each storage location about once a minute and writes that down; these
//! writes come over the watch. They prove life, but say nothing new: they must not wake a Fleet of
//! thousands of members.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::velero::BackupStorageLocation;
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Heartbeats {
    seen: Mutex<HashMap<(ClusterKey, String), Beat>>,
    servers: Mutex<HashMap<ClusterKey, Server>>,
}

#[derive(Default)]
struct Server {
    asked: Option<Instant>,
    answered: Option<Instant>,
}

struct Beat {
    /// When a validation was last seen to have happened; not the first one seen, which may be old.
    at: Option<Instant>,
    /// When the server last said that it validated the location, as it wrote it.
    validated: Option<String>,
    content: u64,
}

impl Heartbeats {
    /// Records what came; false if it was only a sign of life.
    pub(crate) fn location_says_something_new(
        &self,
        key: &ClusterKey,
        location: &BackupStorageLocation,
    ) -> bool {
        let content = digest(location);
        let validated = validation_time(location);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (key.clone(), location.name_any());
        match seen.get_mut(&slot) {
            Some(beat) => {
                let news = beat.content != content || location.metadata.deletion_timestamp.is_some();
                if beat.validated != validated {
                    beat.at = Some(Instant::now());
                }
                beat.validated = validated;
                beat.content = content;
                news
            }
            None => {
                seen.insert(slot, Beat { at: None, validated, content });
                true
            }
        }
    }

    /// The server is asked for a sign of life now.
    pub(crate) fn ask(&self, key: &ClusterKey) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(key.clone()).or_default().asked = Some(Instant::now());
    }

    /// The server answered a request.
    pub(crate) fn answered(&self, key: &ClusterKey) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(key.clone()).or_default().answered = Some(Instant::now());
    }

    /// When the server was last asked for a sign of life.
    pub(crate) fn asked(&self, key: &ClusterKey) -> Option<Instant> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.asked
    }

    /// When the server last answered or validated a location, by our own clock.
    pub(crate) fn sign_of_life(&self, key: &ClusterKey) -> Option<Instant> {
        let answered =
            self.servers.lock().unwrap_or_else(PoisonError::into_inner).get(key).and_then(|s| s.answered);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let validated =
            seen.iter().filter(|((cluster, _), _)| cluster == key).filter_map(|(_, beat)| beat.at).max();
        answered.max(validated)
    }

    /// Forgets a member that is gone.
    pub(crate) fn forget(&self, key: &ClusterKey) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|(cluster, _), _| cluster != key);
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn validation_time(location: &BackupStorageLocation) -> Option<String> {
    location.status.as_ref()?.last_validation_time.map(|time| time.to_string())
}

/// Everything but the times of validation and sync.
fn digest(location: &BackupStorageLocation) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let status = location.status.as_ref();
    location.metadata.uid.hash(&mut hasher);
    location.metadata.labels.hash(&mut hasher);
    serde_json::to_string(&location.spec).unwrap_or_default().hash(&mut hasher);
    status.and_then(|s| s.phase.as_ref()).map(ToString::to_string).hash(&mut hasher);
    status.and_then(|s| s.message.as_ref()).hash(&mut hasher);
    hasher.finish()
}
