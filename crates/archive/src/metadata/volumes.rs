//! What became of each volume.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metadata::shape::{empty_is_null, is_zero, null_is_empty, time};

/// An entry of a backup's `<backup>-volumeinfo.json.gz`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BackupVolumeInfo {
    /// Name of the claim.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pvc_name: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pvc_namespace: String,
    /// Name of the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pv_name: String,
    /// How its data were saved; none if they were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_method: Option<Method>,
    /// Whether the data of a snapshot went to the store.
    pub snapshot_data_moved: bool,
    /// Whether the snapshot stays after that.
    pub preserve_local_snapshot: bool,
    /// Whether the volume was left out.
    pub skipped: bool,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub skipped_reason: String,
    /// When the saving began.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Timestamp>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<VolumeResult>,
    /// Of a snapshot by CSI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi_snapshot_info: Option<CsiSnapshotInfo>,
    /// Of a snapshot whose data went to the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_data_movement_info: Option<SnapshotDataMovementInfo>,
    /// Of a snapshot by a volume plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_snapshot_info: Option<NativeSnapshotInfo>,
    /// Of a copy of the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvb_info: Option<PodVolumeInfo>,
    /// What a new volume of the same name would not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pv_info: Option<PvInfo>,
}

/// An entry of a restore's `<restore>-volumeinfo.json.gz`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RestoreVolumeInfo {
    /// Name of the claim.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pvc_name: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pvc_namespace: String,
    /// Name of the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pv_name: String,
    /// How its data came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_method: Option<Method>,
    /// Whether the data came from the store.
    pub snapshot_data_moved: bool,
    /// Of a snapshot by CSI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi_snapshot_info: Option<CsiSnapshotInfo>,
    /// Of a snapshot whose data were in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_data_movement_info: Option<SnapshotDataMovementInfo>,
    /// Of a snapshot by a volume plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_snapshot_info: Option<NativeSnapshotInfo>,
    /// Of a copy of the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvr_info: Option<PodVolumeInfo>,
}

/// How the data of a volume are saved and brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// A snapshot by a volume plugin of Velero.
    NativeSnapshot,
    /// A copy of the files.
    PodVolumeBackup,
    /// A snapshot by CSI.
    #[serde(rename = "CSISnapshot")]
    CsiSnapshot,
    /// Files brought back from a copy.
    PodVolumeRestore,
    /// One that is not known here.
    #[serde(untagged)]
    Other(String),
}

/// How the saving of a volume ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VolumeResult {
    /// The data are safe.
    Succeeded,
    /// They are not.
    Failed,
    /// One that is not known here.
    #[serde(untagged)]
    Other(String),
}

/// A snapshot by CSI. The capitals are Velero's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CsiSnapshotInfo {
    /// The storage's name of it.
    pub snapshot_handle: String,
    /// In bytes.
    pub size: i64,
    /// The CSI driver.
    pub driver: String,
    /// The VolumeSnapshotContent.
    pub vsc_name: String,
    /// The operation that made it.
    #[serde(rename = "operationID", skip_serializing_if = "String::is_empty")]
    pub operation_id: String,
    /// Whether it can be restored; none if nobody has said.
    #[serde(rename = "ReadyToUse")]
    pub ready_to_use: Option<bool>,
    /// The storage's name of the group snapshot that it belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_group_snapshot_handle: String,
}

/// A snapshot whose data are in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotDataMovementInfo {
    /// Who moved them, `velero` or another.
    pub data_mover: String,
    /// With what, `kopia`.
    pub uploader_type: String,
    /// The snapshot that stays, if one does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub retained_snapshot: String,
    /// The snapshot in the store's repository.
    pub snapshot_handle: String,
    /// The operation that moved them.
    #[serde(rename = "operationID")]
    pub operation_id: String,
    /// In bytes.
    pub size: i64,
    /// New since the last one, in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub incremental_size: i64,
    /// Of the DataUpload.
    #[serde(rename = "Phase")]
    pub phase: String,
}

/// A snapshot by a volume plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NativeSnapshotInfo {
    /// The provider's name of it.
    pub snapshot_handle: String,
    /// The provider's kind of volume.
    pub volume_type: String,
    /// Availability zone.
    #[serde(rename = "volumeAZ")]
    pub volume_az: String,
    /// Provisioned operations per second, as text.
    pub iops: String,
    /// Of the snapshot.
    #[serde(rename = "Phase")]
    pub phase: String,
}

/// A copy of the files of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodVolumeInfo {
    /// The snapshot in the store's repository.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub snapshot_handle: String,
    /// In bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub size: i64,
    /// New since the last one, in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub incremental_size: i64,
    /// With what, `kopia` or `restic`.
    pub uploader_type: String,
    /// The volume's name in the pod.
    pub volume_name: String,
    /// The pod.
    pub pod_name: String,
    /// Its namespace.
    pub pod_namespace: String,
    /// The node that it ran on; empty for a restore.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Of the PodVolumeBackup.
    #[serde(rename = "Phase")]
    pub phase: String,
}

/// What a new volume of the same name would not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PvInfo {
    /// What happens to it when the claim goes.
    pub reclaim_policy: String,
    /// Its labels.
    #[serde(deserialize_with = "null_is_empty", serialize_with = "empty_is_null")]
    pub labels: BTreeMap<String, String>,
}
