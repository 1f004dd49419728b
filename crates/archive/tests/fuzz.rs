//! A target per parser. `cargo test` runs each for a bounded number of inputs; `cargo bolero test NAME` goes on.
#![expect(clippy::unwrap_used, reason = "a test: what fails here fails it")]

use std::io::Write;
use std::num::NonZeroUsize;

use bolero::check;
use flate2::Compression;
use flate2::write::GzEncoder;
use kurator_archive::identity::check_identity;
use kurator_archive::item::StoredPath;
use kurator_archive::metadata::operations::{BackupOperation, RestoreOperation};
use kurator_archive::metadata::resource_list::ResourceList;
use kurator_archive::metadata::results::Results;
use kurator_archive::metadata::volumes::{BackupVolumeInfo, RestoreVolumeInfo};
use kurator_archive::metadata::{self, RawObjects};
use kurator_archive::{ArchiveWriter, GroupResource, ItemPath, Limits, ReadError, Reader};

/// Enough for a wrong bound to show, few enough for every run of the tests.
const RUNS: usize = 2_000;
const LIMITS: Limits =
    Limits { entries: 50, item: 4_000, inflated: 60_000, ratio: 1_000, resources: 10, namespaces: 10 };

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Found = Vec<(ItemPath, Vec<u8>)>;

/// All items, within the limits whatever the archive is.
fn read(archive: &[u8]) -> Result<Found, ReadError> {
    let mut reader = Reader::new(archive, LIMITS);
    let mut found = Found::new();
    while let Some(item) = reader.next_item()? {
        assert!(item.json.len() as u64 <= LIMITS.item);
        let path = item.path.to_string();
        assert_eq!(path.parse::<StoredPath>().unwrap().item, item.path);
        found.push((item.path, item.json.to_vec()));
        assert!(found.len() as u64 <= LIMITS.entries);
    }
    assert!(reader.summary().inflated <= LIMITS.inflated);
    Ok(found)
}

fn valid() -> (Vec<u8>, Found) {
    let mut writer = ArchiveWriter::new(Vec::new(), NonZeroUsize::MIN, 0).unwrap();
    let mut items = Found::new();
    for (number, resource) in ["pods", "deployments.apps", "namespaces"].into_iter().enumerate() {
        let resource: GroupResource = resource.parse().unwrap();
        let namespace = (number < 2).then_some("a");
        let path = ItemPath::new(resource, namespace, &"n".repeat(1 + 90 * number)).unwrap();
        let json = format!("{{\"number\":{number}}}").into_bytes();
        writer.item(&path, &json).unwrap();
        items.push((path, json));
    }
    (writer.finish().unwrap().0, items)
}

fn inflated(archive: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(archive), &mut tar).unwrap();
    tar
}

#[test]
fn any_bytes_are_an_archive_or_an_error() {
    check!().with_iterations(RUNS).for_each(|bytes: &[u8]| {
        let _ = read(bytes);
        let _ = read(&gzip(bytes));
    });
}

#[test]
fn a_changed_archive_is_an_error_or_the_same() {
    let (archive, items) = valid();
    check!().with_iterations(RUNS).with_type::<(usize, u8)>().for_each(|(place, value)| {
        let mut changed = archive.clone();
        let length = changed.len();
        changed[place % length] = *value;
        if let Ok(found) = read(&changed) {
            assert_eq!(found, items);
        }
    });
}

#[test]
fn a_changed_tarball_is_an_error_or_within_the_limits() {
    let tar = inflated(&valid().0);
    check!().with_iterations(RUNS).with_type::<Vec<(usize, u8)>>().for_each(|changes| {
        let mut changed = tar.clone();
        for (place, value) in changes.iter().take(4) {
            let length = changed.len();
            changed[place % length] = *value;
        }
        let _ = read(&gzip(&changed));
    });
}

#[test]
fn any_text_is_a_path_or_an_error() {
    check!().with_iterations(RUNS).with_type::<String>().for_each(|text| {
        for text in [text.clone(), format!("resources/pods/cluster/{text}.json")] {
            if let Ok(path) = text.parse::<StoredPath>() {
                assert_eq!(path.to_string(), text);
            }
        }
    });
}

#[test]
fn any_bytes_are_an_object_or_an_error() {
    let path = ItemPath::new("pods".parse().unwrap(), None, "p").unwrap();
    check!().with_iterations(RUNS).for_each(|bytes: &[u8]| {
        let _ = check_identity(&path, bytes);
    });
}

/// Text that gets past the first character of a parser more often than any bytes do.
const WORDS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "0",
    "-1.5e9",
    "\"\"",
    "\"a\"",
    "\"\\ud800\"",
    " ",
    "\"errors\"",
    "\"warnings\"",
    "\"velero\"",
    "\"namespaces\"",
    "\"spec\"",
    "\"status\"",
    "\"created\"",
    "\"pvInfo\"",
    "\"labels\"",
    "\"2026-11-21T01:02:03Z\"",
];

macro_rules! metadata_target {
    ($name:ident, $shape:ty) => {
        #[test]
        fn $name() {
            check!().with_iterations(RUNS).with_type::<Vec<u8>>().for_each(|bytes| {
                let words: String =
                    bytes.iter().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]).collect();
                for file in [bytes.clone(), gzip(bytes), gzip(words.as_bytes())] {
                    let read: Result<$shape, _> = metadata::read("f", Some(&file[..]), 1_000);
                    if let Ok(value) = read {
                        metadata::write(&value, Vec::new()).unwrap();
                    }
                }
            });
        }
    };
}

metadata_target!(any_bytes_are_results_or_an_error, Results);
metadata_target!(any_bytes_are_a_resource_list_or_an_error, ResourceList);
metadata_target!(any_bytes_are_volumes_of_a_backup_or_an_error, Vec<BackupVolumeInfo>);
metadata_target!(any_bytes_are_volumes_of_a_restore_or_an_error, Vec<RestoreVolumeInfo>);
metadata_target!(any_bytes_are_operations_of_a_backup_or_an_error, Vec<BackupOperation>);
metadata_target!(any_bytes_are_operations_of_a_restore_or_an_error, Vec<RestoreOperation>);
metadata_target!(any_bytes_are_raw_objects_or_an_error, RawObjects);
