//! What a test puts on the hub and in the members: a hub namespace of its own, clusters, a fleet, a workload.
//!
//! Tests of one binary share the lab and one `kurator serve`. They stay out of each other's way by names: a
//! [`Tenant`] is a hub namespace, and its clusters and its fleet carry that namespace in their names, because the
//! Secret in a member is named after the fleet.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::names::VELERO_NAMESPACE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::wait::{TimedOut, until};
use crate::{Cluster, Lab, LabError, S3, Serving};

/// Longest wait for anything; generous, because labs share their machine.
pub const BOUND: Duration = Duration::from_secs(120);

/// Secret on the hub with the object store's keys.
pub const CREDENTIALS: &str = "minio-credentials";

/// A fixture that could not be made, or a wish that did not come true.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// An API server refused, or did not answer.
    #[error("cannot {action} {object}")]
    Kube {
        /// What was tried.
        action: &'static str,
        /// With which object.
        object: String,
        /// The answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The JSON of a test is no object of this kind.
    #[error("`{name}` is no object of its kind")]
    Shape {
        /// Name of the object.
        name: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// Waited in vain.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The lab failed.
    #[error(transparent)]
    Lab(#[from] LabError),
}

impl FixtureError {
    /// The API server's own words, if it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Kube { source, .. } => match &**source {
                kube::Error::Api(status) => Some(&status.message),
                _ => None,
            },
            Self::Shape { .. } | Self::TimedOut(_) | Self::Lab(_) => None,
        }
    }
}

/// A namespaced kind with a Rust type.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

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
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))
        .map_err(|source| FixtureError::Shape { name: name.to_owned(), source })
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
    Ok(Shelf(Api::namespaced(member.client()?, VELERO_NAMESPACE)))
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

fn failed(action: &'static str, kind: &str, name: &str) -> impl FnOnce(kube::Error) -> FixtureError {
    let object = format!("{kind} {name}");
    move |source| FixtureError::Kube { action, object, source: Box::new(source) }
}

/// All objects of one kind in one namespace, with the waits that tests are made of.
pub struct Shelf<K>(Api<K>);

impl<K: Object> Shelf<K> {
    /// The plain API, for what a test says only once.
    pub fn api(&self) -> &Api<K> {
        &self.0
    }

    /// Creates an object.
    ///
    /// # Errors
    /// The API server refused.
    pub async fn create(&self, object: &K) -> Result<K, FixtureError> {
        let name = object.meta().name.clone().unwrap_or_default();
        self.0.create(&PostParams::default(), object).await.map_err(failed("create", &K::kind(&()), &name))
    }

    /// Reads an object.
    ///
    /// # Errors
    /// It is not there, or nobody answered.
    pub async fn get(&self, name: &str) -> Result<K, FixtureError> {
        self.0.get(name).await.map_err(failed("read", &K::kind(&()), name))
    }

    /// Reads all objects with this label, such as `kurator.dev/backup-name=nightly`; the empty selector means all.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn list(&self, labels: &str) -> Result<Vec<K>, FixtureError> {
        let found = self.0.list(&ListParams::default().labels(labels)).await;
        Ok(found.map_err(failed("list", &K::kind(&()), labels))?.items)
    }

    /// Merges into an object.
    ///
    /// # Errors
    /// The API server refused.
    pub async fn merge(&self, name: &str, change: Value) -> Result<K, FixtureError> {
        let merged = self.0.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
        merged.map_err(failed("change", &K::kind(&()), name))
    }

    /// Merges into an object's status, as whoever owns that status would.
    ///
    /// # Errors
    /// The API server refused.
    pub async fn merge_status(&self, name: &str, status: Value) -> Result<K, FixtureError> {
        let change = Patch::Merge(json!({"status": status}));
        let merged = self.0.patch_status(name, &PatchParams::default(), &change).await;
        merged.map_err(failed("change the status of", &K::kind(&()), name))
    }

    /// Asks for an object to be deleted.
    ///
    /// # Errors
    /// The API server refused.
    pub async fn delete(&self, name: &str) -> Result<(), FixtureError> {
        let deleted = self.0.delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(failed("delete", &K::kind(&()), name))
    }

    /// Waits until an object is there and `holds`; the object as it was then.
    ///
    /// # Errors
    /// It never did; the error shows the object.
    pub async fn until(&self, name: &str, what: &str, holds: impl Fn(&K) -> bool) -> Result<K, FixtureError> {
        let what = format!("{} {name}: {what}", K::kind(&()));
        let seen = until(&what, BOUND, async || {
            let object = self.0.get(name).await.map_err(|error| error.to_string())?;
            if holds(&object) { Ok(Some(object)) } else { Err(json_of(&object).to_string()) }
        });
        Ok(seen.await?)
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// It stayed; the error shows it.
    pub async fn until_gone(&self, name: &str) -> Result<(), FixtureError> {
        let what = format!("{} {name} to be gone", K::kind(&()));
        let gone = until(&what, BOUND, async || match self.0.get_opt(name).await {
            Ok(None) => Ok(Some(())),
            Ok(Some(object)) => Err(json_of(&object).to_string()),
            Err(error) => Err(error.to_string()),
        });
        Ok(gone.await?)
    }

    /// Waits for `status.phase`.
    ///
    /// # Errors
    /// It never came; the error shows the object.
    pub async fn until_phase(&self, name: &str, phase: &str) -> Result<K, FixtureError> {
        self.until(name, &format!("phase {phase}"), |object| json_of(object)["status"]["phase"] == phase)
            .await
    }

    /// Waits until the condition `Ready` has this reason; its message.
    ///
    /// # Errors
    /// It never came; the error shows the object.
    pub async fn until_reason(&self, name: &str, reason: &str) -> Result<String, FixtureError> {
        self.until_condition(name, "Ready", reason).await
    }

    /// Waits until a condition has this reason; its message.
    ///
    /// # Errors
    /// It never came; the error shows the object.
    pub async fn until_condition(
        &self,
        name: &str,
        type_: &str,
        reason: &str,
    ) -> Result<String, FixtureError> {
        let what = format!("condition {type_} because of {reason}");
        let has_it = |object: &K| condition(object, type_).is_some_and(|found| found["reason"] == reason);
        let object = self.until(name, &what, has_it).await?;
        let message =
            condition(&object, type_).and_then(|found| found["message"].as_str().map(str::to_owned));
        Ok(message.unwrap_or_default())
    }
}

fn json_of<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// A condition of any kind, as JSON.
pub fn condition<K: Serialize>(object: &K, type_: &str) -> Option<Value> {
    let object = json_of(object);
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_).cloned()
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
        let client = lab.hub().client()?;
        create_namespace(&client, namespace).await?;
        let tenant = Self { lab, client, namespace: namespace.to_owned() };
        tenant.secret(CREDENTIALS, &[("access-key", S3::ACCESS_KEY), ("secret-key", S3::SECRET_KEY)]).await?;
        Ok(tenant)
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
