//! The core kinds: one table of facts, read once for all clusters of a process.
//!
//! `facts.json` is written by `examples/facts.rs` from the API descriptions of Kubernetes 1.36. What these do not say
//! stands here.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use serde_json::{Map, Value};

use super::{Guise, Resource, Scale, Version};
use crate::schema::{Definitions, Schema};

const FACTS: &str = include_str!("facts.json");
/// The name of the schema of `metadata`.
pub(crate) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// How the server treats objects of a type, beyond their shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// A core kind, which kube-apiserver reads into a structure.
    pub(crate) core: bool,
    /// Counts changes of the spec in `metadata.generation`.
    pub(crate) generation: bool,
    /// A deletion answers with the object instead of a `Status`.
    pub(crate) returns_deleted: bool,
    /// An update may leave out the resource version.
    pub(crate) unconditional_update: bool,
    /// An update of what is not there makes it.
    pub(crate) create_on_update: bool,
    /// All objects of a namespace can be deleted at once.
    pub(crate) delete_collection: bool,
    /// Dependents stay where a deletion does not say what becomes of them.
    pub(crate) orphans: bool,
}

/// Kinds whose generation is counted.
const COUNTED: [&str; 22] = [
    "priorityclasses.scheduling.k8s.io",
    "ingressclasses.networking.k8s.io",
    "networkpolicies.networking.k8s.io",
    "ingresses.networking.k8s.io",
    "endpointslices.discovery.k8s.io",
    "poddisruptionbudgets.policy",
    "flowschemas.flowcontrol.apiserver.k8s.io",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "daemonsets.apps",
    "statefulsets.apps",
    "deployments.apps",
    "replicasets.apps",
    "jobs.batch",
    "cronjobs.batch",
    "pods",
    "replicationcontrollers",
    "podtemplates",
    "customresourcedefinitions.apiextensions.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
];

/// Kinds whose deletion answers with the object.
const RETURNED: [&str; 12] = [
    "csidrivers.storage.k8s.io",
    "storageclasses.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "volumeattributesclasses.storage.k8s.io",
    "resourcequotas",
    "persistentvolumes",
    "serviceaccounts",
    "persistentvolumeclaims",
    "pods",
    "services",
    "podtemplates",
];

/// Kinds that an update must bring the resource version of.
const CONDITIONAL: [&str; 11] = [
    "runtimeclasses.node.k8s.io",
    "poddisruptionbudgets.policy",
    "csidrivers.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "leases.coordination.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
];

/// Kinds that an update makes.
const CREATED_BY_UPDATE: [&str; 10] = [
    "runtimeclasses.node.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "leases.coordination.k8s.io",
    "limitranges",
    "events",
    "services",
    "endpoints",
];

/// Kinds whose dependents stay unless a deletion says otherwise, as they did in their first versions.
const ORPHANING: [&str; 2] = ["jobs.batch", "replicationcontrollers"];

/// Kinds with replicas.
const SCALED: [&str; 3] = ["deployments.apps", "replicasets.apps", "statefulsets.apps"];

struct Table {
    resources: Vec<Arc<Resource>>,
    by_id: HashMap<Arc<str>, usize>,
    by_kind: HashMap<Box<str>, Vec<usize>>,
    object_meta: Arc<Schema>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    // The file is part of the program, and a test reads it: it is JSON.
    let mut facts: Map<String, Value> = serde_json::from_str(FACTS).unwrap_or_default();
    let schemas = facts.remove("schemas").and_then(|schemas| schemas.as_object().cloned());
    let mut schemas = Definitions::new(schemas.unwrap_or_default());
    let kinds = facts.get("kinds").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let resources: Vec<_> = kinds.iter().map(|fact| Arc::new(resource(fact, &mut schemas))).collect();
    let mut by_kind = HashMap::<Box<str>, Vec<usize>>::new();
    for (index, resource) in resources.iter().enumerate() {
        by_kind.entry(resource.kind.clone()).or_default().push(index);
    }
    let by_id = resources.iter().enumerate().map(|(index, one)| (Arc::clone(&one.id), index)).collect();
    Table { resources, by_id, by_kind, object_meta: schemas.get(OBJECT_META) }
});

