//! What is known, from caches alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;

use super::validate::{ValidRestore, expired_at, has_expired, is_restorable};
use crate::backup::{copy_of, schedule};
use crate::ctx::Ctx;
use crate::hub::{Guarded, find};
use crate::location;
use crate::run::Owner;
use crate::run::child::{NotYet, Place, Precondition, Seen, observe};
use crate::writes::WriteKey;

pub(super) fn source(ctx: &Ctx, restore: &Restore) -> Option<Arc<Guarded<Backup>>> {
    find(&ctx.hub.backups, &restore.namespace().unwrap_or_default(), &restore.spec.backup_name)
}

pub(super) fn fleet(
    ctx: &Ctx,
    restore: &Restore,
    source: Option<&Guarded<Backup>>,
) -> Option<Arc<Guarded<Fleet>>> {
    let of_backup = || source.and_then(|b| b.0.as_ref().ok()).map(|b| b.spec.destination.fleet.clone());
    let named = restore.spec.destination.as_ref().map(|d| d.fleet.clone()).or_else(of_backup)?;
    find(&ctx.hub.fleets, &restore.namespace().unwrap_or_default(), &named)
}

/// The write that brings a Velero Backup object back into a member.
pub(super) fn copying(owner: &Owner, cluster: &ClusterKey) -> WriteKey {
    WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what: "copy" }
}

/// What is known of all clusters.
pub(super) struct Found<'a> {
    pub(super) seen: Vec<Seen<'a, velero::Restore>>,
    /// Velero Backups that have to be brought back first.
    pub(super) copies: Vec<(ClusterKey, velero::Backup)>,
    /// Which run each cluster restores, where the member said so.
    pub(super) chosen: BTreeMap<ClusterKey, String>,
}

pub(super) fn clusters<'a>(ctx: &Ctx, valid: &'a ValidRestore, now: Timestamp) -> Found<'a> {
    let (mut copies, mut chosen) = (Vec::new(), BTreeMap::new());
    let mut seen = Vec::with_capacity(valid.run.clusters.len());
    for cluster in &valid.run.clusters {
        let one = observe(
            ctx,
            &valid.run,
            cluster,
            |member, name| member.restores().get(name),
            |member| {
                let run = source_run(ctx, valid, cluster, member, now)?;
                chosen.insert(cluster.clone(), run.name.clone());
                ready(ctx, valid, cluster, member, &run, now).map_err(|missing| match missing {
                    Missing::Wait(why) => why,
                    Missing::Copy(copy) => {
                        copies.push((cluster.clone(), *copy));
                        let message =
                            "the Velero Backup is not known in the member and is being brought back";
                        NotYet::Wait(Reason::BackupObjectMissing, message.to_owned())
                    }
                })
            },
        );
        // What was begun says itself what it restores, whatever there is to choose now.
        if let Place::Ours(begun) = &one.place {
            chosen.extend(begun.spec.backup_name.clone().map(|name| (cluster.clone(), name)));
        }
        seen.push(one);
    }
    Found { seen, copies, chosen }
}

/// The run that a cluster restores.
struct SourceRun {
    name: String,
    /// What the hub knows of its end.
    record: Option<BackupDetails>,
}

/// Chooses the run, unless that was done before.
fn source_run(
    ctx: &Ctx,
    valid: &ValidRestore,
    cluster: &ClusterKey,
    member: &Member,
    now: Timestamp,
) -> Precondition<SourceRun> {
    let row = valid.source_rows.get(cluster);
    let record = |name: &str| row.and_then(|row| record_of(row, name));
    let frozen = valid.run.recorded.get(cluster).and_then(|row| row.source.clone());
    let name = match (frozen, &valid.source) {
        (Some(name), _) => name,
        (None, Some(backup)) if valid.scheduled => newest_good(ctx, backup, row, member, now)?,
        (None, _) => source_name(row, now)?,
    };
    Ok(SourceRun { record: record(&name), name })
}

/// The newest complete run that the member has, else the one that the hub remembers.
fn newest_good(
    ctx: &Ctx,
    backup: &Backup,
    row: Option<&BackupDetails>,
    member: &Member,
    now: Timestamp,
) -> Precondition<String> {
    let in_member = schedule::restorable(member, backup, &ctx.hub.uid, now)
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
        ..row.clone()
    })
}

enum Missing {
    Wait(NotYet),
    /// The data is in the store; only the object that stands for it has to be written.
    Copy(Box<velero::Backup>),
}

impl Missing {
    fn wait(reason: Reason, message: impl Into<String>) -> Self {
        Self::Wait(NotYet::Wait(reason, message.into()))
    }
}

/// Name of the Velero Backup to restore, once Velero in the member can do it.
fn ready(
    ctx: &Ctx,
    valid: &ValidRestore,
    cluster: &ClusterKey,
    member: &Member,
    run: &SourceRun,
    now: Timestamp,
) -> Result<String, Missing> {
    match member.backups().get(&run.name) {
        Knowledge::Unknown { why, .. } => Err(Missing::wait(Reason::VeleroMissing, why)),
        Knowledge::Present(backup) => usable(&run.name, &backup, now).map_err(Missing::Wait),
        Knowledge::Absent => Err(bring_back(ctx, valid, cluster, member, run.record.as_ref())),
    }
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

fn usable(name: &str, backup: &velero::Backup, now: Timestamp) -> Precondition<String> {
    let status = backup.status.as_ref();
    if let Some(at) = status.and_then(|status| status.expiration).filter(|expiration| *expiration <= now) {
        let message = format!("Velero Backup `{name}` {}", has_expired(at));
        return Err(NotYet::Never(Reason::BackupExpired, message));
    }
    let phase = status.and_then(|status| status.phase.as_ref());
    match phase {
        Some(phase) if phase.is_usable() => Ok(name.to_owned()),
        _ => {
            let phase = phase.map_or("not set", velero::BackupPhase::as_str);
            Err(NotYet::Wait(
                Reason::BackupNotFinished,
                format!("Velero Backup `{name}` is in phase {phase}"),
            ))
        }
    }
}

fn bring_back(
    ctx: &Ctx,
    valid: &ValidRestore,
    cluster: &ClusterKey,
    member: &Member,
    row: Option<&BackupDetails>,
) -> Missing {
    let fleet = find(&ctx.hub.fleets, &cluster.namespace, &valid.run.owner.fleet);
    let plugin_of = fleet.as_ref().and_then(|f| f.0.as_ref().ok()).and_then(|f| {
        f.spec.plugin.as_ref().and_then(|plugin| plugin.backup.as_ref()).and(f.metadata.uid.as_deref())
    });
    let location = match location::usable(member, plugin_of, location::Use::Restore) {
        Ok(location) => location,
        Err((reason, why)) => return Missing::wait(reason, why),
    };
    let copy = valid
        .source
        .as_ref()
        .zip(row)
        .and_then(|(backup, row)| copy_of(backup, &ctx.hub.uid, row, cluster, location));
    match copy {
        Some(copy) => Missing::Copy(Box::new(copy)),
        None => Missing::wait(
            Reason::BackupObjectMissing,
            "the Velero Backup is not known in the member and the hub has no record to bring it back from",
        ),
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
        let expired = "the Backup expired at 2026-11-01T12:00:00Z, and its data with it; restore another one";
        let never = NotYet::Never(Reason::BackupExpired, expired.to_owned());
        assert_eq!(source_name(Some(&run), now()), Err(never));
        run.backup_status_in_cluster.as_mut().unwrap().expiration = None;
        assert_eq!(source_name(Some(&run), now()), Ok("run-2".to_owned()));
    }
}
