//! The Velero Restore that a member gets.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kurator_api::backup::PreserveStatus;
use kurator_api::cluster::ClusterKey;
use kurator_api::filter::ResourceFilter;
use kurator_api::restore::RestorePolicy;
use kurator_api::{names, velero};

use super::filter::{self, Types};
use super::validate::ValidRestore;

/// All types of velero.io. An unfiltered backup holds the cluster's own Velero objects; restoring them
/// would start its schedules and open its locations a second time.
const VELERO_TYPES: [&str; 13] = [
    "backuprepositories.velero.io",
    "backups.velero.io",
    "backupstoragelocations.velero.io",
    "datadownloads.velero.io",
    "datauploads.velero.io",
    "deletebackuprequests.velero.io",
    "downloadrequests.velero.io",
    "podvolumebackups.velero.io",
    "podvolumerestores.velero.io",
    "restores.velero.io",
    "schedules.velero.io",
    "serverstatusrequests.velero.io",
    "volumesnapshotlocations.velero.io",
];

/// Everything of the policy that Velero is told, on every member alike; or every reason why it can't be.
pub(super) fn spec(policy: Option<&RestorePolicy>) -> Result<velero::RestoreSpec, Vec<String>> {
    let filter = policy.and_then(|policy| policy.resource_filter.clone()).unwrap_or_default();
    let Types { included: included_resources, excluded: excluded_resources, cluster_scoped } =
        filter::types(&filter)?;
    let ResourceFilter {
        included_namespaces, excluded_namespaces, label_selector, or_label_selectors, ..
    } = filter;
    let preserved = policy.and_then(|policy| policy.preserve_status.as_ref());
    Ok(without_ours(velero::RestoreSpec {
        included_namespaces,
        excluded_namespaces,
        included_resources,
        excluded_resources,
        include_cluster_resources: cluster_scoped,
        label_selector,
        or_label_selectors,
        namespace_mapping: policy.map(|policy| policy.namespace_mapping.clone()).unwrap_or_default(),
        preserve_node_ports: policy.and_then(|policy| policy.preserve_node_ports),
        restore_status: preserved.map(status_filter),
        ..velero::RestoreSpec::default()
    }))
}

pub(crate) fn status_filter(preserved: &PreserveStatus) -> velero::StatusFilter {
    velero::StatusFilter {
        included_resources: preserved.included_resources.clone(),
        excluded_resources: preserved.excluded_resources.clone(),
        ..velero::StatusFilter::default()
    }
}

/// Leaves out what belongs to the cluster that was backed up: all of Velero, and what carries this project's label,
/// such as its Leases and the credentials of storage locations.
pub(crate) fn without_ours(mut spec: velero::RestoreSpec) -> velero::RestoreSpec {
    for velero_type in VELERO_TYPES {
        if !spec.excluded_resources.iter().any(|excluded| excluded == velero_type) {
            spec.excluded_resources.push(velero_type.to_owned());
        }
    }
    if spec.or_label_selectors.is_empty() {
        exclude_ours(spec.label_selector.get_or_insert_default());
    } else {
        spec.or_label_selectors.iter_mut().for_each(exclude_ours);
    }
    spec
}

fn exclude_ours(selector: &mut LabelSelector) {
    let ours = LabelSelectorRequirement {
        key: names::PLUGIN_LABEL.to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(vec![names::BACKUP_PLUGIN.to_owned()]),
    };
    selector.match_expressions.get_or_insert_default().push(ours);
}

pub(super) fn velero_restore(
    valid: &ValidRestore,
    cluster: &ClusterKey,
    name: &str,
    backup: String,
) -> velero::Restore {
    let spec = velero::RestoreSpec { backup_name: Some(backup), ..valid.template.clone() };
    velero::Restore { metadata: valid.run.owner.metadata(name, cluster), spec, status: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(policy: serde_json::Value) -> serde_json::Value {
        let policy: RestorePolicy = serde_json::from_value(policy).unwrap();
        serde_json::to_value(spec(Some(&policy)).unwrap()).unwrap()
    }

    #[test]
    fn every_restore_leaves_out_all_of_velero_and_of_ours() {
        let ours = json!({"key": "fleet.kurator.dev/plugin", "operator": "NotIn", "values": ["backup"]});
        assert_eq!(
            serde_json::to_value(spec(None).unwrap()).unwrap(),
            json!({"excludedResources": VELERO_TYPES, "labelSelector": {"matchExpressions": [ours]}})
        );
        let by_labels = rendered(json!({
            "resourceFilter": {"orLabelSelectors": [{"matchLabels": {"a": "b"}}, {"matchLabels": {"c": "d"}}]},
        }));
        assert_eq!(by_labels["labelSelector"], json!(null));
        assert_eq!(
            by_labels["orLabelSelectors"],
            json!([
                {"matchLabels": {"a": "b"}, "matchExpressions": [ours]},
                {"matchLabels": {"c": "d"}, "matchExpressions": [ours]},
            ])
        );
    }

    #[test]
    fn the_policy_reaches_velero_under_its_own_names() {
        let spec = rendered(json!({
            "namespaceMapping": {"a": "b"}, "preserveNodePorts": true,
            "preserveStatus": {"includedResources": ["*"], "excludedResources": ["pods"]},
            "resourceFilter": {"includedNamespaces": ["a"], "excludedResources": ["secrets"]},
        }));
        assert_eq!(spec["namespaceMapping"], json!({"a": "b"}));
        assert_eq!(spec["preserveNodePorts"], json!(true));
        assert_eq!(spec["restoreStatus"], json!({"includedResources": ["*"], "excludedResources": ["pods"]}));
        assert_eq!(spec["includedNamespaces"], json!(["a"]));
        assert_eq!(spec["excludedResources"][0], json!("secrets"));
        assert_eq!(spec["excludedResources"].as_array().unwrap().len(), 1 + VELERO_TYPES.len());
    }
}
