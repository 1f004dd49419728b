//! Backup: what is taken from which clusters, once or by a schedule.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterKind, ClusterReference};
use crate::condition::Condition;
use crate::kind::kind;
use crate::{encoding, schema, velero};

pub use crate::filter::ResourceFilter;

kind! {
    /// A backup of clusters of a Fleet.
    pub struct Backup in "backup.kurator.dev"/"v1alpha1" as "backups" {
        spec: BackupSpec,
        status: BackupStatus,
    }
}

/// What is backed up, when and for how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSpec {
    /// Cron expression as the Velero in the members reads it; empty means once, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cron")]
    pub schedule: Option<String>,
    /// The clusters that are backed up.
    pub destination: Destination,
    /// What is taken of them and for how long it is kept. Absent means everything, for Velero's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<BackupPolicy>,
    /// While true, a one-time Backup is not started and a schedule does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// What becomes of the data in the object store when this object is deleted; absent means `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What becomes of backups in the object store when the hub's object is deleted; absent means `Retain`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Velero's Backups and their data stay until they expire.
    #[default]
    Retain,
    /// Velero is told to delete every backup that was made, and waited for.
    Delete,
}

impl BackupSpec {
    /// The cron expression of a scheduled Backup, `None` for a one-time one.
    #[must_use]
    pub fn schedule(&self) -> Option<&str> {
        self.schedule.as_deref().filter(|schedule| !schedule.is_empty())
    }
}

/// Clusters of a Fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.fleet != ''",
    "message": "fleet must be the name of a Fleet in this namespace",
}]))]
pub struct Destination {
    /// Name of a Fleet in the same namespace.
    #[schemars(length(max = 253))]
    pub fleet: String,
    /// Clusters of that Fleet. Without them, and without a selector, all of its clusters are meant.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cluster_references")]
    pub clusters: Vec<ClusterReference>,
    /// Clusters of that Fleet by the labels of their objects, in addition to `clusters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub cluster_selector: Option<LabelSelector>,
}

/// What is taken and for how long it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupPolicy {
    /// Which resources are taken; absent means everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_filter: Option<ResourceFilter>,
    /// How long the backup is kept, as a Go duration such as `720h`; absent means Velero's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::ttl")]
    pub ttl: Option<String>,
    /// Per type the resources to take first: a comma-separated list of `namespace/name`.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub ordered_resources: BTreeMap<String, String>,
}

/// Types whose status a restore brings back. The object absent means none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreserveStatus {
    /// Types whose status is restored; empty or `*` means all.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub included_resources: Vec<String>,
    /// Types whose status is not restored; stronger than the other list.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub excluded_resources: Vec<String>,
}

/// What became of a Backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// The whole in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// `Ready`, `Reconciling`, `Stalled`, `Degraded`.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Vec<Condition>,
    /// One row per selected cluster.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub backup_details: Vec<BackupDetails>,
    /// The rows, counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the run was started; from then on a one-time Backup is fixed.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub start_timestamp: Option<Timestamp>,
    /// When the last cluster ended.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub completion_timestamp: Option<Timestamp>,
    /// Of a schedule: every selected cluster has a complete run that is at least this new.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_success: Option<Timestamp>,
    /// Of a schedule: when the next run is due in any cluster, by the member's clock.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub next_run: Option<Timestamp>,
}

/// A Backup, or the source of a Migrate, in one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupDetails {
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
    /// Name of the Velero Backup in that cluster; absent while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_name_in_cluster: Option<String>,
    /// Copy of that Backup's status; empty before the first run of a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::velero_status")]
    pub backup_status_in_cluster: Option<velero::BackupStatus>,
    /// Where the data lies, of a schedule that of the newest complete run; absent while nothing was made, and in large
    /// fleets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredAt>,
    /// Volume claims that are stored without the data of their volumes; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes_without_data: Option<u32>,
    /// What is known of a schedule in this cluster; absent for a one-time run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleDetails>,
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

/// Where a backup lies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredAt {
    /// Name of the storage location in the cluster that the backup was taken of.
    #[serde(default)]
    pub location: String,
    /// The bucket.
    #[serde(default)]
    pub bucket: String,
    /// The prefix in the bucket, without slashes at its ends; empty means the root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Name of the Fleet that gave the cluster this place; absent where the cluster alone says that it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
}

/// A schedule in one cluster. The row that it belongs to tells of the newest run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleDetails {
    /// Name of the Velero Schedule; absent while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_name_in_cluster: Option<String>,
    /// The newest complete run that the member still has. Left out in large fleets where it is the newest run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<GoodRun>,
    /// Runs that the member still has.
    #[serde(default)]
    pub runs: u32,
    /// Those of them that ended and are not complete.
    #[serde(default)]
    pub failed: u32,
    /// Those of them that ended after the newest complete one, and are not complete.
    #[serde(default)]
    pub failed_since_success: u32,
    /// When the next run is due, by the member's clock.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub next_run: Option<Timestamp>,
    /// The value of the annotation `kurator.dev/run-now` that was last acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ran_now: Option<String>,
}

