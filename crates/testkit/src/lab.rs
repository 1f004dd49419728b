//! The lab as a whole: started, used, and gone.

use std::{
    ffi::{OsStr, OsString},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, OnceLock},
};

use crate::{
    Cluster, ClusterState, ComponentState, Guest, LabError, LabState, S3, S3Spec,
    binaries::{self, Binaries, Module, Progress},
    cage::{Cage, DATA, Host},
    cluster::Blueprint,
    component::{Component, Recipe},
    requirements::requirements,
    slot::Slot,
};

const HUB: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 10);
const ETCD: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);

/// What to start. The hub is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabSpec {
    /// Number of members, at most 200.
    pub members: usize,
    /// Whether each member has Velero: CRDs, namespace and a running server, but no location and no credentials.
    pub velero: bool,
    /// Whether there is an object store.
    pub s3: bool,
}

/// Real clusters on a private network, for as long as this value, or its process, lives.
pub struct Lab {
    spec: LabSpec,
    etcd: Component,
    hub: Cluster,
    members: Vec<Cluster>,
    s3: S3,
    binaries: Binaries,
    cage: Arc<Cage>,
    slot: Slot,
    /// Whether it ever was; if not, its logs are what is left of it.
    ready: bool,
}

impl Lab {
    /// Starts a lab and waits until all of it answers. A first start builds the programs, which takes minutes.
    ///
    /// # Errors
    /// What the machine lacks, or which component did not come up, with the end of its log.
    pub fn start(spec: LabSpec) -> Result<Self, LabError> {
        Self::start_named(None, spec, &|line| tracing::info!("{line}"))
    }

