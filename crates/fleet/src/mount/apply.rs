//! Starts the writes of mounts. Nothing is waited for.

use std::fmt::Debug;
use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::copy;
use super::prepare::Action;
use crate::ctx::Ctx;
use crate::hub::{Guarded, HubKind, MANAGER};
use crate::run::Owner;
use crate::wake::WakeSet;
use crate::writes::{Failure, WriteKey};

pub(super) const SECRET: &str = "mount secret";
pub(super) const LOCATION: &str = "mount location";
pub(super) const COPY: &str = "copy";

pub(crate) fn apply<R: HubKind>(
    ctx: &Ctx,
    owner: &Owner,
    cluster: &ClusterKey,
    actions: Vec<Action>,
    wakes: &Arc<WakeSet<Guarded<R>>>,
) {
    let Some(member) = ctx.members.get(cluster) else { return };
    for action in actions {
        let client = member.client().clone();
        let key = |what| WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what };
        let wakes = Arc::clone(wakes);
        let back = ObjectRef::new(&owner.name).within(&owner.namespace);
        let wake = move || wakes.wake(back);
        match action {
            Action::Secret { secret, replace } => {
                ctx.writes.start(key(SECRET), async move { write(client, *secret, replace).await }, wake);
            }
            Action::Location { location, replace } => {
                ctx.writes.start(key(LOCATION), async move { write(client, *location, replace).await }, wake);
            }
            Action::Copy { copy, location } => {
                let make = async move { copy::make(client, *copy, &location).await };
                ctx.writes.start(key(COPY), make, wake);
            }
        }
    }
}

/// Applies an object, which also mends one of ours that is not seen for want of a label. Unless `replace`, the server
/// refuses to take fields from whoever wrote them.
async fn write<K>(client: Client, object: K, replace: bool) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Serialize + DeserializeOwned + Debug,
{
    let api = Api::<K>::namespaced(client, names::VELERO_NAMESPACE);
    let params = PatchParams { force: replace, ..PatchParams::apply(MANAGER) };
    api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await?;
    Ok(())
}
