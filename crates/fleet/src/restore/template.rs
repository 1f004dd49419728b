//! The Velero Restore that a member gets.

use kurator_api::cluster::ClusterKey;
use kurator_api::filter::ResourceFilter;
use kurator_api::restore::RestorePolicy;
use kurator_api::velero;

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
    let Types { included: included_resources, excluded: mut excluded_resources, cluster_scoped } =
        filter::types(&filter)?;
    let ResourceFilter {
        included_namespaces, excluded_namespaces, label_selector, or_label_selectors, ..
    } = filter;
    for velero_type in VELERO_TYPES {
        if !excluded_resources.iter().any(|excluded| excluded == velero_type) {
            excluded_resources.push(velero_type.to_owned());
        }
    }
    let preserved = policy.and_then(|policy| policy.preserve_status.as_ref());
    Ok(velero::RestoreSpec {
        included_namespaces,
        excluded_namespaces,
        included_resources,
        excluded_resources,
        include_cluster_resources: cluster_scoped,
        label_selector,
        or_label_selectors,
        namespace_mapping: policy.map(|policy| policy.namespace_mapping.clone()).unwrap_or_default(),
        preserve_node_ports: policy.and_then(|policy| policy.preserve_node_ports),
        restore_status: preserved.map(|preserved| velero::StatusFilter {
            included_resources: preserved.included_resources.clone(),
            excluded_resources: preserved.excluded_resources.clone(),
            ..velero::StatusFilter::default()
        }),
        ..velero::RestoreSpec::default()
    })
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
    fn every_restore_leaves_out_all_of_velero() {
        assert_eq!(
            serde_json::to_value(spec(None).unwrap()).unwrap(),
            json!({"excludedResources": VELERO_TYPES})
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
