//! Whether a member answers, and how long to wait before asking again.

use std::time::Duration;

use jiff::Timestamp;

/// Whether a member answers. Times are wall-clock, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// No verdict yet: the first attempt is under way, or failed and is being repeated.
    Connecting {
        /// When the first attempt began.
        since: Timestamp,
        /// Why the first attempt failed.
        why: Option<String>,
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
        why: String,
    },
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
