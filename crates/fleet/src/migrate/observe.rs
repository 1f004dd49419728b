//! What is known, from caches alone; of the hub's Secrets, what they hold now.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::backup::StoredAt;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::reason::Reason;
use kurator_api::velero;
use kurator_member::member::Member;

use super::plan::SourcePlan;
use super::stage::Stage;
use super::validate::{Fleets, ValidMigrate};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::fleet::places;
use crate::fleet::store::{self, NoStore, Store};
use crate::hub::{Guarded, Presence, find};
use crate::location;
use crate::members::Access;
use crate::mount::{self, Copy, Prepared, Records, Source, Wish};
use crate::run::child::{NotYet, Precondition, Seen, observe};
use crate::run::rows::Row;
use crate::run::volumes;

/// The Fleets that a Migrate names.
pub(super) struct NamedFleets {
    source: Option<Arc<Guarded<Fleet>>>,
    target: Option<Arc<Guarded<Fleet>>>,
    name_of_source: String,
}

impl NamedFleets {
    pub(super) fn named(&self) -> Fleets<'_> {
        Fleets { source: self.source.as_deref(), target: self.target.as_deref() }
    }
}

pub(super) fn fleets(ctx: &Ctx, migrate: &Migrate) -> NamedFleets {
    let namespace = migrate.namespace().unwrap_or_default();
    let (source, target) = (&migrate.spec.source_cluster.fleet, &migrate.spec.target_cluster.fleet);
    NamedFleets {
        source: find(&ctx.hub.fleets, &namespace, source),
        target: find(&ctx.hub.fleets, &namespace, target),
        name_of_source: source.clone(),
    }
}

/// The store that the source's backups go to.
pub(super) async fn store(ctx: &Ctx, fleets: &NamedFleets) -> Result<Result<Store, NoStore>, Error> {
    match fleets.source.as_ref().and_then(|fleet| fleet.0.as_ref().ok()) {
        Some(fleet) => store::of(ctx, fleet).await,
        None => Ok(Err(format!("there is no fleet `{}` that can be read", fleets.name_of_source))),
    }
}

pub(super) fn source<'a>(ctx: &Ctx, valid: &'a ValidMigrate) -> Seen<'a, velero::Backup> {
    observe(
        ctx,
        &valid.source,
        &valid.source_cluster,
        |member, name| member.backups().get(name),
        |member| {
            NotYet::once_over(valid.source_over.as_ref())?;
            Ok(location::usable(&ctx.hub, member, valid.plugin_of.as_deref(), location::Use::Backup)?)
        },
    )
}

/// Where a backup in this location of the source lies.
pub(super) fn place(ctx: &Ctx, valid: &ValidMigrate, location: &str) -> Option<StoredAt> {
    let member = ctx.members.get(&valid.source_cluster)?;
    places::stored(ctx, &valid.source.owner.fleet, &member, location)
}

/// The location that a child in the source was made in.
pub(super) fn location_of(ctx: &Ctx, cluster: &ClusterKey, child: &str) -> Option<String> {
    ctx.members.get(cluster)?.backups().get(child).present()?.spec.storage_location.clone()
}

/// What is known of the targets, and how far the way to the backup is in each.
#[derive(Default)]
pub(super) struct Targets<'a> {
    pub(super) seen: Vec<Seen<'a, velero::Restore>>,
    pub(super) prepared: Vec<(ClusterKey, Prepared)>,
}

pub(super) fn targets<'a>(
    ctx: &Ctx,
    valid: &'a ValidMigrate,
    source: &SourcePlan,
    store: &Result<Store, NoStore>,
) -> Targets<'a> {
    let mut prepared = Vec::new();
    let road = Road { ctx, valid, source, store, endpoint: endpoint(ctx, &source.row, store) };
    let seen = valid.targets.clusters.iter().map(|cluster| {
        observe(
            ctx,
            &valid.targets,
            cluster,
            |member, name| member.restores().get(name),
            |member| road.to(cluster, member, &mut prepared),
        )
    });
    let seen = seen.collect();
    Targets { seen, prepared }
}

/// URL of the store that the source's location is on: what the Fleet says, else what the location says, which is
/// compared and not followed.
fn endpoint(ctx: &Ctx, source: &Row<velero::BackupStatus>, store: &Result<Store, NoStore>) -> Option<String> {
    if let Ok(store) = store {
        return Some(store.endpoint().to_owned());
    }
    let stored = source.stored.as_ref()?;
    let location = ctx.members.get(&source.cluster)?.locations().get(&stored.location).present()?;
    mount::endpoint_of(&location)
}

