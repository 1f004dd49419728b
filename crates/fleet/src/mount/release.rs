//! Taking a mount away again: Velero Restore, copy, location, Secret, in this order, each only when nobody else needs
//! it.
//!
//! What goes are plain objects. The data belongs to the source, and a location that is never synced brings nothing back.

use std::cell::{LazyCell, OnceCell};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::velero;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::{Liveness, Member};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Waiting;
use super::apply::{COPY, LOCATION, SECRET};
use super::users::{User, Users, is_expired, need_copy, need_location};
use crate::ctx::Ctx;
use crate::hub::{Guarded, HubKind};
use crate::location::available;
use crate::members::Access;
use crate::run::child::{self, Place};
use crate::run::{Owner, apply};
use crate::wake::WakeSet;
use crate::writes::{self, Write, WriteKey};

const DELETE: &str = "delete";
/// A timer for a Backup's expiration runs at most this long; then it is set anew.
const LONGEST_NAP: Duration = Duration::from_secs(24 * 60 * 60);

/// What is left to do in one cluster.
#[derive(Debug)]
enum Left {
    Nothing,
    Delete(Deletion),
    /// Under way; to be looked at again at this time.
    Wait(String, Option<Instant>),
    /// Out of reach, or refused.
    Stuck(String, Option<Instant>),
    /// Nobody will ever reach it again.
    Lost(String),
}

/// An object that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Deletion {
    Restore(String),
    Copy(String),
    Location(String),
    Secret(String),
}

/// What a row of a Restore or Migrate has in its cluster.
pub(crate) struct Mounted<'a> {
    pub(crate) cluster: &'a ClusterKey,
    /// Name of the mount.
    pub(crate) location: Option<&'a str>,
    /// Name of the Backup.
    pub(crate) backup: Option<&'a str>,
    /// Name of the Velero Restore.
    pub(crate) restore: Option<&'a str>,
}

impl Mounted<'_> {
    /// The names of what may be in the cluster; `None` if nothing was made there.
    fn named(&self) -> Option<String> {
        let restore = self.restore.map(|name| format!("Velero Restore `{name}`"));
        let mount = self.location.filter(|name| name.starts_with(names::READ_ONLY_LOCATION_PREFIX));
        let mount = mount.map(|name| format!("storage location `{name}` with its Secret"));
        let all: Vec<_> = restore.into_iter().chain(mount).collect();
        (!all.is_empty()).then(|| all.join(" and "))
    }
}

/// Takes the next step in every cluster. If `forced`, without leaving Velero the time for its own part.
pub(crate) fn release<'a, R: HubKind>(
    ctx: &Ctx,
    owner: &Owner,
    all: impl IntoIterator<Item = Mounted<'a>>,
    forced: bool,
    wakes: &Arc<WakeSet<Guarded<R>>>,
) -> Waiting {
    let mut waiting = Waiting::default();
    let others = Others::of(ctx, owner);
    for mounted in all {
        match left(ctx, owner, &mounted, forced, &others) {
            Left::Nothing => {}
            Left::Delete(deletion) => {
                delete(ctx, owner, mounted.cluster, deletion, wakes);
                waiting.goes(mounted.cluster, "being cleaned up", None);
            }
            Left::Wait(why, until) => waiting.goes(mounted.cluster, &why, until),
            Left::Stuck(why, until) => {
                waiting.is_stuck(mounted.cluster, &why, until);
            }
            Left::Lost(what) => waiting.lost.push(format!("{}: {what}", mounted.cluster.name)),
        }
    }
    waiting
}

