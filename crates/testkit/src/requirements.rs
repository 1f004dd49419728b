//! What a machine must offer before a lab can be tried.

use std::{fmt, path::PathBuf};

use crate::binaries;

/// Everything the machine lacks, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    reasons: Vec<String>,
}

impl Missing {
    /// One sentence per missing thing, each with its remedy.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("; "))
    }
}

impl std::error::Error for Missing {}

/// Tools of the system, and the Debian package that has each.
const TOOLS: [(&str, &str); 5] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("ip", "iproute2"),
    ("sh", "dash"),
];

/// Says whether a lab can run here, without starting or building anything.
///
/// # Errors
/// Names each missing thing and what to do about it, so that a test runner can skip the tier loudly.
pub fn requirements() -> Result<(), Missing> {
    let mut reasons = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        reasons.push("the lab makes network namespaces and needs root: run it as root".to_owned());
    }
    for (tool, package) in TOOLS {
        if find_in_path(tool).is_none() {
            reasons.push(format!("`{tool}` is not in PATH: install the package {package}"));
        }
    }
    if let Some(reason) = binaries::obstacle() {
        reasons.push(reason);
    }
    if reasons.is_empty() { Ok(()) } else { Err(Missing { reasons }) }
}

/// The first executable of this name in PATH.
pub(crate) fn find_in_path(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| is_executable(file))
}

/// Whether the file exists and somebody may execute it.
pub(crate) fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
