//! What is known, from caches alone.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::backup::{Backup, StoredAt};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::velero;

use super::validate::ValidBackup;
use crate::ctx::Ctx;
use crate::fleet::places;
use crate::hub::{Guarded, find};
use crate::location;
use crate::run::child::{NotYet, Seen, observe};
use crate::run::rows::Rows;

pub(super) fn fleet(ctx: &Ctx, backup: &Backup) -> Option<Arc<Guarded<Fleet>>> {
    find(&ctx.hub.fleets, &backup.namespace().unwrap_or_default(), &backup.spec.destination.fleet)
}

pub(super) fn clusters<'a>(ctx: &Ctx, valid: &'a ValidBackup) -> Vec<Seen<'a, velero::Backup>> {
    valid.run.clusters.iter().map(|cluster| one(ctx, valid, cluster)).collect()
}

fn one<'a>(ctx: &Ctx, valid: &'a ValidBackup, cluster: &'a ClusterKey) -> Seen<'a, velero::Backup> {
    observe(
        ctx,
        &valid.run,
        cluster,
        |member, name| member.backups().get(name),
        |member| {
            NotYet::once_over(valid.over.as_ref())?;
            Ok(location::usable(&ctx.hub, member, valid.plugin_of.as_deref(), location::Use::Backup)?)
        },
    )
}

/// Writes into each row where its backup lies, once the member shows it; what is written stays.
pub(super) fn record_places(ctx: &Ctx, fleet: &str, rows: &mut Rows<velero::BackupStatus>) {
    for row in rows.0.iter_mut().filter(|row| row.stored.is_none()) {
        row.stored = row.child.as_deref().and_then(|child| place(ctx, fleet, &row.cluster, child));
    }
}

fn place(ctx: &Ctx, fleet: &str, cluster: &ClusterKey, child: &str) -> Option<StoredAt> {
    let member = ctx.members.get(cluster)?;
    let location = member.backups().get(child).present()?.spec.storage_location.clone()?;
    places::stored(ctx, fleet, &member, &location)
}