/// What is left of everything that was made for `owner` in a cluster.
fn left(ctx: &Ctx, owner: &Owner, mounted: &Mounted<'_>, forced: bool, others: &Others<'_>) -> Left {
    let cluster = mounted.cluster;
    let member = match ctx.members.access(cluster) {
        Access::Alive { member, .. } => member,
        Access::Connecting | Access::Away { .. } if !ctx.hub.has_cluster(cluster) => {
            return mounted.named().map_or(Left::Nothing, |what| Left::Lost(format!("{what} may be left")));
        }
        Access::Connecting => return Left::Stuck("being connected to".to_owned(), None),
        Access::Away { why, .. } => return Left::Stuck(why, None),
    };
    for what in [owner.kind.as_str(), COPY, LOCATION, SECRET] {
        match ctx.writes.state(&WriteKey { what, ..apply::creation(owner, cluster) }) {
            // What it makes would be left behind.
            Write::InFlight => return Left::Wait("something is still being made".to_owned(), None),
            Write::Done { .. } | Write::Failed { .. } | Write::None => {}
        }
    }
    let look = |name: &str| -> Knowledge<Arc<velero::Restore>> { member.restores().get(name) };
    let left = match child::place(look, owner, cluster) {
        Place::Unknown { why } => Left::Stuck(why, None),
        Place::Ours(object) if object.metadata.deletion_timestamp.is_none() => {
            Left::Delete(Deletion::Restore(object.name_any()))
        }
        // Velero ends the deletion itself, and only while it runs. To do so it needs what it restored from, unless it
        // can't be read any more anyway.
        Place::Ours(object) => match of_mount(ctx, owner, &member, mounted, None, others) {
            left if forced || matches!(left, Left::Nothing) || !is_readable(&member, mounted) => left,
            _ => Left::Wait(format!("Velero is deleting Restore `{}`", object.name_any()), None),
        },
        Place::Leaving { .. } | Place::Namesake { .. } | Place::Taken { .. } => {
            of_mount(ctx, owner, &member, mounted, None, others)
        }
        Place::Free { .. } => match ctx.writes.state(&apply::creation(owner, cluster)) {
            Write::Done { until } => Left::Wait("what was made does not show yet".to_owned(), Some(until)),
            _ => of_mount(ctx, owner, &member, mounted, None, others),
        },
    };
    in_turn(ctx, owner, cluster, left)
}

/// Whether Velero can use what the Backup is read from.
fn is_readable(member: &Member, mounted: &Mounted<'_>) -> bool {
    mounted.location.is_none_or(|name| {
        let location = member.locations().get(name).present();
        location.is_some_and(|location| available(&location).is_ok())
    })
}

/// Takes away what has expired of mounts, or is not needed since everything is over; when to look again.
pub(crate) fn tidy<'a, R: HubKind>(
    ctx: &Ctx,
    owner: &Owner,
    all: impl IntoIterator<Item = Mounted<'a>>,
    wakes: &Arc<WakeSet<Guarded<R>>>,
) -> Option<Instant> {
    let others = Others::of(ctx, owner);
    all.into_iter().filter_map(|mounted| tidy_one(ctx, owner, &mounted, wakes, &others)).min()
}

fn tidy_one<R: HubKind>(
    ctx: &Ctx,
    owner: &Owner,
    mounted: &Mounted<'_>,
    wakes: &Arc<WakeSet<Guarded<R>>>,
    others: &Others<'_>,
) -> Option<Instant> {
    let Access::Alive { member, .. } = ctx.members.access(mounted.cluster) else { return None };
    mounted.location?;
    let now = ctx.clock.now();
    let left = of_mount(ctx, owner, &member, mounted, Some(now), others);
    match in_turn(ctx, owner, mounted.cluster, left) {
        Left::Nothing | Left::Lost(_) => None,
        Left::Wait(_, until) | Left::Stuck(_, until) => until,
        Left::Delete(deletion) => {
            delete(ctx, owner, mounted.cluster, deletion, wakes);
            None
        }
    }
}

