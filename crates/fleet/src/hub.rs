//! What the hub's own API server holds: one watch and one cache per kind, and the writes that every
//! controller makes on its own object.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::{DeserializeGuard, NamespaceResourceScope, Resource};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::cluster::{AttachedCluster, Cluster, ClusterKey, ClusterKind};
use kurator_api::condition;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::Error;
use crate::fleet::rows::RowIndex;
use crate::released::Released;

/// An object that may not decode: one bad object must not stop the watch of the others.
pub(crate) type Guarded<K> = DeserializeGuard<K>;

/// Field manager of everything this controller applies.
pub(crate) const MANAGER: &str = "kurator";

/// A kind of ours on the hub.
pub(crate) trait HubKind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> HubKind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// What the hub has of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    There,
    /// Its object is being deleted; what is in the cluster goes first.
    Leaving,
    Gone,
}

/// The hub's API server and the caches of what it holds.
pub(crate) struct Hub {
    pub(crate) client: Client,
    /// UID of the hub's kube-system namespace.
    pub(crate) uid: String,
    pub(crate) attached: Store<Guarded<AttachedCluster>>,
    pub(crate) provisioned: Store<Guarded<Cluster>>,
    pub(crate) fleets: Store<Guarded<Fleet>>,
    pub(crate) backups: Store<Guarded<Backup>>,
    pub(crate) restores: Store<Guarded<Restore>>,
    pub(crate) migrates: Store<Guarded<Migrate>>,
    pub(crate) fleet_rows: RowIndex,
    pub(crate) released: Released,
}

impl Hub {
    /// Waits until every kind has been listed once; before that, not to be found means nothing. False if the process
    /// ends first.
    pub(crate) async fn known(&self) -> bool {
        let Self {
            client: _,
            uid: _,
            fleet_rows: _,
            released: _,
            attached,
            provisioned,
            fleets,
            backups,
            restores,
            migrates,
        } = self;
        let listed = tokio::try_join!(
            attached.wait_until_ready(),
            provisioned.wait_until_ready(),
            fleets.wait_until_ready(),
            backups.wait_until_ready(),
            restores.wait_until_ready(),
            migrates.wait_until_ready(),
        );
        listed.is_ok()
    }

    /// Labels of a cluster object; none if it is gone.
    pub(crate) fn labels(&self, key: &ClusterKey) -> BTreeMap<String, String> {
        match key.kind {
            ClusterKind::AttachedCluster => {
                find(&self.attached, &key.namespace, &key.name).map(|c| c.labels().clone())
            }
            ClusterKind::Cluster => {
                find(&self.provisioned, &key.namespace, &key.name).map(|c| c.labels().clone())
            }
        }
        .unwrap_or_default()
    }

    /// An annotation of a cluster object.
    pub(crate) fn annotation(&self, key: &ClusterKey, name: &str) -> Option<String> {
        let value = |annotations: &BTreeMap<String, String>| annotations.get(name).cloned();
        match key.kind {
            ClusterKind::AttachedCluster => {
                value(find(&self.attached, &key.namespace, &key.name)?.annotations())
            }
            ClusterKind::Cluster => value(find(&self.provisioned, &key.namespace, &key.name)?.annotations()),
        }
    }

    pub(crate) fn has_cluster(&self, key: &ClusterKey) -> bool {
        self.presence(key) != Presence::Gone
    }

    pub(crate) fn presence(&self, key: &ClusterKey) -> Presence {
        let (exists, leaving) = match key.kind {
            ClusterKind::AttachedCluster => {
                let found = find(&self.attached, &key.namespace, &key.name);
                (found.is_some(), found.is_some_and(|c| c.meta().deletion_timestamp.is_some()))
            }
            // With its object goes the cluster itself.
            ClusterKind::Cluster => (find(&self.provisioned, &key.namespace, &key.name).is_some(), false),
        };
        match (exists, leaving) {
            (false, _) => Presence::Gone,
            (true, true) => Presence::Leaving,
            (true, false) => Presence::There,
        }
    }

