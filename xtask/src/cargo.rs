//! Calls of cargo and places in the tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Runs cargo with these arguments in the repository; its output is the caller's.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(arguments).current_dir(root()).status().context("cannot start cargo")?;
    ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    Ok(())
}

/// Builds `kurator` in a profile and tells where it is. With the features of the whole workspace, as `cargo build` does:
/// what it depends on is built once for both.
pub(crate) fn kurator(profile: &str) -> Result<PathBuf> {
    cargo(&["build", "--quiet", "--workspace", "--bin", "kurator", "--profile", profile])?;
    let folder = if profile == "dev" { "debug" } else { profile };
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join(folder).join("kurator"))
}
