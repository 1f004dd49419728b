//! Which run of its Backup a cluster restores.

use jiff::Timestamp;
use kurator_api::backup::{Backup, BackupDetails};
use kurator_api::cluster::ClusterKey;
use kurator_api::reason::Reason;
use kurator_api::velero;
use kurator_member::member::Member;

use super::validate::{ValidRestore, expired_at, has_expired, is_restorable};
use crate::backup::schedule;
use crate::ctx::Ctx;
use crate::run::child::{NotYet, Precondition};

/// The run that a cluster restores.
pub(super) struct SourceRun {
    pub(super) name: String,
    /// What the hub knows of its end.
    pub(super) record: Option<BackupDetails>,
}

/// Chooses the run, unless that was done before.
pub(super) fn source_run(
    ctx: &Ctx,
    valid: &ValidRestore,
    cluster: &ClusterKey,
    member: &Member,
    now: Timestamp,
) -> Precondition<SourceRun> {
    let row = valid.source_rows.get(cluster);
    let frozen = valid.run.recorded.get(cluster).and_then(|row| row.source.clone());
    let name = match (frozen.or_else(|| valid.named.clone()), &valid.source) {
        (Some(name), _) => name,
        (None, Some(backup)) if valid.scheduled => newest_good(ctx, backup, row, member, now)?,
        (None, _) => source_name(row, now)?,
    };
    let record = row.and_then(|row| record_of(row, &name));
    Ok(SourceRun { name, record })
}

/// The newest complete run that the member has, else the one that the hub remembers.
fn newest_good(
    ctx: &Ctx,
    backup: &Backup,
    row: Option<&BackupDetails>,
    member: &Member,
    now: Timestamp,
) -> Precondition<String> {
    let in_member = schedule::restorable(ctx, member, backup, row, now)
        .map_err(|why| NotYet::Wait(Reason::VeleroMissing, why))?;
    let remembered = || {
        let good = row.and_then(schedule::good_run)?;
        good.expiration.is_none_or(|expiration| expiration > now).then_some(good)
    };
    match in_member.or_else(remembered) {
        Some(good) => Ok(good.backup_name_in_cluster),
        None => Err(NotYet::Wait(
            Reason::NoCompleteRun,
            "the schedule has no complete run in this cluster yet".to_owned(),
        )),
    }
}

/// A row of the Backup, in the form that a one-time run has, if it tells of the end of the run of this name.
fn record_of(row: &BackupDetails, name: &str) -> Option<BackupDetails> {
    if row.backup_name_in_cluster.as_deref() == Some(name) {
        return Some(row.clone());
    }
    let good = schedule::good_run(row).filter(|good| good.backup_name_in_cluster == name)?;
    let status = velero::BackupStatus {
        phase: Some(velero::BackupPhase::Completed),
        start_timestamp: good.start_timestamp,
        completion_timestamp: good.completion_timestamp,
        expiration: good.expiration,
        ..velero::BackupStatus::default()
    };
    Some(BackupDetails {
        backup_name_in_cluster: Some(good.backup_name_in_cluster),
        backup_status_in_cluster: Some(status),
        volumes_without_data: good.volumes_without_data,
        ..row.clone()
    })
}

/// The run that the Backup made in this cluster, if it can be restored.
fn source_name(row: Option<&BackupDetails>, now: Timestamp) -> Precondition<String> {
    let Some(row) = row else {
        return Err(NotYet::Wait(Reason::BackupNotFound, "the Backup is gone from the hub".to_owned()));
    };
    let why = |text: &str| match &row.message {
        Some(message) => format!("{text}: {message}"),
        None => text.to_owned(),
    };
    match (row.phase, &row.backup_name_in_cluster) {
        (Some(phase), Some(name)) if is_restorable(phase) => match expired_at(row, now) {
            Some(at) => Err(NotYet::Never(Reason::BackupExpired, format!("the Backup {}", has_expired(at)))),
            None => Ok(name.clone()),
        },
        (Some(phase), _) if phase.is_terminal() => {
            Err(NotYet::Never(Reason::BackupFailed, why("the Backup failed in this cluster")))
        }
        _ => Err(NotYet::Wait(Reason::BackupNotFinished, why("the Backup has not finished in this cluster"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().unwrap()
    }

    /// Of a schedule: the newest run failed, the one before was complete.
    fn row() -> BackupDetails {
        serde_json::from_value(json!({
            "clusterName": "m1", "clusterKind": "AttachedCluster", "phase": "Failed",
            "backupNameInCluster": "run-2", "backupStatusInCluster": {"phase": "Failed"},
            "schedule": {"lastSuccess": {
                "backupNameInCluster": "run-1", "completionTimestamp": "2026-11-01T00:00:40Z",
                "expiration": "2026-12-01T00:00:30Z",
            }},
        }))
        .unwrap()
    }

    #[test]
    fn a_run_is_brought_back_from_what_the_hub_knows_of_its_end() {
        let record = record_of(&row(), "run-1").unwrap();
        assert_eq!(record.backup_name_in_cluster.as_deref(), Some("run-1"));
        let status = record.backup_status_in_cluster.unwrap();
        let expected = json!({
            "phase": "Completed", "completionTimestamp": "2026-11-01T00:00:40Z", "expiration": "2026-12-01T00:00:30Z",
        });
        assert_eq!(serde_json::to_value(status).unwrap(), expected);
        assert_eq!(record_of(&row(), "run-2"), Some(row()));
        assert_eq!(record_of(&row(), "run-0"), None);
    }

    #[test]
    fn a_one_time_run_that_has_expired_is_no_source() {
        let mut run = row();
        run.phase = Some(kurator_api::backup::RowPhase::Completed);
        run.backup_status_in_cluster.as_mut().unwrap().expiration = Some(now());
        let expired =
            "the Backup expired at 2026-11-01T12:00:00Z and is not restored any more; restore another one";
        let never = NotYet::Never(Reason::BackupExpired, expired.to_owned());
        assert_eq!(source_name(Some(&run), now()), Err(never));
        run.backup_status_in_cluster.as_mut().unwrap().expiration = None;
        assert_eq!(source_name(Some(&run), now()), Ok("run-2".to_owned()));
    }
}
