//! One Kubernetes cluster: an API server, its controller manager and, in a member, Velero.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{
    Audit, LabError, audit,
    binaries::Binaries,
    cage::{Cage, DATA, Host},
    component::{Component, Recipe},
    pki::Pki,
    slot::Slot,
    velero::Velero,
    wait::until,
};

/// Longest time until Kubernetes has made the token of a ServiceAccount.
const TOKEN_WITHIN: Duration = Duration::from_secs(60);
/// Port of every API server.
const PORT: u16 = 6443;

/// A hub or member of the lab.
///
/// Faults are abrupt on purpose: killing is SIGKILL, pausing is SIGSTOP. Data and certificate survive a kill.
pub struct Cluster {
    host: Arc<Host>,
    cage: Arc<Cage>,
    kubeconfig: String,
    kubeconfig_path: PathBuf,
    config: kube::Config,
    api: Component,
    controllers: Component,
    velero: Option<Velero>,
    /// How often it was made anew.
    rebuilt: AtomicUsize,
}

/// What a cluster is made from.
pub(crate) struct Blueprint<'a> {
    pub(crate) host: Arc<Host>,
    pub(crate) etcd: Ipv4Addr,
    pub(crate) velero: bool,
    pub(crate) cage: &'a Arc<Cage>,
    pub(crate) slot: &'a Slot,
    pub(crate) binaries: &'a Binaries,
}

impl Cluster {
    /// Writes what the cluster's processes need; nothing runs yet.
    pub(crate) fn new(blueprint: Blueprint<'_>) -> Result<Self, LabError> {
        let Blueprint { host, etcd, velero, cage, slot, binaries } = blueprint;
        let name = host.name.clone();
        let folder = cage.data(&name);
        let pki = Pki::make(&name, host.address)
            .map_err(|source| LabError::Certificates { cluster: name.clone(), source })?;
        let token = format!("lab-token-of-{name}");
        let kubeconfig = kubeconfig(&name, host.address, &pki.ca, &token);
        let kubeconfig_path = slot.path().join(format!("{name}.kubeconfig"));
        fs::create_dir_all(&folder)
            .and_then(|()| pki.write(&folder))
            .and_then(|()| {
                fs::write(folder.join("tokens.csv"), format!("{token},admin,admin,\"system:masters\"\n"))
            })
            .and_then(|()| fs::write(folder.join("audit.yaml"), audit::POLICY))
            .map_err(|source| LabError::File { path: folder.clone(), source })?;
        for path in [&folder.join("kubeconfig"), &kubeconfig_path] {
            fs::write(path, &kubeconfig).map_err(|source| LabError::File { path: path.clone(), source })?;
        }
        let config = client_config(cage, &name, &kubeconfig)?;
        let component = |recipe| Component::new(recipe, cage, &host, slot.path());
        let api = component(api_server(&host, etcd, binaries));
        let controllers = component(controller_manager(&host, binaries));
        let velero = velero.then(|| Velero::new(&host, cage, slot, binaries)).transpose()?;
        Ok(Self {
            cage: Arc::clone(cage),
            kubeconfig,
            kubeconfig_path,
            config,
            api,
            controllers,
            velero,
            host,
            rebuilt: AtomicUsize::new(0),
        })
    }

    /// Starts everything and waits until it is ready.
    pub(crate) async fn bring_up(&self) -> Result<(), LabError> {
        self.api.start()?;
        self.answers().await?;
        self.controllers.start()?;
        if let Some(velero) = &self.velero {
            velero.bring_up(self).await?;
        }
        Ok(())
    }

    async fn answers(&self) -> Result<(), LabError> {
        let client = self.client()?;
        let client = &client;
        self.api
            .ready(async || {
                let request = http::Request::get("/readyz").body(Vec::new()).map_err(|e| e.to_string())?;
                client.request_text(request).await.map(drop).map_err(|e| e.to_string())
            })
            .await
    }

    /// `hub`, `member-1`, `member-2`, …: also the name of its host for [`crate::Lab::partition`].
    pub fn name(&self) -> &str {
        &self.host.name
    }

    /// Address of its host in the lab's network.
    pub fn address(&self) -> Ipv4Addr {
        self.host.address
    }

