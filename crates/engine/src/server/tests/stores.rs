//! Backups whose object or whose store is lost on the way.

use std::sync::atomic::{AtomicBool, AtomicU64};

use futures::FutureExt as _;
use kurator_api::velero::BackupPhase;
use tokio::sync::watch;

use super::*;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/velero/leases/kurator-engine";

/// A Backup of the name that is not the one that was there.
fn another() -> Value {
    json!({"apiVersion": "velero.io/v1", "kind": "Backup", "spec": {}, "metadata": {
        "name": "b", "namespace": "velero", "uid": "other",
    }})
}

/// A store before whose first use something happens to the Backup.
struct Meanwhile<F> {
    store: Arc<Memory>,
    happens: F,
}

#[async_trait]
impl<F: Fn() + Send + Sync> Stores for Meanwhile<F> {
    async fn open(&self, _: &BackupStorageLocation, purpose: Purpose<'_>) -> Result<Arc<dyn Store>, String> {
        if purpose == Purpose::Store {
            (self.happens)();
        }
        Ok(Arc::clone(&self.store) as Arc<dyn Store>)
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_backup_that_is_deleted_while_it_is_made_nothing_is_left() {
    let leaving = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "spec": {}, "metadata": {
        "name": "b", "namespace": "velero", "uid": "b", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["f"],
    }});
    for then in [None, Some(leaving), Some(another())] {
        let cluster = Cluster::new(objects(), |_, _, _| false);
        let store: Arc<Memory> = Arc::default();
        let (there, replaced) = (cluster.clone(), then.clone());
        let stores =
            Meanwhile { store: Arc::clone(&store), happens: move || there.replace(BACKUP, replaced.clone()) };
        let given_back = cluster.until(LEASE, |lease| lease["spec"]["leaseDurationSeconds"] == 1);
        let runs = Runs::new(NonZeroUsize::MIN);
        while_serving(&cluster, &runs, Arc::new(stores), &Arc::default(), given_back).await;
        assert_eq!(cluster.object(BACKUP), then.clone().unwrap_or_default(), "it was written to");
        let left = store.list("backups/b").await.unwrap();
        assert!(left.folders.is_empty() && left.objects.is_empty(), "{then:?}: {left:?}");
    }
}

/// A store that cannot be opened for a Backup, in whose place another is made meanwhile.
struct Refuses(Cluster);

