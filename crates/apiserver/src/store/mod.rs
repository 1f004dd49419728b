//! What the cluster holds: objects under keys, one revision for all of them, and the log of the recent past.
//!
//! Knows nothing of types, HTTP or rules. Every change gets the next revision, which is the object's
//! `resourceVersion`. The log is bounded: whoever asks for more is told that it is gone. From it old states are made
//! again, so that the pages of one list agree with each other.

mod index;
mod log;
mod object;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, iter, ops::Bound, sync::Arc};

use index::Index;
use log::Log;
pub(crate) use log::{Event, Gone};
pub(crate) use object::{Content, FOREGROUND, Key, Meta, ORPHAN, Object, Owner};

/// The objects of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Store {
    revision: u64,
    objects: BTreeMap<Key, Arc<Object>>,
    index: Index,
    log: Log,
}

/// The objects of a resource whose path starts with a prefix and comes after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range<'a> {
    pub(crate) resource: &'a Arc<str>,
    pub(crate) prefix: &'a str,
    /// A whole path; the empty one is before all others.
    pub(crate) after: &'a str,
}

impl Range<'_> {
    fn has(&self, key: &Key) -> bool {
        *key.resource == **self.resource && key.path.starts_with(self.prefix) && *key.path > *self.after
    }
}

impl Store {
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// The objects that name this UID as that of an owner.
    pub(crate) fn dependents(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.index.dependents(uid)
    }

    /// Whether there is any object in the namespace.
    pub(crate) fn holds_something(&self, namespace: &str) -> bool {
        self.index.holds_something(namespace)
    }

    /// Keeps an object, whose `resourceVersion` becomes the next revision.
    pub(crate) fn put(&mut self, key: &Key, content: Content) -> Arc<Object> {
        self.revision += 1;
        let object = Arc::new(Object::new(content, self.revision));
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
        self.log.add(Event { revision: self.revision, key: key.clone(), before, object, removed });
    }

    /// Forgets the past: what is there now was always there.
    pub(crate) fn forget_past(&mut self) {
        self.log.clear();
    }

    /// The events after `revision`, oldest first.
    pub(crate) fn after(&self, revision: u64) -> Result<impl Iterator<Item = &Event>, Gone> {
        self.log.after(revision)
    }

    /// The objects of a range, in the order of their paths.
    pub(crate) fn list<'a>(
        &'a self,
        range: Range<'a>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Object>)> + 'a {
        let from = Key::new(range.resource, range.prefix.max(range.after));
        self.objects
            .range((Bound::Included(from), Bound::Unbounded))
            .skip_while(move |(key, _)| *key.resource == **range.resource && *key.path <= *range.after)
            .take_while(move |(key, _)| range.has(key))
    }

    /// As [`Store::list`], as it was at `revision`.
    pub(crate) fn list_at<'a>(
        &'a self,
        range: Range<'a>,
        revision: u64,
    ) -> Result<impl Iterator<Item = (&'a Key, &'a Arc<Object>)> + 'a, Gone> {
        // What the objects were that have changed since; the oldest change says it.
        let mut then: BTreeMap<&Key, Option<&Arc<Object>>> = BTreeMap::new();
        for event in self.log.after(revision)?.filter(|event| range.has(&event.key)) {
            then.entry(&event.key).or_insert(event.before.as_ref());
        }
        let mut now = self.list(range).peekable();
        let mut then = then.into_iter().peekable();
        Ok(iter::from_fn(move || {
            loop {
                match (now.peek(), then.peek()) {
                    (None, None) => return None,
                    (Some((now_key, _)), Some((then_key, _))) if now_key < then_key => return now.next(),
                    (Some(_), None) => return now.next(),
                    (now_one, Some((then_key, _))) => {
                        if now_one.is_some_and(|(now_key, _)| now_key == then_key) {
                            now.next();
                        }
                        if let Some((key, Some(object))) = then.next() {
                            return Some((key, object));
                        }
                    }
                }
            }
        }))
    }
}
