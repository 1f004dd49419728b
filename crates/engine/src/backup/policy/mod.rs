//! Resource policies: the ConfigMap that `spec.resourcePolicy` names, by the rules of Velero 1.18.3.
//!
//! [`Policy::parse`] is strict: what it doesn't know is refused, because a filter that is overlooked makes a backup
//! that holds other things than its owner thinks.

mod raw;
#[cfg(test)]
mod tests;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::glob::{Glob, Globs};
use crate::labels::Selector;

use super::select::check_namespace_glob;

/// The only version there is.
const VERSION: &str = "v1";

/// A policy that can be applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Types to take and to leave out, where the Backup doesn't say otherwise.
    pub types: Option<TypePolicy>,
    /// Filters of cluster-scoped types.
    pub cluster: Vec<ResourceFilter>,
    /// Filters of namespaces; what they don't list isn't taken from these.
    pub namespaces: Vec<NamespacePolicy>,
    /// How many rules there are for volumes. They are checked and of no use to an engine that moves no volume data.
    pub volume_rules: usize,
}

/// Types to take and to leave out: names as users write them, and globs. Never `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypePolicy {
    /// Cluster-scoped types to take.
    pub include_cluster: Vec<Glob>,
    /// Cluster-scoped types to leave out.
    pub exclude_cluster: Vec<Glob>,
    /// Namespaced types to take.
    pub include_namespaced: Vec<Glob>,
    /// Namespaced types to leave out.
    pub exclude_namespaced: Vec<Glob>,
}

/// What is taken from some namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespacePolicy {
    /// Names of namespaces and globs.
    pub namespaces: Vec<Glob>,
    /// The filters of types; at most one is without kinds.
    pub filters: Vec<ResourceFilter>,
}

/// Which objects of some types are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceFilter {
    /// The types; empty means those without a filter of their own.
    pub kinds: Vec<String>,
    /// One of these has to match; empty means all objects.
    pub selectors: Vec<Selector>,
    /// Names to take; empty means all.
    pub names: Globs,
    /// Names to leave out.
    pub excluded_names: Globs,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

/// An error at a place of the policy.
fn at(path: impl Display, problem: impl Display) -> PolicyError {
    PolicyError(format!("{path}: {problem}"))
}

impl Policy {
    /// Reads the data of the ConfigMap.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, PolicyError> {
        let mut texts = data.values();
        let (Some(text), None) = (texts.next(), texts.next()) else {
            return Err(PolicyError(format!(
                "it has {} keys: a ConfigMap with resource policies has exactly one",
                data.len()
            )));
        };
        let raw::Policy { version, volumes, types, cluster, namespaces } = raw::read(text)?;
        if version != VERSION {
            return Err(PolicyError(format!(
                "incompatible version number `{version}` with supported version {VERSION}"
            )));
        }
        let volumes = volumes.unwrap_or_default();
        for (index, rule) in volumes.iter().enumerate() {
            volume::check(&format!("volumePolicies[{index}]"), rule)?;
        }
        Ok(Self {
            types: types.map(type_policy).transpose()?,
            cluster: cluster.map(cluster_filters).transpose()?.unwrap_or_default(),
            namespaces: namespace_policies(namespaces.unwrap_or_default())?,
            volume_rules: volumes.len(),
        })
    }

    /// Whether it says more about objects than which types are taken.
    #[must_use]
    pub const fn has_filters(&self) -> bool {
        !self.cluster.is_empty() || !self.namespaces.is_empty()
    }
}

fn type_policy(raw: raw::Types) -> Result<TypePolicy, PolicyError> {
    let raw::Types { include_cluster, exclude_cluster, include_namespaced, exclude_namespaced } = raw;
    let (include_cluster, exclude_cluster) = types("ClusterScoped", include_cluster, exclude_cluster)?;
    let (include_namespaced, exclude_namespaced) =
        types("NamespaceScoped", include_namespaced, exclude_namespaced)?;
    Ok(TypePolicy { include_cluster, exclude_cluster, include_namespaced, exclude_namespaced })
}

fn types(
    scope: &str,
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
) -> Result<(Vec<Glob>, Vec<Glob>), PolicyError> {
    let (include, exclude) = (include.unwrap_or_default(), exclude.unwrap_or_default());
    let path = |list: &str| format!("includeExcludePolicy.{list}{scope}Resources");
    for (list, names) in [("included", &include), ("excluded", &exclude)] {
        if names.iter().any(|name| name == "*") {
            return Err(at(path(list), "cannot use '*' in includes or excludes filters in the policy"));
        }
    }
    if let Some(both) = exclude.iter().find(|name| include.contains(name)) {
        return Err(at(
            path("excluded"),
            format_args!("excludes list cannot contain an item in the includes list: {both}"),
        ));
    }
    let globs = |list: &str, names: &[String]| -> Result<Vec<Glob>, PolicyError> {
        names.iter().map(|name| Glob::parse(name).map_err(|error| at(path(list), error))).collect()
    };
    Ok((globs("included", &include)?, globs("excluded", &exclude)?))
}

