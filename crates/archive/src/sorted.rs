//! Sorts more text than memory holds: pieces of it are sorted and put on the disk, and read as one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::chains::{Chain, ChainReader, Chains, DiskError};

/// How much waits in memory before it goes to the disk, in bytes.
const WAITING: usize = 32 << 10;
/// How much is sorted at once, in bytes.
pub(crate) const RUN: usize = 1 << 20;
/// How much is read from the disk at once, in bytes.
const AHEAD: usize = 8 << 10;

/// Texts that come back in order, any number of them, in some MiB of memory and a file without a name.
#[derive(Debug)]
pub struct Sorter {
    folder: PathBuf,
    chains: Chains,
    chain: Chain,
    waiting: Vec<u8>,
}

impl Sorter {
    /// Without any text, with a temporary file in `folder`.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn new(folder: &Path) -> Result<Self, DiskError> {
        let mut chains = Chains::create(folder).map_err(|source| DiskError::of(folder, source))?;
        let chain = chains.start();
        Ok(Self { folder: folder.to_owned(), chains, chain, waiting: Vec::new() })
    }

    /// Adds a text.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn add(&mut self, text: &str) -> Result<(), DiskError> {
        put(&mut self.waiting, text);
        if self.waiting.len() >= WAITING { self.flush() } else { Ok(()) }
    }

    /// All of them, sorted.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn finish(mut self) -> Result<Sorted, DiskError> {
        self.flush()?;
        let Self { folder, mut chains, chain, .. } = self;
        let merged = runs(&mut chains, &chain, RUN).and_then(|runs| Merge::new(&chains, &runs));
        match merged {
            Ok(merged) => Ok(Sorted { merged, folder }),
            Err(source) => Err(DiskError::of(&folder, source)),
        }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let appended = self.chains.append(&mut self.chain, &self.waiting);
        self.waiting.clear();
        appended.map_err(|source| DiskError::of(&self.folder, source))
    }
}

/// What a [`Sorter`] was given, in order.
pub struct Sorted {
    merged: Merge,
    folder: PathBuf,
}

impl Iterator for Sorted {
    type Item = Result<String, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.merged.next().map_err(|source| DiskError::of(&self.folder, source)).transpose()
    }
}

/// The same entries in several chains, each of them sorted and of about `size` bytes.
pub(crate) fn runs(chains: &mut Chains, chain: &Chain, size: usize) -> io::Result<Vec<Chain>> {
    let mut entries = Entries::new(chains.read(chain));
    let mut runs = Vec::new();
    loop {
        let (mut run, mut length) = (Vec::new(), 0);
        while length < size
            && let Some(entry) = entries.next()?
        {
            length += entry.len();
            run.push(entry);
        }
        if run.is_empty() {
            return Ok(runs);
        }
        run.sort_unstable();
        let mut sorted = chains.start();
        let mut bytes = Vec::new();
        for entry in run {
            put(&mut bytes, &entry);
            if bytes.len() >= WAITING {
                chains.append(&mut sorted, &bytes)?;
                bytes.clear();
            }
        }
        chains.append(&mut sorted, &bytes)?;
        runs.push(sorted);
    }
}

/// An entry is its length and its text.
pub(crate) fn put(bytes: &mut Vec<u8>, entry: &str) {
    bytes.extend_from_slice(&(entry.len() as u64).to_le_bytes());
    bytes.extend_from_slice(entry.as_bytes());
}

/// The entries of one chain.
struct Entries(BufReader<ChainReader>);

impl Entries {
    fn new(chain: ChainReader) -> Self {
        Self(BufReader::with_capacity(AHEAD, chain))
    }

    fn next(&mut self) -> io::Result<Option<String>> {
        if self.0.buffer().is_empty() && self.0.get_ref().left() == 0 {
            return Ok(None);
        }
        let mut length = [0; size_of::<u64>()];
        self.0.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > self.0.get_ref().left() + self.0.buffer().len() as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an entry is longer than what follows"));
        }
        let mut entry = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.0.read_exact(&mut entry)?;
        String::from_utf8(entry).map(Some).map_err(io::Error::other)
    }
}

/// Sorted chains as one.
pub(crate) struct Merge {
    chains: Vec<Entries>,
    /// The next entry of each that has one.
    next: BinaryHeap<Reverse<(String, usize)>>,
}

impl Merge {
    pub(crate) fn new(chains: &Chains, sorted: &[Chain]) -> io::Result<Self> {
        let entries = sorted.iter().map(|chain| Entries::new(chains.read(chain))).collect();
        let mut merge = Self { chains: entries, next: BinaryHeap::new() };
        for number in 0..merge.chains.len() {
            merge.advance(number)?;
        }
        Ok(merge)
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<String>> {
        let Some(Reverse((entry, number))) = self.next.pop() else { return Ok(None) };
        self.advance(number)?;
        Ok(Some(entry))
    }

    fn advance(&mut self, number: usize) -> io::Result<()> {
        if let Some(entry) = self.chains[number].next()? {
            self.next.push(Reverse((entry, number)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_run_comes_back_in_order() {
        let mut sorter = Sorter::new(&std::env::temp_dir()).unwrap();
        let mut expected: Vec<_> = (0..60_000_u64)
            .map(|number| format!("{:040x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        assert!(expected.iter().map(String::len).sum::<usize>() > 2 * RUN);
        expected.iter().for_each(|text| sorter.add(text).unwrap());
        expected.sort();
        let sorted: Vec<_> = sorter.finish().unwrap().map(|text| text.unwrap()).collect();
        assert!(sorted == expected);
    }

    #[test]
    fn nothing_comes_back_as_nothing() {
        assert_eq!(Sorter::new(&std::env::temp_dir()).unwrap().finish().unwrap().count(), 0);
    }
}
