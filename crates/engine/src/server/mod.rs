//! Executes the velero.io objects of one cluster: watches them, runs what is to be run, says what became of it.
//!
//! One Backup and one Restore at a time, as Velero does by default. What a process that is gone had begun is run again
//! from its beginning; what it had finished is found in the store. Of several engines of one cluster the one that
//! holds its Lease works; the Lease is held only while there is something to run.

mod backup;
mod lease;
mod location;
mod progress;
mod queue;
mod request;
mod restore;
mod runs;
mod schedule;
mod stores;
mod write;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::{Resource, ResourceExt as _};
use kurator_api::velero::{
    Backup, BackupStorageLocation, BackupStorageLocationSpec, Restore, Schedule, ServerStatusRequest,
};
use kurator_member::cache::Cache;
use kurator_member::clock::Clock;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use self::lease::{Held, Tenure};
use self::queue::Work;
use self::write::path;
use crate::call::{CallError, Caller};

pub use self::runs::Runs;
pub use self::stores::{AsTheClusterSays, Stores};

/// The release of Velero whose behaviour this is, as `ServerStatusRequest`s are told; behind the plus, who says so.
pub const SERVER_VERSION: &str = concat!("v1.18.3+kurator-", env!("CARGO_PKG_VERSION"));
/// Longest time without a look around.
const LOOK: Duration = Duration::from_secs(60);
/// Pause between two looks at what is not known.
const KNOWN_AGAIN: Duration = Duration::from_millis(200);
/// [`Setup::answer_within`] for production: Velero answers at once.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why the engine does not serve a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else does.
    #[error(
        "another server ({version}) executes the velero.io objects in namespace {namespace}; stop it, or leave the \
         cluster to it"
    )]
    Served {
        /// Velero's namespace.
        namespace: String,
        /// What it says it is.
        version: String,
    },
    /// The question could not be asked.
    #[error("cannot ask whether another server executes the velero.io objects of this cluster")]
    Ask(#[source] crate::call::CallError),
}

/// What an engine needs.
pub struct Setup {
    /// The cluster, watched in full.
    pub member: Arc<Member>,
    /// Told whenever anything about the member changes.
    pub wake: Arc<Notify>,
    /// Velero's namespace.
    pub namespace: String,
    /// Which store a location means.
    pub stores: Arc<dyn Stores>,
    /// Folder for temporary files.
    pub folder: PathBuf,
    /// How many runs may go at once, shared by all engines of a process.
    pub runs: Arc<Runs>,
    /// For the times that are shown.
    pub clock: Arc<dyn Clock>,
    /// How long another server has to answer before this one begins.
    pub answer_within: Duration,
}

