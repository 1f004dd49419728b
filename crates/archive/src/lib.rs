//! Velero's backup format: the layout in an object store, the tarball and the files beside it.
//!
//! Knows bytes, names and folders, nothing of clusters or networks. Everything streams: memory does not grow with the
//! number of objects, and what is read is a stranger's input. Start reading at [`ArchiveWriter`] and [`Reader`].

mod chains;
mod compress;
mod fingerprints;
pub mod identity;
pub mod item;
pub mod layout;
pub mod metadata;
mod queue;
pub mod reader;
mod shelf;
mod shown;
mod sorted;
pub mod spool;
mod tar;
pub mod writer;

pub use chains::DiskError;
pub use fingerprints::Seen;
pub use item::{GroupResource, ItemPath};
pub use layout::{BackupFiles, RestoreFiles};
pub use queue::Queue;
pub use reader::{Item, Limits, ReadError, Reader};
pub use shelf::{Shelf, Slip};
pub use sorted::{Sorted, Sorter};
pub use spool::{Spool, SpoolError, SpooledItem, SpooledItems, SpooledResource};
pub use writer::{ArchiveWriter, FORMAT_VERSION, WriteError, Written};
