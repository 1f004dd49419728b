//! What a test puts on the hub and in the members: a hub namespace of its own, clusters, a fleet, a workload.
//!
//! Tests of one binary share the lab and one `kurator serve`. They stay out of each other's way by names: a
//! [`Tenant`] is a hub namespace, and its clusters and its fleet carry that namespace in their names, because the
//! Secret in a member is named after the fleet.

mod shelf;

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::PostParams;
use kube::{Api, Client};
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::names::VELERO_NAMESPACE;
use serde_json::{Value, json};

use crate::wait::until;
use crate::{Cluster, Lab, S3, Serving};
use shelf::failed;
pub use shelf::{FixtureError, Object, Shelf, condition, json_of};

/// Longest wait for anything; generous, because labs share their machine.
pub const BOUND: Duration = Duration::from_secs(120);

/// Secret on the hub with the object store's keys.
pub const CREDENTIALS: &str = "minio-credentials";

/// Waits until a `kurator serve` leads and knows all of its hub. Call it inside [`Lab::run`].
///
/// # Errors
/// It did not become ready.
pub async fn ready(serving: &Serving) -> Result<(), FixtureError> {
    until("kurator serve to be ready", BOUND, async || match serving.get("/readyz").await {
        Ok((200, said)) if said.contains("leading") => Ok(Some(())),
        Ok((status, said)) => Err(format!("{status} {said}")),
        Err(error) => Err(error.to_string()),
    })
    .await?;
    Ok(())
}

/// An object of this kind, name and spec.
///
/// # Errors
/// The spec does not fit the kind.
pub fn object<K: Object>(name: &str, spec: Value) -> Result<K, FixtureError> {
    let mut whole = json!({"metadata": {"name": name}});
    whole["spec"] = spec;
    serde_json::from_value(whole).map_err(|source| FixtureError::Shape { name: name.to_owned(), source })
}

/// A backup plugin that keeps everything under `prefix` in the lab's bucket.
#[must_use]
pub fn minio(prefix: &str) -> Value {
    json!({"backup": {"storage": {
        "location": {
            "bucket": S3::BUCKET, "provider": "aws", "endpoint": S3::ENDPOINT, "region": S3::REGION, "prefix": prefix,
        },
        "secretName": CREDENTIALS,
    }}})
}

/// Objects of Velero's namespace in a member. Call it inside [`Lab::run`].
///
/// # Errors
/// No client could be made.
pub fn velero<K: Object>(member: &Cluster) -> Result<Shelf<K>, FixtureError> {
    shelf(member, VELERO_NAMESPACE)
}

/// Objects of a namespace in a member. Call it inside [`Lab::run`].
///
/// # Errors
/// No client could be made.
pub fn shelf<K: Object>(member: &Cluster, namespace: &str) -> Result<Shelf<K>, FixtureError> {
    Ok(Shelf(Api::namespaced(member.client()?, namespace)))
}

/// Something to back up: a namespace in a member with one ConfigMap.
///
/// # Errors
/// The member refused.
pub async fn sow(member: &Cluster, namespace: &str) -> Result<(), FixtureError> {
    let client = member.client()?;
    create_namespace(&client, namespace).await?;
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "prices"}, "data": {"tea": "3"}}))
            .map_err(|source| FixtureError::Shape { name: "prices".to_owned(), source })?;
    Shelf(Api::namespaced(client, namespace)).create(&map).await.map(drop)
}

async fn create_namespace(client: &Client, name: &str) -> Result<(), FixtureError> {
    let namespace = Namespace {
        metadata: kube::core::ObjectMeta { name: Some(name.to_owned()), ..kube::core::ObjectMeta::default() },
        ..Namespace::default()
    };
    let created = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await;
    created.map(drop).map_err(failed("create", "Namespace", name))
}

/// A namespace of the hub, and everything of one test in it.
pub struct Tenant<'a> {
    lab: &'a Lab,
    client: Client,
    namespace: String,
}

impl<'a> Tenant<'a> {
    /// Creates the namespace, with the keys of the lab's object store in a Secret. Call it inside [`Lab::run`].
    ///
    /// # Errors
    /// The hub refused, for example because another test has a namespace of this name.
    pub async fn new(lab: &'a Lab, namespace: &str) -> Result<Self, FixtureError> {
        Self::at(lab, lab.hub(), namespace).await
    }

    /// As [`Tenant::new`], with another cluster of the lab as the hub.
    ///
    /// # Errors
    /// As [`Tenant::new`].
    pub async fn at(lab: &'a Lab, hub: &Cluster, namespace: &str) -> Result<Self, FixtureError> {
        let tenant = Self::present(lab, hub, namespace)?;
        create_namespace(&tenant.client, namespace).await?;
        tenant.credentials().await?;
        Ok(tenant)
    }

