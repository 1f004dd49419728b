//! Events about objects of the hub. What is said again of an object is counted; another message is another event.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as Written;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::events::{Event, EventType, Reporter};
use kube::{Api, Client};
use serde_json::json;

/// The longest name of an object.
const MAX_NAME: usize = 253;
/// What follows the object's name in that of an event: a dot, and the time in hexadecimal nanoseconds.
const SUFFIX: usize = 17;
/// How long after the last time an event is counted and not written anew, as kube-rs.
const SERIES: SignedDuration = SignedDuration::from_mins(6);

/// Writes events, and remembers those of the last minutes.
pub(crate) struct Events {
    client: Client,
    reporter: Reporter,
    said: Mutex<All>,
}

#[derive(Default)]
struct All {
    told: HashMap<Key, Told>,
    /// What the newest name ends with: no two are alike.
    newest: i128,
}

/// What makes two events the same one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    namespace: Option<String>,
    /// UID of the object.
    about: Option<String>,
    type_: EventType,
    reason: String,
    note: Option<String>,
}

struct Told {
    /// Of the event.
    name: String,
    times: i32,
    last: Timestamp,
}

impl Events {
    pub(crate) fn new(client: Client, reporter: Reporter) -> Self {
        Self { client, reporter, said: Mutex::default() }
    }

    /// Writes an event, or counts it.
    pub(crate) async fn publish(
        &self,
        event: &Event,
        about: &ObjectReference,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let events = Api::<Written>::namespaced(self.client.clone(), namespace);
        let key = Key {
            namespace: about.namespace.clone(),
            about: about.uid.clone(),
            type_: event.type_,
            reason: event.reason.clone(),
            note: event.note.clone(),
        };
        if let Some((name, times)) = self.told(&key, now) {
            let series = json!({"series": {"count": times, "lastObservedTime": MicroTime(now)}});
            match events.patch(&name, &PatchParams::default(), &Patch::Merge(series)).await {
                Ok(_) => {
                    self.all().told.insert(key, Told { name, times, last: now });
                    return Ok(());
                }
                // It has expired, or was deleted.
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        let name = self.name(about.name.as_deref().unwrap_or_default(), now);
        events.create(&PostParams::default(), &self.written(event, about, &name, now)).await?;
        self.all().told.insert(key, Told { name, times: 1, last: now });
        Ok(())
    }

    /// The name of this event if it was written lately, and how often it has come with this time.
    fn told(&self, key: &Key, now: Timestamp) -> Option<(String, i32)> {
        let mut all = self.all();
        all.told.retain(|_, told| now.duration_since(told.last) < SERIES);
        all.told.get(key).map(|told| (told.name.clone(), told.times.saturating_add(1)))
    }

    fn name(&self, about: &str, now: Timestamp) -> String {
        let mut all = self.all();
        all.newest = now.as_nanosecond().max(all.newest + 1);
        name(about, all.newest)
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self, event: &Event, about: &ObjectReference, name: &str, now: Timestamp) -> Written {
        let type_ = match event.type_ {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let Reporter { controller, instance } = self.reporter.clone();
        Written {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: about.namespace.clone(),
                ..ObjectMeta::default()
            },
            action: Some(event.action.clone()),
            reason: Some(event.reason.clone()),
            note: event.note.clone(),
            type_: Some(type_.to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(about.clone()),
            reporting_instance: Some(instance.unwrap_or_else(|| controller.clone())),
            reporting_controller: Some(controller),
            ..Written::default()
        }
    }
}

/// The name of an event about an object, whose own may leave no room for more.
fn name(about: &str, nanoseconds: i128) -> String {
    let cut = &about[..about.floor_char_boundary(MAX_NAME - SUFFIX)];
    // A cut may end behind a separator, and two of them in a row are no legal name.
    format!("{}.{nanoseconds:x}", cut.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::answering;

    const NOON: &str = "2026-11-01T12:00:00Z";

    /// What is asked of the hub for events with these notes about one object, each so many seconds after noon; of those
    /// that are counted, there is still what `is_kept`.
    async fn asked(said: &[(&str, i64)], is_kept: bool) -> Vec<String> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let client = answering(move |method, _| {
            seen.lock().unwrap().push(method.to_owned());
            match method {
                "PATCH" if !is_kept => (404, json!("NotFound")),
                _ => (201, json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {}})),
            }
        });
        let events = Events::new(client, Reporter::from("kurator"));
        let about = ObjectReference { uid: Some("u".to_owned()), ..ObjectReference::default() };
        for (note, seconds) in said {
            let event = Event {
                type_: EventType::Normal,
                reason: "InProgress".to_owned(),
                note: Some((*note).to_owned()),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            let at = NOON.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(*seconds);
            events.publish(&event, &about, at).await.unwrap();
        }
        let asked = asked.lock().unwrap();
        asked.clone()
    }

    #[tokio::test]
    async fn what_is_said_again_is_counted() {
        assert_eq!(asked(&[("1/2 done", 0), ("1/2 done", 1)], true).await, ["POST", "PATCH"]);
    }

    #[tokio::test]
    async fn another_message_for_the_same_reason_is_another_event() {
        let said = [("1/2 done", 0), ("2/2 done", 1), ("1/2 done", 2)];
        assert_eq!(asked(&said, true).await, ["POST", "POST", "PATCH"]);
    }

    #[tokio::test]
    async fn what_was_said_long_ago_is_said_anew() {
        assert_eq!(asked(&[("1/2 done", 0), ("1/2 done", 360)], true).await, ["POST", "POST"]);
    }

    #[tokio::test]
    async fn an_event_that_is_gone_is_written_anew() {
        assert_eq!(asked(&[("1/2 done", 0), ("1/2 done", 1)], false).await, ["POST", "PATCH", "POST"]);
    }

    #[test]
    fn an_object_of_the_longest_name_has_events_with_legal_names() {
        let now = NOON.parse::<Timestamp>().unwrap().as_nanosecond();
        for long in ["a".repeat(236), "a".repeat(253), format!("{}.{}", "a".repeat(235), "b".repeat(17))] {
            let name = name(&long, now);
            assert!(name.len() <= 253 && !name.contains(".."), "{name}");
            let (kept, time) = name.split_once('.').unwrap();
            assert!(long.starts_with(kept) && time.len() == 16, "{name}");
        }
    }

    #[tokio::test]
    async fn events_of_one_moment_have_names_of_their_own() {
        let events = Events::new(answering(|_, _| (404, json!("NotFound"))), Reporter::from("kurator"));
        let now = NOON.parse().unwrap();
        assert_ne!(events.name("b", now), events.name("b", now));
    }
}
