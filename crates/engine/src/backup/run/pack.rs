//! Packs objects into the tarball, on threads that may block, beside the lists that bring them.

use std::fs::File;
use std::io::{self, BufWriter};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use kurator_archive::metadata::MetadataError;
use kurator_archive::metadata::resource_list::ResourceListWriter;
use kurator_archive::{ArchiveWriter, DiskError, ItemPath, WriteError, Written};
use tempfile::SpooledTempFile;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::blocking::blocking;
use crate::budget::{Budget, Held};
use crate::files;
use crate::types::ApiType;

/// Objects that wait to be packed, in bytes.
const WAITING_BYTES: usize = 4 << 20;
/// Objects that wait to be packed, in number.
const WAITING: usize = 1024;
/// Most objects that are packed at a time.
const BATCH: usize = 128;
/// Buffer before the file, in bytes.
const BUFFER: usize = 256 << 10;

/// Why the tarball cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The folder for temporary files does not take it.
    #[error(
        "cannot keep the tarball in `{folder}` until it is stored: free some space there, or choose another folder"
    )]
    Spool {
        /// The folder.
        folder: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The writer's own trouble.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The same folder does not take the list of the objects.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The list of the objects cannot be made.
    #[error(transparent)]
    List(#[from] MetadataError),
    /// The thread is gone.
    #[error("the thread that packs the tarball has died")]
    Died,
}

impl PackError {
    pub(super) fn spool(folder: &Path, source: io::Error) -> Self {
        Self::Spool { folder: folder.display().to_string(), source }
    }
}

/// A tarball that is complete, in a file that nobody else sees.
#[derive(Debug)]
pub struct Packed {
    /// The file.
    pub file: File,
    /// What it holds.
    pub written: Written,
    /// The list of its objects, gzipped.
    pub resource_list: SpooledTempFile,
}

struct Item {
    path: ItemPath,
    api_version: String,
    kind: String,
    json: Vec<u8>,
    _held: Held,
}

/// Takes objects from any number of tasks.
#[derive(Debug)]
pub struct Packer {
    items: mpsc::Sender<Item>,
    budget: Budget,
    packing: JoinHandle<Result<Packed, PackError>>,
}

impl Packer {
    /// Begins a tarball in `folder` that is compressed on `threads`; its files are of `mtime`, seconds since 1970.
    #[must_use]
    pub fn start(folder: &Path, threads: NonZeroUsize, mtime: u64) -> Self {
        let (items, queue) = mpsc::channel(WAITING);
        let packing = TaskTracker::new().spawn(pack(folder.to_owned(), threads, mtime, queue));
        Self { items, budget: Budget::new(WAITING_BYTES), packing }
    }

    /// Adds an object of the type `api`. `false`: nothing is taken any more, and [`finish`](Self::finish) says why.
    pub async fn put(&self, api: &ApiType, path: ItemPath, json: Vec<u8>) -> bool {
        let held = self.budget.hold(json.len()).await;
        let (api_version, kind) = (api.api_version(), api.kind.clone());
        self.items.send(Item { path, api_version, kind, json, _held: held }).await.is_ok()
    }

    /// Ends the tarball.
    ///
    /// # Errors
    /// [`PackError`]
    pub async fn finish(self) -> Result<Packed, PackError> {
        drop(self.items);
        self.packing.await.unwrap_or(Err(PackError::Died))
    }
}

async fn pack(
    folder: PathBuf,
    threads: NonZeroUsize,
    mtime: u64,
    mut items: mpsc::Receiver<Item>,
) -> Result<Packed, PackError> {
    let mut tarball = briefly(move || Tarball::begin(folder, threads, mtime)).await?;
    let mut batch = Vec::new();
    while items.recv_many(&mut batch, BATCH).await > 0 {
        let taken = std::mem::take(&mut batch);
        tarball = briefly(move || tarball.add(taken)).await?;
    }
    briefly(move || tarball.finish()).await
}

/// A thread is held for as long as there is something to do.
async fn briefly<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PackError> + Send + 'static,
) -> Result<T, PackError> {
    blocking(work).await.unwrap_or(Err(PackError::Died))
}

/// A tarball that is being made.
struct Tarball {
    folder: PathBuf,
    archive: ArchiveWriter<BufWriter<File>>,
    list: ResourceListWriter,
}

impl Tarball {
    fn begin(folder: PathBuf, threads: NonZeroUsize, mtime: u64) -> Result<Self, PackError> {
        let file = tempfile::tempfile_in(&folder).map_err(|source| PackError::spool(&folder, source))?;
        let archive = ArchiveWriter::new(BufWriter::with_capacity(BUFFER, file), threads, mtime)?;
        let list = ResourceListWriter::new(&folder)?;
        Ok(Self { folder, archive, list })
    }

    fn add(mut self, items: Vec<Item>) -> Result<Self, PackError> {
        for Item { path, api_version, kind, json, _held } in items {
            self.archive.item(&path, &json).map_err(|error| told(error, &self.folder))?;
            self.list.add(&api_version, &kind, path.namespace(), path.name(), None)?;
        }
        Ok(self)
    }

    fn finish(self) -> Result<Packed, PackError> {
        let Self { folder, archive, list } = self;
        let (file, written) = archive.finish().map_err(|error| told(error, &folder))?;
        let file = file.into_inner().map_err(|error| PackError::spool(&folder, error.into_error()))?;
        Ok(Packed { file, written, resource_list: list.finish(files::draft(&folder))? })
    }
}

/// The sink is our own file, whose place the user can change.
fn told(error: WriteError, folder: &Path) -> PackError {
    match error {
        WriteError::Sink(source) => PackError::spool(folder, source),
        error => PackError::Write(error),
    }
}
