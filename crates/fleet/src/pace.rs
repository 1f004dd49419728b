//! How often the status of one object may be written.
//!
//! A status of thousands of rows is a large object; what matters (the start, the end, a failure) is
//! written at once, the rest waits its turn.

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
}