fn cluster_filters(raw: raw::Filters) -> Result<Vec<ResourceFilter>, PolicyError> {
    const PATH: &str = "clusterScopedFilterPolicy";
    let filters = raw.filters.unwrap_or_default();
    if filters.is_empty() {
        return Err(at(
            PATH,
            "resourceFilters cannot be empty; remove the policy block entirely if it is not needed",
        ));
    }
    let filters = resource_filters(PATH, filters)?;
    if let Some(index) = filters.iter().position(|filter| filter.kinds.is_empty()) {
        return Err(at(
            format_args!("{PATH}.resourceFilters[{index}]"),
            "kinds must be specified (catch-all is not supported)",
        ));
    }
    Ok(filters)
}

fn namespace_policies(raw: Vec<raw::NamespaceFilters>) -> Result<Vec<NamespacePolicy>, PolicyError> {
    let mut seen = BTreeSet::new();
    raw.into_iter()
        .enumerate()
        .map(|(index, raw::NamespaceFilters { namespaces, filters })| {
            let path = format!("namespacedFilterPolicies[{index}]");
            let (namespaces, filters) = (namespaces.unwrap_or_default(), filters.unwrap_or_default());
            if namespaces.is_empty() {
                return Err(at(path, "at least one namespace must be specified"));
            }
            if filters.is_empty() {
                return Err(at(path, "at least one resourceFilter must be specified"));
            }
            let namespaces = namespaces
                .into_iter()
                .enumerate()
                .map(|(index, pattern)| {
                    let path = format!("{path}.namespaces[{index}]");
                    let glob = check_namespace_glob(&pattern).map_err(|problem| at(&path, problem))?;
                    if seen.insert(pattern) {
                        Ok(glob)
                    } else {
                        Err(at(path, format_args!("duplicate namespace pattern '{glob}': keep one of them")))
                    }
                })
                .collect::<Result<_, _>>()?;
            Ok(NamespacePolicy { namespaces, filters: resource_filters(&path, filters)? })
        })
        .collect()
}

fn resource_filters(path: &str, raw: Vec<raw::Filter>) -> Result<Vec<ResourceFilter>, PolicyError> {
    let mut seen = BTreeMap::new();
    let mut catch_all = false;
    raw.into_iter()
        .enumerate()
        .map(|(index, raw)| {
            let own = format!("{path}.resourceFilters[{index}]");
            let filter = resource_filter(&own, raw)?;
            if filter.kinds.is_empty() {
                if std::mem::replace(&mut catch_all, true) {
                    return Err(at(path, "only one catch-all resource filter is allowed"));
                }
                if !filter.names.is_empty() || !filter.excluded_names.is_empty() {
                    return Err(at(own, "names or excludedNames cannot be specified for catch-all filters"));
                }
            }
            for kind in filter.kinds.iter().filter(|kind| *kind != "*") {
                if let Some(first) = seen.insert(kind.clone(), index) {
                    return Err(at(
                        path,
                        format_args!(
                            "kind \"{kind}\" appears in both resourceFilters[{first}] and resourceFilters[{index}]"
                        ),
                    ));
                }
            }
            Ok(filter)
        })
        .collect()
}

fn resource_filter(path: &str, raw: raw::Filter) -> Result<ResourceFilter, PolicyError> {
    let raw::Filter { kinds, selector, or_selectors, names, excluded_names } = raw;
    let selector = selector.filter(|selector| !is_empty(selector));
    let or_selectors = or_selectors.unwrap_or_default();
    if selector.is_some() && !or_selectors.is_empty() {
        return Err(at(path, "labelSelector and orLabelSelectors cannot co-exist"));
    }
    let parse = |path: String, selector| {
        Selector::parse(&selector).map_err(|error| at(path, format_args!("invalid label selector: {error}")))
    };
    let own = selector.map(|selector| parse(format!("{path}.labelSelector"), selector));
    let others = or_selectors
        .into_iter()
        .flatten()
        .enumerate()
        // As Velero: one that selects everything is as if it weren't there.
        .filter(|(_, selector)| !is_empty(selector))
        .map(|(index, selector)| parse(format!("{path}.orLabelSelectors[{index}]"), selector));
    let mut kinds = kinds.unwrap_or_default();
    if kinds == ["*"] {
        kinds.clear();
    }
    Ok(ResourceFilter {
        kinds,
        selectors: own.into_iter().chain(others).collect::<Result<_, _>>()?,
        names: globs(format_args!("{path}.names"), names)?,
        excluded_names: globs(format_args!("{path}.excludedNames"), excluded_names)?,
    })
}

fn is_empty(selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

fn globs(path: impl Display, names: Option<Vec<String>>) -> Result<Globs, PolicyError> {
    let globs = names.into_iter().flatten().enumerate().map(|(index, name)| {
        Glob::parse(&name).map_err(|error| {
            at(format_args!("{path}[{index}]"), format_args!("invalid glob pattern: {error}"))
        })
    });
    globs.collect()
}
