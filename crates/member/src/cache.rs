//! What one watch knows: the objects of one kind in one namespace of one cluster.
//!
//! Synchronous: a reader never waits for a server, and gets one of the three answers of
//! [`Knowledge`]. The map is replaced as a whole at the end of a complete list and never in between, so
//! that an object deleted while nobody watched is gone afterwards, and half a list is never taken for a whole one.
//!
//! Only a `Feed` writes, and only the newest one: whoever takes knowledge away (`forget`) also
//! silences the feed that was there, even if it has an event in its hands already.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use jiff::Timestamp;
use kube::{Resource, ResourceExt as _, runtime::watcher::Event};

use crate::knowledge::Knowledge;

/// Repeats the whole object, and of a Secret the secret data, in its metadata.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The objects of one kind in one namespace, by name.
#[derive(Debug)]
pub struct Cache<K>(RwLock<Inner<K>>);

type Objects<K> = BTreeMap<String, Arc<K>>;

/// Why a server that has answered does not tell of the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has no such type.
    NoSuchType,
    /// These credentials may not see them.
    Forbidden,
}

#[derive(Debug)]
struct Inner<K> {
    /// Whose feed may write.
    epoch: u64,
    /// `Some` while nothing is known.
    unknown: Option<(Timestamp, String)>,
    /// The server has said that it won't tell, since it was last asked anew.
    refused: Option<Refusal>,
    /// What is known, or was known last: then only to tell what changed meanwhile.
    objects: Objects<K>,
    /// A list that is not complete yet.
    listing: Objects<K>,
}

impl<K: Resource> Cache<K> {
    pub(crate) fn new(since: Timestamp, why: &str) -> Self {
        Self(RwLock::new(Inner {
            epoch: 0,
            unknown: Some((since, why.to_owned())),
            refused: None,
            objects: BTreeMap::new(),
            listing: BTreeMap::new(),
        }))
    }

    /// What is known of the object called `name`.
    pub fn get(&self, name: &str) -> Knowledge<Arc<K>> {
        let inner = self.read();
        match &inner.unknown {
            Some((since, why)) => Knowledge::Unknown { since: *since, why: why.clone() },
            None => inner
                .objects
                .get(name)
                .map_or(Knowledge::Absent, |object| Knowledge::Present(Arc::clone(object))),
        }
    }

    /// That nothing is known because the server has answered so, and the sentence on that.
    pub fn refusal(&self) -> Option<(Refusal, String)> {
        let inner = self.read();
        let (_, why) = inner.unknown.as_ref()?;
        Some((inner.refused?, why.clone()))
    }

    /// All objects in the order of their names; `Present` (perhaps empty) or `Unknown`, never `Absent`.
    pub fn list(&self) -> Knowledge<Vec<Arc<K>>> {
        self.select(|_| true)
    }

    /// The objects that `wanted` picks, in the order of their names; `Present` (perhaps empty) or `Unknown`.
    pub fn select(&self, wanted: impl Fn(&K) -> bool) -> Knowledge<Vec<Arc<K>>> {
        let inner = self.read();
        match &inner.unknown {
            Some((since, why)) => Knowledge::Unknown { since: *since, why: why.clone() },
            None => {
                Knowledge::Present(inner.objects.values().filter(|object| wanted(object)).cloned().collect())
            }
        }
    }

    /// Takes knowledge away and silences the present feed. `true` if a reader can tell the difference.
    pub(crate) fn forget(&self, now: Timestamp, why: &str) -> bool {
        let mut inner = self.write();
        inner.epoch += 1;
        inner.refused = None;
        inner.forget(now, why)
    }

    /// The right to write, until the next `forget` or `feed`.
    pub(crate) fn feed(self: &Arc<Self>) -> Feed<K> {
        let mut inner = self.write();
        inner.epoch += 1;
        Feed { epoch: inner.epoch, cache: Arc::clone(self) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner<K>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<K>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Inner<K> {
    fn forget(&mut self, now: Timestamp, why: &str) -> bool {
        self.listing.clear();
        match &mut self.unknown {
            // Unknown all along: only the reason may be news.
            Some((_, reason)) => {
                let news = reason != why;
                why.clone_into(reason);
                news
            }
            None => {
                self.unknown = Some((now, why.to_owned()));
                true
            }
        }
    }
}

/// What an event did to the cache.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<K> {
    /// Nothing that a reader could see.
    None,
    /// One object is new, changed or gone. A gone one is given as it was seen last.
    One(Arc<K>),
    /// A list is complete: these are new, changed or gone since anything was known last.
    All(Vec<Arc<K>>),
    /// Nothing is known until the next complete list.
    Forgotten,
}

/// Writes the events of one watch into a cache.
#[derive(Debug)]
pub(crate) struct Feed<K> {
    cache: Arc<Cache<K>>,
    epoch: u64,
}

impl<K: Resource> Feed<K> {
    /// Applies one event, unless this feed has been silenced.
    pub(crate) fn apply(&self, event: Event<K>, now: Timestamp) -> Effect<K> {
        let mut inner = self.cache.write();
        if inner.epoch != self.epoch {
            return Effect::None;
        }
        match event {
            Event::Init => {
                inner.listing.clear();
                // What was unknown before keeps its reason: being listed is not the answer to it.
                if inner.unknown.is_none() && inner.forget(now, "the objects are being listed") {
                    return Effect::Forgotten;
                }
                Effect::None
            }
            Event::InitApply(object) => {
                let object = trimmed(object);
                inner.listing.insert(object.name_any(), Arc::new(object));
                Effect::None
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut inner.listing);
                let before = std::mem::replace(&mut inner.objects, listed);
                inner.unknown = None;
                Effect::All(difference(&before, &inner.objects))
            }
            Event::Apply(object) => {
                let object = Arc::new(trimmed(object));
                let known = inner.unknown.is_none();
                let target = if known { &mut inner.objects } else { &mut inner.listing };
                target.insert(object.name_any(), Arc::clone(&object));
                if known { Effect::One(object) } else { Effect::None }
            }
            Event::Delete(object) => {
                let name = object.name_any();
                if inner.unknown.is_some() {
                    inner.listing.remove(&name);
                    return Effect::None;
                }
                inner.objects.remove(&name);
                Effect::One(Arc::new(trimmed(object)))
            }
        }
    }

    /// The watch broke, or was `refused`: nothing is known until the next complete list. `true` if a reader can tell.
    pub(crate) fn broken(&self, now: Timestamp, why: &str, refused: Option<Refusal>) -> bool {
        let mut inner = self.cache.write();
        if inner.epoch != self.epoch {
            return false;
        }
        let is_news = std::mem::replace(&mut inner.refused, refused) != refused;
        inner.forget(now, why) || is_news
    }
}

/// New and changed objects of `after`, then those of `before` that are gone.
fn difference<K: Resource>(before: &Objects<K>, after: &Objects<K>) -> Vec<Arc<K>> {
    let changed = after
        .iter()
        .filter(|(name, object)| !before.get(*name).is_some_and(|old| same(old.as_ref(), object.as_ref())));
    let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
    changed.chain(gone).map(|(_, object)| Arc::clone(object)).collect()
}

/// The same version of the same object. Versions of two clusters may coincide, UIDs don't.
fn same<K: Resource>(a: &K, b: &K) -> bool {
    a.meta().uid == b.meta().uid && a.meta().resource_version == b.meta().resource_version
}

fn trimmed<K: Resource>(mut object: K) -> K {
    trim(&mut object);
    object
}

/// Takes off what nobody reads and what takes most of the room: whatever is kept in a cache needs it not.
pub fn trim<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests;
