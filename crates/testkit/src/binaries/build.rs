//! Building one pinned module into its folder of the cache.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use sha2::{Digest, Sha256};

use super::{BinariesError, Binary, Pin, Progress};
use crate::requirements::{find_in_path, is_executable};

/// A Go toolchain.
pub(super) struct Go {
    program: PathBuf,
    version: String,
}

impl Go {
    pub(super) fn find() -> Result<Self, BinariesError> {
        let Some(program) = find_in_path("go") else {
            return Err(BinariesError::NoGo(super::obstacle().unwrap_or_default()));
        };
        let output =
            Command::new(&program).arg("version").stdin(Stdio::null()).output().map_err(|e| {
                BinariesError::NoGo(format!("`{} version` does not run: {e}", program.display()))
            })?;
        Ok(Self { program, version: String::from_utf8_lossy(&output.stdout).trim().to_owned() })
    }
}

/// The programs of the module, built if the cache lacks one.
pub(super) fn module(
    go: &Go,
    cache: &Path,
    pin: &Pin,
    progress: Progress<'_>,
) -> Result<Vec<(&'static str, PathBuf)>, BinariesError> {
    let folder = cache.join(format!("{}-{}", pin.name, key(pin, &go.version)));
    let programs: Vec<_> = pin.binaries.iter().map(|b| (b.name, folder.join(b.name))).collect();
    if programs.iter().all(|(_, path)| is_executable(path)) {
        return Ok(programs);
    }
    let source = folder.join("src");
    fs::create_dir_all(&source).map_err(cache_error(&source))?;
    let lock = folder.join("lock");
    let _held =
        File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(cache_error(&lock))?;
    for (name, text) in [("go.mod", pin.go_mod), ("go.sum", pin.go_sum)] {
        let file = source.join(name);
        fs::write(&file, text).map_err(cache_error(&file))?;
    }
    for (binary, (_, path)) in pin.binaries.iter().zip(&programs) {
        // Another process may have built it while this one waited for the lock.
        if !is_executable(path) {
            build(go, pin, binary, &source, path, progress)?;
        }
    }
    Ok(programs)
}

fn build(
    go: &Go,
    pin: &Pin,
    binary: &Binary,
    source: &Path,
    path: &Path,
    progress: Progress<'_>,
) -> Result<(), BinariesError> {
    progress(&format!("building {} from its pinned Go module, once", binary.name));
    let begun = Instant::now();
    let partial = path.with_extension("partial");
    let output = Command::new(&go.program)
        .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", &flags(pin), "-o"])
        .args([partial.as_os_str(), OsStr::new(binary.package)])
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| BinariesError::NoGo(format!("`{}` does not run: {e}", go.program.display())))?;
    if !output.status.success() {
        let said = last_lines(&String::from_utf8_lossy(&output.stderr), 20);
        return Err(BinariesError::Build { binary: binary.name, said });
    }
    // The final name appears only on a complete program.
    fs::rename(&partial, path).map_err(cache_error(path))?;
    progress(&format!("built {} in {} s", binary.name, begun.elapsed().as_secs()));
    Ok(())
}

fn flags(pin: &Pin) -> String {
    format!("-s -w {}", pin.stamp)
}

/// Hash of all that decides what the compiler makes of the module.
fn key(pin: &Pin, go_version: &str) -> String {
    let mut hash = Sha256::new();
    let packages: Vec<_> = pin.binaries.iter().map(|b| b.package).collect();
    for part in [pin.go_mod, pin.go_sum, &flags(pin), &packages.join(" "), go_version] {
        // The length keeps two neighbours from being read as one another.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The last `count` lines.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn cache_error(path: &Path) -> impl FnOnce(io::Error) -> BinariesError {
    let path = path.to_owned();
    |source| BinariesError::Cache { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binaries::{ETCD, MINIO};

    #[test]
    fn a_changed_pin_or_toolchain_changes_the_key_of_that_module_only() {
        let changed = Pin { go_sum: "other", binaries: MINIO.binaries, ..MINIO };
        assert_ne!(key(&MINIO, "go1.26"), key(&changed, "go1.26"));
        assert_ne!(key(&MINIO, "go1.26"), key(&MINIO, "go1.27"));
        assert_ne!(key(&MINIO, "go1.26"), key(&ETCD, "go1.26"));
        assert_eq!(key(&ETCD, "go1.26"), key(&ETCD, "go1.26"));
    }

    #[test]
    fn the_end_of_a_log_is_its_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 20), "a");
        assert_eq!(last_lines("", 20), "");
    }
}
