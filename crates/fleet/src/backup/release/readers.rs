//! Who on the hub restores what is to be deleted: Velero takes the Restores of a Backup away with it. Pure.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::backup::RowPhase;
use kurator_api::cluster::ClusterKey;
use kurator_api::restore::{Restore, RestorePhase};
use kurator_api::velero;

/// What is said if this Restore still needs one of these Velero Backups of the hub's Backup in this cluster.
pub(super) fn reads(
    restore: &Restore,
    backup: &str,
    cluster: &ClusterKey,
    children: &[Arc<velero::Backup>],
) -> Option<String> {
    let is_child = |name: &str| children.iter().any(|child| child.name_any() == name);
    let status = restore.status.as_ref();
    let is_over = status.and_then(|status| status.phase).is_some_and(RestorePhase::is_terminal);
    if is_over || restore.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let is_meant = match restore.spec.named_in_cluster() {
        Some(name) => is_child(name),
        None => restore.spec.backup_name == backup,
    };
    let rows = status.map(|status| status.restore_details.as_slice()).unwrap_or_default();
    let here = rows.iter().find(|row| row.cluster_kind == cluster.kind && row.cluster_name == cluster.name);
    // One that has not begun may begin anywhere; one that has runs in the clusters of its rows.
    let needs_it = match here {
        Some(row) => !row.phase.is_some_and(RowPhase::is_terminal),
        None => rows.is_empty(),
    };
    let name = restore.name_any();
    (is_meant && needs_it).then(|| format!("Restore `{name}` of it has not ended; let it end, or delete it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKind;
    use serde_json::json;

    fn restore(spec: &serde_json::Value, status: &serde_json::Value) -> Restore {
        serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": spec, "status": status})).unwrap()
    }

    fn is_read(restore: &Restore) -> bool {
        let cluster =
            ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: "m1".into() };
        let child = serde_json::from_value(json!({"metadata": {"name": "m1-b"}, "spec": {}})).unwrap();
        reads(restore, "b", &cluster, &[Arc::new(child)]).is_some()
    }

    #[test]
    fn k05_a_restore_that_has_not_ended_in_a_cluster_needs_its_backup_there() {
        let row = |name: &str, phase: &str| json!({"clusterKind": "AttachedCluster", "clusterName": name, "phase": phase});
        let table = [
            ("just created", json!({}), true),
            ("waits", json!({"phase": "Pending"}), true),
            ("runs", json!({"phase": "InProgress", "restoreDetails": [row("m1", "InProgress")]}), true),
            (
                "runs there soon",
                json!({"phase": "InProgress", "restoreDetails": [row("m1", "Pending")]}),
                true,
            ),
            (
                "ended there",
                json!({"phase": "InProgress", "restoreDetails": [row("m1", "Completed")]}),
                false,
            ),
            ("elsewhere", json!({"phase": "InProgress", "restoreDetails": [row("m2", "InProgress")]}), false),
            ("over", json!({"phase": "Completed"}), false),
            ("refused", json!({"phase": "FailedValidation"}), false),
        ];
        for (what, status, expected) in table {
            assert_eq!(is_read(&restore(&json!({"backupName": "b"}), &status)), expected, "{what}");
        }
    }

    #[test]
    fn k05_which_backup_a_restore_reads_its_spec_says() {
        let table = [
            (json!({"backupName": "b"}), true),
            (json!({"backupName": "other"}), false),
            (json!({"backupName": "other", "backupNameInCluster": "m1-b"}), true),
            (json!({"backupName": "b", "backupNameInCluster": "elsewhere"}), false),
        ];
        for (spec, expected) in table {
            assert_eq!(is_read(&restore(&spec, &json!({}))), expected, "{spec}");
        }
        let mut leaving = restore(&json!({"backupName": "b"}), &json!({}));
        leaving.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert!(!is_read(&leaving), "its own deletion takes its Velero Restores away");
    }
}
