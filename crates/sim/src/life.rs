//! The life of a process: it may end between any two steps, and nothing of it is heard after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::history::History;

/// One life. All that the process sends, to clusters and stores, is counted here.
#[derive(Clone, Debug)]
pub struct Life {
    writes: Arc<AtomicU64>,
    /// The write at which it ends.
    last: Option<u64>,
    /// Whether that write still has its effect.
    last_counts: bool,
    over: CancellationToken,
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
    /// A life that ends at the write of this number, counted from 1, if at all; that write has its effect or not.
    #[must_use]
    pub fn new(last: Option<u64>, last_counts: bool) -> Self {
        Self { writes: Arc::default(), last, last_counts, over: CancellationToken::new() }
    }

    /// Asked before each write; `step` names it.
    #[must_use]
    pub fn write(&self, step: &str, history: &History) -> Write {
        if self.over.is_cancelled() {
            return Write::Never;
        }
        let number = self.writes.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(last) = self.last else { return Write::Goes };
        history.count(&format!("step: {step}"));
        if number < last {
            return Write::Goes;
        }
        self.over.cancel();
        let (write, when) =
            if self.last_counts { (Write::IsTheLast, "after") } else { (Write::WouldBeTheLast, "before") };
        history.count(&format!("death {when}: {step}"));
        write
    }

    /// How many writes there were.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
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
