//! Which resources of a cluster are meant: Velero's eleven filter fields.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encoding;
use crate::names::is_dns_label;
use crate::schema;
use crate::selector::{self, shown};

/// Which resources are meant. Absent fields filter nothing.
///
/// The old-style fields (`includedResources`, `excludedResources`, `includeClusterResources`) and the
/// new-style ones (those with `Scoped` in their name) exclude each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": OLD_OR_NEW_RULE,
        "message": OLD_OR_NEW,
    },
    {
        "rule": "!(has(self.labelSelector) && has(self.orLabelSelectors) && size(self.orLabelSelectors) > 0)",
        "message": ONE_SELECTOR,
    },
]))]
pub struct ResourceFilter {
    /// Namespaces to take; empty means all.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub included_namespaces: Vec<String>,
    /// Namespaces to leave out.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub excluded_namespaces: Vec<String>,
    /// Types to take; empty means all. Old style.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub included_resources: Vec<String>,
    /// Types to leave out. Old style.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub excluded_resources: Vec<String>,
    /// Cluster-scoped resources: true takes all, false none, absent those that belong to what is taken.
    /// Old style.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_cluster_resources: Option<bool>,
    /// Cluster-scoped types to take; `*` means all. New style.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub included_cluster_scoped_resources: Vec<String>,
    /// Cluster-scoped types to leave out; `*` means all. New style.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub excluded_cluster_scoped_resources: Vec<String>,
    /// Namespaced types to take; empty or `*` means all. New style.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub included_namespace_scoped_resources: Vec<String>,
    /// Namespaced types to leave out; `*` means all. New style.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub excluded_namespace_scoped_resources: Vec<String>,
    /// Labels that a resource must have. Not together with `orLabelSelectors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// Selectors of which a resource must match at least one. Not together with `labelSelector`.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::label_selectors")]
    pub or_label_selectors: Vec<LabelSelector>,
}

const OLD_OR_NEW: &str = "includedResources, excludedResources and includeClusterResources can't be combined with the fields \
     for cluster-scoped and namespace-scoped resources; use one style";

const ONE_SELECTOR: &str = "labelSelector and orLabelSelectors can't be combined; use one of them";

const OLD_OR_NEW_RULE: &str = "!((has(self.includeClusterResources) \
     || (has(self.includedResources) && size(self.includedResources) > 0) \
     || (has(self.excludedResources) && size(self.excludedResources) > 0)) \
     && ((has(self.includedClusterScopedResources) && size(self.includedClusterScopedResources) > 0) \
     || (has(self.excludedClusterScopedResources) && size(self.excludedClusterScopedResources) > 0) \
     || (has(self.includedNamespaceScopedResources) && size(self.includedNamespaceScopedResources) > 0) \
     || (has(self.excludedNamespaceScopedResources) && size(self.excludedNamespaceScopedResources) > 0)))";

impl ResourceFilter {
    /// Whether it filters nothing, so that cluster-scoped resources belong to the result too. Labels alone
    /// count as no filter, `*` as no choice of namespaces.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let Self { included_namespaces, excluded_namespaces, .. } = self;
        let all_namespaces = included_namespaces.iter().all(|namespace| namespace == "*");
        all_namespaces && excluded_namespaces.is_empty() && !self.uses_old_style() && !self.uses_new_style()
    }

    /// Whether one of the fields is set that Velero had from the beginning.
    #[must_use]
    pub fn uses_old_style(&self) -> bool {
        self.include_cluster_resources.is_some()
            || !self.included_resources.is_empty()
            || !self.excluded_resources.is_empty()
    }

    /// Whether one of the fields is set that tell cluster-scoped and namespaced types apart.
    #[must_use]
    pub fn uses_new_style(&self) -> bool {
        [
            &self.included_cluster_scoped_resources,
            &self.excluded_cluster_scoped_resources,
            &self.included_namespace_scoped_resources,
            &self.excluded_namespace_scoped_resources,
        ]
        .into_iter()
        .any(|list| !list.is_empty())
    }

    /// Why Velero would refuse it, a sentence each. The CRDs refuse the same; this is for objects that were
    /// stored before.
    #[must_use]
    pub fn conflicts(&self) -> Vec<String> {
        let mut conflicts = Vec::new();
        if self.uses_old_style() && self.uses_new_style() {
            conflicts.push(OLD_OR_NEW.to_owned());
        }
        if self.label_selector.is_some() && !self.or_label_selectors.is_empty() {
            conflicts.push(ONE_SELECTOR.to_owned());
        }
        conflicts
    }

    /// Why nothing that is meant can be found by it, or Velero would refuse it: the [`conflicts`](Self::conflicts), and
    /// what no namespace and no label can be called.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.conflicts();
        for (field, list) in [
            ("includedNamespaces", &self.included_namespaces),
            ("excludedNamespaces", &self.excluded_namespaces),
        ] {
            problems.extend(list.iter().filter(|name| !may_be_namespace(name)).map(|name| {
                format!(
                    "{field}: `{}` is no name of a namespace; use lower case letters, digits and `-`",
                    shown(name)
                )
            }));
        }
        problems.extend(
            self.included_namespaces.iter().filter(|name| self.excluded_namespaces.contains(name)).map(
                |name| {
                    format!(
                        "excludedNamespaces: `{}` stands in includedNamespaces too; take it off one list",
                        shown(name)
                    )
                },
            ),
        );
        let selectors = self.label_selector.iter().map(|selector| ("labelSelector", selector));
        let any = self.or_label_selectors.iter().map(|selector| ("orLabelSelectors", selector));
        for (field, selector) in selectors.chain(any) {
            problems.extend(selector::problems(selector).into_iter().map(|text| format!("{field}: {text}")));
        }
        problems
    }
}

