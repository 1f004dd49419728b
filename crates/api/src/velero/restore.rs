//! Restores.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoding::{null_as_empty, seconds_option};
use crate::kind::kind;

use super::phase::phases;

kind! {
    /// A restore into the member that it is in.
    pub struct Restore in "velero.io"/"v1" as "restores" {
        spec: RestoreSpec,
        status: RestoreStatus,
    }
}

/// What is restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSpec {
    /// Name of the Velero Backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_name: Option<String>,
    /// Name of a Schedule, whose newest usable Backup is taken, instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_name: Option<String>,
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
    /// Whether cluster-scoped resources are restored; absent means those that belong to what is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_cluster_resources: Option<bool>,
    /// Labels that a resource must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// Selectors of which a resource must match one.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub or_label_selectors: Vec<LabelSelector>,
    /// From a namespace in the backup to the one that its content goes to.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_mapping: BTreeMap<String, String>,
    /// Whether volumes are restored from snapshots.
    #[serde(rename = "restorePVs")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_pvs: Option<bool>,
    /// Types whose status is restored too; absent means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_status: Option<StatusFilter>,
    /// Whether Services keep their node ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_node_ports: Option<bool>,
    /// What happens to a resource that is there already: `none` or `update`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing_resource_policy: Option<String>,
    /// How long to wait for operations of plugins, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_operation_timeout: Option<String>,
    /// Commands that run in restored pods. Kept as they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Value>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Types whose status is restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusFilter {
    /// Types to take; empty or `*` means all.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub included_resources: Vec<String>,
    /// Types to leave out; stronger than the other list.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub excluded_resources: Vec<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What Velero says of a Restore. All absent before it looked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
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
    /// Things that went wrong without consequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<i64>,
    /// Things that went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<i64>,
    /// How far it is, in items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<RestoreProgress>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// How far a Restore is, in items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreProgress {
    /// How many there are, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_items: Option<i64>,
    /// How many are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_restored: Option<i64>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

phases! {
    /// Where a Velero Restore stands. Absent means not looked at yet.
    pub enum RestorePhase {
        /// Not looked at yet.
        New = Going,
        /// Refused.
        FailedValidation = Bad,
        /// Runs.
        InProgress = Going,
        /// Waits for operations of plugins.
        WaitingForPluginOperations = Going,
        /// The same, with failures so far.
        WaitingForPluginOperationsPartiallyFailed = Going,
        /// Does what is left to do with volumes (1.14 and later).
        Finalizing = Going,
        /// The same, with failures so far.
        FinalizingPartiallyFailed = Going,
        /// Complete.
        Completed = Good,
        /// Complete in parts.
        PartiallyFailed = Bad,
        /// Failed.
        Failed = Bad,
    }
}
