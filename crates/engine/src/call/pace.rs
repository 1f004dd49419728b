//! How many requests are under way at once: as many as the API server bears.
//!
//! The server knows its limits (API Priority and Fairness) and answers 429 beyond them. So there is no rate to
//! configure: an answer of 429 halves the number of requests side by side and pauses all for as long as it says, and
//! every answer that comes through lets it grow again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Answers that come through before one more request may be under way.
const GROW_AFTER: u32 = 32;

/// The requests of one engine to one API server.
#[derive(Debug)]
pub struct Pace {
    permits: Semaphore,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Permits to take away when they come back.
    owed: usize,
    /// Answers since the limit changed.
    through: u32,
    pause_until: Instant,
}

/// The right to have one request under way.
#[derive(Debug)]
pub struct Turn<'a> {
    pace: &'a Pace,
    permit: Option<SemaphorePermit<'a>>,
}

impl Pace {
    /// At most `most` requests side by side.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        let state = State { limit: most, owed: 0, through: 0, pause_until: Instant::now() };
        Self { permits: Semaphore::new(most), most, state: Mutex::new(state) }
    }

    /// Waits for a turn.
    pub async fn turn(&self) -> Turn<'_> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        loop {
            let until = self.state().pause_until;
            if until <= Instant::now() {
                return Turn { pace: self, permit };
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// How many requests may be under way now.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.state().limit
    }

    /// The server asked for fewer requests, and for none during `pause`.
    pub fn throttled(&self, pause: Duration) {
        let mut state = self.state();
        let now = Instant::now();
        // The answers to what was sent together say the same thing.
        if state.pause_until <= now {
            let less = state.limit / 2;
            state.limit -= less;
            state.owed += less - self.permits.forget_permits(less);
        }
        state.through = 0;
        state.pause_until = state.pause_until.max(now + pause);
    }

    /// An answer came through.
    pub fn went_through(&self) {
        let mut state = self.state();
        state.through += 1;
        if state.through < GROW_AFTER || state.limit == self.most {
            return;
        }
        state.through = 0;
        state.limit += 1;
        if state.owed > 0 {
            state.owed -= 1;
        } else {
            self.permits.add_permits(1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.pace.state();
        if state.owed > 0 {
            state.owed -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_the_requests_side_by_side_and_pauses_all() {
        let pace = Pace::new(8);
        let began = Instant::now();
        pace.throttled(Duration::from_secs(2));
        pace.throttled(Duration::from_secs(1));
        assert_eq!(pace.limit(), 4, "what was refused together counts once");
        let turns = [pace.turn().await, pace.turn().await, pace.turn().await, pace.turn().await];
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        assert_eq!(pace.permits.available_permits(), 0);
        drop(turns);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_under_way_are_not_replaced_when_fewer_are_allowed() {
        let pace = Pace::new(2);
        let (first, second) = (pace.turn().await, pace.turn().await);
        pace.throttled(Duration::ZERO);
        drop(first);
        assert_eq!(pace.permits.available_permits(), 0);
        drop(second);
        assert_eq!(pace.permits.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_come_through_let_it_grow_to_the_most_and_no_further() {
        let pace = Pace::new(2);
        pace.throttled(Duration::ZERO);
        assert_eq!(pace.limit(), 1);
        for _ in 0..10 * GROW_AFTER {
            pace.went_through();
        }
        assert_eq!(pace.limit(), 2);
        assert_eq!(pace.permits.available_permits(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_is_always_allowed() {
        let pace = Pace::new(4);
        for _ in 0..10 {
            pace.throttled(Duration::from_millis(1));
            tokio::time::advance(Duration::from_millis(2)).await;
        }
        assert_eq!(pace.limit(), 1);
        drop(pace.turn().await);
    }
}
