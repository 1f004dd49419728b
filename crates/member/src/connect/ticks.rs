//! Timers that go off together.

use std::{
    pin::Pin,
    sync::LazyLock,
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// A timer that goes off at the next of the moments that all connections share: a process with thousands of them wakes up
/// once for many, and reads many answers at once, instead of once and again for each.
#[derive(Clone, Debug)]
pub(super) struct Ticks {
    every: Duration,
    timer: TokioTimer,
}

impl Ticks {
    /// Moments that are so far apart, which is also how much too late the timer may go off.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, timer: TokioTimer::new() }
    }

    /// The first of the moments that is not before `at`.
    fn after(&self, at: Instant) -> Instant {
        static FIRST: LazyLock<Instant> = LazyLock::new(|| TokioTimer::new().now());
        let gone = at.saturating_duration_since(*FIRST).as_nanos();
        let over = gone % self.every.as_nanos().max(1);
        match u64::try_from(over) {
            Ok(over) if over > 0 => at + self.every.saturating_sub(Duration::from_nanos(over)),
            Ok(_) | Err(_) => at,
        }
    }
}

impl Timer for Ticks {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.timer.sleep_until(self.after(deadline))
    }

    fn now(&self) -> Instant {
        self.timer.now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        self.timer.reset(sleep, self.after(deadline));
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    const EVERY: Duration = Duration::from_millis(250);

    #[tokio::test(start_paused = true)]
    async fn what_is_due_between_two_moments_goes_off_at_the_second_and_nothing_goes_off_early() {
        let timer = Ticks::new(EVERY);
        let began = timer.now();
        let sleeps = (1..=250).map(|wait| {
            let (timer, wait) = (timer.clone(), Duration::from_millis(wait));
            async move {
                timer.sleep(wait).await;
                let slept = timer.now() - began;
                assert!(
                    slept >= wait && slept < wait + EVERY + Duration::from_millis(2),
                    "{slept:?} for {wait:?}"
                );
                slept
            }
        });
        let mut moments = join_all(sleeps).await;
        moments.sort_unstable();
        moments.dedup();
        assert!(moments.len() <= 2, "{moments:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_set_anew_goes_off_with_the_others() {
        let timer = Ticks::new(EVERY);
        let began = timer.now();
        let (mut sleep, other) =
            (timer.sleep(Duration::from_secs(60)), timer.sleep(Duration::from_millis(10)));
        timer.reset(&mut sleep, began + Duration::from_millis(10));
        sleep.await;
        let at = timer.now();
        other.await;
        assert_eq!(timer.now(), at);
        assert!(
            at - began < EVERY + Duration::from_millis(10) + Duration::from_millis(2),
            "{:?}",
            at - began
        );
    }
}
