//! The folder of a quickstart: for what goes at its end, and what is swept when a run could not see to it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

const PREFIX: &str = "kurator-";
/// File that a run holds locked as long as it lives; the system lets go of it even where the run is killed.
const LOCK: &str = "quickstart.lock";
/// Times that a folder is emptied in which others still write.
const TRIES: usize = 3;

/// A folder that only this user can enter, and that goes with the run.
pub(super) struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// Makes one in `place`.
    ///
    /// # Errors
    /// The place can't be written.
    pub(super) fn new(place: &Path) -> anyhow::Result<Self> {
        // Whoever reads the kubeconfigs in it is the admin of all clusters.
        let private = Permissions::from_mode(0o700);
        let made = || -> io::Result<Self> {
            let folder = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(place)?;
            // Locked before it has its name: a lock that can be found and had is that of a dead run.
            let aside = folder.path().join("lock.new");
            let lock = File::create_new(&aside)?;
            // Where the system has no locks, nothing is ever taken for dead.
            if lock.lock().is_ok() {
                fs::rename(&aside, folder.path().join(LOCK))?;
            }
            Ok(Self { folder, _lock: lock })
        };
        made().with_context(|| format!("cannot make a folder in {}", place.display()))
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes it, with everything in it.
    ///
    /// # Errors
    /// Something in it can't be removed.
    pub(super) fn close(self) -> anyhow::Result<()> {
        let path = self.path().to_owned();
        self.folder.close().with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Removes what runs of this user have left beside it that were killed. What can't be removed stays.
    pub(super) fn sweep(&self) {
        let Ok(own) = fs::metadata(self.path()) else { return };
        let Some(Ok(entries)) = self.path().parent().map(fs::read_dir) else { return };
        for entry in entries.flatten() {
            let is_named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
            // Of the entry itself: a link leads to what is another's business.
            let is_ours = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own.uid());
            if is_named && is_ours && is_dead(&entry.path()) {
                tracing::info!(folder = %entry.path().display(), "removing what a killed run has left");
                remove(&entry.path());
            }
        }
    }
}

/// Whether a file lies, or lay, in the folder of a quickstart that has ended.
pub(crate) fn has_ended(file: &Path) -> bool {
    let Some(folder) = file.parent() else { return false };
    let is_named =
        folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    is_named && (!folder.exists() || is_dead(folder))
}

/// Whether a folder is that of a run that lives no more.
fn is_dead(folder: &Path) -> bool {
    let lock = folder.join(LOCK);
    let is_file = fs::symlink_metadata(&lock).is_ok_and(|found| found.is_file());
    is_file && File::open(&lock).is_ok_and(|lock| lock.try_lock().is_ok())
}

/// Removes a folder in which there may still be writers.
pub(super) fn remove(folder: &Path) {
    for _ in 0..TRIES {
        match fs::remove_dir_all(folder) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => tracing::warn!(folder = %folder.display(), error = %error, "cannot remove it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn names(place: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_quickstart_has_ended_when_its_folder_is_gone_or_nobody_holds_it() {
        let place = tempfile::tempdir().unwrap();
        let living = Folder::new(place.path()).unwrap();
        assert!(!has_ended(&living.path().join("hub")));
        let killed = place.path().join("kurator-killed");
        fs::create_dir(&killed).unwrap();
        assert!(!has_ended(&killed.join("hub")), "a folder of somebody else's");
        fs::write(killed.join(LOCK), "").unwrap();
        assert!(has_ended(&killed.join("hub")));
        assert!(has_ended(&place.path().join("kurator-gone/hub")));
        assert!(!has_ended(&place.path().join("gone/hub")));
    }

    #[test]
    fn only_what_dead_runs_left_is_swept() {
        let place = tempfile::tempdir().unwrap();
        let living = Folder::new(place.path()).unwrap();
        let of = |name: &str| place.path().join(name);
        for name in ["kurator-dead/store", "kurator-other", "else"] {
            fs::create_dir_all(of(name)).unwrap();
        }
        for lock in ["kurator-dead", "else"] {
            fs::write(of(lock).join(LOCK), "").unwrap();
        }
        std::os::unix::fs::symlink(of("else"), of("kurator-link")).unwrap();
        let new = Folder::new(place.path()).unwrap();
        new.sweep();
        let mut left = vec![
            of("else"),
            of("kurator-link"),
            of("kurator-other"),
            living.path().into(),
            new.path().into(),
        ];
        left.sort();
        assert_eq!(names(place.path()), left);
        new.close().unwrap();
        assert!(living.path().is_dir());
    }
}
