//! Commands in containers, run by way of the API server.
//!
//! A command is begun at most once: one that the server refused for the moment is asked for again, but whether one that
//! got no answer was begun, nobody knows. Like Velero's, one that is given up goes on in its container.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use kube::client::UpgradeConnectionError;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::call::{Attempt, Caller, Failed};
use kurator_member::causes::chain;

/// What is kept of each of a command's two outputs, in bytes: the end, where it says what went wrong.
const KEPT: usize = 2 << 10;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) container: &'a str,
    /// The program and its arguments.
    pub(crate) words: &'a [String],
    /// How long it may take, its beginning included.
    pub(crate) timeout: Duration,
}

/// Why a command did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExecError {
    /// It was not begun; the server's words.
    #[error("{0}")]
    Refused(String),
    /// It has ended badly; the container runtime's words, such as `command terminated with exit code 1`.
    #[error("{0}")]
    Ended(String),
    /// It was given up.
    #[error("timed out after {0:?}; it may go on in the container")]
    TimedOut(Duration),
    /// Nobody knows whether it was begun.
    #[error("{0}; it may have been begun")]
    Unanswered(String),
    /// Nobody knows what became of it.
    #[error("the connection broke off before the command had ended")]
    Lost,
    /// The container runtime's words, which don't say whether it has ended.
    #[error("{0}; what became of the command is not known")]
    Unclear(String),
}

impl ExecError {
    /// Whether the command may have done what it is for.
    pub(crate) fn is_uncertain(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Ended(_) => false,
            Self::TimedOut(_) | Self::Unanswered(_) | Self::Lost | Self::Unclear(_) => true,
        }
    }
}

/// What a command printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) stdout: Excerpt,
    pub(crate) stderr: Excerpt,
}

/// The end of what was printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Excerpt {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn add(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        let over = self.bytes.len().saturating_sub(KEPT);
        if over > 0 {
            self.bytes.drain(..over);
            self.is_cut = true;
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_cut {
            f.write_str("…")?;
        }
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

/// Runs a command to its end: what it printed until then, and whether it succeeded.
pub(crate) async fn run(caller: &Caller, command: &Command<'_>) -> (Output, Result<(), ExecError>) {
    let mut output = Output::default();
    let running = attempt(caller, command, &mut output);
    let ended = tokio::time::timeout(command.timeout, running).await;
    (output, ended.unwrap_or(Err(ExecError::TimedOut(command.timeout))))
}

async fn attempt(caller: &Caller, command: &Command<'_>, output: &mut Output) -> Result<(), ExecError> {
    let mut process = begin(caller, command).await?;
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let mut reading =
        pin!(async { tokio::join!(keep(stdout, &mut output.stdout), keep(stderr, &mut output.stderr)) });
    let Some(status) = process.take_status() else { return Err(ExecError::Lost) };
    let mut status = pin!(status);
    let mut is_read = false;
    let status = loop {
        tokio::select! {
            _ = &mut reading, if !is_read => is_read = true,
            status = &mut status => break status,
        }
    };
    // Where the connection broke off, the streams have no end.
    if status.is_some() && !is_read {
        reading.await;
    }
    ended(status)
}

/// Begins a command; asks again, within the bounds of every request, where the server had too much to do, had a bad
/// moment or was not there.
async fn begin(caller: &Caller, command: &Command<'_>) -> Result<AttachedProcess, ExecError> {
    let pods = Api::<Pod>::namespaced(caller.client().clone(), command.namespace);
    let asked = AttachParams::default().container(command.container).stdin(false).stdout(true).stderr(true);
    let mut attempt = Attempt::default();
    loop {
        let turn = caller.pace().turn().await;
        let failed = match pods.exec(command.pod, command.words, &asked).await {
            Ok(process) => return Ok(process),
            Err(error) if is_of_no_container(&error) => return Err(ExecError::Refused(told(&error))),
            Err(error) if is_of_a_beginning(&error) => return Err(ExecError::Unanswered(told(&error))),
            Err(error) => Failed::from(error),
        };
        drop(turn);
        if failed.is_unanswered() {
            return Err(ExecError::Unanswered(failed.to_string()));
        }
        attempt.after(failed, caller.pace()).await.map_err(|error| ExecError::Refused(error.to_string()))?;
    }
}

/// A kubelet's word for a container that does not run; asking again at once changes nothing.
fn is_of_no_container(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.message.contains("container not found"))
}

/// Whether the command may have been begun although the request failed: somebody in between gave up waiting, or the
/// connection was made and then not as it had to be.
fn is_of_a_beginning(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 504,
        kube::Error::UpgradeConnection(error) => !matches!(error, UpgradeConnectionError::ProtocolSwitch(_)),
        _ => false,
    }
}

fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => chain(error),
    }
}

fn ended(status: Option<Status>) -> Result<(), ExecError> {
    let Some(Status { status, message, reason, .. }) = status else { return Err(ExecError::Lost) };
    if status.as_deref() == Some("Success") {
        return Ok(());
    }
    // Any other reason may be that the runtime or the kubelet was lost while the command ran.
    let has_ended = reason.as_deref() == Some("NonZeroExitCode");
    let said = message.filter(|message| !message.is_empty()).or(reason);
    let said = said.unwrap_or_else(|| "the command failed, and nobody says why".to_owned());
    Err(if has_ended { ExecError::Ended(said) } else { ExecError::Unclear(said) })
}

