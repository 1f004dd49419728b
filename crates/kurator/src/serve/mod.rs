//! `kurator serve`: the controllers of a hub as a process.
//!
//! It may be killed at any moment: everything that matters is in the hub and the members. While it
//! does not lead it writes nothing but its wish to lead.

mod crds;
mod http;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use kurator_engine::server::ANSWER_WITHIN;
use kurator_engines::{Engines, Led};
use kurator_fleet::{Metrics, Options, ServedMembers, Setup};
use kurator_member::clock::SystemClock;
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;
use kurator_member::kubeconfig::TrustPolicy;
use kurator_member::lease::{Claim, LeaseConfig, elect};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::ServeFlags;
use crate::failure::Failure;
use crate::{kubeconfig, process, rbac};
use http::{Health, Readiness};

const LEASE: &str = "kurator";
/// Longest time that answers under way are given when the process ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

pub(crate) fn serve(flags: ServeFlags) -> Result<(), Failure> {
    process::run(flags.log_format, run(flags))
}

async fn run(flags: ServeFlags) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    let ended = CancellationToken::new();
    tasks.spawn(ended.clone().run_until_cancelled_owned(process::end_on_signal(shutdown.clone(), || {})?));

    let spool = process::spool(flags.spool.clone())?;
    let engines = Engines::new(flags.engine_memory, spool, ANSWER_WITHIN, Arc::new(SystemClock));
    let config = kubeconfig::config("hub", flags.kubeconfig.as_deref(), flags.context.as_deref()).await?;
    let lease_namespace = flags.lease_namespace.clone().unwrap_or_else(|| lease_namespace(&flags, &config));
    let options = Options {
        default_engine: flags.default_engine.into(),
        default_installer: flags.default_installer.into(),
        trust: TrustPolicy { allow_loopback: flags.allow_loopback_members },
        concurrency: flags.concurrency,
    };
    let hub = Hub::new(config, lease_namespace, engines, options)?;
    hub.reach().await?;
    hub.may_lead().await?;
    rbac::check_hub(&hub.elector, &hub.config.cluster_url.to_string()).await?;

    let listener = tokio::net::TcpListener::bind(flags.listen).await;
    let listener =
        listener.with_context(|| format!("cannot listen on {}", flags.listen)).map_err(|error| {
            Failure::with_hint(error, "another process may hold the port; choose one with --listen ADDRESS")
        })?;
    tasks.spawn(http::serve(listener, hub.health(), ended.clone()));

    let outcome = hub.run(&shutdown).await;

    ended.cancel();
    tasks.close();
    // A slow reader of /metrics must not keep the process either.
    let _slow = tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await;
    outcome
}

/// The controllers of a hub, and the engines of its members.
pub(crate) struct Hub {
    config: kube::Config,
    /// Has to write before it leads, so it has no gate.
    elector: Client,
    lease_namespace: String,
    engines: Engines,
    options: Options,
    metrics: Metrics,
    health: Arc<Health>,
}

impl Hub {
    pub(crate) fn new(
        config: kube::Config,
        lease_namespace: String,
        engines: Engines,
        options: Options,
    ) -> Result<Self, Failure> {
        let elector = hub_client(config.clone(), &WriteGate::open())?;
        let mut registry = Registry::with_prefix("kurator");
        let metrics = Metrics::register(&mut registry);
        let health = Arc::new(Health::new(registry));
        Ok(Self { config, elector, lease_namespace, engines, options, metrics, health })
    }

    /// How far it is.
    pub(crate) fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    async fn reach(&self) -> Result<(), Failure> {
        process::reach("hub", &self.elector, &self.config.cluster_url.to_string()).await
    }

    /// Sees whether the Lease may be read and made, before the hub is asked for it again and again.
    async fn may_lead(&self) -> Result<(), Failure> {
        let namespace = &self.lease_namespace;
        let leases = Api::<Lease>::namespaced(self.elector.clone(), namespace);
        let wanted = Lease {
            metadata: ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
            ..Lease::default()
        };
        let tried = PostParams { dry_run: true, ..PostParams::default() };
        let refused = match leases.get_opt(LEASE).await {
            Ok(_) => leases.create(&tried, &wanted).await.err(),
            Err(error) => Some(error),
        };
        match refused {
            Some(kube::Error::Api(status)) if status.is_forbidden() => Err(Failure::with_hint(
                anyhow::anyhow!(
                    "the hub at {} does not let this user lead: {}",
                    self.config.cluster_url,
                    status.message
                ),
                format!(
                    "grant get, create and update of leases.coordination.k8s.io in namespace `{namespace}`; \
                     --lease-namespace NAMESPACE names another"
                ),
            )),
            // Whoever contends tries again.
            _ => Ok(()),
        }
    }

