//! A quickstart that stays until it is ended.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, ensure};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// The program with this folder for temporary files, and nothing else of a user: neither a home nor a path.
pub(crate) fn quickstart(temporary: &Path, words: &[&str]) -> Command {
    // Under nohup, as the tests may run, it would not end when its terminal goes.
    let mut command = Command::new("/usr/bin/env");
    command
        .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_kurator"), "quickstart"])
        .args(words)
        .env_clear()
        .env("TMPDIR", temporary)
        .stdin(Stdio::null());
    command
}

/// Killed if a test ends before it.
pub(crate) struct Staying(Child);

impl Staying {
    /// Starts it; what it prints up to its last line comes too.
    pub(crate) fn start(temporary: &Path) -> anyhow::Result<(Self, Vec<String>)> {
        Self::until(&mut quickstart(temporary, &[]), "Ctrl-C ends all of it")
    }

    /// Starts it; what it prints up to the first line that begins so comes too.
    pub(crate) fn until(command: &mut Command, last: &str) -> anyhow::Result<(Self, Vec<String>)> {
        let mut staying = Self(command.stdout(Stdio::piped()).spawn()?);
        let stdout = staying.0.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut told = Vec::new();
        while told.last().is_none_or(|line: &String| !line.starts_with(last)) {
            told.push(lines.next().with_context(|| format!("it ended: {told:?}"))??);
        }
        Ok((staying, told))
    }

    /// Sends signals one after the other; how it ended.
    pub(crate) fn end(mut self, signals: &[Signal]) -> anyhow::Result<ExitStatus> {
        for signal in signals {
            kill_process(Pid::from_child(&self.0), *signal)?;
        }
        Ok(self.0.wait()?)
    }

    /// Ctrl-C, and a clean end.
    pub(crate) fn interrupt(self) -> anyhow::Result<()> {
        let status = self.end(&[Signal::INT])?;
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
