//! Velero's backup format: the layout in an object store, the tarball and the files beside it.
//!
//! Knows bytes, names and folders, nothing of clusters or networks. Everything streams: memory does not grow with the
//! number of objects, and what is read is a stranger's input. Start reading at [`ArchiveWriter`] and [`Reader`].

mod chains;
mod compress;
pub mod identity;
pub mod item;
pub mod layout;
pub mod metadata;
pub mod reader;
mod shown;
pub mod spool;
mod tar;
pub mod writer;

pub use chains::DiskError;
pub use item::{GroupResource, ItemPath};
pub use layout::{BackupFiles, RestoreFiles};
pub use reader::{Item, Limits, ReadError, Reader};
pub use spool::{Spool, SpoolError, SpooledItem, SpooledItems, SpooledResource};
pub use writer::{ArchiveWriter, FORMAT_VERSION, WriteError, Written};