/// A complete run of a schedule, as far as it must be known to restore it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoodRun {
    /// Name of the Velero Backup.
    #[serde(default)]
    pub backup_name_in_cluster: String,
    /// When it began.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub start_timestamp: Option<Timestamp>,
    /// When it was complete.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub completion_timestamp: Option<Timestamp>,
    /// When it expires.
    #[serde(default, with = "encoding::seconds_option", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub expiration: Option<Timestamp>,
    /// Volume claims in it without the data of their volumes; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes_without_data: Option<u32>,
}

/// A Backup in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BackupPhase {
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
    /// The spec can't be meant, or Velero refused it.
    FailedValidation,
    /// The schedule is in force.
    Enabled,
    /// The schedule is suspended, or the one-time run not started.
    Paused,
    /// Is being deleted.
    Deleting,
}

impl BackupPhase {
    /// Whether a one-time run has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::PartiallyFailed | Self::Failed | Self::FailedValidation)
    }
}

/// One cluster's part in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RowPhase {
    /// Not started.
    Pending,
    /// Runs.
    InProgress,
    /// Complete.
    Completed,
    /// Complete in parts.
    PartiallyFailed,
    /// Failed.
    Failed,
    /// Refused before it began.
    FailedValidation,
}

impl RowPhase {
    /// Whether this cluster's part has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress)
    }
}

/// Rows, counted by phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// All rows.
    pub total: u32,
    /// Rows not started.
    pub pending: u32,
    /// Rows under way.
    pub in_progress: u32,
    /// Complete rows.
    pub completed: u32,
    /// Rows complete in parts.
    pub partially_failed: u32,
    /// Failed and refused rows.
    pub failed: u32,
    /// Complete of all, such as `19/20`.
    pub status: String,
}

impl Summary {
    /// Counts rows; one without a phase has not started.
    #[must_use]
    pub fn of(rows: impl IntoIterator<Item = Option<RowPhase>>) -> Self {
        let mut summary = Self::default();
        for phase in rows {
            summary.total += 1;
            *match phase.unwrap_or(RowPhase::Pending) {
                RowPhase::Pending => &mut summary.pending,
                RowPhase::InProgress => &mut summary.in_progress,
                RowPhase::Completed => &mut summary.completed,
                RowPhase::PartiallyFailed => &mut summary.partially_failed,
                RowPhase::Failed | RowPhase::FailedValidation => &mut summary.failed,
            } += 1;
        }
        summary.status = format!("{}/{}", summary.completed, summary.total);
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_summary_counts_every_row_once() {
        use RowPhase::{Completed, Failed, FailedValidation, InProgress, PartiallyFailed, Pending};
        let rows = [
            None,
            Some(Pending),
            Some(InProgress),
            Some(Completed),
            Some(PartiallyFailed),
            Some(Failed),
            Some(FailedValidation),
        ];
        let summary = Summary::of(rows);
        assert_eq!(
            serde_json::to_value(summary).unwrap(),
            json!({"total": 7, "pending": 2, "inProgress": 1, "completed": 1, "partiallyFailed": 1, "failed": 2, "status": "1/7"})
        );
    }

    #[test]
    fn an_empty_schedule_is_no_schedule() {
        let mut spec = BackupSpec { schedule: Some(String::new()), ..BackupSpec::default() };
        assert_eq!(spec.schedule(), None);
        spec.schedule = Some("0 0 * * *".into());
        assert_eq!(spec.schedule(), Some("0 0 * * *"));
    }

    #[test]
    fn k10_a_policy_without_a_filter_decodes() {
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": "b"}, "spec": {"destination": {"fleet": "f"}, "policy": {"ttl": "24h"}},
        }))
        .unwrap();
        assert_eq!(backup.spec.policy.unwrap().resource_filter, None);
    }

    #[test]
    fn unknown_fields_and_nulls_in_a_spec_are_tolerated() {
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": "b"},
            "spec": {
                "destination": {"fleet": "f", "clusters": null, "later": 1}, "schedule": null, "later": {},
                "policy": {"orderedResources": null, "resourceFilter": {"labelSelector": null, "orLabelSelectors": null}},
            },
        }))
        .unwrap();
        assert!(backup.spec.destination.clusters.is_empty());
    }

    /// The status that the guide shows, with a phase of a Velero that Kurator doesn't know.
    #[test]
    fn a_status_that_kurator_wrote_survives() {
        let stored = json!({
            "backupDetails": [
                {"backupNameInCluster": "kurator-member1-backup-default-specific-ns",
                 "backupStatusInCluster": {"expiration": "2023-11-23T12:04:38Z", "formatVersion": "1.1.0",
                     "phase": "ReadyToStart", "queuePosition": 2, "startTimestamp": "2023-10-24T12:04:38Z", "version": 1},
                 "clusterKind": "AttachedCluster", "clusterName": "kurator-member1"},
                {"backupStatusInCluster": {}, "clusterKind": "AttachedCluster", "clusterName": "kurator-member2"},
            ],
        });
        let status: BackupStatus = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(status).unwrap(), stored);
    }
}
