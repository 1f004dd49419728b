use super::*;

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
