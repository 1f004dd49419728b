//! The runs of a Schedule that a member has, and what they come to. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kurator_api::backup::{BackupDetails, GoodRun, RowPhase};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::velero::{Backup, BackupPhase, BackupStatus, Schedule};

use super::rows::good_run;
use crate::run::Owner;
use crate::run::child::VeleroRun;
use crate::run::volumes::without_data;

/// All runs of one Schedule, without those that are being deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    pub(super) newest: Option<Arc<Backup>>,
    /// Why the good end that the newest one claims is not believed, or can't be written.
    pub(super) unproven: Option<String>,
    /// The newest complete one that has not expired.
    pub(super) good: Option<Arc<Backup>>,
    /// Without one, the newest complete one that was told of before and has not expired, if the member does not have it any
    /// more: what was stored does not go with the object.
    pub(super) remembered: Option<GoodRun>,
    pub(super) runs: u32,
    /// Ended, but not complete.
    pub(super) failed: u32,
    /// The same, since the newest complete one.
    pub(super) failed_since_success: u32,
}

impl History {
    /// Whether the newest run is one of which the `row` has told nothing, with an end that nobody has proven yet: what can't
    /// be seen for the moment is no news.
    pub(super) fn is_no_news(&self, row: Option<&BackupDetails>) -> bool {
        let told = row.and_then(|row| row.backup_name_in_cluster.as_ref());
        self.unproven.is_some() && self.newest.as_ref().map(|run| run.name_any()).as_ref() != told
    }
}

/// Whether a Velero Backup is a run of the Schedule that `owner` has in this cluster.
///
/// Its owner's UID says so, for this cluster: a bucket that clusters share shows each of them the runs of all. What an
/// adopted Schedule made before bears its name only, as do the runs that an earlier owner of the name left behind: those
/// are marked, or older than the Schedule, by times in whole seconds. A copy that was made for a restore is no run, and has no label of Velero's.
pub(super) fn is_run(
    backup: &Backup,
    owner: &Owner,
    cluster: &ClusterKey,
    schedule: Option<&Schedule>,
) -> bool {
    let labels = backup.labels();
    let Some(made_by) = labels.get(names::VELERO_SCHEDULE_NAME_LABEL) else { return false };
    if labels.get(names::OWNER_UID_LABEL) == Some(&owner.uid) {
        let made_for = backup.annotations().get(names::CLUSTER_ANNOTATION);
        return made_for.is_none_or(|made_for| *made_for == cluster.to_string());
    }
    let is_left = backup.annotations().contains_key(names::RELEASED_ANNOTATION);
    schedule.filter(|_| !is_left).is_some_and(|schedule| {
        let created = schedule.metadata.creation_timestamp.as_ref().map(|time| time.0);
        *made_by == names::label_value(&schedule.name_any()) && began(backup) >= created
    })
}