    /// Why a cluster can't be connected to until somebody edits something, as its condition says.
    pub(crate) fn fault(&self, key: &ClusterKey) -> Option<(Reason, String)> {
        let found = match key.kind {
            ClusterKind::AttachedCluster => find(&self.attached, &key.namespace, &key.name)?,
            // Its status is not ours.
            ClusterKind::Cluster => return None,
        };
        let conditions = &found.0.as_ref().ok()?.status.as_ref()?.conditions;
        let stalled = condition::find(conditions, condition::STALLED)?;
        let stalled = Some(stalled).filter(|stalled| stalled.status == condition::ConditionStatus::True)?;
        Some((Reason::of(stalled.reason.as_deref()?)?, stalled.message.clone()?))
    }

    /// Whether the object can't go before what is in the cluster has gone, or needs not wait for that.
    pub(crate) fn is_held(&self, key: &ClusterKey) -> bool {
        match key.kind {
            ClusterKind::AttachedCluster => {
                find(&self.attached, &key.namespace, &key.name).is_none_or(|c| is_held(&*c))
            }
            ClusterKind::Cluster => true,
        }
    }

    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, Error> {
        let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
        api.get_opt(name).await.map_err(|source| Error::Hub {
            action: "read",
            object: format!("Secret {namespace}/{name}"),
            source: Box::new(source),
        })
    }

    /// Writes the status of `object`, provided that nobody changed the object since it was read.
    pub(crate) async fn write_status<K: HubKind, S: Serialize + Sync>(
        &self,
        object: &K,
        status: &S,
    ) -> Result<(), Error> {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let applied = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": object.resource_version()},
            "status": status,
        });
        Api::<Guarded<K>>::namespaced(self.client.clone(), &namespace)
            .patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&applied))
            .await
            .map(drop)
            .map_err(|source| failed("write the status of", object, source))
    }

    /// Whether the stored object has a phase, read or not.
    pub(crate) async fn has_phase<K: HubKind>(&self, object: &K) -> Result<bool, Error> {
        let namespace = object.namespace().unwrap_or_default();
        let resource = ApiResource::erase::<K>(&());
        let untyped = Api::<DynamicObject>::namespaced_with(self.client.clone(), &namespace, &resource);
        match untyped.get_opt(&object.name_any()).await {
            Ok(found) => Ok(found.is_some_and(|found| found.data["status"]["phase"].is_string())),
            Err(source) => Err(failed("read", object, source)),
        }
    }

    /// Merges into the status, provided that nobody changed the object since it was read.
    pub(crate) async fn merge_status<K: HubKind>(
        &self,
        object: &K,
        status: &serde_json::Value,
    ) -> Result<(), Error> {
        let merged = json!({"metadata": {"resourceVersion": object.resource_version()}, "status": status});
        Api::<Guarded<K>>::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
            .patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&merged))
            .await
            .map(drop)
            .map_err(|source| failed("write the status of", object, source))
    }

    pub(crate) async fn add_finalizer<K: HubKind>(&self, object: &K, finalizer: &str) -> Result<(), Error> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(finalizer.to_owned());
        self.patch_metadata(object, json!({"finalizers": finalizers})).await
    }

    /// Whether it was there still.
    pub(crate) async fn remove_finalizer<K: HubKind>(
        &self,
        object: &K,
        finalizer: &str,
    ) -> Result<bool, Error> {
        let finalizers: Vec<_> = object.finalizers().iter().filter(|kept| *kept != finalizer).collect();
        // First, since the deletion may be told before the answer comes.
        self.released.add(object);
        match self.patch_metadata(object, json!({"finalizers": finalizers})).await {
            Ok(()) => Ok(true),
            Err(Error::Hub { source, .. }) if matches!(&*source, kube::Error::Api(s) if s.is_not_found()) => {
                Ok(false)
            }
            Err(error) => {
                self.released.forget(object);
                Err(error)
            }
        }
    }

    /// Merges into `metadata`, provided that nobody changed the object since it was read.
    pub(crate) async fn patch_metadata<K: HubKind>(
        &self,
        object: &K,
        mut metadata: serde_json::Value,
    ) -> Result<(), Error> {
        metadata["resourceVersion"] = json!(object.resource_version());
        Api::<Guarded<K>>::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
            .patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(json!({"metadata": metadata})))
            .await
            .map(drop)
            .map_err(|source| failed("change the metadata of", object, source))
    }
}

