//! What became of each object, for the list of the restore.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use kurator_archive::DiskError;
use kurator_archive::metadata::MetadataError;
use kurator_archive::metadata::resource_list::{Action, ResourceListWriter};
use tempfile::SpooledTempFile;

use crate::files;
use crate::report::{About, Report};

/// The list, on the disk.
pub(super) struct Listed<'a> {
    /// None once something could not be written.
    list: Mutex<Option<ResourceListWriter>>,
    folder: PathBuf,
    count: AtomicU64,
    report: &'a Report,
}

impl<'a> Listed<'a> {
    /// # Errors
    /// [`DiskError`]
    pub(super) fn new(folder: &Path, report: &'a Report) -> Result<Self, DiskError> {
        let list = Mutex::new(Some(ResourceListWriter::new(folder)?));
        Ok(Self { list, folder: folder.to_owned(), count: AtomicU64::new(0), report })
    }

    /// Adds an object of this `apiVersion` and kind.
    pub(super) fn add(&self, version: &str, kind: &str, namespace: Option<&str>, name: &str, action: Action) {
        self.count.fetch_add(1, Relaxed);
        let added = {
            let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(open) = &mut *list else { return };
            open.add(version, kind, namespace, name, Some(action)).inspect_err(|_| *list = None)
        };
        if let Err(error) = added {
            self.report.warning(About::Run, format!("there is no list of the restored objects: {error}"));
        }
    }

    /// How many there are, and the file.
    ///
    /// # Errors
    /// [`MetadataError`]
    pub(super) fn finish(self, folder: &Path) -> Result<(u64, SpooledTempFile), MetadataError> {
        let list = self.list.into_inner().unwrap_or_else(PoisonError::into_inner);
        let list = match list {
            Some(list) => list,
            None => ResourceListWriter::new(&self.folder).map_err(MetadataError::from)?,
        };
        Ok((self.count.into_inner(), list.finish(files::draft(folder))?))
    }
}
