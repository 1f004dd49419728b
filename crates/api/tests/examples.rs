//! Every file in `examples/` decodes into the kinds that it names, and nothing is lost on the way back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: what fails here fails it")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kurator_api::backup::Backup;
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What the guides name, apart from the objects in the fleet's folder, which they print.
const NAMED_BY_THE_GUIDES: [&str; 10] = [
    "app-backup-demo.yaml",
    "backup-minimal.yaml",
    "backup-schedule.yaml",
    "backup-select-labels.yaml",
    "backup-specific-ns.yaml",
    "busybox.yaml",
    "migrate-select-labels.yaml",
    "restore-minimal.yaml",
    "restore-schedule.yaml",
    "restore-specific-ns.yaml",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn documents(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn and_back<K: Serialize + DeserializeOwned>(document: &Value) -> Value {
    let object: K = serde_json::from_value(document.clone()).unwrap();
    serde_json::to_value(object).unwrap()
}

#[test]
fn every_object_of_ours_survives_the_round_trip() {
    let mut seen = BTreeSet::new();
    for file in files("fleet").into_iter().chain(files("backup")) {
        for document in documents(&file) {
            let kind = format!(
                "{}/{}",
                document["apiVersion"].as_str().unwrap(),
                document["kind"].as_str().unwrap()
            );
            let back = match kind.as_str() {
                "fleet.kurator.dev/v1alpha1/Fleet" => and_back::<Fleet>(&document),
                "cluster.kurator.dev/v1alpha1/AttachedCluster" => and_back::<AttachedCluster>(&document),
                "backup.kurator.dev/v1alpha1/Backup" => and_back::<Backup>(&document),
                "backup.kurator.dev/v1alpha1/Restore" => and_back::<Restore>(&document),
                "backup.kurator.dev/v1alpha1/Migrate" => and_back::<Migrate>(&document),
                "apps.kurator.dev/v1alpha1/Application" => continue,
                other => {
                    assert!(other.starts_with("v1/"), "{}: {other} is no kind of ours", file.display());
                    continue;
                }
            };
            assert_eq!(back, document, "{}", file.display());
            seen.insert(kind);
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn every_file_that_the_guides_name_is_there() {
    let names: Vec<_> =
        files("backup").iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, NAMED_BY_THE_GUIDES);
}

#[test]
fn every_restore_finds_its_backup_among_the_examples() {
    let documents: Vec<_> = files("backup").iter().flat_map(|file| documents(file)).collect();
    let of_kind = |kind: &'static str| documents.iter().filter(move |document| document["kind"] == kind);
    let backups: BTreeSet<_> =
        of_kind("Backup").map(|backup| backup["metadata"]["name"].as_str().unwrap()).collect();
    for restore in of_kind("Restore") {
        let wanted = restore["spec"]["backupName"].as_str().unwrap();
        assert!(backups.contains(wanted), "no example makes the Backup `{wanted}`");
    }
}
