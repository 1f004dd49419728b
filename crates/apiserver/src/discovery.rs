//! What this server has, for clients that ask before they act.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    error::{ApiError, Result},
    registry::{Resource, Types, Version},
    shared,
};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CUSTOM_VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

/// The version of Kubernetes whose behaviour this server has.
pub(crate) fn server_version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}

pub(crate) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// Whether the client wants everything in two answers.
pub(crate) fn is_aggregated(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        ["as=APIGroupDiscoveryList", "v=v2", "g=apidiscovery.k8s.io"]
            .iter()
            .all(|wanted| range.split(';').any(|part| part.trim() == *wanted))
    })
}

/// Groups in the order of their names, each with its served versions, most preferred first.
fn by_group(types: &Types) -> BTreeMap<&str, Vec<&str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in types.all() {
        let versions = groups.entry(&resource.group).or_default();
        for version in resource.versions.iter().filter(|version| version.served) {
            if !versions.contains(&&*version.name) {
                versions.push(&version.name);
            }
        }
    }
    groups.retain(|_, versions| !versions.is_empty());
    groups
}

fn group_of(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

pub(crate) fn groups(types: &Types) -> Value {
    let groups = by_group(types);
    let groups: Vec<Value> = groups
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group_of(name, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

pub(crate) fn has_group(types: &Types, name: &str) -> bool {
    !name.is_empty() && by_group(types).contains_key(name)
}

pub(crate) fn group(types: &Types, name: &str) -> Result<Value> {
    let groups = by_group(types);
    let versions = groups.get(name).filter(|_| !name.is_empty()).ok_or_else(ApiError::no_such_path)?;
    let mut group = group_of(name, versions);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Ok(group)
}

/// The resources of a group and version with the version of each, in the order of their names.
fn of_version<'a>(types: &'a Types, group: &str, version: &str) -> Vec<(&'a Resource, &'a Version)> {
    let mut found: Vec<(&Resource, &Version)> = types
        .all()
        .filter(|resource| *resource.group == *group)
        .filter_map(|resource| {
            let version = resource.versions.iter().find(|one| *one.name == *version && one.served)?;
            Some((&**resource, version))
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.plural.cmp(&b.plural));
    found
}

/// The subresources of a type, in the order in which they are listed.
fn parts(resource: &Resource, version: &Version) -> impl Iterator<Item = &'static str> {
    let scale = version.scale.as_ref().map(|_| "scale");
    let status = version.status.then_some("status");
    let all = if resource.habits.core { [scale, status] } else { [status, scale] };
    all.into_iter().flatten()
}

fn verbs(resource: &Resource) -> Vec<&'static str> {
    let all = if resource.habits.core { VERBS } else { CUSTOM_VERBS };
    all.into_iter().filter(|verb| *verb != "deletecollection" || resource.habits.delete_collection).collect()
}

pub(crate) fn resources(types: &Types, group: &str, version: &str) -> Result<Value> {
    if !types.has(group, version) {
        return Err(ApiError::no_such_path());
    }
    let mut all = Vec::new();
    for (resource, one) in of_version(types, group, version) {
        let mut entry = json!({
            "name": &*resource.plural,
            "singularName": &*resource.singular,
            "namespaced": resource.namespaced,
            "kind": &*resource.kind,
            "verbs": verbs(resource),
        });
        add_names(&mut entry, resource);
        entry["storageVersionHash"] = storage_hash(resource, one).into();
        all.push(entry);
        for part in parts(resource, one) {
            let mut entry = json!({
                "name": format!("{}/{part}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": &*resource.kind,
                "verbs": PART_VERBS,
            });
            if part == "scale" {
                entry["group"] = "autoscaling".into();
                entry["version"] = "v1".into();
                entry["kind"] = "Scale".into();
            }
            all.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": all}),
    )
}

/// Tells clients when objects may have to be written anew, as kube-apiserver reckons it.
fn storage_hash(resource: &Resource, version: &Version) -> String {
    let kind = format!("{}/{}/{}", resource.kept_group(), version.name, resource.kind);
    BASE64_STANDARD.encode(&Sha256::digest(kind.as_bytes())[..8])
}

fn add_names(entry: &mut Value, resource: &Resource) {
    let texts = |all: &[Box<str>]| all.iter().map(|text| Value::from(&**text)).collect::<Vec<_>>();
    if !resource.short.is_empty() {
        entry["shortNames"] = texts(&resource.short).into();
    }
    if !resource.categories.is_empty() {
        entry["categories"] = texts(&resource.categories).into();
    }
}

/// Everything: the core group, which is always the same, or all others.
pub(crate) fn aggregated(types: &Types, core: bool) -> Arc<str> {
    static CORE: OnceLock<Arc<str>> = OnceLock::new();
    let tell = || shared::text(all_groups(types, core).to_string());
    if core { CORE.get_or_init(tell).clone() } else { types.told(tell) }
}

fn all_groups(types: &Types, core: bool) -> Value {
    let groups = by_group(types);
    let items: Vec<Value> = groups
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources = of_version(types, name, version);
                    let resources: Vec<Value> =
                        resources.iter().map(|(resource, one)| aggregated_resource(resource, one)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_resource(resource: &Resource, version: &Version) -> Value {
    let kind = json!({"group": "", "version": "", "kind": &*resource.kind});
    let kind = if resource.habits.core {
        kind
    } else {
        json!({"group": &*resource.group, "version": &*version.name, "kind": &*resource.kind})
    };
    let mut entry = json!({
        "resource": &*resource.plural,
        "responseKind": kind,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": &*resource.singular,
        "verbs": verbs(resource),
    });
    add_names(&mut entry, resource);
    let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
    let parts: Vec<Value> = parts(resource, version)
        .map(|part| {
            let kind = if part == "scale" { &scale } else { &kind };
            json!({"subresource": part, "responseKind": kind, "verbs": PART_VERBS})
        })
        .collect();
    if !parts.is_empty() {
        entry["subresources"] = parts.into();
    }
    entry
}
