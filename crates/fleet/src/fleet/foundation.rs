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

/// Makes what is absent of it, and waits until the types are served. What is being deleted can be made when it is gone.
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
    match namespaces.get_opt(names::VELERO_NAMESPACE).await? {
        None => writes::create(&namespaces, &namespace).await?,
        Some(found) if found.metadata.deletion_timestamp.is_some() => {
            return Err(Failure::NoPlace(format!(
                "namespace `{0}` is being deleted; it is made again when it is gone, and the conditions of `kubectl get \
                 namespace {0} -o yaml` say what that waits for",
                names::VELERO_NAMESPACE
            )));
        }
        Some(_) => {}
    }
    let definitions = Api::<CustomResourceDefinition>::all(client);
    let mut made = Vec::new();
    for wanted in velero::crds() {
        let name = wanted.name_any();
        match definitions.get_opt(&name).await? {
            None => {
                writes::create(&definitions, &wanted).await?;
                made.push(name);
            }
            Some(found) if found.metadata.deletion_timestamp.is_some() => {
                return Err(Failure::NoPlace(format!(
                    "type `{name}` is being deleted; it is made again when it is gone, which waits for its objects: \
                     `kubectl get {name} --all-namespaces` shows them"
                )));
            }
            Some(found) if !serves(&found, &velero::Backup::version(&())) => {
                return Err(Failure::NoPlace(format!(
                    "type `{name}` is there without version {}; remove it, or install the types of a Velero that has it",
                    velero::Backup::version(&())
                )));
            }
            Some(_) => {}
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

fn serves(definition: &CustomResourceDefinition, version: &str) -> bool {
    definition.spec.versions.iter().any(|known| known.served && known.name == version)
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::testing::answering;

    /// A type that is there as it is to be, but for what `change` makes of it.
    fn definition(name: &str, change: impl Fn(&mut Value)) -> Value {
        let found = velero::crds().into_iter().find(|crd| crd.name_any() == name).unwrap_or_default();
        let mut found = serde_json::to_value(found).unwrap();
        found["metadata"]["uid"] = json!("u");
        found["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        change(&mut found);
        found
    }

    /// What came of it in a cluster in which `change` was done to these objects, and the paths that were written to.
    async fn laid(
        change: impl Fn(&str, &mut Value) + Send + Sync + 'static,
    ) -> (Result<(), Failure>, Vec<String>) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writes = Arc::clone(&written);
        let client = answering(move |method, path| {
            if method != "GET" {
                writes.lock().unwrap().push(format!("{method} {path}"));
            }
            let name = path.rsplit('/').next().unwrap_or_default();
            let mut found = match name {
                "velero" => json!({"metadata": {"name": name}}),
                _ => definition(name, |_| {}),
            };
            change(name, &mut found);
            if found.is_null() { (404, json!("NotFound")) } else { (200, found) }
        });
        let laid = lay(client).await;
        (laid, std::mem::take(&mut written.lock().unwrap()))
    }

    const GOING: &str = "2026-11-01T00:00:00Z";

    #[tokio::test]
    async fn where_everything_is_there_nothing_is_written() {
        assert_eq!(laid(|_, _| {}).await, (Ok(()), Vec::new()));
    }

    #[tokio::test]
    async fn what_is_being_deleted_is_named_and_not_made_before_it_is_gone() {
        for (going, words) in [
            ("velero", "namespace `velero` is being deleted"),
            ("backups.velero.io", "type `backups.velero.io` is being deleted"),
        ] {
            let (laid, written) = laid(move |name, found| {
                if name == going {
                    found["metadata"]["deletionTimestamp"] = json!(GOING);
                }
            })
            .await;
            let Err(Failure::NoPlace(why)) = laid else { panic!("{laid:?}") };
            assert!(why.starts_with(words), "{why}");
            assert!(written.is_empty(), "{written:?}");
        }
    }

    #[tokio::test]
    async fn a_type_without_the_version_that_is_spoken_stays_and_is_named() {
        let (laid, written) = laid(|name, found| {
            if name == "restores.velero.io" {
                found["spec"]["versions"][0]["served"] = json!(false);
            }
        })
        .await;
        let Err(Failure::NoPlace(why)) = laid else { panic!("{laid:?}") };
        assert!(why.starts_with("type `restores.velero.io` is there without version v1"), "{why}");
        assert!(written.is_empty(), "{written:?}");
    }
}