/// Whether this names a namespace, or is a pattern of Velero's that may. Velero takes an empty name for none.
fn may_be_namespace(name: &str) -> bool {
    const PATTERN: &str = "*?[]{}!^,";
    let is_pattern = name.contains(|c| PATTERN.contains(c));
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || PATTERN.contains(c);
    name.is_empty() || is_dns_label(name) || (is_pattern && name.chars().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filter(value: serde_json::Value) -> ResourceFilter {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn nothing_set_stars_and_labels_alone_are_everything() {
        for value in [
            json!({}),
            json!({"includedNamespaces": null, "excludedResources": null}),
            json!({"includedNamespaces": ["*"]}),
            json!({"labelSelector": {"matchLabels": {"app": "busybox"}}}),
            json!({"orLabelSelectors": [{"matchLabels": {"app": "busybox"}}]}),
        ] {
            assert!(filter(value.clone()).is_everything(), "{value}");
        }
    }

    #[test]
    fn any_choice_of_namespaces_or_types_is_not_everything() {
        for value in [
            json!({"includedNamespaces": ["a"]}),
            json!({"includedNamespaces": ["*", "a"]}),
            json!({"excludedNamespaces": ["a"]}),
            json!({"includedResources": ["pods"]}),
            json!({"excludedResources": ["pods"]}),
            json!({"includeClusterResources": false}),
            json!({"includedClusterScopedResources": ["*"]}),
            json!({"excludedClusterScopedResources": ["*"]}),
            json!({"includedNamespaceScopedResources": ["pods"]}),
            json!({"excludedNamespaceScopedResources": ["pods"]}),
        ] {
            assert!(!filter(value.clone()).is_everything(), "{value}");
        }
    }

    #[test]
    fn mixed_styles_and_both_selectors_conflict() {
        let both = filter(json!({
            "includedResources": ["pods"], "excludedClusterScopedResources": ["nodes"],
            "labelSelector": {}, "orLabelSelectors": [{}],
        }));
        assert_eq!(both.conflicts(), [OLD_OR_NEW, ONE_SELECTOR]);
        assert!(filter(json!({"includedResources": ["pods"], "labelSelector": {}})).conflicts().is_empty());
    }

    #[test]
    fn names_and_patterns_of_namespaces_are_let_pass() {
        let names = json!(["*", "a-1", "team-*", "team-?", "team-[abc]", "team-[!a]", "{a,b}", ""]);
        let filter = filter(json!({"includedNamespaces": names, "excludedNamespaces": ["kube-system"]}));
        assert_eq!(filter.problems(), Vec::<String>::new());
    }

    #[test]
    fn what_can_name_no_namespace_or_contradicts_itself_is_named() {
        let long = "ü".repeat(3000);
        let table = [
            (
                json!({"includedNamespaces": ["tiny\n\"'"]}),
                "includedNamespaces: `tiny\\n\\\"\\'` is no name of",
            ),
            (json!({"excludedNamespaces": [long]}), "excludedNamespaces: `üüü"),
            (json!({"includedNamespaces": ["-a"]}), "includedNamespaces: `-a` is no name of a namespace"),
            (
                json!({"includedNamespaces": ["a", "b"], "excludedNamespaces": ["b"]}),
                "excludedNamespaces: `b` stands in includedNamespaces too; take it off one list",
            ),
            (json!({"labelSelector": {"matchLabels": {"a b": "c"}}}), "labelSelector: `a b` is no key"),
            (
                json!({"orLabelSelectors": [{"matchLabels": {"a": "c d"}}]}),
                "orLabelSelectors: `c d` is no value",
            ),
        ];
        for (value, expected) in table {
            let problems = filter(value).problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(expected) && problems[0].len() < 256, "{problems:?}");
        }
    }

    #[test]
    fn an_empty_filter_serialises_to_nothing() {
        assert_eq!(serde_json::to_value(ResourceFilter::default()).unwrap(), json!({}));
    }
}
