//! Which store a location of a member that the hub serves means: found in the hub's own objects, compared with what
//! the location says, and never taken from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::backup::{BackupDetails, StoredAt};
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::fleet::{Fleet, Layout, MemberBackupStatus};
use kurator_api::velero::{AccessMode, BackupStorageLocation, BackupStorageLocationSpec};
use kurator_member::member::Member;
use kurator_store::{Location, Purpose};

use super::store::{self, Store};
use crate::ctx::Ctx;
use crate::hub::{Guarded, Hub, find, in_namespace};
use crate::location::{is_mount, stored_at};
use crate::mount;
use crate::run::rows::Details as _;
use crate::served::is_served;

/// Why a location is not used, in one sentence.
pub(crate) enum Refusal {
    /// It is not as its Fleet gives it; the Fleet may be about to write it.
    Differs(String),
    /// Nobody on the hub has given it.
    Foreign(String),
}

/// The store behind `location` of `cluster`.
pub(crate) async fn store(
    ctx: &Ctx,
    cluster: &ClusterKey,
    location: &BackupStorageLocation,
    purpose: Purpose<'_>,
) -> Result<Location, Refusal> {
    let name = location.name_any();
    let is_mount = is_mount(location);
    let candidates = if is_mount {
        let restored = match purpose {
            Purpose::Restore(backup) => Some(backup),
            Purpose::Look | Purpose::Store => None,
        };
        let candidates = mounted(&ctx.hub, cluster, &name, restored);
        if let Some(backup) = restored.filter(|_| candidates.is_empty()) {
            return Err(Refusal::Foreign(format!(
                "storage location `{name}`: no Restore or Migrate on the hub asks for Velero Backup `{backup}` here, so it is \
                 not read from where another cluster stores; restore it with one"
            )));
        }
        candidates
    } else {
        own(&ctx.hub, cluster, &name)
    };
    let mut why = None;
    for Candidate { fleet: held, places } in candidates {
        let Ok(fleet) = &held.0 else { continue };
        let read = match purpose {
            Purpose::Look => store::recent(ctx, &held).await,
            Purpose::Store | Purpose::Restore(_) => {
                store::of(ctx, fleet).await.map(|read| read.map(Arc::new))
            }
        };
        let store = match read {
            Ok(Ok(store)) => store,
            Ok(Err(fault)) => {
                why = Some(fault);
                continue;
            }
            Err(error) => {
                why = Some(kurator_member::causes::chain(&error));
                continue;
            }
        };
        let is_it = |place: &Place| !is_mount || mount::name(&store, &place.at) == name;
        let found = places.into_iter().find(|place| is_it(place) && place.may_be_followed(&store));
        let Some(Place { at, read_only, .. }) = found else { continue };
        if read_only && purpose == Purpose::Store {
            return Err(Refusal::Foreign(format!("storage location `{name}` can only be read")));
        }
        return match differs(&location.spec, &store.spec(&at), read_only) {
            None => Ok(store.location(&at.bucket, &at.prefix)),
            Some(field) => Err(Refusal::Differs(format!(
                "storage location `{name}`: `{field}` is not what fleet `{}` wrote, and what others write is not \
                 followed; the Fleet writes it again",
                fleet.name_any()
            ))),
        };
    }
    Err(Refusal::Foreign(match why {
        Some(why) => format!("storage location `{name}`: {why}"),
        None => format!(
            "storage location `{name}` was not written by a Fleet; the hub follows no other, so use the Fleet's, or serve \
             this cluster with `kurator engine`"
        ),
    }))
}

/// Where what is stored in a location of a member lies, for a Backup or Migrate of this Fleet to remember: the place
/// that the Fleet gave under this name. What the location itself says counts only where the hub does not serve.
pub(crate) fn stored(ctx: &Ctx, fleet: &str, member: &Member, location: &str) -> Option<StoredAt> {
    let cluster = member.id();
    let given = find(&ctx.hub.fleets, &cluster.namespace, fleet)
        .and_then(|fleet| given(&fleet, backup_row(&ctx.hub, &fleet, cluster)?, location));
    if given.is_some() || is_served(ctx, cluster) {
        return given;
    }
    stored_at(&*member.locations().get(location).present()?)
}

