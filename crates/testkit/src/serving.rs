//! A `kurator serve` that runs in a lab, and what a person at the hub does.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::{Cluster, Guest, Lab, LabError, plain_http};

/// Each process listens on a port of its own, so that several can run in one lab.
static NEXT_PORT: AtomicU16 = AtomicU16::new(8080);

/// Starts `program engine` for the cluster that a kubeconfig leads to, with its log in this file.
///
/// # Errors
/// The program could not be started, or the file not be made.
pub fn start_engine(lab: &Lab, program: &Path, kubeconfig: &Path, log: &Path) -> Result<Guest, LabError> {
    let stderr = File::create(log).map_err(|source| LabError::File { path: log.to_owned(), source })?;
    let mut command = Command::new(program);
    command.args(["engine", "--kubeconfig"]).arg(kubeconfig).stdin(Stdio::null()).stderr(stderr);
    lab.spawn(&mut command)
}

/// A running `kurator serve`, killed when it is dropped.
pub struct Serving {
    guest: Guest,
    log: PathBuf,
    port: u16,
}

impl Serving {
    /// Starts `program serve` at the lab's hub, with Velero taken as installed, and these further arguments.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn start<A: AsRef<OsStr>>(
        lab: &Lab,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, LabError> {
        Self::start_at(lab, lab.hub(), program, arguments)
    }

    /// As [`Serving::start`], with another cluster of the lab as the hub.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn start_at<A: AsRef<OsStr>>(
        lab: &Lab,
        hub: &Cluster,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, LabError> {
        Self::start_as(lab, &hub.kubeconfig_path(), program, arguments)
    }

    /// As [`Serving::start`], at the hub of this kubeconfig, and as its user.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn start_as<A: AsRef<OsStr>>(
        lab: &Lab,
        hub: &Path,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, LabError> {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let log = lab.dir().join(format!("kurator-{port}.log"));
        let stderr = File::create(&log).map_err(|source| LabError::File { path: log.clone(), source })?;
        let mut command = Command::new(program);
        command
            .args([
                "serve",
                "--default-installer",
                "none",
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--kubeconfig",
            ])
            .arg(hub)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(stderr);
        Ok(Self { guest: lab.spawn(&mut command)?, log, port })
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(&self.log)
    }

    /// URL of its health endpoint, inside the lab.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks its health endpoint: status and body. Call it inside [`Lab::run`].
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn get(&self, path: &str) -> io::Result<(u16, String)> {
        plain_http::get(&format!("127.0.0.1:{}", self.port), path).await
    }

    /// Process id as the outside sees it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.guest.id()
    }

    /// SIGKILL: no chance to tidy up.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.guest.kill()
    }

    /// SIGSTOP: it stands still in the middle of whatever it does.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn pause(&self) -> io::Result<()> {
        self.guest.pause()
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn resume(&self) -> io::Result<()> {
        self.guest.resume()
    }

    /// SIGTERM, as a cluster ends a pod; waits for the end.
    ///
    /// # Errors
    /// `TimedOut` after the bound.
    pub fn terminate(&mut self, bound: Duration) -> io::Result<ExitStatus> {
        self.guest.terminate()?;
        self.guest.wait(bound)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// `TimedOut` after the bound.
    pub fn wait(&mut self, bound: Duration) -> io::Result<ExitStatus> {
        self.guest.wait(bound)
    }
}