#[async_trait]
impl Stores for Refuses {
    async fn open(&self, _: &BackupStorageLocation, _: Purpose<'_>) -> Result<Arc<dyn Store>, String> {
        self.0.replace(BACKUP, Some(another()));
        Err("no such bucket".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn one_made_again_under_the_name_is_not_told_of_the_end_of_the_old_one() {
    let cluster = Cluster::new(objects(), |_, _, _| false);
    let given_back = cluster.until(LEASE, |lease| lease["spec"]["leaseDurationSeconds"] == 1);
    let stores = Arc::new(Refuses(cluster.clone()));
    while_serving(&cluster, &Runs::new(NonZeroUsize::MIN), stores, &Arc::default(), given_back).await;
    assert_eq!(cluster.object(BACKUP), another());
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_the_server_did_not_know_for_a_moment_is_made_all_the_same() {
    let cluster = Cluster::new(objects(), |_, _, _| false);
    let (there, once) = (cluster.clone(), AtomicBool::new(true));
    let happens = move || {
        if once.swap(false, Relaxed) {
            there.replace(BACKUP, None);
        }
    };
    let stores = Arc::new(Meanwhile { store: Arc::default(), happens });
    let test = async {
        cluster.until(LEASE, |lease| lease["spec"]["leaseDurationSeconds"] == 1).await;
        cluster.replace(
            BACKUP,
            objects().into_iter().find_map(|(path, found)| (path == BACKUP).then_some(found)),
        );
        cluster.until(BACKUP, is_ended).await;
    };
    let (runs, wake) = (Runs::new(NonZeroUsize::MIN), Arc::default());
    let test = while_serving(&cluster, &runs, stores, &wake, test);
    timeout(Duration::from_secs(600), test).await.expect("it is not begun again");
    assert_eq!(cluster.object(BACKUP)["status"]["phase"], "Completed");
}

#[tokio::test(start_paused = true)]
async fn what_velero_stored_of_a_backup_before_it_was_stopped_is_no_end() {
    let mut objects = objects();
    for (_, backup) in objects.iter_mut().filter(|(path, _)| *path == BACKUP) {
        backup["status"] = json!({"phase": "Finalizing", "startTimestamp": "2026-01-01T00:00:00Z"});
    }
    let cluster = Cluster::new(objects, |_, _, _| false);
    let store: Arc<Memory> = Arc::default();
    let begun = json!({"metadata": {"name": "b", "uid": "b"}, "spec": {}, "status": {"phase": "Finalizing"}});
    store.put("backups/b/velero-backup.json", begun.to_string().into()).await.unwrap();
    let stores = Arc::new(Meanwhile { store: Arc::clone(&store), happens: || {} });
    let ended = cluster.until(BACKUP, is_ended);
    while_serving(&cluster, &Runs::new(NonZeroUsize::MIN), stores, &Arc::default(), ended).await;
    let stored = store.get("backups/b/velero-backup.json").await.unwrap().unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    let phases = [&cluster.object(BACKUP)["status"]["phase"], &stored["status"]["phase"]];
    assert_eq!(phases, ["Completed", "Completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_another_engine_ends_in_the_last_moment_ends_as_the_store_has_it() {
    let store: Arc<Memory> = Arc::default();
    let others = json!({"metadata": {"name": "b", "uid": "b"}, "spec": {}, "status": {
        "phase": "PartiallyFailed", "completionTimestamp": "2026-01-01T00:00:00Z",
    }});
    let late = Arc::clone(&store);
    let cluster = Cluster::new(objects(), move |method, path, _| {
        // Asked for the last time when everything but the end is stored.
        let is_stored = late.get("backups/b/b.tar.gz").now_or_never().unwrap().unwrap().is_some();
        if method == Method::GET && path == BACKUP && is_stored {
            let end = late.put("backups/b/velero-backup.json", others.to_string().into());
            end.now_or_never().unwrap().unwrap();
        }
        false
    });
    let stores = Arc::new(Meanwhile { store, happens: || {} });
    let ended = cluster.until(BACKUP, is_ended);
    while_serving(&cluster, &Runs::new(NonZeroUsize::MIN), stores, &Arc::default(), ended).await;
    let status = cluster.object(BACKUP)["status"].clone();
    assert_eq!((&status["phase"], &status["failureReason"]), (&json!("PartiallyFailed"), &Value::Null));
}

/// A store that refuses each backup, and everything from then on.
#[derive(Default)]
struct Fickle {
    refuses: AtomicBool,
    changes: AtomicU64,
}

#[async_trait]
impl Stores for Fickle {
    async fn open(&self, _: &BackupStorageLocation, purpose: Purpose<'_>) -> Result<Arc<dyn Store>, String> {
        let is_backup = purpose == Purpose::Store;
        if self.refuses.fetch_or(is_backup, Relaxed) || is_backup {
            return Err("the key is not known".to_owned());
        }
        Ok(Arc::<Memory>::default())
    }

    fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_location_is_looked_at_again_when_a_run_has_failed_and_when_its_key_has_changed() {
    let cluster = Cluster::new(objects(), |_, _, _| false);
    let (stores, wake) = (Arc::<Fickle>::default(), Arc::<Notify>::default());
    let is = |phase: &'static str| move |object: &Value| object["status"]["phase"] == phase;
    let test = async {
        cluster.until(BACKUP, is("Failed")).await;
        cluster.until(LOCATION, is("Unavailable")).await;
        assert_eq!(cluster.object(LOCATION)["status"]["message"], "the key is not known");
        stores.refuses.store(false, Relaxed);
        stores.changes.fetch_add(1, Relaxed);
        wake.notify_one();
        cluster.until(LOCATION, is("Available")).await;
    };
    let runs = Runs::new(NonZeroUsize::MIN);
    let test = while_serving(&cluster, &runs, Arc::clone(&stores) as Arc<dyn Stores>, &wake, test);
    timeout(Duration::from_secs(600), test).await.expect("it is not looked at again");
}

/// A store that has been asked about a Backup which says that it has ended.
struct Doubts {
    store: Arc<Memory>,
    /// It is a defect of ours to open it.
    dies: bool,
    opened: AtomicU64,
    said: watch::Sender<Option<String>>,
}

impl Doubts {
    fn new(dies: bool) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::default(),
            dies,
            opened: AtomicU64::new(0),
            said: watch::Sender::new(None),
        })
    }
}

#[async_trait]
impl Stores for Doubts {
    async fn open(&self, _: &BackupStorageLocation, _: Purpose<'_>) -> Result<Arc<dyn Store>, String> {
        self.opened.fetch_add(1, Relaxed);
        assert!(!self.dies, "a defect");
        Ok(Arc::clone(&self.store) as Arc<dyn Store>)
    }

    fn is_doubted(&self, backup: &str) -> bool {
        backup == "b" && self.said.borrow().is_none()
    }

    fn proven(&self, backup: &str, end: &BackupPhase) {
        self.said.send_replace(Some(format!("{backup} {}", end.as_str())));
    }

    fn unproven(&self, backup: &str, why: &str) {
        self.said.send_replace(Some(format!("{backup}: {why}")));
    }
}

/// The objects, with a Backup in `location` that says it is complete.
fn with_claim(location: &str) -> Vec<(&'static str, Value)> {
    let mut objects = objects();
    for (_, backup) in objects.iter_mut().filter(|(path, _)| *path == BACKUP) {
        backup["spec"]["storageLocation"] = json!(location);
        backup["status"] = json!({"phase": "Completed"});
    }
    objects
}

async fn is_said(stores: &Arc<Doubts>, location: &str) -> (Option<String>, Value) {
    let cluster = Cluster::new(with_claim(location), |_, _, _| false);
    let mut said = stores.said.subscribe();
    let test = async {
        tokio::select! {
            _ = said.wait_for(Option::is_some) => {}
            () = cluster.until(BACKUP, |backup| backup["status"]["phase"] == "Failed") => {}
        }
    };
    let (runs, wake) = (Runs::new(NonZeroUsize::MIN), Arc::default());
    let test = while_serving(&cluster, &runs, Arc::clone(stores) as Arc<dyn Stores>, &wake, Box::pin(test));
    timeout(Duration::from_secs(600), test).await.expect("nothing is said");
    (stores.said.borrow().clone(), cluster.object(BACKUP)["status"].clone())
}

#[tokio::test(start_paused = true)]
async fn a_doubted_end_is_as_the_store_has_it() {
    let stores = Doubts::new(false);
    let stored =
        json!({"metadata": {"name": "b", "uid": "b"}, "spec": {}, "status": {"phase": "PartiallyFailed"}});
    stores.store.put("backups/b/velero-backup.json", stored.to_string().into()).await.unwrap();
    let (said, status) = is_said(&stores, "default").await;
    assert_eq!((said.as_deref(), &status["phase"]), (Some("b PartiallyFailed"), &json!("Completed")));
}

#[tokio::test(start_paused = true)]
async fn a_doubted_end_of_which_nothing_is_stored_is_a_failure() {
    // Of a Velero that was killed: the file is there before the end is.
    for stored in [None, Some("InProgress")] {
        let stores = Doubts::new(false);
        if let Some(phase) = stored {
            let begun =
                json!({"metadata": {"name": "b", "uid": "b"}, "spec": {}, "status": {"phase": phase}});
            stores.store.put("backups/b/velero-backup.json", begun.to_string().into()).await.unwrap();
        }
        let (said, status) = is_said(&stores, "default").await;
        assert_eq!((said, &status["phase"]), (None, &json!("Failed")));
        let why = "its status was set to Completed, and nothing of it is stored; create another Backup";
        assert_eq!(status["failureReason"], why);
    }
}

#[tokio::test(start_paused = true)]
async fn a_location_that_is_not_there_now_proves_nothing() {
    let (said, status) = is_said(&Doubts::new(false), "gone").await;
    let why = "b: there is no location `gone`; create it again, or delete the Backup";
    assert_eq!((said.as_deref(), &status["phase"]), (Some(why), &json!("Completed")));
}

#[tokio::test(start_paused = true)]
async fn a_look_into_the_store_that_dies_is_not_repeated_at_once() {
    let cluster = Cluster::new(with_claim("default"), |_, _, _| false);
    let (stores, runs, wake) = (Doubts::new(true), Runs::new(NonZeroUsize::MIN), Arc::default());
    let minute = tokio::time::sleep(Duration::from_secs(60));
    while_serving(&cluster, &runs, Arc::clone(&stores) as Arc<dyn Stores>, &wake, minute).await;
    let opened = stores.opened.load(Relaxed);
    // The location is looked at too, and dies with it.
    assert!((1..20).contains(&opened), "{opened}");
}
