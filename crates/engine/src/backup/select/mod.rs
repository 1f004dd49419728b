//! Which objects a Backup takes.
//!
//! [`Filters`] is what a Backup asks for, read and checked by [`prepare`](super::prepare); a [`Selection`] is its
//! meaning for the types and namespaces of one cluster. Pure, and [`Selection::takes_item`] allocates nothing.
//!
//! The rules are those of Velero 1.18.3. Two of its surprises are kept, because either engine has to take the same:
//! - A Backup without any filter takes no cluster-scoped objects but Namespaces, CustomResourceDefinitions of what it
//!   takes, and what these bring in.
//! - Where a filter of a resource policy applies to a namespace, it replaces the Backup's selector if the namespace is
//!   listed on its own, and adds to it if all namespaces are listed at once; see [`Selection::lists`].
//!
//! Where Velero's answer is a failure, ours is not:
//! - A `labelSelector` without requirements selects everything; Velero can't list anything with it.
//! - A glob among the excluded namespaces that would match the name `*` is a glob like any other; in Velero all namespaces
//!   drop out with it.

mod fine;
mod namespaces;
#[cfg(test)]
mod tests;
mod types;
mod visit;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::glob::Glob;
use crate::labels::{Labels, Selector};
use crate::types::{ApiType, Catalog};

use super::policy::Policy;
use namespaces::Namespaces;
use types::TypeRule;

pub(crate) use fine::{Fine, Said};
pub use namespaces::{check_namespace_glob, check_namespace_name};

/// The label with which an object, or a namespace with all that is in it, stays out of backups.
pub const EXCLUDE_LABEL: &str = "velero.io/exclude-from-backup";
/// With this label on a namespace Argo CD looks after it.
const ARGO_CD_LABEL: &str = "argocd.argoproj.io/managed-by";

/// What a Backup asks for, as far as it can be known without its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    /// Namespaces to take: names and globs; empty means all.
    pub include_namespaces: Vec<Glob>,
    /// Namespaces to leave out: names and globs.
    pub exclude_namespaces: Vec<Glob>,
    /// Types to take and to leave out.
    pub types: TypeFilter,
    /// One of these has to match an object's labels; empty means that labels don't matter.
    pub selectors: Vec<Selector>,
    /// What the resource policy adds.
    pub policy: Policy,
    /// By resource, such as `pods`: the objects that come first.
    pub ordered: BTreeMap<String, Vec<Ordered>>,
}

/// An object that has its place in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// Its namespace; none for cluster-scoped ones.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Ordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Types to take and to leave out: names as users write them, and globs; empty lists to take mean all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeFilter {
    /// The old style: one list for both scopes.
    Global {
        /// Types to take.
        include: Vec<Glob>,
        /// Types to leave out.
        exclude: Vec<Glob>,
        /// Whether cluster-scoped types are taken; none: only if all namespaces are.
        cluster: Option<bool>,
    },
    /// The new style: a list for each scope.
    Scoped {
        /// Cluster-scoped types to take. Empty doesn't mean all here, but in a Backup without any filter it does for Velero up to 1.16.
        include_cluster: Vec<Glob>,
        /// Cluster-scoped types to leave out.
        exclude_cluster: Vec<Glob>,
        /// Namespaced types to take.
        include_namespaced: Vec<Glob>,
        /// Namespaced types to leave out.
        exclude_namespaced: Vec<Glob>,
    },
}

/// A namespace of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceFact {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its phase is `Active`.
    pub active: bool,
}

/// What decides about an object, beside its type.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// Its namespace; none for cluster-scoped ones.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a dyn Labels,
    /// Whether it has a deletion timestamp.
    pub deleting: bool,
}

/// A list to ask of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Of this namespace; none means the whole cluster.
    pub namespace: Option<String>,
    /// With this label selector; none means all.
    pub label_selector: Option<String>,
}

/// What a Backup takes of one cluster.
#[derive(Clone, Debug)]
pub struct Selection {
    namespaces: Namespaces,
    /// By resource: few groups have one of the same name.
    rules: HashMap<String, Vec<TypeRule>>,
    selectors: Vec<Selector>,
    fine: Fine,
    ordered: BTreeMap<String, Vec<Ordered>>,
    tracked: HashSet<String>,
    missing: Vec<String>,
    warnings: Vec<String>,
}

