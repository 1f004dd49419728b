//! What Backups, Restores and Migrates have in common for those who look at them.

mod held_up;

use jiff::Timestamp;
use kurator_api::backup::{Backup, BackupDetails, RowPhase, Summary};
use kurator_api::condition::{self, Condition, ConditionStatus};
use kurator_api::migrate::Migrate;
use kurator_api::restore::{Restore, RestoreDetails};
use serde::Serialize;

use crate::terminal::rows;

/// A Backup, Restore or Migrate as it stands.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) phase: String,
    /// How it ended, if it has.
    pub(crate) ended: Option<Ending>,
    /// Clusters that are complete, of all, as the status counts them; of a schedule by its newest run in each.
    pub(crate) clusters: String,
    pub(crate) started: Option<Timestamp>,
    pub(crate) completed: Option<Timestamp>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) rows: Vec<Row>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed,
    PartiallyFailed,
    Failed,
}

/// One cluster of a run.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) cluster: String,
    /// Which part it has in a migration.
    pub(crate) part: Option<Part>,
    pub(crate) phase: String,
    /// Objects done and in all, as far as known.
    pub(crate) objects: Option<(i64, i64)>,
    pub(crate) name_in_cluster: String,
    pub(crate) stored: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// Which side of a migration a cluster is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It is backed up.
    From,
    /// It is restored into.
    To,
}

impl Part {
    /// The word before the cluster's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }

    /// What is done in the cluster.
    const fn deed(self) -> &'static str {
        match self {
            Self::From => "backup",
            Self::To => "restore",
        }
    }
}

impl Run {
    /// Its phase; of one that does not go on by itself also why, for that is not to be missed.
    pub(crate) fn state(&self) -> String {
        let ready = condition::find(&self.conditions, condition::READY);
        let stalled = ready.filter(|_| self.ended.is_none() && self.is_stalled());
        match stalled.and_then(|ready| ready.reason.as_deref()) {
            Some(reason) => format!("{}: {reason}", self.phase),
            None => self.phase.clone(),
        }
    }

    /// What its `Ready` condition says, for people.
    pub(crate) fn message(&self) -> &str {
        let ready = self.conditions.iter().find(|condition| condition.type_ == condition::READY);
        ready.and_then(|ready| ready.message.as_deref()).unwrap_or_default()
    }

    /// Whether a person has to do something before it goes on.
    pub(crate) fn is_stalled(&self) -> bool {
        let holds = |condition: &Condition| condition.status == ConditionStatus::True;
        self.conditions.iter().any(|condition| condition.type_ == condition::STALLED && holds(condition))
    }

    /// How many objects are done, of the clusters that say so; of a migration, of each part of it.
    fn objects(&self) -> Vec<String> {
        let of = |part| {
            let known = self.rows.iter().filter(|row| row.part == part).filter_map(|row| row.objects);
            let (done, all) =
                known.reduce(|(done, all), (more_done, more)| (done + more_done, all + more))?;
            let deed = part.map(|part| format!("{} ", part.deed())).unwrap_or_default();
            Some(format!("{deed}{done}/{all} objects"))
        };
        [None, Some(Part::From), Some(Part::To)].into_iter().filter_map(of).collect()
    }

    /// All of it in one line.
    pub(crate) fn line(&self) -> String {
        let mut parts = vec![self.phase.clone()];
        let is_good = self.ended.is_none_or(|ending| ending == Ending::Completed)
            && !self.is_stalled()
            && self.held_up().is_none();
        // Why it is not is the error that follows.
        let message = if is_good { self.message() } else { "" };
        if !self.clusters.is_empty() && !message.contains(" clusters ") {
            parts.push(format!("{} clusters", self.clusters));
        }
        parts.extend(self.objects());
        if !message.is_empty() {
            parts.push(message.to_owned());
        }
        parts.join(", ")
    }
}

