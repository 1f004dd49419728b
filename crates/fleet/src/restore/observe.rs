//! What is known, from caches alone; but for the store, where a cluster has to be led to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kurator_api::backup::{Backup, StoredAt};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;

use super::source::{SourceRun, source_run};
use super::validate::{ValidRestore, has_expired};
use crate::backup::copy_of;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::fleet::places;
use crate::fleet::store::{self, NoStore, Store};
use crate::hub::{Guarded, find};
use crate::location;
use crate::mount::{self, Copy, Prepared, Records, Source, Wish};
use crate::run::child::{NotYet, Place, Precondition, Seen, observe};
use crate::run::rows::Row;
use crate::run::volumes;
use crate::served::is_served;

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
    /// Which run each cluster restores, where the member said so.
    pub(super) chosen: BTreeMap<ClusterKey, String>,
}

pub(super) fn clusters<'a>(
    ctx: &Ctx,
    valid: &'a ValidRestore,
    store: &Result<Store, NoStore>,
    now: Timestamp,
) -> SeenClusters<'a> {
    let (mut prepared, mut chosen) = (Vec::new(), BTreeMap::new());
    let mut clusters = Vec::with_capacity(valid.run.clusters.len());
    for cluster in &valid.run.clusters {
        let seen = observe(
            ctx,
            &valid.run,
            cluster,
            |member, name| member.restores().get(name),
            |member| {
                if !valid.run.recorded.get(cluster).is_some_and(Row::started) {
                    NotYet::once_over(valid.over.as_ref())?;
                }
                let run = source_run(ctx, valid, cluster, member, now)?;
                chosen.insert(cluster.clone(), run.name.clone());
                match ready(ctx, valid, store, cluster, member, &run, now) {
                    Ready::Said(said) => said,
                    Ready::OnTheWay(way) => {
                        let said = way.ready.clone();
                        prepared.push((cluster.clone(), way));
                        said
                    }
                }
            },
        );
        // What was begun says itself what it restores, whatever there is to choose now.
        if let Place::Ours(begun) = &seen.place {
            chosen.extend(begun.spec.backup_name.clone().map(|name| (cluster.clone(), name)));
        }
        clusters.push(seen);
    }
    SeenClusters { clusters, prepared, chosen }
}

/// The store that the Backup went to, read only if a cluster needs to be led there.
pub(super) async fn store(
    ctx: &Ctx,
    valid: &ValidRestore,
    now: Timestamp,
) -> Result<Result<Store, NoStore>, Error> {
    let owner = &valid.run.owner;
    if !valid.run.clusters.iter().any(|cluster| is_to_be_led(ctx, valid, cluster, now)) {
        return Ok(Err("its store was not asked for".to_owned()));
    }
    match find(&ctx.hub.fleets, &owner.namespace, &owner.fleet).as_ref().map(|fleet| &fleet.0) {
        Some(Ok(fleet)) => store::of(ctx, fleet).await,
        Some(Err(_)) => Ok(Err(format!("fleet `{}` cannot be read", owner.fleet))),
        None => Ok(Err(format!("there is no fleet `{}`", owner.fleet))),
    }
}

