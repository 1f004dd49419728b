//! What a Restore takes of a backup, in which order, and where it puts it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::backup::select::{Fine, Said};
use crate::labels::Selector;
use crate::types::Catalog;

use super::hooks::SpecHook;
use super::modifiers::Modifiers;
use super::object;
use super::patterns::Patterns;

/// Types that come first, in this order (`--restore-resource-priorities` of Velero 1.18).
const FIRST: [&str; 23] = [
    "customresourcedefinitions",
    "namespaces",
    "storageclasses",
    "volumesnapshotclass.snapshot.storage.k8s.io",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io",
    "datauploads.velero.io",
    "persistentvolumes",
    "persistentvolumeclaims",
    "clusterroles",
    "roles",
    "serviceaccounts",
    "clusterrolebindings",
    "rolebindings",
    "secrets",
    "configmaps",
    "limitranges",
    "priorityclasses",
    "pods",
    "replicasets.apps",
    "clusterclasses.cluster.x-k8s.io",
    "endpoints",
    "services",
];

/// Types that come last, in this order.
const LAST: [&str; 5] = [
    "clusterbootstraps.run.tanzu.vmware.com",
    "clusters.cluster.x-k8s.io",
    "clusterresourcesets.addons.cluster.x-k8s.io",
    "apps.kappctrl.k14s.io",
    "packageinstalls.packaging.carvel.dev",
];

/// The type of CustomResourceDefinitions: restored first, and awaited before anything else.
pub const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// What happens to an object that is there already and differs (`spec.existingResourcePolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It stays as it is, with a warning.
    None,
    /// It is patched to what the backup holds.
    Update,
}

/// Why an object of the backup is not restored by this Restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excluded {
    /// Its type is not taken.
    #[error("its type is excluded")]
    Type,
    /// Its namespace is not taken.
    #[error("its namespace is excluded")]
    Namespace,
    /// `includeClusterResources` is `false`.
    #[error("it is cluster-scoped, and `includeClusterResources` is `false`")]
    ClusterScoped,
    /// `includeClusterResources` is not set and not every namespace is taken.
    #[error("it is cluster-scoped, and only specific namespaces are included")]
    SpecificNamespaces,
}

/// What a Restore takes, after validation. Types are named as in an archive: `pods`, `deployments.apps`.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) restore: String,
    pub(crate) backup: String,
    pub(crate) types: Patterns,
    pub(crate) status: Option<Patterns>,
    pub(crate) namespaces: Patterns,
    pub(crate) mapping: BTreeMap<String, String>,
    pub(crate) cluster_scoped: Option<bool>,
    pub(crate) selector: Selector,
    pub(crate) one_of: Vec<Selector>,
    pub(crate) filters: Option<Fine>,
    pub(crate) policy: Option<Policy>,
    pub(crate) keep_node_ports: bool,
    pub(crate) restore_volumes: bool,
    pub(crate) hooks: Vec<SpecHook>,
    pub(crate) modifiers: Option<Modifiers>,
}

impl Plan {
    /// Name of the Restore.
    #[must_use]
    pub fn restore(&self) -> &str {
        &self.restore
    }

    /// Name of the chosen Backup.
    #[must_use]
    pub fn backup(&self) -> &str {
        &self.backup
    }

    /// What happens to an object that is there already; `None` if the spec doesn't say.
    #[must_use]
    pub fn policy(&self) -> Option<Policy> {
        self.policy
    }

    /// Whether objects of a type are taken at all.
    #[must_use]
    pub fn takes_type(&self, resource: &str) -> bool {
        self.types.takes(resource)
    }

