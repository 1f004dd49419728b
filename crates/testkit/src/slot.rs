//! The lab's real folder, owned through a lock that the kernel drops with its owner.
//!
//! Names and addresses inside a lab need no slot: no lab sees another. The folder is for what people look at
//! afterwards: logs and kubeconfigs. Folders of dead owners are removed when the next lab starts.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::LabError;

/// A locked folder below the labs' folder.
pub(crate) struct Slot {
    name: String,
    path: PathBuf,
    _lock: File,
}

impl Slot {
    /// Claims the folder `name`, or the lowest free number, below the labs' folder.
    pub(crate) fn claim(name: Option<&str>) -> Result<Self, LabError> {
        Self::claim_in(&labs_folder(), name)
    }

    fn claim_in(root: &Path, name: Option<&str>) -> Result<Self, LabError> {
        let failed = |source| LabError::Slot { path: root.to_owned(), source };
        fs::create_dir_all(root).map_err(failed)?;
        // Held while folders are swept and made, so that nobody locks a folder that is being removed.
        let door = File::create(root.join(".lock")).map_err(failed)?;
        door.lock().map_err(failed)?;
        sweep(root).map_err(failed)?;
        let mut number = 0_u32;
        loop {
            let candidate = name.map_or_else(|| number.to_string(), str::to_owned);
            let path = root.join(&candidate);
            match fs::create_dir(&path) {
                Ok(()) => {
                    let lock = File::open(&path).and_then(|f| f.lock().map(|()| f)).map_err(failed)?;
                    return Ok(Self { name: candidate, path, _lock: lock });
                }
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(e)),
                Err(_) if name.is_some() => return Err(LabError::AlreadyUp { name: candidate }),
                Err(_) => number += 1,
            }
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder at the end of what was in it. After a failure its logs are what is wanted; the next lab
    /// sweeps them away.
    pub(crate) fn leave(&self, good: bool) {
        if good
            && !std::thread::panicking()
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "cannot remove the lab's folder");
        }
    }
}

/// Whether a living process owns the lab in this folder. Asking takes no lock that another asker could mistake.
pub(crate) fn is_owned(path: &Path) -> bool {
    File::open(path).is_ok_and(|folder| matches!(folder.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Removes every lab folder that nobody holds.
fn sweep(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() && !is_owned(&path) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// `$KURATOR_LAB_DIR`, else `lab` in the target folder of the running program, else in the temporary folder.
pub(crate) fn labs_folder() -> PathBuf {
    if let Some(dir) = std::env::var_os("KURATOR_LAB_DIR") {
        return std::path::absolute(&dir).unwrap_or_else(|_| dir.into());
    }
    let program = std::env::current_exe().unwrap_or_default();
    target_of(&program).map_or_else(|| std::env::temp_dir().join("kurator-lab"), |target| target.join("lab"))
}

/// Cargo's target folder, wherever CARGO_TARGET_DIR has put it. Cargo tags one that it makes itself, and keeps its
/// notes in every one.
fn target_of(program: &Path) -> Option<&Path> {
    let marks = ["CACHEDIR.TAG", ".rustc_info.json"];
    program.ancestors().find(|folder| marks.iter().any(|mark| folder.join(mark).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("kurator-slot-{}-{test}", std::process::id()))
    }

    #[test]
    fn a_target_folder_that_was_there_before_cargo_is_found_too() {
        let root = scratch("target");
        let program = root.join("target/debug/deps/lab");
        fs::create_dir_all(&program).unwrap();
        fs::write(root.join("target/.rustc_info.json"), "{}").unwrap();
        assert_eq!(target_of(&program), Some(root.join("target").as_path()));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn each_living_lab_has_a_number_of_its_own() {
        let root = scratch("numbers");
        let first = Slot::claim_in(&root, None).unwrap();
        let second = Slot::claim_in(&root, None).unwrap();
        assert_eq!((first.name(), second.name()), ("0", "1"));
        drop(first);
        assert_eq!(Slot::claim_in(&root, None).unwrap().name(), "0");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_name_is_held_by_one_lab_only() {
        let root = scratch("name");
        let held = Slot::claim_in(&root, Some("dev")).unwrap();
        assert!(is_owned(held.path()));
        let refused = Slot::claim_in(&root, Some("dev"));
        assert!(matches!(refused, Err(LabError::AlreadyUp { name }) if name == "dev"));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn folders_of_dead_owners_are_swept_and_those_of_the_living_kept() {
        let root = scratch("sweep");
        let living = Slot::claim_in(&root, Some("living")).unwrap();
        let dead = Slot::claim_in(&root, Some("dead")).unwrap().path().to_owned();
        fs::write(dead.join("etcd.log"), "the end").unwrap();
        let _next = Slot::claim_in(&root, None).unwrap();
        assert!(living.path().exists());
        assert!(!dead.exists());
        fs::remove_dir_all(root).unwrap();
    }
}
