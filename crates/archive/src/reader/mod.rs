//! Reads a backup's tarball, Velero's or ours, from any source in one pass.
//!
//! An archive is a stranger's input: paths, sizes and counts are checked before anything is made of them, and what no
//! backup holds ends the reading. What Velero would pass over is counted.

mod entries;
mod error;
mod inflate;
mod limits;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::io::Read;

pub use error::{EntryProblem, HeaderProblem, Limit, ReadError};
pub use limits::Limits;

use crate::fingerprints::Fingerprints;
use crate::item::{ItemPath, StoredPath};
use crate::reader::entries::{Entries, Entry};
use crate::shown::shown;
use crate::writer::VERSION_PATH;

/// The most examples that are kept of what was passed over.
const EXAMPLES: usize = 10;
/// The longest `metadata/version` that is looked at, in bytes.
const LONGEST_VERSION: u64 = 64;
/// A buffer that a large object has stretched is let go of beyond this, in bytes.
const KEPT_BUFFER: usize = 1 << 20;
/// The newest format that is read, major and minor.
const NEWEST: (u64, u64) = (1, 1);

/// Reads the objects of an archive one after the other.
///
/// Memory: one object, what [`Limits::entries`] says, and about 200 KiB.
pub struct Reader<R> {
    entries: Entries<R>,
    limits: Limits,
    /// The content of the last object, and its size in the archive.
    json: Vec<u8>,
    size: u64,
    keys: RandomState,
    /// The objects that have been handed out.
    seen: Fingerprints,
    /// Those of which only a copy for one version has come yet, and the first of them by path.
    only_versioned: Fingerprints,
    only_versioned_examples: Vec<(u64, String)>,
    summary: Summary,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Failed,
    Done,
}

/// One object of an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Which.
    pub path: ItemPath,
    /// Bytes that it has in the archive.
    pub size: u64,
    /// As it is stored; empty if it is longer than [`Limits::item`]. That it is JSON, and the object that the path says, is not known yet: see
    /// [`check_identity`](crate::identity::check_identity).
    pub json: &'a [u8],
}

/// What was in an archive; complete when [`Reader::next_item`] has returned `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The content of `metadata/version`, such as `1.1.0`.
    pub format_version: String,
    /// Objects handed out.
    pub items: u64,
    /// Entries of the tarball, of any kind.
    pub entries: u64,
    /// Bytes of the tarball before compression.
    pub inflated: u64,
    /// Whether there is a folder `resources`, if only an empty one. Velero warns of its absence and restores nothing.
    pub has_resources: bool,
    /// Files that are no objects; Velero passes over them too.
    pub unknown: PassedOver,
    /// Objects that exist only in copies for one version, which nobody restores without `EnableAPIGroupVersions`.
    pub only_versioned: PassedOver,
}

/// Files that nothing was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// How many.
    pub count: u64,
    /// The paths of the first ten, escaped and cut.
    pub examples: Vec<String>,
}

impl<R: Read> Reader<R> {
    /// Reads from `source`, which needs no buffer of its own.
    pub fn new(source: R, limits: Limits) -> Self {
        Self {
            entries: Entries::new(source, limits),
            limits,
            json: Vec::new(),
            size: 0,
            keys: RandomState::new(),
            seen: Fingerprints::new(),
            only_versioned: Fingerprints::new(),
            only_versioned_examples: Vec::new(),
            summary: Summary::default(),
            state: State::Reading,
        }
    }

