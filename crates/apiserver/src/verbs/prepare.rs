//! What the server alone decides about an object: identity, times, generation, and the part that a request is not about.

use serde_json::{Map, Value};

use super::{Call, Part};
use crate::{
    cluster::Cluster,
    kinds, meta,
    source::{suffix, uid},
};

/// Gives a new object its name, if it wants a generated one.
pub(super) fn name(cluster: &Cluster, object: &mut Value) {
    /// Longest base, so that the name is no longer than a label may be.
    const BASE: usize = 58;
    let base: String = meta::text(object, "generateName").chars().take(BASE).collect();
    if meta::text(object, "name").is_empty() && !base.is_empty() {
        let name = format!("{base}{}", suffix(&*cluster.numbers));
        meta::of(object).insert("name".to_owned(), name.into());
    }
}

/// Prepares a new object.
pub(super) fn new(cluster: &Cluster, call: &Call, object: &mut Value) {
    if call.version().status
        && let Value::Object(fields) = object
    {
        fields.remove("status");
    }
    let metadata = meta::of(object);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), uid(&*cluster.numbers).into());
    metadata.insert("creationTimestamp".to_owned(), cluster.now());
    if call.resource.habits.generation {
        metadata.insert("generation".to_owned(), 1.into());
    }
    kinds::prepare(&call.resource, object);
}

/// Prepares what takes the place of `old`: gives back what no update changes, and what this one is not about, and
/// counts the change.
pub(super) fn replacing(call: &Call, old: &Value, object: &mut Value) {
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "selfLink",
    ] {
        meta::copy(old, object, field);
    }
    keep_other_part(call, old, object);
    kinds::keep(&call.resource, call.part, old, object);
    count(call, old, object);
}

fn keep_other_part(call: &Call, old: &Value, object: &mut Value) {
    let Value::Object(fields) = object else { return };
    let restore = |fields: &mut Map<String, Value>, name: &str| match old.get(name) {
        Some(value) => drop(fields.insert(name.to_owned(), value.clone())),
        None => drop(fields.remove(name)),
    };
    match call.part {
        Part::Whole | Part::Scale if call.version().status => restore(fields, "status"),
        Part::Whole | Part::Scale => {}
        Part::Status if call.resource.habits.core => restore(fields, "spec"),
        Part::Status => {
            let sent = fields.clone();
            old.as_object().unwrap_or(&Map::new()).clone_into(fields);
            match sent.get("status") {
                Some(status) => drop(fields.insert("status".to_owned(), status.clone())),
                None => drop(fields.remove("status")),
            }
            // Who has applied which field of the status is known by now.
            if let Some(managed) = sent.get("metadata").and_then(|metadata| metadata.get("managedFields")) {
                fields["metadata"]["managedFields"] = managed.clone();
            }
        }
    }
}

/// Counts a change of what is wanted in `metadata.generation`.
fn count(call: &Call, old: &Value, object: &mut Value) {
    if !call.resource.habits.generation || call.part == Part::Status {
        return;
    }
    let has_status = call.resource.habits.core || call.version().status;
    let is_wanted = |name: &str| name != "metadata" && !(has_status && name == "status");
    let wanted = |value: &Value| -> Map<String, Value> {
        let fields = value.as_object().into_iter().flatten().filter(|(name, _)| is_wanted(name));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    if wanted(old) != wanted(object) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
        meta::of(object).insert("generation".to_owned(), generation.into());
    }
}
