//! Writes to members that are under way or failed, so that no reconcile ever waits for a member.
//!
//! A reconcile starts a write and returns; its end wakes the object again. What is kept here is only
//! an observation: it may be lost at any time (a restart), and the watch tells the truth again.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::api::PostParams;
use kube::core::Status;
use kube::core::response::StatusDetails;
use kurator_api::cluster::ClusterKey;
use kurator_api::reason::Reason;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::hub::MANAGER;

/// How long a finished write is believed over a cache that does not show its result yet.
const BELIEVED: Duration = Duration::from_secs(10);
/// Pause after a first conflict.
const AFTER_CONFLICT: Duration = Duration::from_millis(100);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// One thing that is written in one member on behalf of one hub object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WriteKey {
    /// UID of the hub object.
    pub(crate) owner: String,
    /// The member.
    pub(crate) cluster: ClusterKey,
    /// What is written; distinguishes several writes for one owner.
    pub(crate) what: &'static str,
}

/// What is known of a write.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Never started, or done long enough ago that the cache decides.
    None,
    /// Not answered yet.
    InFlight,
    /// The member accepted it; its watch may not have told yet. Ask again at the given time.
    Done { until: Instant },
    /// The member refused it or did not answer.
    Failed { failure: Failure, retry_at: Instant },
}

/// Whether writes may show yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsettled {
    No,
    /// One is under way.
    InFlight,
    /// All have ended; by then the watch shows what came of them.
    Until(Instant),
}

/// A write that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The server understood and will say the same next time: its words.
    #[error("{0}")]
    Refused(String),
    /// Not allowed with this credential: the server's words.
    #[error("{0}")]
    Forbidden(String),
    /// The namespace or the type that it belongs to is not there, or is being deleted: which.
    #[error("{0}")]
    NoPlace(String),
    /// Worth another try: what happened.
    #[error("{0}")]
    Transient(String),
}

impl Failure {
    /// Whether somebody must help before another try is any better.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::NoPlace(_) | Self::Transient(_))
    }

    /// What a row says for it.
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::Refused(_) => Reason::MemberRefused,
            Self::Forbidden(_) => Reason::Forbidden,
            Self::NoPlace(_) => Reason::VeleroMissing,
            Self::Transient(_) => Reason::Waiting,
        }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = &error
            && let Some(why) = no_place(status)
        {
            return Self::NoPlace(why);
        }
        match error {
            kube::Error::Api(status) if status.is_forbidden() || status.code == 401 => {
                Self::Forbidden(status.message)
            }
            kube::Error::Api(status) if matches!(status.code, 400 | 405 | 422) => {
                Self::Refused(status.message)
            }
            kube::Error::Api(status) => Self::Transient(status.message),
            other => Self::Transient(kurator_member::causes::chain(&other)),
        }
    }
}

/// Why there is no place for an object, if a server refuses it for that.
fn no_place(status: &Status) -> Option<String> {
    let details = status.details.as_ref();
    let ends =
        |details: &StatusDetails| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
    match (status.code, details) {
        (403, Some(details)) if ends(details) => {
            Some(format!("its namespace is being deleted: {}", status.message))
        }
        (404, Some(details)) if details.kind == "namespaces" => {
            Some(format!("the cluster has no namespace `{}`", details.name))
        }
        // What the server does not serve it answers in plain words.
        (404, None) => Some("the cluster does not serve its type".to_owned()),
        (405, _) if status.message.contains("is terminating") => {
            Some("its type is being deleted in the cluster".to_owned())
        }
        _ => None,
    }
}

/// Creates `object`. One of that name that exists already counts as done: the watch shows whose it is.
pub(crate) async fn create<K>(api: &kube::Api<K>, object: &K) -> Result<(), Failure>
where
    K: kube::Resource + Clone + Serialize + DeserializeOwned + Debug,
{
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&params, object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A deletion: what is gone already is as good.
pub(crate) fn gone<T>(answer: Result<T, kube::Error>) -> Result<(), Failure> {
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug)]
struct Entry {
    state: Write,
    attempts: u32,
    /// Nobody asks for the outcome any more; that it is under way still counts.
    forgotten: bool,
}

impl Entry {
    fn is_in_flight(&self) -> bool {
        matches!(self.state, Write::InFlight)
    }
}

