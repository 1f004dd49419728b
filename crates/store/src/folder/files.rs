//! What is done with the files of a folder. Everything here waits for the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Where files are until they are whole; no key can name it.
const STAGING: &str = ".kurator-staging";
/// Longest name of a file, in bytes.
const LONGEST_NAME: usize = 255;
/// Held while a file is compared and replaced.
const LOCK: &str = "lock";
/// How often the folders of a key are made anew where a deletion takes them away.
const ATTEMPTS: usize = 16;

/// Whether a key can name a file below the root.
pub(super) fn is_key(key: &str) -> bool {
    crate::key::is_key(key)
        && key.split('/').all(|part| part.len() <= LONGEST_NAME)
        && key.split('/').next() != Some(STAGING)
}

/// The folder that holds all objects.
pub(super) struct Root {
    path: PathBuf,
    staged: AtomicU64,
}

/// A name in a folder.
pub(super) struct Found {
    pub(super) name: String,
    /// Of an object; folders have none.
    pub(super) size: Option<u64>,
}

/// A file that nobody sees yet; gone when dropped.
pub(super) struct Staged {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Staged {
    pub(super) fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.length += piece.len() as u64;
        self.file.write_all(piece)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

impl Root {
    /// `path` has no links in it.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let staging = path.join(STAGING);
        match fs::create_dir(&staging) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sweep(&staging)?,
        }
        Ok(Self { path, staged: AtomicU64::new(0) })
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn is_gone(&self) -> bool {
        !self.path.is_dir()
    }

    /// The path of a key or folder, none of whose parts is a link.
    fn at(&self, key: &str) -> io::Result<PathBuf> {
        let mut path = self.path.clone();
        for part in key.split('/').filter(|part| !part.is_empty()) {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    let said = format!("`{}` is a symbolic link, and none is followed", path.display());
                    return Err(io::Error::other(said));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A file where a folder is looked for: nothing can lie below it.
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    return Err(io::ErrorKind::NotFound.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(path)
    }

    pub(super) fn open_file(&self, key: &str) -> io::Result<(File, u64)> {
        let path = self.at(key)?;
        // A pipe would be waited for.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    /// What lies directly in a folder, sorted; links and what is neither file nor folder are no part of it.
    pub(super) fn level(&self, folder: &str) -> io::Result<Vec<Found>> {
        let mut level = Vec::new();
        let entries = match fs::read_dir(self.at(folder)?) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(level),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // What is no text was not written here.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if folder.is_empty() && name == STAGING {
                continue;
            }
            match entry.metadata() {
                Ok(found) if found.is_dir() => level.push(Found { name, size: None }),
                Ok(found) if found.is_file() => level.push(Found { name, size: Some(found.len()) }),
                Ok(_) => {}
                // Deleted in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        level.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(level)
    }

    pub(super) fn stage(&self) -> io::Result<Staged> {
        loop {
            let number = self.staged.fetch_add(1, Ordering::Relaxed);
            let path = self.path.join(STAGING).join(format!("{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    // Tells other processes that it is still being written.
                    file.lock()?;
                    return Ok(Staged { path, file, length: 0 });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts a file in its place, over what is there, and says how long it is.
    pub(super) fn publish(&self, staged: Staged, key: &str) -> io::Result<u64> {
        let placed = self.place(&staged, key, |from, to| fs::rename(from, to));
        let length = staged.length;
        drop(staged);
        placed.map(|()| length)
    }

    /// Puts a file in its place if that is free; whether it was.
    pub(super) fn publish_new(&self, staged: Staged, key: &str) -> io::Result<bool> {
        let done = self.place(&staged, key, |from, to| fs::hard_link(from, to));
        drop(staged);
        match done {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            done => done.map(|()| true),
        }
    }

    fn place(&self, staged: &Staged, key: &str, put: fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        staged.file.sync_all()?;
        let path = self.at(key)?;
        let folder = path.parent().unwrap_or(&self.path);
        for attempt in 1.. {
            fs::create_dir_all(folder)?;
            match put(&staged.path, &path) {
                // Somebody removed the folder because it was empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        File::open(folder)?.sync_all()
    }

    /// Writes `content` if the file holds `present`; whether it did.
    pub(super) fn replace(&self, key: &str, present: &[u8], content: &[u8]) -> io::Result<bool> {
        let lock = File::create(self.path.join(STAGING).join(LOCK))?;
        lock.lock()?;
        let (mut file, size) = self.open_file(key)?;
        if size != present.len() as u64 || read_piece(&mut file, size)? != present {
            return Ok(false);
        }
        let mut staged = self.stage()?;
        staged.append(content)?;
        self.publish(staged, key)?;
        Ok(true)
    }

    /// Removes a file, and the folders that it leaves empty: a store has none.
    pub(super) fn delete(&self, key: &str) -> io::Result<()> {
        let path = self.at(key)?;
        fs::remove_file(&path)?;
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != self.path);
        for folder in folders {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Removes what processes left that are gone.
fn sweep(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let path = entry?.path();
        let abandoned = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if abandoned && !path.ends_with(LOCK) {
            // Somebody else may have swept it.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Up to that many of the next bytes; fewer only at the end.
pub(super) fn read_piece(file: &mut File, length: u64) -> io::Result<Bytes> {
    let mut piece = Vec::new();
    file.take(length).read_to_end(&mut piece)?;
    Ok(piece.into())
}

/// Folders that are still to be looked into.
pub(super) struct Walk(Vec<String>);

impl Walk {
    pub(super) fn of(folder: &str) -> Self {
        Self(vec![folder.to_owned()])
    }

    /// Keys and sizes of the objects in one more folder; `None` after the last one.
    pub(super) fn next_level(&mut self, root: &Root) -> io::Result<Option<Vec<(String, u64)>>> {
        let Some(folder) = self.0.pop() else { return Ok(None) };
        let level = match root.level(&folder) {
            // Deleted in the meantime, or never there.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !root.is_gone() => Vec::new(),
            level => level?,
        };
        let mut objects = Vec::new();
        for Found { name, size } in level {
            let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            match size {
                Some(size) => objects.push((key, size)),
                None => self.0.push(key),
            }
        }
        Ok(Some(objects))
    }
}
