//! The folder of the object store: empty at first, and one quickstart's alone.

use std::fs::{File, TryLockError, create_dir_all, read_dir};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::world::BUCKET;

/// What a store leaves behind that has stored nothing.
const UPLOADS: &str = ".uploads";

/// Makes the folder if there is none, and keeps others from it until this is dropped.
pub(super) fn hold(root: &Path) -> anyhow::Result<File> {
    let (shown, using) = (root.display(), || format!("cannot use {}", root.display()));
    create_dir_all(root).with_context(using)?;
    let held = File::open(root).with_context(using)?;
    match held.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("{shown} is the store of another quickstart that runs"),
        Err(TryLockError::Error(error)) => return Err(error).with_context(using),
    }
    if read_dir(root.join(BUCKET)).is_ok_and(|mut files| files.next().is_some()) {
        bail!("{shown} holds backups of other clusters");
    }
    for entry in read_dir(root).with_context(using)? {
        let name = entry.with_context(using)?.file_name();
        if name != BUCKET && name != UPLOADS {
            bail!("{shown} is not empty: it holds {}", name.display());
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(root: &Path) -> String {
        format!("{:#}", hold(root).unwrap_err())
    }

    #[test]
    fn a_folder_is_held_by_one_at_a_time_and_may_be_made_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let held = hold(&root).unwrap();
        assert!(refused(&root).ends_with("is the store of another quickstart that runs"));
        drop(held);
        hold(&root).unwrap();
    }

    #[test]
    fn only_what_a_store_without_objects_leaves_may_be_there() {
        let folder = tempfile::tempdir().unwrap();
        create_dir_all(folder.path().join(UPLOADS)).unwrap();
        create_dir_all(folder.path().join(BUCKET)).unwrap();
        drop(hold(folder.path()).unwrap());
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        assert!(refused(folder.path()).ends_with("is not empty: it holds notes.txt"));
        std::fs::write(folder.path().join(BUCKET).join("object"), "").unwrap();
        assert!(refused(folder.path()).ends_with("holds backups of other clusters"));
    }
}
