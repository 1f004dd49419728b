//! The entries of a tarball, each with its whole path, and nothing but files and folders.

use std::io::Read;

use crate::reader::error::{EntryProblem, Limit, ReadError};
use crate::reader::inflate::Inflate;
use crate::reader::limits::Limits;
use crate::shown::shown;
use crate::tar::header::{Header, HeaderProblem, Kind};
use crate::tar::pax::Attributes;
use crate::tar::{BLOCK, padding};

/// The most bytes of extended attributes, or of a path, that are read.
const LARGEST_ATTRIBUTES: u64 = 64 << 10;

/// A file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Relative, clean, without a slash at its end.
    pub(crate) path: String,
    pub(crate) is_folder: bool,
    /// Of the content, in bytes.
    pub(crate) size: u64,
}

/// Reads entry after entry. After each, its content is to be read or skipped.
pub(crate) struct Entries<R> {
    stream: Inflate<R>,
    limits: Limits,
    read: u64,
    /// The entry before, as messages show it.
    last: String,
}

impl<R: Read> Entries<R> {
    pub(crate) fn new(source: R, limits: Limits) -> Self {
        Self { stream: Inflate::new(source, limits), limits, read: 0, last: String::new() }
    }

    /// Bytes of the tarball that have been read.
    pub(crate) fn inflated(&self) -> u64 {
        self.stream.inflated()
    }

    /// Headers that have been read.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// The next entry; `None` at the end, which has then been checked.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        let mut announced = Attributes::default();
        loop {
            let Some(header) = self.header()? else {
                if announced != Attributes::default() {
                    return Err(self.unreadable(HeaderProblem::AttributesAlone));
                }
                return Ok(None);
            };
            match header.kind {
                Kind::Pax => announced = self.attributes(header.size)?.over(announced),
                Kind::PaxGlobal => {
                    if self.attributes(header.size)? != Attributes::default() {
                        return Err(self.unreadable(HeaderProblem::Attributes));
                    }
                }
                Kind::GnuName => announced.path = Some(self.long_name(header.size)?),
                // Whose target this is will be refused.
                Kind::GnuTarget => self.skip_content(header.size)?,
                kind => {
                    let name = announced.path.unwrap_or(header.name);
                    let size = announced.size.unwrap_or(header.size);
                    self.last = shown(&name);
                    return entry(kind, name, size).map(Some).map_err(|problem| self.refused(problem));
                }
            }
        }
    }

    /// Reads the content of the last entry over `content`.
    pub(crate) fn read_content(&mut self, size: u64, content: &mut Vec<u8>) -> Result<(), ReadError> {
        content.clear();
        content.resize(usize::try_from(size).unwrap_or(usize::MAX), 0);
        self.fill(content)?;
        self.skip(padding(size) as u64)
    }

    /// Passes over the content of the last entry.
    pub(crate) fn skip_content(&mut self, size: u64) -> Result<(), ReadError> {
        self.skip(size)?;
        self.skip(padding(size) as u64)
    }

    /// The last entry is one that no backup has.
    pub(crate) fn refused(&self, problem: EntryProblem) -> ReadError {
        ReadError::Entry { entry: self.last.clone(), problem }
    }

    /// The last entry is one too many.
    pub(crate) fn over(&self, what: Limit, most: u64) -> ReadError {
        ReadError::Limit { what, most, entry: self.last.clone() }
    }

    fn header(&mut self) -> Result<Option<Header>, ReadError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if let Some(header) = Header::read(&block).map_err(|problem| self.unreadable(problem))? {
            self.read += 1;
            if self.read > self.limits.entries {
                return Err(self.over(Limit::Entries, self.limits.entries));
            }
            return Ok(Some(header));
        }
        // The end is two blocks of zeros; a writer may fill up its last record with more.
        self.fill(&mut block)?;
        if block.iter().any(|b| *b != 0) {
            return Err(ReadError::Trailing);
        }
        self.stream.expect_zeros().map_err(|error| self.placed(error))?;
        Ok(None)
    }

    fn attributes(&mut self, size: u64) -> Result<Attributes, ReadError> {
        let records = self.small_content(size)?;
        Attributes::read(&records).map_err(|problem| self.unreadable(problem))
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, ReadError> {
        let mut name = self.small_content(size)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        if name.contains(&0) {
            return Err(self.unreadable(HeaderProblem::Nul));
        }
        Ok(name)
    }

    fn small_content(&mut self, size: u64) -> Result<Vec<u8>, ReadError> {
        if size > LARGEST_ATTRIBUTES {
            return Err(self.unreadable(HeaderProblem::AttributesSize));
        }
        let mut content = Vec::new();
        self.read_content(size, &mut content)?;
        Ok(content)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.stream.read_exact(buffer).map_err(|error| self.placed(error))
    }

    fn skip(&mut self, count: u64) -> Result<(), ReadError> {
        self.stream.skip(count).map_err(|error| self.placed(error))
    }

    fn unreadable(&self, problem: HeaderProblem) -> ReadError {
        ReadError::Header { after: self.last.clone(), problem }
    }

    /// A limit of the stream, with the entry at which it was met.
    fn placed(&self, error: ReadError) -> ReadError {
        match error {
            ReadError::Limit { what, most, .. } => self.over(what, most),
            other => other,
        }
    }
}

