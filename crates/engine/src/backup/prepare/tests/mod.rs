//! Facts from Velero 1.18.3: `pkg/controller/backup_controller.go` (`prepareBackupRequest`).

mod lists;
mod locations;
mod policy;

use serde_json::{Value, json};

use super::*;
use crate::backup::select::{Ordered, TypeFilter};
use crate::glob::Glob;

/// What is known, to be changed by a case.
struct World {
    defaults: Defaults,
    locations: Vec<BackupStorageLocation>,
    snapshot_locations: Vec<SnapshotLocation>,
    excluded_namespaces: Vec<String>,
    version: ClusterVersion,
    policy: Option<Result<BTreeMap<String, String>, String>>,
}

impl World {
    fn new() -> Self {
        let version = ClusterVersion { git: "v1.37.0".into(), major: "1".into(), minor: "37".into() };
        Self {
            defaults: Defaults::default(),
            locations: vec![location("default", json!({}), "Available")],
            snapshot_locations: Vec::new(),
            excluded_namespaces: Vec::new(),
            version,
            policy: None,
        }
    }

    fn prepare(&self, spec: Value) -> Result<Prepared, Refused> {
        let mut backup = Backup::new("nightly", serde_json::from_value(spec).unwrap());
        backup.metadata.namespace = Some("velero".into());
        let facts = Facts {
            defaults: &self.defaults,
            locations: &self.locations,
            snapshot_locations: &self.snapshot_locations,
            excluded_namespaces: &self.excluded_namespaces,
            version: &self.version,
            policy: self.policy.as_ref().map(|policy| policy.as_ref().map_err(Clone::clone)),
            now: "2026-11-01T00:00:00Z".parse().unwrap(),
        };
        prepare(backup, &facts)
    }

    fn reasons(&self, spec: Value) -> Vec<String> {
        self.prepare(spec).unwrap_err().backup.status.unwrap().validation_errors
    }
}

fn location(name: &str, spec: Value, phase: &str) -> BackupStorageLocation {
    let mut location = BackupStorageLocation::new(name, serde_json::from_value(spec).unwrap());
    location.status = serde_json::from_value(json!({ "phase": phase })).unwrap();
    location
}

fn reasons(spec: Value) -> Vec<String> {
    World::new().reasons(spec)
}

fn names(globs: &[Glob]) -> Vec<&str> {
    globs.iter().map(Glob::as_str).collect()
}

#[test]
fn an_empty_spec_is_stored_as_velero_stores_it() {
    let prepared = World::new().prepare(json!({})).unwrap();
    let spec = serde_json::to_value(&prepared.backup.spec).unwrap();
    assert_eq!(
        spec,
        json!({
            "includedNamespaces": ["*"],
            "excludedClusterScopedResources": ["volumesnapshotcontents.snapshot.storage.k8s.io"],
            "excludedNamespaceScopedResources": ["volumesnapshots.snapshot.storage.k8s.io"],
            "ttl": "720h0m0s",
            "storageLocation": "default",
            "snapshotMoveData": false,
            "defaultVolumesToFsBackup": false,
            "csiSnapshotTimeout": "10m0s",
            "itemOperationTimeout": "4h0m0s",
            "volumeGroupSnapshotLabelKey": "velero.io/volume-group",
        })
    );
    let metadata = serde_json::to_value(&prepared.backup.metadata).unwrap();
    assert_eq!(metadata["labels"], json!({ "velero.io/storage-location": "default" }));
    assert_eq!(
        metadata["annotations"],
        json!({
            "velero.io/source-cluster-k8s-gitversion": "v1.37.0",
            "velero.io/source-cluster-k8s-major-version": "1",
            "velero.io/source-cluster-k8s-minor-version": "37",
            "velero.io/resource-timeout": "10m0s",
        })
    );
    assert_eq!(
        serde_json::to_value(&prepared.backup.status).unwrap(),
        json!({
            "version": 1,
            // What is written (decision 7); Velero says 1.1.0.
            "formatVersion": "1.0.0",
            "expiration": "2026-12-01T00:00:00Z",
            "phase": "InProgress",
            "startTimestamp": "2026-11-01T00:00:00Z",
        })
    );
    assert_eq!(prepared.warnings, Vec::<String>::new());
}

