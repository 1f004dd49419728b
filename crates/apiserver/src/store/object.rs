//! One object as it is kept: its JSON without `kind` and `apiVersion`, which follow from where it is kept.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

/// Where an object is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// `plural.group`, shared by all keys of the resource.
    pub(crate) resource: Arc<str>,
    /// `namespace/name`, or the name alone. Sorted as kube-apiserver sorts, whose keys are such paths too.
    pub(crate) path: Box<str>,
}

impl Key {
    pub(crate) fn new(resource: &Arc<str>, path: impl Into<Box<str>>) -> Self {
        Self { resource: Arc::clone(resource), path: path.into() }
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.path.split_once('/').map(|(namespace, _)| namespace)
    }
}

/// An object as of one revision.
///
/// The text costs a fraction of the parsed form, and lists and watches copy it as it is.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) uid: Box<str>,
    /// UIDs of the owners.
    pub(crate) owners: Box<[Box<str>]>,
    /// A JSON object that has at least `metadata`.
    pub(crate) text: Bytes,
}

impl Object {
    /// `value` is a JSON object with `metadata`; `kind` and `apiVersion` are left out.
    pub(super) fn new(mut value: Value, revision: u64) -> Self {
        if let Value::Object(fields) = &mut value {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        let text = |value: &Value| value.as_str().unwrap_or_default().into();
        let owners = value["metadata"]["ownerReferences"].as_array();
        Self {
            uid: text(&value["metadata"]["uid"]),
            owners: owners.into_iter().flatten().map(|owner| text(&owner["uid"])).collect(),
            text: value.to_string().into(),
        }
    }

    /// The same state under another revision.
    pub(crate) fn at(&self, revision: u64) -> Self {
        Self::new(self.parse(), revision)
    }

    /// The object without `kind` and `apiVersion`.
    pub(crate) fn parse(&self) -> Value {
        // The text was written by `new`, so it is JSON.
        serde_json::from_slice(&self.text).unwrap_or_default()
    }

    /// The object with `kind` and `apiVersion`.
    pub(crate) fn typed(&self, kind: &str, api_version: &str) -> Value {
        let mut value = self.parse();
        value["kind"] = kind.into();
        value["apiVersion"] = api_version.into();
        value
    }
}
