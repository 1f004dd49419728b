//! What the cluster holds: objects under keys, one revision for all of them, and the events of the recent past.
//!
//! Knows nothing of types, HTTP or rules. Every change gets the next revision, which is the object's
//! `resourceVersion`. The past is a window: at most [`WINDOW_EVENTS`] events and [`WINDOW_BYTES`] of their objects;
//! whoever asks for more is told that it is gone. From the window old states are made again, so that the pages of one
//! list agree with each other.

mod index;
mod object;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use serde_json::Value;

use index::Index;
pub(crate) use object::{Key, Object};

/// How many events are remembered.
const WINDOW_EVENTS: usize = 4096;
/// How many bytes the objects of remembered events have, unless one event alone has more.
const WINDOW_BYTES: usize = 16 << 20;

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

impl Event {
    fn bytes(&self) -> usize {
        self.object.text.len() + self.before.as_ref().map_or(0, |object| object.text.len())
    }
}

/// What was asked for lies before the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The oldest revision that can be asked for.
    pub(crate) oldest: u64,
}

/// The objects of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Store {
    revision: u64,
    objects: BTreeMap<Key, Arc<Object>>,
    index: Index,
    events: VecDeque<Event>,
    event_bytes: usize,
    /// The revision of the newest event that was forgotten.
    forgotten: u64,
}

impl Store {
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// The object with this UID.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<&Key> {
        self.index.key_of(uid)
    }

    /// The objects that name this UID as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.index.dependents(uid)
    }

    /// Keeps an object, whose `resourceVersion` becomes the next revision.
    pub(crate) fn put(&mut self, key: &Key, value: Value) -> Arc<Object> {
        self.revision += 1;
        let object = Arc::new(Object::new(value, self.revision));
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        if let Some(before) = &before {
            self.index.remove(key, before);
        }
        self.index.add(key, &object);
        self.remember(key, before, Arc::clone(&object), false);
        object
    }

    /// Removes an object; what is returned is its last state, under the revision of the removal.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Object>> {
        let before = self.objects.remove(key)?;
        self.revision += 1;
        self.index.remove(key, &before);
        let object = Arc::new(before.at(self.revision));
        self.remember(key, Some(before), Arc::clone(&object), true);
        Some(object)
    }

    fn remember(&mut self, key: &Key, before: Option<Arc<Object>>, object: Arc<Object>, removed: bool) {
        let event = Event { revision: self.revision, key: key.clone(), before, object, removed };
        self.event_bytes += event.bytes();
        self.events.push_back(event);
        while self.events.len() > WINDOW_EVENTS || (self.event_bytes > WINDOW_BYTES && self.events.len() > 1)
        {
            let Some(event) = self.events.pop_front() else { break };
            self.event_bytes -= event.bytes();
            self.forgotten = event.revision;
        }
    }

    /// The events after `revision`, oldest first.
    pub(crate) fn after(&self, revision: u64) -> Result<impl Iterator<Item = &Event>, Gone> {
        if revision < self.forgotten {
            return Err(Gone { oldest: self.forgotten });
        }
        let first = self.events.partition_point(|event| event.revision <= revision);
        Ok(self.events.range(first..))
    }

    /// The objects of a resource whose path starts with `prefix`, in the order of their paths.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &Arc<str>,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Object>)> {
        let from = Key::new(resource, prefix);
        let resource = Arc::clone(resource);
        self.objects
            .range((Bound::Included(from), Bound::Unbounded))
            .take_while(move |(key, _)| *key.resource == *resource && key.path.starts_with(prefix))
    }

    /// As [`Store::list`], as it was at `revision`.
    pub(crate) fn list_at(
        &self,
        resource: &Arc<str>,
        prefix: &str,
        revision: u64,
    ) -> Result<BTreeMap<Key, Arc<Object>>, Gone> {
        let mut objects: BTreeMap<_, _> =
            self.list(resource, prefix).map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
        let mut newest_first: Vec<&Event> = self
            .after(revision)?
            .filter(|event| *event.key.resource == **resource && event.key.path.starts_with(prefix))
            .collect();
        newest_first.reverse();
        for event in newest_first {
            match &event.before {
                Some(before) => objects.insert(event.key.clone(), Arc::clone(before)),
                None => objects.remove(&event.key),
            };
        }
        Ok(objects)
    }
}
