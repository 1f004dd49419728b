//! From a Backup as somebody wrote it to one that can be run, or to all reasons why not.
//!
//! After this nobody looks at the raw spec. What is stored is what Velero 1.18.3 stores: defaults filled in, the types of
//! volume snapshots left out, namespaces with the exclude label added to those left out. The reasons of a refusal are
//! in Velero's words where it has some, because people and programs look for them. Beyond Velero, which notices it
//! in the middle of the backup or not at all, refused are: durations and label selectors that can't be read, patterns
//! that aren't, and hooks that make no sense.

mod filters;
mod lists;
mod locations;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kurator_api::duration::GoDuration;
use kurator_api::names::{VELERO_STORAGE_LOCATION_LABEL, label_value};
use kurator_api::velero::{Backup, BackupPhase, BackupSpec, BackupStorageLocation};
use kurator_archive::FORMAT_VERSION;

use super::hooks::Hooks;
use super::policy::Policy;
use super::select::Filters;

pub use locations::SnapshotLocation;

/// Annotation with the version of the cluster, such as `v1.37.0`.
pub const GIT_VERSION_ANNOTATION: &str = "velero.io/source-cluster-k8s-gitversion";
/// Annotation with its major version.
pub const MAJOR_VERSION_ANNOTATION: &str = "velero.io/source-cluster-k8s-major-version";
/// Annotation with its minor version.
pub const MINOR_VERSION_ANNOTATION: &str = "velero.io/source-cluster-k8s-minor-version";
/// Annotation with the time that a single resource may take.
pub const RESOURCE_TIMEOUT_ANNOTATION: &str = "velero.io/resource-timeout";

/// Version of the layout of a backup.
const VERSION: i64 = 1;
/// Field of the spec with the reference to the policy.
const POLICY_FIELD: &str = "resourcePolicy";
/// Field of the spec with the label of groups of volumes.
const VOLUME_GROUP_FIELD: &str = "volumeGroupSnapshotLabelKey";
/// What `defaultVolumesToFsBackup` was called before 1.10.
const RESTIC_FIELD: &str = "defaultVolumesToRestic";

/// What a Backup gets that doesn't say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// How long it is kept.
    pub ttl: GoDuration,
    /// Where it is kept, if no location is marked as default.
    pub location: String,
    /// Volume snapshot locations, by provider.
    pub snapshot_locations: BTreeMap<String, String>,
    /// `csiSnapshotTimeout`
    pub csi_snapshot_timeout: GoDuration,
    /// `itemOperationTimeout`
    pub item_operation_timeout: GoDuration,
    /// Time that a single resource may take.
    pub resource_timeout: GoDuration,
}

impl Default for Defaults {
    /// Those of Velero's server.
    fn default() -> Self {
        let minutes = |count: u64| GoDuration::from_nanos(count * 60_000_000_000).unwrap_or_default();
        Self {
            ttl: minutes(30 * 24 * 60),
            location: "default".to_owned(),
            snapshot_locations: BTreeMap::new(),
            csi_snapshot_timeout: minutes(10),
            item_operation_timeout: minutes(4 * 60),
            resource_timeout: minutes(10),
        }
    }
}

/// The version of a cluster, as it tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterVersion {
    /// Such as `v1.37.0`.
    pub git: String,
    /// Such as `1`.
    pub major: String,
    /// Such as `37`.
    pub minor: String,
}

/// What has to be known beside a Backup.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What it gets that it doesn't say.
    pub defaults: &'a Defaults,
    /// The locations in its namespace.
    pub locations: &'a [BackupStorageLocation],
    /// The volume snapshot locations in its namespace.
    pub snapshot_locations: &'a [SnapshotLocation],
    /// Names of the namespaces with [`EXCLUDE_LABEL`](super::select::EXCLUDE_LABEL) `true`.
    pub excluded_namespaces: &'a [String],
    /// The version of the cluster.
    pub version: &'a ClusterVersion,
    /// The data of the ConfigMap that [`policy_name`] tells, or why there is none.
    pub policy: Option<Result<&'a BTreeMap<String, String>, String>>,
    /// The time.
    pub now: Timestamp,
}

