//! A quickstart that stays until it is interrupted.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// The program with this folder for temporary files, and nothing else of a user: neither a home nor a path.
pub(crate) fn quickstart(temporary: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kurator"));
    command.arg("quickstart").args(words).env_clear().env("TMPDIR", temporary).stdin(Stdio::null());
    command
}

/// Killed if a test ends before it.
pub(crate) struct Staying(Child);

impl Staying {
    /// Starts it; what it prints up to its last line comes too.
    pub(crate) fn start(temporary: &Path) -> anyhow::Result<(Self, Vec<String>)> {
        let mut staying = Self(quickstart(temporary, &[]).stdout(Stdio::piped()).spawn()?);
        let stdout = staying.0.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut told = Vec::new();
        while told.last().is_none_or(|line: &String| line != "Ctrl-C ends all of it") {
            told.push(lines.next().with_context(|| format!("it ended: {told:?}"))??);
        }
        Ok((staying, told))
    }

    /// Ctrl-C, and a clean end.
    pub(crate) fn interrupt(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::INT)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}
