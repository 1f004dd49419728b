//! What the tests of a restore start from.

use std::num::NonZeroUsize;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kurator_archive::{ArchiveWriter, ItemPath, Limits, Reader, Spool};
use kurator_member::clock::SystemClock;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::report::Report;
use crate::types::Catalog;

use super::plan::Plan;
use super::prepare::{Facts, Prepared, prepare};
use super::transform::{Context, Made, Transformed, transform};
use super::{Images, StorageClasses, Volumes};

/// A Restore of the backup `b` with this spec.
pub(crate) fn restore(spec: Value) -> kurator_api::velero::Restore {
    let mut spec = spec;
    if spec.get("scheduleName").is_none() && spec.get("backupName").is_none() {
        spec["backupName"] = "b".into();
    }
    serde_json::from_value(json!({"metadata": {"name": "r", "namespace": "velero"}, "spec": spec})).unwrap()
}

/// What comes of it where a Completed Backup `b` is in an Available location.
pub(crate) fn prepared(spec: Value) -> Result<Prepared, Vec<String>> {
    prepared_with(spec, None)
}

/// The same with a ConfigMap of resource modifiers.
pub(crate) fn prepared_with(spec: Value, modifiers: Option<&ConfigMap>) -> Result<Prepared, Vec<String>> {
    prepared_of(spec, modifiers, None, &Catalog::default())
}

/// The same with a resource policy, in a cluster with these types.
pub(crate) fn prepared_of(
    spec: Value,
    modifiers: Option<&ConfigMap>,
    policy: Option<&ConfigMap>,
    catalog: &Catalog,
) -> Result<Prepared, Vec<String>> {
    let backup = json!({
        "metadata": {"name": "b", "namespace": "velero"},
        "spec": {"storageLocation": "default"}, "status": {"phase": "Completed"},
    });
    let location =
        json!({"metadata": {"name": "default", "namespace": "velero"}, "status": {"phase": "Available"}});
    let backups = [serde_json::from_value(backup).unwrap()];
    let locations = [serde_json::from_value(location).unwrap()];
    let facts = Facts { backups: &backups, locations: &locations, modifiers, policy, catalog };
    prepare(&restore(spec), &facts)
}

pub(crate) fn plan(spec: Value) -> Plan {
    prepared(spec).unwrap().plan
}

pub(crate) fn context(spec: Value) -> Context {
    Context {
        plan: plan(spec),
        volumes: Volumes::default(),
        storage_classes: StorageClasses::default(),
        images: Images::default(),
    }
}

/// What is made of an object that has to come through.
pub(crate) fn made(object: Value, resource: &str, context: &Context) -> Transformed {
    match transform(object, resource, context).unwrap() {
        Made::Create(made) => *made,
        Made::Skip(skip) => panic!("skipped: {skip}"),
    }
}

/// JSON of any shape, whose keys are often those of Kubernetes.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    const KEYS: [&str; 19] = [
        "metadata",
        "spec",
        "status",
        "labels",
        "annotations",
        "name",
        "namespace",
        "template",
        "containers",
        "volumes",
        "ports",
        "subjects",
        "webhooks",
        "secrets",
        "selector",
        "claimRef",
        "type",
        "uid",
        "ownerReferences",
    ];
    const TEXTS: [&str; 8] = ["", "a", "n-token-1", "*", "{", "[", "\\", "\""];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(&TEXTS[..]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(&KEYS[..]), inner, 0..6).prop_map(|map| {
                Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// Something that has at least the outline of an object.
pub(crate) fn any_object() -> impl Strategy<Value = Value> {
    (any_json(), any_json(), any_json(), any_json()).prop_map(|(metadata, spec, status, rest)| {
        let mut metadata = metadata.as_object().cloned().unwrap_or_default();
        metadata.insert("name".to_owned(), "n".into());
        metadata.insert("managedFields".to_owned(), rest.clone());
        let mut object = rest.as_object().cloned().unwrap_or_default();
        object.extend([("metadata".to_owned(), Value::Object(metadata)), ("spec".to_owned(), spec)]);
        object.insert("status".to_owned(), status);
        Value::Object(object)
    })
}

/// An archive of empty objects: type, namespace and name of each; all of it is wanted.
pub(crate) fn spool(items: &[(&str, Option<&str>, &str)]) -> Spool {
    let mut writer = ArchiveWriter::new(Vec::new(), NonZeroUsize::MIN, 0).unwrap();
    for (resource, namespace, name) in items {
        let path = ItemPath::new(resource.parse().unwrap(), *namespace, name).unwrap();
        writer.item(&path, b"{}").unwrap();
    }
    let (archive, _) = writer.finish().unwrap();
    Spool::fill(Reader::new(&archive[..], Limits::default()), &std::env::temp_dir(), |_| true).unwrap()
}

/// The report of a restore.
pub(crate) fn report() -> Report {
    Report::new("restore", "velero", "r", Arc::new(SystemClock), &std::env::temp_dir())
}
