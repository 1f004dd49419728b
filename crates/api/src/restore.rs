//! Restore: a Backup's content, back into clusters that it was taken from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backup::{Destination, PreserveStatus, ResourceFilter, RowPhase, Summary};
use crate::cluster::ClusterKind;
use crate::condition::Condition;
use crate::kind::kind;
use crate::{encoding, schema, velero};

kind! {
    /// A restore of a Backup.
    pub struct Restore in "backup.kurator.dev"/"v1alpha1" as "restores" {
        spec: RestoreSpec,
        status: RestoreStatus,
    }
}

/// Which Backup is restored, where and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.backupName != ''",
        "message": "backupName must be the name of a Backup in this namespace",
    },
    {
        "rule": "!has(self.backupNameInCluster) || self.backupNameInCluster == '' || has(self.destination)",
        "message": "backupNameInCluster needs destination, which says in which clusters it is restored",
    },
]))]
pub struct RestoreSpec {
    /// Name of a Backup in the same namespace. Of a scheduled one the newest complete run is taken.
    #[schemars(length(max = 253))]
    pub backup_name: String,
    /// Name of a Velero Backup to restore in each cluster instead of the one that the hub's Backup stands for. Reaches
    /// what a Backup made that is no longer on the hub; `destination` must then say where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::name_in_cluster")]
    pub backup_name_in_cluster: Option<String>,
    /// The clusters that are restored: of the Backup's Fleet, and some of its clusters. Absent means all
    /// that the Backup covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// What is restored and how. Absent means everything as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<RestorePolicy>,
}

impl RestoreSpec {
    /// The Velero Backup asked for by its own name, if there is one.
    #[must_use]
    pub fn named_in_cluster(&self) -> Option<&str> {
        self.backup_name_in_cluster.as_deref().filter(|name| !name.is_empty())
    }
}

/// What is restored and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestorePolicy {
    /// Which resources of the backup are restored; absent means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_filter: Option<ResourceFilter>,
    /// From a namespace in the backup to the namespace that its content goes to.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(schema_with = "schema::namespace_mapping")]
    pub namespace_mapping: BTreeMap<String, String>,
    /// Types whose status is restored too; absent means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_status: Option<PreserveStatus>,
    /// Whether Services keep their node ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_node_ports: Option<bool>,
}

/// What became of a Restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// The whole in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Vec<Condition>,
    /// One row per selected cluster.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub restore_details: Vec<RestoreDetails>,
    /// The rows, counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the restore was started; from then on its spec is fixed.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub start_timestamp: Option<Timestamp>,
    /// When the last cluster ended.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub completion_timestamp: Option<Timestamp>,
}

/// A Restore, or a target of a Migrate, in one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreDetails {
    /// Name of the cluster object.
    #[serde(default)]
    pub cluster_name: String,
    /// Its kind.
    #[serde(default)]
    #[schemars(with = "String")]
    pub cluster_kind: ClusterKind,
    /// UID of the kube-system namespace of the cluster that the object in the member was seen in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_uid: Option<String>,
    /// Name of the Velero Restore in that cluster; absent while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_name_in_cluster: Option<String>,
    /// Name of the Velero Backup that is restored there: chosen once, then fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_name_in_cluster: Option<String>,
    /// Name of the storage location that was made for this restore, because the cluster's own does not have the
    /// content; absent if none was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_location: Option<String>,
    /// Copy of the Velero Restore's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::velero_status")]
    pub restore_status_in_cluster: Option<velero::RestoreStatus>,
    /// This row in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<RowPhase>,
    /// Why, as one word of a closed set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A Restore in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RestorePhase {
    /// Waits for what a condition names.
    Pending,
    /// Runs in at least one cluster.
    InProgress,
    /// Complete in every cluster.
    Completed,
    /// Complete in some clusters, or in parts.
    PartiallyFailed,
    /// Failed in every cluster.
    Failed,
    /// The spec can't be meant, or there is nothing to restore.
    FailedValidation,
    /// Is being deleted.
    Deleting,
}

impl RestorePhase {
    /// Whether the run has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::PartiallyFailed | Self::Failed | Self::FailedValidation)
    }
}
