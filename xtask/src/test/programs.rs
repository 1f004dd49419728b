//! The test programs of the workspace. Those with a lab of their own mostly wait for it, and run side by side.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::cargo::root;

/// A lab takes about 1 GiB of memory and, with what its tests do, about one core.
const SIDE_BY_SIDE: usize = 4;
/// What keeps every core busy by itself.
const ALONE: [&str; 1] = ["sim/seeds"];

/// An integration test that is built.
pub(super) struct Program {
    name: String,
    executable: PathBuf,
    /// Where cargo would run it.
    folder: PathBuf,
}

/// The lines of `cargo --message-format=json` that matter, as cargo documents them.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the integration tests of the workspace; in the order of their names.
pub(super) fn built() -> Result<Vec<Program>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["test", "--workspace", "--test", "*", "--no-run", "--message-format=json-render-diagnostics"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(out.status.success(), "the tests could not be built");
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let message: Message = serde_json::from_str(line).context("cargo says what is no message")?;
        // `kurator` itself is built too, for the tests that start it.
        let (Some(executable), Some(manifest), Some(target)) =
            (message.executable, message.manifest_path, message.target)
        else {
            continue;
        };
        if executable.parent().is_some_and(|folder| folder.ends_with("deps")) {
            let folder = manifest.parent().map_or_else(root, Path::to_owned);
            let package = folder.file_name().unwrap_or_default().to_string_lossy();
            programs.push(Program { name: format!("{package}/{}", target.name), executable, folder });
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

/// Runs them, each with its output in one piece; the names of those that failed.
pub(super) fn run(programs: &[Program]) -> Result<Vec<String>> {
    let (alone, others): (Vec<_>, Vec<_>) =
        programs.iter().partition(|program| ALONE.contains(&program.name.as_str()));
    let outputs = tempfile::tempdir().context("cannot make a folder for what the tests say")?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut failed = side_by_side(1, &alone, outputs.path())?;
    failed.extend(side_by_side(cores.min(SIDE_BY_SIDE), &others, outputs.path())?);
    Ok(failed)
}

/// Runs as many at a time; the names of those that failed.
fn side_by_side(width: usize, programs: &[&Program], outputs: &Path) -> Result<Vec<String>> {
    let queue = Mutex::new(programs.iter());
    let failed = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(program) = next else { return Ok(()) };
            if !one(program, outputs)? {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(program.name.clone());
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..width).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a test's keeper panicked")))
    })?;
    Ok(failed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Whether it passed.
fn one(program: &Program, outputs: &Path) -> Result<bool> {
    let path = outputs.join(program.name.replace('/', "-"));
    let output = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let began = Instant::now();
    println!("     Running {}", program.name);
    let status = Command::new(&program.executable)
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .with_context(|| format!("cannot start {}", program.executable.display()))?;
    let said = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let took = Duration::from_secs(began.elapsed().as_secs());
    println!("       Ended {} after {took:?}: {status}\n{said}", program.name);
    Ok(status.success())
}
