//! The life of a process: it may end between any two steps, and nothing of it is heard after that.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::history::History;

/// One life. All that the process sends, to clusters and stores, is counted here.
#[derive(Clone, Debug)]
pub struct Life {
    writes: Arc<Mutex<Writes>>,
    last: Option<Last>,
    chapter: Chapter,
    over: CancellationToken,
}

/// Those since the chapter in which it is to end.
#[derive(Debug, Default)]
struct Writes {
    counted: u64,
    steps: HashSet<String>,
}

/// How far a story has come. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Chapter(Arc<AtomicU64>);

impl Chapter {
    /// This one begins.
    pub fn begin(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The write at which a life ends.
#[derive(Clone, Copy, Debug)]
pub struct Last {
    /// The chapter from which writes are counted, from 0.
    pub chapter: u64,
    /// Its number among these, from 1.
    pub write: u64,
    /// Whether only the first of each step is counted: thus lives end at seldom steps as often as at common ones.
    pub of_each: bool,
    /// Whether it still has its effect.
    pub counts: bool,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It is sent, and answered.
    Goes,
    /// It is sent, and nobody is there to hear the answer.
    IsTheLast,
    /// The process dies before it is sent.
    WouldBeTheLast,
    /// Nobody is there to send it.
    Never,
}

impl Write {
    /// Whether it has its effect.
    #[must_use]
    pub fn is_sent(self) -> bool {
        matches!(self, Self::Goes | Self::IsTheLast)
    }
}

impl Life {
    /// A life in a story that is at this chapter, and the last write of it, if it is to end.
    #[must_use]
    pub fn new(chapter: &Chapter, last: Option<Last>) -> Self {
        Self { writes: Arc::default(), last, chapter: chapter.clone(), over: CancellationToken::new() }
    }

    /// Asked before each write; `step` names it.
    #[must_use]
    pub fn write(&self, step: &str, history: &History) -> Write {
        if self.over.is_cancelled() {
            return Write::Never;
        }
        let Some(last) = self.last else { return Write::Goes };
        history.count(&format!("step: {step}"));
        if self.chapter.number() < last.chapter || self.count(step, last.of_each) < last.write {
            return Write::Goes;
        }
        self.over.cancel();
        let (write, when) =
            if last.counts { (Write::IsTheLast, "after") } else { (Write::WouldBeTheLast, "before") };
        history.count(&format!("death {when}: {step}"));
        write
    }

    /// How many were counted, with this one.
    fn count(&self, step: &str, of_each: bool) -> u64 {
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        if writes.steps.insert(step.to_owned()) || !of_each {
            writes.counted += 1;
        }
        writes.counted
    }

    /// Ends it.
    pub fn end(&self) {
        self.over.cancel();
    }

    /// Cancelled when it is over.
    #[must_use]
    pub fn over(&self) -> &CancellationToken {
        &self.over
    }
}
