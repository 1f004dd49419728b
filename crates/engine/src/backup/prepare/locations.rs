//! Where a Backup is kept.

use std::collections::BTreeMap;

use kurator_api::velero::{AccessMode, Backup, BackupSpec};

use super::{Facts, Notes, set_location_label};

/// A VolumeSnapshotLocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotLocation {
    /// Its name.
    pub name: String,
    /// Name of the plugin that speaks to what is there.
    pub provider: String,
}

/// Chooses the storage location and checks that it can be written to.
pub(super) fn storage(backup: &mut Backup, facts: &Facts<'_>, notes: &mut Notes) {
    let named = backup.spec.storage_location.clone().filter(|name| !name.is_empty());
    let asked = named.is_some();
    let name = named.unwrap_or_else(|| {
        let default = facts.locations.iter().find(|location| location.spec.default == Some(true));
        default
            .and_then(|location| location.metadata.name.clone())
            .unwrap_or_else(|| facts.defaults.location.clone())
    });
    let location = facts.locations.iter().find(|location| location.metadata.name.as_deref() == Some(&name));
    match location {
        None => {
            let of = if asked {
                format!("the default {name} was not found")
            } else {
                format!("the server default {name} does not exist")
            };
            notes.error(format!(
                "an existing backup storage location was not specified at backup creation time and {of}. Please address this issue (see `velero backup-location -h` for options) and create a new backup. Error: BackupStorageLocation.velero.io {name:?} not found"
            ));
        }
        Some(location) => {
            if location.spec.access_mode == Some(AccessMode::ReadOnly) {
                notes.error(format!(
                    "backup can't be created because backup storage location {name} is currently in read-only mode"
                ));
            }
            let phase = location.status.as_ref().and_then(|status| status.phase.as_ref());
            if !phase.is_some_and(|phase| phase.is_available()) {
                notes.error(format!(
                    "backup can't be created because BackupStorageLocation {name} is in Unavailable status."
                ));
            }
        }
    }
    set_location_label(backup, &name);
    backup.spec.storage_location = Some(name);
}

/// Chooses one volume snapshot location for each provider. They are of no use to this engine; but what Velero refuses
/// is refused, and what it stores is stored.
pub(super) fn snapshots(spec: &mut BackupSpec, facts: &Facts<'_>, notes: &mut Notes) {
    let known = |name: &str| facts.snapshot_locations.iter().find(|location| location.name == name);
    let mut chosen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut errors = Vec::new();
    for name in &spec.volume_snapshot_locations {
        let Some(SnapshotLocation { name, provider }) = known(name) else {
            errors.push(format!(
                "a VolumeSnapshotLocation CRD for the location {name} with the name specified in the backup spec needs to be created before this snapshot can be executed. Error: VolumeSnapshotLocation.velero.io {name:?} not found"
            ));
            continue;
        };
        match chosen.get(provider.as_str()) {
            Some(other) if other != name => errors.push(format!(
                "more than one VolumeSnapshotLocation name specified for provider {provider}: {name}; unexpected name was {other}"
            )),
            _ => {
                chosen.insert(provider, name);
            }
        }
    }
    if errors.is_empty() {
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for SnapshotLocation { name, provider } in facts.snapshot_locations {
            all.entry(provider).or_default().push(name);
        }
        for (provider, names) in all {
            if chosen.contains_key(provider) {
                continue;
            }
            let default = facts.defaults.snapshot_locations.get(provider).filter(|name| !name.is_empty());
            match (&names[..], default) {
                ([only], _) => {
                    chosen.insert(provider, only);
                }
                (_, None) => errors.push(format!(
                    "provider {provider} has more than one possible volume snapshot location, and none were specified explicitly or as a default"
                )),
                (_, Some(default)) if known(default).is_none() => errors.push(format!(
                    "error getting volume snapshot location named {default}: VolumeSnapshotLocation.velero.io {default:?} not found"
                )),
                (_, Some(default)) => {
                    chosen.insert(provider, default);
                }
            }
        }
    }
    if errors.is_empty() {
        spec.volume_snapshot_locations = chosen.into_values().map(str::to_owned).collect();
    } else {
        notes.errors.extend(errors);
    }
}
