//! Waiting for a condition instead of for a time.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The condition did not come true within its bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("waited {bound:?} for {what}; last seen: {last}")]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub bound: Duration,
    /// What the last look that had something to say said.
    pub last: String,
}

/// Looks again and again until `probe` gives a value.
///
/// `Ok(None)` means "not yet". An error means "not yet" too and is remembered as the last observation, so a probe
/// that wants to be understood says `Err(format!("phase is {phase}"))`. A look that hangs is cut off at the bound.
/// Async closures may borrow, and therefore the wait can be joined with others but not spawned.
///
/// # Errors
/// [`TimedOut`] after `bound`, with what was waited for and the last observation.
pub async fn until<T, E: Display>(
    what: &str,
    bound: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>, E>,
) -> Result<T, TimedOut> {
    let deadline = Instant::now() + bound;
    let mut last = "nothing yet".to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => {}
            Ok(Err(seen)) => last = seen.to_string(),
            Err(_) => {
                let last = format!("{last}; the last look did not return");
                return Err(TimedOut { what: what.to_owned(), bound, last });
            }
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(TimedOut { what: what.to_owned(), bound, last });
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_value_ends_the_wait() {
        let mut looks = 0;
        let seen = until("three looks", Duration::from_secs(1), async || {
            looks += 1;
            Ok::<_, String>((looks == 3).then_some("there"))
        });
        assert_eq!(seen.await.unwrap(), "there");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_names_the_wish_and_the_last_observation() {
        let ended = until("phase Completed", Duration::from_secs(1), async || {
            Err::<Option<()>, _>("phase is InProgress")
        });
        assert_eq!(
            ended.await.unwrap_err().to_string(),
            "waited 1s for phase Completed; last seen: phase is InProgress"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_is_cut_off() {
        let ended = until("an answer", Duration::from_secs(1), async || {
            std::future::pending::<Result<Option<()>, String>>().await
        });
        assert!(ended.await.unwrap_err().last.ends_with("the last look did not return"));
    }
}
