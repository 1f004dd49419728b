//! Whether a location can be used.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kurator_api::duration::GoDuration;
use kurator_api::velero::{BackupStorageLocation, BackupStorageLocationPhase};
use kurator_archive::layout::TOP_LEVEL;
use kurator_store::Purpose;
use serde_json::json;

use super::Server;
use super::write::{AGAIN, Target, merge};
use kurator_member::causes::chain;

/// Time between two looks at a location that names none, as Velero 1.18's `--store-validation-frequency`.
const EVERY: Duration = Duration::from_secs(60);
/// Least time between two looks, as Velero 1.18, which looks around this often.
const LEAST: Duration = Duration::from_secs(10);

/// How long until a location is to be looked at; nothing if it is time. `never` is one that says so itself.
pub(super) fn due(location: &BackupStorageLocation, now: Timestamp) -> Option<Duration> {
    let asked =
        location.spec.validation_frequency.as_deref().and_then(|text| text.parse::<GoDuration>().ok());
    let every = asked.map_or(EVERY, |asked| Duration::from_nanos(asked.as_nanos()));
    let looked = location.status.as_ref().and_then(|status| status.last_validation_time);
    let Some(looked) = looked else { return Some(Duration::ZERO) };
    if every.is_zero() {
        return None;
    }
    // A look in the future was none: somebody wrote it, or a clock was wrong.
    let Ok(gone) = Duration::try_from(now.duration_since(looked)) else { return Some(Duration::ZERO) };
    Some((every - sooner(location, looked, every)).max(LEAST).saturating_sub(gone))
}

/// How much sooner than asked for the next look is: up to a tenth, in whole seconds and each time another. The locations
/// of thousands of clusters that were written together are not to be looked at together for ever.
fn sooner(location: &BackupStorageLocation, looked: Timestamp, every: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (&location.metadata.uid, looked.as_second()).hash(&mut hasher);
    Duration::from_secs(hasher.finish() % (every.as_secs() / 10 + 1))
}

pub(super) async fn check(server: &Server, location: Arc<BackupStorageLocation>) {
    let problem = usable(server, &location).await.err();
    let phase = match problem {
        None => BackupStorageLocationPhase::Available,
        Some(_) => BackupStorageLocationPhase::Unavailable,
    };
    let now = server.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let status = json!({"phase": phase, "message": problem, "lastValidationTime": now});
    let target = Target::of(&server.namespace, &*location);
    if let Err(error) = merge(&server.caller, &target, json!({"status": status})).await {
        tracing::warn!(location = location.name_any(), error = %error, "cannot write the status of the location");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn usable(server: &Server, location: &BackupStorageLocation) -> Result<(), String> {
    let store = server.stores.open(location, Purpose::Look).await?;
    let found = store.list("").await.map_err(|error| chain(&error))?;
    let strangers: Vec<_> =
        found.folders.iter().filter(|name| !TOP_LEVEL.contains(&name.as_str())).map(String::as_str).collect();
    if strangers.is_empty() {
        return Ok(());
    }
    // As Velero 1.18: what is no backup store must not become one.
    Err(format!("Backup store contains invalid top-level directories: [{}]", strangers.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_looked_at_as_often_as_it_says_and_no_more_often_than_velero_would() {
        let location = |every: Option<&str>, looked: Option<&str>| -> BackupStorageLocation {
            serde_json::from_value(json!({
                "metadata": {"name": "l"}, "spec": {"validationFrequency": every}, "status": {"lastValidationTime": looked},
            }))
            .unwrap()
        };
        let now = "2026-01-01T00:00:04Z";
        let looked = Some("2026-01-01T00:00:00Z");
        for (every, looked, expected) in [
            (None, Some("2099-01-01T00:00:00Z"), Some(0..=0)),
            (None, looked, Some(50..=56)),
            (Some("2m"), looked, Some(104..=116)),
            (Some("1ms"), looked, Some(6..=6)),
            (Some("0s"), looked, None),
            (Some("0s"), None, Some(0..=0)),
            (Some("often"), looked, Some(50..=56)),
        ] {
            let due = due(&location(every, looked), now.parse().unwrap()).map(|due| due.as_secs());
            assert_eq!(due.is_some(), expected.is_some(), "{every:?} {looked:?}");
            assert!(due.is_none_or(|due| expected.unwrap().contains(&due)), "{due:?} {every:?} {looked:?}");
        }
    }

    #[test]
    fn locations_that_were_looked_at_together_are_not_looked_at_together_again() {
        let looked: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let due = |uid: u32| {
            let location = json!({
                "metadata": {"name": "l", "uid": uid.to_string()}, "spec": {}, "status": {"lastValidationTime": looked},
            });
            due(&serde_json::from_value(location).unwrap(), looked).unwrap().as_secs()
        };
        let mut counts = std::collections::BTreeMap::new();
        for uid in 0..1000 {
            *counts.entry(due(uid)).or_insert(0) += 1;
        }
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (54..=60).collect::<Vec<u64>>());
        assert!(counts.values().all(|count| *count < 250), "{counts:?}");
    }
}
