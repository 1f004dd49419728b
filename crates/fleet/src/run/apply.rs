//! Starts the creations of a plan. Nothing is waited for.

use std::fmt::Debug;
use std::sync::Arc;

use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Owner;
use super::child::VeleroRun;
use super::plan::Plan;
use crate::ctx::Ctx;
use crate::hub::{Guarded, HubKind};
use crate::wake::WakeSet;
use crate::writes::{self, WriteKey};

/// The write that makes the child of a run in a member.
pub(crate) fn creation(owner: &Owner, cluster: &ClusterKey) -> WriteKey {
    WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what: owner.kind.as_str() }
}

pub(crate) fn apply<R, K>(ctx: &Ctx, owner: &Owner, plan: &Plan<K>, wakes: &Arc<WakeSet<Guarded<R>>>)
where
    R: HubKind,
    K: VeleroRun + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Serialize + DeserializeOwned + Debug + Send + Sync + 'static,
{
    for (cluster, object) in &plan.creations {
        start(ctx, owner, cluster, creation(owner, cluster), object.clone(), wakes);
    }
}

/// Creates one object in one member and wakes the owner when that has ended.
pub(crate) fn start<R, K>(
    ctx: &Ctx,
    owner: &Owner,
    cluster: &ClusterKey,
    key: WriteKey,
    object: K,
    wakes: &Arc<WakeSet<Guarded<R>>>,
) where
    R: HubKind,
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Serialize + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let Some(member) = ctx.members.get(cluster) else { return };
    let api = Api::<K>::namespaced(member.client().clone(), names::VELERO_NAMESPACE);
    let back = ObjectRef::new(&owner.name).within(&owner.namespace);
    let wakes = Arc::clone(wakes);
    ctx.writes.start(key, async move { writes::create(&api, &object).await }, move || wakes.wake(back));
}
