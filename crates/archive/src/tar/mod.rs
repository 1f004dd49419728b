//! As much of the tar format as backups need: regular files and folders, long names.
//!
//! Written here rather than taken from a library because reading must stay within fixed memory and tell exactly what
//! it objects to, whatever an archive holds.

pub(crate) mod header;
pub(crate) mod pax;

/// The size that everything in a tarball is padded to, in bytes.
pub(crate) const BLOCK: usize = 512;

/// How many bytes follow `size` bytes of content up to the next header.
pub(crate) fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { 0 } else { BLOCK - over }
}
