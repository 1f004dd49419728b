//! Signs of life of Velero servers.
//!
//! A running server validates each storage location about once a minute and writes that down; these
//! writes come over the watch. They prove life, but say nothing new: they must not wake a Fleet of
//! thousands of members.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::velero::BackupStorageLocation;
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Heartbeats {
    /// By the location's name.
    seen: Mutex<HashMap<ClusterKey, HashMap<String, Beat>>>,
    servers: Mutex<HashMap<ClusterKey, Server>>,
    /// Since when an owner waits for what the next syncs bring into a member.
    searches: Mutex<HashMap<(ClusterKey, String), Instant>>,
}

#[derive(Default)]
struct Server {
    asked: Option<Instant>,
    answered: Option<Instant>,
}

struct Beat {
    /// When a validation was last seen to have happened; not the first one seen, which may be old.
    at: Option<Instant>,
    /// When the server last said that it validated and synchronised the location, as it wrote it.
    validated: Option<String>,
    synced: Option<String>,
    /// When a sync was last seen to have happened.
    synced_at: Option<Instant>,
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
        let status = location.status.as_ref();
        let validated = status.and_then(|status| status.last_validation_time).map(|time| time.to_string());
        let synced = status.and_then(|status| status.last_synced_time).map(|time| time.to_string());
        let is_awaited = self.is_searched(key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let beats = seen.entry(key.clone()).or_default();
        let Some(beat) = beats.get_mut(&location.name_any()) else {
            let beat = Beat { at: None, validated, synced, synced_at: None, content };
            beats.insert(location.name_any(), beat);
            return true;
        };
        // A time that somebody took off, so that the location is looked at again, proves nothing.
        let lives = validated.is_some() && beat.validated != validated;
        // What neither differs nor lives is told for another reason: it was deleted.
        let syncs = beat.synced != synced;
        let news = beat.content != content || !(lives || syncs) || (syncs && is_awaited);
        let at = if lives { Some(Instant::now()) } else { beat.at };
        let synced_at = if syncs { Some(Instant::now()) } else { beat.synced_at };
        *beat = Beat { at, validated, synced, synced_at, content };
        news
    }

    fn is_searched(&self, key: &ClusterKey) -> bool {
        let searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
        searches.keys().any(|(cluster, _)| cluster == key)
    }

    /// Whether the server has synchronised all these locations since the owner asked first; from then on a sync wakes
    /// it.
    pub(crate) fn have_synced(&self, key: &ClusterKey, owner: &str, locations: &[String]) -> bool {
        let slot = (key.clone(), owner.to_owned());
        let since = {
            let mut searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
            *searches.entry(slot).or_insert_with(Instant::now)
        };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        locations.iter().all(|name| {
            let beat = seen.get(key).and_then(|beats| beats.get(name));
            beat.and_then(|beat| beat.synced_at).is_some_and(|at| at > since)
        })
    }

    /// An owner waits for no sync any more.
    pub(crate) fn forget_search(&self, owner: &str) {
        self.searches.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, uid), _| uid != owner);
    }

    /// The server is asked for a sign of life now.
    pub(crate) fn ask(&self, key: &ClusterKey) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(key.clone()).or_default().asked = Some(Instant::now());
    }

    /// An unanswered request lies in the member. Unless it is known of, somebody else put it there, an earlier
    /// process for example, and it counts from now.
    pub(crate) fn is_asked(&self, key: &ClusterKey) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers.entry(key.clone()).or_default();
        if server.asked.is_none() || server.asked <= server.answered {
            server.asked = Some(Instant::now());
        }
    }

    /// There is an answered request. It is a sign of life only if a question was open: answers lie about for
    /// a minute, and longer where the server has died since.
    pub(crate) fn answered(&self, key: &ClusterKey) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get_mut(key).filter(|server| server.asked.is_some()) {
            server.answered = Some(Instant::now());
        }
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
        let validated = seen.get(key).and_then(|beats| beats.values().filter_map(|beat| beat.at).max());
        answered.max(validated)
    }

    /// Forgets a member that is gone.
    pub(crate) fn forget(&self, key: &ClusterKey) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.searches.lock().unwrap_or_else(PoisonError::into_inner).retain(|(cluster, _), _| cluster != key);
    }
}