/// The places in the store of a Fleet that a location may be on.
struct Candidate {
    fleet: Arc<Guarded<Fleet>>,
    places: Vec<Place>,
}

struct Place {
    at: StoredAt,
    read_only: bool,
    whose: Whose,
}

/// Whose word it is that something lies at a place.
enum Whose {
    /// The hub's: a Fleet gave the place.
    Hub,
    /// A cluster's, which may have lied, and the layout that the Fleet has there now.
    Clusters(ClusterKey, Option<Layout>),
}

impl Place {
    /// Whether the hub opens the place: a cluster is not believed more than what this Fleet would give it anyway.
    fn may_be_followed(&self, store: &Store) -> bool {
        match &self.whose {
            Whose::Hub => true,
            Whose::Clusters(cluster, layout) => store.gives(&self.at, cluster, *layout),
        }
    }
}

/// Places of the cluster's own under this name: where its Fleet has it store, or had it store once.
fn own(hub: &Hub, cluster: &ClusterKey, name: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    for fleet in in_namespace(&hub.fleets, &cluster.namespace) {
        let Some(row) = backup_row(hub, &fleet, cluster) else { continue };
        let Some(at) = given(&fleet, row, name) else { continue };
        let read_only = row.read_only || row.location.as_deref() != Some(name);
        found.push(Candidate { fleet, places: vec![Place { at, read_only, whose: Whose::Hub }] });
    }
    found
}

/// Whether a Fleet has the cluster store under this name, or had it once: the hub follows what it says there.
pub(crate) fn is_given(hub: &Hub, cluster: &ClusterKey, name: &str) -> bool {
    !own(hub, cluster, name).is_empty()
}

/// Places that a mount of this name may be on, if somebody on the hub has asked for it in this cluster: those of the
/// cluster whose backup is restored. With `restored`, only those who asked for this Velero Backup count.
fn mounted(hub: &Hub, cluster: &ClusterKey, name: &str, restored: Option<&str>) -> Vec<Candidate> {
    let namespace = &cluster.namespace;
    let is_row = |kind: ClusterKind, cluster_name: &str, location: Option<&String>| {
        kind == cluster.kind && cluster_name == cluster.name && location.is_some_and(|at| at == name)
    };
    let mut sources = BTreeSet::new();
    let mut recorded = Vec::new();
    let is_asked_for = |backup: Option<&String>| {
        restored.is_none_or(|restored| backup.is_some_and(|backup| backup == restored))
    };
    for migrate in in_namespace(&hub.migrates, namespace) {
        let Some(status) = migrate.0.as_ref().ok().and_then(|migrate| migrate.status.as_ref()) else {
            continue;
        };
        let mut rows = status.target_cluster_status.iter();
        if rows.any(|row| is_row(row.cluster_kind, &row.cluster_name, row.source_location.as_ref())) {
            let source = status.source_cluster_status.as_ref();
            let source = source.filter(|row| is_asked_for(row.backup_name_in_cluster.as_ref()));
            sources.extend(source.map(|row| row.cluster(namespace)));
            recorded.extend(source.and_then(|row| remembered(namespace, row)));
        }
    }
    for restore in in_namespace(&hub.restores, namespace) {
        let Ok(restore) = &restore.0 else { continue };
        let mut rows = restore.status.iter().flat_map(|status| &status.restore_details);
        let row = rows.find(|row| is_row(row.cluster_kind, &row.cluster_name, row.source_location.as_ref()));
        if !row.is_some_and(|row| is_asked_for(row.backup_name_in_cluster.as_ref())) {
            continue;
        }
        sources.insert(cluster.clone());
        let backup = find(&hub.backups, namespace, &restore.spec.backup_name);
        let status = backup.as_ref().and_then(|backup| backup.0.as_ref().ok()?.status.as_ref());
        let rows = status.iter().flat_map(|status| &status.backup_details);
        recorded.extend(
            rows.filter(|row| row.cluster(namespace) == *cluster)
                .filter_map(|row| remembered(namespace, row)),
        );
    }
    if sources.is_empty() {
        return Vec::new();
    }
    let fleets = in_namespace(&hub.fleets, namespace).into_iter();
    fleets
        .map(|fleet| {
            let mut places = Vec::new();
            for source in &sources {
                let Some(row) = backup_row(hub, &fleet, source) else { continue };
                let all = current(row).into_iter().chain(row.earlier.iter().cloned());
                places.extend(all.map(|at| Place { at, read_only: true, whose: Whose::Hub }));
            }
            let of_rows = recorded.iter().map(|(source, at)| {
                let layout = || backup_row(hub, &fleet, source)?.layout;
                let whose = match at.fleet {
                    Some(_) => Whose::Hub,
                    None => Whose::Clusters(source.clone(), layout()),
                };
                Place { at: at.clone(), read_only: true, whose }
            });
            places.extend(of_rows);
            Candidate { fleet, places }
        })
        .collect()
}

