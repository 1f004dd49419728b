//! How much memory a backup and a restore take: on the heap at most, as a counting allocator sees it, and how that grows
//! with the number of objects. Of a process the rest is the program itself and what its connections hold.
#![expect(clippy::unwrap_used, reason = "a test: what fails here fails it")]

mod cluster;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use kurator_api::velero::{Backup, BackupStorageLocation, Restore};
use kurator_archive::{ArchiveWriter, BackupFiles, ItemPath};
use kurator_engine::backup::prepare::{ClusterVersion, Defaults, Facts, prepare};
use kurator_engine::backup::run as backup;
use kurator_engine::progress::Progress;
use kurator_engine::restore::run as restore;
use kurator_engine::restore::{self as restores, Images, StorageClasses};
use kurator_engine::runs::{Kind, Runs};
use kurator_member::clock::SystemClock;
use kurator_store::{Location, Store};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use crate::cluster::Cluster;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// The allocator counts for the whole process.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A store in a folder, and the folder for temporary files.
struct Disk {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
}

impl Disk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        let path = folder.path().display().to_string();
        let location = Location {
            provider: "kurator.dev/local".to_owned(),
            bucket: "store".to_owned(),
            config: BTreeMap::from([("path".to_owned(), path)]),
            ..Location::default()
        };
        let store = location.open(Some(folder.path())).await.unwrap();
        Self { folder, store }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The most heap that was taken meanwhile beyond what was there before, in bytes.
async fn peak<T>(work: impl Future<Output = T>) -> (T, usize) {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    let done = work.await;
    (done, HEAP.peak_usage().saturating_sub(before))
}

fn location() -> BackupStorageLocation {
    let location = json!({"metadata": {"name": "default", "namespace": "velero"}, "spec": {}, "status": {"phase": "Available"}});
    serde_json::from_value(location).unwrap()
}

/// Backs up everything of the cluster, and the most heap that took.
async fn back_up(cluster: &Cluster, disk: &Disk, spec: Value) -> (Backup, usize) {
    let (locations, version) = ([location()], ClusterVersion::default());
    let facts = Facts {
        defaults: &Defaults::default(),
        locations: &locations,
        snapshot_locations: &[],
        excluded_namespaces: &[],
        version: &version,
        policy: None,
        now: "2026-11-01T00:00:00Z".parse().unwrap(),
    };
    let mut backup = Backup::new("b", serde_json::from_value(spec).unwrap());
    backup.metadata.namespace = Some("velero".to_owned());
    let prepared = prepare(backup, &facts).unwrap();
    let (caller, catalog) = (cluster.caller(), Cluster::catalog());
    let namespaces = cluster.namespaces();
    let (progress, _told) = watch::channel(Progress::default());
    let place = Runs::new(NonZeroUsize::MIN).place(Kind::Backup).await;
    let tools = backup::Tools {
        caller: &caller,
        cluster: "kube-system-uid",
        catalog: &catalog,
        namespaces: &namespaces,
        store: Arc::clone(&disk.store),
        folder: disk.path(),
        threads: NonZeroUsize::MIN,
        clock: Arc::new(SystemClock),
        progress: &progress,
        place: &place,
    };
    let (ended, peak) = peak(backup::run(prepared, &tools)).await;
    (ended.unwrap(), peak)
}

/// Restores what a spec takes of the backup in the store into an empty cluster, and the most heap that took.
async fn restore(backup: &Backup, disk: &Disk, spec: Value) -> (Restore, usize) {
    let (backups, locations, catalog) = ([backup.clone()], [location()], Cluster::catalog());
    let facts = restores::Facts {
        backups: &backups,
        locations: &locations,
        modifiers: None,
        policy: None,
        catalog: &catalog,
    };
    let mut wanted = json!({"metadata": {"name": "r", "namespace": "velero"}, "spec": spec});
    wanted["spec"]["backupName"] = "b".into();
    let prepared = restores::prepare(&serde_json::from_value(wanted).unwrap(), &facts).unwrap();
    let caller = Cluster::empty().caller();
    let (progress, _told) = watch::channel(Progress::default());
    let place = Runs::new(NonZeroUsize::MIN).place(Kind::Restore).await;
    let tools = restore::Tools {
        caller: &caller,
        catalog: catalog.clone(),
        store: Arc::clone(&disk.store),
        folder: disk.path(),
        resumed: false,
        storage_classes: StorageClasses::default(),
        images: Images::default(),
        clock: Arc::new(SystemClock),
        progress: &progress,
        place: &place,
    };
    let (ended, peak) = peak(restore::run(prepared, tools)).await;
    (ended.unwrap(), peak)
}

