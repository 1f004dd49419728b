//! What a person sees when a command fails: one fact per line, then what to do.

use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;

use kurator_member::causes::parts;

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

    /// What a person reads.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}", parts(self.error.as_ref()).join("\n  caused by: "));
        if let Some(hint) = &self.hint {
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
