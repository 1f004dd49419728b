//! Which of several processes leads: a `coordination.k8s.io` Lease, judged by local observation.
//!
//! [`LeaseState::step`](state::LeaseState::step) decides and is pure; [`elect`] looks, asks it, and writes.
//! Clocks are never compared: a lease has run out when *this* process has watched it stay unchanged for its whole
//! duration, however wrong the times in it are. Writes carry the resource version that was looked at, so
//! of two rivals that take a lease at once the server lets one through. Only of processes that follow each other
//! because they lead elsewhere, a [`Succession`], the next one need not wait.

mod elect;
mod state;
#[cfg(test)]
mod tests;

use tokio::time::Instant;

pub use elect::{LeaseConfig, elect};
pub use state::{LeaseAction, LeaseState, Observed, Succession};

/// What this process may say of its leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Not leading yet.
    Waiting {
        /// Who leads, if anybody is known to.
        holder: Option<String>,
    },
    /// Leading, up to a moment of the monotonic clock. Renewals move the moment; once it has passed the claim
    /// says nothing any more, even if nobody had the time to change it.
    Held {
        /// The last moment of leadership.
        until: Instant,
    },
    /// Led, and does so no more. Final: start the process anew, since what it planned may be out of date.
    Lost,
}

impl Claim {
    /// Leading at this very moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { until } if Instant::now() < *until)
    }
}