/// The way from the source to a target.
struct Road<'a> {
    ctx: &'a Ctx,
    valid: &'a ValidMigrate,
    source: &'a SourcePlan,
    store: &'a Result<Store, NoStore>,
    endpoint: Option<String>,
}

impl Road<'_> {
    /// Name of the Velero Backup that the target is to restore, once it can.
    fn to(
        &self,
        cluster: &ClusterKey,
        member: &Member,
        prepared: &mut Vec<(ClusterKey, Prepared)>,
    ) -> Precondition<String> {
        let recorded = self.valid.targets.recorded.get(cluster);
        if !recorded.is_some_and(Row::started) {
            NotYet::once_over(self.valid.targets_over.as_ref())?;
        }
        if let Some(same) = self.same_cluster(cluster) {
            return Err(same);
        }
        let stage = self.source.stage;
        let not_over = || "the backup of the source is not over".to_owned();
        let over = match stage {
            Stage::Waiting | Stage::Failed => {
                return Err(NotYet::Wait(Reason::BackupNotFinished, not_over()));
            }
            Stage::Running | Stage::Incomplete => false,
            Stage::Good { .. } => true,
        };
        if recorded.is_some_and(|row| row.phase.is_terminal()) {
            return Err(NotYet::Wait(Reason::Waiting, "it is over here".to_owned()));
        }
        let Some(place) = &self.source.row.stored else {
            let why = if over {
                "the storage location of the source's backup is not its fleet's".to_owned()
            } else {
                not_over()
            };
            return Err(NotYet::Wait(Reason::BackupNotFinished, why));
        };
        let runs = recorded.is_some_and(Row::started);
        let wish = Wish {
            owner: &self.valid.targets.owner,
            cluster,
            source: Source {
                place,
                cluster: &self.valid.source_cluster,
                endpoint: self.endpoint.clone(),
                store: self.store.as_ref(),
            },
            recorded: recorded.and_then(|row| row.source_location.as_deref()),
            copy: if over && !runs { self.copy(cluster) } else { None },
        };
        let way = mount::prepare(self.ctx, member, &wish);
        let ready = way.ready.clone();
        prepared.push((cluster.clone(), way));
        match stage {
            Stage::Incomplete => Err(NotYet::Wait(
                Reason::SourcePartiallyFailed,
                "the backup of the source is incomplete".to_owned(),
            )),
            _ => ready,
        }
    }

    /// One cluster under two names would be restored over itself.
    fn same_cluster(&self, cluster: &ClusterKey) -> Option<NotYet> {
        let uid = |key| match self.ctx.members.access(key) {
            Access::Alive { uid, .. } => Some(uid),
            Access::Connecting | Access::Away { .. } => None,
        };
        let source = self.source.row.seen_in.clone().or_else(|| uid(&self.valid.source_cluster))?;
        (uid(cluster)? == source).then(|| {
            let message = format!(
                "this is the same cluster as source {}; take it off the targets",
                self.valid.source_cluster.name
            );
            NotYet::Never(Reason::SameCluster, message)
        })
    }

    fn copy(&self, cluster: &ClusterKey) -> Option<Copy> {
        let row = &self.source.row;
        let name = row.child.as_deref()?;
        let mut metadata = mount::metadata(&self.valid.targets.owner, name, cluster);
        metadata.annotations.get_or_insert_default().extend(volumes::annotation(row.without_data));
        let backup =
            velero::Backup { metadata, spec: self.valid.backup.clone(), status: Some(row.status.clone()?) };
        Some(Copy { backup, at_home: None, records: self.records() })
    }

    fn records(&self) -> Records {
        let source = &self.valid.source_cluster;
        match self.ctx.members.access(source) {
            // Another cluster stands there now.
            Access::Alive { uid, .. }
                if self.source.row.seen_in.as_ref().is_some_and(|seen| *seen != uid) =>
            {
                Records::Lost
            }
            Access::Alive { member, .. } => Records::In { client: member.client().clone(), else_lost: false },
            Access::Connecting => Records::Away("it is being connected to".to_owned()),
            Access::Away { .. } if self.ctx.hub.presence(source) != Presence::There => Records::Lost,
            Access::Away { why, .. } => Records::Away(why),
        }
    }
}