/// The core kinds.
pub(super) fn resources() -> &'static [Arc<Resource>] {
    &TABLE.resources
}

/// The schemas of the core kinds as the table has them, read at the first question about them.
pub(crate) fn raw_schemas() -> &'static Map<String, Value> {
    static RAW: LazyLock<Map<String, Value>> = LazyLock::new(|| {
        let facts: Map<String, Value> = serde_json::from_str(FACTS).unwrap_or_default();
        facts.get("schemas").and_then(Value::as_object).cloned().unwrap_or_default()
    });
    &RAW
}

pub(super) fn by_id(id: &str) -> Option<&'static Arc<Resource>> {
    TABLE.by_id.get(id).map(|index| &TABLE.resources[*index])
}

/// The core kinds of this name, of any group.
pub(super) fn by_kind(kind: &str) -> impl Iterator<Item = &'static Arc<Resource>> {
    TABLE.by_kind.get(kind).into_iter().flatten().map(|index| &TABLE.resources[*index])
}

/// The shape of `metadata`, which is the same everywhere.
pub(crate) fn object_meta() -> &'static Schema {
    &TABLE.object_meta
}

/// As [`object_meta`], to be part of another schema.
pub(crate) fn object_meta_schema() -> Arc<Schema> {
    Arc::clone(&TABLE.object_meta)
}

fn resource(fact: &Value, schemas: &mut Definitions) -> Resource {
    let text = |name: &str| fact[name].as_str().unwrap_or_default();
    let texts = |name: &str| {
        fact[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
    };
    let (group, plural, kind) = (text("group"), text("plural"), text("kind"));
    let id: Arc<str> = super::custom::id(plural, group).into();
    let guise = Guise::of(&id);
    let kept = guise.kept().map_or_else(|| Arc::clone(&id), Arc::from);
    let is_in = |ids: &[&str]| ids.contains(&&*kept);
    Resource {
        guise,
        group: group.into(),
        plural: plural.into(),
        singular: text("singular").into(),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        short: texts("short"),
        categories: texts("categories"),
        namespaced: fact["namespaced"] == true,
        versions: vec![Version {
            name: text("version").into(),
            served: true,
            schema: schemas.get(text("schema")),
            fact: Some(text("schema").into()),
            rules: None,
            status: fact["status"] == true,
            scale: is_in(&SCALED).then(|| Scale {
                wanted: "/spec/replicas".into(),
                present: "/status/replicas".into(),
                selector: Some("/spec/selector".into()),
                usual: 1,
            }),
            columns: Vec::new(),
        }],
        habits: Habits {
            core: true,
            generation: is_in(&COUNTED),
            returns_deleted: is_in(&RETURNED),
            unconditional_update: !is_in(&CONDITIONAL),
            create_on_update: is_in(&CREATED_BY_UPDATE),
            delete_collection: fact["collection"] == true,
            orphans: is_in(&ORPHANING),
        },
        id,
        kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_kinds_and_the_shape_of_metadata() {
        assert!(resources().iter().any(|one| &*one.id == "deployments.apps"));
        assert!(matches!(&object_meta().kind, crate::schema::Kind::Object(shape) if shape.known.len() > 10));
    }

    #[test]
    fn every_kind_named_here_is_in_the_table() {
        for id in COUNTED
            .iter()
            .chain(&RETURNED)
            .chain(&CONDITIONAL)
            .chain(&CREATED_BY_UPDATE)
            .chain(&ORPHANING)
            .chain(&SCALED)
        {
            assert!(resources().iter().any(|one| *one.id == **id), "{id}");
        }
    }
}
