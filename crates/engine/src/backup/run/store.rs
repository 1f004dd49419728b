//! Brings a backup that is complete into the store.

use std::io::{self, Read as _};

use bytes::Bytes;
use futures::StreamExt as _;
use kurator_api::velero::Backup;
use kurator_archive::BackupFiles;
use kurator_archive::metadata::results::Results;
use kurator_archive::metadata::volumes::BackupVolumeInfo;
use kurator_archive::metadata::{self, MetadataError};
use kurator_store::{Content, Creation, Store, StoreError};

use super::pack::Packed;

/// Piece that is read of the tarball at a time, in bytes.
const PIECE: usize = 1 << 20;

/// Why a backup is not in the store.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A backup of this name is there already.
    #[error("backup already exists in object storage")]
    Exists,
    /// Another cluster is about to make it.
    #[error(
        "cluster {cluster} is making a backup of this name in the same location: choose another name, or delete \
         `{key}` from the store if it is not"
    )]
    Marked {
        /// Where it says so.
        key: String,
        /// UID of its namespace kube-system.
        cluster: String,
    },
    /// The store's own trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file that cannot be made.
    #[error(transparent)]
    File(#[from] MetadataError),
    /// The object itself.
    #[error("cannot write the Backup as JSON")]
    Json(#[from] serde_json::Error),
}

/// The files of a backup beside its metadata.
pub(super) struct Files {
    pub(super) packed: Packed,
    pub(super) log: Vec<u8>,
    pub(super) results: Results,
    pub(super) volumes: Vec<BackupVolumeInfo>,
}

/// Stores all files but the metadata: without that there is no backup, for us and for Velero.
pub(super) async fn keep(store: &dyn Store, at: &BackupFiles, files: Files) -> Result<(), KeepError> {
    let Files { packed, log, results, volumes } = files;
    let Packed { file, resource_list, .. } = packed;
    store.write(&at.contents(), pieces(file)).await?;
    let none: [(); 0] = [];
    let nothing = || metadata::write(&none, Vec::new());
    let small = [
        (at.log(), log),
        (at.resource_list(), resource_list),
        (at.results(), metadata::write(&results, Vec::new())?),
        (at.volume_info(), metadata::write(&volumes, Vec::new())?),
        (at.pod_volume_backups(), nothing()?),
        (at.volume_snapshots(), nothing()?),
        (at.item_operations(), nothing()?),
    ];
    let stored = small.map(|(key, content)| async move { store.put(&key, Bytes::from(content)).await });
    futures::future::try_join_all(stored).await?;
    Ok(())
}

/// Makes the backup exist: stores the object with its last status. Never over another.
pub(super) async fn seal(store: &dyn Store, at: &BackupFiles, backup: &Backup) -> Result<(), KeepError> {
    let json = Bytes::from(serde_json::to_vec_pretty(backup)?);
    let failed = match store.create(&at.metadata(), json.clone()).await {
        Ok(Creation::Created) => return Ok(()),
        Ok(Creation::AlreadyExists) => KeepError::Exists,
        Err(error) => error.into(),
    };
    // Where only the answer was lost, what is there is ours.
    match store.get(&at.metadata()).await {
        Ok(Some(found)) if found == json => Ok(()),
        _ => Err(failed),
    }
}

/// A file, read piece by piece on threads that may block.
fn pieces(file: std::fs::File) -> Content<'static> {
    futures::stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let mut filled = 0;
            while filled < PIECE {
                match file.read(&mut piece[filled..])? {
                    0 => break,
                    read => filled += read,
                }
            }
            piece.truncate(filled);
            Ok::<_, io::Error>((piece, file))
        });
        match read.await.unwrap_or_else(|died| Err(io::Error::other(died))) {
            Ok((piece, _)) if piece.is_empty() => None,
            Ok((piece, file)) => Some((Ok(Bytes::from(piece)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}
