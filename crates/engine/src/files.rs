//! Files on their way to the store: small ones wait in memory, longer ones on the disk, without a name.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt as _;
use kurator_store::Content;
use tempfile::SpooledTempFile;

use crate::blocking::blocking;

/// Longest file that waits in memory, in bytes.
const IN_MEMORY: usize = 256 << 10;
/// Piece that is read at a time, in bytes.
const PIECE: usize = 1 << 20;

/// An empty file, which goes into `folder` when it grows.
pub(crate) fn draft(folder: &Path) -> SpooledTempFile {
    tempfile::spooled_tempfile_in(IN_MEMORY, folder)
}

/// A file that is complete, to be read piece by piece on threads that may block.
pub(crate) fn content(mut file: impl Read + io::Seek + Send + 'static) -> Content<'static> {
    if let Err(error) = file.rewind() {
        return futures::stream::once(async { Err(error) }).boxed();
    }
    futures::stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let read = blocking(move || {
            let mut piece = Vec::new();
            file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_file_is_read_from_its_beginning_wherever_it_waits() {
        for length in [0, 10, IN_MEMORY + 1, 2 * PIECE + 1] {
            let mut file = draft(&std::env::temp_dir());
            file.write_all(&vec![7; length]).unwrap();
            assert_eq!(file.is_rolled(), length > IN_MEMORY);
            let pieces: Vec<Bytes> = content(file).try_collect().await.unwrap();
            assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), length);
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
        }
    }
}
