//! Many byte streams in one file that has no name.
//!
//! A restore sorts an archive by kind of object without holding it in memory. One file for all kinds needs one file
//! descriptor, however many there are; without a name it is gone with the process, however that ends.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a chain is continued stands at the end of each block.
const LINK: usize = size_of::<u64>();

/// Why temporary files cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No room.
    #[error("`{}` is full; make room there for what the backup holds, uncompressed", folder.display())]
    Full {
        /// The folder for temporary files.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Any other trouble.
    #[error("cannot keep temporary files in `{}`; give a folder that can be written and read", folder.display())]
    Unusable {
        /// The folder for temporary files.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl DiskError {
    pub(crate) fn of(folder: &Path, source: io::Error) -> Self {
        let folder = folder.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { folder, source },
            _ => Self::Unusable { folder, source },
        }
    }
}

/// The file. Each chain occupies blocks of it; what a chain doesn't fill of its last one takes no room on the disk.
#[derive(Debug)]
pub(crate) struct Chains {
    file: Arc<File>,
    block: usize,
    /// How many blocks have been given out.
    blocks: u64,
}

/// One of the streams: where it begins and how far it has got.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    first: u64,
    last: u64,
    /// Bytes in the last block.
    used: usize,
    length: u64,
}

impl Chains {
    /// A new file in `folder`, readable by this user alone.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self::over(tempfile::tempfile_in(folder)?, 64 << 10))
    }

    pub(crate) fn over(file: File, block: usize) -> Self {
        Self { file: Arc::new(file), block, blocks: 0 }
    }

    /// Begins an empty chain.
    pub(crate) fn start(&mut self) -> Chain {
        let first = self.take_block();
        Chain { first, last: first, used: 0, length: 0 }
    }

    /// Writes `bytes` at the end of `chain`: all of them or, after an error, none.
    pub(crate) fn append(&mut self, chain: &mut Chain, bytes: &[u8]) -> io::Result<()> {
        let before = chain.clone();
        self.extend(chain, bytes).inspect_err(|_| *chain = before)
    }

    fn extend(&mut self, chain: &mut Chain, mut bytes: &[u8]) -> io::Result<()> {
        let content = self.block - LINK;
        while !bytes.is_empty() {
            if chain.used == content {
                let next = self.take_block();
                self.file.write_all_at(&next.to_le_bytes(), self.place(chain.last, content))?;
                (chain.last, chain.used) = (next, 0);
            }
            let (now, later) = bytes.split_at(bytes.len().min(content - chain.used));
            self.file.write_all_at(now, self.place(chain.last, chain.used))?;
            chain.used += now.len();
            chain.length += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Reads `chain` from its beginning; any number at a time.
    pub(crate) fn read(&self, chain: &Chain) -> ChainReader {
        ChainReader {
            file: Arc::clone(&self.file),
            block: self.block,
            at: chain.first,
            used: 0,
            left: chain.length,
        }
    }

    fn take_block(&mut self) -> u64 {
        self.blocks += 1;
        self.blocks - 1
    }

    fn place(&self, block: u64, offset: usize) -> u64 {
        block * self.block as u64 + offset as u64
    }
}

/// Reads a chain. Reads are as large as the caller's buffer, so it wants one.
#[derive(Debug)]
pub(crate) struct ChainReader {
    file: Arc<File>,
    block: usize,
    at: u64,
    /// Bytes of this block that have been read.
    used: usize,
    left: u64,
}

impl ChainReader {
    /// Bytes that are still to come.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

impl Read for ChainReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let content = self.block - LINK;
        if self.used == content {
            let mut link = [0; LINK];
            self.file.read_exact_at(&mut link, self.at * self.block as u64 + content as u64)?;
            (self.at, self.used) = (u64::from_le_bytes(link), 0);
        }
        let want = buffer.len().min(content - self.used).min(left);
        let place = self.at * self.block as u64 + self.used as u64;
        let read = self.file.read_at(&mut buffer[..want], place)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.used += read;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_appended_to_each_chain_is_read_from_it(
            steps in proptest::collection::vec((0..3_usize, proptest::collection::vec(any::<u8>(), 0..70)), 0..40),
            block in 9..40_usize,
        ) {
            let mut chains = Chains::over(tempfile::tempfile().unwrap(), block);
            let mut ends = [0; 3].map(|_| chains.start());
            let mut model = [const { Vec::new() }; 3];
            for (which, bytes) in steps {
                chains.append(&mut ends[which], &bytes).unwrap();
                model[which].extend(bytes);
            }
            for (end, expected) in ends.iter().zip(model) {
                let mut found = Vec::new();
                chains.read(end).read_to_end(&mut found).unwrap();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn a_chain_is_read_while_it_grows_up_to_where_it_was() {
        let mut chains = Chains::over(tempfile::tempfile().unwrap(), 16);
        let mut chain = chains.start();
        chains.append(&mut chain, b"0123456789").unwrap();
        let mut reader = chains.read(&chain);
        chains.append(&mut chain, b"more").unwrap();
        let mut found = String::new();
        reader.read_to_string(&mut found).unwrap();
        assert_eq!(found, "0123456789");
    }

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        let full = File::options().read(true).write(true).open("/dev/full").unwrap();
        let mut chains = Chains::over(full, 64);
        let mut chain = chains.start();
        let source = chains.append(&mut chain, b"x").unwrap_err();
        assert_eq!(
            DiskError::of(Path::new("/spool"), source).to_string(),
            "`/spool` is full; make room there for what the backup holds, uncompressed"
        );
        let source = Chains::create(Path::new("/nowhere")).unwrap_err();
        assert_eq!(
            DiskError::of(Path::new("/nowhere"), source).to_string(),
            "cannot keep temporary files in `/nowhere`; give a folder that can be written and read"
        );
    }

    #[test]
    fn the_file_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut chains = Chains::create(folder.path()).unwrap();
        let mut chain = chains.start();
        chains.append(&mut chain, b"x").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
