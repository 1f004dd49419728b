//! The events of the recent past: one log for all who watch, and what old states are made of.

use std::{collections::VecDeque, sync::Arc};

use super::{Key, Object};

/// How many events are remembered.
pub(super) const EVENTS: usize = 1024;
/// How many bytes the objects of remembered events have, unless there are few of them.
pub(super) const BYTES: usize = 2 << 20;
/// How many events are remembered however large they are.
pub(super) const FEW: usize = 64;

/// What happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    /// The object before, unless it was made.
    pub(crate) before: Option<Arc<Object>>,
    /// The object after; of one that was removed, its last state under the revision of its removal.
    pub(crate) object: Arc<Object>,
    pub(crate) removed: bool,
}

/// What was asked for lies before the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The oldest revision that can be asked for.
    pub(crate) oldest: u64,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    events: VecDeque<Event>,
    bytes: usize,
    /// The revision of the newest event that was forgotten.
    forgotten: u64,
}

impl Log {
    pub(super) fn add(&mut self, event: Event) {
        self.bytes += event.object.size();
        self.events.push_back(event);
        while self.events.len() > EVENTS || (self.bytes > BYTES && self.events.len() > FEW) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes -= event.object.size();
            self.forgotten = event.revision;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        while !self.events.is_empty() {
            self.forget_oldest();
        }
    }

    /// The events after `revision`, oldest first.
    pub(super) fn after(
        &self,
        revision: u64,
    ) -> Result<impl DoubleEndedIterator<Item = &Event> + Clone, Gone> {
        if revision < self.forgotten {
            return Err(Gone { oldest: self.forgotten });
        }
        let first = self.events.partition_point(|event| event.revision <= revision);
        Ok(self.events.range(first..))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}
