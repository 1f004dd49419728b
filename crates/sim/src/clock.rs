//! The time of day of a simulated world: it passes with tokio's paused time.

use jiff::{SignedDuration, Timestamp};
use kurator_member::clock::Clock;
use tokio::time::Instant;

/// A clock that showed `began` when it was made.
#[derive(Clone, Copy, Debug)]
pub struct SimClock {
    began: Timestamp,
    at: Instant,
}

impl SimClock {
    /// Begins on 2026-01-01, at midnight.
    #[must_use]
    pub fn start() -> Self {
        let began = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 20_454);
        Self { began, at: Instant::now() }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or_default();
        self.began + passed
    }
}

impl kurator_apiserver::Clock for SimClock {
    fn now(&self) -> Timestamp {
        Clock::now(self)
    }
}
