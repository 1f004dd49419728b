//! What was asked for, fact by fact; what was left open is left out.

use std::collections::BTreeMap;

use kurator_api::backup::{BackupSpec, DeletionPolicy, Destination, ResourceFilter};
use kurator_api::cluster::{ClusterKind, ClusterReference};
use kurator_api::condition::{self, Condition, ConditionStatus};
use kurator_api::fleet::BackupPlugin;
use kurator_api::migrate::MigrateSpec;
use kurator_api::restore::RestoreSpec;

use super::super::selector::written;

/// Names and values; an empty value is not shown.
pub(super) type Facts = Vec<(&'static str, String)>;

pub(super) fn of_backup(spec: &BackupSpec, conditions: &[Condition]) -> Facts {
    let policy = spec.policy.clone().unwrap_or_default();
    let destination = &spec.destination;
    let mut facts = vec![("Fleet", destination.fleet.clone()), ("In clusters", clusters(destination))];
    facts.extend(policy.resource_filter.as_ref().map(filter).unwrap_or_default());
    facts.push(("Taken first", ordered(&policy.ordered_resources)));
    facts.extend(kept(policy.ttl, spec.deletion_policy, conditions));
    facts
}

pub(super) fn of_restore(spec: &RestoreSpec) -> Facts {
    let policy = spec.policy.clone().unwrap_or_default();
    let destination = spec.destination.clone().unwrap_or_default();
    let mut facts = vec![
        ("Backup", spec.backup_name.clone()),
        ("Run", spec.named_in_cluster().unwrap_or_default().to_owned()),
        ("Fleet", destination.fleet.clone()),
        ("In clusters", clusters(&destination)),
    ];
    facts.extend(policy.resource_filter.as_ref().map(filter).unwrap_or_default());
    facts.push(("Mapping", mapping(&policy.namespace_mapping)));
    facts
}

pub(super) fn of_migrate(spec: &MigrateSpec, conditions: &[Condition]) -> Facts {
    let policy = spec.policy.clone().unwrap_or_default();
    let mut facts = vec![
        ("Fleet", spec.source_cluster.fleet.clone()),
        ("From", clusters(&spec.source_cluster)),
        ("To", clusters(&spec.target_cluster)),
    ];
    facts.extend(policy.resource_filter.as_ref().map(filter).unwrap_or_default());
    facts.push(("Taken first", ordered(&policy.ordered_resources)));
    facts.push(("Mapping", mapping(&policy.namespace_mapping)));
    facts.extend(kept(policy.ttl, policy.deletion_policy, conditions));
    facts
}

pub(super) fn of_plugin(plugin: &BackupPlugin) -> Facts {
    let storage = &plugin.storage;
    let location = &storage.location;
    let place = [Some(location.bucket.as_str()), location.prefix.as_deref()];
    vec![
        ("Engine", plugin.engine.map(|engine| engine.as_str().to_owned()).unwrap_or_default()),
        ("Bucket", place.into_iter().flatten().collect::<Vec<_>>().join("/")),
        ("Endpoint", location.endpoint.clone()),
        ("Region", location.region.clone().unwrap_or_default()),
        ("Credential", format!("Secret `{}`", storage.secret_name)),
    ]
}

/// How long what is stored stays, as far as the conditions do not deny it.
fn kept(ttl: Option<String>, policy: Option<DeletionPolicy>, conditions: &[Condition]) -> Facts {
    let retention = condition::find(conditions, condition::RETENTION);
    let is_denied = retention.is_some_and(|retention| retention.status == ConditionStatus::False);
    let but = if is_denied { ", except where the condition Retention says otherwise" } else { "" };
    let on_deletion = match policy.unwrap_or_default() {
        DeletionPolicy::Retain => "what is stored stays (Retain)".to_owned(),
        DeletionPolicy::Delete => format!("what is stored is deleted too (Delete){but}"),
    };
    let kept_for = ttl.map(|ttl| format!("{ttl}{but}")).unwrap_or_default();
    vec![("Kept for", kept_for), ("On deletion", on_deletion)]
}

/// The clusters of the Fleet that are chosen; nothing where all of them are.
fn clusters(destination: &Destination) -> String {
    let names = destination.clusters.iter().map(cluster).collect::<Vec<_>>().join(", ");
    let labelled = destination.cluster_selector.as_ref().map(written).unwrap_or_default();
    match (names.as_str(), labelled.as_str()) {
        (_, "") => names,
        ("", _) => format!("those with {labelled}"),
        _ => format!("{names} and those with {labelled}"),
    }
}

/// A cluster as it could have been typed.
fn cluster(cluster: &ClusterReference) -> String {
    match cluster.cluster_kind() {
        Ok(ClusterKind::AttachedCluster) => cluster.name.clone(),
        _ => format!("{}/{}", cluster.kind.as_deref().unwrap_or("Cluster"), cluster.name),
    }
}

/// What is taken before everything else, as it could have been typed.
fn ordered(resources: &BTreeMap<String, String>) -> String {
    resources.iter().map(|(kind, names)| format!("{kind}={names}")).collect::<Vec<_>>().join(";")
}

fn mapping(mapping: &BTreeMap<String, String>) -> String {
    mapping.iter().map(|(from, to)| format!("{from} to {to}")).collect::<Vec<_>>().join(", ")
}

fn filter(filter: &ResourceFilter) -> Facts {
    let ResourceFilter {
        included_namespaces,
        excluded_namespaces,
        included_resources,
        excluded_resources,
        include_cluster_resources,
        included_cluster_scoped_resources,
        excluded_cluster_scoped_resources,
        included_namespace_scoped_resources,
        excluded_namespace_scoped_resources,
        label_selector,
        or_label_selectors,
    } = filter;
    let outside = include_cluster_resources.map(|is_in| if is_in { "all" } else { "none" }.to_owned());
    let of_scope = chosen(included_cluster_scoped_resources, excluded_cluster_scoped_resources);
    let any: Vec<_> = or_label_selectors.iter().map(written).collect();
    vec![
        ("Namespaces", chosen(included_namespaces, excluded_namespaces)),
        ("Resources", chosen(included_resources, excluded_resources)),
        ("In namespaces", chosen(included_namespace_scoped_resources, excluded_namespace_scoped_resources)),
        ("Cluster-scoped", outside.unwrap_or(of_scope)),
        ("Labels", label_selector.as_ref().map(written).unwrap_or_else(|| any.join(" or "))),
    ]
}

/// What two lists choose, in words.
fn chosen(included: &[String], excluded: &[String]) -> String {
    let (included, excluded) = (included.join(", "), excluded.join(", "));
    match (included.as_str(), excluded.as_str()) {
        (_, "") => included,
        ("", _) => format!("all but {excluded}"),
        _ => format!("{included}, but not {excluded}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn facts<S: DeserializeOwned>(of: impl Fn(&S) -> Facts, value: Value) -> Vec<String> {
        let shown = of(&serde_json::from_value(value).unwrap());
        let shown = shown.into_iter().filter(|(_, value)| !value.is_empty());
        shown.map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn a_filter_is_told_by_what_it_chooses() {
        let old = json!({"includedNamespaces": ["shop", "till"], "excludedResources": ["secrets"],
            "includeClusterResources": false, "labelSelector": {"matchLabels": {"app": "shop"}}});
        let expected = [
            "Namespaces: shop, till",
            "Resources: all but secrets",
            "Cluster-scoped: none",
            "Labels: app=shop",
        ];
        assert_eq!(facts(filter, old), expected);
        let new = json!({"includedNamespaceScopedResources": ["*"], "excludedNamespaceScopedResources": ["pods"],
            "includedClusterScopedResources": ["nodes"],
            "orLabelSelectors": [{"matchLabels": {"a": "b"}}, {"matchLabels": {"c": "d"}}]});
        let expected = ["In namespaces: *, but not pods", "Cluster-scoped: nodes", "Labels: a=b or c=d"];
        assert_eq!(facts(filter, new), expected);
    }

    #[test]
    fn a_choice_of_clusters_is_told_by_names_and_labels() {
        let chosen = |choice: Value| clusters(&serde_json::from_value(choice).unwrap());
        let names = json!([{"kind": "AttachedCluster", "name": "a"}, {"name": "b"}]);
        let labels = json!({"matchLabels": {"tier": "edge"}});
        assert_eq!(chosen(json!({"fleet": "f"})), "");
        assert_eq!(chosen(json!({"fleet": "f", "clusters": names})), "a, Cluster/b");
        assert_eq!(chosen(json!({"fleet": "f", "clusterSelector": labels})), "those with tier=edge");
        let both = json!({"fleet": "f", "clusters": names, "clusterSelector": labels});
        assert_eq!(chosen(both), "a, Cluster/b and those with tier=edge");
    }

    #[test]
    fn each_kind_tells_its_clusters_and_what_is_taken_first() {
        let destination =
            |name: &str| json!({"fleet": "f", "clusters": [{"kind": "AttachedCluster", "name": name}]});
        let policy = json!({"orderedResources": {"pods": "ns1/a,ns1/b", "secrets": "ns1/c"}});
        let first = "Taken first: pods=ns1/a,ns1/b;secrets=ns1/c";
        let stays = "On deletion: what is stored stays (Retain)";
        let backup = json!({"destination": destination("a"), "policy": policy});
        let expected = ["Fleet: f", "In clusters: a", first, stays];
        assert_eq!(facts(|spec| of_backup(spec, &[]), backup), expected);
        let restore = json!({"backupName": "b", "destination": destination("a")});
        assert_eq!(facts(of_restore, restore), ["Backup: b", "Fleet: f", "In clusters: a"]);
        let migrate =
            json!({"sourceCluster": destination("a"), "targetCluster": destination("b"), "policy": policy});
        let expected = ["Fleet: f", "From: a", "To: b", first, stays];
        assert_eq!(facts(|spec| of_migrate(spec, &[]), migrate), expected);
    }
}
