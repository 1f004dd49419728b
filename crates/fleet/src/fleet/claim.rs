//! Which clusters are this Fleet's: the label on the cluster object says so.
//!
//! A cluster listed by two Fleets stays with the one whose label it carries.

use std::collections::HashSet;
use std::future::ready;
use std::sync::Arc;

use futures::{StreamExt, stream};
use kube::{Resource, ResourceExt};
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::fleet::Fleet;
use kurator_api::names;
use serde_json::json;

use crate::ctx::Ctx;
use crate::destination::clusters_of;
use crate::error::Error;
use crate::hub::{Guarded, Hub, HubKind, Presence, find, in_namespace};

/// Label writes that are sent at the same time.
const AT_ONCE: usize = 16;

/// Labels what is listed and free, takes the label off what is no longer listed. One that can't be
/// labelled stops no other; the first failure is told when all are tried.
pub(super) async fn claim(ctx: &Ctx, fleet: &Fleet) -> Result<(), Error> {
    let listed = clusters_of(fleet);
    let name = fleet.name_any();
    let is_free = |key: &&ClusterKey| {
        // One that is being deleted would wait for this Fleet.
        ctx.hub.presence(key) == Presence::There && rival(&ctx.hub, fleet, key).is_none()
    };
    let free = listed.iter().filter(is_free).cloned();
    let claimed = all(free.map(|key| set_label(ctx, key, Some(&name))).collect()).await;
    claimed.and(release(ctx, fleet, &listed).await)
}

/// Takes the label off every cluster but those in `kept`.
pub(super) async fn release(ctx: &Ctx, fleet: &Fleet, kept: &[ClusterKey]) -> Result<(), Error> {
    let namespace = fleet.namespace().unwrap_or_default();
    let kept: HashSet<_> = kept.iter().collect();
    let attached =
        labelled(&in_namespace(&ctx.hub.attached, &namespace), ClusterKind::AttachedCluster, fleet);
    let provisioned = labelled(&in_namespace(&ctx.hub.provisioned, &namespace), ClusterKind::Cluster, fleet);
    let gone = attached.into_iter().chain(provisioned).filter(|key| !kept.contains(key));
    all(gone.map(|key| set_label(ctx, key, None)).collect()).await
}

/// Takes the label off these clusters, which are being deleted and have nothing of this Fleet any more.
pub(super) async fn let_go(ctx: &Ctx, fleet: &Fleet, left: &[ClusterKey]) -> Result<(), Error> {
    let value = names::label_value(&fleet.name_any());
    let ours = |key: &&ClusterKey| ctx.hub.labels(key).get(names::FLEET_NAME_LABEL) == Some(&value);
    all(left.iter().filter(ours).map(|key| set_label(ctx, key.clone(), None)).collect()).await
}

/// Runs all writes to their end; the first failure.
async fn all(writes: Vec<impl Future<Output = Result<(), Error>>>) -> Result<(), Error> {
    stream::iter(writes).buffer_unordered(AT_ONCE).fold(Ok(()), |first, next| ready(first.and(next))).await
}

fn labelled<K: HubKind>(all: &[Arc<Guarded<K>>], kind: ClusterKind, fleet: &Fleet) -> Vec<ClusterKey> {
    let value = names::label_value(&fleet.name_any());
    let namespace = fleet.namespace().unwrap_or_default();
    let carries = |object: &Guarded<K>| object.labels().get(names::FLEET_NAME_LABEL) == Some(&value);
    all.iter()
        .filter(|object| carries(object))
        .map(|object| ClusterKey { namespace: namespace.clone(), kind, name: object.name_any() })
        .collect()
}

/// Another Fleet that has this cluster and still lists it.
pub(crate) fn rival(hub: &Hub, fleet: &Fleet, key: &ClusterKey) -> Option<String> {
    let holder = hub.labels(key).remove(names::FLEET_NAME_LABEL)?;
    if holder == names::label_value(&fleet.name_any()) {
        return None;
    }
    in_namespace(&hub.fleets, &key.namespace)
        .iter()
        .filter_map(|other| other.0.as_ref().ok())
        .find(|other| names::label_value(&other.name_any()) == holder && clusters_of(other).contains(key))
        .map(ResourceExt::name_any)
}

/// What is said of a cluster that this other Fleet has.
pub(crate) fn kept_by(other: &str) -> String {
    format!("fleet `{other}` has this cluster; take it off one of the two")
}

async fn set_label(ctx: &Ctx, key: ClusterKey, fleet: Option<&str>) -> Result<(), Error> {
    match key.kind {
        ClusterKind::AttachedCluster => {
            label(ctx, find(&ctx.hub.attached, &key.namespace, &key.name), fleet).await
        }
        ClusterKind::Cluster => {
            label(ctx, find(&ctx.hub.provisioned, &key.namespace, &key.name), fleet).await
        }
    }
}

async fn label<K: HubKind>(
    ctx: &Ctx,
    object: Option<Arc<Guarded<K>>>,
    fleet: Option<&str>,
) -> Result<(), Error>
where
    Guarded<K>: HubKind + Resource<DynamicType = ()>,
{
    let Some(object) = object else { return Ok(()) };
    let wanted = fleet.map(names::label_value);
    if object.labels().get(names::FLEET_NAME_LABEL) == wanted.as_ref() {
        return Ok(());
    }
    ctx.hub.patch_metadata(&*object, json!({"labels": {names::FLEET_NAME_LABEL: wanted}})).await
}