/// Reads to the end, so that the command never waits for us, and keeps an excerpt.
async fn keep(stream: Option<impl AsyncRead + Unpin>, excerpt: &mut Excerpt) {
    let Some(mut stream) = stream else { return };
    let mut piece = [0; 1024];
    // What breaks the stream breaks the status too, and that is told.
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        excerpt.add(&piece[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{server, status};

    fn command(words: &[String]) -> Command<'_> {
        Command { namespace: "a", pod: "p", container: "c", words, timeout: Duration::from_secs(30) }
    }

    #[test]
    fn of_what_a_command_prints_the_end_is_kept() {
        let mut excerpt = Excerpt::default();
        assert!(excerpt.is_empty());
        excerpt.add(b"first ");
        assert_eq!(excerpt.to_string(), "first ");
        for _ in 0..KEPT {
            excerpt.add(b"xy");
        }
        assert_eq!(excerpt.to_string(), format!("…{}", "xy".repeat(KEPT / 2)));
    }

    #[test]
    fn a_command_has_succeeded_only_if_its_status_says_so() {
        let status = |status: &str, message: Option<&str>, reason: Option<&str>| Status {
            status: Some(status.to_owned()),
            message: message.map(str::to_owned),
            reason: reason.map(str::to_owned),
            ..Status::default()
        };
        let failed = |said: &str| Err(ExecError::Ended(said.to_owned()));
        let unclear = |said: &str| Err(ExecError::Unclear(said.to_owned()));
        for (given, expected) in [
            (Some(status("Success", None, None)), Ok(())),
            (Some(status("Failure", Some("exit code 1"), Some("NonZeroExitCode"))), failed("exit code 1")),
            (Some(status("Failure", Some(""), Some("InternalError"))), unclear("InternalError")),
            (Some(Status::default()), unclear("the command failed, and nobody says why")),
            (None, Err(ExecError::Lost)),
        ] {
            assert_eq!(ended(given.clone()), expected, "{given:?}");
        }
    }

    #[tokio::test]
    async fn who_may_not_run_commands_is_told_so_in_the_server_s_words() {
        let words = ["sync".to_owned(), "-f".to_owned()];
        let said = "pods \"p\" is forbidden: User \"x\" cannot create resource \"pods/exec\"";
        let (caller, log) = server(move |_, _| status(403, "Forbidden", said));
        let (output, result) = run(&caller, &command(&words)).await;
        assert_eq!(result, Err(ExecError::Refused(said.to_owned())));
        assert_eq!(output, Output::default());
        let path =
            "/api/v1/namespaces/a/pods/p/exec?&stdout=true&stderr=true&container=c&command=sync&command=-f";
        assert_eq!(log.paths(), [path]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_a_bad_moment_is_asked_again() {
        let words = ["thaw".to_owned()];
        for code in [429, 500, 502, 503] {
            let (caller, log) = server(move |n, _| match n {
                0..3 => status(code, "", "not now"),
                _ => status(404, "NotFound", "pods \"p\" not found"),
            });
            let (_, result) = run(&caller, &command(&words)).await;
            assert_eq!(result, Err(ExecError::Refused("pods \"p\" not found".to_owned())), "{code}");
            assert_eq!(log.paths().len(), 4, "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_recovers_is_asked_no_longer_than_the_command_may_take() {
        let words = ["thaw".to_owned()];
        let (caller, _) = server(|_, _| status(503, "", "not now"));
        let began = tokio::time::Instant::now();
        let short = Command { timeout: Duration::from_secs(3), ..command(&words) };
        let (_, result) = run(&caller, &short).await;
        assert_eq!(result, Err(ExecError::TimedOut(short.timeout)));
        assert_eq!(began.elapsed(), short.timeout);
    }

    #[tokio::test]
    async fn a_container_that_does_not_run_is_not_asked_again() {
        let said = "unable to upgrade connection: container not found (\"c\")";
        let words = ["freeze".to_owned()];
        let (caller, log) = server(move |_, _| status(500, "InternalError", said));
        let (_, result) = run(&caller, &command(&words)).await;
        assert_eq!(result, Err(ExecError::Refused(said.to_owned())));
        assert_eq!(log.paths().len(), 1);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_asked_again() {
        let mut config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        // Or it would look for the CAs of this machine.
        config.accept_invalid_certs = true;
        let client =
            kurator_member::connect::hub_client(config, &kurator_member::gate::WriteGate::open()).unwrap();
        let words = ["thaw".to_owned()];
        let short = Command { timeout: Duration::from_millis(300), ..command(&words) };
        let (_, result) = run(&Caller::new(client), &short).await;
        assert_eq!(result, Err(ExecError::TimedOut(short.timeout)));
    }

    #[tokio::test]
    async fn a_command_whose_beginning_is_uncertain_is_not_begun_twice() {
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&asked);
        let broken = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::future::ready(Err::<http::Response<kube::client::Body>, _>("broken pipe"))
        });
        let words = ["freeze".to_owned()];
        let caller = Caller::new(kube::Client::new(broken, "default"));
        let (_, result) = run(&caller, &command(&words)).await;
        assert!(
            matches!(&result, Err(error @ ExecError::Unanswered(_)) if error.is_uncertain()),
            "{result:?}"
        );
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_given_up_in_the_command_s_time() {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        let words = ["true".to_owned()];
        let (_, result) = run(&Caller::new(kube::Client::new(silent, "default")), &command(&words)).await;
        assert_eq!(result, Err(ExecError::TimedOut(Duration::from_secs(30))));
    }
}
