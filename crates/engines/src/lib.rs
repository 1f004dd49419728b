//! Runs one built-in engine for each member that the fleets want to be served.
//!
//! The engines know nothing of fleets, the fleets nothing of engines; here they meet. What happens to one engine, be it
//! a panic, stays with it.

use kurator_member::causes::chain;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kurator_api::cluster::ClusterKey;
use kurator_api::velero::{BackupPhase, BackupStorageLocation};
use kurator_engine::server::{Leader, Runs, SERVER_VERSION, ServeError, Setup, Stores, serve};
use kurator_fleet::{Served, ServedMembers, Standing};
use kurator_member::clock::Clock;
use kurator_member::lease::{Claim, Succession};
use kurator_store::{Purpose, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Most memory that a run needs, in MiB.
const RUN_MIB: u32 = 64;
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What all engines share.
#[derive(Clone)]
pub struct Engines {
    runs: Arc<Runs>,
    folder: PathBuf,
    answer_within: Duration,
    clock: Arc<dyn Clock>,
    led: Option<Led>,
    tasks: TaskTracker,
}

/// The leadership that the engines of this process depend on.
#[derive(Clone)]
pub struct Led {
    /// The claim to it.
    pub claim: watch::Receiver<Claim>,
    /// Namespace and name of its Lease on the hub.
    pub lease: String,
    /// Who this process is there.
    pub identity: String,
}

impl Led {
    /// For the engines of the hub with this UID.
    fn by(&self, hub: &str) -> Leader {
        let line = format!("{hub}/{}", self.lease);
        Leader { claim: self.claim.clone(), succession: Succession::new(line, &self.identity) }
    }
}

/// One engine.
struct Engine {
    served: Arc<Served>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Engines {
    /// Engines that share `memory_mib`, keep temporary files in `folder`, and begin when another server of their cluster
    /// has not answered within `answer_within`.
    #[must_use]
    pub fn new(memory_mib: u32, folder: PathBuf, answer_within: Duration, clock: Arc<dyn Clock>) -> Self {
        let places = usize::try_from(memory_mib / RUN_MIB).ok().and_then(NonZeroUsize::new);
        let runs = Runs::new(places.unwrap_or(NonZeroUsize::MIN));
        Self { runs, folder, answer_within, clock, led: None, tasks: TaskTracker::new() }
    }

    /// They work only while this process leads, and follow those of a process that led before without waiting.
    #[must_use]
    pub fn led_by(self, led: Led) -> Self {
        Self { led: Some(led), ..self }
    }

    /// Serves what is to be served, until `shutdown`; all engines have ended then.
    pub async fn run(self, mut wanted: watch::Receiver<ServedMembers>, shutdown: CancellationToken) {
        let mut running: HashMap<ClusterKey, Engine> = HashMap::new();
        loop {
            let now = wanted.borrow_and_update().clone();
            self.adjust(&mut running, &now);
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { break },
                () = shutdown.cancelled() => break,
            }
        }
        for engine in running.values() {
            engine.stop.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn adjust(&self, running: &mut HashMap<ClusterKey, Engine>, wanted: &ServedMembers) {
        running.retain(|key, engine| {
            let stays = wanted.contains_key(key);
            if !stays {
                engine.stop.cancel();
            }
            stays
        });
        for (key, served) in wanted {
            let before = running.get(key);
            if before.is_some_and(|engine| Arc::ptr_eq(&engine.served, served)) {
                continue;
            }
            let before = running.remove(key).map(|engine| {
                engine.stop.cancel();
                engine.ended
            });
            let stop = CancellationToken::new();
            let keeping = keep(self.clone(), Arc::clone(served), before, stop.clone());
            let span = tracing::info_span!("engine", cluster = %key);
            let ended = self.tasks.spawn(keeping.instrument(span));
            running.insert(key.clone(), Engine { served: Arc::clone(served), stop, ended });
        }
    }
}

/// Keeps the engine of one member going, after the end of its predecessor.
async fn keep(
    engines: Engines,
    served: Arc<Served>,
    before: Option<JoinHandle<()>>,
    stop: CancellationToken,
) {
    if let Some(before) = before {
        // It has caught whatever went wrong in it.
        let _ended = before.await;
    }
    let mut pause = FIRST_RETRY;
    let led = engines.led.as_ref().map(|led| led.by(served.hub()));
    while !stop.is_cancelled() {
        // Before its types are there, an engine can't even ask whether it is alone.
        if stop.run_until_cancelled(until_known(&served)).await.is_none() {
            return;
        }
        let setup = Setup {
            member: Arc::clone(served.member()),
            wake: Arc::clone(served.wake()),
            namespace: served.namespace().to_owned(),
            stores: Arc::new(AsTheHubSays(Arc::clone(&served))),
            folder: engines.folder.clone(),
            led: led.clone(),
            runs: Arc::clone(&engines.runs),
            clock: Arc::clone(&engines.clock),
            answer_within: engines.answer_within,
        };
        let told = Arc::clone(&served);
        let begun = move || told.say(Standing::Serves { version: SERVER_VERSION.to_owned() });
        // In a task of its own, which a panic ends and nothing else.
        let serving = engines.tasks.spawn(serve(setup, stop.clone(), begun).in_current_span());
        let standing = match serving.await {
            Ok(Ok(())) => return,
            Ok(Err(refused @ ServeError::Served { .. })) => Standing::Refused(refused.to_string()),
            Ok(Err(error)) => Standing::Failed(chain(&error)),
            Err(died) => Standing::Failed(format!("it has died: {died}")),
        };
        match &standing {
            Standing::Failed(why) => tracing::warn!(why, "the engine could not begin, and is started again"),
            other => tracing::debug!(standing = ?other, "the engine does not serve"),
        }
        served.say(standing);
        let waited = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        if waited.is_none() {
            return;
        }
        pause = (pause * 2).min(LAST_RETRY);
    }
}

/// Waits until the cluster's velero.io types are watched, and so are there.
async fn until_known(served: &Served) {
    while served.member().status_requests().list().is_unknown() {
        served.wake().notified().await;
    }
}

/// Opens what the hub itself knows of, whatever a location in the member says.
struct AsTheHubSays(Arc<Served>);

#[async_trait]
impl Stores for AsTheHubSays {
    async fn open(
        &self,
        location: &BackupStorageLocation,
        purpose: Purpose<'_>,
    ) -> Result<Arc<dyn Store>, String> {
        self.0.store(location, purpose).await
    }

    fn changes(&self) -> u64 {
        self.0.keys_changed()
    }

    fn is_doubted(&self, backup: &str) -> bool {
        self.0.is_doubted(backup)
    }

    fn proven(&self, backup: &str, end: &BackupPhase) {
        self.0.proven(backup, end);
    }

    fn unproven(&self, backup: &str, why: &str) {
        self.0.unproven(backup, why);
    }

    fn untold(&self, run: &str, why: Option<&str>) {
        self.0.untold(run, why);
    }

    fn keep_only(&self, there: &dyn Fn(&str) -> bool) {
        self.0.keep_only(there);
    }
}
