//! How often the status of one object may be written, and how often it may be looked at.
//!
//! A status of thousands of rows is a large object, and each write of it goes whole to the store of the API server and to
//! everybody who watches; what matters (the start, the end) is written at once, the rest waits its turn. A pass over
//! thousands of rows takes a while, and something changes in one of them all the time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Least time between two writes of one status.
const SHORTEST: Duration = Duration::from_millis(100);
/// Time between two writes, by size: it doubles with each write of a row of them ...
const PER_MIB: Duration = Duration::from_secs(5);
/// ... up to this many times as much, so that a run that goes on and on writes 10 KiB/s, ...
const SLOWEST: u32 = 20;
/// ... or up to this, so that who looks on sees that it does. After a longer silence the row of writes is over.
const LONGEST: Duration = Duration::from_secs(30);
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Default)]
pub(crate) struct Pace {
    written: Mutex<HashMap<String, Written>>,
}

/// The writes of one status.
#[derive(Clone, Copy)]
struct Written {
    /// When the last one was made.
    at: Instant,
    /// How many there were before it without a long silence.
    before: u32,
}

impl Pace {
    /// When a status of so many bytes of the object with this UID may be written: `None` means now.
    pub(crate) fn wait(&self, uid: &str, bytes: impl FnOnce() -> usize) -> Option<Instant> {
        let last = *self.written.lock().unwrap_or_else(PoisonError::into_inner).get(uid)?;
        let next = last.at + interval(bytes(), last.before);
        (next > Instant::now()).then_some(next)
    }

    pub(crate) fn wrote(&self, uid: &str) {
        let at = Instant::now();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let last = written.get(uid).filter(|last| at - last.at <= LONGEST);
        let before = last.map_or(0, |last| last.before.saturating_add(1));
        written.insert(uid.to_owned(), Written { at, before });
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

/// Time between the last write of a status of this many bytes and the next, by how many there were `before`.
fn interval(size: usize, before: u32) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let first = PER_MIB.mul_f64(size as f64 / MIB);
    let times = 1_u32.checked_shl(before).map_or(SLOWEST, |times| times.min(SLOWEST));
    (first * times).min(first.max(LONGEST)).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_statuses_are_written_less_often_and_the_less_the_longer_they_change() {
        assert_eq!(interval(1_000, 0), SHORTEST);
        assert_eq!(interval(1_000, 100), SHORTEST);
        let halves = |before| interval(512 * 1024, before);
        assert_eq!([0, 1, 2, 3].map(halves), [2_500, 5_000, 10_000, 20_000].map(Duration::from_millis));
        assert_eq!([4, 31, 32, u32::MAX].map(halves), [LONGEST; 4]);
        assert_eq!(interval(12 << 20, 7), Duration::from_secs(60));
        assert_eq!(interval(20 * 1024, 9), Duration::from_nanos(1_953_125_000));
    }

    /// Times at which a status that changes all the time is written, until it ends.
    async fn writes(bytes: usize, run: Duration) -> Vec<Duration> {
        let pace = Pace::default();
        let (began, mut times) = (Instant::now(), Vec::new());
        while began.elapsed() < run {
            match pace.wait("uid", || bytes) {
                Some(at) => tokio::time::sleep_until(at).await,
                None => {
                    times.push(began.elapsed());
                    pace.wrote("uid");
                }
            }
        }
        times.push(run);
        times
    }

    #[tokio::test(start_paused = true)]
    async fn in_half_a_minute_a_large_status_is_written_four_times_between_its_start_and_its_end() {
        let times = writes(256 * 1024, Duration::from_secs(27)).await;
        let times: Vec<_> = times.iter().map(|time| time.as_secs_f32().round()).collect();
        assert_eq!(times, [0.0, 1.0, 4.0, 9.0, 19.0, 27.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_long_run_something_is_written_every_half_minute_and_not_more_than_10_kib_a_second() {
        let run = Duration::from_secs(3600);
        for kib in [1, 10, 100, 300] {
            let times = writes(kib * 1024, run).await;
            assert!(times.windows(2).all(|two| two[1] - two[0] <= LONGEST), "{kib} KiB");
            // The first few of a large one are a little more.
            assert!(times.len() * kib <= 11 * 3600, "{kib} KiB: {} writes", times.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_silence_a_change_is_written_at_once_and_the_next_one_soon() {
        let pace = Pace::default();
        let large = || 256 * 1024;
        for _ in 0..4 {
            pace.wrote("uid");
        }
        assert_eq!(pace.wait("uid", large), Some(Instant::now() + Duration::from_secs(10)));
        tokio::time::advance(LONGEST + Duration::from_secs(1)).await;
        assert_eq!(pace.wait("uid", large), None);
        pace.wrote("uid");
        assert_eq!(pace.wait("uid", large), Some(Instant::now() + Duration::from_millis(1250)));
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
