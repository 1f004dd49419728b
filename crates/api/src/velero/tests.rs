use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::*;

fn survives<K: Serialize + DeserializeOwned>(object: &Value) {
    let typed: K = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(&serde_json::to_value(typed).unwrap(), object);
}

fn object(kind: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "velero.io/v1", "kind": kind, "metadata": {"name": "x", "namespace": "velero"},
        "spec": spec, "status": status,
    })
}

#[test]
fn fields_and_phases_of_a_later_release_survive() {
    survives::<Backup>(&object(
        "Backup",
        &json!({
            "metadata": {"labels": {"a": "b"}, "later": 1}, "includedNamespaces": ["*"], "ttl": "720h0m0s",
            "hooks": {"resources": [{"name": "h"}]}, "resourcePolicy": {"kind": "ConfigMap", "name": "p"},
            "backupType": "Incremental", "later": {"deep": [1, null]},
        }),
        &json!({
            "phase": "Dreaming", "version": 1, "formatVersion": "1.1.0", "expiration": "2026-12-01T00:00:00Z",
            "progress": {"totalItems": 5, "itemsBackedUp": 4, "later": true},
            "hookStatus": {"hooksAttempted": 1}, "queuePosition": 3,
        }),
    ));
    survives::<Restore>(&object(
        "Restore",
        &json!({"backupName": "b", "restorePVs": true, "resourceModifier": {"name": "m"}, "namespaceMapping": {"a": "b"}}),
        &json!({"phase": "FinalizingPartiallyFailed", "restoreItemOperationsAttempted": 2}),
    ));
    survives::<Schedule>(&object(
        "Schedule",
        &json!({"template": {"ttl": "1h", "later": 1}, "schedule": "0 0 * * *", "skipImmediately": false}),
        &json!({"phase": "Enabled", "lastBackup": "2026-12-01T00:00:00Z"}),
    ));
    survives::<BackupStorageLocation>(&object(
        "BackupStorageLocation",
        &json!({
            "provider": "aws", "default": true, "accessMode": "ReadOnly", "backupSyncPeriod": "0s", "config": {"region": "minio"},
            "credential": {"name": "s", "key": "cloud"},
            "objectStorage": {"bucket": "velero", "prefix": "a/b", "caCertRef": {"name": "ca", "key": "crt"}},
        }),
        &json!({"phase": "Available", "lastSyncedRevision": "r", "lastSyncedTime": "2026-12-01T00:00:00Z"}),
    ));
    survives::<DeleteBackupRequest>(&object(
        "DeleteBackupRequest",
        &json!({"backupName": "b"}),
        &json!({"phase": "Processed", "errors": ["no"]}),
    ));
    survives::<DownloadRequest>(&object(
        "DownloadRequest",
        &json!({"target": {"kind": "BackupLog", "name": "b"}}),
        &json!({"phase": "Processed", "downloadURL": "http://s3/x", "expiration": "2026-12-01T00:00:00Z"}),
    ));
    survives::<ServerStatusRequest>(&object(
        "ServerStatusRequest",
        &json!({}),
        &json!({"phase": "Processed", "serverVersion": "v1.18.3", "plugins": [{"name": "velero.io/pod", "kind": "BackupItemAction"}]}),
    ));
    survives::<PodVolumeBackup>(&object(
        "PodVolumeBackup",
        &json!({"node": "n", "pod": {"kind": "Pod", "namespace": "a", "name": "p", "uid": "u"}, "volume": "v", "uploaderType": "kopia"}),
        &json!({"phase": "Completed", "snapshotID": "s", "progress": {"totalBytes": 1, "bytesDone": 1}, "incrementalBytes": 5}),
    ));
}

#[test]
fn nothing_unset_is_written() {
    assert_eq!(serde_json::to_value(BackupSpec::default()).unwrap(), json!({}));
    assert_eq!(serde_json::to_value(BackupStatus::default()).unwrap(), json!({}));
    assert_eq!(serde_json::to_value(RestoreSpec::default()).unwrap(), json!({}));
    assert_eq!(serde_json::to_value(BackupStorageLocationSpec::default()).unwrap(), json!({}));
    assert_eq!(
        serde_json::to_value(Backup::new("b", BackupSpec::default())).unwrap(),
        json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": "b"}, "spec": {}})
    );
}

#[test]
fn what_the_go_client_writes_for_nothing_is_read_as_nothing() {
    let backup: Backup = serde_json::from_value(json!({
        "apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"creationTimestamp": null, "name": "b"},
        "spec": {"includedNamespaces": null, "labelSelector": null, "orderedResources": null, "ttl": null},
        "status": {"startTimestamp": null, "validationErrors": null, "progress": null},
    }))
    .unwrap();
    assert_eq!(backup.spec, BackupSpec::default());
    assert_eq!(backup.status, Some(BackupStatus::default()));
}

#[test]
fn an_unknown_phase_has_not_ended() {
    let phase = BackupPhase::from("Dreaming");
    assert_eq!(phase, BackupPhase::Other("Dreaming".into()));
    assert!(!phase.is_terminal() && !phase.is_success());
}

#[test]
fn k16_four_phases_of_a_backup_are_final_and_one_is_good() {
    let final_ones = ["Completed", "PartiallyFailed", "Failed", "FailedValidation"];
    for phase in [
        "New",
        "Queued",
        "ReadyToStart",
        "InProgress",
        "WaitingForPluginOperations",
        "Finalizing",
        "FinalizingPartiallyFailed",
        "Deleting",
        "Completed",
        "PartiallyFailed",
        "Failed",
        "FailedValidation",
    ] {
        let known = BackupPhase::from(phase);
        assert!(!matches!(known, BackupPhase::Other(_)), "{phase}");
        assert_eq!(known.is_terminal(), final_ones.contains(&phase), "{phase}");
        assert_eq!(known.is_success(), phase == "Completed", "{phase}");
        if phase != "ReadyToStart" && phase != "Queued" && phase != "Deleting" {
            assert_eq!(RestorePhase::from(phase).is_terminal(), final_ones.contains(&phase), "{phase}");
        }
    }
}
