//! The hub, its members and the object store: everything that a real installation has around `kurator`.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kurator_api::fleet::{Engine, Installer};
use kurator_apiserver::{ApiServer, Front, FrontError, Numbers};
use kurator_engines::Engines;
use kurator_fleet::Options;
use kurator_member::clock::{Clock as _, SystemClock};
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;
use kurator_member::kubeconfig::TrustPolicy;
use kurator_s3server::S3Server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::held::hold;
use super::render::Facts;
use crate::failure::Failure;
use crate::serve::Hub;
use crate::verbs;
use crate::verbs::get::Overview;

/// Bucket of the documentation's examples.
pub(super) const BUCKET: &str = "velero";
/// Namespace of everything on the hub.
pub(super) const NAMESPACE: &str = "default";
const HUB: &str = "hub";
const ENGINE_MIB: u32 = 256;
const CONCURRENCY: u16 = 16;
/// Longest time that the object store is given to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What is to be there.
pub(super) struct Plan<'a> {
    pub(super) members: u16,
    pub(super) port: u16,
    /// Folder of the object store, instead of one in `folder`.
    pub(super) store: Option<PathBuf>,
    /// For everything that goes at the end.
    pub(super) folder: &'a Path,
}

/// One embedded cluster, as its users have it.
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) kubeconfig: String,
    pub(super) file: PathBuf,
    pub(super) client: Client,
}

/// How the object store is reached.
pub(super) struct Store {
    pub(super) root: PathBuf,
    pub(super) endpoint: String,
    pub(super) access_key: String,
    pub(super) secret_key: String,
    _held: File,
}

pub(super) struct World {
    pub(super) hub: Cluster,
    pub(super) members: Vec<Cluster>,
    pub(super) store: Store,
    server: String,
    took: Duration,
    /// Ends the servers.
    close: CancellationToken,
    servers: TaskTracker,
}

/// What works on the world.
pub(super) struct Controllers {
    ended: JoinHandle<Result<(), Failure>>,
    leave: CancellationToken,
}

/// UIDs and names that nobody has had before.
struct Unique;

impl Numbers for Unique {
    fn next(&self) -> u64 {
        rand::random()
    }
}

impl World {
    /// Brings everything up, to the point where the controllers work.
    pub(super) async fn start(plan: Plan<'_>) -> Result<(Self, Controllers), Failure> {
        let began = Instant::now();
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (servers, close) = (TaskTracker::new(), CancellationToken::new());

        let names: Vec<_> = (1..=plan.members).map(|i| format!("kurator-member{i}")).collect();
        let clusters = std::iter::once(HUB.to_owned()).chain(names.iter().cloned());
        let cluster = || ApiServer::new(Arc::new(|| SystemClock.now()), Arc::new(Unique));
        let front = Front::bind(local(plan.port), clusters.map(|name| (name, cluster()))).await;
        let front = front.map_err(|error| match &error {
            FrontError::Listen { .. } => Failure::with_hint(
                error,
                "another process may hold the port; leave out --port for any free one",
            ),
            _ => error.into(),
        })?;
        let root = plan.store.unwrap_or_else(|| plan.folder.join("store"));
        let held = hold(&root).map_err(|error| {
            Failure::with_hint(error, "name an empty folder that can be written with --store DIR")
        })?;
        let bucket = S3Server::bind(local(0), &root, &[BUCKET]).await.map_err(|error| {
            Failure::with_hint(error, "name a folder that can be written with --store DIR")
        })?;
        let store = Store {
            _held: held,
            root,
            endpoint: bucket.endpoint(),
            access_key: bucket.access_key().to_owned(),
            secret_key: bucket.secret_key().to_owned(),
        };
        let kubeconfig = |name: &str| front.kubeconfig(name).context("a cluster is not served");
        let hub = Cluster::new(HUB, kubeconfig(HUB)?, plan.folder).await?;
        let mut members = Vec::with_capacity(names.len());
        for name in &names {
            members.push(Cluster::new(name, kubeconfig(name)?, plan.folder).await?);
        }
        let server = format!("https://{}", front.address());
        servers.spawn(front.serve(close.clone()));
        servers.spawn(bucket.serve(close.clone()));

        let spool = plan.folder.join("spool");
        tokio::fs::create_dir(&spool).await.with_context(|| format!("cannot make {}", spool.display()))?;
        // Nobody but this process can serve the embedded clusters: there is nobody to ask.
        let engines = Engines::new(ENGINE_MIB, spool, Duration::ZERO, Arc::new(SystemClock));
        let options = Options {
            default_engine: Engine::Builtin,
            default_installer: Installer::None,
            trust: TrustPolicy { allow_loopback: true },
            concurrency: CONCURRENCY,
        };
        let controllers = Hub::new(hub.config().await?, NAMESPACE.to_owned(), engines, options)?;
        let health = controllers.health();
        let leave = CancellationToken::new();
        let ended = leave.clone();
        let ended = TaskTracker::new().spawn(async move { controllers.run(&ended).await });
        let mut controllers = Controllers { ended, leave };
        tokio::select! {
            () = health.until_ready() => {}
            died = controllers.died() => return Err(died),
        }
        Ok((Self { hub, members, store, server, took: began.elapsed(), close, servers }, controllers))
    }

    /// What came up.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            members: self.members.len(),
            server: self.server.clone(),
            store: self.store.endpoint.clone(),
            took: self.took,
        }
    }

    /// Everything on the hub.
    pub(super) async fn overview(&self) -> Result<Overview, Failure> {
        Overview::of(&verbs::hub::Hub::new(self.hub.client.clone(), NAMESPACE, &self.server)).await
    }

    /// Ends everything, in order.
    pub(super) async fn end(self, controllers: Controllers) {
        controllers.leave.cancel();
        if let Ok(Err(_)) | Err(_) = controllers.ended.await {
            tracing::warn!("the controllers did not end in order");
        }
        self.close.cancel();
        self.servers.close();
        if tokio::time::timeout(LAST_ANSWERS, self.servers.wait()).await.is_err() {
            tracing::warn!("ending with connections open");
        }
    }
}

impl Controllers {
    /// Waits for what should not happen: their end.
    pub(super) async fn died(&mut self) -> Failure {
        match (&mut self.ended).await {
            Ok(Ok(())) => anyhow::anyhow!("the controllers have ended").into(),
            Ok(Err(failure)) => failure,
            Err(error) => anyhow::Error::new(error).context("the controllers have died").into(),
        }
    }
}

impl Cluster {
    async fn new(name: &str, kubeconfig: String, folder: &Path) -> Result<Self, Failure> {
        let file = folder.join(name);
        tokio::fs::write(&file, &kubeconfig)
            .await
            .with_context(|| format!("cannot write {}", file.display()))?;
        let client = hub_client(config(&kubeconfig).await?, &WriteGate::open())?;
        Ok(Self { name: name.to_owned(), kubeconfig, file, client })
    }

    async fn config(&self) -> anyhow::Result<kube::Config> {
        config(&self.kubeconfig).await
    }
}

async fn config(kubeconfig: &str) -> anyhow::Result<kube::Config> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // The environment's proxy has no way to this process.
    config.proxy_url = None;
    Ok(config)
}