/// Everything but the times of validation and sync.
fn digest(location: &BackupStorageLocation) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let status = location.status.as_ref();
    location.metadata.uid.hash(&mut hasher);
    location.metadata.labels.hash(&mut hasher);
    location.annotations().get(names::INHERITS_ANNOTATION).hash(&mut hasher);
    serde_json::to_string(&location.spec).unwrap_or_default().hash(&mut hasher);
    status.and_then(|s| s.phase.as_ref()).map(ToString::to_string).hash(&mut hasher);
    status.and_then(|s| s.message.as_ref()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kurator_api::cluster::ClusterKind;
    use serde_json::json;

    use super::*;

    fn key() -> ClusterKey {
        ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: "m1".into() }
    }

    fn location(phase: &str, validated: u8, synced: u8) -> BackupStorageLocation {
        serde_json::from_value(json!({"metadata": {"name": "default", "uid": "u"}, "status": {
            "phase": phase,
            "lastValidationTime": format!("2026-11-01T00:00:{validated:02}Z"),
            "lastSyncedTime": format!("2026-11-01T00:00:{synced:02}Z"),
        }}))
        .unwrap()
    }

    #[test]
    fn a_validation_or_a_sync_alone_is_no_news_but_another_phase_and_a_deletion_are() {
        let beats = Heartbeats::default();
        let table = [
            (location("Available", 1, 1), true),
            (location("Available", 2, 1), false),
            (location("Available", 2, 2), false),
            (location("Unavailable", 3, 2), true),
            // Told once more as it was seen last: that is how a deletion is told.
            (location("Unavailable", 3, 2), true),
        ];
        for (index, (told, news)) in table.iter().enumerate() {
            assert_eq!(beats.location_says_something_new(&key(), told), *news, "row {index}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_validation_that_was_seen_to_happen_is_a_sign_of_life() {
        let beats = Heartbeats::default();
        beats.location_says_something_new(&key(), &location("Available", 1, 1));
        assert_eq!(beats.sign_of_life(&key()), None, "it may be of last week");
        beats.location_says_something_new(&key(), &location("Available", 2, 1));
        assert_eq!(beats.sign_of_life(&key()), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_location_is_to_be_looked_at_again_is_no_sign_of_life() {
        let beats = Heartbeats::default();
        beats.location_says_something_new(&key(), &location("Available", 1, 1));
        let mut unchecked = location("Available", 1, 1);
        unchecked.status.as_mut().unwrap().last_validation_time = None;
        beats.location_says_something_new(&key(), &unchecked);
        assert_eq!(beats.sign_of_life(&key()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_what_a_sync_brings_is_woken_by_the_next_one() {
        let beats = Heartbeats::default();
        let located = ["default".to_owned()];
        for synced in [1, 2] {
            beats.location_says_something_new(&key(), &location("Available", 1, synced));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!beats.have_synced(&key(), "r", &located), "that was before");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(beats.location_says_something_new(&key(), &location("Available", 1, 3)));
        assert!(beats.have_synced(&key(), "r", &located));
        assert!(!beats.have_synced(&key(), "r", &["default".to_owned(), "second".to_owned()]));
        beats.forget_search("r");
        assert!(!beats.location_says_something_new(&key(), &location("Available", 1, 4)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_there_before_any_question_is_no_sign_of_life() {
        let beats = Heartbeats::default();
        beats.answered(&key());
        assert_eq!(beats.sign_of_life(&key()), None);
        beats.ask(&key());
        beats.answered(&key());
        assert_eq!(beats.sign_of_life(&key()), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_of_somebody_else_counts_from_when_it_was_seen_first() {
        let beats = Heartbeats::default();
        for _ in 0..2 {
            beats.is_asked(&key());
            let seen = Instant::now();
            tokio::time::advance(Duration::from_secs(5)).await;
            beats.is_asked(&key());
            assert_eq!(beats.asked(&key()), Some(seen));
            beats.answered(&key());
            tokio::time::advance(Duration::from_secs(5)).await;
        }
    }
}
