//! What the built-in engine needs in a member that never had Velero: its namespace and its types. Made only where they
//! are absent; taken away again only if they were made here and nothing is left in them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Preconditions};
use kube::core::ObjectMeta;
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Api, Client, Resource, ResourceExt};
use kurator_api::{names, velero};

use crate::writes::{self, Failure};

/// Longest time until an API server serves a new type.
const SERVED_WITHIN: Duration = Duration::from_secs(30);
/// Requests that are over at once, and hold nothing.
const PASSING: [&str; 2] = ["serverstatusrequests", "downloadrequests"];
/// What Kubernetes itself keeps in every namespace, by kind and name.
const KUBERNETES_OWN: [(&str, &str); 2] = [("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")];

/// Makes what is absent of it, and waits until the types are served.
pub(super) async fn lay(client: Client) -> Result<(), Failure> {
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(names::VELERO_NAMESPACE.to_owned()),
            annotations: Some(
                [(names::MADE_BY_ANNOTATION.to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
            ),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let namespaces = Api::<Namespace>::all(client.clone());
    if namespaces.get_opt(names::VELERO_NAMESPACE).await?.is_none() {
        writes::create(&namespaces, &namespace).await?;
    }
    let definitions = Api::<CustomResourceDefinition>::all(client);
    let mut made = Vec::new();
    for wanted in velero::crds() {
        let name = wanted.name_any();
        if definitions.get_opt(&name).await?.is_none() {
            writes::create(&definitions, &wanted).await?;
            made.push(name);
        }
    }
    for name in made {
        let served = await_condition(definitions.clone(), &name, conditions::is_crd_established());
        match tokio::time::timeout(SERVED_WITHIN, served).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Failure::Transient(kurator_member::causes::chain(&error))),
            Err(_) => {
                return Err(Failure::Transient(format!("the API server does not serve CRD {name}")));
            }
        }
    }
    Ok(())
}

/// Takes away what [`lay`] made, if nobody has anything in it, and the engine's Lease.
pub(super) async fn clear(client: Client) -> Result<(), Failure> {
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let all = definitions.list(&ListParams::default()).await?.items;
    let mut types: Vec<_> =
        all.into_iter().filter(|found| found.spec.group == velero::Backup::group(&())).collect();
    // The last that was made goes first: where only some are gone, no engine begins.
    types.sort_by_key(|found| found.spec.names.plural != velero::ServerStatusRequest::plural(&()));
    if in_use(&client, &types).await? {
        return Ok(());
    }
    let leases = Api::<Lease>::namespaced(client.clone(), names::VELERO_NAMESPACE);
    // Nothing is left that an engine could run: it is nobody's, whoever held it last.
    if let Some(found) = leases.get_opt(names::ENGINE_LEASE).await? {
        writes::gone(leases.delete(names::ENGINE_LEASE, &as_seen(&found)).await)?;
    }
    for found in types.into_iter().filter(is_ours) {
        writes::gone(definitions.delete(&found.name_any(), &as_seen(&found)).await)?;
    }
    let namespaces = Api::<Namespace>::all(client.clone());
    let Some(found) = namespaces.get_opt(names::VELERO_NAMESPACE).await?.filter(is_ours) else {
        return Ok(());
    };
    if is_empty(&client, names::VELERO_NAMESPACE).await? {
        writes::gone(namespaces.delete(names::VELERO_NAMESPACE, &as_seen(&found)).await)?;
    }
    Ok(())
}

fn is_ours<K: ResourceExt>(found: &K) -> bool {
    found.annotations().contains_key(names::MADE_BY_ANNOTATION)
}

/// Not what somebody made or changed in its place since.
fn as_seen<K: ResourceExt>(found: &K) -> DeleteParams {
    let (uid, resource_version) = (found.uid(), found.resource_version());
    DeleteParams { preconditions: Some(Preconditions { uid, resource_version }), ..DeleteParams::default() }
}

/// Whether any object of these types is left, in any namespace.
async fn in_use(client: &Client, types: &[CustomResourceDefinition]) -> Result<bool, Failure> {
    for found in types {
        let spec = &found.spec;
        if PASSING.contains(&spec.names.plural.as_str()) {
            continue;
        }
        for version in spec.versions.iter().filter(|version| version.served) {
            let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, &spec.names.plural);
            let objects = Api::<DynamicObject>::all_with(client.clone(), &resource);
            if !objects.list_metadata(&ListParams::default().limit(1)).await?.items.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a namespace holds nothing but what Kubernetes itself puts there.
async fn is_empty(client: &Client, namespace: &str) -> Result<bool, Failure> {
    let discovery = Discovery::new(client.clone()).run().await?;
    for (resource, capabilities) in
        discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources)
    {
        let passes = resource.kind == "Event" || resource.group == velero::Backup::group(&());
        if passes || capabilities.scope != Scope::Namespaced || !capabilities.supports_operation(verbs::LIST)
        {
            continue;
        }
        let objects = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
        let found = match objects.list_metadata(&ListParams::default().limit(5)).await {
            Ok(found) => found,
            // A type can go between the two questions.
            Err(kube::Error::Api(status)) if status.is_not_found() => continue,
            Err(error) => return Err(error.into()),
        };
        let is_own = |name: &str| KUBERNETES_OWN.contains(&(resource.kind.as_str(), name));
        if found.items.iter().any(|object| !is_own(&object.name_any())) {
            return Ok(false);
        }
    }
    Ok(true)
}
