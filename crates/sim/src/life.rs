//! The life of a process: it may end between any two steps, and nothing of it is heard after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::history::History;

/// One life. All that the process sends, to clusters and stores, is counted here.
#[derive(Clone, Debug)]
pub struct Life {
    writes: Arc<AtomicU64>,
    last: Option<Last>,
    chapter: Chapter,
    over: CancellationToken,
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
        if self.chapter.number() < last.chapter
            || self.writes.fetch_add(1, Ordering::Relaxed) + 1 < last.write
        {
            return Write::Goes;
        }
        self.over.cancel();
        let (write, when) =
            if last.counts { (Write::IsTheLast, "after") } else { (Write::WouldBeTheLast, "before") };
        history.count(&format!("death {when}: {step}"));
        write
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
