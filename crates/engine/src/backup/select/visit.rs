//! In which order types are collected.

use crate::types::{ApiType, Catalog};

/// Resources that two groups serve with the same objects.
const COHABITING: [(&str, [&str; 2]); 5] = [
    ("deployments", ["extensions", "apps"]),
    ("daemonsets", ["extensions", "apps"]),
    ("replicasets", ["extensions", "apps"]),
    ("networkpolicies", ["extensions", "networking.k8s.io"]),
    ("events", ["", "events.k8s.io"]),
];

pub(super) fn visit(catalog: &Catalog, takes: impl Fn(&ApiType) -> bool) -> Vec<&ApiType> {
    let mut types: Vec<&ApiType> = catalog.types.iter().filter(|api| takes(api)).collect();
    types.sort_by_key(|api| place(api));
    let mut seen = Vec::new();
    types.retain(|api| match cohabiting(api) {
        Some(resource) if seen.contains(&resource) => false,
        Some(resource) => {
            seen.push(resource);
            true
        }
        None => true,
    });
    types
}

/// Where a type stands among those of other groups; equals keep the order of discovery, where the core group is first.
fn place(api: &ApiType) -> u8 {
    match (api.group.as_str(), api.resource.as_str()) {
        ("", "pods") => 0,
        ("", "persistentvolumeclaims") => 1,
        ("", "persistentvolumes") => 2,
        ("", _) => 3,
        ("extensions", _) => 5,
        _ => 4,
    }
}

fn cohabiting(api: &ApiType) -> Option<&'static str> {
    let (resource, _) = COHABITING
        .iter()
        .find(|(resource, groups)| *resource == api.resource && groups.contains(&api.group.as_str()))?;
    Some(resource)
}
