//! Backups whose object or whose store is lost on the way.

use std::sync::atomic::{AtomicBool, AtomicU64};

use super::*;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/velero/leases/kurator-engine";

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
    let another = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "spec": {}, "metadata": {
        "name": "b", "namespace": "velero", "uid": "other",
    }});
    for then in [None, Some(leaving), Some(another)] {
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