impl Attributes {
    /// These, and of `earlier` what they do not say.
    fn over(self, earlier: Self) -> Self {
        Self { path: self.path.or(earlier.path), size: self.size.or(earlier.size) }
    }
}

fn entry(kind: Kind, name: Vec<u8>, size: u64) -> Result<Entry, EntryProblem> {
    let is_folder = match kind {
        Kind::File => false,
        Kind::Folder => true,
        Kind::HardLink | Kind::SymbolicLink => return Err(EntryProblem::Link),
        Kind::Device => return Err(EntryProblem::Device),
        Kind::Pax | Kind::PaxGlobal => return Err(EntryProblem::Kind(b'x')),
        Kind::GnuName | Kind::GnuTarget => return Err(EntryProblem::Kind(b'L')),
        Kind::Other(flag) => return Err(EntryProblem::Kind(flag)),
    };
    if is_folder && size != 0 {
        return Err(EntryProblem::FolderWithContent);
    }
    let name = String::from_utf8(name).map_err(|_| EntryProblem::NotUtf8)?;
    Ok(Entry { path: clean(name, is_folder)?, is_folder, size })
}

/// The path without what packing a folder by hand adds: `./` before it, and a slash after a folder.
fn clean(name: String, is_folder: bool) -> Result<String, EntryProblem> {
    if name.contains(char::is_control) {
        return Err(EntryProblem::Control);
    }
    let path = name.strip_prefix("./").unwrap_or(&name);
    if name.starts_with('/') || path.starts_with('/') {
        return Err(EntryProblem::Absolute);
    }
    let path = match path.strip_suffix('/') {
        Some(_) if !is_folder => return Err(EntryProblem::FileAsFolder),
        Some(folder) => folder,
        None => path,
    };
    if is_folder && matches!(path, "" | ".") {
        return Ok(String::new());
    }
    for part in path.split('/') {
        match part {
            ".." => return Err(EntryProblem::Climbs),
            "" | "." => return Err(EntryProblem::Unclean),
            _ if part.split('\\').any(|step| matches!(step, "" | "." | "..")) => {
                return Err(EntryProblem::Backslash);
            }
            _ => {}
        }
    }
    if path.len() == name.len() { Ok(name) } else { Ok(path.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_path_is_taken_as_it_is() {
        for (name, is_folder, path) in [
            ("a/b.json", false, "a/b.json"),
            ("./a/b", false, "a/b"),
            ("a/corp\\alice", false, "a/corp\\alice"),
            ("a/", true, "a"),
            ("a", true, "a"),
            ("./", true, ""),
            (".", true, ""),
            ("./a/", true, "a"),
            ("a/...", false, "a/..."),
        ] {
            assert_eq!(clean(name.to_owned(), is_folder).as_deref(), Ok(path), "{name}");
        }
    }

    #[test]
    fn any_other_path_is_refused() {
        for (name, is_folder, problem) in [
            ("/a", false, EntryProblem::Absolute),
            (".//a", false, EntryProblem::Absolute),
            ("/", true, EntryProblem::Absolute),
            ("..", false, EntryProblem::Climbs),
            ("../a", false, EntryProblem::Climbs),
            ("a/../b", false, EntryProblem::Climbs),
            ("a/../", true, EntryProblem::Climbs),
            ("", false, EntryProblem::Unclean),
            (".", false, EntryProblem::Unclean),
            ("a//b", false, EntryProblem::Unclean),
            ("././a", false, EntryProblem::Unclean),
            ("a//", true, EntryProblem::Unclean),
            ("a\\..\\b", false, EntryProblem::Backslash),
            ("\\a", false, EntryProblem::Backslash),
            ("a/\\\\host\\b", false, EntryProblem::Backslash),
            ("a\0", false, EntryProblem::Control),
            ("a\nb", false, EntryProblem::Control),
            ("a/", false, EntryProblem::FileAsFolder),
        ] {
            assert_eq!(clean(name.to_owned(), is_folder), Err(problem), "{name:?}");
        }
    }
}
