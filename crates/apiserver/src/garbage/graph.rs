//! Owners and dependents, as kube-controller-manager collects garbage.
//!
//! An owner is where a reference to it says: of that kind and name, in the namespace of its dependent or in none, with
//! that UID. What is elsewhere is no owner, and a reference to it is as good as one to nothing.

use super::{Propagation, Task, change, delete, drop_finalizer};
use crate::{
    cluster::{Cluster, State},
    meta,
    store::{FOREGROUND, Key, ORPHAN, Object, Owner},
    verbs::Part,
};

const CONTROLLER: (&str, Part) = ("kube-controller-manager", Part::Whole);

/// What a reference leads to.
enum Found {
    There(Key),
    Absent,
    /// The kind is not known, or can't own the dependent: nothing is concluded.
    Unknown,
}

fn find(state: &State, dependent: &Key, owner: &Owner) -> Found {
    let Some(resource) = state.types.by_kind(&owner.group, &owner.version, &owner.kind) else {
        return Found::Unknown;
    };
    let namespace = dependent.namespace();
    if resource.namespaced && namespace.is_none() {
        return Found::Unknown;
    }
    let key = Key::new(&resource.kept, resource.path(namespace, &owner.name));
    match state.store.get(&key) {
        Some(found) if found.meta().uid == owner.uid => Found::There(key),
        _ => Found::Absent,
    }
}

/// Those that have this object as an owner, each with whether it blocks it.
fn dependents(state: &State, key: &Key, object: &Object) -> Vec<(Key, bool)> {
    let uid = &object.meta().uid;
    let refers = |dependent: &Key| {
        let owners = &state.store.get(dependent)?.meta().owners;
        let mut references = owners.iter().filter(|owner| owner.uid == *uid);
        let is_it =
            |owner: &&Owner| matches!(find(state, dependent, owner), Found::There(there) if there == *key);
        let blocks = references.clone().any(|owner| owner.blocks);
        references.any(|owner| is_it(&owner)).then_some(blocks)
    };
    state.store.dependents(uid).filter_map(|key| Some((key.clone(), refers(key)?))).collect()
}

pub(super) fn written(state: &mut State, key: &Key, before: Option<&Object>, object: &Object) {
    let was = |is: fn(&crate::store::Meta) -> bool| before.is_some_and(|before| is(before.meta()));
    let meta = object.meta();
    if meta.deletes_dependents() && !was(crate::store::Meta::deletes_dependents) {
        for (dependent, _) in dependents(state, key, object) {
            state.queue.add(Task::Item(dependent));
        }
        state.queue.add(Task::Owner(key.clone()));
    }
    if meta.orphans_dependents() && !was(crate::store::Meta::orphans_dependents) {
        state.queue.add(Task::Orphan(key.clone()));
    }
    let owners_before = before.map_or(&[][..], |before| &before.meta().owners);
    if *owners_before != *meta.owners {
        let released = owners_before.iter().filter(|owner| !meta.owners.contains(owner));
        ask_owners(state, key, released);
        state.queue.add(Task::Item(key.clone()));
    }
}

pub(super) fn gone(state: &mut State, key: &Key, object: &Object) {
    let dependents: Vec<Key> = state.store.dependents(&object.meta().uid).cloned().collect();
    for dependent in dependents {
        state.queue.add(Task::Item(dependent));
    }
    ask_owners(state, key, object.meta().owners.iter());
}

/// Owners that wait for their dependents may have waited for this one.
fn ask_owners<'a>(state: &mut State, dependent: &Key, owners: impl Iterator<Item = &'a Owner>) {
    for owner in owners {
        if let Found::There(key) = find(state, dependent, owner)
            && state.store.get(&key).is_some_and(|owner| owner.meta().deletes_dependents())
        {
            state.queue.add(Task::Owner(key));
        }
    }
}

/// Collects an object without an owner that stays, or takes away its references to those that don't.
pub(super) fn item(cluster: &Cluster, state: &mut State, key: &Key) {
    let Some(object) = state.store.get(key).cloned() else { return };
    let meta = object.meta();
    if meta.deleting {
        if meta.deletes_dependents() {
            owner(cluster, state, key);
        }
        return;
    }
    let (mut stays, mut waits, mut ends) = (false, false, Vec::new());
    for owner in &meta.owners {
        match find(state, key, owner) {
            Found::Unknown => return,
            Found::Absent => ends.push(owner.uid.clone()),
            Found::There(there) => {
                if state.store.get(&there).is_some_and(|owner| owner.meta().deletes_dependents()) {
                    waits = true;
                    ends.push(owner.uid.clone());
                } else {
                    stays = true;
                }
            }
        }
    }
    if ends.is_empty() {
        return;
    }
    if stays {
        return disown(cluster, state, key, |uid| ends.iter().any(|end| **end == *uid));
    }
    let own = dependents(state, key, &object);
    let policy = if waits && !own.is_empty() {
        let goes = |(dependent, _): &(Key, bool)| {
            state.store.get(dependent).is_some_and(|dependent| dependent.meta().deletes_dependents())
        };
        if own.iter().any(goes) {
            // They may wait for each other, in a circle: this one blocks nobody from here on.
            change(cluster, state, key, CONTROLLER, unblock);
        }
        Propagation::Foreground
    } else if meta.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if meta.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    delete(cluster, state, key, Some(policy));
}

/// Lets an object go that waits for those of its dependents that block it, once they are gone.
pub(super) fn owner(_: &Cluster, state: &mut State, key: &Key) {
    let Some(object) = state.store.get(key).cloned().filter(|object| object.meta().deletes_dependents())
    else {
        return;
    };
    let blocking: Vec<Key> = dependents(state, key, &object)
        .into_iter()
        .filter(|(_, blocks)| *blocks)
        .map(|(key, _)| key)
        .collect();
    if blocking.is_empty() {
        return drop_finalizer(state, key, FOREGROUND);
    }
    for dependent in blocking {
        if state.store.get(&dependent).is_some_and(|dependent| !dependent.meta().deleting) {
            state.queue.add(Task::Item(dependent));
        }
    }
}

/// Makes the dependents of an object forget it.
pub(super) fn orphan(cluster: &Cluster, state: &mut State, key: &Key) {
    let Some(object) = state.store.get(key).cloned().filter(|object| object.meta().orphans_dependents())
    else {
        return;
    };
    for (dependent, _) in dependents(state, key, &object) {
        disown(cluster, state, &dependent, |uid| *uid == *object.meta().uid);
    }
    drop_finalizer(state, key, ORPHAN);
}

/// Takes away the references to some owners.
fn disown(cluster: &Cluster, state: &mut State, key: &Key, ends: impl Fn(&str) -> bool) {
    change(cluster, state, key, CONTROLLER, |object| {
        let metadata = meta::of(object);
        if let Some(serde_json::Value::Array(owners)) = metadata.get_mut("ownerReferences") {
            owners.retain(|owner| !ends(owner["uid"].as_str().unwrap_or_default()));
            if owners.is_empty() {
                metadata.remove("ownerReferences");
            }
        }
    });
}

fn unblock(object: &mut serde_json::Value) {
    if let Some(serde_json::Value::Array(owners)) = meta::of(object).get_mut("ownerReferences") {
        for owner in owners.iter_mut().filter(|owner| owner["blockOwnerDeletion"] == true) {
            owner["blockOwnerDeletion"] = false.into();
        }
    }
}
