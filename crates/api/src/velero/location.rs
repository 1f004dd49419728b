//! Storage locations: where a member's Velero keeps its backups.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoding::{null_as_empty, seconds_option};
use crate::kind::kind;

use super::phase::phases;

kind! {
    /// A place for backups.
    pub struct BackupStorageLocation in "velero.io"/"v1" as "backupstoragelocations" {
        spec: BackupStorageLocationSpec,
        status: BackupStorageLocationStatus,
    }
}

/// Where backups are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorageLocationSpec {
    /// Name of the plugin that speaks to the store, such as `aws`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Options of that plugin.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// The Secret with the credential; absent means the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<SecretKeySelector>,
    /// The bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_storage: Option<ObjectStorage>,
    /// Whether Backups that name no location go here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// What Velero may do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<AccessMode>,
    /// How often objects are made for what is found in the store, as a Go duration; `0s` means never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_sync_period: Option<String>,
    /// How often it is checked, as a Go duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_frequency: Option<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStorage {
    /// Name of the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Directory in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Certificate authority of the store, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// One key of a Secret in Velero's namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeySelector {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Key in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What Velero says of a storage location.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorageLocationStatus {
    /// Whether it can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupStorageLocationPhase>,
    /// Why it can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When objects were last made for what was found.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub last_synced_time: Option<Timestamp>,
    /// When it was last checked.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub last_validation_time: Option<Timestamp>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

phases! {
    /// Whether Velero can use a storage location. Absent means not checked yet.
    pub enum BackupStorageLocationPhase {
        /// It can.
        Available = Going,
        /// It can't.
        Unavailable = Going,
    }
}

impl BackupStorageLocationPhase {
    /// Whether Velero can use it.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        matches!(self, Self::Available)
    }
}

phases! {
    /// What Velero may do with a storage location. Absent means `ReadWrite`.
    pub enum AccessMode {
        /// Restore from it.
        ReadOnly = Going,
        /// Restore from it and back up to it.
        ReadWrite = Going,
    }
}
