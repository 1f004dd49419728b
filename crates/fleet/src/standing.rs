//! The three conditions that every kind has (kstatus): Ready, Reconciling, Stalled.

use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use kurator_api::condition::{self, Condition};
use kurator_api::reason::Reason;

/// Where an object stands on its way to what its spec asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There.
    Ready,
    /// Under way, or waiting for something outside that will wake it.
    Underway,
    /// Not without a person's help.
    Stalled,
}

/// A standing and its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) standing: Standing,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Verdict {
    pub(crate) fn new(standing: Standing, reason: Reason, message: impl Into<String>) -> Self {
        Self { standing, reason, message: message.into() }
    }

    pub(crate) fn ready(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Standing::Ready, reason, message)
    }

    pub(crate) fn underway(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Standing::Underway, reason, message)
    }

    pub(crate) fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Standing::Stalled, reason, message)
    }

    /// An object that does not decode.
    pub(crate) fn undecodable(error: &InvalidObject) -> Self {
        Self::stalled(Reason::InvalidSpec, format!("the object cannot be read, mend it: {}", error.error))
    }

    /// Writes the verdict as conditions.
    pub(crate) fn record(&self, conditions: &mut Vec<Condition>, now: Timestamp) {
        for (type_, holds) in [
            (condition::READY, self.standing == Standing::Ready),
            (condition::RECONCILING, self.standing == Standing::Underway),
            (condition::STALLED, self.standing == Standing::Stalled),
        ] {
            condition::set(conditions, Condition::new(type_, holds, self.reason, &self.message, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_of_the_three_holds() {
        for standing in [Standing::Ready, Standing::Underway, Standing::Stalled] {
            let mut conditions = Vec::new();
            Verdict::new(standing, Reason::Waiting, "x").record(&mut conditions, Timestamp::UNIX_EPOCH);
            let holding = conditions.iter().filter(|c| c.status == condition::ConditionStatus::True).count();
            assert_eq!(holding, 1, "{standing:?}");
        }
    }
}