    /// The next object, each once, in the order of the archive; `None` at the end of an archive that is sound as a
    /// whole. Before that nothing should be made of the objects that cannot be unmade.
    ///
    /// # Errors
    /// [`ReadError`]; after it there are no more objects.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, ReadError> {
        match self.state {
            State::Reading => {}
            State::Failed => return Err(ReadError::Ended),
            State::Done => return Ok(None),
        }
        self.state = State::Failed;
        let next = self.advance()?;
        self.state = if next.is_some() { State::Reading } else { State::Done };
        Ok(next.map(|path| Item { path, size: self.size, json: &self.json }))
    }

    /// What there has been so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The limits that it reads within.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The last entry is one too many for who counts something.
    pub(crate) fn over(&self, what: Limit, most: u64) -> ReadError {
        self.entries.over(what, most)
    }

    /// Goes on to the next object, whose content is then in `json`.
    fn advance(&mut self) -> Result<Option<ItemPath>, ReadError> {
        loop {
            let entry = self.entries.next()?;
            self.summary.entries = self.entries.read();
            self.summary.inflated = self.entries.inflated();
            let Some(entry) = entry else {
                self.end()?;
                return Ok(None);
            };
            if entry.path == "resources" || entry.path.starts_with("resources/") {
                self.summary.has_resources = true;
            }
            if entry.is_folder {
                continue;
            }
            if entry.path == VERSION_PATH {
                self.version(&entry)?;
                continue;
            }
            match entry.path.parse() {
                Ok(StoredPath { item, version: None }) => {
                    self.item(&item, &entry)?;
                    return Ok(Some(item));
                }
                Ok(StoredPath { item, version: Some(_) }) => self.versioned(&item, &entry)?,
                Err(_) => self.unknown(&entry)?,
            }
        }
    }

    fn item(&mut self, item: &ItemPath, entry: &Entry) -> Result<(), ReadError> {
        let print = self.keys.hash_one(item);
        if !self.seen.insert(print) {
            return Err(self.entries.refused(EntryProblem::Twice));
        }
        if self.only_versioned.remove(print) {
            self.only_versioned_examples.retain(|(example, _)| *example != print);
        }
        if self.json.capacity() > KEPT_BUFFER {
            self.json = Vec::new();
        }
        self.summary.items += 1;
        self.size = entry.size;
        if entry.size > self.limits.item {
            self.json.clear();
            return self.entries.skip_content(entry.size);
        }
        self.entries.read_content(entry.size, &mut self.json)
    }

    /// A copy for one version. It never wins, so it may come twice.
    fn versioned(&mut self, item: &ItemPath, entry: &Entry) -> Result<(), ReadError> {
        let print = self.keys.hash_one(item);
        if !self.seen.contains(print)
            && self.only_versioned.insert(print)
            && self.only_versioned_examples.len() < EXAMPLES
        {
            self.only_versioned_examples.push((print, shown(entry.path.as_bytes())));
        }
        self.entries.skip_content(entry.size)
    }

    fn unknown(&mut self, entry: &Entry) -> Result<(), ReadError> {
        self.summary.unknown.add(&entry.path);
        self.entries.skip_content(entry.size)
    }

    fn version(&mut self, entry: &Entry) -> Result<(), ReadError> {
        if !self.summary.format_version.is_empty() {
            return Err(self.entries.refused(EntryProblem::Twice));
        }
        if entry.size > LONGEST_VERSION {
            return Err(ReadError::VersionUnreadable(format!("{} bytes", entry.size)));
        }
        let mut content = Vec::new();
        self.entries.read_content(entry.size, &mut content)?;
        self.summary.format_version = version(&content)?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), ReadError> {
        if self.summary.format_version.is_empty() {
            return Err(ReadError::VersionMissing);
        }
        self.summary.only_versioned.count = self.only_versioned.count();
        let examples = std::mem::take(&mut self.only_versioned_examples);
        self.summary.only_versioned.examples = examples.into_iter().map(|(_, path)| path).collect();
        Ok(())
    }
}

impl PassedOver {
    fn add(&mut self, path: &str) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(shown(path.as_bytes()));
        }
    }
}

/// The version of a format that can be read. Formats before 1.1 are numbered `1`.
fn version(content: &[u8]) -> Result<String, ReadError> {
    let unreadable = || ReadError::VersionUnreadable(shown(content.trim_ascii()));
    let text = std::str::from_utf8(content.trim_ascii()).map_err(|_| unreadable())?;
    let mut numbers = [0_u64; 3];
    let mut parts = text.split('.');
    for (index, number) in numbers.iter_mut().enumerate() {
        match parts.next() {
            Some(part) if part.bytes().all(|b| b.is_ascii_digit()) => {
                *number = part.parse().map_err(|_| unreadable())?;
            }
            None if index > 0 => break,
            _ => return Err(unreadable()),
        }
    }
    let [major, minor, _] = numbers;
    if parts.next().is_some() || major == 0 {
        return Err(unreadable());
    }
    if (major, minor) > NEWEST {
        return Err(ReadError::VersionTooNew(text.to_owned()));
    }
    Ok(text.to_owned())
}
