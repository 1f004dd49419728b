//! How values stand in a cell.

use jiff::Timestamp;
use serde_json::Value;

use crate::table::age::since;

pub(super) fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// A text, or another where there is none.
pub(super) fn or(value: &Value, otherwise: &str) -> Value {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(otherwise).into()
}

pub(super) fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

pub(super) fn elements(value: &Value) -> impl Iterator<Item = &Value> + Clone {
    value.as_array().into_iter().flatten()
}

pub(super) fn joined<'a>(texts: impl Iterator<Item = &'a Value>) -> String {
    texts.filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

/// Labels as people write them.
pub(super) fn labels(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A label selector as people write it.
pub(super) fn selector(value: &Value) -> Value {
    let mut parts: Vec<String> = value["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for one in elements(&value["matchExpressions"]) {
        let (key, values) = (one["key"].as_str().unwrap_or_default(), joined(elements(&one["values"])));
        parts.push(match one["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",").into()
}

pub(super) fn containers(template: &Value) -> [Value; 2] {
    ["name", "image"].map(|field| joined(elements(&template["spec"]["containers"]).map(|c| &c[field])).into())
}
