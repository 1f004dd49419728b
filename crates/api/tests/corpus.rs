//! Stored objects of any age: what Kurator, its Go clients and its documentation leave in an API server decodes, and
//! nothing that was stored is lost on the way back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: what fails here fails it")]

use kurator_api::backup::Backup;
use kurator_api::cluster::{AttachedCluster, Cluster};
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use kurator_api::velero;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<K: DeserializeOwned>(stored: &Value) -> K {
    serde_json::from_value(stored.clone()).unwrap_or_else(|error| panic!("{stored}: {error}"))
}

fn and_back<K: DeserializeOwned + Serialize>(stored: &Value) -> Value {
    serde_json::to_value(read::<K>(stored)).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
fn object(spec: Value, status: Value) -> Value {
    json!({"metadata": {"name": "o", "namespace": "default"}, "spec": spec, "status": status})
}

/// Without what means nothing: nulls, and what is empty.
fn meaningful(value: &Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), meaningful(value)));
            Value::Object(fields.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => items.iter().map(meaningful).collect(),
        plain => plain.clone(),
    }
}

/// Every kind of the hub, whatever is stored.
fn every_kind(stored: &Value) {
    read::<Fleet>(stored);
    read::<AttachedCluster>(stored);
    read::<Cluster>(stored);
    read::<Backup>(stored);
    read::<Restore>(stored);
    read::<Migrate>(stored);
}

