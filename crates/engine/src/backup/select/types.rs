//! Which types a Backup takes, and which it keeps out even if they are related to what it takes.
//!
//! Names are resolved as Velero 1.18 does: by what the cluster serves; what it doesn't serve is kept as written, so that
//! a list of unknown names is not an empty list, which would mean everything.

use std::collections::HashMap;

use crate::glob::{Glob, Globs};
use crate::types::{ApiType, Catalog};

use super::fine::Fine;
use super::namespaces::Namespaces;
use super::{Filters, TypeFilter};
use crate::backup::policy::TypePolicy;

/// What objects of a type have to be able to do to be backed up and restored.
const VERBS: [&str; 4] = ["list", "create", "get", "delete"];

/// What the filters mean for one type.
#[derive(Clone, Debug)]
pub(super) struct TypeRule {
    pub(super) group: String,
    /// `deployments.apps`
    pub(super) group_resource: String,
    pub(super) namespaced: bool,
    /// Its objects are collected.
    pub(super) taken: bool,
    /// Its objects stay out even if something brings them.
    pub(super) barred: bool,
    /// Index of its filter for cluster-scoped types.
    pub(super) cluster_filter: Option<usize>,
}

impl TypeRule {
    pub(super) fn is_namespaces(&self) -> bool {
        self.group_resource == NAMESPACES
    }
}

const NAMESPACES: &str = "namespaces";

/// Lists of types to take and to leave out.
#[derive(Debug, Default)]
struct Lists {
    include: Globs,
    exclude: Globs,
}

impl Lists {
    fn take(&self, group_resource: &str) -> bool {
        !self.exclude.matches(group_resource)
            && (self.include.is_empty() || self.include.matches(group_resource))
    }

    fn take_everything(&self) -> bool {
        self.exclude.is_empty() && (self.include.is_empty() || self.include.is_any())
    }

    /// Whether one of the lists already decides about what `name` stands for.
    fn decide(&self, name: &Glob) -> bool {
        self.include.matches(name.as_str()) || self.exclude.matches(name.as_str())
    }
}

enum Rules {
    Global { lists: Lists, cluster: Option<bool> },
    Scoped { cluster: Lists, namespaced: Lists },
}

pub(super) fn rules(
    filters: &Filters,
    catalog: &Catalog,
    namespaces: &Namespaces,
    fine: &Fine,
    warnings: &mut Vec<String>,
) -> HashMap<String, Vec<TypeRule>> {
    let rules = match &filters.types {
        TypeFilter::Global { include, exclude, cluster } => {
            let resolve = |names: &[Glob]| names.iter().map(|name| resolved(name, catalog).0).collect();
            Rules::Global {
                lists: Lists { include: resolve(include), exclude: resolve(exclude) },
                cluster: *cluster,
            }
        }
        TypeFilter::Scoped { include_cluster, exclude_cluster, include_namespaced, exclude_namespaced } => {
            let mut scoped = |names: &[Glob], scope: Scope| -> Globs {
                names.iter().filter_map(|name| in_scope(name, scope, catalog, warnings)).collect()
            };
            let mut cluster = Lists {
                include: scoped(include_cluster, Scope::Cluster),
                exclude: scoped(exclude_cluster, Scope::Cluster),
            };
            let mut namespaced = Lists {
                include: scoped(include_namespaced, Scope::Namespaced),
                exclude: scoped(exclude_namespaced, Scope::Namespaced),
            };
            if let Some(policy) = &filters.policy.types {
                add_policy(policy, &mut cluster, &mut namespaced, catalog, warnings);
            }
            Rules::Scoped { cluster, namespaced }
        }
    };
    warnings.extend(unknown(&filters.types, catalog));
    let mut all: HashMap<String, Vec<TypeRule>> = HashMap::new();
    for api in &catalog.types {
        let rule = rules.of(api, namespaces, fine);
        all.entry(api.resource.clone()).or_default().push(rule);
    }
    all
}