impl Selection {
    /// The meaning of `filters` for a cluster with these types and namespaces.
    #[must_use]
    pub fn new(filters: &Filters, catalog: &Catalog, existing: &[NamespaceFact]) -> Self {
        let namespaces = Namespaces::new(&filters.include_namespaces, &filters.exclude_namespaces, existing);
        let mut warnings = namespaces.warnings();
        let fine = Fine::new(&filters.policy, catalog, &mut warnings);
        let rules = types::rules(filters, catalog, &namespaces, &fine, &mut warnings);
        let called = |name: &str| catalog.types.iter().any(|api| api.resource == name);
        warnings.extend(filters.ordered.keys().filter(|name| !called(name)).map(|name| {
            format!(
                "spec.orderedResources.{name} has no effect: the cluster has no resource of that name; write the \
                 plural, such as `pods`"
            )
        }));
        let mut selection = Self {
            missing: namespaces.missing(existing),
            namespaces,
            rules,
            selectors: filters.selectors.clone(),
            fine,
            ordered: filters.ordered.clone(),
            tracked: HashSet::new(),
            warnings,
        };
        selection.tracked =
            existing.iter().filter(|one| selection.is_tracked(one)).map(|one| one.name.clone()).collect();
        selection.look_closer(catalog, existing);
        selection
    }

    /// Warnings that need the whole selection.
    fn look_closer(&mut self, catalog: &Catalog, existing: &[NamespaceFact]) {
        for kind in self.fine.kinds() {
            let barred = catalog.find(kind).and_then(|api| self.rule(api)).is_some_and(|rule| rule.barred);
            if barred {
                self.warnings.push(format!(
                    "the resource policy filters `{kind}` by namespace, which has no effect: the type is excluded"
                ));
            }
        }
        let managed: Vec<&str> = existing
            .iter()
            .filter(|one| one.labels.value(ARGO_CD_LABEL).is_some_and(|by| !by.is_empty()))
            .filter(|one| self.takes_namespace(&one.name))
            .map(|one| one.name.as_str())
            .collect();
        if !managed.is_empty() {
            self.warnings.push(format!(
                "the namespaces {} are managed by Argo CD: what is restored of them, Argo CD may change or remove",
                managed.join(", ")
            ));
        }
    }

    /// As Velero 1.18 decides before it lists anything: a namespace is taken for its labels, or for its name; if
    /// labels are asked for and names are not, its name alone doesn't count.
    fn is_tracked(&self, namespace: &NamespaceFact) -> bool {
        namespace.active
            && (self.selectors.iter().any(|selector| selector.matches(&namespace.labels))
                || (self.selectors.is_empty() || !self.namespaces.is_everything())
                    && self.takes_namespace(&namespace.name))
    }

    fn rule(&self, api: &ApiType) -> Option<&TypeRule> {
        self.rules.get(api.resource.as_str())?.iter().find(|rule| rule.group == api.group)
    }

    /// Whether the objects of a type are collected. That of `namespaces` is too, unless it is excluded; which of them
    /// are stored, [`tracks_namespace`](Self::tracks_namespace) tells.
    #[must_use]
    pub fn takes_type(&self, api: &ApiType) -> bool {
        self.rule(api).is_some_and(|rule| rule.taken)
    }