/// When it began; one that has not was created then.
fn began(backup: &Backup) -> Option<Timestamp> {
    let started = backup.status.as_ref().and_then(|status| status.start_timestamp);
    started.or_else(|| backup.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// Runs in their order, with the ends that they may be told with.
#[derive(Debug, Default)]
pub(super) struct Proven {
    runs: Vec<Arc<Backup>>,
    /// Why the end that the newest one claims is not believed.
    newest: Option<String>,
    remembered: Option<GoodRun>,
}

/// The runs as they may be told, where `shown` says that of one: what the row told of a run before stands, and of what ended
/// before the newest run that is proven to be complete nothing need be proven.
pub(super) fn proven(
    mut runs: Vec<Arc<Backup>>,
    row: Option<&BackupDetails>,
    now: Timestamp,
    shown: impl Fn(Arc<Backup>) -> (Arc<Backup>, Option<String>),
) -> Proven {
    let mut newest = None;
    let remembered = row.and_then(good_run).filter(|good| {
        let has_expired = good.expiration.is_some_and(|expiration| expiration <= now);
        !has_expired && runs.iter().all(|run| run.name_any() != good.backup_name_in_cluster)
    });
    runs.retain(|run| !is_leaving(run));
    runs.sort_by_cached_key(|run| (began(run), run.name_any()));
    for (newer, run) in runs.iter_mut().rev().enumerate() {
        if row.is_none_or(|row| !was_told(row, run)) {
            let (known, unproven) = shown(Arc::clone(run));
            // Neither good nor bad.
            let open = |known: Arc<Backup>| Arc::new(known.ending(BackupPhase::InProgress));
            *run = if unproven.is_some() { open(known) } else { known };
            newest = newest.or(unproven.filter(|_| newer == 0));
        }
        if phase(run).is_some_and(BackupPhase::is_success) && !has_expired(run, now) {
            break;
        }
    }
    Proven { runs, newest, remembered }
}

/// Whether a row told of this end of a run: as that of the newest, or of the newest complete one.
fn was_told(row: &BackupDetails, run: &Backup) -> bool {
    let ended = |status: &BackupStatus| (status.phase.clone(), status.completion_timestamp);
    let Some(now) = run.status.as_ref() else { return false };
    let is_newest = row.backup_name_in_cluster.as_ref() == Some(&run.name_any());
    let newest = row.backup_status_in_cluster.as_ref().filter(|_| is_newest);
    let told = row.phase.is_some_and(RowPhase::is_terminal) && newest.map(ended) == Some(ended(now));
    let is_good = |good: GoodRun| {
        good.backup_name_in_cluster == run.name_any() && good.completion_timestamp == now.completion_timestamp
    };
    told || now.phase == Some(BackupPhase::Completed) && good_run(row).is_some_and(is_good)
}

/// What they come to.
pub(super) fn history(proven: Proven, now: Timestamp) -> History {
    let Proven { runs, newest: unproven, remembered } = proven;
    let mut history = History { newest: runs.last().cloned(), unproven, ..History::default() };
    for run in &runs {
        history.runs += 1;
        match phase(run) {
            Some(phase) if phase.is_success() => {
                history.failed_since_success = 0;
                if !has_expired(run, now) {
                    history.good = Some(Arc::clone(run));
                }
            }
            Some(phase) if phase.is_terminal() => {
                history.failed += 1;
                history.failed_since_success += 1;
            }
            Some(_) | None => {}
        }
    }
    history.remembered = remembered.filter(|_| history.good.is_none());
    history
}

fn phase(run: &Backup) -> Option<&BackupPhase> {
    run.status.as_ref().and_then(|status| status.phase.as_ref())
}

fn is_leaving(run: &Backup) -> bool {
    run.metadata.deletion_timestamp.is_some() || phase(run) == Some(&BackupPhase::Deleting)
}

fn has_expired(run: &Backup, now: Timestamp) -> bool {
    run.status.as_ref().and_then(|status| status.expiration).is_some_and(|expiration| expiration <= now)
}

/// What must be known of a complete run to restore it.
pub(super) fn as_good_run(run: &Backup) -> GoodRun {
    let status = run.status.clone().unwrap_or_default();
    GoodRun {
        backup_name_in_cluster: run.name_any(),
        start_timestamp: status.start_timestamp,
        completion_timestamp: status.completion_timestamp,
        expiration: status.expiration,
        volumes_without_data: without_data(run),
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests {
    use super::*;
    use crate::backup::schedule::testing::{cluster, history, owner};
    use serde_json::{Value, json};

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    const NOON: &str = "2026-11-01T12:00:00Z";

    fn run(name: &str, status: Value) -> Arc<Backup> {
        let metadata = json!({"name": name, "creationTimestamp": "2026-11-01T11:00:00Z"});
        Arc::new(serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap())
    }

    fn ended(hour: u8, phase: &str) -> Arc<Backup> {
        let start = format!("2026-11-01T{hour:02}:00:00Z");
        let end = format!("2026-11-01T{hour:02}:10:00Z");
        run(
            &format!("run-{hour:02}"),
            json!({"phase": phase, "startTimestamp": start, "completionTimestamp": end}),
        )
    }

    fn names(history: &History) -> (Option<String>, Option<String>) {
        let name = |run: &Option<Arc<Backup>>| run.as_ref().map(|run| run.name_any());
        (name(&history.newest), name(&history.good))
    }

    #[test]
    fn k23_a_failed_run_is_counted_and_shown_beside_the_newest_good_one() {
        let runs = vec![
            ended(3, "PartiallyFailed"),
            ended(1, "Failed"),
            ended(2, "Completed"),
            ended(4, "FailedValidation"),
        ];
        let history = history(runs, at(NOON));
        assert_eq!(names(&history), (Some("run-04".into()), Some("run-02".into())));
        assert_eq!((history.runs, history.failed, history.failed_since_success), (4, 3, 2));
    }

    #[test]
    fn k23_a_good_run_ends_the_count_of_failures_but_one_under_way_does_not() {
        let mut runs = vec![ended(1, "Failed"), ended(2, "InProgress")];
        assert_eq!(history(runs.clone(), at(NOON)).failed_since_success, 1);
        runs.push(ended(3, "Completed"));
        assert_eq!(history(runs, at(NOON)).failed_since_success, 0);
    }

    #[test]
    fn a_run_that_is_being_deleted_or_has_expired_is_nothing_to_restore() {
        let mut expired = (*ended(2, "Completed")).clone();
        expired.status.as_mut().unwrap().expiration = Some(at(NOON));
        let runs = vec![ended(1, "Completed"), Arc::new(expired), ended(3, "Deleting")];
        let history = history(runs, at(NOON));
        assert_eq!(names(&history), (Some("run-02".into()), Some("run-01".into())));
        assert_eq!(history.runs, 2);
    }

    #[test]
    fn a_complete_run_that_was_told_of_is_remembered_when_the_member_has_lost_it_until_it_expires() {
        let told = |expiration: &str| -> BackupDetails {
            let good = json!({"backupNameInCluster": "run-01", "expiration": expiration});
            let row = json!({
                "clusterName": "m1", "clusterKind": "AttachedCluster", "schedule": {"lastSuccess": good},
            });
            serde_json::from_value(row).unwrap()
        };
        let remembers = |runs: &[Arc<Backup>], expiration: &str| {
            let remembered = doubted(runs, Some(&told(expiration)), &[]).remembered;
            remembered.map(|good| good.backup_name_in_cluster)
        };
        let (later, past) = ("2026-12-01T00:00:00Z", "2026-10-01T00:00:00Z");
        assert_eq!(remembers(&[], later).as_deref(), Some("run-01"));
        assert_eq!(remembers(&[ended(2, "Failed")], later).as_deref(), Some("run-01"));
        assert_eq!(remembers(&[ended(2, "Completed")], later), None);
        assert_eq!(remembers(&[ended(1, "Deleting")], later), None, "its data goes too");
        assert_eq!(remembers(&[], past), None);
    }

    #[test]
    fn a_run_that_has_not_begun_is_newer_than_those_that_had_when_it_was_made() {
        let history = history(vec![run("queued", json!({})), ended(10, "Completed")], at(NOON));
        assert_eq!(names(&history).0.as_deref(), Some("queued"));
    }

    /// As [`history`], where of these runs the store tells nothing yet.
    fn doubted(runs: &[Arc<Backup>], row: Option<&BackupDetails>, doubted: &[&str]) -> History {
        let shown = |run: Arc<Backup>| {
            let is_doubted = doubted.contains(&run.name_any().as_str());
            (run, is_doubted.then(|| "nobody knows".to_owned()))
        };
        super::history(proven(runs.to_vec(), row, at(NOON), shown), at(NOON))
    }

    #[test]
    fn a_run_whose_good_end_is_not_proven_is_under_way() {
        let runs = [ended(1, "Completed"), ended(2, "Failed"), ended(3, "Completed")];
        let history = doubted(&runs, None, &["run-03"]);
        assert_eq!(names(&history), (Some("run-03".into()), Some("run-01".into())));
        assert_eq!(phase(history.newest.as_ref().unwrap()), Some(&BackupPhase::InProgress));
        assert_eq!((history.failed_since_success, history.unproven.as_deref()), (1, Some("nobody knows")));
    }

    #[test]
    fn a_run_that_was_not_told_of_is_no_news_before_its_end_is_proven() {
        let runs = [ended(1, "Completed"), ended(2, "Completed")];
        let row = |name: &str| BackupDetails {
            backup_name_in_cluster: Some(name.to_owned()),
            phase: Some(RowPhase::InProgress),
            ..BackupDetails::default()
        };
        let (known, new) = (row("run-02"), row("run-01"));
        for (row, is_doubted, expected) in
            [(None, true, true), (Some(&new), true, true), (Some(&known), true, false), (None, false, false)]
        {
            let history = doubted(&runs, row, if is_doubted { &["run-02"] } else { &[] });
            assert_eq!(history.is_no_news(row), expected, "{row:?} {is_doubted}");
        }
    }

    #[test]
    fn what_is_older_than_a_complete_run_or_was_told_before_need_not_be_proven() {
        let runs = [ended(1, "Completed"), ended(2, "Completed")];
        let asked = std::cell::RefCell::new(Vec::new());
        let ask = |run: Arc<Backup>| {
            asked.borrow_mut().push(run.name_any());
            (run, None)
        };
        proven(runs.to_vec(), None, at(NOON), ask);
        assert_eq!(asked.take(), ["run-02"]);
        let told: BackupDetails = serde_json::from_value(json!({
            "clusterName": "m1", "clusterKind": "AttachedCluster", "phase": "Completed", "backupNameInCluster": "run-02",
            "backupStatusInCluster": {"phase": "Completed", "completionTimestamp": "2026-11-01T02:10:00Z"},
        }))
        .unwrap();
        assert_eq!(doubted(&runs, Some(&told), &["run-02"]).unproven, None);
        let said_before = BackupDetails { phase: Some(RowPhase::InProgress), ..told };
        assert!(doubted(&runs, Some(&said_before), &["run-02"]).unproven.is_some());
    }

    #[test]
    fn whose_run_it_is_follows_from_labels_and_age() {
        let schedule: Schedule = serde_json::from_value(json!({
            "metadata": {"name": "nightly", "creationTimestamp": "2026-11-01T00:00:00Z"}, "spec": {},
        }))
        .unwrap();
        let table = [
            (
                "ours",
                json!({"kurator.dev/owner-uid": owner().uid, "velero.io/schedule-name": "any"}),
                1,
                true,
            ),
            ("a copy for a restore", json!({"kurator.dev/owner-uid": owner().uid}), 1, false),
            ("of the adopted schedule", json!({"velero.io/schedule-name": "nightly"}), 1, true),
            ("of an earlier one of that name", json!({"velero.io/schedule-name": "nightly"}), -1, false),
            ("of another schedule", json!({"velero.io/schedule-name": "hourly"}), 1, false),
            ("taken once", json!({}), 1, false),
        ];
        for (what, labels, hours, expected) in table {
            let began = at("2026-11-01T00:00:00Z") + jiff::SignedDuration::from_hours(hours);
            let mut backup = (*ended(1, "Completed")).clone();
            backup.metadata.labels = Some(serde_json::from_value(labels).unwrap());
            backup.status.as_mut().unwrap().start_timestamp = Some(began);
            assert_eq!(is_run(&backup, &owner(), &cluster("m1"), Some(&schedule)), expected, "{what}");
        }
    }

    #[test]
    fn a_run_that_was_left_behind_is_not_the_next_owners_though_it_began_in_the_same_second() {
        let began = at("2026-11-01T00:00:00Z");
        let schedule = json!({"metadata": {"name": "nightly", "creationTimestamp": began}, "spec": {}});
        let schedule: Schedule = serde_json::from_value(schedule).unwrap();
        let mut backup = (*ended(1, "Completed")).clone();
        backup.labels_mut().insert(names::VELERO_SCHEDULE_NAME_LABEL.into(), "nightly".into());
        backup.status.as_mut().unwrap().start_timestamp = Some(began);
        assert!(is_run(&backup, &owner(), &cluster("m1"), Some(&schedule)));
        backup.annotations_mut().insert(names::RELEASED_ANNOTATION.into(), "2026-11-01T00:00:00Z".into());
        assert!(!is_run(&backup, &owner(), &cluster("m1"), Some(&schedule)));
    }

    #[test]
    fn k07_in_a_shared_bucket_the_run_of_another_cluster_is_not_this_ones() {
        let mut backup = (*ended(1, "Completed")).clone();
        let labels = json!({"kurator.dev/owner-uid": owner().uid, "velero.io/schedule-name": "any"});
        backup.metadata.labels = Some(serde_json::from_value(labels).unwrap());
        backup.annotations_mut().insert(names::CLUSTER_ANNOTATION.into(), cluster("m1").to_string());
        assert!(is_run(&backup, &owner(), &cluster("m1"), None));
        assert!(!is_run(&backup, &owner(), &cluster("m2"), None));
    }
}
