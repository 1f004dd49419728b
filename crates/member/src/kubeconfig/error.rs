//! Why a kubeconfig was not taken.

use std::fmt;

/// Which of the two things is wrong with a kubeconfig. The remedies differ: an owner who is refused has to ask
/// for other credentials, one whose file is malformed has to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Well-formed, but it asks for something that a stranger's file may not ask for.
    Refused,
    /// Not a usable kubeconfig.
    Malformed,
}

/// A kubeconfig that was not taken: names the field, the value where it is no secret, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// The field asks for something that is not done for a stranger's file.
    #[error("kubeconfig {}{value} is refused: {why}; {remedy}", place(field))]
    Refused {
        /// Path of the field, such as `users[admin].user.exec`.
        field: String,
        /// The value, unless it may be secret.
        value: Shown,
        /// What would happen if it were followed.
        why: String,
        /// What to write instead.
        remedy: &'static str,
    },
    /// The field, or the whole file, can't be used.
    #[error("kubeconfig {}{value} is not usable: {why}; {remedy}", place(field))]
    Malformed {
        /// Path of the field; `.` for the whole file.
        field: String,
        /// The value, unless it may be secret.
        value: Shown,
        /// What is wrong with it.
        why: String,
        /// What to write instead.
        remedy: &'static str,
    },
}

/// How a field is named; `.` is the whole file.
fn place(field: &str) -> String {
    match field {
        "." => "file".to_owned(),
        field => format!("field `{field}`"),
    }
}

impl KubeconfigError {
    /// Refused for what it asks, or malformed.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Refused { .. } => Reason::Refused,
            Self::Malformed { .. } => Reason::Malformed,
        }
    }

    /// Path of the field at fault; `.` for the whole file.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::Refused { field, .. } | Self::Malformed { field, .. } => field,
        }
    }
}

/// A value as it is shown in a message: shortened and without control characters, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(Option<String>);

/// Longest value that is shown, in characters. A row of a status may have 256 bytes in all.
const SHOWN_CHARS: usize = 80;

impl Shown {
    /// A value that is, or may contain, a secret.
    #[must_use]
    pub fn hidden() -> Self {
        Self(None)
    }

    /// A value that anybody may read.
    #[must_use]
    pub fn value(value: &str) -> Self {
        Self(Some(shortened(value)))
    }
}

/// A stranger's text in a form that can stand in a message.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        short.push('…');
    }
    short
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => write!(f, " with value `{value}`"),
            None => Ok(()),
        }
    }
}
