//! Brings a backup that is complete into the store.

use std::path::Path;

use bytes::Bytes;
use kurator_api::velero::Backup;
use kurator_archive::BackupFiles;
use kurator_archive::metadata::results::Results;
use kurator_archive::metadata::{self, MetadataError};
use kurator_store::{Creation, Replacement, Store, StoreError};
use tempfile::SpooledTempFile;

use super::pack::Packed;
use crate::files;

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
    pub(super) log: SpooledTempFile,
    pub(super) results: Results,
    pub(super) volumes: SpooledTempFile,
}

/// Stores all files but the metadata: without that there is no backup, for us and for Velero.
///
/// What is not kept in memory meanwhile is in `folder`.
pub(super) async fn keep(
    store: &dyn Store,
    at: &BackupFiles,
    files: Files,
    folder: &Path,
) -> Result<(), KeepError> {
    let Files { packed, log, results, volumes } = files;
    let Packed { file, resource_list, .. } = packed;
    store.write(&at.contents(), files::content(file)).await?;
    let none: [(); 0] = [];
    let nothing = || metadata::write(&none, files::draft(folder));
    let small = [
        (at.log(), log),
        (at.resource_list(), resource_list),
        (at.results(), metadata::write(&results, files::draft(folder))?),
        (at.volume_info(), volumes),
        (at.pod_volume_backups(), nothing()?),
        (at.volume_snapshots(), nothing()?),
        (at.item_operations(), nothing()?),
    ];
    let stored = small.map(|(key, file)| async move { store.write(&key, files::content(file)).await });
    futures::future::try_join_all(stored).await?;
    Ok(())
}

/// Takes away what [`keep`] has stored. What stays is no backup, and is written over by the next one of its name.
pub(super) async fn discard(store: &dyn Store, at: &BackupFiles) {
    let keys = [
        at.contents(),
        at.log(),
        at.resource_list(),
        at.results(),
        at.volume_info(),
        at.pod_volume_backups(),
        at.volume_snapshots(),
        at.item_operations(),
    ];
    let gone = futures::future::try_join_all(keys.iter().map(|key| store.delete(key))).await;
    if let Err(error) = gone {
        tracing::warn!(folder = at.folder(), error = %error, "files of a deleted backup stay in the store");
    }
}

/// Makes the backup exist: stores the object with its last status. Never over another; `over` is what is there of this one
/// without an end.
pub(super) async fn seal(
    store: &dyn Store,
    at: &BackupFiles,
    backup: &Backup,
    over: Option<Bytes>,
) -> Result<(), KeepError> {
    let json = Bytes::from(serde_json::to_vec_pretty(backup)?);
    let sealed = match over {
        None => store.create(&at.metadata(), json.clone()).await.map(|made| made == Creation::Created),
        Some(there) => {
            let replaced = store.replace(&at.metadata(), &there, json.clone()).await;
            replaced.map(|replaced| replaced == Replacement::Replaced)
        }
    };
    let failed = match sealed {
        Ok(true) => return Ok(()),
        Ok(false) => KeepError::Exists,
        Err(error) => error.into(),
    };
    // Where only the answer was lost, what is there is ours.
    match store.get(&at.metadata()).await {
        Ok(Some(found)) if found == json => Ok(()),
        _ => Err(failed),
    }
}