/// By owner, then by member, then by what is written: objects of thousands of clusters ask for each of them.
#[derive(Default)]
struct Entries(HashMap<String, HashMap<ClusterKey, HashMap<&'static str, Entry>>>);

impl Entries {
    /// What is written for this owner.
    fn of_owner(&self, owner: &str) -> impl Iterator<Item = &Entry> {
        self.0.get(owner).into_iter().flat_map(HashMap::values).flat_map(HashMap::values)
    }

    /// Likewise in this member.
    fn of_cluster(&self, owner: &str, cluster: &ClusterKey) -> impl Iterator<Item = (&'static str, &Entry)> {
        let all = self.0.get(owner).and_then(|clusters| clusters.get(cluster));
        all.into_iter().flatten().map(|(what, entry)| (*what, entry))
    }

    fn get(&self, key: &WriteKey) -> Option<&Entry> {
        self.0.get(&key.owner)?.get(&key.cluster)?.get(key.what)
    }

    fn get_mut(&mut self, key: &WriteKey) -> Option<&mut Entry> {
        self.0.get_mut(&key.owner)?.get_mut(&key.cluster)?.get_mut(key.what)
    }

    fn insert(&mut self, key: &WriteKey, entry: Entry) {
        let clusters = self.0.entry(key.owner.clone()).or_default();
        clusters.entry(key.cluster.clone()).or_default().insert(key.what, entry);
    }

    /// Keeps of this owner's entries, in one member or in all, those that are to stay.
    fn retain(
        &mut self,
        owner: &str,
        cluster: Option<&ClusterKey>,
        mut stays: impl FnMut(&'static str, &mut Entry) -> bool,
    ) {
        let Some(clusters) = self.0.get_mut(owner) else { return };
        let mut keep = |entries: &mut HashMap<&'static str, Entry>| {
            entries.retain(|what, entry| stays(what, entry));
            !entries.is_empty()
        };
        match cluster {
            None => clusters.retain(|_, entries| keep(entries)),
            Some(cluster) => {
                if clusters.get_mut(cluster).is_some_and(|entries| !keep(entries)) {
                    clusters.remove(cluster);
                }
            }
        }
        if clusters.is_empty() {
            self.0.remove(owner);
        }
    }
}

/// All writes of this process.
pub(crate) struct Writes {
    entries: Mutex<Entries>,
    tasks: TaskTracker,
}

impl Writes {
    pub(crate) fn new(tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), tasks })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self, key: &WriteKey) -> Write {
        match self.entries().get(key).map(|entry| &entry.state) {
            None => Write::None,
            Some(Write::Done { until }) if *until <= Instant::now() => Write::None,
            Some(state) => state.clone(),
        }
    }

    /// The cache shows what was written, or nobody cares any more.
    pub(crate) fn forget(&self, key: &WriteKey) {
        self.entries()
            .retain(&key.owner, Some(&key.cluster), |what, entry| what != key.what || entry.is_in_flight());
    }

    /// Forgets everything kept for a hub object that needs no more work, apart from what is under way.
    pub(crate) fn forget_owner(&self, owner: &str) {
        self.entries().retain(owner, None, |_, entry| {
            entry.forgotten = true;
            entry.is_in_flight()
        });
    }

    /// Whether any write for this owner is under way.
    pub(crate) fn in_flight(&self, owner: &str) -> bool {
        self.entries().of_owner(owner).any(Entry::is_in_flight)
    }

    /// The writes for this owner in this member that may have made something that its watch does not show yet.
    ///
    /// A request that broke off may have arrived; so it counts until it would be sent again.
    pub(crate) fn unsettled(&self, owner: &str, cluster: &ClusterKey, but: &[&str]) -> Unsettled {
        let now = Instant::now();
        let entries = self.entries();
        let mut until = None;
        for (_, entry) in entries.of_cluster(owner, cluster).filter(|(what, _)| !but.contains(what)) {
            match &entry.state {
                Write::InFlight => return Unsettled::InFlight,
                Write::Done { until: at }
                | Write::Failed { failure: Failure::Transient(_), retry_at: at } => {
                    until = until.max(Some(*at).filter(|at| *at > now));
                }
                Write::None | Write::Failed { .. } => {}
            }
        }
        until.map_or(Unsettled::No, Unsettled::Until)
    }

    /// The watch shows what the writes for this owner in this member have made.
    pub(crate) fn settle(&self, owner: &str, cluster: &ClusterKey, but: &[&str]) {
        self.entries()
            .retain(owner, Some(cluster), |what, entry| but.contains(&what) || entry.is_in_flight());
    }

    /// Starts `write` unless one is under way; calls `wake` when it has ended.
    pub(crate) fn start<F, W>(self: &Arc<Self>, key: WriteKey, write: F, wake: W)
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
        W: FnOnce() + Send + 'static,
    {
        {
            let mut entries = self.entries();
            let attempts = match entries.get(&key) {
                Some(Entry { state: Write::InFlight, .. }) => return,
                Some(entry) => entry.attempts,
                None => 0,
            };
            entries.insert(&key, Entry { state: Write::InFlight, attempts, forgotten: false });
        }
        let writes = Arc::clone(self);
        self.tasks.spawn(async move {
            let ended = write.await;
            writes.ended(&key, ended);
            wake();
        });
    }

    fn ended(&self, key: &WriteKey, result: Result<(), Failure>) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(key) else { return };
        if entry.forgotten {
            entries.retain(&key.owner, Some(&key.cluster), |what, _| what != key.what);
            return;
        }
        entry.state = match result {
            Ok(()) => {
                entry.attempts = 0;
                Write::Done { until: Instant::now() + BELIEVED }
            }
            Err(failure) => {
                entry.attempts = entry.attempts.saturating_add(1);
                Write::Failed { failure, retry_at: Instant::now() + retry_delay(entry.attempts) }
            }
        };
    }
}

