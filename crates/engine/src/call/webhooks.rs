//! Admission webhooks that do not answer: waited for as long as a server that restarts, and not anew with each object.
//!
//! One that hangs costs every object of its types the time until the API server gives it up. Were each of them repeated as
//! often as after any bad moment of the server, a restore of thousands would take hours to say the same thousands of times.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Failed;

/// How long a webhook is waited for, from the first request that failed with it.
const PATIENCE: Duration = Duration::from_secs(30);
/// After so long without such a failure it counts as well.
const FORGOTTEN: Duration = Duration::from_secs(120);
/// Webhooks that are remembered, at most; their names are the server's word.
const MOST: usize = 64;

/// Those that failed, by name.
#[derive(Debug, Default)]
pub(super) struct Webhooks(Mutex<HashMap<String, Failing>>);

#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    last: Instant,
}

impl Webhooks {
    /// A failure as it is to be taken: for good, if it is that of a webhook that was waited for.
    pub(super) fn judge(&self, failed: Failed) -> Failed {
        let Some(name) = failed.webhook() else { return failed };
        if self.is_given_up(name) { failed.for_good() } else { failed }
    }

    fn is_given_up(&self, name: &str) -> bool {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, failing| now.saturating_duration_since(failing.last) < FORGOTTEN);
        if let Some(failing) = all.get_mut(name) {
            failing.last = now;
            return now.saturating_duration_since(failing.since) >= PATIENCE;
        }
        if all.len() < MOST {
            all.insert(name.to_owned(), Failing { since: now, last: now });
        }
        false
    }
}

/// The webhook that could not be asked, by the server's words.
pub(super) fn named(message: &str) -> Option<&str> {
    let (_, said) = message.split_once("failed calling webhook \"")?;
    said.split_once('"').map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_webhook_is_waited_for_once_and_again_when_it_was_well_in_between() {
        let webhooks = Webhooks::default();
        let after = async |seconds| {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            webhooks.is_given_up("w")
        };
        assert!(!after(0).await);
        assert!(!after(29).await);
        assert!(after(1).await && after(100).await);
        assert!(!webhooks.is_given_up("another"));
        assert!(!after(120).await);
    }

    #[tokio::test(start_paused = true)]
    async fn of_any_number_of_names_few_are_remembered() {
        let webhooks = Webhooks::default();
        (0..10 * MOST).for_each(|n| assert!(!webhooks.is_given_up(&n.to_string())));
        assert_eq!(webhooks.0.lock().unwrap().len(), MOST);
    }

    #[test]
    fn a_webhook_is_known_by_the_servers_words() {
        for (message, name) in [
            (
                "Internal error occurred: failed calling webhook \"a.example.com\": failed to call webhook: Post \
                 \"https://x\": context deadline exceeded",
                Some("a.example.com"),
            ),
            ("failed calling webhook \"", None),
            ("etcdserver: leader changed", None),
        ] {
            assert_eq!(named(message), name, "{message}");
        }
    }
}
