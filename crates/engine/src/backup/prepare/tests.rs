//! Facts from Velero 1.18.3: `pkg/controller/backup_controller.go` (`prepareBackupRequest`).

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
            "formatVersion": "1.1.0",
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
fn a_location_is_found_by_name_by_mark_or_by_the_default() {
    let mut world = World::new();
    world.locations.push(location("other", json!({ "default": true }), "Available"));
    let chosen = |world: &World, spec| world.prepare(spec).unwrap().backup.spec.storage_location.unwrap();
    assert_eq!(chosen(&world, json!({ "storageLocation": "default" })), "default");
    assert_eq!(chosen(&world, json!({})), "other");
    world.locations.pop();
    assert_eq!(chosen(&world, json!({ "storageLocation": "" })), "default");
}

#[test]
fn the_label_of_a_long_location_is_shortened() {
    let mut world = World::new();
    let name = "a".repeat(70);
    world.locations = vec![location(&name, json!({ "default": true }), "Available")];
    let labels = world.prepare(json!({})).unwrap().backup.metadata.labels.unwrap();
    assert_eq!(labels[VELERO_STORAGE_LOCATION_LABEL].len(), 63);
}

#[test]
fn a_location_has_to_be_there_and_writable() {
    let mut world = World::new();
    let missing = "Please address this issue (see `velero backup-location -h` for options) and create a new backup. Error: BackupStorageLocation.velero.io";
    assert_eq!(
        world.reasons(json!({ "storageLocation": "x" })),
        [format!(
            "an existing backup storage location was not specified at backup creation time and the default x was not found. {missing} \"x\" not found"
        )]
    );
    world.locations = vec![location("y", json!({ "accessMode": "ReadOnly" }), "Unavailable")];
    assert_eq!(
        world.reasons(json!({})),
        [format!(
            "an existing backup storage location was not specified at backup creation time and the server default default does not exist. {missing} \"default\" not found"
        )]
    );
    assert_eq!(
        world.reasons(json!({ "storageLocation": "y" })),
        [
            "backup can't be created because backup storage location y is currently in read-only mode",
            "backup can't be created because BackupStorageLocation y is in Unavailable status.",
        ]
    );
    world.locations[0].status = None;
    assert_eq!(world.reasons(json!({ "storageLocation": "y" })).len(), 2, "not checked yet is not available");
}

#[test]
fn one_snapshot_location_is_chosen_for_each_provider() {
    let mut world = World::new();
    let snapshots =
        |name: &str, provider: &str| SnapshotLocation { name: name.into(), provider: provider.into() };
    let chosen = |world: &World, spec| world.prepare(spec).unwrap().backup.spec.volume_snapshot_locations;
    world.snapshot_locations = vec![snapshots("eu", "aws"), snapshots("disk", "azure")];
    assert_eq!(chosen(&world, json!({})), ["eu", "disk"]);
    world.snapshot_locations.push(snapshots("us", "aws"));
    assert_eq!(chosen(&world, json!({ "volumeSnapshotLocations": ["us", "us"] })), ["us", "disk"]);
    assert_eq!(
        world.reasons(json!({})),
        [
            "provider aws has more than one possible volume snapshot location, and none were specified explicitly or as a default"
        ]
    );
    assert_eq!(
        world.reasons(json!({ "volumeSnapshotLocations": ["us", "x", "eu"] })),
        [
            "a VolumeSnapshotLocation CRD for the location x with the name specified in the backup spec needs to be created before this snapshot can be executed. Error: VolumeSnapshotLocation.velero.io \"x\" not found",
            "more than one VolumeSnapshotLocation name specified for provider aws: eu; unexpected name was us",
        ]
    );
    world.defaults.snapshot_locations = BTreeMap::from([("aws".into(), "eu".into())]);
    assert_eq!(chosen(&world, json!({})), ["eu", "disk"]);
    world.defaults.snapshot_locations = BTreeMap::from([("aws".into(), "x".into())]);
    assert_eq!(
        world.reasons(json!({})),
        ["error getting volume snapshot location named x: VolumeSnapshotLocation.velero.io \"x\" not found"]
    );
}

