//! The resource policy of a Restore: which objects it takes, by the rules of Velero 1.18.3.
//!
//! It is written like a Backup's and says less: volumes and lists of types have no place in it. What it says of a type
//! counts in the place of the Restore's selectors; a namespace that it speaks of gives nothing that it does not list.

use std::collections::{BTreeMap, BTreeSet};

use kurator_api::velero::Restore;
use serde_json::Value;

use crate::backup::policy::Policy;
use crate::backup::select::Fine;
use crate::types::{ApiType, Catalog};

use super::prepare::Facts;

/// The name of the ConfigMap with the resource policy that a Restore asks for, in its own namespace.
#[must_use]
pub fn policy_named(restore: &Restore) -> Option<&str> {
    restore.spec.other.get("resourcePolicy")?.get("name")?.as_str()
}

/// Reads the policy. `warnings` are of what in it has no effect.
///
/// # Errors
///
/// Why it cannot be applied, in Velero's words where it has some.
pub(super) fn read(
    restore: &Restore,
    facts: &Facts<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<Fine>, String> {
    let Some(reference) = restore.spec.other.get("resourcePolicy").filter(|own| !own.is_null()) else {
        return Ok(None);
    };
    let invalid = |why: String| Err(format!("invalid restore resource policies: {why}"));
    let kind = reference.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !kind.eq_ignore_ascii_case("configmap") {
        return invalid(format!("invalid ResourcePolicy kind {kind:?}, only \"configmap\" is supported"));
    }
    let namespace = restore.metadata.namespace.as_deref().unwrap_or_default();
    let full = format!("{namespace}/{}", policy_named(restore).unwrap_or_default());
    let Some(map) = facts.policy else {
        return invalid(format!("fail to get ResourcePolicies {full} ConfigMap: it is not there"));
    };
    let none = BTreeMap::new();
    let policy = match Policy::parse(map.data.as_ref().unwrap_or(&none)) {
        Ok(policy) => policy,
        Err(error) => {
            return invalid(format!("fail to read the ResourcePolicies from ConfigMap {full}: {error}"));
        }
    };
    let unfit = [
        (policy.volume_rules > 0, "volumePolicies are"),
        (policy.types.is_some(), "includeExcludePolicy is"),
    ];
    if let Some((_, part)) = unfit.iter().find(|(is_there, _)| *is_there) {
        return invalid(format!(
            "fail to validate ResourcePolicies in ConfigMap {full}: {part} not supported for restore"
        ));
    }
    if let Some(twice) = named_twice(&policy, facts.catalog) {
        return invalid(format!("ambiguous policy: duplicate kind {twice:?} detected"));
    }
    Ok(Some(Fine::new(&policy, facts.catalog, warnings)))
}

/// A type that one list of filters names in two ways.
fn named_twice(policy: &Policy, catalog: &Catalog) -> Option<String> {
    let lists = policy.namespaces.iter().map(|of| &of.filters).chain([&policy.cluster]);
    lists.into_iter().find_map(|filters| {
        let mut seen = BTreeSet::new();
        let kinds = filters.iter().flat_map(|filter| &filter.kinds);
        let mut types =
            kinds.map(|kind| catalog.find(kind).map_or_else(|| kind.to_lowercase(), ApiType::group_resource));
        types.find(|full| !seen.insert(full.clone()))
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::super::Plan;
    use super::super::testing::prepared_of;
    use super::*;

    fn map(text: &str) -> ConfigMap {
        serde_json::from_value(json!({"data": {"policy": text}})).unwrap()
    }

    fn catalog() -> Catalog {
        let core = |resource: &str, namespaced| ApiType {
            resource: resource.to_owned(),
            singular: resource.trim_end_matches('s').to_owned(),
            namespaced,
            ..ApiType::default()
        };
        Catalog {
            types: vec![core("pods", true), core("secrets", true), core("nodes", false)],
            failed: vec![],
        }
    }

    fn asked(spec: &Value, policy: Option<&ConfigMap>) -> Result<(Plan, Vec<String>), Vec<String>> {
        let mut spec = spec.clone();
        if spec.get("resourcePolicy").is_none() {
            spec["resourcePolicy"] = json!({"kind": "ConfigMap", "name": "p"});
        }
        prepared_of(spec, None, policy, &catalog()).map(|prepared| (prepared.plan, prepared.warnings))
    }

    fn object(name: &str, kind: &str, app: &str) -> Value {
        json!({"kind": kind, "metadata": {"name": name, "labels": {"app": app}}})
    }

    const FILTERS: &str = "
version: v1
clusterScopedFilterPolicy:
  resourceFilters:
  - {kinds: [nodes], names: ['worker-*']}
namespacedFilterPolicies:
- namespaces: [listed]
  resourceFilters:
  - {kinds: [Pod], labelSelector: {matchLabels: {app: web}}, excludedNames: [web-9]}
  - {kinds: [Widget]}
- namespaces: ['rest-*']
  resourceFilters:
  - {kinds: [secrets], names: [one]}
  - {}
";

    #[test]
    fn what_a_policy_says_of_a_type_counts_in_the_place_of_the_selectors() {
        let (plan, warnings) =
            asked(&json!({"labelSelector": {"matchLabels": {"app": "api"}}}), Some(&map(FILTERS))).unwrap();
        assert_eq!(warnings, ["the resource policy filters `Widget`, which the cluster doesn't serve"]);
        // (resource, namespace, name, kind, label app, whether it is taken)
        for (resource, namespace, name, kind, app, taken) in [
            ("pods", Some("listed"), "web-1", "Pod", "web", true),
            ("pods", Some("listed"), "web-9", "Pod", "web", false),
            ("pods", Some("listed"), "web-1", "Pod", "api", false),
            ("secrets", Some("listed"), "one", "Secret", "api", false),
            ("widgets.example.com", Some("listed"), "w", "Widget", "any", true),
            ("secrets", Some("rest-1"), "one", "Secret", "any", true),
            ("secrets", Some("rest-1"), "two", "Secret", "api", false),
            ("pods", Some("rest-1"), "any", "Pod", "any", true),
            ("pods", Some("other"), "p", "Pod", "api", true),
            ("pods", Some("other"), "p", "Pod", "web", false),
            ("nodes", None, "worker-1", "Node", "any", true),
            ("nodes", None, "head", "Node", "api", false),
            ("storageclasses.storage.k8s.io", None, "fast", "StorageClass", "api", true),
            ("storageclasses.storage.k8s.io", None, "fast", "StorageClass", "any", false),
        ] {
            let object = object(name, kind, app);
            assert_eq!(
                plan.selects(resource, namespace, &object),
                taken,
                "{resource} {namespace:?} {object}"
            );
        }
    }

    #[test]
    fn a_policy_that_cannot_be_applied_is_refused_in_velero_s_words() {
        let empty = json!({});
        for (spec, policy, fault) in [
            (
                json!({"resourcePolicy": {"kind": "Secret", "name": "p"}}),
                None,
                "invalid ResourcePolicy kind \"Secret\", only \"configmap\" is supported",
            ),
            (empty.clone(), None, "fail to get ResourcePolicies velero/p ConfigMap: it is not there"),
            (
                empty.clone(),
                Some("version: v2"),
                "fail to read the ResourcePolicies from ConfigMap velero/p: incompatible version number `v2` with \
                 supported version v1",
            ),
            (
                empty.clone(),
                Some(
                    "version: v1\nvolumePolicies:\n- conditions: {capacity: '0,1Gi'}\n  action: {type: skip}",
                ),
                "fail to validate ResourcePolicies in ConfigMap velero/p: volumePolicies are not supported for restore",
            ),
            (
                empty.clone(),
                Some(
                    "version: v1\nnamespacedFilterPolicies:\n- namespaces: [a]\n  resourceFilters:\n  - {kinds: [pods]}\n  \
                     - {kinds: [Pod]}",
                ),
                "ambiguous policy: duplicate kind \"pods\" detected",
            ),
            (
                empty,
                Some("version: v1\nincludeExcludePolicy: {includedNamespaceScopedResources: [pods]}"),
                "fail to validate ResourcePolicies in ConfigMap velero/p: includeExcludePolicy is not supported for \
                 restore",
            ),
        ] {
            let policy = policy.map(map);
            assert_eq!(
                asked(&spec, policy.as_ref()).map(drop).unwrap_err(),
                [format!("invalid restore resource policies: {fault}")]
            );
        }
    }
}
