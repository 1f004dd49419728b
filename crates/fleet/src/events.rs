//! Writing events about objects whose names leave no room for the name of an event.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as Written;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client};

use crate::hub::MANAGER;

/// The longest name of an object.
const MAX_NAME: usize = 253;
/// What the recorder appends: a dot, and the time in hexadecimal nanoseconds.
const SUFFIX: usize = 17;

/// Publishes an event. The recorder names it after the object, so one about an object of a very long name, which the
/// API server would refuse, is written here, without counting repetitions.
pub(crate) async fn publish(
    recorder: &Recorder,
    client: Client,
    event: &Event,
    about: &ObjectReference,
    now: Timestamp,
) -> Result<(), kube::Error> {
    match short_name(about.name.as_deref().unwrap_or_default(), now) {
        None => recorder.publish(event, about).await,
        Some(name) => {
            let events = Api::<Written>::namespaced(client, about.namespace.as_deref().unwrap_or("default"));
            events.create(&PostParams::default(), &written(event, about, name, now)).await.map(drop)
        }
    }
}

/// The name of an event at this time, if the recorder's would be too long.
fn short_name(about: &str, now: Timestamp) -> Option<String> {
    let room = MAX_NAME - SUFFIX;
    let cut = &about[..about.floor_char_boundary(room)];
    // A cut may end behind a separator, and two of them in a row are no legal name.
    let cut = cut.trim_end_matches(['-', '.']);
    (about.len() > room).then(|| format!("{cut}.{:x}", now.as_nanosecond()))
}

fn written(event: &Event, about: &ObjectReference, name: String, now: Timestamp) -> Written {
    let type_ = match event.type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    Written {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: about.namespace.clone(),
            ..ObjectMeta::default()
        },
        action: Some(event.action.clone()),
        reason: Some(event.reason.clone()),
        note: event.note.clone(),
        type_: Some(type_.to_owned()),
        event_time: Some(MicroTime(now)),
        regarding: Some(about.clone()),
        reporting_controller: Some(MANAGER.to_owned()),
        reporting_instance: Some(MANAGER.to_owned()),
        ..Written::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_the_longest_name_has_events_with_legal_names() {
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        assert_eq!(short_name(&"a".repeat(236), now), None);
        for long in ["a".repeat(253), format!("{}.{}", "a".repeat(235), "b".repeat(17))] {
            let name = short_name(&long, now).unwrap_or_default();
            assert!(name.len() <= 253 && !name.contains(".."), "{name}");
            let (kept, time) = name.split_once('.').unwrap();
            assert!(long.starts_with(kept) && time.len() == 16, "{name}");
        }
    }
}
