//! The cases, by topic.

mod custom;
mod deletion;
mod discovery;
mod events;
mod limits;
mod lists;
mod objects;
mod patches;
mod watches;

use serde_json::{Value, json};

use super::Case;

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        objects::cases(),
        lists::cases(),
        watches::cases(),
        patches::cases(),
        deletion::cases(),
        custom::cases(),
        discovery::cases(),
        events::cases(),
        limits::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SECRETS: &str = "/api/v1/namespaces/{ns}/secrets";
const CONFIG_MAPS: &str = "/api/v1/namespaces/{ns}/configmaps";

fn config_map(name: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn secret(name: &str) -> Value {
    json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": name}}, "data": {"a": "MQ=="}})
}

fn at(collection: &str, name: &str) -> String {
    format!("{collection}/{name}")
}

/// `object` with a field set.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let place = parts.iter().fold(&mut object, |object, part| &mut object[*part]);
    *place = value;
    object
}
