//! One object as it is kept: its JSON as text, and beside it what of its metadata is asked often.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::shared;

/// The finalizer of an object that goes after its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents are to forget it.
pub(crate) const ORPHAN: &str = "orphan";

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

    pub(crate) fn name(&self) -> &str {
        self.path.split_once('/').map_or(&self.path, |(_, name)| name)
    }
}

/// A reference to an owner: the coordinates at which it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) group: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
    /// The owner may not go before its dependent.
    pub(crate) blocks: bool,
}

impl Owner {
    fn read(reference: &Value) -> Self {
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
        Self {
            group: group.into(),
            version: version.into(),
            kind: text("kind").into(),
            name: text("name").into(),
            uid: text("uid").into(),
            blocks: reference["blockOwnerDeletion"] == true,
        }
    }
}

/// What of an object's metadata is asked without reading its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) uid: Box<str>,
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    pub(crate) owners: Box<[Owner]>,
    pub(crate) finalizers: Box<[Box<str>]>,
    /// It is to go once its finalizers are gone.
    pub(crate) deleting: bool,
}

impl Meta {
    fn read(metadata: &Map<String, Value>) -> Self {
        let elements = |field: &str| metadata.get(field).and_then(Value::as_array).into_iter().flatten();
        let labels = metadata.get("labels").and_then(Value::as_object).into_iter().flatten();
        Self {
            uid: metadata.get("uid").and_then(Value::as_str).unwrap_or_default().into(),
            labels: labels
                .map(|(key, value)| (key.as_str().into(), value.as_str().unwrap_or_default().into()))
                .collect(),
            owners: elements("ownerReferences").map(Owner::read).collect(),
            finalizers: elements("finalizers").filter_map(Value::as_str).map(Into::into).collect(),
            deleting: metadata.get("deletionTimestamp").is_some_and(Value::is_string),
        }
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| **name == *key).map(|(_, value)| &**value)
    }

    pub(crate) fn has_finalizer(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|one| **one == *finalizer)
    }

    /// Whether it waits for its dependents to go.
    pub(crate) fn deletes_dependents(&self) -> bool {
        self.deleting && self.has_finalizer(FOREGROUND)
    }

    /// Whether it waits for its dependents to forget it.
    pub(crate) fn orphans_dependents(&self) -> bool {
        self.deleting && self.has_finalizer(ORPHAN)
    }
}

/// What an object says, without `kind` and `apiVersion`, which follow from where it is kept, and without its version.
///
/// The text costs a fraction of the parsed form, and lists and watches copy it as it is. A long `spec` is shared by all
/// clusters of the process that have the same: those of definitions are most of what a small cluster holds.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) meta: Meta,
    /// `metadata` without `resourceVersion`, a JSON object.
    metadata: Box<str>,
    spec: Option<Arc<str>>,
    /// Everything else, a JSON object.
    rest: Box<str>,
}

impl Content {
    /// `value` is a JSON object with `metadata`.
    pub(crate) fn new(value: Value) -> Self {
        let into_fields = |value: Option<Value>| match value {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let mut fields = into_fields(Some(value));
        fields.remove("kind");
        fields.remove("apiVersion");
        let mut metadata = into_fields(fields.remove("metadata"));
        metadata.remove("resourceVersion");
        let spec = fields.remove("spec");
        Self {
            meta: Meta::read(&metadata),
            metadata: Value::Object(metadata).to_string().into(),
            spec: spec.map(|spec| shared::text(spec.to_string())),
            rest: Value::Object(fields).to_string().into(),
        }
    }

    /// The parsed `spec`.
    pub(crate) fn spec(&self) -> Value {
        self.spec.as_ref().and_then(|spec| serde_json::from_str(spec).ok()).unwrap_or_default()
    }

    /// Bytes of text.
    pub(crate) fn size(&self) -> usize {
        self.metadata.len() + self.spec.as_ref().map_or(0, |spec| spec.len()) + self.rest.len()
    }
}

/// An object as of one revision.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) revision: u64,
    content: Arc<Content>,
}

impl Object {
    pub(super) fn new(content: Content, revision: u64) -> Self {
        Self { revision, content: Arc::new(content) }
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.content.meta
    }

    /// Bytes of text.
    pub(crate) fn size(&self) -> usize {
        self.content.size()
    }

    /// The same state under another revision.
    pub(crate) fn at(&self, revision: u64) -> Self {
        Self { revision, content: Arc::clone(&self.content) }
    }

    #[cfg(test)]
    pub(super) fn shares_spec_with(&self, other: &Self) -> bool {
        self.content
            .spec
            .as_ref()
            .zip(other.content.spec.as_ref())
            .is_some_and(|(a, b)| std::ptr::eq(a.as_ptr(), b.as_ptr()))
    }

    /// Adds its text to others; with kind and version, if they are given.
    pub(crate) fn write(&self, kind: Option<(&str, &str)>, out: &mut Vec<u8>) {
        let Content { metadata, spec, rest, .. } = &*self.content;
        out.reserve(self.size() + 128);
        out.push(b'{');
        if let Some((kind, api_version)) = kind {
            out.extend_from_slice(
                format!("\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",").as_bytes(),
            );
        }
        out.extend_from_slice(format!("\"metadata\":{{\"resourceVersion\":\"{}\"", self.revision).as_bytes());
        continue_with(metadata, out);
        if let Some(spec) = spec {
            out.extend_from_slice(b",\"spec\":");
            out.extend_from_slice(spec.as_bytes());
        }
        continue_with(rest, out);
    }

    /// The object without `kind` and `apiVersion`.
    pub(crate) fn parse(&self) -> Value {
        let mut text = Vec::new();
        self.write(None, &mut text);
        // The text was written here, so it is JSON.
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

/// Ends an open JSON object with the fields of another, which are other fields.
fn continue_with(object: &str, out: &mut Vec<u8>) {
    if object.len() > "{}".len() {
        out.push(b',');
    }
    out.extend_from_slice(object.get(1..).unwrap_or("}").as_bytes());
}
