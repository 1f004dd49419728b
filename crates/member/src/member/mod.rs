//! One member cluster: is it alive, and what is in it.
//!
//! [`Member::spawn`] starts eight tasks over one connection: a probe that decides on the
//! [liveness](Liveness), and seven watches that keep a [`Cache`] each. Readers never wait; they
//! are told of changes by a callback and read the caches, which say [`Unknown`](crate::knowledge::Knowledge::Unknown)
//! whenever they can't be sure. The tasks end when the [`Member`] is dropped.
//!
//! Nothing is written here, and nothing of what a member says is followed anywhere.

mod lines;
mod liveness;
mod probe;
#[cfg(test)]
mod tests;
mod watching;
mod why;

use std::{fmt, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, core::PartialObjectMeta};
use kurator_api::{
    cluster::ClusterKey,
    velero::{Backup, BackupStorageLocation, DeleteBackupRequest, Restore, Schedule, ServerStatusRequest},
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

pub use self::liveness::{Liveness, Trouble};
use self::watching::Watch;
use crate::{
    cache::{Cache, Refusal},
    clock::{Clock, SystemClock},
};

/// Which Secrets and DeleteBackupRequests are watched: those that this project, or Kurator, put there.
const OURS: &str = "fleet.kurator.dev/plugin=backup";

/// What to know about how a member is watched.
#[derive(Clone)]
pub struct MemberOptions {
    /// Velero's namespace.
    pub namespace: String,
    /// Watch DeleteBackupRequests and Secrets of anybody, and not only ours: for who executes them.
    pub everything: bool,
    /// Time between two looks at a member of which nothing bad is known.
    pub look_every: Duration,
    /// For the times that are shown.
    pub clock: Arc<dyn Clock>,
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self {
            namespace: "velero".to_owned(),
            everything: false,
            look_every: Duration::from_secs(30),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// velero.io Backups.
    Backups,
    /// velero.io Restores.
    Restores,
    /// velero.io BackupStorageLocations.
    Locations,
    /// velero.io Schedules.
    Schedules,
    /// velero.io DeleteBackupRequests of ours.
    DeleteRequests,
    /// velero.io ServerStatusRequests.
    StatusRequests,
    /// Secrets made for a location, their metadata only.
    Secrets,
}

impl Kind {
    /// As named in sentences for people.
    fn what(self) -> &'static str {
        match self {
            Self::Backups => "velero.io/v1 backups",
            Self::Restores => "velero.io/v1 restores",
            Self::Locations => "velero.io/v1 backupstoragelocations",
            Self::Schedules => "velero.io/v1 schedules",
            Self::DeleteRequests => "velero.io/v1 deletebackuprequests",
            Self::StatusRequests => "velero.io/v1 serverstatusrequests",
            Self::Secrets => "secrets",
        }
    }

    /// Name of the type, as its definition has it.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Backups => "backups.velero.io",
            Self::Restores => "restores.velero.io",
            Self::Locations => "backupstoragelocations.velero.io",
            Self::Schedules => "schedules.velero.io",
            Self::DeleteRequests => "deletebackuprequests.velero.io",
            Self::StatusRequests => "serverstatusrequests.velero.io",
            Self::Secrets => "secrets",
        }
    }
}

/// Something about a member is different. The caches already say so when this is told.
///
/// A deleted object is told as the variant of its kind, as it was seen last; the cache says `Absent`.
#[derive(Clone, Debug)]
pub enum Change {
    /// [`Member::liveness`] changed; if it is not alive any more, all caches are `Unknown`.
    Liveness,
    /// A Backup is new, changed or gone.
    Backup(Arc<Backup>),
    /// A Restore is new, changed or gone.
    Restore(Arc<Restore>),
    /// A location is new, changed or gone.
    Location(Arc<BackupStorageLocation>),
    /// A Schedule is new, changed or gone.
    Schedule(Arc<Schedule>),
    /// A DeleteBackupRequest is new, changed or gone.
    DeleteRequest(Arc<DeleteBackupRequest>),
    /// A ServerStatusRequest is new, changed or gone.
    StatusRequest(Arc<ServerStatusRequest>),
    /// The Secret of this name is new, changed or gone.
    Secret(String),
    /// What is known of a whole kind changed: its complete list arrived, or knowledge was lost.
    Resynced(Kind),
}

/// One member cluster, watched.
pub struct Member {
    id: ClusterKey,
    shared: Arc<Shared>,
    /// Ended from here, and not by a token: what waits for one holds the room of its task twice.
    running: Vec<AbortHandle>,
    tasks: TaskTracker,
    /// One for all tasks: of thousands of members, each would take its room in the log's registry.
    span: Span,
}