#[test]
fn an_object_of_any_kind_needs_neither_spec_nor_status() {
    for stored in [
        json!({"metadata": {"name": "o"}}),
        json!({"metadata": {"name": "o"}, "spec": null, "status": null}),
        json!({"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "o", "managedFields": []}, "status": {}}),
    ] {
        every_kind(&stored);
    }
}

#[test]
fn unknown_fields_are_passed_over_at_every_depth() {
    let later = json!({"deep": [1, {"er": "still"}]});
    let destination =
        json!({"fleet": "f", "later": later, "clusters": [{"kind": "Cluster", "name": "c", "later": later}]});
    let policy = json!({"later": later, "resourceFilter": {"later": later}});
    read::<Backup>(&object(json!({"destination": destination, "policy": policy}), json!({"later": later})));
    read::<Restore>(&object(json!({"backupName": "b", "policy": policy}), json!({"later": later})));
    let migrate = json!({"sourceCluster": destination, "targetCluster": destination, "policy": policy});
    read::<Migrate>(&object(migrate, json!({"later": later})));
    read::<Fleet>(&object(
        json!({"clusters": [], "later": later, "plugin": {"later": later}}),
        json!({"later": later}),
    ));
    read::<AttachedCluster>(&object(json!({"later": later}), json!({"later": later})));
}

#[test]
fn nulls_and_empty_values_of_go_read_as_absent() {
    let filter = json!({
        "includedNamespaces": null, "excludedNamespaces": [], "includedResources": null, "excludedResources": null,
        "includeClusterResources": null, "includedClusterScopedResources": null,
        "excludedClusterScopedResources": null, "includedNamespaceScopedResources": null,
        "excludedNamespaceScopedResources": null, "labelSelector": null, "orLabelSelectors": null,
    });
    let destination = json!({"fleet": "f", "clusters": null});
    let policy = json!({"resourceFilter": filter, "ttl": null, "orderedResources": null});
    let backup = json!({"schedule": "", "destination": destination, "policy": policy});
    let read_back = and_back::<Backup>(&object(backup, json!({"conditions": null, "backupDetails": null})));
    assert_eq!(meaningful(&read_back["spec"]), json!({"destination": {"fleet": "f"}}));

    let policy = json!({
        "resourceFilter": filter, "namespaceMapping": null, "preserveNodePorts": null,
        "preserveStatus": {"includedResources": null, "excludedResources": null},
    });
    let restore = json!({"backupName": "b", "destination": null, "policy": policy});
    let read_back =
        and_back::<Restore>(&object(restore, json!({"conditions": null, "restoreDetails": null})));
    assert_eq!(meaningful(&read_back["spec"]), json!({"backupName": "b"}));

    let policy = json!({
        "resourceFilter": null, "orderedResources": null, "namespaceMapping": null, "preserveNodePorts": null,
        "migrateStatus": null,
    });
    let migrate = json!({"sourceCluster": destination, "targetCluster": destination, "policy": policy});
    read::<Migrate>(&object(migrate, json!({"conditions": null, "targetClusterStatus": null})));
    let plugin =
        json!({"backup": null, "distributedStorage": null, "metric": null, "grafana": null, "policy": null});
    read::<Fleet>(&object(json!({"clusters": null, "plugin": plugin}), json!({"pluginEndpoints": null})));
    read::<Fleet>(&object(json!({"clusters": [], "plugin": null}), Value::Null));
    read::<AttachedCluster>(&object(json!({"kubeconfig": null}), json!({"ready": false})));
}

#[test]
fn a_reference_to_a_cluster_may_lack_its_kind_and_its_name() {
    let clusters =
        json!([{"name": "c"}, {"kind": "", "name": "c"}, {"kind": "AttachedCluster"}, {}, {"kind": "Pod"}]);
    read::<Fleet>(&object(json!({"clusters": clusters}), Value::Null));
    read::<Backup>(&object(json!({"destination": {"fleet": "f", "clusters": clusters}}), Value::Null));
}

#[test]
fn rows_of_every_age_survive() {
    let velero = json!({
        "version": 1, "formatVersion": "1.1.0", "expiration": "2023-11-23T12:04:38Z", "phase": "PartiallyFailed",
        "startTimestamp": "2023-10-24T12:04:38Z", "completionTimestamp": "2023-10-24T12:04:44Z",
        "progress": {"totalItems": 1, "itemsBackedUp": 1}, "warnings": 1, "errors": 2, "validationErrors": ["v"],
        "failureReason": "f", "volumeSnapshotsAttempted": 3, "volumeSnapshotsCompleted": 3,
        "csiVolumeSnapshotsAttempted": 1, "csiVolumeSnapshotsCompleted": 1, "backupItemOperationsAttempted": 1,
        "backupItemOperationsCompleted": 1, "backupItemOperationsFailed": 1,
    });
    let row = |status: &Value| json!({"clusterName": "m", "clusterKind": "AttachedCluster", "backupStatusInCluster": status});
    let rows =
        json!([row(&velero), row(&json!({})), row(&json!({"phase": "ReadyToStart", "queuePosition": 1}))]);
    let status = json!({"backupDetails": rows});
    assert_eq!(
        and_back::<Backup>(&object(json!({"destination": {"fleet": "f"}}), status.clone()))["status"],
        status
    );

    let velero = json!({
        "phase": "FinalizingPartiallyFailed", "startTimestamp": "2023-10-24T12:04:38Z",
        "progress": {"totalItems": 2, "itemsRestored": 2}, "warnings": 1, "errors": 1, "validationErrors": ["v"],
        "restoreItemOperationsAttempted": 1, "restoreItemOperationsCompleted": 1, "restoreItemOperationsFailed": 1,
    });
    let rows = json!([{
        "clusterName": "m", "clusterKind": "Cluster", "restoreNameInCluster": "r", "restoreStatusInCluster": velero,
    }]);
    let status = json!({"restoreDetails": rows});
    assert_eq!(and_back::<Restore>(&object(json!({"backupName": "b"}), status.clone()))["status"], status);
}

#[test]
fn a_condition_of_cluster_api_survives_with_its_severity() {
    let condition = json!({
        "type": "sourceReady", "status": "False", "severity": "Warning", "reason": "Waiting", "message": "m",
        "lastTransitionTime": "2023-10-28T15:55:23Z",
    });
    for phase in
        ["Pending", "FailedValidation", "BackupInProgress", "RestoreInProgress", "Completed", "Failed"]
    {
        let status = json!({"phase": phase, "conditions": [condition]});
        let spec = json!({"sourceCluster": {"fleet": "f"}, "targetCluster": {"fleet": "f"}});
        assert_eq!(and_back::<Migrate>(&object(spec, status.clone()))["status"], status);
    }
}

#[test]
fn every_phase_of_a_kurator_fleet_decodes() {
    for phase in
        ["Pending", "Running", "Failed", "Ready", "Terminating", "TerminateFailed", "TerminateSucceeded"]
    {
        let status = json!({
            "phase": phase, "reason": "r", "credentialSecret": "kubeconfig", "readyClusters": 1,
            "unReadyClusters": 1,
        });
        let back = and_back::<Fleet>(&object(json!({"clusters": []}), status.clone()));
        assert_eq!(back["status"], status);
    }
}

#[test]
fn what_gos_zero_values_leave_in_a_member_decodes() {
    let spec = json!({
        "metadata": {}, "hooks": {}, "csiSnapshotTimeout": "0s", "itemOperationTimeout": "0s", "ttl": "0s",
        "includedNamespaces": null, "orderedResources": null, "labelSelector": null, "snapshotVolumes": null,
    });
    read::<velero::Backup>(&object(
        spec.clone(),
        json!({"expiration": null, "startTimestamp": null, "progress": null}),
    ));
    let schedule = json!({"template": spec, "schedule": "", "useOwnerReferencesInBackup": null});
    read::<velero::Schedule>(&object(schedule, json!({"lastBackup": null})));
    let restore = json!({"backupName": "", "hooks": {}, "itemOperationTimeout": "0s", "restoreStatus": null});
    read::<velero::Restore>(&object(restore, json!({"startTimestamp": null, "validationErrors": null})));
}