/// Stores an archive that holds these objects as the contents of the backup `b`.
async fn forge(disk: &Disk, items: impl Iterator<Item = (ItemPath, Vec<u8>)>) -> Backup {
    let mut archive = ArchiveWriter::new(Vec::new(), NonZeroUsize::MIN, 0).unwrap();
    for (path, json) in items {
        archive.item(&path, &json).unwrap();
    }
    let (archive, _) = archive.finish().unwrap();
    let key = BackupFiles::new("", "b").unwrap().contents();
    disk.store.put(&key, archive.into()).await.unwrap();
    let backup = json!({
        "metadata": {"name": "b", "namespace": "velero"},
        "spec": {"storageLocation": "default"}, "status": {"phase": "Completed"},
    });
    serde_json::from_value(backup).unwrap()
}

fn path(resource: &str, namespace: Option<&str>, name: &str) -> ItemPath {
    ItemPath::new(resource.parse().unwrap(), namespace, name).unwrap()
}

fn done(status: &Value) -> u64 {
    status["progress"]["totalItems"].as_u64().unwrap()
}

/// What both take for each object more, in bytes, of objects that bring in one another and have volumes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_grows_by_less_than_32_bytes_for_each_object() {
    let _alone = ALONE.lock().await;
    const FEW: usize = 20_000;
    const MANY: usize = 200_000;
    let mut peaks = Vec::new();
    for objects in [FEW, MANY] {
        let disk = Disk::new().await;
        let cluster = Cluster::of(objects);
        let (backup, backing_up) = back_up(&cluster, &disk, json!({})).await;
        let status = serde_json::to_value(&backup.status).unwrap();
        assert_eq!(done(&status), cluster.objects() as u64, "{status}");
        // Labels decide, so what others bring in has to be known.
        let spec = json!({"labelSelector": {"matchLabels": {"app": "a"}}});
        let (restore, restoring) = restore(&backup, &disk, spec).await;
        let status = serde_json::to_value(&restore.status).unwrap();
        assert!(done(&status) >= objects as u64, "{status}");
        peaks.push([backing_up, restoring]);
    }
    for (what, (few, many)) in ["backup", "restore"].iter().zip(peaks[0].into_iter().zip(peaks[1])) {
        let more = many.saturating_sub(few) / (MANY - FEW);
        assert!(few < 32 * MIB && more < 32, "{what}: {few} bytes for {FEW}, {many} bytes for {MANY}");
    }
}

/// The reader, the folder's files and what decides: no object is taken, so that the API server costs no time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_a_million_tiny_objects_is_gone_through_in_32_mib() {
    let _alone = ALONE.lock().await;
    let disk = Disk::new().await;
    let items = (0..1_000_000).map(|number| {
        let (namespace, name) = (format!("n{}", number % 50_000), format!("p{number}"));
        (path("configmaps", Some(&namespace), &name), b"{}".to_vec())
    });
    let backup = forge(&disk, items).await;
    let (_, peak) = restore(&backup, &disk, json!({"includedNamespaces": ["none"]})).await;
    assert!(peak < 32 * MIB, "{peak}");
}

/// What would be a hundred times larger once it is parsed is refused by its name, and the others come through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_large_objects_is_restored_in_48_mib() {
    let _alone = ALONE.lock().await;
    let disk = Disk::new().await;
    let named = |name: &str, rest: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","namespace":"a"}},{rest}}}"#
        )
    };
    let item = |name: &str, rest: &str| (path("configmaps", Some("a"), name), named(name, rest).into_bytes());
    let long = format!(r#""data":{{"x":"{}"}}"#, "y".repeat(3 << 20));
    let nested = format!(r#""data":[{}]"#, vec![r#"{"a":0}"#; 100_000].join(","));
    let too_long = format!(r#""data":{{"x":"{}"}}"#, "y".repeat(5 << 20));
    let items = (0..30).flat_map(|number| {
        [
            item(&format!("long-{number}"), &long),
            item(&format!("nested-{number}"), &nested),
            item(&format!("too-long-{number}"), &too_long),
        ]
    });
    let backup = forge(&disk, items).await;
    let (restore, peak) = restore(&backup, &disk, json!({})).await;
    let status = serde_json::to_value(&restore.status).unwrap();
    assert_eq!(status["errors"], 60, "{status}");
    // And their namespace.
    assert_eq!(done(&status), 31, "{status}");
    assert!(peak < 48 * MIB, "{peak}");
}