impl Member {
    /// Starts to watch the cluster behind `client`.
    ///
    /// `on_change` is called from the member's tasks, one call at a time per kind; it must not block. `client`
    /// should come from [`connect`](fn@crate::connect::connect): the bounds for noticing a death rest on its pings.
    #[must_use]
    pub fn spawn(
        id: ClusterKey,
        client: Client,
        options: MemberOptions,
        on_change: Arc<dyn Fn(Change) + Send + Sync>,
    ) -> Arc<Self> {
        let MemberOptions { namespace, everything, look_every, clock } = options;
        let ours = (!everything).then_some(OURS);
        let shared = Arc::new(Shared::new(client, namespace, clock, on_change));
        let span = tracing::info_span!("member", cluster = %id);
        let mut member =
            Self { id, shared: Arc::clone(&shared), running: Vec::new(), tasks: TaskTracker::new(), span };
        member.start(probe::run(Arc::clone(&shared), look_every));
        let Caches { backups, restores, locations, schedules, delete_requests, status_requests, secrets } =
            &shared.caches;
        member.watch(Kind::Backups, backups, None, Change::Backup);
        member.watch(Kind::Restores, restores, None, Change::Restore);
        member.watch(Kind::Locations, locations, None, Change::Location);
        member.watch(Kind::Schedules, schedules, None, Change::Schedule);
        member.watch(Kind::DeleteRequests, delete_requests, ours, Change::DeleteRequest);
        member.watch(Kind::StatusRequests, status_requests, None, Change::StatusRequest);
        member.watch(Kind::Secrets, secrets, ours, |secret| {
            Change::Secret(secret.metadata.name.clone().unwrap_or_default())
        });
        member.tasks.close();
        Arc::new(member)
    }

    fn start(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(task.instrument(self.span.clone()));
        self.running.push(task.abort_handle());
    }

    fn watch<K>(
        &mut self,
        kind: Kind,
        cache: &Arc<Cache<K>>,
        labels: Option<&'static str>,
        change: fn(Arc<K>) -> Change,
    ) where
        K: Watched,
    {
        let api = Api::namespaced(self.shared.client.clone(), &self.shared.namespace);
        let watch = Watch { kind, api, labels, cache: Arc::clone(cache), change };
        self.start(watch.run(Arc::clone(&self.shared)));
    }

    /// Which cluster this is, on the hub.
    #[must_use]
    pub fn id(&self) -> &ClusterKey {
        &self.id
    }

    /// Whether it answers.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.shared.liveness()
    }

    /// Whether it answers, for who needs not know more.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.shared.state.borrow().liveness.is_alive()
    }

    /// The connection that the watches run over; writes pass its gate.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The Backups.
    #[must_use]
    pub fn backups(&self) -> &Cache<Backup> {
        &self.shared.caches.backups
    }

    /// The Restores.
    #[must_use]
    pub fn restores(&self) -> &Cache<Restore> {
        &self.shared.caches.restores
    }

    /// The BackupStorageLocations.
    #[must_use]
    pub fn locations(&self) -> &Cache<BackupStorageLocation> {
        &self.shared.caches.locations
    }

    /// The Schedules.
    #[must_use]
    pub fn schedules(&self) -> &Cache<Schedule> {
        &self.shared.caches.schedules
    }

    /// The DeleteBackupRequests labelled `fleet.kurator.dev/plugin=backup`.
    #[must_use]
    pub fn delete_requests(&self) -> &Cache<DeleteBackupRequest> {
        &self.shared.caches.delete_requests
    }

    /// The ServerStatusRequests.
    #[must_use]
    pub fn status_requests(&self) -> &Cache<ServerStatusRequest> {
        &self.shared.caches.status_requests
    }

    /// The Secrets labelled `fleet.kurator.dev/plugin=backup`: name, labels, version, no content.
    #[must_use]
    pub fn secrets(&self) -> &Cache<PartialObjectMeta<Secret>> {
        &self.shared.caches.secrets
    }

    /// The kinds of which the server has answered that it won't tell, with the reason and a sentence on it.
    #[must_use]
    pub fn refused(&self) -> Vec<(Kind, Refusal, String)> {
        let Caches { backups, restores, locations, schedules, delete_requests, status_requests, secrets } =
            &self.shared.caches;
        let all = [
            (Kind::Backups, backups.refusal()),
            (Kind::Restores, restores.refusal()),
            (Kind::Locations, locations.refusal()),
            (Kind::Schedules, schedules.refusal()),
            (Kind::DeleteRequests, delete_requests.refusal()),
            (Kind::StatusRequests, status_requests.refusal()),
            (Kind::Secrets, secrets.refusal()),
        ];
        all.into_iter().filter_map(|(kind, refused)| refused.map(|(why, said)| (kind, why, said))).collect()
    }

    /// Begins broken watches again without the pause that is left, as after their types were made.
    pub fn watch_again(&self) {
        self.shared.again.send_replace(());
    }

    /// Ends all tasks and waits for their end; nothing is told afterwards. Dropping the member ends them too,
    /// without waiting.
    pub async fn stop(&self) {
        self.end();
        self.tasks.wait().await;
    }

    fn end(&self) {
        self.running.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("id", &self.id)
            .field("liveness", &self.liveness())
            .finish_non_exhaustive()
    }
}

