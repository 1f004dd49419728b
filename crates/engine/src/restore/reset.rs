//! What no restored object keeps, and what each one gets.

use kurator_api::names;
use serde_json::{Map, Value};

use super::object;

/// The label with the Restore's name.
pub(super) const RESTORE_NAME_LABEL: &str = "velero.io/restore-name";

/// Fields of the metadata that belong to the object that was, as Velero 1.18 (`resetMetadata`).
const GONE: [&str; 9] = [
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
];

/// What was taken off an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TakenOff {
    pub(crate) status: Option<Value>,
    pub(crate) managed_fields: Option<Value>,
}

/// An object whose metadata isn't an object: Velero's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata not found")]
pub(crate) struct NoMetadata;

/// Takes off what belongs to the object that was: metadata that the API server gives, the status. The managed
/// fields too: a creation keeps nothing of them.
pub(crate) fn reset(object: &mut Value) -> Result<TakenOff, NoMetadata> {
    let metadata = object::at_mut(object, &["metadata"]).and_then(Value::as_object_mut).ok_or(NoMetadata)?;
    for field in GONE {
        metadata.remove(field);
    }
    let managed_fields = metadata.remove("managedFields");
    Ok(TakenOff { status: object::remove(object, &["status"]), managed_fields })
}

/// The labels that tell where an object came from; names longer than 63 characters are shortened as in Velero.
pub(crate) fn origin(restore: &str, backup: &str) -> [(&'static str, String); 2] {
    [
        (names::VELERO_BACKUP_NAME_LABEL, names::label_value(backup)),
        (RESTORE_NAME_LABEL, names::label_value(restore)),
    ]
}

/// Labels an object with where it came from.
pub(crate) fn mark(object: &mut Value, restore: &str, backup: &str) {
    if let Some(labels) = object::map_mut(object, &["metadata", "labels"]) {
        labels.extend(origin(restore, backup).map(|(key, value)| (key.to_owned(), Value::String(value))));
    }
}

/// Takes the labels of [`mark`] off.
pub(crate) fn unmark(object: &mut Value) {
    let labels = object::at_mut(object, &["metadata", "labels"]).and_then(Value::as_object_mut);
    if let Some(labels) = labels {
        labels.remove(names::VELERO_BACKUP_NAME_LABEL);
        labels.remove(RESTORE_NAME_LABEL);
        if labels.is_empty() {
            object::remove(object, &["metadata", "labels"]);
        }
    }
}

/// The Namespace to create for content that goes to `name`: labels, annotations and spec of the one in the
/// backup, without labels of its origin, as Velero; a bare one if the backup holds none.
#[must_use]
pub fn namespace(in_backup: Option<&Value>, name: &str) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), name.into());
    for field in ["labels", "annotations"] {
        let kept = in_backup.and_then(|namespace| object::at(namespace, &["metadata", field]));
        metadata.extend(kept.map(|value| (field.to_owned(), value.clone())));
    }
    let mut made = Map::new();
    made.insert("apiVersion".to_owned(), "v1".into());
    made.insert("kind".to_owned(), "Namespace".into());
    made.insert("metadata".to_owned(), metadata.into());
    let spec = in_backup.and_then(|namespace| object::at(namespace, &["spec"]));
    made.extend(spec.map(|spec| ("spec".to_owned(), spec.clone())));
    made.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::any_json;
    use super::*;

    fn full() -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "status": {"x": 1}, "metadata": {
            "name": "c", "namespace": "n", "labels": {"l": "1"}, "annotations": {"a": "1"},
            "finalizers": ["f"], "managedFields": [{"manager": "m"}],
            "generateName": "c-", "selfLink": "/x", "uid": "u", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "t", "deletionTimestamp": "t", "deletionGracePeriodSeconds": 30,
            "ownerReferences": [{"uid": "o"}],
        }})
    }

    #[test]
    fn a_reset_object_keeps_name_labels_annotations_and_finalizers_alone() {
        let mut object = full();
        let taken = reset(&mut object).unwrap();
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "metadata": {
                "name": "c", "namespace": "n", "labels": {"l": "1"}, "annotations": {"a": "1"}, "finalizers": ["f"],
            }})
        );
        assert_eq!(taken.status, Some(json!({"x": 1})));
        assert_eq!(taken.managed_fields, Some(json!([{"manager": "m"}])));
    }

    #[test]
    fn an_object_without_metadata_is_an_error() {
        for mut object in [json!({}), json!({"metadata": []}), json!(null), json!("a")] {
            assert_eq!(reset(&mut object), Err(NoMetadata));
        }
    }

    #[test]
    fn long_names_are_shortened_in_labels_as_velero_does() {
        let mut object = json!({"metadata": {"labels": null}});
        let long = "a".repeat(64);
        mark(&mut object, &long, "b");
        // 57 characters and the beginning of the SHA-256 of all 64.
        let short = format!("{}ffe054", "a".repeat(57));
        assert_eq!(
            object["metadata"]["labels"],
            json!({"velero.io/restore-name": short, "velero.io/backup-name": "b"})
        );
    }

    #[test]
    fn a_namespace_is_made_of_labels_annotations_and_spec() {
        let mut backup = full();
        backup["spec"] = json!({"finalizers": ["kubernetes"]});
        assert_eq!(
            namespace(Some(&backup), "target"),
            json!({"apiVersion": "v1", "kind": "Namespace", "spec": {"finalizers": ["kubernetes"]}, "metadata": {
                "name": "target", "labels": {"l": "1"}, "annotations": {"a": "1"},
            }})
        );
        assert_eq!(
            namespace(None, "target"),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "target"}})
        );
    }

    proptest! {
        #[test]
        fn a_second_reset_changes_nothing(mut object in any_json()) {
            if reset(&mut object).is_ok() {
                let once = object.clone();
                prop_assert_eq!(reset(&mut object), Ok(TakenOff::default()));
                prop_assert_eq!(object, once);
            }
        }
    }
}
