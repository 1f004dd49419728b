//! The lists of what to take and what to leave out.

use std::collections::BTreeSet;

use kurator_api::velero::BackupSpec;

use crate::backup::select::{TypeFilter, check_namespace_name};
use crate::glob::Glob;

use super::{Facts, Notes};

/// Objects that come and go with a backup of volumes; never taken for themselves.
const VOLUME_SNAPSHOTS: &str = "volumesnapshots.snapshot.storage.k8s.io";
/// The same, cluster-scoped.
const VOLUME_SNAPSHOT_CONTENTS: &str = "volumesnapshotcontents.snapshot.storage.k8s.io";

/// Whether types are filtered in the old style. A spec without any filter of types is of the new one.
pub(super) fn is_old_style(spec: &BackupSpec) -> bool {
    spec.include_cluster_resources.is_some()
        || !spec.included_resources.is_empty()
        || !spec.excluded_resources.is_empty()
}

fn is_new_style(spec: &BackupSpec) -> bool {
    let lists = [
        &spec.included_cluster_scoped_resources,
        &spec.excluded_cluster_scoped_resources,
        &spec.included_namespace_scoped_resources,
        &spec.excluded_namespace_scoped_resources,
    ];
    lists.iter().any(|list| !list.is_empty())
}

/// Checks the lists of types and adds those that are never taken.
pub(super) fn check_types(spec: &mut BackupSpec, notes: &mut Notes) -> TypeFilter {
    if is_old_style(spec) && is_new_style(spec) {
        notes.error(
            "include-resources, exclude-resources and include-cluster-resources are old filter parameters.\n\
             include-cluster-scoped-resources, exclude-cluster-scoped-resources, include-namespace-scoped-resources and exclude-namespace-scoped-resources are new filter parameters.\n\
             They cannot be used together",
        );
    }
    if is_old_style(spec) {
        let never = [VOLUME_SNAPSHOTS, VOLUME_SNAPSHOT_CONTENTS];
        let lists = (&mut spec.included_resources, &mut spec.excluded_resources);
        let (include, exclude) = check("", "Resources", lists, &never, overlaps, notes);
        return TypeFilter::Global { include, exclude, cluster: spec.include_cluster_resources };
    }
    let lists = (&mut spec.included_cluster_scoped_resources, &mut spec.excluded_cluster_scoped_resources);
    let (include_cluster, exclude_cluster) = check(
        "cluster-scoped ",
        "ClusterScopedResources",
        lists,
        &[VOLUME_SNAPSHOT_CONTENTS],
        scoped_overlaps,
        notes,
    );
    let lists =
        (&mut spec.included_namespace_scoped_resources, &mut spec.excluded_namespace_scoped_resources);
    let (include_namespaced, exclude_namespaced) = check(
        "namespace-scoped ",
        "NamespaceScopedResources",
        lists,
        &[VOLUME_SNAPSHOTS],
        scoped_overlaps,
        notes,
    );
    TypeFilter::Scoped { include_cluster, exclude_cluster, include_namespaced, exclude_namespaced }
}

/// Checks two lists and, if they are right, adds to what is left out `never`.
fn check(
    scope: &str,
    field: &str,
    (include, exclude): (&mut Vec<String>, &mut Vec<String>),
    never: &[&str],
    overlaps: fn(&[String], &[String]) -> Vec<String>,
    notes: &mut Notes,
) -> (Vec<Glob>, Vec<Glob>) {
    let errors = overlaps(include, exclude);
    if errors.is_empty() {
        for name in never {
            if !exclude.iter().any(|one| one == name) {
                exclude.push((*name).to_owned());
            }
        }
        let asked = !include.is_empty();
        include.retain(|name| !exclude.contains(name));
        if asked && include.is_empty() {
            notes.warnings.push(format!(
                "spec.included{field} names only volume snapshots, which are never taken for themselves; the list is empty without them, as if it weren't set"
            ));
        }
    }
    let errors = errors.into_iter();
    notes
        .errors
        .extend(errors.map(|error| format!("Invalid {scope}included/excluded resource lists: {error}")));
    (
        globs(&format!("spec.included{field}"), include, notes),
        globs(&format!("spec.excluded{field}"), exclude, notes),
    )
}

fn globs(field: &str, names: &[String], notes: &mut Notes) -> Vec<Glob> {
    let mut parse =
        |name: &String| Glob::parse(name).map_err(|error| notes.error(format!("{field}: {error}"))).ok();
    names.iter().filter_map(&mut parse).collect()
}

/// Checks the lists of namespaces. Those with the exclude label join the ones left out.
pub(super) fn check_namespaces(
    spec: &mut BackupSpec,
    facts: &Facts<'_>,
    notes: &mut Notes,
) -> (Vec<Glob>, Vec<Glob>) {
    let excluded = &mut spec.excluded_namespaces;
    for name in facts.excluded_namespaces {
        if !excluded.contains(name) {
            excluded.push(name.clone());
        }
    }
    if spec.included_namespaces.is_empty() {
        spec.included_namespaces.push("*".to_owned());
    }
    let mut errors = overlaps(&spec.included_namespaces, &spec.excluded_namespaces);
    let mut parse = |names: &[String]| -> Vec<Glob> {
        let names: BTreeSet<&String> = names.iter().collect();
        let mut glob = |name: &String| check_namespace_name(name).map_err(|error| errors.push(error)).ok();
        names.into_iter().filter_map(&mut glob).collect()
    };
    let globs = (parse(&spec.included_namespaces), parse(&spec.excluded_namespaces));
    let errors = errors.into_iter();
    notes.errors.extend(errors.map(|error| format!("Invalid included/excluded namespace lists: {error}")));
    globs
}

/// What is wrong with two lists of which only the first may hold `*`.
fn overlaps(include: &[String], exclude: &[String]) -> Vec<String> {
    let (include, exclude) = (set(include), set(exclude));
    let mut errors = Vec::new();
    if include.len() > 1 && include.contains("*") {
        errors.push("includes list must either contain '*' only, or a non-empty list of items".to_owned());
    }
    if exclude.contains("*") {
        errors.push("excludes list cannot contain '*'".to_owned());
    }
    errors.extend(in_both(&include, &exclude));
    errors
}

/// The same for lists of types of one scope, of which either may hold `*`.
fn scoped_overlaps(include: &[String], exclude: &[String]) -> Vec<String> {
    let (include, exclude) = (set(include), set(exclude));
    let mut errors = Vec::new();
    for (list, names) in [("includes", &include), ("excludes", &exclude)] {
        if names.len() > 1 && names.contains("*") {
            errors.push(format!("{list} list must either contain '*' only, or a non-empty list of items"));
        }
    }
    if !include.is_empty() && exclude.contains("*") {
        errors.push("when exclude is '*', include cannot have value".to_owned());
    }
    errors.extend(in_both(&include, &exclude));
    errors
}

fn in_both(include: &BTreeSet<&str>, exclude: &BTreeSet<&str>) -> Vec<String> {
    let both = exclude.intersection(include);
    both.map(|name| format!("excludes list cannot contain an item in the includes list: {name}")).collect()
}

fn set(names: &[String]) -> BTreeSet<&str> {
    names.iter().map(String::as_str).collect()
}
