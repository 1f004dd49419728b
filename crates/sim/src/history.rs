//! What was asked of whom, in order: what a failing seed shows, and what two tellings of it are compared by.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::weather::Fate;

/// The history of one world.
#[derive(Debug)]
pub struct History {
    began: Instant,
    pages: Mutex<Pages>,
}

#[derive(Clone, Debug, Default)]
struct Pages {
    lines: Vec<String>,
    counts: BTreeMap<String, u64>,
    /// Of every line, and of every byte that was sent and answered between them.
    digest: DefaultHasher,
}

impl History {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now(), pages: Mutex::default() }
    }

    pub(crate) fn asked(&self, place: &str, what: &str, fate: Fate) {
        self.note(&format!("{place} {what} {fate:?}"));
        if let Some(fault) = fate.fault() {
            self.count(&format!("fault: {fault}"));
        }
    }

    /// Writes down what happened just now.
    pub fn note(&self, what: &str) {
        let passed = self.began.elapsed().as_micros();
        let line = format!("{:>9}.{:03} ms  {what}", passed / 1000, passed % 1000);
        let mut pages = self.pages();
        pages.digest.write(line.as_bytes());
        pages.lines.push(line);
    }

    /// Takes down what was sent or answered just now, for the digest alone.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut pages = self.pages();
        pages.digest.write_usize(bytes.len());
        pages.digest.write(bytes);
    }

    /// Counts what a run must not go without.
    pub(crate) fn count(&self, what: &str) {
        let mut pages = self.pages();
        match pages.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(pages.counts.insert(what.to_owned(), 1)),
        }
    }

    /// All lines so far.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        self.pages().lines.clone()
    }

    /// How often each thing happened that was counted.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.pages().counts.clone()
    }

    /// Of all that was written down, with the time of each, and of all that was sent and answered.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.pages().digest.finish()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
