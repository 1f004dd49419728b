//! `kurator engine`: the built-in engine for one cluster, without a hub.

use std::num::NonZeroUsize;
use std::sync::Arc;

use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_engine::server::{ANSWER_WITHIN, AsTheClusterSays, Runs, ServeError, Setup, serve};
use kurator_member::clock::SystemClock;
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;
use kurator_member::member::{Member, MemberOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::EngineFlags;
use crate::failure::Failure;
use crate::{kubeconfig, process};

/// A backup and a restore, as many as one cluster has at once.
const AT_ONCE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

pub(crate) fn engine(flags: EngineFlags) -> Result<(), Failure> {
    process::run(flags.log_format, run(flags))
}

async fn run(flags: EngineFlags) -> Result<(), Failure> {
    let shutdown = CancellationToken::new();
    let signals = TaskTracker::new();
    signals.spawn(process::end_on_signal(shutdown.clone(), || {})?);
    let config = kubeconfig::config("cluster", flags.kubeconfig.as_deref(), flags.context.as_deref()).await?;
    let server = config.cluster_url.to_string();
    let client = hub_client(config, &WriteGate::open())?;
    process::reach("cluster", &client, &server).await?;

    let folder = process::spool(flags.spool)?;
    let allowed_local = flags.allow_local_store.map(process::local_stores).transpose()?;
    let wake = Arc::new(Notify::new());
    let told = Arc::clone(&wake);
    let options =
        MemberOptions { namespace: flags.namespace.clone(), everything: true, ..MemberOptions::default() };
    let key = ClusterKey {
        kind: ClusterKind::AttachedCluster,
        namespace: String::new(),
        name: "engine".to_owned(),
    };
    let member = Member::spawn(key, client.clone(), options, Arc::new(move |_| told.notify_one()));
    let stores = AsTheClusterSays { client, namespace: flags.namespace.clone(), allowed_local };
    let setup = Setup {
        member,
        wake,
        namespace: flags.namespace,
        stores: Arc::new(stores),
        folder,
        led: None,
        runs: Runs::new(AT_ONCE),
        clock: Arc::new(SystemClock),
        answer_within: ANSWER_WITHIN,
    };
    serve(setup, shutdown, || {}).await.map_err(|error| {
        let hint = match &error {
            ServeError::Served { version, .. } if version.contains("kurator") => {
                "only one server may work on a cluster; that one is an engine too, of a hub with `engine: Builtin` or of \
                 another `kurator engine`"
            }
            ServeError::Served { .. } => "only one server may work on a cluster; scale the Velero deployment to 0 first",
            ServeError::Ask(_) => {
                "the engine needs the velero.io CRDs (`velero install --crds-only`), the namespace, and the right to create \
                 in it"
            }
        };
        Failure::with_hint(error, hint)
    })
}