/// What the tasks share. Holds no [`Member`], so that dropping the last one ends them.
struct Shared {
    client: Client,
    namespace: String,
    clock: Arc<dyn Clock>,
    caches: Caches,
    on_change: Arc<dyn Fn(Change) + Send + Sync>,
    state: watch::Sender<State>,
    /// A watch broke in a way that casts doubt on the member.
    doubt: Notify,
    /// Told when what made watches break is mended.
    again: watch::Sender<()>,
}

struct Caches {
    backups: Arc<Cache<Backup>>,
    restores: Arc<Cache<Restore>>,
    locations: Arc<Cache<BackupStorageLocation>>,
    schedules: Arc<Cache<Schedule>>,
    delete_requests: Arc<Cache<DeleteBackupRequest>>,
    status_requests: Arc<Cache<ServerStatusRequest>>,
    secrets: Arc<Cache<PartialObjectMeta<Secret>>>,
}

struct State {
    liveness: Liveness,
    /// Counts the beginnings and ends of knowing one and the same cluster: watches of an older session end.
    session: u64,
}

impl Shared {
    fn new(
        client: Client,
        namespace: String,
        clock: Arc<dyn Clock>,
        on_change: Arc<dyn Fn(Change) + Send + Sync>,
    ) -> Self {
        let now = clock.now();
        let why = "no complete list yet: connecting";
        let caches = Caches {
            backups: Arc::new(Cache::new(now, why)),
            restores: Arc::new(Cache::new(now, why)),
            locations: Arc::new(Cache::new(now, why)),
            schedules: Arc::new(Cache::new(now, why)),
            delete_requests: Arc::new(Cache::new(now, why)),
            status_requests: Arc::new(Cache::new(now, why)),
            secrets: Arc::new(Cache::new(now, why)),
        };
        let liveness = Liveness::Connecting { since: now, why: None };
        let state = watch::Sender::new(State { liveness, session: 0 });
        Self {
            client,
            namespace,
            clock,
            caches,
            on_change,
            state,
            doubt: Notify::new(),
            again: watch::Sender::new(()),
        }
    }

    fn tell(&self, change: Change) {
        (self.on_change)(change);
    }

    fn liveness(&self) -> Liveness {
        self.state.borrow().liveness.clone()
    }

    /// Publishes a liveness, and tells if it is news.
    fn say(&self, liveness: Liveness, new_session: bool) {
        let news = self.state.send_if_modified(|state| {
            let news = state.liveness != liveness;
            state.liveness = liveness;
            state.session += u64::from(news && new_session);
            news
        });
        if news {
            self.tell(Change::Liveness);
        }
    }

    /// Takes all knowledge away. Comes before [`say`](Self::say): who reads that the member is not alive must
    /// not read knowledge any more.
    fn forget(&self, why: &str) {
        let now = self.clock.now();
        let Caches { backups, restores, locations, schedules, delete_requests, status_requests, secrets } =
            &self.caches;
        backups.forget(now, why);
        restores.forget(now, why);
        locations.forget(now, why);
        schedules.forget(now, why);
        delete_requests.forget(now, why);
        status_requests.forget(now, why);
        secrets.forget(now, why);
    }

    /// Waits until the member is alive; the number of the session that this is.
    async fn session(&self) -> Option<u64> {
        let mut state = self.state.subscribe();
        let alive = state.wait_for(|state| state.liveness.is_alive()).await.ok()?;
        Some(alive.session)
    }

    /// Waits until `session` has ended.
    async fn end_of(&self, session: u64) {
        let mut state = self.state.subscribe();
        // Fails only with the sender, which is in `self`.
        let _ = state.wait_for(|state| state.session != session || !state.liveness.is_alive()).await;
    }
}

/// What can be watched.
trait Watched:
    kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
    + Clone
    + fmt::Debug
    + serde::de::DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Watched for K where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static
{
}