#[test]
fn the_lists_of_a_spec_are_checked() {
    let old = "Invalid included/excluded resource lists: ";
    let cluster = "Invalid cluster-scoped included/excluded resource lists: ";
    let namespaced = "Invalid namespace-scoped included/excluded resource lists: ";
    let names = "Invalid included/excluded namespace lists: ";
    let only = |list: &str| format!("{list} list must either contain '*' only, or a non-empty list of items");
    let both = "excludes list cannot contain an item in the includes list: a";
    let no_star = "excludes list cannot contain '*'";
    let star = "when exclude is '*', include cannot have value";
    let cases = [
        (json!({ "includedResources": ["*", "a"] }), vec![format!("{old}{}", only("includes"))]),
        (json!({ "excludedResources": ["*"] }), vec![format!("{old}{no_star}")]),
        (json!({ "includedResources": ["a"], "excludedResources": ["a"] }), vec![format!("{old}{both}")]),
        (
            json!({ "includedClusterScopedResources": ["*", "a"] }),
            vec![format!("{cluster}{}", only("includes"))],
        ),
        (
            json!({ "excludedClusterScopedResources": ["*", "a"] }),
            vec![format!("{cluster}{}", only("excludes"))],
        ),
        (
            json!({ "includedNamespaceScopedResources": ["a"], "excludedNamespaceScopedResources": ["*"] }),
            vec![format!("{namespaced}{star}")],
        ),
        (
            json!({ "includedNamespaceScopedResources": ["a"], "excludedNamespaceScopedResources": ["a"] }),
            vec![format!("{namespaced}{both}")],
        ),
        (json!({ "includedNamespaces": ["*", "a"] }), vec![format!("{names}{}", only("includes"))]),
        (
            json!({ "includedNamespaces": ["a"], "excludedNamespaces": ["*"] }),
            vec![format!("{names}{no_star}")],
        ),
        (json!({ "includedNamespaces": ["a"], "excludedNamespaces": ["a"] }), vec![format!("{names}{both}")]),
        (
            json!({ "includedNamespaces": ["a**"] }),
            vec![format!("{names}wildcard pattern contains consecutive asterisks (only single * allowed)")],
        ),
        (
            json!({ "excludedNamespaces": ["{a,b}"] }),
            vec![format!("{names}wildcard pattern contains unsupported characters: |, (, ), !, {{, }}, ,")],
        ),
        (
            json!({ "includedResources": ["a["] }),
            vec!["spec.includedResources: `a[` is not a pattern: a bracket is not closed".to_owned()],
        ),
        (
            json!({ "excludedClusterScopedResources": ["a["] }),
            vec![
                "spec.excludedClusterScopedResources: `a[` is not a pattern: a bracket is not closed"
                    .to_owned(),
            ],
        ),
    ];
    for (spec, told) in cases {
        assert_eq!(reasons(spec.clone()), told, "{spec}");
    }
}

#[test]
fn lists_that_velero_takes_are_taken() {
    let right = [
        json!({ "excludedClusterScopedResources": ["*"], "includedNamespaceScopedResources": ["*"] }),
        json!({ "includedResources": ["*"], "excludedResources": ["pods"], "includeClusterResources": true }),
        json!({ "includedNamespaces": ["team-*", ""], "excludedNamespaces": ["team-[ab]"] }),
    ];
    for spec in right {
        assert!(World::new().prepare(spec.clone()).is_ok(), "{spec}");
    }
}

#[test]
fn styles_of_filters_are_not_mixed() {
    let old = [
        json!({ "includedResources": ["a"] }),
        json!({ "excludedResources": ["a"] }),
        json!({ "includeClusterResources": false }),
    ];
    let new = [
        "includedClusterScopedResources",
        "excludedClusterScopedResources",
        "includedNamespaceScopedResources",
        "excludedNamespaceScopedResources",
    ];
    for old in &old {
        for new in new {
            let mut spec = old.clone();
            spec[new] = json!(["b"]);
            let reasons = reasons(spec);
            assert!(
                reasons.len() == 1 && reasons[0].ends_with("They cannot be used together"),
                "{old} and {new}: {reasons:?}"
            );
        }
    }
}

#[test]
fn volume_snapshots_are_never_asked_for() {
    let snapshots = "volumesnapshots.snapshot.storage.k8s.io";
    let prepared = World::new().prepare(json!({ "includedNamespaceScopedResources": [snapshots] })).unwrap();
    let TypeFilter::Scoped { include_namespaced, exclude_namespaced, .. } = &prepared.filters.types else {
        panic!("new style")
    };
    assert_eq!((names(include_namespaced), names(exclude_namespaced)), (vec![], vec![snapshots]));
    assert_eq!(
        prepared.warnings,
        [
            "spec.includedNamespaceScopedResources names only volume snapshots, which are never taken for themselves; the list is empty without them, as if it weren't set"
        ]
    );
}

#[test]
fn namespaces_with_the_exclude_label_are_left_out() {
    let mut world = World::new();
    world.excluded_namespaces = vec!["hidden".into()];
    let prepared = world.prepare(json!({ "excludedNamespaces": ["hidden", "b"] })).unwrap();
    assert_eq!(prepared.backup.spec.excluded_namespaces, ["hidden", "b"]);
    assert_eq!(names(&prepared.filters.exclude_namespaces), ["b", "hidden"]);
    assert_eq!(
        world.reasons(json!({ "includedNamespaces": ["hidden"] })),
        [
            "Invalid included/excluded namespace lists: excludes list cannot contain an item in the includes list: hidden"
        ]
    );
}

