//! The row of one cluster, as the status has it. Pure.

use kurator_api::backup::{BackupDetails, GoodRun, RowPhase};
use kurator_api::cluster::ClusterKey;
use kurator_api::reason::Reason;
use kurator_api::velero::BackupStatus;

use super::runs::{History, as_good_run};
use crate::run::child::{Outcome, VeleroRun};
use crate::run::rows::{Details, one_line};

/// A row before anything is known of the cluster: no run, no name.
pub(super) fn empty(cluster: &ClusterKey) -> BackupDetails {
    BackupDetails {
        cluster_name: cluster.name.clone(),
        cluster_kind: cluster.kind,
        backup_status_in_cluster: Some(BackupStatus::default()),
        schedule: Some(kurator_api::backup::ScheduleDetails::default()),
        phase: Some(RowPhase::Pending),
        ..BackupDetails::default()
    }
}

pub(super) fn because(mut row: BackupDetails, reason: Reason, message: impl AsRef<str>) -> BackupDetails {
    row.reason = Some(reason.as_str().to_owned());
    row.message = Some(one_line(message.as_ref())).filter(|text| !text.is_empty());
    row
}

/// A row that tells of the newest run, and of all of them in numbers. Without one it waits for the first, which is
/// in order: the Schedule is in force, or paused.
pub(super) fn tell(row: BackupDetails, history: &History, paused: bool) -> BackupDetails {
    let mut row = row;
    let schedule = row.schedule.get_or_insert_default();
    schedule.last_success = history.good.as_deref().map(as_good_run).or_else(|| history.remembered.clone());
    schedule.runs = history.runs;
    schedule.failed = history.failed;
    schedule.failed_since_success = history.failed_since_success;
    let Some(newest) = &history.newest else {
        row.backup_name_in_cluster = None;
        row.backup_status_in_cluster = Some(BackupStatus::default());
        row.volumes_without_data = None;
        row.phase = Some(RowPhase::Pending);
        return before_the_first(row, paused);
    };
    let Outcome { status, phase, message, without_data } = newest.outcome();
    row.backup_name_in_cluster = newest.metadata.name.clone();
    row.backup_status_in_cluster = Some(status);
    row.phase = Some(phase);
    row.volumes_without_data = without_data;
    because(row, reason_of(phase), history.unproven.clone().or(message).unwrap_or_default())
}

/// A row that tells of the runs what it told before, and nothing of what kept the member from telling more.
pub(super) fn tell_again(row: BackupDetails, paused: bool) -> BackupDetails {
    let phase = row.phase.unwrap_or(RowPhase::Pending);
    match row.reason.as_deref() {
        Some(reason) if !is_of_runs(reason) => match row.backup_name_in_cluster {
            Some(_) => because(row, reason_of(phase), ""),
            None => before_the_first(row, paused),
        },
        Some(_) | None => row,
    }
}

fn before_the_first(row: BackupDetails, paused: bool) -> BackupDetails {
    because(row, if paused { Reason::Paused } else { Reason::Enabled }, "no run yet")
}

fn reason_of(phase: RowPhase) -> Reason {
    match phase {
        RowPhase::Completed => Reason::Completed,
        RowPhase::PartiallyFailed => Reason::PartiallyFailed,
        RowPhase::Failed | RowPhase::FailedValidation => Reason::Failed,
        RowPhase::Pending | RowPhase::InProgress => Reason::InProgress,
    }
}

/// Whether a row said, when it was written, that the Schedule is there and as it should be.
pub(super) fn said_in_force(row: &BackupDetails) -> bool {
    let there = row.schedule.as_ref().is_some_and(|schedule| schedule.schedule_name_in_cluster.is_some());
    // A short row has no reason.
    there && row.reason.as_deref().is_none_or(is_of_runs)
}

/// Whether a reason is about runs, and not about what keeps the Schedule from being as it should be.
fn is_of_runs(reason: &str) -> bool {
    let of_runs = [
        Reason::Enabled,
        Reason::Paused,
        Reason::Completed,
        Reason::PartiallyFailed,
        Reason::Failed,
        Reason::InProgress,
    ];
    of_runs.iter().any(|of_runs| of_runs.as_str() == reason)
}

/// The newest complete run that a row tells of. A short one names it only as the newest run.
pub(crate) fn good_run(row: &BackupDetails) -> Option<GoodRun> {
    let schedule = row.schedule.as_ref()?;
    let newest = || {
        let status = row.backup_status_in_cluster.as_ref()?;
        (row.phase == Some(RowPhase::Completed) && status.expiration.is_none()).then(|| GoodRun {
            backup_name_in_cluster: row.backup_name_in_cluster.clone().unwrap_or_default(),
            start_timestamp: status.start_timestamp,
            completion_timestamp: status.completion_timestamp,
            expiration: None,
            volumes_without_data: row.volumes_without_data,
        })
    };
    schedule.last_success.clone().or_else(newest)
}

/// Leaves of a row in good order what a large fleet has room for.
pub(super) fn shorten(row: BackupDetails) -> BackupDetails {
    let mut row = row;
    let bad_run = row.schedule.as_ref().is_some_and(|schedule| schedule.failed_since_success > 0);
    if bad_run || !said_in_force(&row) {
        return row;
    }
    row.reason = None;
    row.message = None;
    row.stored = None;
    if let Some(status) = &mut row.backup_status_in_cluster {
        BackupDetails::shorten(status);
    }
    if let Some(schedule) = &mut row.schedule {
        schedule.next_run = None;
        let newest = &row.backup_name_in_cluster;
        schedule.last_success.take_if(|good| newest.as_ref() == Some(&good.backup_name_in_cluster));
    }
    row
}
