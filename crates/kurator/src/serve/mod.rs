//! `kurator serve`: the controllers of a hub as a process.
//!
//! It may be killed at any moment: everything that matters is in the hub and the members. While it
//! does not lead it writes nothing but its wish to lead.

mod crds;
mod http;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kurator_fleet::{Metrics, Options, Setup};
use kurator_member::clock::SystemClock;
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;
use kurator_member::kubeconfig::TrustPolicy;
use kurator_member::lease::{Claim, LeaseConfig, elect};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::EnvFilter;

use crate::cli::{LogFormat, ServeFlags};
use crate::failure::Failure;
use http::Health;

const LEASE: &str = "kurator";
/// What kube says of a broken watch is said by whoever watches, in one line; which object a line is about stands in it.
const DEFAULT_FILTER: &str = "info,kube_runtime::watcher=off,kube_runtime::controller=warn";
/// Longest time that answers under way are given when the process ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

pub(crate) fn serve(flags: ServeFlags) -> Result<(), Failure> {
    log(flags.log_format);
    // Only the first caller in a process can set it; nobody else does.
    let _first = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(run(flags));
    // A name look-up that hangs must not keep the process.
    runtime.shutdown_background();
    outcome
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = if std::io::stderr().is_terminal() { log } else { log.with_ansi(false) };
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

async fn run(flags: ServeFlags) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    let ended = CancellationToken::new();
    tasks.spawn(ended.clone().run_until_cancelled_owned(end_on_signal(shutdown.clone())?));

    let config = hub_config(&flags).await.map_err(|error| {
        Failure::with_hint(
            error,
            "name the hub with --kubeconfig FILE, or run in a pod with a service account",
        )
    })?;
    let server = config.cluster_url.to_string();
    let namespace = flags.lease_namespace.clone().unwrap_or_else(|| lease_namespace(&flags, &config));
    // The elector has to write before it leads, so its client has no gate.
    let elector = hub_client(config.clone(), &WriteGate::open())?;
    reach(&elector, &server).await?;

    let mut registry = Registry::with_prefix("kurator");
    let metrics = Metrics::register(&mut registry);
    let health = Arc::new(Health::new(registry));
    let listener = tokio::net::TcpListener::bind(flags.listen).await;
    let listener =
        listener.with_context(|| format!("cannot listen on {}", flags.listen)).map_err(|error| {
            Failure::with_hint(error, "another process may hold the port; choose one with --listen ADDRESS")
        })?;
    tasks.spawn(http::serve(listener, Arc::clone(&health), ended.clone()));

    let release = CancellationToken::new();
    let claim = elect(elector, LeaseConfig::new(namespace, LEASE, identity()), release.clone());
    let gate = WriteGate::new(claim.clone());
    let outcome = lead(&flags, config, gate, claim.clone(), metrics, &health, &shutdown).await;

    release.cancel();
    released(claim).await;
    ended.cancel();
    tasks.close();
    // A slow reader of /metrics must not keep the process either.
    let _slow = tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await;
    outcome
}

/// Waits to lead, then runs the controllers until shutdown or until leadership is lost.
async fn lead(
    flags: &ServeFlags,
    config: kube::Config,
    gate: WriteGate,
    claim: watch::Receiver<Claim>,
    metrics: Metrics,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    health.stand_by();
    tokio::select! {
        held = wait_for(claim.clone(), Claim::is_held) => held?,
        () = shutdown.cancelled() => return Ok(()),
    }
    tracing::info!("leading");
    health.start();
    let client = hub_client(config, &gate)?;
    tokio::select! {
        installed = crds::install(&client) => installed?,
        () = shutdown.cancelled() => return Ok(()),
    }
    let setup = Setup {
        client,
        gate,
        clock: Arc::new(SystemClock),
        metrics,
        options: Options {
            default_installer: flags.default_installer.into(),
            trust: TrustPolicy { allow_loopback: flags.allow_loopback_members },
            concurrency: flags.concurrency,
        },
        shutdown: shutdown.clone(),
    };
    let ready = || {
        tracing::info!("ready");
        health.ready();
    };
    tokio::select! {
        ended = kurator_fleet::run(setup, ready) => Ok(ended?),
        lost = wait_for(claim, |claim| matches!(claim, Claim::Lost)) => {
            lost?;
            Err(Failure::from(anyhow::anyhow!("leadership was lost; start again to contend for it")))
        }
    }
}

async fn wait_for(mut claim: watch::Receiver<Claim>, is: impl Fn(&Claim) -> bool) -> Result<(), Failure> {
    claim.wait_for(|claim| is(claim)).await.map(drop).context("the election ended")?;
    Ok(())
}

/// The elector's channel closes when the Lease is handed back.
async fn released(mut claim: watch::Receiver<Claim>) {
    while claim.changed().await.is_ok() {}
}

async fn hub_config(flags: &ServeFlags) -> anyhow::Result<kube::Config> {
    let options = KubeConfigOptions { context: flags.context.clone(), ..KubeConfigOptions::default() };
    match &flags.kubeconfig {
        Some(path) => {
            let read = || format!("cannot read kubeconfig {}", path.display());
            let kubeconfig = Kubeconfig::read_from(path).with_context(read)?;
            Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(read)?)
        }
        None if flags.context.is_some() => {
            Ok(kube::Config::from_kubeconfig(&options).await.context("cannot read the kubeconfig")?)
        }
        None => Ok(kube::Config::infer().await.context("cannot find out where the hub is")?),
    }
}

/// In a pod the pod's own; else the same for everybody, whatever the namespace of their kubeconfig's context:
/// two processes that look at different Leases would both lead.
fn lease_namespace(flags: &ServeFlags, config: &kube::Config) -> String {
    let in_a_pod = flags.kubeconfig.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if in_a_pod { config.default_namespace.clone() } else { "default".to_owned() }
}

async fn reach(client: &Client, server: &str) -> Result<(), Failure> {
    let reached = client.apiserver_version().await;
    let version = reached.with_context(|| format!("cannot reach the hub at {server}")).map_err(|error| {
        Failure::with_hint(error, "try `kubectl get --raw /version` with the same kubeconfig")
    })?;
    tracing::info!(server, version = version.git_version, "connected to the hub");
    Ok(())
}

/// Differs with every start, so that a process never takes an earlier one for itself.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "kurator".to_owned());
    format!("{host}_{:016x}", rand::random::<u64>())
}

/// The first SIGTERM or Ctrl-C ends in order, the second at once.
fn end_on_signal(shutdown: CancellationToken) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
        shutdown.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    })
}
