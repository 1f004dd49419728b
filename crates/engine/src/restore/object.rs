//! Reading and changing fields of an object whose shape nobody vouches for.

use serde_json::{Map, Value};

use crate::labels::Labels;

/// The value at a path of keys.
pub(crate) fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// The same, to be changed.
pub(crate) fn at_mut<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(object, |value, key| value.get_mut(key))
}

/// The text at a path; another type reads as absent.
pub(crate) fn text<'a>(object: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(object, path)?.as_str()
}

/// The list at a path, to be changed; another type reads as absent.
pub(crate) fn list_mut<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Vec<Value>> {
    at_mut(object, path)?.as_array_mut()
}

/// The elements of the list at a path; another type reads as empty.
pub(crate) fn list<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    at(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Takes the field at a path away; what it held.
pub(crate) fn remove(object: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    at_mut(object, parents)?.as_object_mut()?.remove(*last)
}

/// The map at a path, made where it is absent or no map. `None` if a parent is no map.
pub(crate) fn map_mut<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut value = object;
    for key in path {
        value = value.as_object_mut()?.entry(*key).or_insert(Value::Null);
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
    }
    value.as_object_mut()
}

/// Name of the object; empty if it has none.
pub(crate) fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"]).unwrap_or_default()
}

/// Namespace of the object; none if it is cluster-scoped.
pub(crate) fn namespace(object: &Value) -> Option<&str> {
    text(object, &["metadata", "namespace"]).filter(|namespace| !namespace.is_empty())
}

/// Kind of the object; empty if it has none.
pub(crate) fn kind(object: &Value) -> &str {
    text(object, &["kind"]).unwrap_or_default()
}

/// Labels of the object.
pub(crate) fn labels(object: &Value) -> LabelsOf<'_> {
    LabelsOf(at(object, &["metadata", "labels"]))
}

/// The labels of an object; a value that is no text reads as absent.
pub(crate) struct LabelsOf<'a>(Option<&'a Value>);

impl Labels for LabelsOf<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        self.0?.get(key)?.as_str()
    }
}

/// An annotation of the object.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    text(object, &["metadata", "annotations", key])
}

/// Takes annotations away, and the map of them if it holds none.
pub(crate) fn remove_annotations(object: &mut Value, keys: &[&str]) {
    let Some(annotations) = at_mut(object, &["metadata", "annotations"]).and_then(Value::as_object_mut)
    else {
        return;
    };
    annotations.retain(|key, _| !keys.contains(&key.as_str()));
    if annotations.is_empty() {
        remove(object, &["metadata", "annotations"]);
    }
}
