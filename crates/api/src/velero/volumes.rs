//! Volumes that were read from their file system.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoding::{null_as_empty, seconds_option};
use crate::kind::kind;

use super::phase::phases;

kind! {
    /// The backup of one volume of one pod.
    pub struct PodVolumeBackup in "velero.io"/"v1" as "podvolumebackups" {
        spec: PodVolumeBackupSpec,
        status: PodVolumeBackupStatus,
    }
}

/// Which volume, and where to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodVolumeBackupSpec {
    /// Node that the pod runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodReference>,
    /// Name of the volume in the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Name of the storage location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_storage_location: Option<String>,
    /// Identifier of the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo_identifier: Option<String>,
    /// What moves the bytes, such as `kopia`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploader_type: Option<String>,
    /// Labels of the snapshot.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Settings of the uploader.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub uploader_settings: BTreeMap<String, String>,
    /// Whether it is to be stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel: Option<bool>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodReference {
    /// `Pod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What became of the volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodVolumeBackupStatus {
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<PodVolumePhase>,
    /// Path of the volume on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Identifier of the snapshot.
    #[serde(rename = "snapshotID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was started.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Timestamp>,
    /// When it ended.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Timestamp>,
    /// How far it is, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<VolumeProgress>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// How far a volume is, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeProgress {
    /// All bytes, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<i64>,
    /// Bytes that are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_done: Option<i64>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

phases! {
    /// Where the backup of a volume stands.
    pub enum PodVolumePhase {
        /// Not looked at yet.
        New = Going,
        /// A node took it (1.17 and later).
        Accepted = Going,
        /// The node is ready for it (1.17 and later).
        Prepared = Going,
        /// Runs.
        InProgress = Going,
        /// Is being stopped (1.17 and later).
        Canceling = Going,
        /// Was stopped (1.17 and later).
        Canceled = Bad,
        /// Complete.
        Completed = Good,
        /// Failed.
        Failed = Bad,
    }
}