    /// YAML with everything in it (authority, token, server): what a user puts into an AttachedCluster's Secret.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig.clone()
    }

    /// The same as a file in the lab's folder.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.kubeconfig_path.clone()
    }

    /// For clients of its own.
    pub(crate) fn config(&self) -> kube::Config {
        self.config.clone()
    }

    /// A new client, with the rights of an administrator; call it inside [`crate::Lab::run`], which gives it its
    /// network and runtime.
    ///
    /// # Errors
    /// kube could not build it.
    pub fn client(&self) -> Result<kube::Client, LabError> {
        // Two crypto providers may be linked in and rustls then refuses to choose; a second call changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Not by way of the member crate's checks: the lab wrote this configuration itself.
        kube::Client::try_from(self.config.clone())
            .map_err(|e| LabError::Client { cluster: self.name().to_owned(), why: e.to_string() })
    }

    /// Kills the API server: connections are reset, new ones refused.
    ///
    /// # Errors
    /// The process could not be signalled.
    pub fn kill_api(&self) -> Result<(), LabError> {
        self.api.kill()
    }

    /// Starts a killed API server and waits until it is ready: same address, certificate and data.
    ///
    /// # Errors
    /// It did not become ready; the error has the end of its log.
    pub fn start_api(&self) -> Result<(), LabError> {
        self.api.start()?;
        self.cage
            .block_on(|| self.answers())
            .map_err(|source| LabError::Spawn { component: self.api.name().to_owned(), source })?
    }

    /// Makes another cluster of it under the same address, certificate and credentials: everything that was in it is
    /// gone, and its kube-system has another UID.
    ///
    /// # Errors
    /// It did not become ready; the error has the end of a log.
    pub fn rebuild(&self) -> Result<(), LabError> {
        for component in self.components() {
            component.kill()?;
        }
        let times = self.rebuilt.fetch_add(1, Ordering::Relaxed) + 1;
        self.api.change(format!("--etcd-prefix=/{}-rebuilt-{times}", self.name()));
        self.cage
            .block_on(|| self.bring_up())
            .map_err(|source| LabError::Spawn { component: self.name().to_owned(), source })?
    }

    /// Stops the API server from running: the kernel still takes connections, nobody answers.
    ///
    /// # Errors
    /// The process does not run.
    pub fn pause_api(&self) -> Result<(), LabError> {
        self.api.pause()
    }

    /// Lets a paused API server go on.
    ///
    /// # Errors
    /// The process does not run.
    pub fn resume_api(&self) -> Result<(), LabError> {
        self.api.resume()
    }

    /// Kills the Velero server.
    ///
    /// # Errors
    /// This cluster has no Velero, or it could not be signalled.
    pub fn stop_velero(&self) -> Result<(), LabError> {
        self.velero()?.server().kill()
    }

    /// Starts a killed Velero server and waits until it works. Its API server has to be there.
    ///
    /// # Errors
    /// This cluster has no Velero, or it did not become ready; the error has the end of its log.
    pub fn start_velero(&self) -> Result<(), LabError> {
        let velero = self.velero()?;
        velero.server().start()?;
        self.cage
            .block_on(|| velero.answers(self))
            .map_err(|source| LabError::Spawn { component: velero.server().name().to_owned(), source })?
    }

    /// What Kurator has asked of it under a name of its own, and was refused.
    ///
    /// # Errors
    /// The audit log can't be read.
    pub fn audit(&self) -> Result<Audit, LabError> {
        let path = self.cage.data(self.name()).join("audit.log");
        let log = fs::read_to_string(&path).map_err(|source| LabError::File { path, source })?;
        Ok(Audit::read(&log))
    }

    /// A kubeconfig for it as a ServiceAccount whose token lies in a Secret of its namespace and name, once
    /// `kubectl apply` has made both, as a file in the lab's folder.
    ///
    /// # Errors
    /// The token does not come, or the file can't be written.
    pub async fn kubeconfig_of(&self, namespace: &str, name: &str) -> Result<PathBuf, LabError> {
        let failed = |why: String| LabError::Client { cluster: self.name().to_owned(), why };
        let secrets = Api::<Secret>::namespaced(self.client()?, namespace);
        let token = until("the token of the ServiceAccount", TOKEN_WITHIN, async || {
            let found = secrets.get(name).await.map_err(|error| error.to_string())?;
            Ok::<_, String>(found.data.and_then(|mut data| data.remove("token")))
        });
        let token = token.await.map_err(|error| failed(error.to_string()))?;
        let token = String::from_utf8(token.0).map_err(|error| failed(error.to_string()))?;
        let admin = format!("lab-token-of-{}", self.name());
        let path =
            self.kubeconfig_path.with_file_name(format!("{}-{namespace}-{name}.kubeconfig", self.name()));
        fs::write(&path, self.kubeconfig.replace(&admin, &token))
            .map_err(|source| LabError::File { path: path.clone(), source })?;
        Ok(path)
    }

    /// Id of the running Velero server, as the outside sees it.
    pub fn velero_pid(&self) -> Option<u32> {
        self.velero.as_ref()?.server().pid()
    }

    fn velero(&self) -> Result<&Velero, LabError> {
        self.velero.as_ref().ok_or_else(|| LabError::Absent { what: format!("Velero in `{}`", self.name()) })
    }

    pub(crate) fn components(&self) -> impl Iterator<Item = &Component> {
        [&self.api, &self.controllers].into_iter().chain(self.velero.as_ref().map(Velero::server))
    }
}

