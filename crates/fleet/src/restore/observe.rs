//! What is known, from caches alone.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails, StoredAt};
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
use crate::error::Error;
use crate::fleet::store::{self, NoStore, Store};
use crate::hub::{Guarded, find};
use crate::location;
use crate::mount::{self, Copy, Prepared, Records, Source, Wish};
use crate::run::child::{NotYet, Precondition, Seen, observe};
use crate::run::rows::Row;

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

/// What is known of each cluster, and how far the way to its Backup is where that has to be brought.
pub(super) struct SeenClusters<'a> {
    pub(super) clusters: Vec<Seen<'a, velero::Restore>>,
    pub(super) prepared: Vec<(ClusterKey, Prepared)>,
}

pub(super) fn clusters<'a>(
    ctx: &Ctx,
    valid: &'a ValidRestore,
    store: &Result<Store, NoStore>,
) -> SeenClusters<'a> {
    let mut prepared = Vec::new();
    let seen = valid.run.clusters.iter().map(|cluster| {
        observe(
            ctx,
            &valid.run,
            cluster,
            |member, name| member.restores().get(name),
            |member| match ready(ctx, valid, store, cluster, member) {
                Ready::Said(said) => said,
                Ready::OnTheWay(way) => {
                    let said = way.ready.clone();
                    prepared.push((cluster.clone(), way));
                    said
                }
            },
        )
    });
    let clusters = seen.collect();
    SeenClusters { clusters, prepared }
}

/// The store that the Backup went to, read only if a cluster needs to be led there.
pub(super) async fn store(ctx: &Ctx, valid: &ValidRestore) -> Result<Result<Store, NoStore>, Error> {
    let owner = &valid.run.owner;
    if !valid.run.clusters.iter().any(|cluster| is_to_be_led(ctx, valid, cluster)) {
        return Ok(Err("its store was not asked for".to_owned()));
    }
    match find(&ctx.hub.fleets, &owner.namespace, &owner.fleet).as_ref().map(|fleet| &fleet.0) {
        Some(Ok(fleet)) => store::of(ctx, fleet).await,
        Some(Err(_)) => Ok(Err(format!("fleet `{}` cannot be read", owner.fleet))),
        None => Ok(Err(format!("there is no fleet `{}`", owner.fleet))),
    }
}

/// Whether the cluster does not have the Backup, or has it by a mount.
fn is_to_be_led(ctx: &Ctx, valid: &ValidRestore, cluster: &ClusterKey) -> bool {
    let recorded = valid.run.recorded.get(cluster);
    if recorded.is_some_and(|row| row.phase.is_terminal()) {
        return false;
    }
    if recorded.is_some_and(|row| row.source_location.is_some()) {
        return true;
    }
    let name = recorded.and_then(|row| row.source.clone());
    let name = name.or_else(|| source_name(valid.source_rows.get(cluster)).ok());
    name.is_some_and(|name| {
        ctx.members.get(cluster).is_some_and(|member| member.backups().get(&name).is_absent())
    })
}

enum Ready {
    Said(Precondition<String>),
    OnTheWay(Prepared),
}

/// Name of the Velero Backup to restore, once Velero in the member can do it.
fn ready(
    ctx: &Ctx,
    valid: &ValidRestore,
    store: &Result<Store, NoStore>,
    cluster: &ClusterKey,
    member: &Member,
) -> Ready {
    let recorded = valid.run.recorded.get(cluster);
    let row = valid.source_rows.get(cluster);
    let name = match recorded.and_then(|row| row.source.clone()).map_or_else(|| source_name(row), Ok) {
        Ok(name) => name,
        Err(why) => return Ready::Said(Err(why)),
    };
    let mount = recorded.and_then(|row| row.source_location.as_deref());
    let here = match member.backups().get(&name) {
        Knowledge::Unknown { why, .. } => {
            return Ready::Said(Err(NotYet::Wait(Reason::VeleroMissing, why)));
        }
        Knowledge::Present(backup) => Some(backup),
        Knowledge::Absent => None,
    };
    if let (Some(backup), None) = (&here, mount) {
        return Ready::Said(mount::usable(&name, backup));
    }
    let content =
        valid.source.as_ref().zip(row).and_then(|(backup, row)| copy_of(backup, &ctx.hub.uid, row, cluster));
    let place = match row.and_then(|row| row.stored.clone()).map_or_else(|| fallback(member, store), Ok) {
        Ok(place) => place,
        Err(why) => return Ready::Said(Err(why)),
    };
    let Some(content) = content else {
        return Ready::Said(match here {
            Some(backup) => mount::usable(&name, &backup),
            None => Err(NotYet::Wait(
                Reason::BackupObjectMissing,
                "the Velero Backup is not known in the member and the hub has no record to bring it back from"
                    .to_owned(),
            )),
        });
    };
    let owner = &valid.run.owner;
    let copy = Copy {
        at_home: Some(content.metadata.clone()),
        backup: velero::Backup { metadata: mount::metadata(owner, &name, cluster), ..content },
        records: Records::In { client: member.client().clone(), else_lost: true },
    };
    let runs = recorded.is_some_and(Row::started);
    let wish = Wish {
        owner,
        cluster,
        source: Source {
            place: &place,
            cluster,
            endpoint: store.as_ref().ok().map(|store| store.endpoint().to_owned()),
            store: store.as_ref(),
        },
        recorded: mount,
        copy: (!runs).then_some(copy),
    };
    Ready::OnTheWay(mount::prepare(ctx, member, &wish))
}

/// Where a Backup lies of which nothing was written down: where this cluster stores its backups now.
fn fallback(member: &Member, store: &Result<Store, NoStore>) -> Precondition<StoredAt> {
    let plugin_of = store.as_ref().ok().map(|store| store.fleet.as_str());
    let location = location::usable(member, plugin_of, location::Use::Restore)?;
    let at = member.locations().get(&location).present().and_then(|location| location::stored_at(&location));
    at.ok_or_else(|| {
        let message = format!("storage location `{location}` names no bucket");
        NotYet::Wait(Reason::LocationUnavailable, message)
    })
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
