//! A queue that is as long as the disk has room for.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::chains::DiskError;

/// How much waits in memory before it goes to the disk, and is read at once, in bytes.
const PIECE: usize = 64 << 10;
/// Bytes before each record: its length.
const LENGTH: usize = size_of::<u32>();

/// Records that come out in the order in which they went in. Most of them wait in a file without a name.
///
/// Memory: 128 KiB, and twice the longest record. The file is used anew whenever the queue has become empty.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    file: Option<File>,
    /// Of the file: how far it is read and how far it is written.
    read: u64,
    written: u64,
    /// Read and not handed out.
    ahead: Vec<u8>,
    at: usize,
    /// Not written.
    waiting: Vec<u8>,
}

impl Queue {
    /// An empty queue, which makes its temporary file in `folder` when it needs one.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            file: None,
            read: 0,
            written: 0,
            ahead: Vec::new(),
            at: 0,
            waiting: Vec::new(),
        }
    }

    /// Adds a record at the end.
    ///
    /// # Errors
    /// [`DiskError`]; the record is not in the queue then.
    pub fn push(&mut self, record: &[u8]) -> Result<(), DiskError> {
        if !self.waiting.is_empty() && self.waiting.len() + record.len() > PIECE {
            self.spill().map_err(|source| DiskError::of(&self.folder, source))?;
        }
        let length = u32::try_from(record.len()).map_err(std::io::Error::other);
        let length = length.map_err(|source| DiskError::of(&self.folder, source))?;
        self.waiting.extend_from_slice(&length.to_le_bytes());
        self.waiting.extend_from_slice(record);
        Ok(())
    }

    /// Takes the record that has waited longest.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn pop(&mut self) -> Result<Option<Vec<u8>>, DiskError> {
        self.next().map_err(|source| DiskError::of(&self.folder, source))
    }

    fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.at == self.ahead.len() && self.read == self.written {
            (self.read, self.written, self.at) = (0, 0, 0);
            self.ahead = std::mem::take(&mut self.waiting);
            if self.ahead.is_empty() {
                return Ok(None);
            }
        }
        self.have(LENGTH)?;
        let mut length = [0; LENGTH];
        length.copy_from_slice(&self.ahead[self.at..self.at + LENGTH]);
        let length = u32::from_le_bytes(length) as usize;
        self.have(LENGTH + length)?;
        let begin = self.at + LENGTH;
        self.at = begin + length;
        Ok(Some(self.ahead[begin..self.at].to_vec()))
    }

    /// Reads until `bytes` are at hand.
    fn have(&mut self, bytes: usize) -> std::io::Result<()> {
        let held = self.ahead.len() - self.at;
        if held >= bytes {
            return Ok(());
        }
        self.ahead.drain(..self.at);
        self.ahead.shrink_to(PIECE);
        self.at = 0;
        let left = usize::try_from(self.written - self.read).unwrap_or(usize::MAX);
        let more = (bytes - held).max(PIECE).min(left);
        self.ahead.resize(held + more, 0);
        let file = self.file.as_ref().ok_or(std::io::ErrorKind::UnexpectedEof)?;
        file.read_exact_at(&mut self.ahead[held..], self.read)?;
        self.read += more as u64;
        if self.ahead.len() < bytes { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn spill(&mut self) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.write_all_at(&self.waiting, self.written)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting.shrink_to(PIECE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_goes_in_first_comes_out_first(
            steps in proptest::collection::vec(proptest::option::of(0..40_000_usize), 0..60),
        ) {
            let (mut queue, mut model) = (Queue::new(&std::env::temp_dir()), VecDeque::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Some(length) => {
                        let record = vec![u8::try_from(number).unwrap(); length];
                        queue.push(&record).unwrap();
                        model.push_back(record);
                    }
                    None => prop_assert_eq!(queue.pop().unwrap(), model.pop_front()),
                }
            }
            while let Some(expected) = model.pop_front() {
                prop_assert_eq!(queue.pop().unwrap(), Some(expected));
            }
            prop_assert_eq!(queue.pop().unwrap(), None);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_once_it_is_needed() {
        let mut queue = Queue::new(Path::new("/nowhere"));
        queue.push(&[0; PIECE]).unwrap();
        let refused = queue.push(&[0]).unwrap_err();
        assert!(refused.to_string().contains("`/nowhere`"), "{refused}");
    }
}