impl Rules {
    fn of(&self, api: &ApiType, namespaces: &Namespaces, fine: &Fine) -> TypeRule {
        let name = api.group_resource();
        let (taken, barred) = match self {
            Self::Global { lists, cluster } => {
                let listed = lists.take(&name);
                let scope_taken = api.namespaced
                    || match cluster {
                        Some(taken) => *taken,
                        None => name == NAMESPACES || namespaces.is_everything(),
                    };
                let scope_barred = !api.namespaced
                    && match cluster {
                        Some(taken) => !taken,
                        None => !listed,
                    };
                (scope_taken && listed, lists.exclude.matches(&name) || scope_barred)
            }
            Self::Scoped { namespaced, .. } if api.namespaced => {
                (namespaced.take(&name), namespaced.exclude.matches(&name))
            }
            Self::Scoped { cluster, namespaced } => {
                let barred = cluster.exclude.matches(&name);
                let taken = !barred
                    && (cluster.include.matches(&name)
                        || name == NAMESPACES
                        || is_full_backup(cluster, namespaced, namespaces));
                (taken, barred)
            }
        };
        TypeRule {
            group: api.group.clone(),
            namespaced: api.namespaced,
            taken: taken && VERBS.iter().all(|verb| api.can(verb)),
            barred,
            cluster_filter: fine.index_of_cluster(&name),
            group_resource: name,
        }
    }
}

/// Whether cluster-scoped types are taken without being listed: if no list and no namespace filter says anything.
///
/// As in Velero 1.18.3 this never holds for a Backup that [`prepare`](crate::backup::prepare) made ready, an empty spec
/// included: by then the types of volume snapshots stand in both lists of exclusions. Who wants cluster-scoped
/// objects has to say so.
fn is_full_backup(cluster: &Lists, namespaced: &Lists, namespaces: &Namespaces) -> bool {
    cluster.include.is_empty()
        && cluster.exclude.is_empty()
        && namespaces.is_everything()
        && namespaced.take_everything()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespaced,
}

/// A name as `resource.group` of the type that it means, with that type; as it stands if there is none.
fn resolved<'c>(name: &Glob, catalog: &'c Catalog) -> (Glob, Option<&'c ApiType>) {
    let api = if name.is_literal() { catalog.find(name.as_str()) } else { None };
    let meant = api.and_then(|api| Glob::parse(&api.group_resource()).ok());
    (meant.unwrap_or_else(|| name.clone()), api)
}

/// Warnings of names that stand for nothing; Velero keeps them without a word. What an API serves that is down nobody knows.
fn unknown(types: &TypeFilter, catalog: &Catalog) -> Vec<String> {
    let lists: &[(&str, &[Glob])] = match types {
        TypeFilter::Global { include, .. } => &[("includedResources", include)],
        TypeFilter::Scoped { include_cluster, include_namespaced, .. } => &[
            ("includedClusterScopedResources", include_cluster),
            ("includedNamespaceScopedResources", include_namespaced),
        ],
    };
    let names = lists.iter().flat_map(|(field, names)| names.iter().map(move |name| (field, name)));
    let unknown = names.filter(|(_, name)| {
        name.is_literal() && catalog.failed.is_empty() && catalog.find(name.as_str()).is_none()
    });
    unknown.map(|(field, name)| format!("spec.{field}: `{name}` is no type of the cluster")).collect()
}

/// The same; none, with a warning, if the type lives in the other scope. Velero drops such names without a word.
fn in_scope(name: &Glob, scope: Scope, catalog: &Catalog, warnings: &mut Vec<String>) -> Option<Glob> {
    let (meant, api) = resolved(name, catalog);
    match (api, scope) {
        (Some(api), Scope::Cluster) if api.namespaced => {
            warnings.push(format!(
                "`{name}` stands in a list of cluster-scoped types, where it has no effect: `{meant}` is namespaced"
            ));
            None
        }
        (Some(api), Scope::Namespaced) if !api.namespaced => {
            warnings.push(format!(
                "`{name}` stands in a list of namespaced types, where it has no effect: `{meant}` is cluster-scoped"
            ));
            None
        }
        _ => Some(meant),
    }
}

/// The lists of a policy join those of the Backup, which win. As in Velero exclusions go first.
fn add_policy(
    policy: &TypePolicy,
    cluster: &mut Lists,
    namespaced: &mut Lists,
    catalog: &Catalog,
    warnings: &mut Vec<String>,
) {
    let TypePolicy { include_cluster, exclude_cluster, include_namespaced, exclude_namespaced } = policy;
    let mut add = |lists: &mut Lists, scope, exclude: &[Glob], include: &[Glob]| {
        for name in exclude.iter().filter_map(|name| in_scope(name, scope, catalog, warnings)) {
            if !lists.decide(&name) {
                lists.exclude.insert(name);
            }
        }
        for name in include.iter().filter_map(|name| in_scope(name, scope, catalog, warnings)) {
            if !lists.decide(&name) {
                lists.include.insert(name);
            }
        }
    };
    add(namespaced, Scope::Namespaced, exclude_namespaced, include_namespaced);
    add(cluster, Scope::Cluster, exclude_cluster, include_cluster);
}
