//! What a person sees when a command fails: one fact per line, then what to do.

use std::io::Write;
use std::process::ExitCode;

/// A command that failed.
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<&'static str>,
}

impl Failure {
    pub(crate) fn with_hint(error: impl Into<anyhow::Error>, hint: &'static str) -> Self {
        Self { error: error.into(), hint: Some(hint) }
    }

    /// Prints to stderr; exit code 1.
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
        if let Some(hint) = self.hint {
            text.push_str("\n\nhint: ");
            text.push_str(hint);
        }
        // Nothing can be done about a closed stderr.
        let _closed = writeln!(std::io::stderr(), "{text}");
        ExitCode::FAILURE
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None }
    }
}