    /// Creates the Secret [`CREDENTIALS`], which a new tenant has already.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn credentials(&self) -> Result<(), FixtureError> {
        self.secret(CREDENTIALS, &[("access-key", S3::ACCESS_KEY), ("secret-key", S3::SECRET_KEY)]).await
    }

    /// A namespace that is there already. A client works in one [`Lab::run`] only, so each needs a tenant of its own.
    ///
    /// # Errors
    /// No client could be made.
    pub fn present(lab: &'a Lab, hub: &Cluster, namespace: &str) -> Result<Self, FixtureError> {
        Ok(Self { lab, client: hub.client()?, namespace: namespace.to_owned() })
    }

    /// Name of the namespace, of the fleet that [`Tenant::fleet`] makes, and beginning of all cluster names.
    pub fn name(&self) -> &str {
        &self.namespace
    }

    /// Objects of this namespace.
    pub fn all<K: Object>(&self) -> Shelf<K> {
        Shelf(Api::namespaced(self.client.clone(), &self.namespace))
    }

    /// Creates an object from its spec.
    ///
    /// # Errors
    /// The spec does not fit the kind, or the hub refused.
    pub async fn create<K: Object>(&self, name: &str, spec: Value) -> Result<K, FixtureError> {
        self.all().create(&object(name, spec)?).await
    }

    /// Creates a Secret of texts.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn secret(&self, name: &str, data: &[(&str, &str)]) -> Result<(), FixtureError> {
        let texts = data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let mut secret = Secret { string_data: Some(texts), ..Secret::default() };
        secret.metadata.name = Some(name.to_owned());
        self.all().create(&secret).await.map(drop)
    }

    /// Replaces texts in a Secret.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn rotate(&self, name: &str, data: &[(&str, &str)]) -> Result<(), FixtureError> {
        let texts: serde_json::Map<_, _> =
            data.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
        self.all::<Secret>().merge(name, json!({"stringData": texts})).await.map(drop)
    }

    /// Attaches member `i` of the lab under `<namespace>-m<i>`; does not wait.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn attach(&self, i: usize) -> Result<String, FixtureError> {
        let name = format!("{}-m{i}", self.namespace);
        self.attach_as(&name, &self.lab.member(i).kubeconfig()).await?;
        Ok(name)
    }

    /// Attaches a cluster by a kubeconfig, kept in a Secret of the same name under the key `value`; does not wait.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn attach_as(&self, name: &str, kubeconfig: &str) -> Result<(), FixtureError> {
        self.secret(name, &[("value", kubeconfig)]).await?;
        self.create::<AttachedCluster>(name, json!({"kubeconfig": {"name": name, "key": "value"}}))
            .await
            .map(drop)
    }

    /// Creates a Fleet of these AttachedClusters, named as the namespace; does not wait.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn fleet(&self, clusters: &[&str], plugin: Option<Value>) -> Result<Fleet, FixtureError> {
        let clusters: Vec<_> =
            clusters.iter().map(|name| json!({"kind": "AttachedCluster", "name": name})).collect();
        let mut spec = json!({"clusters": clusters});
        if let Some(plugin) = plugin {
            spec["plugin"] = plugin;
        }
        self.create(&self.namespace, spec).await
    }

    /// A Ready fleet with the backup plugin on members 1 to `members` of the lab, everything under a prefix named
    /// as the namespace; the names of its clusters.
    ///
    /// # Errors
    /// The hub refused, or the fleet did not become Ready.
    pub async fn ready_fleet(&self, members: usize) -> Result<Vec<String>, FixtureError> {
        let mut names = Vec::with_capacity(members);
        for i in 1..=members {
            names.push(self.attach(i).await?);
        }
        let clusters: Vec<_> = names.iter().map(String::as_str).collect();
        self.fleet(&clusters, Some(minio(&self.namespace))).await?;
        self.all::<Fleet>().until_phase(&self.namespace, "Ready").await?;
        Ok(names)
    }

    /// Waits for an event about an object; its note.
    ///
    /// # Errors
    /// None came.
    pub async fn until_event(&self, kind: &str, name: &str, reason: &str) -> Result<String, FixtureError> {
        let events = self.all::<Event>();
        let about = |event: &Event| {
            event.reason.as_deref() == Some(reason)
                && event.regarding.as_ref().is_some_and(|object| {
                    object.kind.as_deref() == Some(kind) && object.name.as_deref() == Some(name)
                })
        };
        let what = format!("an event {reason} about {kind} {name}");
        let note = until(&what, BOUND, async || {
            let found = events.list("").await?;
            Ok::<_, FixtureError>(found.into_iter().find(about).map(|event| event.note.unwrap_or_default()))
        });
        Ok(note.await?)
    }
}
