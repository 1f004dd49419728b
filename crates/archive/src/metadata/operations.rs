//! Operations of plugins that go on after the main run of a backup or a restore.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metadata::shape::{empty_is_null, is_zero, null_is_empty, time};

/// An entry of `<backup>-itemoperations.json.gz`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackupOperation {
    /// What is done to which object.
    pub spec: BackupOperationSpec,
    /// How far it has got.
    pub status: OperationStatus,
}

/// What a backup does to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BackupOperationSpec {
    /// The Backup.
    pub backup_name: String,
    /// Its UID.
    #[serde(rename = "backupUID")]
    pub backup_uid: String,
    /// The plugin.
    pub backup_item_action: String,
    /// The object.
    pub resource_identifier: ResourceIdentifier,
    /// The plugin's name of the operation.
    #[serde(rename = "operationID")]
    pub operation_id: String,
    /// Objects that go into the backup when it has ended.
    #[serde(deserialize_with = "null_is_empty", serialize_with = "empty_is_null")]
    pub post_operation_items: Vec<ResourceIdentifier>,
}

/// An entry of `restore-<restore>-itemoperations.json.gz`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestoreOperation {
    /// What is done to which object.
    pub spec: RestoreOperationSpec,
    /// How far it has got.
    pub status: OperationStatus,
}

/// What a restore does to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RestoreOperationSpec {
    /// The Restore.
    pub restore_name: String,
    /// Its UID.
    #[serde(rename = "restoreUID")]
    pub restore_uid: String,
    /// The plugin.
    pub restore_item_action: String,
    /// The object.
    pub resource_identifier: ResourceIdentifier,
    /// The plugin's name of the operation.
    #[serde(rename = "operationID")]
    pub operation_id: String,
}

/// An object. The capitals are Velero's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ResourceIdentifier {
    /// API group, empty for the core group.
    pub group: String,
    /// Plural, such as `pods`.
    pub resource: String,
    /// Empty for an object of the whole cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How far an operation has got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OperationStatus {
    /// None before it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<OperationPhase>,
    /// Why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// How much is done, in `operation_units`.
    #[serde(skip_serializing_if = "is_zero")]
    pub n_completed: i64,
    /// How much there is to do, in `operation_units`.
    #[serde(skip_serializing_if = "is_zero")]
    pub n_total: i64,
    /// Such as `bytes`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation_units: String,
    /// The plugin's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it was recorded.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it began.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it last got on.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
}

/// The life of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationPhase {
    /// Recorded.
    New,
    /// Begun.
    InProgress,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// One that is not known here.
    #[serde(untagged)]
    Other(String),
}
