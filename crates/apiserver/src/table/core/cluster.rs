//! What a cluster keeps and knows.

use jiff::Timestamp;
use serde_json::Value;

use super::cells::{age, elements, name, or};
use crate::table::age::since;

pub(super) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let size = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    vec![name(object), (size("data") + size("binaryData")).into(), age(object, now)]
}

pub(super) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    let size = object["data"].as_object().map_or(0, serde_json::Map::len);
    vec![name(object), object["type"].clone(), size.into(), age(object, now)]
}

pub(super) fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), or(&object["status"]["phase"], ""), age(object, now)]
}

pub(super) fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), age(object, now)]
}

pub(super) fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let there = |value: &&Value| !value.is_null();
    let first = [&object["firstTimestamp"], &object["eventTime"]].into_iter().find(there);
    let last =
        [&object["series"]["lastObservedTime"], &object["lastTimestamp"]].into_iter().find(there).or(first);
    let seen = |time: Option<&Value>| since(time.unwrap_or(&Value::Null), now);
    let about = &object["involvedObject"];
    let about = match (text(&about["kind"]).to_lowercase(), text(&about["name"])) {
        (kind, name) if name.is_empty() => kind,
        (kind, name) => format!("{kind}/{name}"),
    };
    let source = [
        (&object["source"]["component"], &object["source"]["host"]),
        (&object["reportingComponent"], &object["reportingInstance"]),
    ];
    let named = source.iter().map(|(component, host)| (text(component), text(host)));
    let source = match named.into_iter().find(|(component, _)| !component.is_empty()).unwrap_or_default() {
        (component, host) if host.is_empty() => component,
        (component, host) => format!("{component}, {host}"),
    };
    let times = object["series"]["count"].as_i64().or_else(|| object["count"].as_i64()).unwrap_or(1);
    vec![
        seen(last).into(),
        or(&object["type"], ""),
        or(&object["reason"], ""),
        about.into(),
        or(&object["involvedObject"]["fieldPath"], ""),
        source.into(),
        text(&object["message"]).trim().into(),
        seen(first).into(),
        times.into(),
        name(object),
    ]
}

pub(super) fn binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let role = &object["roleRef"];
    let of = |kind: &str| {
        let subjects = elements(&object["subjects"]).filter(|subject| subject["kind"] == kind);
        let names = subjects.map(|subject| match subject["namespace"].as_str() {
            Some(namespace) if kind == "ServiceAccount" => format!("{namespace}/{}", text(&subject["name"])),
            _ => text(&subject["name"]),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        name(object),
        format!("{}/{}", text(&role["kind"]), text(&role["name"])).into(),
        age(object, now),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}

pub(super) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), or(&object["spec"]["holderIdentity"], ""), age(object, now)]
}

pub(super) fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    const ROLE: &str = "node-role.kubernetes.io/";
    let (spec, status) = (&object["spec"], &object["status"]);
    let info = &status["nodeInfo"];
    let ready = elements(&status["conditions"]).find(|one| one["type"] == "Ready");
    let mut state = match ready.map(|one| one["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if spec["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let roles: Vec<&str> = labels.filter_map(|(key, _)| key.strip_prefix(ROLE)).collect();
    let roles = if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") };
    let address = |kind: &str| {
        let found = elements(&status["addresses"]).find(|one| one["type"] == kind);
        or(found.map_or(&Value::Null, |one| &one["address"]), "<none>")
    };
    vec![
        name(object),
        state.into(),
        roles.into(),
        age(object, now),
        or(&info["kubeletVersion"], ""),
        address("InternalIP"),
        address("ExternalIP"),
        or(&info["osImage"], "<unknown>"),
        or(&info["kernelVersion"], "<unknown>"),
        or(&info["containerRuntimeVersion"], "<unknown>"),
    ]
}
