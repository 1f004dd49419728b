//! Bytes that are put aside until they are asked for.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::chains::DiskError;

/// Any number of contents in a file without a name; who put one there keeps the slip for it.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    file: Option<File>,
    end: u64,
}

/// Where a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slip {
    at: u64,
    length: u32,
}

impl Shelf {
    /// An empty one, which makes its temporary file in `folder` when it needs one.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: None, end: 0 }
    }

    /// Puts `content` aside.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn put(&mut self, content: &[u8]) -> Result<Slip, DiskError> {
        self.write(content).map_err(|source| DiskError::of(&self.folder, source))
    }

    /// What was put aside, as often as wanted.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn get(&self, slip: Slip) -> Result<Vec<u8>, DiskError> {
        let mut content = vec![0; slip.length as usize];
        let file = self.file.as_ref().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into());
        let read = file.and_then(|file| file.read_exact_at(&mut content, slip.at));
        read.map_err(|source| DiskError::of(&self.folder, source))?;
        Ok(content)
    }

    fn write(&mut self, content: &[u8]) -> std::io::Result<Slip> {
        let length = u32::try_from(content.len()).map_err(std::io::Error::other)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.write_all_at(content, self.end)?;
        let slip = Slip { at: self.end, length };
        self.end += u64::from(length);
        Ok(slip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slip_stands_for_its_content() {
        let mut shelf = Shelf::new(&std::env::temp_dir());
        let contents = [&b"one"[..], b"", b"three"];
        let slips = contents.map(|content| shelf.put(content).unwrap());
        for (slip, content) in slips.into_iter().zip(contents).rev() {
            assert_eq!(shelf.get(slip).unwrap(), content);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let refused = Shelf::new(Path::new("/nowhere")).put(b"x").unwrap_err();
        assert!(refused.to_string().contains("`/nowhere`"), "{refused}");
    }
}