    /// Contends to lead, and leads until `shutdown`, or until leadership is lost.
    pub(crate) async fn run(self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let release = CancellationToken::new();
        let lease = LeaseConfig::new(self.lease_namespace.clone(), LEASE, identity());
        let (place, identity) = (format!("{}/{LEASE}", lease.namespace), lease.identity.clone());
        let claim = elect(self.elector.clone(), lease, release.clone());
        let engines = self.engines.led_by(Led { claim: claim.clone(), lease: place, identity });
        let outcome = Self { engines, ..self }.lead(claim.clone(), shutdown).await;
        release.cancel();
        released(claim).await;
        outcome
    }

    /// Waits to lead, then runs the controllers until shutdown or until leadership is lost.
    async fn lead(self, claim: watch::Receiver<Claim>, shutdown: &CancellationToken) -> Result<(), Failure> {
        let Self { config, engines, options, metrics, health, .. } = self;
        health.set(Readiness::StandingBy);
        tokio::select! {
            held = wait_for(claim.clone(), Claim::is_held) => held?,
            () = say_who_leads(claim.clone()) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        tracing::info!("leading");
        health.set(Readiness::Starting);
        let gate = WriteGate::new(claim.clone());
        let client = hub_client(config, &gate)?;
        tokio::select! {
            installed = crds::install(&client) => installed?,
            () = shutdown.cancelled() => return Ok(()),
        }
        let (served, wanted) = watch::channel(ServedMembers::new());
        let ending = shutdown.child_token();
        let engines = TaskTracker::new().spawn(engines.run(wanted, ending.clone()));
        let setup = Setup {
            client,
            gate,
            clock: Arc::new(SystemClock),
            metrics,
            options,
            connect: Arc::new(kurator_member::connect::Network),
            stores: Arc::new(kurator_store::Network::default()),
            served,
            shutdown: shutdown.clone(),
        };
        let ready = || {
            tracing::info!("ready");
            health.set(Readiness::Ready);
        };
        let outcome = tokio::select! {
            ended = kurator_fleet::run(setup, ready) => ended.map_err(Failure::from),
            lost = wait_for(claim, |claim| matches!(claim, Claim::Lost)) => {
                lost?;
                Err(Failure::from(anyhow::anyhow!("leadership was lost; start again to contend for it")))
            }
        };
        ending.cancel();
        engines.await.context("the engines have died")?;
        outcome
    }
}

async fn wait_for(mut claim: watch::Receiver<Claim>, is: impl Fn(&Claim) -> bool) -> Result<(), Failure> {
    claim.wait_for(|claim| is(claim)).await.map(drop).context("the election ended")?;
    Ok(())
}

/// Logs who leads while this process does not, whenever that is another one. Never comes.
async fn say_who_leads(mut claim: watch::Receiver<Claim>) {
    loop {
        if let Claim::Waiting { holder: Some(leader) } = &*claim.borrow_and_update() {
            tracing::info!(lease = LEASE, leader, "standing by: another process leads");
        }
        if claim.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The elector's channel closes when the Lease is handed back.
async fn released(mut claim: watch::Receiver<Claim>) {
    while claim.changed().await.is_ok() {}
}

/// In a pod the pod's own; else the same for everybody, whatever the namespace of their kubeconfig's context:
/// two processes that look at different Leases would both lead.
fn lease_namespace(flags: &ServeFlags, config: &kube::Config) -> String {
    let is_named = flags.kubeconfig.is_some() || !kubeconfig::of_environment().is_empty();
    let in_a_pod = !is_named && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if in_a_pod { config.default_namespace.clone() } else { "default".to_owned() }
}

/// Differs with every start, so that a process never takes an earlier one for itself.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "kurator".to_owned());
    format!("{host}_{:016x}", rand::random::<u64>())
}