/// What the runs share.
pub(crate) struct Server {
    pub(crate) caller: Caller,
    pub(crate) member: Arc<Member>,
    pub(crate) namespace: String,
    pub(crate) stores: Arc<dyn Stores>,
    pub(crate) folder: PathBuf,
    runs: Arc<Runs>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Server {
    async fn location(&self, name: &str) -> Option<BackupStorageLocation> {
        self.locations().await.into_iter().find(|location| location.name_any() == name)
    }

    async fn locations(&self) -> Vec<BackupStorageLocation> {
        let all = all(self.member.locations()).await;
        all.iter().map(|location| BackupStorageLocation::clone(location)).collect()
    }

    async fn backups(&self) -> Vec<Backup> {
        all(self.member.backups()).await.iter().map(|backup| Backup::clone(backup)).collect()
    }
}

/// All objects of a cache, once it knows them: a cluster that has a bad moment is no empty one.
async fn all<K: Resource>(cache: &Cache<K>) -> Vec<Arc<K>> {
    loop {
        match cache.list() {
            Knowledge::Present(all) => return all,
            Knowledge::Absent => return Vec::new(),
            Knowledge::Unknown { .. } => tokio::time::sleep(KNOWN_AGAIN).await,
        }
    }
}

/// All objects of a cache; none while nothing is known.
fn known<K: Resource>(cache: &Cache<K>) -> Vec<Arc<K>> {
    match cache.list() {
        Knowledge::Present(all) => all,
        Knowledge::Absent | Knowledge::Unknown { .. } => Vec::new(),
    }
}

/// Serves the cluster until `shutdown`, and calls `begun` when it does; runs that are under way at the end are left for
/// the next process to take up.
///
/// # Errors
/// [`ServeError`] before anything was done.
pub async fn serve(
    setup: Setup,
    shutdown: CancellationToken,
    begun: impl FnOnce(),
) -> Result<(), ServeError> {
    let Setup { member, wake, namespace, stores, folder, runs, clock, answer_within } = setup;
    let caller = Caller::new(member.client().clone());
    let server = Arc::new(Server { caller, member, namespace, stores, folder, runs, clock });
    if let Some(asked) = shutdown.run_until_cancelled(alone(&server, &wake, answer_within)).await {
        asked?;
        tracing::info!("serving");
        begun();
        let mut rounds = Rounds::default();
        let mut tenure = Tenure::new(server.caller.client().clone(), &server.namespace);
        shutdown.run_until_cancelled(rounds.go(&server, &wake, &mut tenure)).await;
        rounds.running.shutdown().await;
        tenure.end().await;
    }
    Ok(())
}

/// Makes sure that nobody else executes the objects: a question to the server there is, if there is one.
async fn alone(server: &Server, wake: &Notify, answer_within: Duration) -> Result<(), ServeError> {
    let name = format!("kurator-engine-{:08x}", rand::random::<u32>());
    let request = json!({
        "apiVersion": "velero.io/v1", "kind": "ServerStatusRequest",
        "metadata": {"name": name, "namespace": server.namespace}, "spec": {},
    });
    let collection = format!("/apis/velero.io/v1/namespaces/{}/serverstatusrequests", server.namespace);
    let body = request.to_string().into_bytes();
    server.caller.create(&collection, body.into()).await.map_err(ServeError::Ask)?;
    let answered = async {
        loop {
            if let Knowledge::Present(request) = server.member.status_requests().get(&name)
                && request::is_answered(&request)
            {
                return request.status.as_ref().and_then(|status| status.server_version.clone());
            }
            wake.notified().await;
        }
    };
    let answered = tokio::time::timeout(answer_within, answered).await;
    let path = path::<ServerStatusRequest>(&server.namespace, &name);
    // A watch that is not there yet would not have shown the answer.
    let last = server.caller.get(&path).await;
    let gone = server.caller.delete(&path).await;
    if let Err(error) = gone {
        tracing::debug!(error = %error, "the status request stays until it is removed by age");
    }
    let served = |version: Option<String>| ServeError::Served {
        namespace: server.namespace.clone(),
        version: version.unwrap_or_else(|| "of unknown version".to_owned()),
    };
    if let Ok(version) = answered {
        return Err(served(version));
    }
    let Some(last) = last.map_err(ServeError::Ask)? else { return Ok(()) };
    let unusable = |error: serde_json::Error| ServeError::Ask(CallError::Unusable(error.to_string()));
    let last: ServerStatusRequest = serde_json::from_slice(&last).map_err(unusable)?;
    if request::is_answered(&last) {
        return Err(served(last.status.and_then(|status| status.server_version)));
    }
    Ok(())
}

/// What a task works on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Job {
    Backup(String),
    Restore(String),
    Location(String),
    Schedule(String),
    Request(String),
}

impl Job {
    /// Whether it takes the Lease: two engines that do any other do no harm.
    fn takes_the_lease(&self) -> bool {
        match self {
            Self::Backup(_) | Self::Restore(_) | Self::Schedule(_) => true,
            Self::Location(_) | Self::Request(_) => false,
        }
    }
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// There is nothing left to do.
    Done,
    /// The Lease was lost: whoever has it next takes the work up.
    BrokenOff,
}

/// The rounds over everything there is to do.
#[derive(Default)]
struct Rounds {
    running: JoinSet<End>,
    jobs: HashMap<Id, Job>,
    /// Backups and Restores that have ended, until the watch says so too.
    ended: HashSet<String>,
    /// Locations as they were when they were last looked at.
    checked: HashMap<String, BackupStorageLocationSpec>,
}

