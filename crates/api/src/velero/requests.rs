//! Requests to a member's Velero server: delete a backup, fetch a file, say who you are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoding::{null_as_empty, seconds_option};
use crate::kind::kind;

use super::phase::phases;

kind! {
    /// A wish that a Backup goes, with its data. On full success it goes itself, too.
    pub struct DeleteBackupRequest in "velero.io"/"v1" as "deletebackuprequests" {
        spec: DeleteBackupRequestSpec,
        status: DeleteBackupRequestStatus,
    }
}

/// Which Backup goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteBackupRequestSpec {
    /// Name of the Velero Backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_name: Option<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteBackupRequestStatus {
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,
    /// What went wrong; `Processed` without any is success.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

kind! {
    /// A wish for a signed URL of one file of a Backup or Restore.
    pub struct DownloadRequest in "velero.io"/"v1" as "downloadrequests" {
        spec: DownloadRequestSpec,
        status: DownloadRequestStatus,
    }
}

/// Which file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownloadRequestSpec {
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<DownloadTarget>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A file of a Backup or Restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownloadTarget {
    /// Which of its files, such as `BackupLog` or `RestoreResults`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the Velero Backup or Restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownloadRequestStatus {
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,
    /// The signed URL. Comes from the member: not to be followed unseen.
    #[serde(rename = "downloadURL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_url: Option<String>,
    /// Until when it is valid.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Timestamp>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

kind! {
    /// A question for the server: are you there, and which version?
    pub struct ServerStatusRequest in "velero.io"/"v1" as "serverstatusrequests" {
        spec: ServerStatusRequestSpec,
        status: ServerStatusRequestStatus,
    }
}

/// Nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatusRequestSpec {
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatusRequestStatus {
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RequestPhase>,
    /// When it was answered.
    #[serde(default, with = "seconds_option", skip_serializing_if = "Option::is_none")]
    pub processed_timestamp: Option<Timestamp>,
    /// Version of the server, such as `v1.18.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Its plugins.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<ServerPlugin>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A plugin of the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerPlugin {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Fields that this crate doesn't know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

phases! {
    /// Where a request to the server stands. `Processed` says nothing of the result.
    pub enum RequestPhase {
        /// Not looked at yet.
        New = Going,
        /// Being worked on.
        InProgress = Going,
        /// Answered.
        Processed = Good,
        /// Refused.
        Failed = Bad,
    }
}