/// Doubles from half a second to a minute.
pub(crate) fn retry_delay(attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_RETRY.saturating_mul(factor).min(LAST_RETRY)
}

/// Pause before a pass over an object that changed under the last one. Its watch event usually comes first; while the watch
/// is cut, no pass sees what it conflicts with.
pub(crate) fn conflict_delay(attempts: u32) -> Duration {
    if attempts <= 1 { AFTER_CONFLICT } else { retry_delay(attempts - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKind;
    use serde_json::json;

    #[test]
    fn after_a_conflict_comes_a_look_soon_and_after_several_ever_later() {
        let pauses = [1, 2, 3, 4, 100].map(conflict_delay).map(|pause| pause.as_millis());
        assert_eq!(pauses, [100, 500, 1_000, 2_000, 60_000]);
    }

    fn key() -> WriteKey {
        WriteKey {
            owner: "uid".into(),
            cluster: ClusterKey {
                namespace: "default".into(),
                kind: ClusterKind::AttachedCluster,
                name: "member1".into(),
            },
            what: "backup",
        }
    }

    async fn run(writes: &Arc<Writes>, result: Result<(), Failure>) {
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        writes.start(key(), async { result }, move || drop(done));
        let _closed = ended.await;
    }

    fn refused(status: serde_json::Value) -> Failure {
        Failure::from(kube::Error::Api(Box::new(serde_json::from_value(status).unwrap())))
    }

    #[test]
    fn a_refusal_for_want_of_a_namespace_or_type_is_told_as_such_and_is_not_final() {
        for (code, message, details, expected) in [
            (
                404,
                "namespaces \"velero\" not found",
                json!({"kind": "namespaces", "name": "velero"}),
                "the cluster has no namespace `velero`",
            ),
            (404, "404 page not found", json!(null), "the cluster does not serve its type"),
            (
                403,
                "it is being terminated",
                json!({"causes": [{"reason": "NamespaceTerminating", "message": "", "field": ""}]}),
                "its namespace is being deleted: it is being terminated",
            ),
            (
                405,
                "create not allowed while custom resource definition is terminating",
                json!({"kind": "backups"}),
                "its type is being deleted in the cluster",
            ),
        ] {
            let failure = refused(json!({"code": code, "message": message, "details": details}));
            assert_eq!(failure, Failure::NoPlace(expected.to_owned()));
            assert!(!failure.is_final());
        }
        let gone = json!({"code": 404, "message": "backups \"b\" not found", "details": {"kind": "backups", "name": "b"}});
        assert!(matches!(refused(gone), Failure::Transient(_)));
        let forbidden =
            json!({"code": 403, "message": "no", "reason": "Forbidden", "details": {"kind": "backups"}});
        assert!(matches!(refused(forbidden), Failure::Forbidden(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_done_write_is_believed_only_until_the_cache_must_show_it() {
        let writes = Writes::new(TaskTracker::new());
        run(&writes, Ok(())).await;
        assert!(matches!(writes.state(&key()), Write::Done { .. }));
        tokio::time::advance(BELIEVED).await;
        assert!(matches!(writes.state(&key()), Write::None));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_up_to_a_minute() {
        let writes = Writes::new(TaskTracker::new());
        let mut delays = Vec::new();
        for _ in 0..9 {
            run(&writes, Err(Failure::Transient("reset".into()))).await;
            let Write::Failed { retry_at, .. } = writes.state(&key()) else { panic!("not failed") };
            delays.push(retry_at.duration_since(Instant::now()));
        }
        assert_eq!(delays.first(), Some(&FIRST_RETRY));
        assert_eq!(delays.last(), Some(&LAST_RETRY));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_show_yet_counts_until_it_must() {
        let writes = Writes::new(TaskTracker::new());
        let unsettled = |but: &[&str]| writes.unsettled("uid", &key().cluster, but);
        assert_eq!(unsettled(&[]), Unsettled::No);
        run(&writes, Ok(())).await;
        assert_eq!(unsettled(&[]), Unsettled::Until(Instant::now() + BELIEVED));
        assert_eq!(unsettled(&["backup"]), Unsettled::No);
        run(&writes, Err(Failure::Forbidden("no".into()))).await;
        assert_eq!(unsettled(&[]), Unsettled::No);
        run(&writes, Err(Failure::Transient("reset".into()))).await;
        assert!(matches!(unsettled(&[]), Unsettled::Until(_)));
    }

    #[tokio::test]
    async fn a_write_under_way_is_not_forgotten_before_it_ends() {
        let writes = Writes::new(TaskTracker::new());
        let (release, held) = tokio::sync::oneshot::channel::<()>();
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let write = async move {
            let _released = held.await;
            Ok(())
        };
        writes.start(key(), write, move || drop(done));
        writes.forget_owner("uid");
        assert!(writes.in_flight("uid"));
        assert_eq!(writes.unsettled("uid", &key().cluster, &[]), Unsettled::InFlight);
        drop(release);
        let _closed = ended.await;
        assert!(!writes.in_flight("uid"));
        assert!(matches!(writes.state(&key()), Write::None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_settled_counts_no_more_in_that_member_and_stays_in_the_others() {
        let writes = Writes::new(TaskTracker::new());
        run(&writes, Ok(())).await;
        let elsewhere = ClusterKey { name: "member2".into(), ..key().cluster };
        writes.settle("uid", &elsewhere, &[]);
        writes.settle("uid", &key().cluster, &["backup"]);
        writes.settle("another", &key().cluster, &[]);
        assert!(matches!(writes.state(&key()), Write::Done { .. }));
        writes.settle("uid", &key().cluster, &[]);
        assert!(matches!(writes.state(&key()), Write::None));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_of_what_is_forgotten_or_settled() {
        let writes = Writes::new(TaskTracker::new());
        let ends: [fn(&Writes); 3] = [
            |writes| writes.forget(&key()),
            |writes| writes.forget_owner("uid"),
            |writes| writes.settle("uid", &key().cluster, &[]),
        ];
        for end in ends {
            run(&writes, Ok(())).await;
            assert!(!writes.entries().0.is_empty());
            end(&writes);
            assert!(writes.entries().0.is_empty());
        }
    }

    #[tokio::test]
    async fn a_second_start_while_one_is_under_way_does_nothing() {
        let writes = Writes::new(TaskTracker::new());
        let (release, held) = tokio::sync::oneshot::channel::<()>();
        writes.start(
            key(),
            async move { held.await.map_err(|_| Failure::Transient("dropped".into())) },
            || {},
        );
        writes.start(key(), async { Err(Failure::Refused("second".into())) }, || {});
        assert!(matches!(writes.state(&key()), Write::InFlight));
        drop(release);
    }
}
