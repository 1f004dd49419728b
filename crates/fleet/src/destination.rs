//! Which clusters of a Fleet a destination means. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use kube::core::SelectorExt as _;
use kurator_api::backup::Destination;
use kurator_api::cluster::{ClusterKey, ClusterReference};
use kurator_api::fleet::Fleet;
use kurator_api::reason::Reason;

use crate::hub::Guarded;

/// Why a destination can't be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DestinationError {
    #[error("{field}.clusters[{index}]: {source}")]
    Kind { field: &'static str, index: usize, source: kurator_api::cluster::UnknownClusterKind },
    #[error("{field}.clusters[{index}].name: is empty; name a cluster of fleet `{fleet}`")]
    NoName { field: &'static str, index: usize, fleet: String },
    #[error(
        "{field}.clusters[{index}]: {kind} `{name}` is not a cluster of fleet `{fleet}`; add it to the fleet or take it off the list"
    )]
    NotInFleet { field: &'static str, index: usize, kind: &'static str, name: String, fleet: String },
    #[error(
        "{field}.clusters[{index}].kind: fleet `{fleet}` has no {kind} `{name}` but an {meant} of that name; set `kind: {meant}`"
    )]
    OtherKind {
        field: &'static str,
        index: usize,
        kind: &'static str,
        name: String,
        fleet: String,
        meant: &'static str,
    },
    #[error("{field}.clusterSelector: {why}")]
    Selector { field: &'static str, why: String },
}

/// The reason that all of these together have: that of clusters outside the fleet only if nothing else is wrong.
pub(crate) fn reason(problems: &[DestinationError]) -> Reason {
    let outside = |problem: &DestinationError| matches!(problem, DestinationError::NotInFleet { .. });
    if problems.iter().all(outside) { Reason::ClusterNotInFleet } else { Reason::InvalidSpec }
}

/// What has begun is bound to its Fleet; why nothing more of it begins in the Fleet's clusters, if so.
pub(crate) fn over(named: &str, fleet: Option<&Guarded<Fleet>>) -> Option<(Reason, String)> {
    match fleet.map(|fleet| &fleet.0) {
        None => {
            let what_to_do = "create it again, or delete this object";
            Some((Reason::FleetNotFound, format!("there is no Fleet `{named}` any more; {what_to_do}")))
        }
        Some(Ok(fleet)) => leaving(fleet).map(|why| (Reason::FleetNotFound, why)),
        Some(Err(_)) => Some((Reason::Waiting, format!("Fleet `{named}` cannot be read until it is mended"))),
    }
}

/// What is said while this Fleet is being deleted: nothing begins in its clusters any more.
pub(crate) fn leaving(fleet: &Fleet) -> Option<String> {
    fleet.metadata.deletion_timestamp.as_ref()?;
    let name = fleet.metadata.name.as_deref().unwrap_or_default();
    let what_to_do = "create it again when it is gone, or delete this object";
    Some(format!(
        "Fleet `{name}` is being deleted, and nothing begins in its clusters any more; {what_to_do}"
    ))
}

/// The clusters that a Fleet lists, in its order, without repetitions and without references that name none.
pub(crate) fn clusters_of(fleet: &Fleet) -> Vec<ClusterKey> {
    let namespace = fleet.metadata.namespace.as_deref().unwrap_or_default();
    let mut clusters = Vec::with_capacity(fleet.spec.clusters.len());
    let mut known = std::collections::HashSet::new();
    for key in fleet.spec.clusters.iter().filter_map(|reference| reference.key(namespace).ok()) {
        if !key.name.is_empty() && known.insert(key.clone()) {
            clusters.push(key);
        }
    }
    clusters
}

