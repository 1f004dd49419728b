//! A hub in this process, with the types and nobody who serves them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use kurator_api::backup::Backup;
use kurator_api::fleet::Fleet;
use kurator_apiserver::{ApiServer, Front, Seeded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Namespace of the kubeconfig's context.
pub(crate) const NAMESPACE: &str = "default";

pub(crate) struct Hub {
    runtime: Runtime,
    folder: tempfile::TempDir,
    client: Client,
    /// Where the hub is, and where its kubeconfig says that it is.
    addresses: [SocketAddr; 2],
    /// What leads from there to the hub, until it is cancelled.
    way: (CancellationToken, JoinHandle<()>),
}

impl Hub {
    pub(crate) fn start() -> anyhow::Result<Self> {
        // Another test may have set it.
        let _set = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = Runtime::new()?;
        let folder = tempfile::tempdir()?;
        let begun = Timestamp::UNIX_EPOCH;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (front, way) = runtime.block_on(async {
            let server = ApiServer::new(Arc::new(move || begun), Arc::new(Seeded::new(1)));
            let front = Front::bind(any, [("hub".to_owned(), server)]).await?;
            anyhow::Ok((front, TcpListener::bind(any).await?))
        })?;
        let addresses = [front.address(), way.local_addr()?];
        let kubeconfig = front.kubeconfig("hub").context("no kubeconfig")?;
        let [direct, by_the_way] = addresses.map(|address| address.to_string());
        std::fs::write(folder.path().join("hub"), kubeconfig.replace(&direct, &by_the_way))?;
        runtime.spawn(front.serve(CancellationToken::new()));
        let client = runtime.block_on(client(&kubeconfig))?;
        let closed = CancellationToken::new();
        let way = (closed.clone(), runtime.spawn(lead(way, addresses[0], closed)));
        Ok(Self { runtime, folder, client, addresses, way })
    }

    /// From now on the hub is out of reach.
    pub(crate) fn close_the_way(&mut self) -> anyhow::Result<()> {
        self.way.0.cancel();
        Ok(self.runtime.block_on(&mut self.way.1)?)
    }

    /// And back again.
    pub(crate) fn open_the_way(&mut self) -> anyhow::Result<()> {
        let way = self.runtime.block_on(TcpListener::bind(self.addresses[1]))?;
        let closed = CancellationToken::new();
        self.way = (closed.clone(), self.runtime.spawn(lead(way, self.addresses[0], closed)));
        Ok(())
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    /// `kurator` with these words, split at blanks.
    pub(crate) fn kurator(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurator"));
        command.args(words.split(' ')).env_clear().env("KUBECONFIG", self.kubeconfig()).stdin(Stdio::null());
        command
    }

    /// What it says.
    pub(crate) fn said(&self, words: &str) -> anyhow::Result<Said> {
        Ok(Said::of(&self.kurator(words).output()?))
    }

    pub(crate) fn create<K>(&self, object: Value) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE).to_owned();
        let object: K = serde_json::from_value(object)?;
        let api = Api::<K>::namespaced(self.client.clone(), &namespace);
        self.runtime.block_on(api.create(&PostParams::default(), &object))?;
        Ok(())
    }

    /// A Fleet of these attached clusters.
    pub(crate) fn fleet(&self, name: &str, clusters: &[&str]) -> anyhow::Result<()> {
        let clusters: Vec<_> =
            clusters.iter().map(|name| json!({"name": name, "kind": "AttachedCluster"})).collect();
        self.create::<Fleet>(json!({"metadata": {"name": name}, "spec": {"clusters": clusters}}))
    }

    /// Writes the status of an object, as controllers do.
    pub(crate) fn say<K>(&self, name: &str, status: &Value) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client.clone(), NAMESPACE);
        let status = Patch::Merge(json!({"status": status}));
        self.runtime.block_on(api.patch_status(name, &PatchParams::default(), &status))?;
        Ok(())
    }

    pub(crate) fn backup(&self, name: &str) -> anyhow::Result<Backup> {
        let api = Api::<Backup>::namespaced(self.client.clone(), NAMESPACE);
        Ok(self.runtime.block_on(api.get(name))?)
    }
}

async fn client(kubeconfig: &str) -> anyhow::Result<Client> {
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(Kubeconfig::from_yaml(kubeconfig)?, &options).await?;
    let client = Client::try_from(config)?;
    for definition in kurator_api::crds::all() {
        Api::all(client.clone()).create(&PostParams::default(), &definition).await?;
    }
    Ok(client)
}

/// Leads whoever comes this way on, until it is closed to all of them.
async fn lead(way: TcpListener, to: SocketAddr, closed: CancellationToken) {
    let mut led = JoinSet::new();
    while let Some(Ok((mut from, _))) = closed.run_until_cancelled(way.accept()).await {
        led.spawn(async move {
            if let Ok(mut to) = TcpStream::connect(to).await {
                // However it ends.
                let _ended = copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    pub(crate) fn done(self) -> anyhow::Result<String> {
        ensure!(self.code == Some(0), "{self:?}");
        Ok(self.out)
    }
}
