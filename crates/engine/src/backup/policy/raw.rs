//! The policy as it is written.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::PolicyError;
use crate::yaml::{self, LONGEST};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    #[serde(default)]
    pub(super) version: String,
    #[serde(default, rename = "volumePolicies")]
    pub(super) volumes: Option<Vec<VolumeRule>>,
    #[serde(default, rename = "includeExcludePolicy")]
    pub(super) types: Option<Types>,
    #[serde(default, rename = "clusterScopedFilterPolicy")]
    pub(super) cluster: Option<Filters>,
    #[serde(default, rename = "namespacedFilterPolicies")]
    pub(super) namespaces: Option<Vec<NamespaceFilters>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Types {
    #[serde(default, rename = "includedClusterScopedResources")]
    pub(super) include_cluster: Option<Vec<String>>,
    #[serde(default, rename = "excludedClusterScopedResources")]
    pub(super) exclude_cluster: Option<Vec<String>>,
    #[serde(default, rename = "includedNamespaceScopedResources")]
    pub(super) include_namespaced: Option<Vec<String>>,
    #[serde(default, rename = "excludedNamespaceScopedResources")]
    pub(super) exclude_namespaced: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filters {
    #[serde(default, rename = "resourceFilters")]
    pub(super) filters: Option<Vec<Filter>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespaceFilters {
    #[serde(default)]
    pub(super) namespaces: Option<Vec<String>>,
    #[serde(default, rename = "resourceFilters")]
    pub(super) filters: Option<Vec<Filter>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    #[serde(default)]
    pub(super) kinds: Option<Vec<String>>,
    #[serde(default, rename = "labelSelector", deserialize_with = "selector")]
    pub(super) selector: Option<LabelSelector>,
    #[serde(default, rename = "orLabelSelectors", deserialize_with = "selectors")]
    pub(super) or_selectors: Option<Vec<Option<LabelSelector>>>,
    #[serde(default)]
    pub(super) names: Option<Vec<String>>,
    #[serde(default, rename = "excludedNames")]
    pub(super) excluded_names: Option<Vec<String>>,
}

/// A selector that, unlike the API's type, refuses fields that it doesn't know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StrictSelector {
    #[serde(default)]
    match_labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    match_expressions: Option<Vec<StrictRequirement>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictRequirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Option<Vec<String>>,
}

impl From<StrictSelector> for LabelSelector {
    fn from(StrictSelector { match_labels, match_expressions }: StrictSelector) -> Self {
        let requirement =
            |StrictRequirement { key, operator, values }| LabelSelectorRequirement { key, operator, values };
        let match_expressions = match_expressions.map(|all| all.into_iter().map(requirement).collect());
        Self { match_labels, match_expressions }
    }
}

fn selector<'de, D: Deserializer<'de>>(from: D) -> Result<Option<LabelSelector>, D::Error> {
    Ok(Option::<StrictSelector>::deserialize(from)?.map(Into::into))
}

fn selectors<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Option<LabelSelector>>>, D::Error> {
    let selectors = Option::<Vec<Option<StrictSelector>>>::deserialize(from)?;
    Ok(selectors.map(|all| all.into_iter().map(|one| one.map(Into::into)).collect()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeRule {
    #[serde(default)]
    pub(super) conditions: Option<Conditions>,
    #[serde(default)]
    pub(super) action: Action,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default, rename = "parameters")]
    _parameters: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conditions {
    #[serde(default)]
    pub(super) capacity: Option<String>,
    #[serde(default, rename = "storageClass")]
    _storage_class: Option<Vec<String>>,
    #[serde(default, rename = "nfs")]
    _nfs: Option<Nfs>,
    #[serde(default)]
    pub(super) csi: Option<Csi>,
    #[serde(default, rename = "volumeTypes")]
    _volume_types: Option<Vec<String>>,
    #[serde(default, rename = "pvcLabels")]
    _labels: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "pvcPhase")]
    _phases: Option<Vec<String>>,
    #[serde(default, rename = "pvcVolumeMode")]
    _mode: Option<String>,
    #[serde(default, rename = "pvcAccessModes")]
    _access_modes: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nfs {
    #[serde(default, rename = "server")]
    _server: Option<String>,
    #[serde(default, rename = "path")]
    _path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Csi {
    #[serde(default)]
    pub(super) driver: Option<String>,
    #[serde(default, rename = "volumeAttributes")]
    pub(super) attributes: Option<BTreeMap<String, String>>,
}

pub(super) fn read(text: &str) -> Result<Policy, PolicyError> {
    if text.len() > LONGEST {
        return Err(PolicyError(format!(
            "it has {} bytes, more than {LONGEST}: write fewer rules",
            text.len()
        )));
    }
    yaml::read(text)
        .map_err(|error| PolicyError(format!("failed to decode yaml data into resource policies: {error}")))
}
