//! Who owns whom: objects by UID, and dependents by the UID of an owner.

use std::collections::{BTreeMap, BTreeSet};

use super::{Key, Object};

#[derive(Debug, Default)]
pub(super) struct Index {
    keys: BTreeMap<Box<str>, Key>,
    dependents: BTreeMap<Box<str>, BTreeSet<Key>>,
}

impl Index {
    pub(super) fn add(&mut self, key: &Key, object: &Object) {
        self.keys.insert(object.uid.clone(), key.clone());
        for owner in &object.owners {
            self.dependents.entry(owner.clone()).or_default().insert(key.clone());
        }
    }

    pub(super) fn remove(&mut self, key: &Key, object: &Object) {
        self.keys.remove(&object.uid);
        for owner in &object.owners {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }

    pub(super) fn key_of(&self, uid: &str) -> Option<&Key> {
        self.keys.get(uid)
    }

    pub(super) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }
}