#[test]
fn selectors_are_one_kind_and_right() {
    let web = json!({ "matchLabels": { "app": "web" } });
    let wrong = json!({ "matchExpressions": [{ "key": "a", "operator": "Is" }] });
    assert_eq!(
        reasons(json!({ "labelSelector": web, "orLabelSelectors": [web] })),
        ["encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified"]
    );
    let told = "matchExpressions[0].operator `Is` is none of `In`, `NotIn`, `Exists` and `DoesNotExist`";
    assert_eq!(reasons(json!({ "labelSelector": wrong })), [format!("spec.labelSelector.{told}")]);
    assert_eq!(
        reasons(json!({ "orLabelSelectors": [web, wrong] })),
        [format!("spec.orLabelSelectors[1].{told}")]
    );
    let queries = |spec| {
        let selectors = World::new().prepare(spec).unwrap().filters.selectors;
        selectors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        queries(json!({ "orLabelSelectors": [web, { "matchLabels": { "a": "b" } }] })),
        ["app=web", "a=b"]
    );
    assert_eq!(queries(json!({ "labelSelector": {} })), [""]);
    assert!(queries(json!({})).is_empty());
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

#[test]
fn objects_are_put_in_order() {
    let prepared = World::new()
        .prepare(json!({ "orderedResources": { "pods": "a/x, b/y", "persistentvolumes": "v", "secrets": "a/b/c,/x" } }))
        .unwrap();
    let object = |namespace: Option<&str>, name: &str| Ordered {
        namespace: namespace.map(str::to_owned),
        name: name.into(),
    };
    assert_eq!(prepared.filters.ordered["pods"], [object(Some("a"), "x"), object(Some("b"), "y")]);
    assert_eq!(prepared.filters.ordered["persistentvolumes"], [object(None, "v")]);
    assert_eq!(
        prepared.warnings,
        ["a/b/c", "/x"].map(|text| format!("spec.orderedResources.secrets: `{text}` has no effect: write `namespace/name`, or `name` for cluster-scoped objects"))
    );
}

fn policy(text: &str) -> Option<Result<BTreeMap<String, String>, String>> {
    Some(Ok(BTreeMap::from([("policy".to_owned(), format!("version: v1\n{text}"))])))
}

#[test]
fn a_policy_is_read_from_its_config_map() {
    let spec = |kind: &str| json!({ "resourcePolicy": { "kind": kind, "name": "p" } });
    let named = |spec: Value| policy_name(&serde_json::from_value(spec).unwrap()).map(str::to_owned);
    assert_eq!(
        (named(spec("ConfigMap")), named(spec("Secret")), named(json!({}))),
        (Some("p".into()), None, None)
    );
    let mut world = World::new();
    world.policy = policy("volumePolicies: [{action: {type: skip}}]");
    assert_eq!(
        world.prepare(spec("configmap")).unwrap().warnings,
        [
            "the 1 volumePolicies of ConfigMap velero/p have no effect: the objects of volumes are kept, their data is not"
        ]
    );
    assert_eq!(
        world.prepare(spec("Secret")).unwrap().warnings,
        ["spec.resourcePolicy has no effect: its kind has to be `configmap`"]
    );
    world.policy = policy("other: 1");
    let read = world.reasons(spec("configmap"));
    assert!(
        read[0].starts_with(
            "invalid resource policies: fail to read the ResourcePolicies from ConfigMap velero/p: "
        ),
        "{read:?}"
    );
    world.policy = Some(Err("not found".into()));
    assert_eq!(
        world.reasons(spec("configmap")),
        ["invalid resource policies: fail to get ResourcePolicies velero/p ConfigMap: not found"]
    );
}

#[test]
fn a_policy_of_types_or_filters_does_not_go_with_old_filters() {
    let spec =
        json!({ "resourcePolicy": { "kind": "configmap", "name": "p" }, "includedResources": ["pods"] });
    let mut world = World::new();
    let cases = [
        ("includeExcludePolicy: {}", "They cannot be used with include-exclude policies."),
        (
            "clusterScopedFilterPolicy: {resourceFilters: [{kinds: [a]}]}",
            "They cannot be used with namespace-scoped or fine-grained global filter policies.",
        ),
        (
            "namespacedFilterPolicies: [{namespaces: [a], resourceFilters: [{}]}]",
            "They cannot be used with namespace-scoped or fine-grained global filter policies.",
        ),
    ];
    for (text, told) in cases {
        world.policy = policy(text);
        let reasons = world.reasons(spec.clone());
        assert!(reasons.len() == 1 && reasons[0].ends_with(told), "{text}: {reasons:?}");
    }
    world.policy = policy("volumePolicies: []");
    assert!(world.prepare(spec).is_ok());
}