/// A Backup that can be run.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// As it is stored now: in progress.
    pub backup: Backup,
    /// What it takes.
    pub filters: Filters,
    /// What runs in its pods.
    pub hooks: Hooks,
    /// Warnings for its results.
    pub warnings: Vec<String>,
}

/// A Backup that is refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the Backup is refused: {}", .backup.status.as_ref().map(|status| status.validation_errors.join("; ")).unwrap_or_default())]
pub struct Refused {
    /// As it is stored now: with the phase, all reasons, and when it is removed.
    pub backup: Box<Backup>,
}

/// The ConfigMap in the Backup's namespace that holds its resource policy.
#[must_use]
pub fn policy_name(spec: &BackupSpec) -> Option<&str> {
    let reference = spec.other.get(POLICY_FIELD)?;
    let is_config_map = reference.get("kind")?.as_str()?.eq_ignore_ascii_case("configmap");
    reference.get("name")?.as_str().filter(|_| is_config_map)
}

/// Reads and checks a Backup, and fills in what it leaves open.
///
/// # Errors
/// The Backup with all reasons.
pub fn prepare(mut backup: Backup, facts: &Facts<'_>) -> Result<Prepared, Refused> {
    let mut notes = Notes::default();
    fill_in(&mut backup, facts, &mut notes);
    locations::storage(&mut backup, facts, &mut notes);
    locations::snapshots(&mut backup.spec, facts, &mut notes);
    let types = lists::check_types(&mut backup.spec, &mut notes);
    let namespaces = lists::check_namespaces(&mut backup.spec, facts, &mut notes);
    let selectors = filters::selectors(&backup.spec, &mut notes);
    let policy = policy(&backup, facts, &mut notes);
    let ordered = filters::ordered(&backup.spec, &mut notes);
    let hooks = Hooks::parse(backup.spec.hooks.as_ref()).unwrap_or_else(|errors| {
        notes.errors.extend(errors);
        Hooks::default()
    });
    let status = backup.status.get_or_insert_default();
    if !notes.errors.is_empty() {
        status.phase = Some(BackupPhase::FailedValidation);
        status.validation_errors = notes.errors;
        return Err(Refused { backup: Box::new(backup) });
    }
    status.phase = Some(BackupPhase::InProgress);
    status.start_timestamp = Some(facts.now);
    let (include_namespaces, exclude_namespaces) = namespaces;
    let filters = Filters { include_namespaces, exclude_namespaces, types, selectors, policy, ordered };
    Ok(Prepared { backup, filters, hooks, warnings: notes.warnings })
}

