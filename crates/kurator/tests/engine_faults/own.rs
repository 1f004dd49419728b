//! Engines in this process, in member 2.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::names::{ENGINE_LEASE, VELERO_NAMESPACE};
use kurator_api::velero::BackupStorageLocation;
use kurator_engine::server::{AsTheClusterSays, Runs, Setup, serve};
use kurator_member::clock::{Clock, SystemClock};
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;
use kurator_member::member::{Member, MemberOptions};
use kurator_testkit::{
    Cluster, Lab, Proxy,
    fixtures::{Shelf, velero as in_member},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Outcome, lab};
use crate::scene::{LOCATION, location};

/// Member 2 and the way to the store.
pub(crate) struct Own {
    pub(crate) lab: &'static Lab,
    pub(crate) store: Proxy,
}

impl Own {
    pub(crate) fn member(&self) -> &Cluster {
        self.lab.member(2)
    }

    pub(crate) fn leases(&self) -> anyhow::Result<Shelf<Lease>> {
        Ok(in_member(self.member())?)
    }

    /// Waits until nobody has the Lease.
    pub(crate) async fn until_given_back(&self) -> Outcome {
        let is_free = |lease: &Lease| lease.spec.as_ref().is_none_or(|spec| spec.holder_identity.is_none());
        self.leases()?.until(ENGINE_LEASE, "given back", is_free).await?;
        Ok(())
    }
}

/// Runs a test on member 2, one at a time.
pub(crate) fn with_own_engines(test: impl AsyncFnOnce(&Own) -> Outcome) -> Outcome {
    static OWN: OnceLock<Result<Mutex<Own>, String>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let begun = || -> anyhow::Result<Own> {
            let lab = lab()?;
            lab.member(2).stop_velero()?;
            lab.run(async {
                let store = Proxy::to_store()?;
                location(lab.member(2), &store.url()).await?;
                // A Backup into a location that nobody has looked at yet is refused.
                let shutdown = CancellationToken::new();
                let available = async {
                    let locations = in_member::<BackupStorageLocation>(lab.member(2))?;
                    let available = locations.until_phase(LOCATION, "Available").await;
                    shutdown.cancel();
                    Ok(available.map(drop)?)
                };
                let kubeconfig = lab.member(2).kubeconfig();
                let gate = WriteGate::open();
                let (ran, available) = tokio::join!(engine(&kubeconfig, &gate, shutdown.clone()), available);
                let available: Outcome = available;
                available.and(ran)?;
                Ok(Own { lab, store })
            })
        };
        begun().map(Mutex::new).map_err(|error| format!("{error:#}"))
    });
    let own = own.as_ref().map_err(|error| anyhow::anyhow!("member 2 is not ready: {error}"))?;
    let own: MutexGuard<'_, Own> = own.lock().unwrap_or_else(PoisonError::into_inner);
    own.lab.run(async {
        own.store.pass();
        let tested = test(&own).await;
        own.store.pass();
        tested
    })
}

/// Runs a test beside one engine, over the way that the kubeconfig names.
pub(crate) async fn beside_an_engine(kubeconfig: &str, test: impl Future<Output = Outcome>) -> Outcome {
    beside_an_engine_by(kubeconfig, Arc::new(SystemClock), test).await
}

/// Likewise, with an engine that goes by this clock.
pub(crate) async fn beside_an_engine_by(
    kubeconfig: &str,
    clock: Arc<dyn Clock>,
    test: impl Future<Output = Outcome>,
) -> Outcome {
    let (gate, shutdown) = (WriteGate::open(), CancellationToken::new());
    let test = async {
        let tested = test.await;
        shutdown.cancel();
        tested
    };
    let (ran, tested) = tokio::join!(engine_by(kubeconfig, &gate, shutdown.clone(), clock), test);
    tested.and(ran)
}

/// An engine until `shutdown`, over the way that the kubeconfig names, with its writes through the gate.
pub(crate) async fn engine(kubeconfig: &str, gate: &WriteGate, shutdown: CancellationToken) -> Outcome {
    engine_by(kubeconfig, gate, shutdown, Arc::new(SystemClock)).await
}

async fn engine_by(
    kubeconfig: &str,
    gate: &WriteGate,
    shutdown: CancellationToken,
    clock: Arc<dyn Clock>,
) -> Outcome {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = hub_client(config, gate)?;
    let wake = Arc::new(Notify::new());
    let told = Arc::clone(&wake);
    let options = MemberOptions { everything: true, ..MemberOptions::default() };
    let key = ClusterKey {
        kind: ClusterKind::AttachedCluster,
        namespace: String::new(),
        name: "engine".to_owned(),
    };
    let member = Member::spawn(key, client.clone(), options, Arc::new(move |_| told.notify_one()));
    let namespace = VELERO_NAMESPACE.to_owned();
    let stores = Arc::new(AsTheClusterSays { client, namespace: namespace.clone(), allowed_local: None });
    let setup = Setup {
        member,
        wake,
        namespace,
        stores,
        folder: std::env::temp_dir(),
        led: None,
        runs: Runs::new(NonZeroUsize::MIN),
        clock,
        // Nobody else is there.
        answer_within: Duration::ZERO,
    };
    Ok(serve(setup, shutdown, || {}).await?)
}