/// Whether the cluster does not have the Backup, or has it by a mount.
fn is_to_be_led(ctx: &Ctx, valid: &ValidRestore, cluster: &ClusterKey, now: Timestamp) -> bool {
    let recorded = valid.run.recorded.get(cluster);
    if recorded.is_some_and(|row| row.phase.is_terminal()) {
        return false;
    }
    if recorded.is_some_and(|row| row.source_location.is_some()) {
        return true;
    }
    let Some(member) = ctx.members.get(cluster) else { return false };
    source_run(ctx, valid, cluster, &member, now).is_ok_and(|run| member.backups().get(&run.name).is_absent())
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
    run: &SourceRun,
    now: Timestamp,
) -> Ready {
    let recorded = valid.run.recorded.get(cluster);
    let mount = recorded.and_then(|row| row.source_location.as_deref());
    let here = match member.backups().get(&run.name) {
        Knowledge::Unknown { why, .. } => {
            return Ready::Said(Err(NotYet::Wait(Reason::VeleroMissing, why)));
        }
        Knowledge::Present(backup) => Some(backup),
        Knowledge::Absent => None,
    };
    let record = run.record.as_ref();
    if let (Some(backup), None) = (&here, mount) {
        let stored = record.and_then(|row| row.stored.as_ref());
        return match brought_by_another(member, backup, stored) {
            Some(mount) => Ready::OnTheWay(Prepared::found_in(mount)),
            None => Ready::Said(here_to_read(ctx, valid, member, &run.name, backup, now)),
        };
    }
    let content = valid
        .source
        .as_ref()
        .zip(record)
        .and_then(|(backup, row)| copy_of(backup, &ctx.hub.uid, row, cluster));
    let Some(content) = content else {
        return Ready::Said(match here {
            Some(backup) => here_to_read(ctx, valid, member, &run.name, &backup, now),
            None => Err(missing(ctx, valid, cluster, member, &run.name)),
        });
    };
    let place = match record
        .and_then(|row| row.stored.clone())
        .map_or_else(|| fallback(ctx, valid, member, store), Ok)
    {
        Ok(place) => place,
        Err(why) => return Ready::Said(Err(why)),
    };
    let owner = &valid.run.owner;
    let mut metadata = mount::metadata(owner, &run.name, cluster);
    let without_data = record.and_then(|row| row.volumes_without_data);
    metadata.annotations.get_or_insert_default().extend(volumes::annotation(without_data));
    let copy = Copy {
        at_home: Some(content.metadata.clone()),
        backup: velero::Backup { metadata, ..content },
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

/// The mount that a Backup in the member lies in, if somebody else has brought it from where it is `stored`. He takes it
/// away again when nobody says that he reads it too.
fn brought_by_another(member: &Member, backup: &velero::Backup, stored: Option<&StoredAt>) -> Option<String> {
    let lies_in = backup.spec.storage_location.as_deref()?;
    let location = member.locations().get(lies_in).present()?;
    is_shared(&location, stored).then(|| lies_in.to_owned())
}

fn is_shared(location: &velero::BackupStorageLocation, stored: Option<&StoredAt>) -> bool {
    location::is_mount(location) && stored.is_none_or(|stored| mount::same_place(location, stored, None))
}

/// What is said of a Velero Backup that neither the member nor the hub knows. Velero may still find it in the store, so
/// it is given up only when all locations have been synchronised once more; the built-in engine does not look.
fn missing(ctx: &Ctx, valid: &ValidRestore, cluster: &ClusterKey, member: &Member, name: &str) -> NotYet {
    if is_served(ctx, cluster) {
        let message = format!(
            "there is no Velero Backup `{name}` in the member, and the built-in engine does not look into the store; \
             create what is there as backups/{name}/velero-backup.json in the member, then restore"
        );
        return NotYet::Never(Reason::BackupObjectMissing, message);
    }
    let locations = match location::synced(member) {
        Ok(locations) => locations,
        Err(why) => return NotYet::from(why),
    };
    if locations.is_empty() {
        let message = format!(
            "Velero Backup `{name}` is not known in the member, which has no storage location to find it in"
        );
        return NotYet::Wait(Reason::LocationPending, message);
    }
    if ctx.router.heartbeats.have_synced(cluster, &valid.run.owner.uid, &locations) {
        let message = format!(
            "there is no Velero Backup `{name}` in the member, nor in its storage locations; name one that is there"
        );
        return NotYet::Never(Reason::BackupObjectMissing, message);
    }
    let message = format!(
        "Velero Backup `{name}` is not known in the member; waiting for Velero to look into its storage locations"
    );
    NotYet::Wait(Reason::BackupObjectMissing, message)
}

/// Where a Backup lies of which nothing was written down: where this cluster stores its backups now.
fn fallback(
    ctx: &Ctx,
    valid: &ValidRestore,
    member: &Member,
    store: &Result<Store, NoStore>,
) -> Precondition<StoredAt> {
    let plugin_of = store.as_ref().ok().map(|store| store.fleet.as_str());
    let location = location::usable(&ctx.hub, member, plugin_of, location::Use::Restore)?;
    places::stored(ctx, &valid.run.owner.fleet, member, &location).ok_or_else(|| {
        let message = format!("storage location `{location}` names no bucket, or its fleet did not write it");
        NotYet::Wait(Reason::LocationUnavailable, message)
    })
}

/// Name of a Backup in the member that Velero restores, once its location can be read.
fn here_to_read(
    ctx: &Ctx,
    valid: &ValidRestore,
    member: &Member,
    name: &str,
    backup: &velero::Backup,
    now: Timestamp,
) -> Precondition<String> {
    let usable = usable(name, backup, now)?;
    if let Some(location) = &backup.spec.storage_location {
        location::readable(&ctx.hub, member, valid.plugin_of.as_deref(), location)?;
    }
    Ok(usable)
}

/// Name of a Backup that Velero restores.
fn usable(name: &str, backup: &velero::Backup, now: Timestamp) -> Precondition<String> {
    let expiration = backup.status.as_ref().and_then(|status| status.expiration);
    match expiration.filter(|at| *at <= now) {
        Some(at) => {
            let message = format!("Velero Backup `{name}` {}", has_expired(at));
            Err(NotYet::Never(Reason::BackupExpired, message))
        }
        None => mount::usable(name, backup),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_backup_in_a_mount_of_another_on_its_own_place_is_read_from_there_and_no_other() {
        let stored = StoredAt { bucket: "velero".into(), prefix: "a/b".into(), ..StoredAt::default() };
        let table = [
            ("kurator-ro-0123abcd", "a/b", Some(&stored), true),
            ("kurator-ro-0123abcd", "a/b", None, true),
            ("kurator-ro-0123abcd", "a/c", Some(&stored), false),
            ("default", "a/b", Some(&stored), false),
        ];
        for (name, prefix, stored, shared) in table {
            let location = serde_json::from_value(json!({
                "metadata": {"name": name}, "spec": {"objectStorage": {"bucket": "velero", "prefix": prefix}},
            }));
            assert_eq!(is_shared(&location.unwrap(), stored), shared, "{name} {prefix} {stored:?}");
        }
    }
}