/// The copy, then the location, then its Secret. With a time, only what has expired by then.
fn of_mount(
    ctx: &Ctx,
    owner: &Owner,
    member: &Member,
    mounted: &Mounted<'_>,
    if_expired_at: Option<Timestamp>,
    others: &Others<'_>,
) -> Left {
    let users = LazyCell::new(|| others.here(mounted.cluster, member));
    let made = Made { ctx, owner, cluster: mounted.cluster };
    if let Some(name) = mounted.backup {
        match member.backups().get(name) {
            Knowledge::Unknown { why, .. } => return Left::Stuck(why, None),
            Knowledge::Present(backup) if is_copy(&backup, owner, mounted) => {
                made.shows(COPY);
                let now = ctx.clock.now();
                let expiration = backup.status.as_ref().and_then(|status| status.expiration);
                let expired = is_expired(expiration, now);
                let needed = mounted
                    .location
                    .is_some_and(|location| need_copy(&users, &owner.uid, location, name, expired));
                match if_expired_at {
                    Some(now) if !expired => {
                        let nap = expiration.map(|at| until(at, now));
                        return nap.map_or(Left::Nothing, |nap| {
                            Left::Wait("the copy has not expired".to_owned(), Some(nap))
                        });
                    }
                    _ if needed => return Left::Nothing,
                    _ if backup.metadata.deletion_timestamp.is_some() => {
                        return Left::Wait(format!("Backup `{name}` is being deleted"), None);
                    }
                    _ => return Left::Delete(Deletion::Copy(name.to_owned())),
                }
            }
            Knowledge::Present(_) => {}
            Knowledge::Absent => {
                if let Some(wait) = made.may_not_show(COPY) {
                    return wait;
                }
            }
        }
    }
    let Some(location) = mounted.location else { return Left::Nothing };
    if !location.starts_with(names::READ_ONLY_LOCATION_PREFIX) || need_location(&users, &owner.uid, location)
    {
        return Left::Nothing;
    }
    let label = names::label_value(location);
    let lies_there =
        |backup: &velero::Backup| backup.labels().get(names::VELERO_STORAGE_LOCATION_LABEL) == Some(&label);
    match member.backups().select(lies_there) {
        Knowledge::Unknown { why, .. } => return Left::Stuck(why, None),
        Knowledge::Present(copies) if !copies.is_empty() => return Left::Nothing,
        Knowledge::Present(_) | Knowledge::Absent => {}
    }
    match member.locations().get(location) {
        Knowledge::Unknown { why, .. } => return Left::Stuck(why, None),
        Knowledge::Present(found) if found.labels().contains_key(names::OWNER_UID_LABEL) => {
            made.shows(LOCATION);
            return Left::Delete(Deletion::Location(location.to_owned()));
        }
        // Somebody else's.
        Knowledge::Present(_) => return Left::Nothing,
        Knowledge::Absent => {
            if let Some(wait) = made.may_not_show(LOCATION) {
                return wait;
            }
        }
    }
    match member.secrets().get(location) {
        Knowledge::Unknown { why, .. } => Left::Stuck(why, None),
        Knowledge::Present(_) => {
            made.shows(SECRET);
            Left::Delete(Deletion::Secret(location.to_owned()))
        }
        Knowledge::Absent => made.may_not_show(SECRET).unwrap_or(Left::Nothing),
    }
}

/// UID of the cluster that answers.
/// Who else on the hub restores through mounts, looked at once for all clusters of a pass, and only if there is one.
struct Others<'a> {
    ctx: &'a Ctx,
    namespace: &'a str,
    known: OnceCell<Users>,
}

impl<'a> Others<'a> {
    fn of(ctx: &'a Ctx, owner: &'a Owner) -> Self {
        Self { ctx, namespace: &owner.namespace, known: OnceCell::new() }
    }

    /// Those in the cluster that this member is.
    fn here(&self, cluster: &ClusterKey, member: &Member) -> Vec<&User> {
        let uid = |key: &ClusterKey| uid_of(&*self.ctx.members.get(key)?);
        let known = self.known.get_or_init(|| Users::of_namespace(&self.ctx.hub, self.namespace, uid));
        known.here(cluster, uid_of(member).as_deref())
    }
}

fn uid_of(member: &Member) -> Option<String> {
    match member.liveness() {
        Liveness::Alive { uid, .. } => Some(uid),
        Liveness::Connecting { .. } | Liveness::Unreachable { .. } => None,
    }
}

/// What was written for an owner in a cluster a moment ago.
struct Made<'a> {
    ctx: &'a Ctx,
    owner: &'a Owner,
    cluster: &'a ClusterKey,
}

impl Made<'_> {
    fn key(&self, what: &'static str) -> WriteKey {
        WriteKey { owner: self.owner.uid.clone(), cluster: self.cluster.clone(), what }
    }

    fn shows(&self, what: &'static str) {
        self.ctx.writes.forget(&self.key(what));
    }

    fn may_not_show(&self, what: &'static str) -> Option<Left> {
        match self.ctx.writes.state(&self.key(what)) {
            Write::Done { until } => {
                Some(Left::Wait("what was made does not show yet".to_owned(), Some(until)))
            }
            Write::InFlight | Write::Failed { .. } | Write::None => None,
        }
    }
}

