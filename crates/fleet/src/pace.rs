//! How often the status of one object may be written, and how often it may be looked at.
//!
//! A status of thousands of rows is a large object; what matters (the start, the end, a failure) is
//! written at once, the rest waits its turn. A pass over thousands of rows takes a while, and something changes in one
//! of them all the time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const SHORTEST: Duration = Duration::from_millis(100);
const PER_MIB: Duration = Duration::from_secs(5);
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Default)]
pub(crate) struct Pace {
    written: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    /// When a status of so many bytes of the object with this UID may be written: `None` means now.
    pub(crate) fn wait(&self, uid: &str, bytes: impl FnOnce() -> usize) -> Option<Instant> {
        let last = *self.written.lock().unwrap_or_else(PoisonError::into_inner).get(uid)?;
        let next = last + interval(bytes());
        (next > Instant::now()).then_some(next)
    }

    pub(crate) fn wrote(&self, uid: &str) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), Instant::now());
    }

    /// Forgets an object that needs no more writes.
    pub(crate) fn forget(&self, uid: &str) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Times the length of a pass that must go by until the next: of one object's passes, a core has a fifth of its time.
const REST: u32 = 4;
/// After a pass that was shorter nothing is waited for.
const SHORT: Duration = Duration::from_millis(2);

/// When objects that keep a core busy may be looked at again, by UID.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Instant>>);

impl Turns {
    /// For how long a pass has to wait; `None` means it may begin.
    pub(crate) fn wait(&self, uid: &str) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid)?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// A pass has ended that kept a core busy for so long.
    pub(crate) fn ended(&self, uid: &str, busy: Duration) {
        let now = Instant::now();
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, until| *until > now);
        if busy > SHORT {
            turns.insert(uid.to_owned(), now + busy * REST);
        }
    }
}

/// 100 ms, or 5 s per MiB where that is more.
fn interval(size: usize) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let mib = size as f64 / MIB;
    PER_MIB.mul_f64(mib).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_statuses_are_written_less_often() {
        assert_eq!(interval(1_000), SHORTEST);
        assert_eq!(interval(512 * 1024), Duration::from_millis(2_500));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_write_waits_for_nothing_and_the_next_for_the_interval() {
        let pace = Pace::default();
        assert_eq!(pace.wait("uid", || 10), None);
        pace.wrote("uid");
        assert!(pace.wait("uid", || 10).is_some());
        tokio::time::advance(SHORTEST).await;
        assert_eq!(pace.wait("uid", || 10), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pass_is_followed_by_a_rest_of_four_times_its_length_and_a_short_one_by_none() {
        let turns = Turns::default();
        turns.ended("short", SHORT);
        assert_eq!(turns.wait("short"), None);
        let busy = Duration::from_millis(50);
        turns.ended("long", busy);
        assert_eq!(turns.wait("long"), Some(busy * REST));
        assert_eq!(turns.wait("another"), None);
        tokio::time::advance(busy * REST).await;
        assert_eq!(turns.wait("long"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn of_objects_that_have_rested_nothing_is_kept() {
        let turns = Turns::default();
        turns.ended("gone", Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(4)).await;
        turns.ended("other", Duration::ZERO);
        assert_eq!(turns.0.lock().unwrap().len(), 0);
    }
}
