//! What happens where an object is in the cluster already, as Velero 1.18.
//!
//! One difference: the managed fields don't count. They hold times, so that an object which only its controllers
//! touched since would be told to be different; and an update leaves those of the cluster as they are.

use serde_json::{Map, Value, json};

use super::object;
use super::plan::{Plan, Policy};
use super::reset::{self, origin};

/// What to do about an object that is there already.
#[derive(Clone, Debug, PartialEq)]
pub enum Conflict {
    /// It is as in the backup: nothing but to write these labels, if any. The object counts as skipped either way.
    Same {
        /// A merge patch with the labels of origin: with the policy `update`.
        labels: Option<Value>,
    },
    /// It differs, and stays as it is: a warning of its namespace. The object counts as failed.
    Different {
        /// The warning, in Velero's words.
        warning: String,
    },
    /// It is patched. The object counts as updated; where the patch is refused the server's words are a warning,
    /// and then the labels are tried alone, if any.
    Patch {
        /// A merge patch of what differs.
        patch: Value,
        /// A merge patch with the labels of origin. If that is refused too, that is an error.
        labels: Option<Value>,
    },
}

/// Decides on an object that is there already: `made` is what was to be created, `found` what is in the cluster.
/// `resource` is its type, such as `serviceaccounts`.
#[must_use]
pub fn resolve(made: &Value, found: Value, resource: &str, plan: &Plan) -> Conflict {
    let (wanted, found) = (comparable(made.clone()), comparable(found));
    let labels = || (plan.policy == Some(Policy::Update)).then(|| labels_of(plan));
    if wanted == found {
        return Conflict::Same { labels: labels() };
    }
    if resource == "serviceaccounts" {
        let patch = difference(&found, &merged_account(&found, &wanted));
        return match patch {
            None => Conflict::Same { labels: None },
            Some(patch) => Conflict::Patch { patch, labels: labels() },
        };
    }
    let kind = object::kind(made);
    let name = object::name(made);
    const DIFFERENT: &str =
        "already exists. Warning: the in-cluster version is different than the backed-up version";
    match plan.policy {
        None => Conflict::Different { warning: format!("could not restore, {kind}:{name} {DIFFERENT}") },
        Some(Policy::None) => {
            Conflict::Different { warning: format!("could not restore, {kind} {name:?} {DIFFERENT}") }
        }
        Some(Policy::Update) => {
            let mut patch = difference(&found, &wanted).unwrap_or_else(|| json!({}));
            merge(&mut patch, labels_of(plan));
            Conflict::Patch { patch, labels: labels() }
        }
    }
}

/// An object without what tells nothing about whether it is the same.
fn comparable(object: Value) -> Value {
    let mut object = object;
    // An object without metadata differs from any other, which is all that is asked.
    let _ = reset::reset(&mut object);
    reset::unmark(&mut object);
    object
}

fn labels_of(plan: &Plan) -> Value {
    let labels =
        origin(&plan.restore, &plan.backup).map(|(key, value)| (key.to_owned(), Value::String(value)));
    json!({"metadata": {"labels": Map::from_iter(labels)}})
}

/// The ServiceAccount of the cluster with what only the one of the backup has: secrets, pull secrets, labels and
/// annotations.
fn merged_account(found: &Value, wanted: &Value) -> Value {
    let mut merged = found.clone();
    for list in ["secrets", "imagePullSecrets"] {
        let new = missing(object::list(found, &[list]), object::list(wanted, &[list]));
        if !new.is_empty()
            && let Some(account) = merged.as_object_mut()
        {
            let entry = account.entry(list).or_insert_with(|| json!([]));
            entry.as_array_mut().into_iter().for_each(|own| own.extend(new.iter().cloned()));
        }
    }
    for map in ["labels", "annotations"] {
        let new =
            object::at(wanted, &["metadata", map]).and_then(Value::as_object).cloned().unwrap_or_default();
        if !new.is_empty()
            && let Some(own) = object::map_mut(&mut merged, &["metadata", map])
        {
            for (key, value) in new {
                own.entry(key).or_insert(value);
            }
        }
    }
    merged
}

/// The references of `wanted` whose names are not among `found`.
fn missing(found: &[Value], wanted: &[Value]) -> Vec<Value> {
    let named = |name: &Value| found.iter().any(|own| own.get("name") == Some(name));
    wanted.iter().filter(|one| one.get("name").is_some_and(|name| !named(name))).cloned().collect()
}

/// The merge patch (RFC 7386) that makes `to` of `from`; none if they are the same.
#[must_use]
pub(crate) fn difference(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        (from, to) if from == to => None,
        (Value::Object(from), Value::Object(to)) => {
            let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
            let changed = to.iter().filter_map(|(key, value)| {
                let change = from.get(key).map_or_else(|| Some(value.clone()), |old| difference(old, value));
                Some((key.clone(), change?))
            });
            Some(Value::Object(gone.chain(changed).collect()))
        }
        (_, to) => Some(to.clone()),
    }
}

/// Applies a merge patch (RFC 7386).
pub(crate) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests;
