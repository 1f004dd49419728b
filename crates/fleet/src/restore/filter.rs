//! A filter of the hub in the terms of Velero's Restore, which does not tell cluster-scoped and namespaced
//! types apart. Pure.

use kurator_api::filter::ResourceFilter;

const AT: &str = "spec.policy.resourceFilter";

/// The three fields by which Velero's Restore chooses types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Types {
    pub(super) included: Vec<String>,
    pub(super) excluded: Vec<String>,
    pub(super) cluster_scoped: Option<bool>,
}

/// What the filter chooses, or every reason why Velero's Restore can't choose the same.
///
/// The lists that tell scopes apart are translated where that is exact, and nowhere else.
pub(super) fn types(filter: &ResourceFilter) -> Result<Types, Vec<String>> {
    let problems: Vec<_> = filter.problems().into_iter().map(|text| format!("{AT}: {text}")).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let ResourceFilter { included_resources, excluded_resources, include_cluster_resources, .. } = filter;
    if !filter.uses_new_style() {
        return Ok(Types {
            included: included_resources.clone(),
            excluded: excluded_resources.clone(),
            cluster_scoped: *include_cluster_resources,
        });
    }
    by_scope(filter)
}

fn by_scope(filter: &ResourceFilter) -> Result<Types, Vec<String>> {
    let cluster = &filter.included_cluster_scoped_resources;
    let not_cluster = &filter.excluded_cluster_scoped_resources;
    let namespaced = &filter.included_namespace_scoped_resources;
    let not_namespaced = &filter.excluded_namespace_scoped_resources;
    let no_cluster = has_star(not_cluster);
    let all_cluster = has_star(cluster) && !no_cluster;
    let some_cluster = !cluster.is_empty() && !all_cluster && !no_cluster;
    let some_namespaced = !namespaced.is_empty() && !has_star(namespaced);

    let mut problems = Vec::new();
    if has_star(not_namespaced) {
        problems.push(format!(
            "{AT}.excludedNamespaceScopedResources: Velero's restores can't leave out every namespaced type; name the \
             cluster-scoped ones in includedResources"
        ));
    }
    if some_namespaced && !some_cluster && !no_cluster {
        problems.push(format!(
            "{AT}.includedNamespaceScopedResources: Velero's restores have one list for all scopes; name the \
             cluster-scoped types in includedClusterScopedResources, or leave them out by `*` in \
             excludedClusterScopedResources"
        ));
    }
    if some_cluster && !some_namespaced {
        problems.push(format!(
            "{AT}.includedClusterScopedResources: Velero's restores have one list for all scopes; name the namespaced \
             types in includedNamespaceScopedResources, or take all cluster-scoped ones by `*`"
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let listed = |list: &[String]| list.iter().filter(|name| *name != "*").cloned().collect::<Vec<_>>();
    let included = match (some_namespaced, some_cluster) {
        (true, true) => [listed(namespaced), listed(cluster)].concat(),
        (true, false) => listed(namespaced),
        (false, _) => Vec::new(),
    };
    Ok(Types {
        included,
        excluded: [listed(not_namespaced), listed(not_cluster)].concat(),
        cluster_scoped: match () {
            () if no_cluster => Some(false),
            () if all_cluster || some_cluster => Some(true),
            () => None,
        },
    })
}

fn has_star(list: &[String]) -> bool {
    list.iter().any(|name| name == "*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn translated(filter: serde_json::Value) -> Result<serde_json::Value, Vec<String>> {
        let filter: ResourceFilter = serde_json::from_value(filter).unwrap();
        types(&filter).map(|types| json!([types.included, types.excluded, types.cluster_scoped]))
    }

    #[test]
    fn n03_lists_by_scope_are_translated_where_velero_means_the_same() {
        let table = [
            (json!({}), json!([[], [], null])),
            (
                json!({"includedResources": ["pods"], "includeClusterResources": true}),
                json!([["pods"], [], true]),
            ),
            (json!({"excludedNamespaceScopedResources": ["secrets"]}), json!([[], ["secrets"], null])),
            (
                json!({"excludedClusterScopedResources": ["nodes"], "excludedNamespaceScopedResources": ["pods"]}),
                json!([[], ["pods", "nodes"], null]),
            ),
            (json!({"excludedClusterScopedResources": ["*"]}), json!([[], [], false])),
            (json!({"includedClusterScopedResources": ["*"]}), json!([[], [], true])),
            (
                json!({"includedClusterScopedResources": ["*"], "excludedClusterScopedResources": ["nodes"]}),
                json!([[], ["nodes"], true]),
            ),
            (
                json!({"includedNamespaceScopedResources": ["pods"], "excludedClusterScopedResources": ["*"]}),
                json!([["pods"], [], false]),
            ),
            (
                json!({"includedNamespaceScopedResources": ["pods"], "includedClusterScopedResources": ["nodes"]}),
                json!([["pods", "nodes"], [], true]),
            ),
            (
                json!({"includedNamespaceScopedResources": ["*"], "includedClusterScopedResources": ["*"]}),
                json!([[], [], true]),
            ),
        ];
        for (filter, expected) in table {
            assert_eq!(translated(filter.clone()), Ok(expected), "{filter}");
        }
    }

    #[test]
    fn n03_lists_by_scope_that_velero_can_not_follow_are_refused_with_the_remedy() {
        let table = [
            (json!({"excludedNamespaceScopedResources": ["*"]}), "excludedNamespaceScopedResources"),
            (json!({"includedNamespaceScopedResources": ["pods"]}), "includedNamespaceScopedResources"),
            (
                json!({"includedNamespaceScopedResources": ["pods"], "includedClusterScopedResources": ["*"]}),
                "includedNamespaceScopedResources",
            ),
            (json!({"includedClusterScopedResources": ["nodes"]}), "includedClusterScopedResources"),
        ];
        for (filter, field) in table {
            let problems = translated(filter.clone()).unwrap_err();
            assert_eq!(problems.len(), 1, "{filter}");
            assert!(problems[0].starts_with(&format!("{AT}.{field}: Velero's restores ")), "{problems:?}");
        }
    }

    #[test]
    fn every_conflict_is_named() {
        let problems = translated(json!({
            "includedResources": ["pods"], "includedClusterScopedResources": ["*"],
            "labelSelector": {}, "orLabelSelectors": [{}],
        }));
        assert_eq!(problems.unwrap_err().len(), 2);
    }
}
