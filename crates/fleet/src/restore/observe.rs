//! What is known, from caches alone.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;

use super::validate::{ValidRestore, is_restorable};
use crate::backup::copy_of;
use crate::ctx::Ctx;
use crate::hub::{Guarded, find};
use crate::location;
use crate::run::Owner;
use crate::run::child::{NotYet, Precondition, Seen, observe};
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

type Copies = Vec<(ClusterKey, velero::Backup)>;

/// What is known of each cluster, and the Velero Backups that have to be brought back first.
pub(super) fn clusters<'a>(ctx: &Ctx, valid: &'a ValidRestore) -> (Vec<Seen<'a, velero::Restore>>, Copies) {
    let mut copies = Vec::new();
    let seen = valid.run.clusters.iter().map(|cluster| {
        observe(
            ctx,
            &valid.run,
            cluster,
            |member, name| member.restores().get(name),
            |member| {
                let ready = ready(ctx, valid, cluster, member);
                ready.map_err(|missing| match missing {
                    Missing::Wait(why) => why,
                    Missing::Copy(copy) => {
                        copies.push((cluster.clone(), *copy));
                        let message =
                            "the Velero Backup is not known in the member and is being brought back";
                        NotYet::Wait(Reason::BackupObjectMissing, message.to_owned())
                    }
                })
            },
        )
    });
    (seen.collect(), copies)
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
fn ready(ctx: &Ctx, valid: &ValidRestore, cluster: &ClusterKey, member: &Member) -> Result<String, Missing> {
    let chosen = valid.run.recorded.get(cluster).and_then(|row| row.source.clone());
    let row = valid.source_rows.get(cluster);
    let name = match chosen {
        Some(name) => name,
        None => source_name(row).map_err(Missing::Wait)?,
    };
    match member.backups().get(&name) {
        Knowledge::Unknown { why, .. } => Err(Missing::wait(Reason::VeleroMissing, why)),
        Knowledge::Present(backup) => usable(&name, &backup).map_err(Missing::Wait),
        Knowledge::Absent => Err(bring_back(ctx, valid, cluster, member, row)),
    }
}

/// The run that the Backup made in this cluster, if it can be restored.
fn source_name(row: Option<&BackupDetails>) -> Precondition<String> {
    let Some(row) = row else {
        return Err(NotYet::Wait(Reason::BackupNotFound, "the Backup is gone from the hub".to_owned()));
    };
    let why = |text: &str| match &row.message {
        Some(message) => format!("{text}: {message}"),
        None => text.to_owned(),
    };
    match (row.phase, &row.backup_name_in_cluster) {
        (Some(phase), Some(name)) if is_restorable(phase) => Ok(name.clone()),
        (Some(phase), _) if phase.is_terminal() => {
            Err(NotYet::Never(Reason::BackupFailed, why("the Backup failed in this cluster")))
        }
        _ => Err(NotYet::Wait(Reason::BackupNotFinished, why("the Backup has not finished in this cluster"))),
    }
}

fn usable(name: &str, backup: &velero::Backup) -> Precondition<String> {
    let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
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
