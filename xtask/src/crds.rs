//! `cargo xtask crds`: what is generated from the API types.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cargo::root;

/// Options of `crds`.
#[derive(clap::Args)]
pub(crate) struct Crds {
    /// Only tell whether the files are up to date.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(task: &Crds) -> Result<ExitCode> {
    let mut stale = false;
    for (path, content) in generated() {
        if std::fs::read_to_string(&path).ok().as_deref() == Some(&content) {
            continue;
        }
        if task.check {
            eprintln!("{} is stale; run `cargo xtask crds`", path.display());
            stale = true;
            continue;
        }
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(if stale { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn generated() -> Vec<(PathBuf, String)> {
    let folder = root().join("charts/kurator/crds");
    let mut files: Vec<_> =
        kurator_api::crds::render().into_iter().map(|(name, content)| (folder.join(name), content)).collect();
    files.push((root().join("docs/reasons.md"), kurator_api::reason::render()));
    files
}