/// The place in a row of a Backup or Migrate, and of which cluster it is.
fn remembered(namespace: &str, row: &BackupDetails) -> Option<(ClusterKey, StoredAt)> {
    Some((row.cluster(namespace), row.stored.clone()?))
}

/// What a Fleet says of its plugin in a cluster.
fn backup_row<'a>(
    hub: &Hub,
    fleet: &'a Arc<Guarded<Fleet>>,
    cluster: &ClusterKey,
) -> Option<&'a MemberBackupStatus> {
    hub.fleet_rows.row(fleet, cluster)?.backup.as_ref()
}

/// Where a Fleet has a cluster store now.
pub(super) fn current(row: &MemberBackupStatus) -> Option<StoredAt> {
    Some(StoredAt {
        location: row.location.clone()?,
        bucket: row.bucket.clone()?,
        prefix: row.prefix.clone().unwrap_or_default(),
        fleet: None,
    })
}

/// The place that a Fleet has given a cluster under this name, now or before.
fn given(fleet: &Guarded<Fleet>, row: &MemberBackupStatus, location: &str) -> Option<StoredAt> {
    let mut all = current(row).into_iter().chain(row.earlier.iter().cloned());
    let found = all.find(|place| place.location == location)?;
    Some(StoredAt { fleet: Some(fleet.name_any()), ..found })
}

/// The first field that decides where a connection goes, or with what rights, and is not as the hub has it.
fn differs(
    found: &BackupStorageLocationSpec,
    wanted: &BackupStorageLocationSpec,
    read_only: bool,
) -> Option<&'static str> {
    let place = |spec: &BackupStorageLocationSpec| {
        let storage = spec.object_storage.clone().unwrap_or_default();
        let prefix = storage.prefix.unwrap_or_default().trim_matches('/').to_owned();
        (storage.bucket.unwrap_or_default(), prefix, storage.ca_cert)
    };
    let ((bucket, prefix, ca), (our_bucket, our_prefix, our_ca)) = (place(found), place(wanted));
    [
        ("spec.provider", found.provider == wanted.provider),
        ("spec.config", found.config == wanted.config),
        ("spec.objectStorage.bucket", bucket == our_bucket),
        ("spec.objectStorage.prefix", prefix == our_prefix),
        ("spec.objectStorage.caCert", ca == our_ca),
        ("spec.credential", found.credential == wanted.credential),
        ("spec.accessMode", !read_only || found.access_mode == Some(AccessMode::ReadOnly)),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}

#[cfg(test)]
mod tests;
