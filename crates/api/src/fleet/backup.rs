//! The backup plugin of a Fleet: the engine in the members and the store that they write to.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::other::Chart;
use crate::{encoding, schema};

/// Backup, restore and migration on every member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupPlugin {
    /// Chart of the engine; each absent field keeps its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Who executes backups; absent means what `kurator serve --default-engine` says, else `Velero`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Where backups go.
    pub storage: BackupStorage,
    /// How Velero comes into a member; absent means what `kurator serve --default-installer` says, else `Helm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installer: Option<Installer>,
    /// Further values for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<serde_json::Value>,
}

/// Where backups go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorage {
    /// The bucket.
    pub location: StorageLocation,
    /// Name of a Secret in the Fleet's namespace, with the keys `access-key` and `secret-key`.
    pub secret_name: String,
    /// How members share the bucket; absent means one prefix per cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageLocation {
    /// Name of the bucket.
    pub bucket: String,
    /// Kind of store: `aws` for everything that speaks S3, `huaweicloud`, `gcp` or `azure`.
    pub provider: String,
    /// URL of the store.
    pub endpoint: String,
    /// Region of the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Options of the provider, passed on to the storage location.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub config: BTreeMap<String, String>,
    /// Directory in the bucket under which everything is kept; absent means the bucket's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// Who executes backups and restores; absent means what `kurator serve --default-engine` says, else `Velero`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Engine {
    /// Velero, which runs in the member.
    Velero,
    /// The hub itself; nothing runs in the member.
    Builtin,
}

impl Engine {
    /// As in a Fleet.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Velero => "Velero",
            Self::Builtin => "Builtin",
        }
    }
}

/// Upper and lower case are the same.
impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_it = |engine: &Self| engine.as_str().eq_ignore_ascii_case(name);
        [Self::Velero, Self::Builtin].into_iter().find(is_it).ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}

/// The name of no [`Engine`].
#[derive(Debug, thiserror::Error)]
#[error("there is no engine `{0}`; name `Velero` or `Builtin`")]
pub struct UnknownEngine(String);

/// How Velero comes into a member; absent means what `kurator serve --default-installer` says, else `Helm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Installer {
    /// By Helm, from the hub.
    Helm,
    /// By Flux objects on the hub, as Kurator does.
    Flux,
    /// Not at all: it is already there.
    None,
}

/// How members share a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Layout {
    /// A prefix for each cluster.
    PerCluster,
    /// Everything at the root, as Kurator does.
    Shared,
}
