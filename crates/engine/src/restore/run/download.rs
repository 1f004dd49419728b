//! Brings a backup from the store to the disk, and what its files say of volumes into memory.

mod volumes;

use std::io::{self, Read};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::ResourceExt as _;
use kurator_api::velero::Backup;
use kurator_archive::layout::LayoutError;
use kurator_archive::metadata::MetadataError;
use kurator_archive::{BackupFiles, Limits, Reader, Seen, Spool, SpoolError};
use kurator_store::{Store, StoreError};
use serde_json::Value;
use tokio::sync::mpsc;

use self::volumes::Methods;
use super::{Tools, load};
use crate::blocking::is_alone;
use crate::list::{ListRequest, Lister};
use crate::object::Head;
use crate::report::{About, Report};
use crate::restore::{Context, Plan, VolumeFacts, Volumes};

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
    volumes: Methods,
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
    let Some(object) = store.read(&key).await? else { return Err(DownloadError::Missing(key)) };
    let (folder, plan) = (folder.to_owned(), plan.clone());
    let spool = through(object.content, move |pieces| {
        Spool::fill(Reader::new(pieces, Limits::default()), &folder, |resource| {
            plan.takes_type(resource.as_str()) || resource.as_str() == "namespaces"
        })
    });
    let spool = spool.await?;
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
    let key = at.volume_info();
    let volumes = match store.read(&key).await? {
        Some(object) => through(object.content, move |pieces| volumes::read(&key, pieces)).await?,
        None => Methods::new(),
    };
    Ok(Source { spool, volumes })
}

/// Gives what is downloaded to `read`, on a thread that may block.
async fn through<T, E>(
    mut content: BoxStream<'static, Result<Bytes, StoreError>>,
    read: impl FnOnce(Pieces) -> Result<T, E> + Send + 'static,
) -> Result<T, DownloadError>
where
    T: Send + 'static,
    E: Into<DownloadError> + Send + 'static,
{
    let mut broken = None;
    let mut told = |piece: Result<Bytes, StoreError>| {
        piece.map_err(|error| {
            let told = io::Error::other(error.to_string());
            broken = Some(error);
            told
        })
    };
    let read = if is_alone() {
        let all: Vec<_> = content.map(told).collect().await;
        read(Pieces::of(all.into_iter()))
    } else {
        let (pieces, mut queue) = mpsc::channel(WAITING);
        let queue = std::iter::from_fn(move || queue.blocking_recv());
        let reading = tokio::task::spawn_blocking(move || read(Pieces::of(queue)));
        while let Some(piece) = content.next().await {
            let piece = told(piece);
            let is_last = piece.is_err();
            if pieces.send(piece).await.is_err() || is_last {
                break;
            }
        }
        drop(pieces);
        reading.await.map_err(|_| DownloadError::Died)?
    };
    match broken {
        Some(error) => Err(error.into()),
        None => read.map_err(Into::into),
    }
}

/// What the transformations need to know.
pub(super) async fn context(
    source: &mut Source,
    plan: Plan,
    tools: &mut Tools<'_>,
    report: &Report,
) -> Result<Context, DownloadError> {
    let resource = "persistentvolumes";
    let mut in_cluster = Seen::<str>::default();
    if let Some(api) = tools.catalog.find(resource) {
        let request = ListRequest { path: api.path(None), selector: String::new() };
        let mut objects = Lister::new(tools.caller, request);
        loop {
            match objects.next().await {
                Ok(Some(json)) => {
                    if let Ok(head) = serde_json::from_slice::<Head<'_>>(&json) {
                        in_cluster.insert(&head.metadata.name);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    report.error(About::Run, format!("cannot list {resource}: {error}"));
                    break;
                }
            }
        }
    }
    let methods = std::mem::take(&mut source.volumes);
    let facts = VolumeFacts { methods, in_cluster, ..VolumeFacts::default() };
    let mut broken = None;
    let of = resource.parse().ok();
    let in_backup = of
        .iter()
        .flat_map(|of| source.spool.items(of))
        .map_while(|item| item.map_err(|error| broken = Some(error)).ok());
    // What is too large is not restored either, and told when it is its turn.
    let in_backup = in_backup.filter(|item| load::of(item).is_ok());
    let in_backup = in_backup.filter_map(|item| serde_json::from_slice::<Value>(&item.json).ok());
    let volumes = Volumes::decide(in_backup, facts, &plan);
    if let Some(error) = broken {
        return Err(error.into());
    }
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
    queue: Box<dyn Iterator<Item = io::Result<Bytes>> + Send>,
    piece: Bytes,
}

impl Pieces {
    fn of(queue: impl Iterator<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self { queue: Box::new(queue), piece: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.queue.next() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let read = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..read]);
        Ok(read)
    }
}