/// In a mount everything is a copy; elsewhere, what this owner brought into this cluster.
fn is_copy(backup: &velero::Backup, owner: &Owner, mounted: &Mounted<'_>) -> bool {
    let label = backup.labels().get(names::VELERO_STORAGE_LOCATION_LABEL);
    let in_mount = mounted.location.is_some_and(|location| label == Some(&names::label_value(location)));
    let brought = backup.labels().get(names::OWNER_UID_LABEL) == Some(&owner.uid)
        && backup.annotations().get(names::CLUSTER_ANNOTATION) == Some(&mounted.cluster.to_string())
        && backup.annotations().contains_key(names::VOLUMES_ANNOTATION);
    in_mount || brought
}

fn until(expiration: Timestamp, now: Timestamp) -> Instant {
    let left = Duration::try_from(expiration.duration_since(now)).unwrap_or_default();
    // Velero's clock may be a little late.
    Instant::now() + (left + Duration::from_secs(1)).min(LONGEST_NAP)
}

/// One deletion at a time, and not faster than its back-off.
fn in_turn(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey, left: Left) -> Left {
    let Left::Delete(deletion) = left else { return left };
    match ctx.writes.state(&key(owner, cluster, &deletion)) {
        Write::None => Left::Delete(deletion),
        Write::InFlight => Left::Wait("being cleaned up".to_owned(), None),
        Write::Done { until } => Left::Wait("being cleaned up".to_owned(), Some(until)),
        Write::Failed { retry_at, .. } if retry_at <= Instant::now() => Left::Delete(deletion),
        Write::Failed { failure, retry_at } => Left::Stuck(failure.to_string(), Some(retry_at)),
    }
}

fn key(owner: &Owner, cluster: &ClusterKey, deletion: &Deletion) -> WriteKey {
    let what = match deletion {
        Deletion::Restore(_) => DELETE,
        Deletion::Copy(_) => "delete copy",
        Deletion::Location(_) => "delete mount location",
        Deletion::Secret(_) => "delete mount secret",
    };
    WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what }
}

fn delete<R: HubKind>(
    ctx: &Ctx,
    owner: &Owner,
    cluster: &ClusterKey,
    deletion: Deletion,
    wakes: &Arc<WakeSet<Guarded<R>>>,
) {
    let key = key(owner, cluster, &deletion);
    match deletion {
        Deletion::Restore(name) => start::<R, velero::Restore>(ctx, owner, key, name, wakes),
        Deletion::Copy(name) => start::<R, velero::Backup>(ctx, owner, key, name, wakes),
        Deletion::Location(name) => {
            start::<R, velero::BackupStorageLocation>(ctx, owner, key, name, wakes);
        }
        Deletion::Secret(name) => start::<R, Secret>(ctx, owner, key, name, wakes),
    }
}

fn start<R, K>(ctx: &Ctx, owner: &Owner, key: WriteKey, name: String, wakes: &Arc<WakeSet<Guarded<R>>>)
where
    R: HubKind,
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let Some(member) = ctx.members.get(&key.cluster) else { return };
    let api = Api::<K>::namespaced(member.client().clone(), names::VELERO_NAMESPACE);
    let wakes = Arc::clone(wakes);
    let back = ObjectRef::new(&owner.name).within(&owner.namespace);
    // The records of a copy's volumes go with it.
    let params = DeleteParams::background();
    let write = async move { writes::gone(api.delete(&name, &params).await) };
    ctx.writes.start(key, write, move || wakes.wake(back));
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKind;

    #[test]
    fn what_is_left_in_a_cluster_that_nobody_reaches_is_named() {
        let cluster =
            ClusterKey { namespace: "default".into(), kind: ClusterKind::default(), name: "m1".into() };
        let named =
            |restore, location| Mounted { cluster: &cluster, location, backup: Some("b"), restore }.named();
        assert_eq!(named(None, None), None);
        assert_eq!(named(Some("r"), Some("default")).as_deref(), Some("Velero Restore `r`"));
        assert_eq!(
            named(Some("r"), Some("kurator-ro-1")).as_deref(),
            Some("Velero Restore `r` and storage location `kurator-ro-1` with its Secret")
        );
    }
}