fn api_server(host: &Host, etcd: Ipv4Addr, binaries: &Binaries) -> Recipe {
    let name = &host.name;
    let address = host.address;
    let folder = format!("{DATA}/{name}");
    let args = [
        format!("--etcd-servers=http://{etcd}:2379"),
        // One etcd serves all clusters of the lab.
        format!("--etcd-prefix=/{name}"),
        format!("--secure-port={PORT}"),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        format!("--tls-cert-file={folder}/server.crt"),
        format!("--tls-private-key-file={folder}/server.key"),
        format!("--cert-dir={folder}"),
        format!("--service-account-key-file={folder}/tokens.pub"),
        format!("--service-account-signing-key-file={folder}/tokens.key"),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--token-auth-file={folder}/tokens.csv"),
        "--authorization-mode=RBAC".to_owned(),
        format!("--audit-policy-file={folder}/audit.yaml"),
        format!("--audit-log-path={folder}/audit.log"),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged".to_owned(),
    ];
    Recipe {
        name: format!("{name}-kube-apiserver"),
        program: binaries.path("kube-apiserver"),
        args: args.map(Into::into).into(),
        env: Vec::new(),
    }
}

fn controller_manager(host: &Host, binaries: &Binaries) -> Recipe {
    let name = &host.name;
    let folder = format!("{DATA}/{name}");
    let args = [
        format!("--kubeconfig={folder}/kubeconfig"),
        format!("--service-account-private-key-file={folder}/tokens.key"),
        format!("--root-ca-file={folder}/ca.crt"),
        // The only one of its cluster, so it need not wait for a lease after a restart.
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    Recipe {
        name: format!("{name}-kube-controller-manager"),
        program: binaries.path("kube-controller-manager"),
        args: args.map(Into::into).into(),
        env: Vec::new(),
    }
}

fn kubeconfig(name: &str, address: Ipv4Addr, ca: &str, token: &str) -> String {
    // Kubernetes' own type for bytes knows the base64 that a kubeconfig wants.
    let ca = serde_json::to_value(ByteString(ca.as_bytes().to_vec())).unwrap_or_default();
    format!(
        "apiVersion: v1
kind: Config
current-context: {name}
contexts:
- name: {name}
  context: {{cluster: {name}, user: admin}}
clusters:
- name: {name}
  cluster:
    server: https://{address}:{PORT}
    certificate-authority-data: {ca}
users:
- name: admin
  user: {{token: {token}}}
"
    )
}

fn client_config(cage: &Cage, cluster: &str, kubeconfig: &str) -> Result<kube::Config, LabError> {
    let failed = |why: String| LabError::Client { cluster: cluster.to_owned(), why };
    let parsed = Kubeconfig::from_yaml(kubeconfig).map_err(|e| failed(e.to_string()))?;
    let options = KubeConfigOptions::default();
    let mut config = cage
        .block_on(|| kube::Config::from_custom_kubeconfig(parsed, &options))
        .map_err(|e| failed(e.to_string()))?
        .map_err(|e| failed(e.to_string()))?;
    // One in the caller's environment leads nowhere from inside.
    config.proxy_url = None;
    Ok(config)
}