    /// The wanted ones of the types in the backup, in the order of their restore: CRDs, Velero's high
    /// priorities, the others by name, the low priorities.
    ///
    /// After CRDs were restored ask again with a fresh catalog: it tells what a priority's short form means.
    #[must_use]
    pub fn order<'a>(&self, in_backup: impl IntoIterator<Item = &'a str>, catalog: &Catalog) -> Vec<&'a str> {
        let rest: BTreeSet<&str> = in_backup.into_iter().filter(|name| self.takes_type(name)).collect();
        let full = |priority: &str| match priority {
            "customresourcedefinitions" => CRDS.to_owned(),
            other => catalog.find(other).map_or_else(|| other.to_owned(), |known| known.group_resource()),
        };
        let present = |priorities: &[&str]| -> Vec<&'a str> {
            priorities.iter().filter_map(|priority| rest.get(full(priority).as_str()).copied()).collect()
        };
        let (first, last) = (present(&FIRST), present(&LAST));
        let between = rest.iter().copied().filter(|name| !first.contains(name) && !last.contains(name));
        first.iter().copied().chain(between).chain(last.iter().copied()).collect()
    }

    /// Whether objects of this type in this namespace of the backup (none = cluster-scoped) are taken. Their
    /// labels are asked of by [`Plan::selects`].
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn takes(&self, resource: &str, namespace: Option<&str>) -> Result<(), Excluded> {
        self.takes_related(resource, namespace)?;
        let listed = self.cluster_scoped == Some(true) || self.namespaces.takes_everything();
        if namespace.is_none() && !listed { Err(Excluded::SpecificNamespaces) } else { Ok(()) }
    }

    /// Whether an object that another one brings in is taken: its type and namespace have to be, its labels
    /// don't matter, and a cluster-scoped one comes in unless `includeClusterResources` is `false`.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn takes_related(&self, resource: &str, namespace: Option<&str>) -> Result<(), Excluded> {
        if !self.takes_type(resource) {
            return Err(Excluded::Type);
        }
        match namespace {
            Some(namespace) if !self.namespaces.takes(namespace) => Err(Excluded::Namespace),
            None if self.cluster_scoped == Some(false) => Err(Excluded::ClusterScoped),
            _ => Ok(()),
        }
    }

    /// Whether it takes by itself all that another object may bring in: no labels decide, and no cluster-scoped object
    /// comes in only because it is needed.
    pub(crate) fn takes_all_that_is_related(&self) -> bool {
        let is_one_scope = self.cluster_scoped.is_some() || self.namespaces.takes_everything();
        is_one_scope && self.filters.is_none() && self.selector.is_everything() && self.one_of.is_empty()
    }

    /// Whether the resource policy takes this object; where that says nothing, the selectors, by its labels.
    #[must_use]
    pub fn selects(&self, resource: &str, namespace: Option<&str>, object: &Value) -> bool {
        let labels = object::labels(object);
        let kind = object::text(object, &["kind"]).unwrap_or_default();
        match self.filters.as_ref().map_or(Said::Nothing, |all| all.of_stored(resource, namespace, kind)) {
            Said::None => false,
            Said::Only(filter) => filter.takes_name(object::name(object)) && filter.takes_labels(&labels),
            Said::Nothing => {
                self.selector.matches(&labels)
                    && (self.one_of.is_empty()
                        || self.one_of.iter().any(|selector| selector.matches(&labels)))
            }
        }
    }

    /// The namespace that the content of `namespace` goes to.
    #[must_use]
    pub fn target<'a>(&'a self, namespace: &'a str) -> &'a str {
        self.mapping.get(namespace).map_or(namespace, String::as_str)
    }

    /// Whether the status of an object of this type is restored: the annotation `velero.io/restore-status` of
    /// the object decides, else `spec.restoreStatus`, else not.
    #[must_use]
    pub(crate) fn takes_status(&self, resource: &str, object: &Value) -> bool {
        let annotation = object::annotation(object, "velero.io/restore-status").unwrap_or_default();
        match annotation.trim().to_lowercase().as_str() {
            "true" => true,
            "false" => false,
            _ => self.status.as_ref().is_some_and(|types| types.takes(resource)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::plan;
    use super::*;
    use crate::types::ApiType;

    #[test]
    fn crds_and_priorities_come_first_the_others_by_name_and_low_priorities_last() {
        let catalog = Catalog {
            types: vec![ApiType {
                group: "snapshot.storage.k8s.io".into(),
                resource: "volumesnapshotclasses".into(),
                singular: "volumesnapshotclass".into(),
                ..ApiType::default()
            }],
            failed: Vec::new(),
        };
        let backup = [
            "clusters.cluster.x-k8s.io",
            "widgets.example.com",
            "services",
            "deployments.apps",
            "secrets",
            "persistentvolumes",
            "volumesnapshotclasses.snapshot.storage.k8s.io",
            "namespaces",
            "events",
            CRDS,
        ];
        assert_eq!(
            plan(json!({})).order(backup, &catalog),
            [
                CRDS,
                "namespaces",
                "volumesnapshotclasses.snapshot.storage.k8s.io",
                "persistentvolumes",
                "secrets",
                "services",
                "deployments.apps",
                "widgets.example.com",
                "clusters.cluster.x-k8s.io",
            ]
        );
    }

    #[test]
    fn cluster_scoped_objects_follow_include_cluster_resources_and_the_namespaces() {
        // (spec, takes a ClusterRole of the backup, takes one that another object brings in)
        for (spec, listed, related) in [
            (json!({}), Ok(()), Ok(())),
            (json!({"includedNamespaces": ["*"]}), Ok(()), Ok(())),
            (json!({"includedNamespaces": ["a"]}), Err(Excluded::SpecificNamespaces), Ok(())),
            (json!({"excludedNamespaces": ["a"]}), Err(Excluded::SpecificNamespaces), Ok(())),
            (json!({"includedNamespaces": ["a"], "includeClusterResources": true}), Ok(()), Ok(())),
            (
                json!({"includeClusterResources": false}),
                Err(Excluded::ClusterScoped),
                Err(Excluded::ClusterScoped),
            ),
            (json!({"excludedResources": ["clusterroles*"]}), Err(Excluded::Type), Err(Excluded::Type)),
        ] {
            let plan = plan(spec.clone());
            assert_eq!(plan.takes("clusterroles.rbac.authorization.k8s.io", None), listed, "{spec}");
            assert_eq!(plan.takes_related("clusterroles.rbac.authorization.k8s.io", None), related, "{spec}");
        }
    }

    #[test]
    fn what_is_related_is_asked_for_only_where_the_plan_may_not_take_it_by_itself() {
        let labels = json!({"matchLabels": {"a": "b"}});
        for (spec, all) in [
            (json!({}), true),
            (json!({"includedNamespaces": ["a"]}), false),
            (json!({"includedNamespaces": ["a"], "includeClusterResources": true}), true),
            (json!({"includedNamespaces": ["a"], "includeClusterResources": false}), true),
            (json!({"labelSelector": labels}), false),
            (json!({"orLabelSelectors": [labels]}), false),
        ] {
            assert_eq!(plan(spec.clone()).takes_all_that_is_related(), all, "{spec}");
        }
    }

    #[test]
    fn namespaces_are_filtered_by_their_names_in_the_backup() {
        let plan = plan(json!({"includedNamespaces": ["app-*"], "namespaceMapping": {"app-1": "b"}}));
        assert_eq!(plan.takes("pods", Some("app-1")), Ok(()));
        assert_eq!(plan.takes("pods", Some("b")), Err(Excluded::Namespace));
        assert_eq!(plan.target("app-1"), "b");
        assert_eq!(plan.target("app-2"), "app-2");
    }

    #[test]
    fn an_object_is_selected_by_all_of_one_or_any_of_many() {
        let labelled = |value: &str| json!({"metadata": {"labels": {"app": value}}});
        let one = plan(json!({"labelSelector": {"matchLabels": {"app": "a"}}}));
        assert!(one.selects("pods", Some("n"), &labelled("a")));
        assert!(!one.selects("pods", Some("n"), &labelled("b")));
        let many = plan(json!({"orLabelSelectors": [
            {"matchLabels": {"app": "a"}}, {"matchLabels": {"app": "b"}},
        ]}));
        assert!(many.selects("pods", Some("n"), &labelled("b")));
        assert!(!many.selects("pods", Some("n"), &labelled("c")));
        assert!(!many.selects("pods", Some("n"), &json!({})));
    }

    #[test]
    fn an_object_s_own_annotation_decides_on_its_status() {
        let with = |value: &str| json!({"metadata": {"annotations": {"velero.io/restore-status": value}}});
        let none = plan(json!({}));
        let pods = plan(json!({"restoreStatus": {"includedResources": ["pods"]}}));
        for (object, by_default, by_spec) in [
            (json!({}), false, true),
            (with(" True"), true, true),
            (with("false"), false, false),
            (with("maybe"), false, true),
        ] {
            assert_eq!(none.takes_status("pods", &object), by_default, "{object}");
            assert_eq!(pods.takes_status("pods", &object), by_spec, "{object}");
            assert_eq!(pods.takes_status("services", &object), object == with(" True"), "{object}");
        }
    }
}