fn failed<K: HubKind>(action: &'static str, object: &K, source: kube::Error) -> Error {
    Error::Hub { action, object: describe(object), source: Box::new(source) }
}

/// `Backup default/nightly`: how an object is named in messages and in the owner annotation.
pub(crate) fn describe<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

/// Whether something that is put into the cluster now is waited for when its object is deleted: it is, once the
/// finalizer is there and a label that keeps it there.
pub(crate) fn is_held<K: ResourceExt>(cluster: &K) -> bool {
    cluster.meta().deletion_timestamp.is_some()
        || has_finalizer(cluster, names::CLUSTER_FINALIZER)
            && cluster.labels().contains_key(names::FLEET_NAME_LABEL)
}

pub(crate) fn has_finalizer<K: ResourceExt>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|held| held == finalizer)
}

/// Whether the deletion of this object is to give up on what is out of reach.
pub(crate) fn is_forced<K: ResourceExt>(object: &K) -> bool {
    object.annotations().get(names::FORCE_DELETE_ANNOTATION).is_some_and(|value| value == "true")
}

/// Looks an object up in a cache.
pub(crate) fn find<K: HubKind>(
    store: &Store<Guarded<K>>,
    namespace: &str,
    name: &str,
) -> Option<Arc<Guarded<K>>> {
    store.get(&ObjectRef::new(name).within(namespace))
}

/// Every decodable object of a namespace.
pub(crate) fn in_namespace<K: HubKind>(store: &Store<Guarded<K>>, namespace: &str) -> Vec<Arc<Guarded<K>>> {
    store.state_filter(|object| object.meta().namespace.as_deref() == Some(namespace) && object.0.is_ok())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, OnceLock};

    use super::*;
    use crate::ctx::Ctx;
    use crate::testing::{Answer, answering, ctx};

    fn fleet() -> Fleet {
        let metadata = json!({
            "name": "f", "namespace": "default", "uid": "fleet-uid", "resourceVersion": "1", "finalizers": ["x"],
        });
        serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
    }

    /// Takes the finalizer off where the server answers so; whether the Fleet counted as released then, what came of
    /// it, and whether it counts after.
    async fn released(answer: fn() -> Answer) -> (bool, Option<bool>, bool) {
        let (known, then) = (Arc::new(OnceLock::<Arc<Ctx>>::new()), Arc::new(Mutex::new(false)));
        let (asks, seen) = (Arc::clone(&known), Arc::clone(&then));
        let client = answering(move |_, _| {
            *seen.lock().unwrap() = asks.get().unwrap().hub.released.has(&fleet());
            answer()
        });
        let (ctx, _) = ctx(client);
        known.set(Arc::clone(&ctx)).ok().unwrap();
        let taken_off = ctx.hub.remove_finalizer(&fleet(), "x").await.ok();
        let then = *then.lock().unwrap();
        (then, taken_off, ctx.hub.released.has(&fleet()))
    }

    #[tokio::test]
    async fn an_object_is_released_before_its_finalizer_goes_and_not_if_that_fails() {
        let taken = || (200, serde_json::to_value(fleet()).unwrap());
        assert_eq!(released(taken).await, (true, Some(true), true));
        assert_eq!(released(|| (404, json!("NotFound"))).await, (true, Some(false), true));
        assert_eq!(released(|| (409, json!("Conflict"))).await, (true, None, false));
    }
}
