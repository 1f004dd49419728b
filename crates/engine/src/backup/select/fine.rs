//! The filters of a resource policy, for the types of one cluster.

use std::collections::HashMap;

use crate::backup::policy::{Policy, ResourceFilter};
use crate::glob::{Glob, Globs};
use crate::labels::{Labels, Selector};
use crate::types::Catalog;

use super::types::TypeRule;

/// All filters of a policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fine {
    cluster: Vec<Filter>,
    /// By `resource.group`, an index into `cluster`.
    cluster_types: HashMap<String, usize>,
    namespaces: Vec<NamespaceFilters>,
    /// By name of a namespace, an index into `namespaces`.
    exact: HashMap<String, usize>,
    /// In the order of the policy: the first that matches counts.
    globs: Vec<(Glob, usize)>,
    /// Kinds of filters of namespaces, as written.
    kinds: Vec<String>,
}

/// The filters of some namespaces. What has none is not taken.
#[derive(Clone, Debug, Default)]
pub(super) struct NamespaceFilters {
    /// By `resource.group`.
    types: HashMap<String, Filter>,
    /// For all other types.
    others: Option<Filter>,
}

/// What a policy says of the objects of a type in a backup.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said<'a> {
    /// Nothing.
    Nothing,
    /// None of them is taken.
    None,
    /// Those that this one takes.
    Only(&'a Filter),
}

/// Which objects of a type are taken.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(super) selectors: Vec<Selector>,
    names: Globs,
    excluded_names: Globs,
}

impl From<&ResourceFilter> for Filter {
    fn from(ResourceFilter { kinds: _, selectors, names, excluded_names }: &ResourceFilter) -> Self {
        Self { selectors: selectors.clone(), names: names.clone(), excluded_names: excluded_names.clone() }
    }
}

impl Filter {
    pub(crate) fn takes_name(&self, name: &str) -> bool {
        !self.excluded_names.matches(name) && (self.names.is_empty() || self.names.matches(name))
    }

    pub(crate) fn takes_labels(&self, labels: &dyn Labels) -> bool {
        self.selectors.is_empty() || self.selectors.iter().any(|selector| selector.matches(labels))
    }
}

impl NamespaceFilters {
    pub(super) fn of(&self, rule: &TypeRule) -> Option<&Filter> {
        self.types.get(&rule.group_resource).or(self.others.as_ref())
    }
}

impl Fine {
    pub(crate) fn new(policy: &Policy, catalog: &Catalog, warnings: &mut Vec<String>) -> Self {
        let mut fine = Self::default();
        for (index, filter) in policy.cluster.iter().enumerate() {
            for kind in &filter.kinds {
                let resource = resource_of(kind, false, catalog, warnings);
                fine.cluster_types.insert(resource, index);
            }
            fine.cluster.push(filter.into());
        }
        for (index, of) in policy.namespaces.iter().enumerate() {
            let mut filters = NamespaceFilters::default();
            for filter in &of.filters {
                if filter.kinds.is_empty() {
                    filters.others = Some(filter.into());
                }
                for kind in &filter.kinds {
                    filters.types.insert(resource_of(kind, true, catalog, warnings), filter.into());
                    fine.kinds.push(kind.clone());
                }
            }
            fine.namespaces.push(filters);
            for namespace in &of.namespaces {
                if namespace.is_literal() {
                    fine.exact.insert(namespace.as_str().to_owned(), index);
                } else {
                    fine.globs.push((namespace.clone(), index));
                }
            }
        }
        fine
    }

    /// The filters of a namespace; none if the policy doesn't speak of it. Its name counts before globs.
    pub(super) fn of_namespace(&self, name: &str) -> Option<&NamespaceFilters> {
        if self.namespaces.is_empty() {
            return None;
        }
        let by_glob = || self.globs.iter().find(|(glob, _)| glob.matches(name)).map(|(_, index)| index);
        self.exact.get(name).or_else(by_glob).and_then(|index| self.namespaces.get(*index))
    }

    pub(super) fn has_namespaces(&self) -> bool {
        !self.namespaces.is_empty()
    }

    pub(super) fn index_of_cluster(&self, group_resource: &str) -> Option<usize> {
        self.cluster_types.get(group_resource).copied()
    }

    /// The filter of a cluster-scoped type.
    pub(super) fn cluster(&self, rule: &TypeRule) -> Option<&Filter> {
        rule.cluster_filter.and_then(|index| self.cluster.get(index))
    }

    /// What is said of a type in a backup. Its kind counts where the policy names a type that the cluster doesn't know.
    pub(crate) fn of_stored(&self, group_resource: &str, namespace: Option<&str>, kind: &str) -> Said<'_> {
        let Some(namespace) = namespace else {
            let index = by_type_or_kind(&self.cluster_types, group_resource, kind);
            return index.and_then(|index| self.cluster.get(*index)).map_or(Said::Nothing, Said::Only);
        };
        let Some(filters) = self.of_namespace(namespace) else { return Said::Nothing };
        let filter = by_type_or_kind(&filters.types, group_resource, kind).or(filters.others.as_ref());
        filter.map_or(Said::None, Said::Only)
    }

    /// Kinds that have filters by namespace, as written.
    pub(super) fn kinds(&self) -> &[String] {
        &self.kinds
    }
}

fn by_type_or_kind<'a, T>(types: &'a HashMap<String, T>, group_resource: &str, kind: &str) -> Option<&'a T> {
    let of_kind = || types.iter().find(|(written, _)| written.eq_ignore_ascii_case(kind)).map(|(_, of)| of);
    types.get(group_resource).or_else(of_kind)
}

/// The type that a policy means by `kind`, as `resource.group`. As in Velero a name with a dot has to be that already.
fn resource_of(kind: &str, namespaced: bool, catalog: &Catalog, warnings: &mut Vec<String>) -> String {
    let Some(api) = catalog.find(kind) else {
        warnings.push(format!("the resource policy filters `{kind}`, which the cluster doesn't serve"));
        return kind.to_owned();
    };
    if api.namespaced != namespaced {
        let (is, list) = if api.namespaced {
            ("namespaced", "namespacedFilterPolicies")
        } else {
            ("cluster-scoped", "clusterScopedFilterPolicy")
        };
        warnings.push(format!(
            "the resource policy filters `{kind}` where it has no effect: it is {is}, so its filter belongs to {list}"
        ));
    }
    if kind.contains('.') { kind.to_owned() } else { api.group_resource() }
}
