//! Starts the creations of a plan. Nothing is waited for.

use std::fmt::Debug;
use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::core::{NamespaceResourceScope, ObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

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
    for (cluster, name) in &plan.adoptions {
        adopt::<R, K>(ctx, owner, cluster, name.clone(), wakes);
    }
}

/// Writes onto a child whose it is now, so that its changes wake the owner.
fn adopt<R, K>(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey, name: String, wakes: &Arc<WakeSet<Guarded<R>>>)
where
    R: HubKind,
    K: VeleroRun + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: DeserializeOwned + Debug + Send + Sync + 'static,
{
    let Some(member) = ctx.members.get(cluster) else { return };
    let api = Api::<K>::namespaced(member.client().clone(), names::VELERO_NAMESPACE);
    let ObjectMeta { labels, annotations, .. } = owner.metadata(&name, cluster);
    let patch = json!({"metadata": {"labels": labels, "annotations": annotations}});
    let back = ObjectRef::new(&owner.name).within(&owner.namespace);
    let wakes = Arc::clone(wakes);
    let key = WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what: "adopt" };
    let write = async move {
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    };
    ctx.writes.start(key, write, move || wakes.wake(back));
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
