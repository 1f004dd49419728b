//! What a person sees when a command fails: one fact per line, then what to do.

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;

use kurator_member::causes::parts;
use rustix::io::Errno;

/// A command that failed.
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<Cow<'static, str>>,
    exit_code: u8,
}

/// Exit code of a command that failed for no reason that has one of its own.
const FAILURE: u8 = 1;
/// Exit code of a command that was typed in a way that cannot be meant, as clap's.
const USAGE: u8 = 2;

/// What to do where the system lets nobody open one more file.
const MORE_FILES: &str = "this process has as many files open as it may have; allow more with `ulimit -n`";

/// Whether there was no file left to be opened.
fn has_no_files(error: &anyhow::Error) -> bool {
    let none_left = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| none_left.contains(&error.raw_os_error()))
    })
}

impl Failure {
    pub(crate) fn with_hint(error: impl Into<anyhow::Error>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { error: error.into(), hint: Some(hint.into()), exit_code: FAILURE }
    }

    /// A command that was typed in a way that cannot be meant.
    pub(crate) fn usage(why: String) -> Self {
        Self { error: anyhow::Error::msg(why), hint: None, exit_code: USAGE }
    }

    /// The same with an exit code of its own.
    pub(crate) fn and_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// The same with this hint, if it has none.
    pub(crate) fn or_hint(self, hint: Option<String>) -> Self {
        Self { hint: self.hint.or(hint.map(Cow::from)), ..self }
    }

    /// What a person reads.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}", parts(self.error.as_ref()).join("\n  caused by: "));
        // Whatever was being done then: this is what keeps it from being done.
        let hint = if has_no_files(&self.error) { Some(MORE_FILES) } else { self.hint.as_deref() };
        if let Some(hint) = hint {
            text.push_str("\n\nhint: ");
            text.push_str(hint);
        }
        // What comes from clusters must not steer a terminal.
        text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
    }

    /// Prints to stderr; returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // Nothing can be done about a closed stderr.
        let _closed = writeln!(std::io::stderr(), "{}", self.text());
        ExitCode::from(self.exit_code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None, exit_code: FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_is_not_reached_is_told_in_no_words_of_the_client() {
        let refused =
            anyhow::Error::new(io::Error::other("connection refused")).context("client error (Connect)");
        let told = anyhow::Error::new(kube::Error::Service(refused.into())).context("cannot reach the hub");
        assert_eq!(parts(told.as_ref()), ["cannot reach the hub", "connection refused"]);
        let alone = kube::Error::Service(io::Error::other("client error (Connect)").into());
        assert_eq!(parts(&alone), ["client error (Connect)"]);
    }

    #[test]
    fn whoever_has_no_files_left_is_told_how_to_get_more() {
        let full = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        let error = anyhow::Error::new(full).context("cannot listen on 127.0.0.1:0");
        let text = Failure::with_hint(error, "another process may hold the port").text();
        assert!(
            text.starts_with("error: cannot listen on 127.0.0.1:0\n  caused by: Too many open files"),
            "{text}"
        );
        assert!(text.ends_with(
            "hint: this process has as many files open as it may have; allow more with `ulimit -n`"
        ));
    }
}
