//! What every long-running command has: a log, a runtime, signals, and a cluster that answers.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context as _;
use kube::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::failure::Failure;

/// What kube says of a broken watch is said by whoever watches, in one line; which object a line is about stands in it.
const DEFAULT_FILTER: &str = "info,kube_runtime::watcher=off,kube_runtime::controller=warn";

/// Runs a command that goes on until it is ended, with a log.
pub(crate) fn run(
    format: LogFormat,
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    log(format);
    block_on(command)
}

/// Lets the process have as many files open as the system allows: each member is a connection, each connection a file.
fn allow_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!(before = ?current, now = ?maximum, "more files may be open"),
        Err(error) => {
            tracing::warn!(limit = ?current, error = %error, "cannot raise the limit of open files, and so of members");
        }
    }
}

/// What to do if fewer files may be open than are `needed`.
pub(crate) fn few_files(needed: u64) -> Option<String> {
    let limit = getrlimit(Resource::Nofile).maximum.filter(|limit| *limit < needed)?;
    Some(format!(
        "this process may have {limit} files open, which is few; allow {needed} with `ulimit -n {needed}`"
    ))
}

/// Runs `command` to its end.
pub(crate) fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    // Only the first caller in a process can set it; nobody else does.
    let _first = rustls::crypto::aws_lc_rs::default_provider().install_default();
    allow_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    // A name look-up that hangs must not keep the process.
    runtime.shutdown_background();
    outcome
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER))
}

/// Keeps the log in a file, for a command that has something else to show.
pub(crate) fn log_into(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter()).with_ansi(false);
    // A full disk is told by what fails for it, and not once more with each line.
    log.log_internal_errors(false).with_writer(Mutex::new(file)).init();
    Ok(())
}

fn log(format: LogFormat) {
    let filter = filter();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = if std::io::stderr().is_terminal() { log } else { log.with_ansi(false) };
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Sees whether the server answers, before anything is built on it.
pub(crate) async fn reach(what: &str, client: &Client, server: &str) -> Result<(), Failure> {
    let reached = client.apiserver_version().await;
    let version =
        reached.with_context(|| format!("cannot reach the {what} at {server}")).map_err(|error| {
            Failure::with_hint(error, "try `kubectl get --raw /version` with the same kubeconfig")
        })?;
    tracing::info!(what, server, version = version.git_version, "connected");
    Ok(())
}

/// The folder for temporary files.
pub(crate) fn spool(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    Ok(folder("--spool", given.unwrap_or_else(std::env::temp_dir))?)
}

/// The folder below which local stores may lie.
pub(crate) fn local_stores(given: PathBuf) -> anyhow::Result<PathBuf> {
    let folder = folder("--allow-local-store", given)?;
    if std::fs::canonicalize(&folder)?.parent().is_none() {
        let why = "--allow-local-store: `/` would let whoever writes a location write anywhere; name a folder below it";
        anyhow::bail!(why);
    }
    Ok(folder)
}

fn folder(flag: &str, given: PathBuf) -> anyhow::Result<PathBuf> {
    if given.is_dir() {
        return Ok(given);
    }
    anyhow::bail!("{flag}: `{}` is no folder; make it or name another", given.display())
}

/// The first SIGTERM or Ctrl-C, or the end of its terminal, ends in order; the second at once, after `last`.
pub(crate) fn end_on_signal(
    shutdown: CancellationToken,
    last: impl FnOnce() + Send + 'static,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = Signals::new()?;
    Ok(async move {
        signals.next().await;
        tracing::info!("ending");
        shutdown.cancel();
        signals.next().await;
        last();
        std::process::exit(INTERRUPTED.into());
    })
}

/// Exit code of a process that was told to end before it was done, as shells have it for Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The signals that end a process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` under nohup: it is to outlive its terminal.
    hang_up: Option<Signal>,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let hang_up = (!is_hang_up_ignored()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up,
        })
    }

    async fn next(&mut self) {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether whoever started the process wants it to ignore SIGHUP. Only Linux says so.
fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    // The first bit stands for signal 1.
    ignored.is_some_and(|set| set & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(given: &str) -> Option<String> {
        local_stores(given.into()).err().map(|failure| failure.to_string())
    }

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        allow_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }

    #[test]
    fn a_limit_of_open_files_is_named_only_where_it_is_too_low() {
        assert_eq!(few_files(0), None);
        let needed = u64::MAX;
        let said = few_files(needed);
        assert_eq!(said.is_some(), getrlimit(Resource::Nofile).maximum.is_some());
        assert!(said.is_none_or(|said| said.ends_with(&format!("`ulimit -n {needed}`"))));
    }

    #[test]
    fn a_folder_for_local_stores_must_be_there_and_not_be_everything() {
        let missing = "--allow-local-store: `/no/such/folder` is no folder; make it or name another";
        assert_eq!(refused("/no/such/folder").as_deref(), Some(missing));
        let file = std::env::current_exe().unwrap();
        assert!(refused(&file.display().to_string()).is_some());
        for everything in ["/", "/.."] {
            assert!(refused(everything).unwrap().contains("write anywhere"), "{everything}");
        }
        assert_eq!(refused(&std::env::temp_dir().display().to_string()), None);
    }
}
