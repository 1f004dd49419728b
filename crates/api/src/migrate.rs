//! Migrate: from one cluster into others, in one go.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backup::{BackupDetails, DeletionPolicy, Destination, PreserveStatus, ResourceFilter, Summary};
use crate::condition::Condition;
use crate::kind::kind;
use crate::restore::RestoreDetails;
use crate::{encoding, schema};

kind! {
    /// A migration of resources from one cluster into others.
    pub struct Migrate in "backup.kurator.dev"/"v1alpha1" as "migrates" {
        spec: MigrateSpec,
        status: MigrateStatus,
    }
}

/// What is migrated, from where to where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.sourceCluster.clusters) || size(self.sourceCluster.clusters) <= 1",
    "message": "sourceCluster must name one cluster; migrate from several with a Migrate each",
}]))]
pub struct MigrateSpec {
    /// Where the resources come from; must come to exactly one cluster.
    pub source_cluster: Destination,
    /// Where they go to. Without a choice of clusters: the Fleet without the source.
    pub target_cluster: Destination,
    /// What is migrated and how. Absent means everything as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<MigratePolicy>,
}

/// What is migrated and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigratePolicy {
    /// Which resources are taken from the source; absent means everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_filter: Option<ResourceFilter>,
    /// Per type the resources to take first: a comma-separated list of `namespace/name`.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub ordered_resources: BTreeMap<String, String>,
    /// From a namespace in the source to the namespace in the targets.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(schema_with = "schema::namespace_mapping")]
    pub namespace_mapping: BTreeMap<String, String>,
    /// Types whose status is restored too; absent means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrate_status: Option<PreserveStatus>,
    /// Whether Services keep their node ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_node_ports: Option<bool>,
    /// Whether the targets are restored although the backup of the source is incomplete; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_partially_failed: Option<bool>,
    /// How long the backup in the source is kept, as a Go duration such as `24h`; absent means Velero's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::ttl")]
    pub ttl: Option<String>,
    /// What becomes of the backup in the source when this object is deleted; absent means `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What became of a Migrate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrateStatus {
    /// The whole in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<MigratePhase>,
    /// `sourceReady`, `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Vec<Condition>,
    /// The backup in the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_cluster_status: Option<BackupDetails>,
    /// The restores, one row per target.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub target_cluster_status: Vec<RestoreDetails>,
    /// The targets, counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the backup was started; from then on the spec is fixed.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub start_timestamp: Option<Timestamp>,
    /// When the last target ended.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub completion_timestamp: Option<Timestamp>,
}

/// A Migrate in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MigratePhase {
    /// Waits for what a condition names.
    Pending,
    /// The spec can't be meant.
    FailedValidation,
    /// The source is being backed up.
    BackupInProgress,
    /// The targets are being restored.
    RestoreInProgress,
    /// Complete in every target.
    Completed,
    /// Complete in some targets, or in parts.
    PartiallyFailed,
    /// The backup failed, or every target.
    Failed,
    /// Is being deleted.
    Deleting,
}

impl MigratePhase {
    /// Whether the run has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::PartiallyFailed | Self::Failed | Self::FailedValidation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The status that the announcement of v0.5.0 shows.
    #[test]
    fn a_status_that_kurator_wrote_survives() {
        let stored = json!({
            "conditions": [{"lastTransitionTime": "2023-10-28T15:55:23Z", "status": "True", "type": "sourceReady"}],
            "phase": "Completed",
            "sourceClusterStatus": {
                "backupNameInCluster": "kurator-member1-migrate-default-select-labels",
                "backupStatusInCluster": {"completionTimestamp": "2023-10-28T15:55:18Z", "phase": "Completed", "progress": {}},
                "clusterKind": "AttachedCluster", "clusterName": "kurator-member1",
            },
            "targetClusterStatus": [{
                "clusterKind": "AttachedCluster", "clusterName": "kurator-member2",
                "restoreNameInCluster": "kurator-member2-migrate-default-select-labels",
                "restoreStatusInCluster": {"completionTimestamp": "2023-10-28T15:56:00Z", "phase": "Completed"},
            }],
        });
        let status: MigrateStatus = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(status.phase, Some(MigratePhase::Completed));
        assert_eq!(serde_json::to_value(status).unwrap(), stored);
    }
}
