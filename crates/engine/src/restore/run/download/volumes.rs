//! What a backup's volume info says of its volumes, entry by entry: a million of them are hundreds of megabytes.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};

use flate2::read::MultiGzDecoder;
use kurator_archive::Seen;
use kurator_archive::metadata::MetadataError;
use kurator_archive::metadata::volumes::Method;
use serde::Deserialize;

use crate::list::cut::{CutError, Cutter};
use crate::restore::BackupMethod;

/// The most content that is read, in bytes: a million volumes with long labels.
const MOST: u64 = 1 << 30;
/// The most volumes that are known of, each with 9 bytes of memory.
const MOST_VOLUMES: u64 = 1 << 20;
/// How much is decompressed at once, in bytes.
const AHEAD: usize = 32 << 10;

/// The volumes that have an entry, by how their data was backed up.
pub(super) type Methods = BTreeMap<BackupMethod, Seen<str>>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Info {
    pv_name: String,
    backup_method: Option<Method>,
}

/// Reads the volume info from `source`; `file` is its key, for messages. An empty file and `null` have no entries.
///
/// # Errors
/// [`MetadataError::Unreadable`], [`MetadataError::TooLarge`], [`MetadataError::TooMany`]
pub(super) fn read(file: &str, source: impl Read) -> Result<Methods, MetadataError> {
    read_at_most(file, source, MOST, MOST_VOLUMES)
}

fn read_at_most(
    file: &str,
    source: impl Read,
    most: u64,
    most_volumes: u64,
) -> Result<Methods, MetadataError> {
    let unreadable = |source| MetadataError::Unreadable { file: file.to_owned(), source };
    let mut methods = Methods::new();
    let mut volumes = 0_u64;
    let mut source = BufReader::new(source);
    if source.fill_buf().map_err(unreadable)?.is_empty() {
        return Ok(methods);
    }
    let content = MultiGzDecoder::new(source).take(most.saturating_add(1));
    let mut content = BufReader::with_capacity(AHEAD, content);
    if content.fill_buf().map_err(unreadable)?.is_empty() {
        return Ok(methods);
    }
    // The file is what the API server's lists have below `items`.
    let mut cutter = Cutter::default();
    let mut feed = |piece: &[u8]| {
        cutter.feed(piece, |item| {
            let info: Info = serde_json::from_slice(&item).map_err(Fault::Json)?;
            if !info.pv_name.is_empty() {
                let of_method = methods.entry(method(info.backup_method.as_ref())).or_default();
                volumes += u64::from(of_method.insert(&info.pv_name));
            }
            if volumes > most_volumes { Err(Fault::TooMany) } else { Ok(()) }
        })
    };
    let mut cut = feed(br#"{"items":"#);
    while cut.is_ok() {
        let piece = content.fill_buf().map_err(unreadable)?;
        if piece.is_empty() {
            break;
        }
        cut = feed(piece);
        let read = piece.len();
        content.consume(read);
    }
    let cut = cut.and_then(|()| feed(b"}"));
    if content.get_ref().limit() == 0 {
        return Err(MetadataError::TooLarge { file: file.to_owned(), most });
    }
    match cut.and_then(|()| cutter.finish().map_err(Fault::Cut)) {
        Ok(_) => Ok(methods),
        Err(Fault::TooMany) => Err(MetadataError::TooMany { file: file.to_owned(), most: most_volumes }),
        Err(Fault::Cut(error)) => Err(unreadable(io::Error::other(error))),
        Err(Fault::Json(error)) => Err(unreadable(error.into())),
    }
}

/// Whatever else a later release calls it, the data is in the store.
fn method(method: Option<&Method>) -> BackupMethod {
    match method {
        Some(Method::NativeSnapshot) => BackupMethod::NativeSnapshot,
        Some(Method::CsiSnapshot) => BackupMethod::CsiSnapshot,
        Some(_) => BackupMethod::PodVolumeBackup,
        None => BackupMethod::Skipped,
    }
}

enum Fault {
    Cut(CutError),
    Json(serde_json::Error),
    TooMany,
}

impl From<CutError> for Fault {
    fn from(error: CutError) -> Self {
        Self::Cut(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(content: &str) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(content.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn each_volume_has_the_method_of_its_entry() {
        let file = gzip(
            r#"[{"pvName": "a", "backupMethod": "NativeSnapshot"}, {"pvName": "b", "skipped": true},
                {"pvcName": "c", "backupMethod": "CSISnapshot"}, {"pvName": "d", "backupMethod": "Later"}]"#,
        );
        let methods = read("f", &file[..]).unwrap();
        let of =
            |name: &str| methods.iter().find(|(_, names)| names.contains(name)).map(|(method, _)| *method);
        assert_eq!(
            ["a", "b", "c", "d"].map(of),
            [
                Some(BackupMethod::NativeSnapshot),
                Some(BackupMethod::Skipped),
                None,
                Some(BackupMethod::PodVolumeBackup)
            ]
        );
    }

    #[test]
    fn what_is_empty_has_no_entries() {
        for file in [Vec::new(), gzip(""), gzip("null\n"), gzip("[]\n")] {
            assert!(read("f", &file[..]).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_no_volume_info_is_refused_by_its_key() {
        for file in [b"x".to_vec(), gzip("{}"), gzip("[{}"), gzip("[] 1"), gzip(r#"[{"pvName": 1}]"#)] {
            let refused = read("b-volumeinfo.json.gz", &file[..]).unwrap_err();
            assert!(matches!(refused, MetadataError::Unreadable { .. }), "{refused}");
            assert!(refused.to_string().contains("`b-volumeinfo.json.gz`"));
        }
    }

    #[test]
    fn more_than_a_million_volumes_have_is_refused() {
        let file = gzip(&format!("[{}]", vec!["{}"; 100].join(",")));
        assert!(read_at_most("f", &file[..], 301, 0).is_ok());
        let refused = read_at_most("f", &file[..], 300, 0).unwrap_err();
        assert!(matches!(refused, MetadataError::TooLarge { most: 300, .. }), "{refused}");
    }

    #[test]
    fn more_volumes_than_a_cluster_has_are_refused() {
        let file =
            gzip(r#"[{"pvName": "a"}, {"pvName": "b", "backupMethod": "CSISnapshot"}, {"pvName": "a"}]"#);
        assert!(read_at_most("f", &file[..], MOST, 2).is_ok());
        let refused = read_at_most("f", &file[..], MOST, 1).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`f` has more than 1 entries, the most that is read; use another backup"
        );
    }
}
