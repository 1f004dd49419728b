//! Executes the velero.io objects of one cluster: watches them, runs what is to be run, says what became of it.
//!
//! One Backup and one Restore at a time, as Velero does by default. What a process that is gone had begun is run again
//! from its beginning; what it had finished is found in the store. Of several engines of one cluster the one that
//! holds its Lease works; the Lease is held only while there is something to run.

mod awaited;
mod backup;
mod ended;
mod faults;
mod lease;
mod location;
mod progress;
mod queue;
mod request;
mod restore;
mod rounds;
mod schedule;
mod stores;
#[cfg(test)]
mod tests;
mod turn;
mod write;

use std::collections::HashSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::{Resource, ResourceExt as _};
use kurator_api::velero::{Backup, BackupStorageLocation, ServerStatusRequest};
use kurator_member::cache::Cache;
use kurator_member::clock::Clock;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::{Liveness, Member};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::awaited::Awaited;
use self::lease::Tenure;
use self::rounds::Rounds;
use crate::call::{CallError, Caller};
use crate::fresh::path;

pub use self::lease::Leader;
pub use self::stores::{AsTheClusterSays, Stores};
pub use crate::runs::Runs;

/// The release of Velero whose behaviour this is, as `ServerStatusRequest`s are told; behind the plus, who says so.
pub const SERVER_VERSION: &str = concat!("v1.18.3+kurator-", env!("CARGO_PKG_VERSION"));
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
    /// The process that this engine works for, if that works only while it leads: then its client writes only meanwhile.
    pub led: Option<Leader>,
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
    /// Locations whose last run failed, to be looked at.
    doubted: Mutex<HashSet<String>>,
    awaited: Awaited,
    /// Runs, by UID, that are over but for their end, which their objects don't take: nothing waits for them.
    untold: watch::Sender<HashSet<String>>,
}

impl Server {
    /// UID of the cluster's namespace kube-system, while it is in touch.
    fn cluster(&self) -> Option<String> {
        match self.member.liveness() {
            Liveness::Alive { uid, .. } => Some(uid),
            Liveness::Connecting { .. } | Liveness::Unreachable { .. } => None,
        }
    }

    /// A run with this location has failed: it may be the location's fault.
    fn doubt(&self, location: &BackupStorageLocation) {
        self.doubts().insert(location.name_any());
    }

    fn doubt_no_more(&self, location: &str) {
        self.doubts().remove(location);
    }

    fn is_doubted(&self, location: &str) -> bool {
        self.doubts().contains(location)
    }

    fn doubts(&self) -> MutexGuard<'_, HashSet<String>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The locations; `None` while the cluster has a bad moment, which is no cluster without locations.
    fn locations(&self) -> Option<Vec<BackupStorageLocation>> {
        all(self.member.locations())
    }

    /// The Backups, likewise.
    fn backups(&self) -> Option<Vec<Backup>> {
        all(self.member.backups())
    }
}

fn all<K: Resource + Clone>(cache: &Cache<K>) -> Option<Vec<K>> {
    match cache.list() {
        Knowledge::Present(all) => Some(all.iter().map(|object| K::clone(object)).collect()),
        Knowledge::Absent => Some(Vec::new()),
        Knowledge::Unknown { .. } => None,
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
    let Setup { member, wake, namespace, stores, folder, led, runs, clock, answer_within } = setup;
    let caller = Caller::new(member.client().clone());
    let server = Arc::new(Server {
        caller,
        member,
        namespace,
        stores,
        folder,
        runs,
        clock,
        doubted: Mutex::default(),
        awaited: Awaited::default(),
        untold: watch::Sender::default(),
    });
    // In a box of its own: a process serves thousands of clusters, and this is over soon.
    let alone = Box::pin(alone(&server, &wake, answer_within));
    if let Some(asked) = shutdown.run_until_cancelled(alone).await {
        asked?;
        tracing::info!("serving");
        begun();
        let mut rounds = Rounds::new();
        let mut tenure = Tenure::new(server.caller.client().clone(), &server.namespace, led);
        // Handed over by value, it would take its room twice.
        shutdown.run_until_cancelled(pin!(rounds.go(&server, &wake, &mut tenure))).await;
        rounds.end().await;
        tenure.end().await;
    }
    Ok(())
}

/// Makes sure that nobody else executes the objects: a question to the server there is, if there is one.
async fn alone(server: &Server, wake: &Notify, answer_within: Duration) -> Result<(), ServeError> {
    let name = format!("kurator-engine-{:08x}", fastrand::u32(..));
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
