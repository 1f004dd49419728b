//! What was asked of whom, in order: what a failing seed shows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::weather::Fate;

/// The history of one world.
#[derive(Debug)]
pub struct History {
    began: Instant,
    lines: Mutex<Vec<String>>,
}

impl History {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now(), lines: Mutex::default() }
    }

    pub(crate) fn asked(&self, place: &str, what: &str, fate: Fate) {
        self.note(&format!("{place} {what} {fate:?}"));
    }

    /// Writes down what happened just now.
    pub fn note(&self, what: &str) {
        let passed = self.began.elapsed().as_millis();
        self.lines().push(format!("{passed:>9} ms  {what}"));
    }

    /// All lines so far.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        self.lines().clone()
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
