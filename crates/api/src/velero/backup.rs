//! Backups, and the Schedules that make them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoding::{null_as_empty, seconds_option};
use crate::kind::kind;

use super::phase::phases;

kind! {
    /// A backup of the member that it is in.
    pub struct Backup in "velero.io"/"v1" as "backups" {
        spec: BackupSpec,
        status: BackupStatus,
    }
}

/// What is backed up. The same type is a Schedule's template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// Labels and annotations that the runs of a Schedule get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// Namespaces to take; empty or `*` means all.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub included_namespaces: Vec<String>,
    /// Namespaces to leave out.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub excluded_namespaces: Vec<String>,
    /// Types to take; empty or `*` means all. Old style.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub included_resources: Vec<String>,
    /// Types to leave out. Old style.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub excluded_resources: Vec<String>,
    /// Whether cluster-scoped resources are taken; absent means those that belong to what is. Old style.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_cluster_resources: Option<bool>,
    /// Cluster-scoped types to take. New style.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub included_cluster_scoped_resources: Vec<String>,
    /// Cluster-scoped types to leave out. New style.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub excluded_cluster_scoped_resources: Vec<String>,
    /// Namespaced types to take. New style.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub included_namespace_scoped_resources: Vec<String>,
    /// Namespaced types to leave out. New style.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub excluded_namespace_scoped_resources: Vec<String>,
    /// Labels that a resource must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Selectors of which a resource must match one.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub or_label_selectors: Vec<LabelSelector>,
    /// How long it is kept, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Per type the resources to take first: a comma-separated list of `namespace/name`.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub ordered_resources: BTreeMap<String, String>,
    /// Name of the storage location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_location: Option<String>,
    /// Names of the volume snapshot locations.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshot_locations: Vec<String>,
    /// Whether volumes are snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_volumes: Option<bool>,
    /// Whether snapshots are moved to the object store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_move_data: Option<bool>,
    /// Whether volumes are read from their file system unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_volumes_to_fs_backup: Option<bool>,
    /// How long to wait for a CSI snapshot, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi_snapshot_timeout: Option<String>,
    /// How long to wait for operations of plugins, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_operation_timeout: Option<String>,
    /// Commands that run in pods before and after. Kept as they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Value>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Labels and annotations that the runs of a Schedule get.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Labels.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What Velero says of a Backup. All absent before it looked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// Version of the layout of the backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Version of the archive's format, such as `1.1.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format_version: Option<String>,
    /// When it may be removed: start and `ttl`.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Timestamp>,
    /// When it was started.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Timestamp>,
    /// When it ended.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Timestamp>,
    /// Why the spec was refused.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub validation_errors: Vec<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Lines in its log at the level of a warning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<i64>,
    /// Lines in its log at the level of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<i64>,
    /// How far it is, in items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<BackupProgress>,
    /// Its place in the queue, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<i64>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// How far a Backup is, in items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupProgress {
    /// How many there are, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_items: Option<i64>,
    /// How many are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_backed_up: Option<i64>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

phases! {
    /// Where a Velero Backup stands. Absent means not looked at yet.
    pub enum BackupPhase {
        /// Not looked at yet.
        New = Going,
        /// Waits for its turn (1.18 and later).
        Queued = Going,
        /// It is its turn (1.18 and later).
        ReadyToStart = Going,
        /// Refused.
        FailedValidation = Bad,
        /// Runs.
        InProgress = Going,
        /// Waits for operations of plugins.
        WaitingForPluginOperations = Going,
        /// The same, with failures so far.
        WaitingForPluginOperationsPartiallyFailed = Going,
        /// Writes its last files.
        Finalizing = Going,
        /// The same, with failures so far.
        FinalizingPartiallyFailed = Going,
        /// Complete.
        Completed = Good,
        /// Complete in parts.
        PartiallyFailed = Bad,
        /// Failed.
        Failed = Bad,
        /// Is being removed, object and data.
        Deleting = Going,
    }
}

impl BackupPhase {
    /// Whether there is something to restore from.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Completed | Self::PartiallyFailed)
    }
}

kind! {
    /// What makes Backups by the clock.
    pub struct Schedule in "velero.io"/"v1" as "schedules" {
        spec: ScheduleSpec,
        status: ScheduleStatus,
    }
}

/// When a Schedule makes which Backups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleSpec {
    /// Spec of the Backups.
    #[serde(default)]
    pub template: BackupSpec,
    /// Cron expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Whether the Backups are owned by the Schedule and go with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_owner_references_in_backup: Option<bool>,
    /// Whether it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Whether the run that is due at once is left out. Velero writes this field itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_immediately: Option<bool>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What Velero says of a Schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleStatus {
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<SchedulePhase>,
    /// When it last made a Backup.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<Timestamp>,
    /// When it last left one out.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub last_skipped: Option<Timestamp>,
    /// Why the spec was refused.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub validation_errors: Vec<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

phases! {
    /// Where a Schedule stands. None of them is an end: a refused one returns when it is repaired.
    pub enum SchedulePhase {
        /// Not looked at yet.
        New = Going,
        /// In force.
        Enabled = Going,
        /// Refused.
        FailedValidation = Going,
    }
}