impl Rounds {
    async fn go(&mut self, server: &Arc<Server>, wake: &Notify, tenure: &mut Tenure) {
        loop {
            let pause = self.round(server, tenure);
            tokio::select! {
                () = wake.notified() => {}
                () = tenure.changed() => {}
                Some(ended) = self.running.join_next_with_id(), if !self.running.is_empty() => {
                    let (id, end) = match ended {
                        Ok(ended) => ended,
                        Err(died) => {
                            tracing::error!(error = %died, "a task of the engine has died");
                            (died.id(), End::Done)
                        }
                    };
                    if let Some(Job::Backup(uid) | Job::Restore(uid)) = self.jobs.remove(&id)
                        && end == End::Done
                    {
                        self.ended.insert(uid);
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Starts what is to be done now; returns for how long nothing is.
    fn round(&mut self, server: &Arc<Server>, tenure: &mut Tenure) -> Duration {
        if !server.member.liveness().is_alive() {
            return LOOK;
        }
        let now = server.clock.now();
        let mut pause = LOOK;
        for request in known(server.member.status_requests()) {
            match request::due(&request, now) {
                Some(Duration::ZERO) => {
                    let server = Arc::clone(server);
                    self.start(Job::Request(request.name_any()), async move {
                        request::handle(&server, &request).await;
                    });
                }
                Some(later) => pause = pause.min(later),
                None => {}
            }
        }
        for found in known(server.member.locations()) {
            let is_news = self.checked.get(&found.name_any()) != Some(&found.spec);
            let due = if is_news { Some(Duration::ZERO) } else { location::due(&found, now) };
            match due {
                Some(Duration::ZERO) => {
                    self.checked.insert(found.name_any(), found.spec.clone());
                    let server = Arc::clone(server);
                    self.start(Job::Location(found.name_any()), async move {
                        location::check(&server, found).await;
                    });
                }
                Some(later) => pause = pause.min(later),
                None => {}
            }
        }
        let (backups, restores) = (known(server.member.backups()), known(server.member.restores()));
        self.forget(&backups, &restores);
        let mut schedules = Vec::new();
        for found in known(server.member.schedules()) {
            match schedule::due(&found, &backups, now) {
                Some(Duration::ZERO) => schedules.push(found),
                Some(later) => pause = pause.min(later),
                None => {}
            }
        }
        let wanted = !schedules.is_empty()
            || self.left(&backups).next().is_some()
            || self.left(&restores).next().is_some()
            || self.jobs.values().any(Job::takes_the_lease);
        if let Some(held) = tenure.tend(wanted) {
            self.work(server, &held, schedules, &backups, &restores);
        }
        pause
    }

    /// Starts what only the holder of the Lease may do.
    fn work(
        &mut self,
        server: &Arc<Server>,
        held: &Held,
        schedules: Vec<Arc<Schedule>>,
        backups: &[Arc<Backup>],
        restores: &[Arc<Restore>],
    ) {
        for found in schedules {
            let server = Arc::clone(server);
            self.start_held(held, Job::Schedule(found.name_any()), async move {
                schedule::run(&server, &found).await;
            });
        }
        if let Some(found) = self.next(backups, |job| matches!(job, Job::Backup(_))) {
            let server = Arc::clone(server);
            let uid = found.uid().unwrap_or_default();
            self.start_held(held, Job::Backup(uid), async move {
                let _turn = server.runs.turn(runs::Kind::Backup).await;
                backup::back_up(&server, &found).await;
            });
        }
        if let Some(found) = self.next(restores, |job| matches!(job, Job::Restore(_))) {
            let server = Arc::clone(server);
            let uid = found.uid().unwrap_or_default();
            self.start_held(held, Job::Restore(uid), async move {
                let _turn = server.runs.turn(runs::Kind::Restore).await;
                restore::restore(&server, &found).await;
            });
        }
    }

    /// The next Backup or Restore, unless one is running.
    fn next<K: Work + Resource>(&self, all: &[Arc<K>], of_kind: impl Fn(&Job) -> bool) -> Option<Arc<K>> {
        if self.jobs.values().any(of_kind) {
            return None;
        }
        queue::next(self.left(all)).cloned()
    }

    /// What has not ended.
    fn left<'a, K: Work + Resource>(&self, all: &'a [Arc<K>]) -> impl Iterator<Item = &'a Arc<K>> {
        let has_ended = |object: &K| object.meta().uid.as_ref().is_some_and(|uid| self.ended.contains(uid));
        all.iter().filter(move |object| object.stage().is_some() && !has_ended(object))
    }

    /// Of what has ended, only what the watch still shows as unfinished has to be remembered.
    fn forget(&mut self, backups: &[Arc<Backup>], restores: &[Arc<Restore>]) {
        let unfinished = |uid: &String| {
            backups.iter().any(|backup| backup.metadata.uid.as_ref() == Some(uid) && backup.stage().is_some())
                || restores
                    .iter()
                    .any(|restore| restore.metadata.uid.as_ref() == Some(uid) && restore.stage().is_some())
        };
        self.ended.retain(unfinished);
    }

    /// Starts what needs no Lease.
    fn start(&mut self, job: Job, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(job, async {
            task.await;
            End::Done
        });
    }

    /// Starts what is broken off when the Lease is lost.
    fn start_held(&mut self, held: &Held, job: Job, task: impl Future<Output = ()> + Send + 'static) {
        let held = held.clone();
        let told = job.clone();
        self.spawn(job, async move {
            match held.carry_out(task).await {
                Some(()) => End::Done,
                None => {
                    tracing::warn!(job = ?told, "broken off: the Lease was lost");
                    End::BrokenOff
                }
            }
        });
    }

    fn spawn(&mut self, job: Job, task: impl Future<Output = End> + Send + 'static) {
        if self.jobs.values().any(|running| *running == job) {
            return;
        }
        let id = self.running.spawn(task).id();
        self.jobs.insert(id, job);
    }
}
