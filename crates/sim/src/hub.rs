//! A hub's process: the controllers, and the engines of its members.

use std::sync::Arc;

use http::Uri;
use kube::Client;
use kurator_api::fleet::{Engine, Installer};
use kurator_engine::server::ANSWER_WITHIN;
use kurator_engines::Engines;
use kurator_fleet::{Metrics, Options, ServedMembers, Setup};
use kurator_member::connect::{Connect, ConnectError};
use kurator_member::gate::WriteGate;
use kurator_member::kubeconfig::{TrustPolicy, TrustedConfig};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::life::Life;
use crate::stores::Stores;
use crate::world::{HUB, World};

/// Memory that the engines may use, in MiB: several runs at once.
const MEMORY_MIB: u32 = 512;

/// A running hub.
pub struct Hub {
    life: Life,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), String>>,
}

impl Hub {
    /// Starts one that lives as long as `life`.
    #[must_use]
    pub fn start(world: &World, life: Life) -> Self {
        let shutdown = CancellationToken::new();
        let (served, wanted) = watch::channel(ServedMembers::new());
        let setup = Setup {
            client: world.wire(HUB, &life),
            gate: WriteGate::open(),
            clock: Arc::new(world.clock),
            metrics: Metrics::register(&mut Registry::default()),
            options: Options {
                default_engine: Engine::Builtin,
                default_installer: Installer::None,
                trust: TrustPolicy { allow_loopback: false },
                concurrency: 16,
            },
            connect: Arc::new(Ways { world: world.clone(), life: life.clone() }),
            stores: Arc::new(Stores {
                buckets: world.buckets.clone(),
                life: life.clone(),
                weather: Arc::clone(&world.weather),
                history: Arc::clone(&world.history),
            }),
            served,
            shutdown: shutdown.clone(),
        };
        let engines =
            Engines::new(MEMORY_MIB, world.folder.path().to_owned(), ANSWER_WITHIN, Arc::new(world.clock));
        let (history, ending) = (Arc::clone(&world.history), shutdown.clone());
        let ended = TaskTracker::new().spawn(async move {
            let engines = engines.run(wanted, ending);
            let hub = kurator_fleet::run(setup, || history.note("the hub is ready"));
            let (ran, ()) = tokio::join!(hub, engines);
            ran.map_err(|error| error.to_string())
        });
        Self { life, shutdown, ended }
    }

    /// Waits until it is dead, or has not begun at all, as in a storm.
    ///
    /// # Errors
    /// It ended otherwise: how.
    pub async fn until_dead(&mut self) -> Result<(), String> {
        tokio::select! {
            () = self.life.over().cancelled() => Ok(()),
            ended = &mut self.ended => match ended {
                Ok(Err(_did_not_begin)) => Ok(()),
                Ok(Ok(())) => Err("has ended by itself".to_owned()),
                Err(died) => Err(format!("has died of itself: {died}")),
            },
        }
    }

    /// Ends it and all of its tasks.
    pub async fn end(self) {
        self.life.end();
        self.shutdown.cancel();
        if !self.ended.is_finished() {
            let _ended = self.ended.await;
        }
    }
}

/// The ways from one process to the members.
struct Ways {
    world: World,
    life: Life,
}

impl Connect for Ways {
    fn connect(&self, config: &TrustedConfig, _: &WriteGate) -> Result<Client, ConnectError> {
        let server: Uri = config.server().parse().unwrap_or_default();
        Ok(self.world.wire(server.host().unwrap_or_default(), &self.life))
    }
}
