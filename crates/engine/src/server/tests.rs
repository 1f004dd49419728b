//! Engines of several members in one process: what one of them meets with does not hold the others up.

mod cluster;
mod stores;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::velero::BackupStorageLocation;
use kurator_member::clock::SystemClock;
use kurator_member::member::{Member, MemberOptions};
use kurator_store::{Memory, Purpose, Store};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::cluster::Cluster;
use super::*;

const BACKUP: &str = "/apis/velero.io/v1/namespaces/velero/backups/b";
const LOCATION: &str = "/apis/velero.io/v1/namespaces/velero/backupstoragelocations/default";

/// A store for each engine; so many times it is a defect of ours to open it.
struct Shelf {
    store: Arc<Memory>,
    defects: AtomicUsize,
    /// Why the ends of runs are not told, by UID.
    untold: watch::Sender<BTreeMap<String, String>>,
}

impl Shelf {
    fn new(defects: usize) -> Arc<Self> {
        let untold = watch::Sender::default();
        Arc::new(Self { store: Arc::default(), defects: AtomicUsize::new(defects), untold })
    }
}

#[async_trait]
impl Stores for Shelf {
    async fn open(&self, _: &BackupStorageLocation, _: Purpose<'_>) -> Result<Arc<dyn Store>, String> {
        let left = self.defects.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        assert!(left.is_err(), "a defect");
        Ok(Arc::clone(&self.store) as Arc<dyn Store>)
    }

    fn untold(&self, run: &str, why: Option<&str>) {
        self.untold.send_modify(|untold| match why {
            Some(why) => drop(untold.insert(run.to_owned(), why.to_owned())),
            None => drop(untold.remove(run)),
        });
    }
}

/// A Backup and its location, checked a moment ago and never again.
fn objects() -> Vec<(&'static str, Value)> {
    let of = |kind: &str, name: &str, spec: Value, status: Value| {
        json!({
            "apiVersion": "velero.io/v1", "kind": kind, "spec": spec, "status": status,
            "metadata": {"name": name, "namespace": "velero", "uid": name},
        })
    };
    let location = json!({
        "provider": "aws", "default": true, "validationFrequency": "0s", "objectStorage": {"bucket": "b"},
    });
    let checked = json!({"phase": "Available", "lastValidationTime": "2026-01-01T00:00:00Z"});
    let namespace =
        |name: &str| json!({"metadata": {"name": name, "uid": name}, "status": {"phase": "Active"}});
    vec![
        (BACKUP, of("Backup", "b", json!({"includedNamespaces": ["a"]}), json!({}))),
        (LOCATION, of("BackupStorageLocation", "default", location, checked)),
        ("/api/v1/namespaces/kube-system", namespace("kube-system")),
        ("/api/v1/namespaces/a", namespace("a")),
    ]
}

fn pod_with_hook() -> (&'static str, Value) {
    let annotations = json!({
        "pre.hook.backup.velero.io/command": r#"["freeze"]"#, "pre.hook.backup.velero.io/timeout": "4h",
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "a", "annotations": annotations},
        "spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Running"},
    });
    ("/api/v1/namespaces/a/pods/p", pod)
}

fn is_ended(backup: &Value) -> bool {
    !backup["status"]["completionTimestamp"].is_null()
}

/// Serves a cluster while `test` goes on.
async fn while_served<T>(
    cluster: &Cluster,
    runs: &Arc<Runs>,
    defects: usize,
    test: impl Future<Output = T>,
) -> T {
    let shelf = Shelf::new(defects);
    // Tests lie within tests: on the heap, since they are large and moved about.
    while_serving(cluster, runs, shelf, &Arc::default(), Box::pin(test)).await
}

/// Likewise with these stores, and looks around whenever `wake` is told.
async fn while_serving<T>(
    cluster: &Cluster,
    runs: &Arc<Runs>,
    stores: Arc<dyn Stores>,
    wake: &Arc<Notify>,
    test: impl Future<Output = T>,
) -> T {
    let told = Arc::clone(wake);
    let options = MemberOptions { everything: true, ..MemberOptions::default() };
    let key =
        ClusterKey { kind: ClusterKind::AttachedCluster, namespace: String::new(), name: "m".to_owned() };
    let client = cluster.client();
    let member = Member::spawn(key, client, options, Arc::new(move |_| told.notify_one()));
    let setup = Setup {
        member: Arc::clone(&member),
        wake: Arc::clone(wake),
        namespace: "velero".to_owned(),
        stores,
        folder: std::env::temp_dir(),
        led: None,
        runs: Arc::clone(runs),
        clock: Arc::new(SystemClock),
        answer_within: Duration::ZERO,
    };
    let served = tokio::select! {
        served = serve(setup, CancellationToken::new(), || {}) => panic!("the engine has ended: {served:?}"),
        tested = test => tested,
    };
    member.stop().await;
    served
}