    /// The one lab of this test binary, started by the first caller and gone with the process.
    ///
    /// # Errors
    /// As [`Lab::start`], for every caller; or the lab runs with another spec.
    pub fn shared(spec: LabSpec) -> Result<&'static Self, LabError> {
        static LAB: OnceLock<Result<Lab, Arc<LabError>>> = OnceLock::new();
        match LAB.get_or_init(|| Self::start(spec).map_err(Arc::new)) {
            Ok(lab) if lab.spec == spec => Ok(lab),
            Ok(lab) => Err(LabError::OtherSpec { running: lab.spec, asked: spec }),
            Err(error) => Err(LabError::Shared(Arc::clone(error))),
        }
    }

    /// Starts a lab under a name of its own, of which there can be one, and reports progress line by line.
    ///
    /// # Errors
    /// As [`Lab::start`]; [`LabError::AlreadyUp`] if the name is taken.
    pub fn start_named(name: Option<&str>, spec: LabSpec, progress: Progress<'_>) -> Result<Self, LabError> {
        requirements()?;
        let slot = Slot::claim(name)?;
        let binaries = binaries::ensure(&modules(spec), progress)?;
        progress("starting the lab");
        let mut lab = Self::lay_out(spec, slot, binaries)?;
        lab.cage
            .block_on(|| lab.bring_up())
            .map_err(|source| LabError::Spawn { component: "the lab".to_owned(), source })??;
        lab.state().write(lab.dir())?;
        lab.ready = true;
        Ok(lab)
    }

    /// Makes networks, hosts and files; only etcd runs afterwards.
    fn lay_out(spec: LabSpec, slot: Slot, binaries: Binaries) -> Result<Self, LabError> {
        let cage = Arc::new(Cage::open()?);
        let etcd_host = cage.add_host("etcd", ETCD)?;
        let etcd = Component::new(etcd(&etcd_host, &binaries), &cage, &etcd_host, slot.path());
        let cluster = |name: &str, address, velero| {
            Cluster::new(Blueprint {
                host: cage.add_host(name, address)?,
                etcd: etcd_host.back_address(),
                velero,
                cage: &cage,
                slot: &slot,
                binaries: &binaries,
            })
        };
        let hub = cluster("hub", HUB, false)?;
        let members = (1..=spec.members)
            .map(|i| cluster(&format!("member-{i}"), member_address(i)?, spec.velero))
            .collect::<Result<_, _>>()?;
        let s3 =
            if spec.s3 { S3::new(&cage, &slot, &binaries, S3Spec::default())? } else { S3::absent(&cage) };
        Ok(Self { spec, etcd, hub, members, s3, binaries, cage, slot, ready: false })
    }

    async fn bring_up(&self) -> Result<(), LabError> {
        self.etcd.start()?;
        let clusters = futures::future::try_join_all(self.clusters().map(Cluster::bring_up));
        futures::try_join!(clusters, self.s3.bring_up()).map(drop)
    }

    /// The hub.
    pub fn hub(&self) -> &Cluster {
        &self.hub
    }

    /// A member, counted from 1.
    ///
    /// # Panics
    /// If the lab has no such member.
    pub fn member(&self, i: usize) -> &Cluster {
        &self.members[i - 1]
    }

    /// Hub and members.
    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        std::iter::once(&self.hub).chain(&self.members)
    }

    /// The object store.
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// Runs a future inside the lab's network, on a runtime of its own, until it ends.
    ///
    /// # Panics
    /// Inside another runtime, and where the kernel refuses to change the network namespace.
    pub fn run<F: Future>(&self, work: F) -> F::Output {
        self.cage.run(work)
    }

    /// Cuts a host (`hub`, `member-N`, `s3`) off from all others: packets vanish. A cluster still reaches its etcd.
    ///
    /// # Errors
    /// There is no such host.
    pub fn partition(&self, host: &str) -> Result<(), LabError> {
        self.cage.set_link(host, false)
    }

    /// Ends a partition.
    ///
    /// # Errors
    /// There is no such host.
    pub fn heal(&self, host: &str) -> Result<(), LabError> {
        self.cage.set_link(host, true)
    }

    /// Runs kubectl as an administrator of this cluster, from the lab's network.
    ///
    /// # Errors
    /// It could not be started; its own failure is in the output.
    pub fn kubectl(&self, cluster: &Cluster, args: &[&str]) -> Result<Output, LabError> {
        let mut command = self.command("kubectl");
        command.arg("--kubeconfig").arg(cluster.kubeconfig_path()).args(args).stdin(Stdio::null());
        command.output().map_err(|source| LabError::Spawn { component: "kubectl".to_owned(), source })
    }

    /// As [`Lab::kubectl`], but from the cluster's own host: it works in a cluster that is cut off, too.
    ///
    /// # Errors
    /// It could not be started; its own failure is in the output.
    pub fn kubectl_within(&self, cluster: &Cluster, args: &[&str]) -> Result<Output, LabError> {
        let mut command = self.command("ip");
        command.args(["netns", "exec", cluster.name(), "kubectl", "--kubeconfig"]);
        command.arg(cluster.kubeconfig_path()).args(args).stdin(Stdio::null());
        command.output().map_err(|source| LabError::Spawn { component: "kubectl".to_owned(), source })
    }

    /// A command that runs inside the lab's network and ends with the lab; the lab's programs are in its PATH.
    ///
    /// What it starts is a small wrapper: killing it kills the program, other signals don't get through. For a
    /// program that is to be sent signals use [`Lab::spawn`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.cage.pid().to_string(),
                "--mount",
                "--net",
                "--pid",
                "--no-fork",
                "--wd=.",
            ])
            .args(["--", "unshare", "--fork", "--kill-child", "--"])
            .arg(program);
        self.equip(&mut command);
        command
    }

    /// Starts a program inside the lab's network as a direct child, which ends with the lab or when it is dropped.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Guest, LabError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = self.cage.spawn(None, self.equip(command));
        child.map(Guest::new).map_err(|source| LabError::Spawn { component: program, source })
    }

    /// Gives a program the lab's programs, and no proxy between it and the lab's addresses.
    fn equip<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let lan = "172.18.0.0/16,127.0.0.0/8,localhost";
        command.env("PATH", self.path()).env("NO_PROXY", lan).env("no_proxy", lan)
    }

    /// PATH with the lab's programs in front.
    fn path(&self) -> OsString {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.binaries.folders().into_iter().map(Path::to_owned);
        // A folder with a colon in its name can't be in PATH; the rest still can.
        std::env::join_paths(folders.chain(std::env::split_paths(&inherited))).unwrap_or(inherited)
    }

    /// Its folder, with logs and kubeconfigs.
    pub fn dir(&self) -> &Path {
        self.slot.path()
    }

    /// The log of each component.
    pub fn logs(&self) -> Vec<PathBuf> {
        self.components().map(|component| component.log().to_owned()).collect()
    }

    /// What runs where.
    pub fn state(&self) -> LabState {
        LabState {
            name: self.slot.name().to_owned(),
            owner: std::process::id(),
            init: self.cage.pid(),
            path: self.binaries.folders().into_iter().map(Path::to_owned).collect(),
            clusters: self
                .clusters()
                .map(|cluster| ClusterState {
                    name: cluster.name().to_owned(),
                    address: cluster.address(),
                    kubeconfig: cluster.kubeconfig_path(),
                })
                .collect(),
            components: self
                .components()
                .map(|component| ComponentState {
                    name: component.name().to_owned(),
                    address: component.host().address,
                    pid: component.pid(),
                    log: component.log().to_owned(),
                })
                .collect(),
        }
    }

    fn components(&self) -> impl Iterator<Item = &Component> {
        let clusters = self.clusters().flat_map(Cluster::components);
        std::iter::once(&self.etcd).chain(clusters).chain(self.s3.components())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.cage.end(self.components());
        self.slot.leave(self.ready);
    }
}

fn member_address(i: usize) -> Result<Ipv4Addr, LabError> {
    match u8::try_from(i) {
        Ok(low @ 1..=200) => Ok(Ipv4Addr::new(172, 18, 1, low)),
        _ => Err(LabError::Absent { what: format!("room for member {i}, only for 200") }),
    }
}

fn modules(spec: LabSpec) -> Vec<Module> {
    let optional = |wanted: bool, module| wanted.then_some(module);
    [Module::Etcd, Module::Kubernetes]
        .into_iter()
        .chain(optional(spec.velero, Module::Velero))
        .chain(optional(spec.s3, Module::Minio))
        .collect()
}

fn etcd(host: &Host, binaries: &Binaries) -> Recipe {
    let clients = format!("http://{}:2379", host.back_address());
    let args = [
        format!("--data-dir={DATA}/etcd"),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        // The data ends with the lab anyway.
        "--unsafe-no-fsync".to_owned(),
        "--quota-backend-bytes=8589934592".to_owned(),
    ];
    Recipe {
        name: "etcd".to_owned(),
        program: binaries.path("etcd"),
        args: args.map(Into::into).into(),
        env: Vec::new(),
    }
}
