//! Who owns whom, and how much a namespace holds.

use std::collections::{BTreeMap, BTreeSet};

use super::{Key, Object};

#[derive(Debug, Default)]
pub(super) struct Index {
    /// By the UID that a reference to an owner has; whether that owner is there is another question.
    dependents: BTreeMap<Box<str>, BTreeSet<Key>>,
    /// Number of objects by namespace.
    held: BTreeMap<Box<str>, usize>,
}

impl Index {
    pub(super) fn add(&mut self, key: &Key, object: &Object) {
        for owner in &object.meta().owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(key.clone());
        }
        if let Some(namespace) = key.namespace() {
            match self.held.get_mut(namespace) {
                Some(held) => *held += 1,
                None => drop(self.held.insert(namespace.into(), 1)),
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key, object: &Object) {
        for owner in &object.meta().owners {
            if let Some(keys) = self.dependents.get_mut(&owner.uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        if let Some(namespace) = key.namespace()
            && let Some(held) = self.held.get_mut(namespace)
        {
            *held -= 1;
            if *held == 0 {
                self.held.remove(namespace);
            }
        }
    }

    pub(super) fn dependents(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.dependents.get(uid).into_iter().flatten()
    }

    pub(super) fn holds_something(&self, namespace: &str) -> bool {
        self.held.contains_key(namespace)
    }
}
