//! The Velero objects that the members get.

use kurator_api::backup::BackupPolicy;
use kurator_api::cluster::ClusterKey;
use kurator_api::migrate::MigratePolicy;
use kurator_api::velero;

use super::validate::ValidMigrate;
use crate::restore::{status_filter, without_ours};

/// What is taken of the source. No filter means everything, as for a Backup.
pub(super) fn backup(policy: Option<&MigratePolicy>) -> velero::BackupSpec {
    let policy = policy.map(|policy| BackupPolicy {
        resource_filter: policy.resource_filter.clone(),
        ttl: policy.ttl.clone(),
        ordered_resources: policy.ordered_resources.clone(),
    });
    crate::backup::spec(policy.as_ref())
}

/// What is restored in the targets: all of it. The filter has been applied.
pub(super) fn restore(policy: Option<&MigratePolicy>) -> velero::RestoreSpec {
    let preserved = policy.and_then(|policy| policy.migrate_status.as_ref());
    without_ours(velero::RestoreSpec {
        namespace_mapping: policy.map(|policy| policy.namespace_mapping.clone()).unwrap_or_default(),
        preserve_node_ports: policy.and_then(|policy| policy.preserve_node_ports),
        restore_status: preserved.map(status_filter),
        ..velero::RestoreSpec::default()
    })
}

pub(super) fn velero_backup(
    valid: &ValidMigrate,
    cluster: &ClusterKey,
    name: &str,
    location: String,
) -> velero::Backup {
    let metadata = valid.source.owner.metadata(name, cluster);
    let spec = velero::BackupSpec { storage_location: Some(location), ..valid.backup.clone() };
    velero::Backup { metadata, spec, status: None }
}

pub(super) fn velero_restore(
    valid: &ValidMigrate,
    cluster: &ClusterKey,
    name: &str,
    backup: String,
) -> velero::Restore {
    let spec = velero::RestoreSpec { backup_name: Some(backup), ..valid.restore.clone() };
    velero::Restore { metadata: valid.targets.owner.metadata(name, cluster), spec, status: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy() -> MigratePolicy {
        serde_json::from_value(json!({
            "resourceFilter": {"labelSelector": {"matchLabels": {"app": "busybox"}}},
            "orderedResources": {"pods": "a/x"}, "ttl": "2h", "namespaceMapping": {"a": "b"},
            "migrateStatus": {"includedResources": ["*"]}, "preserveNodePorts": true,
        }))
        .unwrap()
    }

    #[test]
    fn n06_the_source_takes_filter_order_and_ttl() {
        assert_eq!(
            serde_json::to_value(backup(Some(&policy()))).unwrap(),
            json!({
                "labelSelector": {"matchLabels": {"app": "busybox"}}, "orderedResources": {"pods": "a/x"}, "ttl": "2h",
                "includeClusterResources": true,
            })
        );
    }

    #[test]
    fn the_targets_map_namespaces_and_filter_nothing_but_what_is_not_to_move() {
        let restore = serde_json::to_value(restore(Some(&policy()))).unwrap();
        assert_eq!(restore["namespaceMapping"], json!({"a": "b"}));
        assert_eq!(restore["restoreStatus"], json!({"includedResources": ["*"]}));
        assert_eq!(restore["preserveNodePorts"], json!(true));
        assert_eq!(restore["labelSelector"].get("matchLabels"), None);
        let excluded = restore["excludedResources"].as_array().unwrap();
        assert!(
            excluded.contains(&json!("schedules.velero.io"))
                && excluded.contains(&json!("backupstoragelocations.velero.io"))
        );
    }

    #[test]
    fn k10_no_policy_means_everything() {
        assert_eq!(serde_json::to_value(backup(None)).unwrap(), json!({"includeClusterResources": true}));
    }
}