#[test]
fn what_is_said_is_kept() {
    let prepared = World::new().prepare(json!({
        "ttl": "1h30m", "csiSnapshotTimeout": "5m", "itemOperationTimeout": "0s", "volumeGroupSnapshotLabelKey": "x",
        "includedNamespaces": ["a"], "includedResources": ["pods"],
    }));
    let Prepared { backup, filters, .. } = prepared.unwrap();
    assert_eq!(backup.spec.ttl.as_deref(), Some("1h30m"));
    assert_eq!(backup.spec.csi_snapshot_timeout.as_deref(), Some("5m"));
    assert_eq!(backup.spec.item_operation_timeout.as_deref(), Some("4h0m0s"), "zero means not set");
    assert_eq!(backup.spec.other["volumeGroupSnapshotLabelKey"], "x");
    assert_eq!(backup.status.unwrap().expiration, Some("2026-11-01T01:30:00Z".parse().unwrap()));
    assert_eq!(names(&filters.include_namespaces), ["a"]);
    let TypeFilter::Global { include, exclude, cluster: None } = &filters.types else { panic!("old style") };
    assert_eq!(names(include), ["pods"]);
    assert_eq!(
        names(exclude),
        ["volumesnapshots.snapshot.storage.k8s.io", "volumesnapshotcontents.snapshot.storage.k8s.io"]
    );
}

#[test]
fn a_refused_backup_expires_too() {
    let refused = World::new().prepare(json!({ "storageLocation": "x", "ttl": "1h" })).unwrap_err();
    assert!(refused.to_string().starts_with("the Backup is refused: an existing backup storage location"));
    let status = refused.backup.status.unwrap();
    assert_eq!(status.phase, Some(BackupPhase::FailedValidation));
    assert_eq!(status.expiration, Some("2026-11-01T01:00:00Z".parse().unwrap()));
    assert_eq!(status.start_timestamp, None);
}

#[test]
fn all_reasons_are_told_at_once() {
    let spec = json!({
        "storageLocation": "x", "ttl": "1 day", "includedResources": ["a", "*"], "includedNamespaces": ["A", "b"],
        "excludedNamespaces": ["b"], "labelSelector": { "matchLabels": { "a b": "c" } }, "hooks": { "resources": [{ "pre": [{ "exec": { "onError": "Stop" } }] }] },
        "resourcePolicy": { "kind": "configmap", "name": "p" },
    });
    assert_eq!(reasons(spec).len(), 8);
}

#[test]
fn durations_are_read_as_go_does() {
    assert_eq!(
        reasons(json!({ "ttl": "30d", "itemOperationTimeout": "-1h" })),
        [
            "spec.ttl: `30d` is not a duration: the units are `ns`, `us`, `ms`, `s`, `m` and `h`; write numbers with units, such as `720h` or `1h30m`",
            "spec.itemOperationTimeout: `-1h` is not a duration: it is negative; write numbers with units, such as `720h` or `1h30m`",
        ]
    );
}

#[test]
fn what_happens_to_volumes_is_told() {
    let mut world = World::new();
    world.snapshot_locations = vec![SnapshotLocation { name: "eu".into(), provider: "aws".into() }];
    let told = |spec| world.prepare(spec).unwrap().warnings;
    assert_eq!(
        told(
            json!({ "snapshotVolumes": true, "snapshotMoveData": true, "defaultVolumesToRestic": true, "volumeSnapshotLocations": ["eu"] })
        ),
        [
            "spec.snapshotVolumes, spec.snapshotMoveData, spec.defaultVolumesToRestic, spec.volumeSnapshotLocations is not fulfilled: the objects of volumes are kept, their data is not; Velero in the cluster keeps both"
        ]
    );
    assert_eq!(
        told(json!({ "snapshotVolumes": false, "defaultVolumesToFsBackup": false })),
        Vec::<String>::new()
    );
    let restic =
        world.prepare(json!({ "defaultVolumesToRestic": true, "defaultVolumesToFsBackup": false })).unwrap();
    assert_eq!(restic.backup.spec.default_volumes_to_fs_backup, Some(true), "as Velero: the old name wins");
}
