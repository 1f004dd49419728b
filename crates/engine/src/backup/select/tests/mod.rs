//! The rules of types, namespaces and items. Facts from Velero 1.18.3: `pkg/util/collections/includes_excludes.go`,
//! `pkg/backup/item_collector.go`, `item_backupper.go`.

mod items;
mod lists;
mod namespaces;
mod policy;
mod types;

use super::*;
use crate::labels::Labels;

/// `group/resource`, kind, whether namespaced, short name.
const TYPES: [(&str, &str, &str, bool, &str); 16] = [
    ("", "namespaces", "Namespace", false, "ns"),
    ("", "secrets", "Secret", true, ""),
    ("", "configmaps", "ConfigMap", true, "cm"),
    ("", "persistentvolumes", "PersistentVolume", false, "pv"),
    ("", "persistentvolumeclaims", "PersistentVolumeClaim", true, "pvc"),
    ("", "pods", "Pod", true, "po"),
    ("", "events", "Event", true, "ev"),
    ("extensions", "deployments", "Deployment", true, "deploy"),
    ("apps", "deployments", "Deployment", true, "deploy"),
    ("events.k8s.io", "events", "Event", true, "ev"),
    ("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false, ""),
    ("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false, "crd"),
    ("snapshot.storage.k8s.io", "volumesnapshots", "VolumeSnapshot", true, "vs"),
    ("snapshot.storage.k8s.io", "volumesnapshotcontents", "VolumeSnapshotContent", false, "vsc"),
    ("example.com", "widgets", "Widget", true, "wd"),
    ("networking.k8s.io", "networkpolicies", "NetworkPolicy", true, "netpol"),
];

fn catalog() -> Catalog {
    let verbs = || ["list", "create", "get", "delete"].map(str::to_owned).to_vec();
    let mut types: Vec<ApiType> = TYPES
        .iter()
        .map(|(group, resource, kind, namespaced, short)| ApiType {
            group: (*group).into(),
            version: "v1".into(),
            kind: (*kind).into(),
            resource: (*resource).into(),
            singular: kind.to_ascii_lowercase(),
            short_names: if short.is_empty() { Vec::new() } else { vec![(*short).into()] },
            namespaced: *namespaced,
            verbs: verbs(),
        })
        .collect();
    types.push(ApiType {
        group: "metrics.k8s.io".into(),
        resource: "nodemetrics".into(),
        verbs: vec!["list".into(), "get".into()],
        ..ApiType::default()
    });
    Catalog { types, failed: Vec::new() }
}

fn api(name: &str) -> ApiType {
    catalog().types.into_iter().find(|api| api.group_resource() == name).unwrap()
}

fn globs(names: &[&str]) -> Vec<Glob> {
    names.iter().map(|name| Glob::parse(name).unwrap()).collect()
}

/// What `prepare` makes of a spec without filters.
fn nothing_said() -> Filters {
    Filters {
        include_namespaces: globs(&["*"]),
        exclude_namespaces: Vec::new(),
        types: scoped(&[], &[], &[], &[]),
        selectors: Vec::new(),
        policy: Policy::default(),
        ordered: BTreeMap::new(),
    }
}

fn scoped(
    cluster: &[&str],
    not_cluster: &[&str],
    namespaced: &[&str],
    not_namespaced: &[&str],
) -> TypeFilter {
    let with = |names: &[&str], never: &str| globs(&[names, &[never]].concat());
    TypeFilter::Scoped {
        include_cluster: globs(cluster),
        exclude_cluster: with(not_cluster, "volumesnapshotcontents.snapshot.storage.k8s.io"),
        include_namespaced: globs(namespaced),
        exclude_namespaced: with(not_namespaced, "volumesnapshots.snapshot.storage.k8s.io"),
    }
}

fn global(include: &[&str], exclude: &[&str], cluster: Option<bool>) -> TypeFilter {
    TypeFilter::Global { include: globs(include), exclude: globs(exclude), cluster }
}

fn typed(types: TypeFilter) -> Filters {
    Filters { types, ..nothing_said() }
}

fn named(include: &[&str], exclude: &[&str]) -> Filters {
    Filters { include_namespaces: globs(include), exclude_namespaces: globs(exclude), ..nothing_said() }
}

fn labelled(queries: &[&str]) -> Filters {
    Filters { selectors: queries.iter().map(|query| selector(query)).collect(), ..nothing_said() }
}

/// `key=value` or nothing.
fn selector(query: &str) -> Selector {
    let labels = query.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let raw = k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector {
        match_labels: Some(labels.into_iter().collect()),
        ..Default::default()
    };
    Selector::parse(&raw).unwrap()
}

fn read_policy(text: &str) -> Policy {
    let text = format!("version: v1\n{text}");
    Policy::parse(&BTreeMap::from([("policy".to_owned(), text)])).unwrap()
}

fn existing() -> Vec<NamespaceFact> {
    let active = ["a", "ns-1", "ns-2", "ns-3"].map(|name| NamespaceFact {
        name: name.into(),
        labels: BTreeMap::from([("team".to_owned(), name.to_owned())]),
        active: true,
    });
    let going = NamespaceFact { name: "going".into(), labels: BTreeMap::new(), active: false };
    active.into_iter().chain([going]).collect()
}

fn select(filters: &Filters) -> Selection {
    Selection::new(filters, &catalog(), &existing())
}

fn taken(filters: &Filters) -> Vec<String> {
    let selection = select(filters);
    let catalog = catalog();
    let taken = catalog.types.iter().filter(|api| selection.takes_type(api));
    taken.map(ApiType::group_resource).collect()
}

const CLUSTER_SCOPED: [&str; 4] = [
    "namespaces",
    "persistentvolumes",
    "clusterroles.rbac.authorization.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
];

/// Which cluster-scoped types are taken.
fn cluster_scoped(filters: &Filters) -> Vec<String> {
    let mut taken = taken(filters);
    taken
        .retain(|name| CLUSTER_SCOPED.contains(&name.as_str()) || name.starts_with("volumesnapshotcontents"));
    taken
}

fn lists(filters: &Filters, name: &str) -> Vec<(Option<String>, Option<String>)> {
    let listings = select(filters).lists(&api(name));
    listings.into_iter().map(|listing| (listing.namespace, listing.label_selector)).collect()
}

fn of(namespace: &str) -> (Option<String>, Option<String>) {
    (Some(namespace.into()), None)
}

struct NoLabels;

impl Labels for NoLabels {
    fn value(&self, _: &str) -> Option<&str> {
        None
    }
}

fn item<'a>(namespace: &'a str, name: &'a str) -> Item<'a> {
    let namespace = if namespace.is_empty() { None } else { Some(namespace) };
    Item { namespace, name, labels: &NoLabels, deleting: false }
}
