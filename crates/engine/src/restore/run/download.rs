//! Brings a backup from the store to the disk, and what its files say of volumes into memory.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kurator_api::velero::Backup;
use kurator_archive::layout::LayoutError;
use kurator_archive::metadata::volumes::{BackupVolumeInfo, Method};
use kurator_archive::metadata::{self, MetadataError};
use kurator_archive::{BackupFiles, Limits, Reader, Spool, SpoolError};
use kurator_store::{Store, StoreError};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Tools;
use crate::list::{ListRequest, Lister};
use crate::object::Head;
use crate::report::{About, Report};
use crate::restore::{BackupMethod, Context, Plan, VolumeFacts, Volumes};

/// Pieces of the archive that wait to be read.
const WAITING: usize = 8;

/// Why a backup cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Its name cannot be that of a folder in the store.
    #[error(transparent)]
    Name(#[from] LayoutError),
    /// The store's own trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive is not there.
    #[error("the backup has no `{0}` in the store; restore from another backup")]
    Missing(String),
    /// The archive cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A file beside it cannot be read.
    #[error(transparent)]
    File(#[from] MetadataError),
    /// The thread is gone.
    #[error("the thread that reads the archive has died")]
    Died,
}

/// A backup that is at hand.
pub(super) struct Source {
    pub(super) spool: Spool,
    volumes: Vec<BackupVolumeInfo>,
}

/// Downloads the backup: of its objects those whose type the plan takes, and its Namespaces, since each is made as it was
/// when something is restored into it, as by Velero 1.18.
pub(super) async fn download(
    store: &dyn Store,
    backup: &Backup,
    plan: &Plan,
    folder: &Path,
    report: &Report,
) -> Result<Source, DownloadError> {
    let at = BackupFiles::new("", &backup.name_any())?;
    let key = at.contents();
    let Some(mut object) = store.read(&key).await? else { return Err(DownloadError::Missing(key)) };
    let (pieces, queue) = mpsc::channel(WAITING);
    let (folder, plan) = (folder.to_owned(), plan.clone());
    let spooling = tokio::task::spawn_blocking(move || {
        let reader = Reader::new(Pieces { queue, piece: Bytes::new() }, Limits::default());
        Spool::fill(reader, &folder, |resource| {
            plan.takes_type(resource.as_str()) || resource.as_str() == "namespaces"
        })
    });
    let mut broken = None;
    while let Some(piece) = object.content.next().await {
        let piece = piece.map_err(|error| {
            let told = io::Error::other(error.to_string());
            broken = Some(error);
            told
        });
        if pieces.send(piece).await.is_err() || broken.is_some() {
            break;
        }
    }
    drop(pieces);
    let spooled = spooling.await.map_err(|_| DownloadError::Died)?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    let spool = spooled?;
    let summary = spool.summary();
    if !summary.has_resources {
        report.warning(About::Run, "the backup holds no objects: nothing is restored");
    }
    for (passed, what) in [
        (&summary.unknown, "files of the archive are no objects and are left out"),
        (&summary.only_versioned, "objects exist only for one API version and are not restored"),
    ] {
        if passed.count > 0 {
            let examples = passed.examples.join(", ");
            report.warning(About::Run, format!("{} {what}, such as {examples}", passed.count));
        }
    }
    let info = store.get(&at.volume_info()).await?;
    let volumes = metadata::read(&at.volume_info(), info.map(bytes::Buf::reader), metadata::MOST)?;
    Ok(Source { spool, volumes })
}

/// What the transformations need to know.
pub(super) async fn context(
    source: &Source,
    plan: Plan,
    tools: &mut Tools<'_>,
    report: &Report,
) -> Result<Context, DownloadError> {
    let resource = "persistentvolumes";
    let mut in_backup = Vec::new();
    let of = "persistentvolumes".parse().ok();
    for item in of.iter().flat_map(|of| source.spool.items(of)) {
        in_backup.extend(serde_json::from_slice::<Value>(&item?.json));
    }
    let mut in_cluster = BTreeSet::new();
    if let Some(api) = tools.catalog.find(resource) {
        let request = ListRequest { path: api.path(None), selector: String::new() };
        let mut objects = Lister::new(tools.caller, request);
        loop {
            match objects.next().await {
                Ok(Some(json)) => in_cluster.extend(
                    serde_json::from_slice::<Head<'_>>(&json).map(|head| head.metadata.name.into_owned()),
                ),
                Ok(None) => break,
                Err(error) => {
                    report.error(About::Run, format!("cannot list {resource}: {error}"));
                    break;
                }
            }
        }
    }
    let methods = source.volumes.iter().filter(|info| !info.pv_name.is_empty());
    let methods = methods.map(|info| {
        let method = match info.backup_method {
            Some(Method::NativeSnapshot) => BackupMethod::NativeSnapshot,
            Some(Method::CsiSnapshot) => BackupMethod::CsiSnapshot,
            // Whatever else a later release calls it, the data is in the store.
            Some(_) => BackupMethod::PodVolumeBackup,
            None => BackupMethod::Skipped,
        };
        (info.pv_name.clone(), method)
    });
    let facts = VolumeFacts { methods: methods.collect(), in_cluster, ..VolumeFacts::default() };
    let volumes = Volumes::decide(&in_backup, facts, &plan);
    let (mut storage_classes, images) =
        (std::mem::take(&mut tools.storage_classes), std::mem::take(&mut tools.images));
    let classes = "storageclasses.storage.k8s.io";
    if plan.takes(classes, None).is_ok() {
        let of = classes.parse().ok();
        let restored = of.iter().flat_map(|of| source.spool.items(of)).flatten().map(|item| item.name);
        storage_classes.will_know(restored);
    }
    Ok(Context { plan, volumes, storage_classes, images })
}

/// The pieces of a download as something to read from, on a thread that may block.
struct Pieces {
    queue: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.queue.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let read = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..read]);
        Ok(read)
    }
}
