//! The Velero Backup that a member gets.

use kurator_api::backup::{Backup, BackupDetails, BackupPolicy};
use kurator_api::cluster::ClusterKey;
use kurator_api::filter::ResourceFilter;
use kurator_api::velero;

use super::validate::{ValidBackup, owner};
use crate::run::volumes;

/// Everything of the policy that Velero is told, on every member alike.
///
/// No filter means everything. Velero 1.17 and later leave cluster-scoped types out of such a backup
/// unless they are asked for, so they are.
pub(crate) fn spec(policy: Option<&BackupPolicy>) -> velero::BackupSpec {
    let everything = ResourceFilter::default();
    let filter = policy.and_then(|policy| policy.resource_filter.as_ref()).unwrap_or(&everything);
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
    } = filter.clone();
    velero::BackupSpec {
        included_namespaces,
        excluded_namespaces,
        included_resources,
        excluded_resources,
        include_cluster_resources: include_cluster_resources.or(filter.is_everything().then_some(true)),
        included_cluster_scoped_resources,
        excluded_cluster_scoped_resources,
        included_namespace_scoped_resources,
        excluded_namespace_scoped_resources,
        label_selector,
        or_label_selectors,
        ttl: policy.and_then(|policy| policy.ttl.clone()),
        ordered_resources: policy.map(|policy| policy.ordered_resources.clone()).unwrap_or_default(),
        ..velero::BackupSpec::default()
    }
}

pub(super) fn velero_backup(
    valid: &ValidBackup,
    cluster: &ClusterKey,
    name: &str,
    location: String,
) -> velero::Backup {
    let metadata = valid.run.owner.metadata(name, cluster);
    let spec = velero::BackupSpec { storage_location: Some(location), ..valid.template.clone() };
    velero::Backup { metadata, spec, status: None }
}

/// A finished run as Velero's own sync would bring it back from the store: with its final status, so
/// that no server runs it again. As the Backup's own child in this cluster.
///
/// `None` while the row has no final status to copy.
pub(crate) fn copy_of(
    backup: &Backup,
    hub: &str,
    row: &BackupDetails,
    cluster: &ClusterKey,
) -> Option<velero::Backup> {
    let name = row.backup_name_in_cluster.as_deref()?;
    let status = row.backup_status_in_cluster.clone()?;
    if !status.phase.as_ref().is_some_and(velero::BackupPhase::is_terminal) {
        return None;
    }
    let mut metadata = owner(backup, hub).metadata(name, cluster);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.extend(volumes::annotation(row.volumes_without_data));
    Some(velero::Backup { metadata, spec: spec(backup.spec.policy.as_ref()), status: Some(status) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(policy: serde_json::Value) -> serde_json::Value {
        let policy: BackupPolicy = serde_json::from_value(policy).unwrap();
        serde_json::to_value(spec(Some(&policy))).unwrap()
    }

    #[test]
    fn k10_no_filter_means_everything_with_cluster_scoped_objects() {
        let everything = json!({"includeClusterResources": true});
        assert_eq!(serde_json::to_value(spec(None)).unwrap(), everything);
        assert_eq!(rendered(json!({"ttl": "24h"})), json!({"includeClusterResources": true, "ttl": "24h"}));
    }

    #[test]
    fn a_namespace_filter_leaves_cluster_scoped_objects_to_velero() {
        let policy = json!({"resourceFilter": {"includedNamespaces": ["kurator-backup"]}});
        assert_eq!(rendered(policy), json!({"includedNamespaces": ["kurator-backup"]}));
    }

    #[test]
    fn labels_alone_count_as_no_filter() {
        let policy = json!({"resourceFilter": {"labelSelector": {"matchLabels": {"app": "busybox"}}}});
        assert_eq!(rendered(policy)["includeClusterResources"], json!(true));
    }

    #[test]
    fn ordered_resources_and_scoped_lists_reach_velero_under_their_own_names() {
        let policy = json!({
            "orderedResources": {"pods": "a/x,a/y"},
            "resourceFilter": {"includedNamespaceScopedResources": ["pods"], "excludedClusterScopedResources": ["nodes"]},
        });
        assert_eq!(
            rendered(policy),
            json!({
                "orderedResources": {"pods": "a/x,a/y"},
                "includedNamespaceScopedResources": ["pods"], "excludedClusterScopedResources": ["nodes"],
            })
        );
    }

    #[test]
    fn a_run_that_is_brought_back_says_how_many_claims_lack_their_data() {
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": "b", "namespace": "default", "uid": "u"}, "spec": {"destination": {"fleet": "f"}},
        }))
        .unwrap();
        let cluster = ClusterKey { namespace: "default".into(), kind: Default::default(), name: "m1".into() };
        let brought = |claims: Option<u32>| {
            let row = BackupDetails {
                backup_name_in_cluster: Some("b".into()),
                backup_status_in_cluster: serde_json::from_value(json!({"phase": "Completed"})).unwrap(),
                volumes_without_data: claims,
                ..BackupDetails::default()
            };
            volumes::without_data(&copy_of(&backup, "hub", &row, &cluster).unwrap())
        };
        assert_eq!([brought(Some(2)), brought(None)], [Some(2), None]);
    }
}
