//! What a person sees when a command fails: one fact per line, then what to do.

use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;

/// A command that failed.
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<Cow<'static, str>>,
    exit_code: u8,
}

/// Exit code of a command that failed for no reason that has one of its own.
const FAILURE: u8 = 1;

impl Failure {
    pub(crate) fn with_hint(error: impl Into<anyhow::Error>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { error: error.into(), hint: Some(hint.into()), exit_code: FAILURE }
    }

    /// The same with an exit code of its own.
    pub(crate) fn and_exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// Prints to stderr; returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut text = String::from("error: ");
        let mut said = String::new();
        for cause in self.error.chain() {
            let part = cause.to_string();
            // A library that repeats its source in its own text is not repeated here.
            if said.contains(&part) {
                continue;
            }
            if !said.is_empty() {
                text.push_str("\n  caused by: ");
            }
            text.push_str(&part);
            said.push_str(&part);
        }
        if let Some(hint) = &self.hint {
            text.push_str("\n\nhint: ");
            text.push_str(hint);
        }
        // What comes from clusters must not steer a terminal.
        let text: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        // Nothing can be done about a closed stderr.
        let _closed = writeln!(std::io::stderr(), "{text}");
        ExitCode::from(self.exit_code)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None, exit_code: FAILURE }
    }
}