/// What is found on the way.
#[derive(Debug, Default)]
struct Notes {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Notes {
    fn error(&mut self, error: impl Into<String>) {
        self.errors.push(error.into());
    }
}

fn fill_in(backup: &mut Backup, facts: &Facts<'_>, notes: &mut Notes) {
    let defaults = facts.defaults;
    let spec = &mut backup.spec;
    warn_of_volumes(spec, notes);
    let ttl = duration("spec.ttl", &mut spec.ttl, defaults.ttl, notes);
    duration("spec.csiSnapshotTimeout", &mut spec.csi_snapshot_timeout, defaults.csi_snapshot_timeout, notes);
    duration(
        "spec.itemOperationTimeout",
        &mut spec.item_operation_timeout,
        defaults.item_operation_timeout,
        notes,
    );
    if spec.other.get(VOLUME_GROUP_FIELD).is_none_or(|key| key.as_str().is_none_or(str::is_empty)) {
        spec.other.insert(VOLUME_GROUP_FIELD.to_owned(), "velero.io/volume-group".into());
    }
    if spec.other.get(RESTIC_FIELD).and_then(serde_json::Value::as_bool) == Some(true) {
        spec.default_volumes_to_fs_backup = Some(true);
    }
    spec.default_volumes_to_fs_backup.get_or_insert(false);
    spec.snapshot_move_data.get_or_insert(false);

    let expiration = facts.now.checked_add(std::time::Duration::from(ttl)).ok();
    let status = backup.status.get_or_insert_default();
    status.version = Some(VERSION);
    status.format_version = Some(FORMAT_VERSION.to_owned());
    status.expiration = expiration;

    let annotations = backup.metadata.annotations.get_or_insert_default();
    let ClusterVersion { git, major, minor } = facts.version;
    for (key, value) in [
        (GIT_VERSION_ANNOTATION, git.clone()),
        (MAJOR_VERSION_ANNOTATION, major.clone()),
        (MINOR_VERSION_ANNOTATION, minor.clone()),
        (RESOURCE_TIMEOUT_ANNOTATION, defaults.resource_timeout.to_string()),
    ] {
        annotations.insert(key.to_owned(), value);
    }
}

/// Fills in a duration that isn't set, or set to zero.
fn duration(field: &str, value: &mut Option<String>, default: GoDuration, notes: &mut Notes) -> GoDuration {
    let given = value.as_deref().map_or_else(|| Ok(GoDuration::default()), str::parse::<GoDuration>);
    match given {
        Ok(given) if !given.is_zero() => given,
        Ok(_) => {
            *value = Some(default.to_string());
            default
        }
        Err(error) => {
            notes.error(format!("{field}: {error}"));
            default
        }
    }
}

/// Says which wishes of the spec this engine doesn't fulfil.
fn warn_of_volumes(spec: &BackupSpec, notes: &mut Notes) {
    let asked = [
        ("snapshotVolumes", spec.snapshot_volumes == Some(true)),
        ("snapshotMoveData", spec.snapshot_move_data == Some(true)),
        ("defaultVolumesToFsBackup", spec.default_volumes_to_fs_backup == Some(true)),
        (RESTIC_FIELD, spec.other.get(RESTIC_FIELD).and_then(serde_json::Value::as_bool) == Some(true)),
        ("volumeSnapshotLocations", !spec.volume_snapshot_locations.is_empty()),
    ];
    let asked: Vec<String> =
        asked.iter().filter(|(_, asked)| *asked).map(|(field, _)| format!("spec.{field}")).collect();
    if !asked.is_empty() {
        notes.warnings.push(format!(
            "{} is not fulfilled: the objects of volumes are kept, their data is not; Velero in the cluster keeps both",
            asked.join(", ")
        ));
    }
}

fn policy(backup: &Backup, facts: &Facts<'_>, notes: &mut Notes) -> Policy {
    let spec = &backup.spec;
    let Some(name) = policy_name(spec) else {
        if spec.other.get(POLICY_FIELD).is_some_and(|reference| !reference.is_null()) {
            // Velero says nothing; but somebody expects a filter.
            notes
                .warnings
                .push("spec.resourcePolicy has no effect: its kind has to be `configmap`".to_owned());
        }
        return Policy::default();
    };
    let full = format!("{}/{name}", backup.metadata.namespace.as_deref().unwrap_or_default());
    let policy = match &facts.policy {
        Some(Ok(data)) => Policy::parse(data)
            .map_err(|error| format!("fail to read the ResourcePolicies from ConfigMap {full}: {error}")),
        Some(Err(why)) => Err(format!("fail to get ResourcePolicies {full} ConfigMap: {why}")),
        None => Err(format!("fail to get ResourcePolicies {full} ConfigMap: nobody read it")),
    };
    let policy = match policy {
        Ok(policy) => policy,
        Err(error) => {
            notes.error(format!("invalid resource policies: {error}"));
            return Policy::default();
        }
    };
    if lists::is_old_style(spec) {
        const OLD: &str = "include-resources, exclude-resources and include-cluster-resources are old filter parameters.\nThey cannot be used with";
        if policy.types.is_some() {
            notes.error(format!("{OLD} include-exclude policies."));
        }
        if policy.has_filters() {
            notes.error(format!("{OLD} namespace-scoped or fine-grained global filter policies."));
        }
    }
    if policy.volume_rules > 0 {
        notes.warnings.push(format!(
            "the {} volumePolicies of ConfigMap {full} have no effect: the objects of volumes are kept, their data is not",
            policy.volume_rules
        ));
    }
    policy
}

fn set_location_label(backup: &mut Backup, location: &str) {
    let labels = backup.metadata.labels.get_or_insert_default();
    labels.insert(VELERO_STORAGE_LOCATION_LABEL.to_owned(), label_value(location));
}