    /// The types to collect, in Velero's order: API groups as the cluster tells them, `extensions` last, and within the
    /// core group pods, claims and volumes first. Of types that are served in two groups with the same objects, one.
    #[must_use]
    pub fn visit<'c>(&self, catalog: &'c Catalog) -> Vec<&'c ApiType> {
        visit::visit(catalog, |api| self.takes_type(api))
    }

    /// The lists that hold all objects of a type, and perhaps others: [`takes_item`](Self::takes_item) sorts them out.
    /// With several selectors an object may be in several lists. Empty if nothing can be taken.
    ///
    /// One list for the whole cluster if the Backup includes all namespaces, else one for each.
    #[must_use]
    pub fn lists(&self, api: &ApiType) -> Vec<Listing> {
        let Some(rule) = self.rule(api).filter(|rule| rule.taken) else { return Vec::new() };
        if !rule.namespaced {
            let selectors = self.fine.cluster(rule).map_or(&self.selectors, |filter| &filter.selectors);
            return listings(None, selectors);
        }
        let in_namespace = |namespace: Option<&str>| {
            // Velero asks for the filter of the namespace "" where it lists all of them.
            match self.fine.of_namespace(namespace.unwrap_or_default()) {
                None => listings(namespace, &self.selectors),
                Some(filters) => {
                    filters.of(rule).map_or_else(Vec::new, |filter| listings(namespace, &filter.selectors))
                }
            }
        };
        match self.namespaces.listed() {
            None => in_namespace(None),
            Some(names) => names.iter().flat_map(|name| in_namespace(Some(name))).collect(),
        }
    }

    /// Whether an object that came in one of the [`lists`](Self::lists) of its type is taken.
    #[must_use]
    pub fn takes_item(&self, api: &ApiType, item: &Item<'_>) -> bool {
        let Some(rule) = self.rule(api).filter(|rule| rule.taken) else { return false };
        self.lets_in(rule, item) && self.fine_takes(rule, item)
    }

    /// Whether an object may come in because another brings it, such as the volume of a claim: selectors don't matter
    /// then, and cluster-scoped types only have to be not excluded.
    #[must_use]
    pub fn related(&self, api: &ApiType, item: &Item<'_>) -> bool {
        self.rule(api).is_some_and(|rule| self.lets_in(rule, item))
    }

    /// The checks that every object passes, whatever brought it.
    fn lets_in(&self, rule: &TypeRule, item: &Item<'_>) -> bool {
        if item.deleting || item.labels.value(EXCLUDE_LABEL) == Some("true") {
            return false;
        }
        match item.namespace.filter(|namespace| !namespace.is_empty()) {
            Some(namespace) => {
                rule.taken
                    && self.namespaces.takes(namespace)
                    && self
                        .fine
                        .of_namespace(namespace)
                        .and_then(|filters| filters.of(rule))
                        .is_none_or(|filter| filter.takes_name(item.name))
            }
            None => {
                (!rule.barred || rule.is_namespaces())
                    && self.fine.cluster(rule).is_none_or(|filter| filter.takes_name(item.name))
            }
        }
    }

    /// What the filters of an object's namespace say about its type and labels.
    fn fine_takes(&self, rule: &TypeRule, item: &Item<'_>) -> bool {
        let Some(namespace) = item.namespace else { return true };
        match self.fine.of_namespace(namespace) {
            None => true,
            Some(filters) => filters.of(rule).is_some_and(|filter| filter.takes_labels(item.labels)),
        }
    }

    /// Whether objects of this namespace are taken.
    #[must_use]
    pub fn takes_namespace(&self, name: &str) -> bool {
        self.namespaces.takes(name)
    }

    /// Whether the Namespace itself is taken even if none of its objects is. The Namespace of each object that was
    /// taken from a list is, too. Both need [`takes_item`](Self::takes_item) to agree.
    #[must_use]
    pub fn tracks_namespace(&self, name: &str) -> bool {
        self.tracked.contains(name)
    }

    /// An error, in Velero's words, for each namespace that the Backup names and that doesn't exist. As in Velero none,
    /// if the type of namespaces isn't collected.
    pub fn missing_namespaces(&self) -> impl Iterator<Item = String> {
        let collected = self.named("namespaces", "").is_some_and(|rule| rule.taken);
        self.missing.iter().filter(move |_| collected).map(|name| {
            format!("fail to get the namespace {name} specified in backup.Spec.IncludedNamespaces")
        })
    }

    /// Whether, after all objects, the definition of each custom type that was taken is added: if they are not taken
    /// anyway and not excluded.
    #[must_use]
    pub fn adds_definitions(&self) -> bool {
        self.named("customresourcedefinitions", "apiextensions.k8s.io")
            .is_some_and(|rule| !rule.taken && !rule.barred)
    }

    fn named(&self, resource: &str, group: &str) -> Option<&TypeRule> {
        self.rules.get(resource)?.iter().find(|rule| rule.group == group)
    }

    /// Whether objects may be left out although their type and their namespace are taken. Else nothing that one
    /// namespaced object brings in can be missing in the lists.
    #[must_use]
    pub fn narrows(&self) -> bool {
        self.fine.has_namespaces() || self.selectors.iter().any(|selector| !selector.is_everything())
    }

    /// The objects of a type that come first, in this order. Some of them may not exist.
    #[must_use]
    pub fn ordered(&self, api: &ApiType) -> &[Ordered] {
        self.ordered.get(&api.resource).map_or(&[], Vec::as_slice)
    }

    /// What its owner should know about the selection, such as a glob that matches nothing.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// One list for each selector; one for all if one of them selects everything.
fn listings(namespace: Option<&str>, selectors: &[Selector]) -> Vec<Listing> {
    let listing = |label_selector| Listing { namespace: namespace.map(str::to_owned), label_selector };
    if selectors.is_empty() || selectors.iter().any(Selector::is_everything) {
        return vec![listing(None)];
    }
    let mut all: Vec<Listing> = Vec::with_capacity(selectors.len());
    for selector in selectors {
        let one = listing(Some(selector.to_string()));
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}
