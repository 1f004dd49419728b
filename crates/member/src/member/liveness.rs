//! Whether a member answers, and how long to wait before asking again.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::why::CREDENTIALS_REFUSED;

/// Whether a member answers. Times are wall-clock, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// No verdict yet: the first attempt is under way, or failed and is being repeated.
    Connecting {
        /// When the first attempt began.
        since: Timestamp,
        /// Why the first attempt failed.
        why: Option<Trouble>,
    },
    /// It answered the last time, and nothing has cast doubt on it since.
    Alive {
        /// When it began to answer.
        since: Timestamp,
        /// The server's version, such as `v1.36.3`.
        version: String,
        /// UID of its namespace kube-system: tells clusters apart whatever their addresses are.
        uid: String,
    },
    /// It does not answer, or not as a cluster that can be worked with.
    Unreachable {
        /// When that was noticed first.
        since: Timestamp,
        /// What the newest attempt met with.
        why: Trouble,
    },
}

/// What an attempt to work with a member met with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing answers, or not as a Kubernetes API server that is ready; one sentence.
    NoAnswer(String),
    /// The API server does not accept the credential (401).
    Unauthorized,
    /// The API server answers, and does not let the credential see what tells clusters apart (403); one sentence.
    Forbidden(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswer(why) | Self::Forbidden(why) => why,
            Self::Unauthorized => CREDENTIALS_REFUSED,
        })
    }
}

impl Liveness {
    /// It answers.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Alive { .. })
    }
}

/// Growing pauses between attempts, each somewhere between half and the whole of its limit: many members that
/// were lost together must not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    /// Together with [`super::probe::PATIENCE`] below ten seconds, the bound for noticing a return.
    pub(super) const LONGEST: Duration = Duration::from_secs(4);

    pub(super) fn next(&mut self) -> Duration {
        let limit = Self::FIRST.saturating_mul(1 << self.attempts.min(10)).min(Self::LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        limit.mul_f64(1.0 - fastrand::f64() / 2.0)
    }

    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}