/// A name as it stands in JSON, such as a phase's.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// What the statuses of all three say alike.
fn run(
    phase: Option<&impl Serialize>,
    summary: Option<Summary>,
    [started, completed]: [Option<Timestamp>; 2],
    conditions: Vec<Condition>,
    rows: impl IntoIterator<Item = Row>,
) -> Run {
    let phase = phase.map_or_else(|| "Pending".to_owned(), word);
    let ended = match phase.as_str() {
        "Completed" => Some(Ending::Completed),
        "PartiallyFailed" => Some(Ending::PartiallyFailed),
        "Failed" | "FailedValidation" => Some(Ending::Failed),
        _ => None,
    };
    let clusters = summary.map(|summary| summary.status).unwrap_or_default();
    Run { phase, ended, clusters, started, completed, conditions, rows: rows.into_iter().collect() }
}

impl From<&Backup> for Run {
    fn from(backup: &Backup) -> Self {
        let status = backup.status.clone().unwrap_or_default();
        let times = [status.start_timestamp, status.completion_timestamp];
        let rows = status.backup_details.iter().map(Row::from);
        run(status.phase.as_ref(), status.summary, times, status.conditions, rows)
    }
}

impl From<&Restore> for Run {
    fn from(restore: &Restore) -> Self {
        let status = restore.status.clone().unwrap_or_default();
        let times = [status.start_timestamp, status.completion_timestamp];
        let rows = status.restore_details.iter().map(Row::from);
        run(status.phase.as_ref(), status.summary, times, status.conditions, rows)
    }
}

impl From<&Migrate> for Run {
    fn from(migrate: &Migrate) -> Self {
        let status = migrate.status.clone().unwrap_or_default();
        let times = [status.start_timestamp, status.completion_timestamp];
        let part = |part| move |row: Row| Row { part: Some(part), ..row };
        let source = status.source_cluster_status.iter().map(Row::from).map(part(Part::From));
        let targets = status.target_cluster_status.iter().map(Row::from).map(part(Part::To));
        let rows = source.chain(targets);
        run(status.phase.as_ref(), status.summary, times, status.conditions, rows)
    }
}

/// The phase of a row; before there is one, of what runs in the cluster.
fn row_phase(phase: Option<RowPhase>, in_cluster: Option<&str>) -> String {
    match (phase, in_cluster) {
        (Some(phase), _) => word(&phase),
        (None, Some(in_cluster)) => in_cluster.to_owned(),
        (None, None) => "Pending".to_owned(),
    }
}

impl From<&BackupDetails> for Row {
    fn from(row: &BackupDetails) -> Self {
        let status = row.backup_status_in_cluster.as_ref();
        let in_cluster = status.and_then(|status| status.phase.as_ref()).map(|phase| phase.as_str());
        let progress = status.and_then(|status| status.progress.as_ref());
        let stored = row.stored.as_ref().zip(row.backup_name_in_cluster.as_ref()).map(|(at, name)| {
            let root = if at.prefix.is_empty() { String::new() } else { format!("{}/", at.prefix) };
            format!("{}/{root}backups/{name}", at.bucket)
        });
        Self {
            cluster: row.cluster_name.clone(),
            part: None,
            phase: row_phase(row.phase, in_cluster),
            objects: progress
                .and_then(|progress| Some((progress.items_backed_up.unwrap_or(0), progress.total_items?))),
            name_in_cluster: row.backup_name_in_cluster.clone().unwrap_or_default(),
            stored: stored.unwrap_or_default(),
            reason: row.reason.clone().unwrap_or_default(),
            message: row.message.clone().unwrap_or_default(),
        }
    }
}

impl From<&RestoreDetails> for Row {
    fn from(row: &RestoreDetails) -> Self {
        let status = row.restore_status_in_cluster.as_ref();
        let in_cluster = status.and_then(|status| status.phase.as_ref()).map(|phase| phase.as_str());
        let progress = status.and_then(|status| status.progress.as_ref());
        Self {
            cluster: row.cluster_name.clone(),
            part: None,
            phase: row_phase(row.phase, in_cluster),
            objects: progress
                .and_then(|progress| Some((progress.items_restored.unwrap_or(0), progress.total_items?))),
            name_in_cluster: row.restore_name_in_cluster.clone().unwrap_or_default(),
            stored: String::new(),
            reason: row.reason.clone().unwrap_or_default(),
            message: row.message.clone().unwrap_or_default(),
        }
    }
}

