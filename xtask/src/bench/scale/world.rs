//! Everything around the hub: its API server, the members and the object store, all in this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Client, ResourceExt};
use kurator_apiserver::{ApiServer, Front, Numbers};
use kurator_member::clock::{Clock as _, SystemClock};
use kurator_s3server::S3Server;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Namespace on the hub.
pub(super) const NAMESPACE: &str = "default";
/// Name of the Fleet.
pub(super) const FLEET: &str = "scale";
/// Namespace in each member that is backed up.
pub(super) const WORKLOAD: &str = "shop";
const KIND: &str = "AttachedCluster";
const BUCKET: &str = "velero";
const HUB: &str = "hub";
/// Requests side by side while the world is made.
const SOWERS: usize = 32;

/// The world, which ends when it is dropped.
pub(super) struct World {
    folder: TempDir,
    pub(super) hub: Client,
    pub(super) members: Vec<Member>,
    store: Store,
    _end: DropGuard,
}

/// One member.
pub(super) struct Member {
    pub(super) name: String,
    kubeconfig: String,
    pub(super) client: Client,
}

struct Store {
    endpoint: String,
    access_key: String,
    secret_key: String,
}

/// UIDs and names that nobody has had before.
struct Unique;

impl Numbers for Unique {
    fn next(&self) -> u64 {
        rand::random()
    }
}

impl World {
    /// A hub with nothing in it, and members with a small workload.
    pub(super) async fn start(members: usize) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("kurator-scale-").tempdir()?;
        let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let cluster = || ApiServer::new(Arc::new(|| SystemClock.now()), Arc::new(Unique));
        let hub = cluster();
        let clusters: Vec<_> = (1..=members).map(|i| (format!("member-{i}"), cluster())).collect();
        let all = clusters.iter().cloned().chain([(HUB.to_owned(), hub.clone())]);
        let front = Front::bind(local, all).await?;
        let kubeconfig = |name: &str| front.kubeconfig(name).context("a cluster is not served");
        std::fs::write(folder.path().join(HUB), kubeconfig(HUB)?).context("cannot write a kubeconfig")?;
        std::fs::create_dir(folder.path().join("spool")).context("cannot make a folder")?;
        let members = clusters.into_iter().map(|(name, server)| {
            let client = Client::new(server.router(), "default");
            Ok(Member { kubeconfig: kubeconfig(&name)?, client, name })
        });
        let members = members.collect::<Result<Vec<_>>>()?;
        let bucket = S3Server::bind(local, &folder.path().join("store"), &[BUCKET]).await?;
        let store = Store {
            endpoint: bucket.endpoint(),
            access_key: bucket.access_key().to_owned(),
            secret_key: bucket.secret_key().to_owned(),
        };
        tasks.spawn(front.serve(end.clone()));
        tasks.spawn(bucket.serve(end.clone()));
        let hub = Client::new(hub.router(), NAMESPACE);
        sow(&members).await?;
        Ok(Self { folder, hub, members, store, _end: end.drop_guard() })
    }

    /// Kubeconfig of the hub.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join(HUB)
    }

    /// Folder for the hub's temporary files.
    pub(super) fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// Where the hub logs.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Attaches all members and makes one Fleet of them, as a user does.
    pub(super) async fn attach(&self) -> Result<()> {
        let Store { endpoint, access_key, secret_key } = &self.store;
        let keys = json!({"access-key": access_key, "secret-key": secret_key});
        create(&self.hub, &secret("object-store", &keys)).await?;
        let attached = self.members.iter().map(|Member { name, kubeconfig, .. }| async move {
            create(&self.hub, &secret(name, &json!({"kubeconfig": kubeconfig}))).await?;
            let spec = json!({"spec": {"kubeconfig": {"name": name, "key": "kubeconfig"}}});
            let cluster = object("cluster.kurator.dev/v1alpha1", KIND, NAMESPACE, name, &spec);
            create(&self.hub, &cluster).await
        });
        stream::iter(attached).buffer_unordered(SOWERS).try_collect::<()>().await?;
        let clusters: Vec<_> =
            self.members.iter().map(|member| json!({"name": member.name, "kind": KIND})).collect();
        let location =
            json!({"bucket": BUCKET, "provider": "aws", "endpoint": endpoint, "region": S3Server::REGION});
        let storage = json!({"location": location, "secretName": "object-store"});
        let plugin = json!({"backup": {"engine": "Builtin", "storage": storage}});
        let spec = json!({"spec": {"clusters": clusters, "plugin": plugin}});
        create(&self.hub, &object("fleet.kurator.dev/v1alpha1", "Fleet", NAMESPACE, FLEET, &spec)).await
    }
}

/// Ten objects and their namespace in each member.
async fn sow(members: &[Member]) -> Result<()> {
    let workload = &workload();
    let sown = members.iter().map(|member| async move {
        for object in workload {
            create(&member.client, object).await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    stream::iter(sown).buffer_unordered(SOWERS).try_collect().await
}

fn workload() -> Vec<Value> {
    let mut all = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WORKLOAD}})];
    let app = json!({"app": "shop"});
    let pod = json!({
        "metadata": {"labels": app},
        "spec": {"containers": [{"name": "web", "image": "registry.example/shop/web:1.4", "ports": [{"containerPort": 8080}]}]},
    });
    let deployment = json!({"spec": {"replicas": 2, "selector": {"matchLabels": app}, "template": pod}});
    all.push(object("apps/v1", "Deployment", WORKLOAD, "web", &deployment));
    let service = json!({"spec": {"selector": app, "ports": [{"port": 80, "targetPort": 8080}]}});
    all.push(object("v1", "Service", WORKLOAD, "web", &service));
    all.push(object("v1", "ServiceAccount", WORKLOAD, "web", &json!({})));
    for i in 1..=5 {
        let data = json!({"data": {"settings.yaml": "prices: {tea: 3, coffee: 4}\n".repeat(10)}});
        all.push(object("v1", "ConfigMap", WORKLOAD, &format!("settings-{i}"), &data));
    }
    for i in 1..=2 {
        let data = json!({"stringData": {"password": "correct horse battery staple"}});
        all.push(object("v1", "Secret", WORKLOAD, &format!("keys-{i}"), &data));
    }
    all
}

fn secret(name: &str, data: &Value) -> Value {
    object("v1", "Secret", NAMESPACE, name, &json!({"stringData": data}))
}

/// An object with this content beside its names.
pub(super) fn object(version: &str, kind: &str, namespace: &str, name: &str, content: &Value) -> Value {
    let mut whole = content.clone();
    whole["apiVersion"] = json!(version);
    whole["kind"] = json!(kind);
    whole["metadata"] = json!({"name": name, "namespace": namespace});
    whole
}

/// Creates an object in its namespace.
pub(super) async fn create(client: &Client, whole: &Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(whole.clone())?;
    let types = object.types.clone().unwrap_or_default();
    let kind = GroupVersionKind::try_from(&types)?;
    let resource = ApiResource::from_gvk(&kind);
    let api = match object.namespace() {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let made = api.create(&PostParams::default(), &object).await;
    made.map(drop).with_context(|| format!("cannot create {} {}", types.kind, object.name_any()))
}