/// Waits until two clusters hang that share one place; the backup of a third completes all the same.
async fn another_is_served([one, other]: [Cluster; 2]) {
    let runs = Runs::new(NonZeroUsize::MIN);
    let well = Cluster::new(objects(), |_, _, _| false);
    let other = while_served(&other, &runs, 0, async {
        other.until_hung().await;
        while_served(&well, &runs, 0, well.until(BACKUP, is_ended)).await;
    });
    let test = while_served(&one, &runs, 0, async {
        one.until_hung().await;
        other.await;
    });
    timeout(Duration::from_secs(60), test).await.expect("it waits for the others");
    assert_eq!(well.object(BACKUP)["status"]["phase"], "Completed", "{}", well.object(BACKUP));
}

#[tokio::test]
async fn members_that_never_take_the_last_status_keep_no_place() {
    let hangs = || {
        Cluster::new(objects(), |method, path, body| {
            method == Method::PATCH && path == BACKUP && body["status"]["phase"] == "Completed"
        })
    };
    another_is_served([hangs(), hangs()]).await;
}

#[tokio::test]
async fn members_whose_hooks_hang_keep_no_place() {
    let hangs = || {
        let mut objects = objects();
        objects.push(pod_with_hook());
        Cluster::new(objects, |_, path, _| path.ends_with("/exec"))
    };
    another_is_served([hangs(), hangs()]).await;
}

const NEXT: &str = "/apis/velero.io/v1/namespaces/velero/backups/next";

/// The objects, and a Backup that comes after the other.
fn with_next() -> Vec<(&'static str, Value)> {
    let mut objects = objects();
    let mut next = objects[0].1.clone();
    (next["metadata"]["name"], next["metadata"]["uid"]) = (json!("next"), json!("next"));
    objects.push((NEXT, next));
    objects
}

#[tokio::test(start_paused = true)]
async fn a_backup_whose_end_the_member_forbids_does_not_hold_up_the_next() {
    let forbidden = |method: &Method, path: &str, body: &Value| {
        method == Method::PATCH && path == BACKUP && !body["status"]["completionTimestamp"].is_null()
    };
    let cluster = Cluster::refusing(with_next(), forbidden);
    let runs = Runs::new(NonZeroUsize::MIN);
    let test = while_served(&cluster, &runs, 0, cluster.until(NEXT, is_ended));
    timeout(Duration::from_secs(600), test).await.expect("it waits for the end of the other");
    let phase = |path| cluster.object(path)["status"]["phase"].clone();
    assert_eq!([phase(BACKUP), phase(NEXT)], ["InProgress", "Completed"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_member_forbids_is_said_until_it_is_taken() {
    let left = AtomicUsize::new(3);
    let cluster = Cluster::refusing(objects(), move |method, path, body| {
        let is_end =
            method == Method::PATCH && path == BACKUP && !body["status"]["completionTimestamp"].is_null();
        is_end && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    });
    let shelf = Shelf::new(0);
    let mut untold = shelf.untold.subscribe();
    let test = async {
        let said = untold.wait_for(|untold| !untold.is_empty()).await.unwrap()["b"].clone();
        cluster.until(BACKUP, is_ended).await;
        untold.wait_for(BTreeMap::is_empty).await.unwrap();
        said
    };
    let stores = Arc::clone(&shelf) as Arc<dyn Stores>;
    let (runs, wake) = (Runs::new(NonZeroUsize::MIN), Arc::default());
    let test = while_serving(&cluster, &runs, stores, &wake, Box::pin(test));
    let said = timeout(Duration::from_secs(600), test).await.expect("it is not said, or for too long");
    let expected = "the run has ended as Completed, and the member refuses to have that written; allow it, and it is \
                    written within a minute: not you";
    assert_eq!(said, expected);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_dies_is_taken_up_again() {
    let cluster = Cluster::new(objects(), |_, _, _| false);
    while_served(&cluster, &Runs::new(NonZeroUsize::MIN), 2, cluster.until(BACKUP, is_ended)).await;
    assert_eq!(cluster.object(BACKUP)["status"]["phase"], "Completed");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_always_dies_ends_and_says_why() {
    let cluster = Cluster::new(objects(), |_, _, _| false);
    let runs = Runs::new(NonZeroUsize::MIN);
    while_served(&cluster, &runs, usize::MAX, cluster.until(BACKUP, is_ended)).await;
    let status = cluster.object(BACKUP)["status"].clone();
    assert_eq!(status["phase"], "Failed");
    let why = status["failureReason"].as_str().unwrap();
    assert!(why.contains("3 times") && why.contains("a defect"), "{why}");
}

#[tokio::test]
async fn of_many_status_requests_a_few_are_answered_at_a_time_and_hold_nothing_up() {
    let requests = (0..50).map(|n| {
        let request = json!({"metadata": {"name": format!("r{n}"), "namespace": "velero"}, "spec": {}});
        (format!("/apis/velero.io/v1/namespaces/velero/serverstatusrequests/r{n}"), request)
    });
    let objects = objects().into_iter().map(|(path, object)| (path.to_owned(), object));
    let hangs = |method: &Method, path: &str, _: &Value| {
        method == Method::PATCH && path.contains("/serverstatusrequests/")
    };
    let cluster = Cluster::new(objects.chain(requests), hangs);
    let runs = Runs::new(NonZeroUsize::MIN);
    let test = while_served(&cluster, &runs, 0, cluster.until(BACKUP, is_ended));
    timeout(Duration::from_secs(60), test).await.expect("the backup waits for the requests");
    assert_eq!(cluster.hung(), 8);
}