impl From<&Row> for rows::Row {
    fn from(row: &Row) -> Self {
        let name = match row.part {
            Some(part) => format!("{} {}", part.as_str(), row.cluster),
            None => row.cluster.clone(),
        };
        Self { name, phase: row.phase.clone(), objects: row.objects, bytes: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schedule_counts_its_clusters_as_its_status_does() {
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": "b"}, "spec": {"destination": {"fleet": "f"}, "schedule": "0 0 * * *"},
            "status": {"phase": "FailedValidation", "summary": {"status": "0/2"}, "backupDetails": [
                {"clusterName": "a", "phase": "Pending", "schedule": {"scheduleNameInCluster": "s"}},
            ]},
        }))
        .unwrap();
        assert_eq!(Run::from(&backup).clusters, "0/2");
    }

    #[test]
    fn a_migration_that_needs_somebody_shows_it_beside_its_phase() {
        let migrate = |phase: &str, stalled: &str| {
            let at = "2026-01-01T00:00:00Z";
            let of = |type_: &str, status: &str| json!({"type": type_, "status": status, "reason": "SourcePartiallyFailed", "lastTransitionTime": at});
            let migrate = json!({
                "metadata": {"name": "m"},
                "spec": {"sourceCluster": {"fleet": "f"}, "targetCluster": {"fleet": "f"}},
                "status": {"phase": phase, "conditions": [of("Ready", "False"), of("Stalled", stalled)]},
            });
            Run::from(&serde_json::from_value::<Migrate>(migrate).unwrap()).state()
        };
        assert_eq!(migrate("Pending", "True"), "Pending: SourcePartiallyFailed");
        assert_eq!(migrate("Pending", "False"), "Pending");
        assert_eq!(migrate("Failed", "True"), "Failed", "it is over");
    }

    fn restore(phase: &str, message: &str) -> Run {
        let row = |name: &str, restored: i64, all: i64| {
            json!({"clusterName": name, "restoreStatusInCluster":
                {"phase": "InProgress", "progress": {"itemsRestored": restored, "totalItems": all}}})
        };
        let restore: Restore = serde_json::from_value(json!({
            "metadata": {"name": "r"}, "spec": {"backupName": "b"},
            "status": {"phase": phase, "summary": {"status": "1/2"}, "restoreDetails": [row("a", 2, 5), row("b", 0, 4)],
                "conditions": [{"type": "Ready", "status": "False", "message": message,
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap();
        Run::from(&restore)
    }

    #[test]
    fn a_line_tells_phase_clusters_objects_and_what_is_waited_for() {
        let line = restore("InProgress", "a: running").line();
        assert_eq!(line, "InProgress, 1/2 clusters, 2/9 objects, a: running");
    }

    #[test]
    fn a_line_counts_clusters_once() {
        for message in ["1/2 clusters completed; b: away", "2/2 clusters starting"] {
            let line = restore("InProgress", message).line();
            assert_eq!(line, format!("InProgress, 2/9 objects, {message}"));
        }
    }

    #[test]
    fn the_line_of_a_bad_end_leaves_its_reason_to_the_error() {
        let line = restore("PartiallyFailed", "1/2 clusters completed; b: no such bucket").line();
        assert_eq!(line, "PartiallyFailed, 1/2 clusters, 2/9 objects");
    }

    #[test]
    fn a_migration_counts_what_is_backed_up_and_what_is_restored_apart() {
        let migrate: Migrate = serde_json::from_value(json!({
            "metadata": {"name": "m"},
            "spec": {"sourceCluster": {"fleet": "f"}, "targetCluster": {"fleet": "f"}},
            "status": {"phase": "RestoreInProgress",
                "sourceClusterStatus": {"clusterName": "a", "backupStatusInCluster":
                    {"phase": "Completed", "progress": {"itemsBackedUp": 7, "totalItems": 7}}},
                "targetClusterStatus": [{"clusterName": "b", "restoreStatusInCluster":
                    {"phase": "InProgress", "progress": {"itemsRestored": 3, "totalItems": 8}}}]},
        }))
        .unwrap();
        let run = Run::from(&migrate);
        assert_eq!(run.line(), "RestoreInProgress, backup 7/7 objects, restore 3/8 objects");
        let names = run.rows.iter().map(|row| rows::Row::from(row).name);
        assert_eq!(names.collect::<Vec<_>>(), ["from a", "to b"]);
    }
}