/// Resolves `destination`, found at `field` of the spec, in the order of the Fleet.
///
/// No cluster list and no selector means all; both together mean the union.
pub(crate) fn resolve(
    fleet: &Fleet,
    destination: &Destination,
    field: &'static str,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
) -> Result<Vec<ClusterKey>, Vec<DestinationError>> {
    let all = clusters_of(fleet);
    if destination.clusters.is_empty() && destination.cluster_selector.is_none() {
        return Ok(all);
    }
    let mut problems = Vec::new();
    let mut wanted = std::collections::HashSet::new();
    for (index, reference) in destination.clusters.iter().enumerate() {
        match member(fleet, &all, reference, field, index) {
            Ok(key) => {
                wanted.insert(key);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(selector) = &destination.cluster_selector {
        match parse(selector) {
            Ok(selector) => wanted.extend(all.iter().filter(|key| selector.matches(&labels(key))).cloned()),
            Err(why) => problems.push(DestinationError::Selector { field, why }),
        }
    }
    if problems.is_empty() {
        Ok(all.into_iter().filter(|key| wanted.contains(key)).collect())
    } else {
        Err(problems)
    }
}

fn member(
    fleet: &Fleet,
    all: &[ClusterKey],
    reference: &ClusterReference,
    field: &'static str,
    index: usize,
) -> Result<ClusterKey, DestinationError> {
    let name = || fleet.metadata.name.clone().unwrap_or_default();
    let namespace = fleet.metadata.namespace.as_deref().unwrap_or_default();
    let key = reference.key(namespace).map_err(|source| DestinationError::Kind { field, index, source })?;
    if key.name.is_empty() {
        return Err(DestinationError::NoName { field, index, fleet: name() });
    }
    let namesake = all.iter().find(|member| member.name == key.name && member.kind != key.kind);
    if let Some(namesake) = namesake.filter(|_| !all.contains(&key)) {
        let (kind, meant) = (key.kind.as_str(), namesake.kind.as_str());
        return Err(DestinationError::OtherKind { field, index, kind, name: key.name, fleet: name(), meant });
    }
    if !all.contains(&key) {
        let kind = key.kind.as_str();
        return Err(DestinationError::NotInFleet { field, index, kind, name: key.name, fleet: name() });
    }
    Ok(key)
}

fn parse(selector: &LabelSelector) -> Result<Selector, String> {
    let problems = kurator_api::selector::problems(selector);
    if !problems.is_empty() {
        return Err(problems.join(", "));
    }
    Selector::try_from(selector.clone())
        .map_err(|error| format!("{error}; use In, NotIn, Exists or DoesNotExist"))
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests {
    use super::*;
    use serde_json::json;

    fn fleet(clusters: serde_json::Value) -> Fleet {
        serde_json::from_value(json!({
            "metadata": {"name": "quickstart", "namespace": "default"}, "spec": {"clusters": clusters},
        }))
        .unwrap()
    }

    fn resolved(fleet: &Fleet, destination: serde_json::Value) -> Result<Vec<String>, Vec<String>> {
        let destination: Destination = serde_json::from_value(destination).unwrap();
        let labels = |key: &ClusterKey| BTreeMap::from([("stage".to_owned(), key.name[..1].to_owned())]);
        resolve(fleet, &destination, "spec.destination", labels)
            .map(|keys| keys.iter().map(ToString::to_string).collect())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn no_list_means_every_cluster_once() {
        let fleet = fleet(
            json!([{"name": "a", "kind": "AttachedCluster"}, {"name": "b"}, {"name": "b", "kind": "Cluster"}]),
        );
        let all = resolved(&fleet, json!({"fleet": "quickstart"})).unwrap();
        assert_eq!(all, ["AttachedCluster default/a", "Cluster default/b"]);
    }

    #[test]
    fn k42_an_empty_kind_matches_cluster_whichever_side_leaves_it_out() {
        for in_fleet in [json!({"name": "c"}), json!({"name": "c", "kind": "Cluster"})] {
            let fleet = fleet(json!([in_fleet]));
            for asked in [json!({"name": "c"}), json!({"name": "c", "kind": "Cluster"})] {
                let found = resolved(&fleet, json!({"fleet": "quickstart", "clusters": [asked]}));
                assert_eq!(found.unwrap(), ["Cluster default/c"]);
            }
        }
    }

    #[test]
    fn a_cluster_of_no_member_is_named_with_the_remedy() {
        let fleet = fleet(json!([{"name": "a", "kind": "AttachedCluster"}]));
        let problems = resolved(
            &fleet,
            json!({"fleet": "quickstart", "clusters": [{"name": "b"}, {"name": "a"}, {"kind": "Pod", "name": "x"}]}),
        );
        assert_eq!(
            problems.unwrap_err(),
            [
                "spec.destination.clusters[0]: Cluster `b` is not a cluster of fleet `quickstart`; add it to the fleet or take it off the list",
                "spec.destination.clusters[1].kind: fleet `quickstart` has no Cluster `a` but an AttachedCluster of that name; set `kind: AttachedCluster`",
                "spec.destination.clusters[2]: kind `Pod` is not a kind of cluster; use `AttachedCluster` or `Cluster`",
            ]
        );
    }

    #[test]
    fn a_selector_that_can_match_no_cluster_is_refused() {
        let destination = json!({"fleet": "quickstart", "clusterSelector": {"matchLabels": {"a b": "c"}}});
        let problems = resolved(&fleet(json!([{"name": "a"}])), destination).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].starts_with("spec.destination.clusterSelector: `a b` is no key of a label"),
            "{problems:?}"
        );
    }

    #[test]
    fn list_and_selector_are_a_union_in_the_order_of_the_fleet() {
        let fleet = fleet(json!([{"name": "x1"}, {"name": "a"}, {"name": "x2"}, {"name": "b"}]));
        let found = resolved(
            &fleet,
            json!({"fleet": "quickstart", "clusters": [{"name": "b"}], "clusterSelector": {"matchLabels": {"stage": "x"}}}),
        );
        assert_eq!(found.unwrap(), ["Cluster default/x1", "Cluster default/x2", "Cluster default/b"]);
    }
}
