//! What follows from a change: owners and dependents, namespaces with their accounts and their content, definitions and
//! their objects.
//!
//! A real cluster has controllers for this, which come to it in time. Here it is a queue that is worked off before the
//! request that caused it is answered, a bounded number of steps under one hold of the lock: with the same requests in
//! the same order the same states follow in the same order, and others are not kept waiting by a large deletion.

mod accounts;
mod definitions;
mod graph;
mod namespaces;

use std::{collections::VecDeque, sync::Arc};

use serde_json::Value;

use crate::{
    cluster::{Cluster, State},
    commit::{self, Committed},
    fields,
    http::Params,
    meta,
    registry::{CRDS, crd},
    store::{Content, FOREGROUND, Key, ORPHAN, Object, Range},
    verbs::{Call, Part},
};

pub(crate) use definitions::is_going;
pub(crate) use namespaces::{NAMESPACES, holds_itself, is_protected};

/// How many steps are taken under one hold of the lock.
const STEPS: usize = 128;

/// What happens to the dependents of an object that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go after it.
    Background,
    /// They go too, and those that block it go before it.
    Foreground,
    /// They stay and forget it.
    Orphan,
}

/// What became of an object that was to be deleted.
pub(crate) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Arc<Object>),
    /// It waits for its finalizers.
    Waiting(Arc<Object>),
}

/// What is left to be done.
#[derive(Debug, Default)]
pub(crate) struct Queue(VecDeque<Task>);

impl Queue {
    fn add(&mut self, task: Task) {
        self.0.push_back(task);
    }
}

#[derive(Debug)]
enum Task {
    /// Owners of this object may be gone, or wait for it to go.
    Item(Key),
    /// Something that this object waits for may be gone.
    Owner(Key),
    /// The dependents of this object are to forget it.
    Orphan(Key),
    /// Something in this namespace is gone, or the namespace has changed.
    Namespace(Box<str>),
    /// This namespace may have no account.
    Account(Box<str>),
    /// An object of this definition is gone, or the definition has changed.
    Definition(Box<str>),
    /// Objects are to be deleted.
    Sweep(Sweep),
}

/// The deletion of all objects under a prefix.
#[derive(Debug)]
struct Sweep {
    /// The resources that are left.
    resources: Vec<Arc<str>>,
    prefix: Box<str>,
    /// How far the last of them is done.
    after: Box<str>,
    /// What is asked at the end.
    then: Box<Task>,
}

/// Notes what follows from a new or changed object.
pub(crate) fn written(state: &mut State, key: &Key, before: Option<&Object>, object: &Object) {
    graph::written(state, key, before, object);
    let starts_to_go = object.meta().deleting && before.is_some_and(|before| !before.meta().deleting);
    match &*key.resource {
        NAMESPACES if starts_to_go => {
            let sweep = namespaces::sweep(state, key);
            state.queue.add(sweep);
        }
        NAMESPACES if before.is_none() => state.queue.add(Task::Account(key.path.clone())),
        NAMESPACES if object.meta().deleting => state.queue.add(Task::Namespace(key.path.clone())),
        CRDS if starts_to_go => state.queue.add(definitions::sweep(key)),
        CRDS => state.queue.add(Task::Definition(key.path.clone())),
        _ => {}
    }
}

/// Notes what follows from the end of an object.
pub(crate) fn gone(state: &mut State, key: &Key, object: &Object) {
    graph::gone(state, key, object);
    if let Some(namespace) = key.namespace()
        && !state.store.holds_something(namespace)
    {
        state.queue.add(Task::Namespace(namespace.into()));
    }
    if let Some(namespace) = key.namespace()
        && accounts::is_it(key)
    {
        state.queue.add(Task::Account(namespace.into()));
    }
    if *key.resource == *CRDS {
        definitions::gone(state, key);
    } else if definitions::is_going(state, &key.resource) {
        state.queue.add(Task::Definition(Box::from(&*key.resource)));
    }
}

/// Takes a bounded number of steps; whether any are left.
pub(crate) fn work(cluster: &Cluster, state: &mut State) -> bool {
    for _ in 0..STEPS {
        let Some(task) = state.queue.0.pop_front() else { return false };
        match task {
            Task::Item(key) => graph::item(cluster, state, &key),
            Task::Owner(key) => graph::owner(cluster, state, &key),
            Task::Orphan(key) => graph::orphan(cluster, state, &key),
            Task::Namespace(name) => namespaces::check(cluster, state, &name),
            Task::Account(namespace) => accounts::check(cluster, state, &namespace),
            Task::Definition(id) => definitions::check(cluster, state, &id),
            Task::Sweep(sweep) => continue_sweep(cluster, state, sweep),
        }
    }
    !state.queue.0.is_empty()
}

fn continue_sweep(cluster: &Cluster, state: &mut State, mut sweep: Sweep) {
    let Some(resource) = sweep.resources.last() else {
        return state.queue.add(*sweep.then);
    };
    let range = Range { resource, prefix: &sweep.prefix, after: &sweep.after };
    let keys: Vec<Key> = state.store.list(range).take(STEPS).map(|(key, _)| key.clone()).collect();
    for key in &keys {
        delete(cluster, state, key, Some(Propagation::Background));
    }
    match keys.last().filter(|_| keys.len() == STEPS) {
        Some(last) => sweep.after.clone_from(&last.path),
        None => {
            sweep.resources.pop();
            sweep.after = Box::default();
        }
    }
    state.queue.add(Task::Sweep(sweep));
}

/// Deletes an object, or marks it as one that is to go once its finalizers are. Without a policy, what its finalizers
/// say and what is usual for its kind is done.
pub(crate) fn delete(
    cluster: &Cluster,
    state: &mut State,
    key: &Key,
    policy: Option<Propagation>,
) -> Option<Deleted> {
    let current = Arc::clone(state.store.get(key)?);
    let mut object = current.parse();
    let before = object.clone();
    let usual = state.types.by_id(&key.resource).is_some_and(|resource| resource.habits.orphans);
    set_finalizers(&mut object, policy.or_else(|| usual_policy(&before, usual)));
    if *key.resource == *CRDS {
        meta::add_finalizer(&mut object, definitions::CLEANUP);
    }
    let is_namespace = *key.resource == *NAMESPACES;
    if meta::finalizers(&object).is_empty() && !is_namespace {
        return commit::remove(state, key).map(Deleted::Gone);
    }
    if !meta::is_terminating(&object) {
        mark(&mut object, cluster.now());
        if is_namespace || *key.resource == *CRDS {
            meta::copy(&before, &mut object, "deletionGracePeriodSeconds");
            meta::copy(&before, &mut object, "generation");
        }
        if *key.resource == *CRDS {
            crd::terminate(&mut object, cluster.clock.now());
        }
        if is_namespace {
            object["status"]["phase"] = "Terminating".into();
        }
    }
    if object == before {
        return Some(Deleted::Waiting(current));
    }
    Some(match commit::put(state, key, Content::new(object)) {
        Committed::Kept(object) => Deleted::Waiting(object),
        Committed::Gone => Deleted::Gone(current),
    })
}

/// What is done with the dependents if nobody says it: what a finalizer of the object says, or what is usual.
fn usual_policy(object: &Value, orphans: bool) -> Option<Propagation> {
    let finalizers = meta::finalizers(object);
    if finalizers.contains(&ORPHAN) {
        Some(Propagation::Orphan)
    } else if finalizers.contains(&FOREGROUND) {
        Some(Propagation::Foreground)
    } else {
        orphans.then_some(Propagation::Orphan)
    }
}

fn set_finalizers(object: &mut Value, policy: Option<Propagation>) {
    let wanted = match policy {
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Orphan) => Some(ORPHAN),
        Some(Propagation::Background) | None => None,
    };
    for finalizer in [FOREGROUND, ORPHAN].into_iter().filter(|one| Some(*one) != wanted) {
        meta::remove_finalizer(object, finalizer);
    }
    if let Some(finalizer) = wanted {
        meta::add_finalizer(object, finalizer);
    }
}

/// Marks an object as one that is to go.
fn mark(object: &mut Value, now: Value) {
    let metadata = meta::of(object);
    metadata.insert("deletionTimestamp".to_owned(), now);
    metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64) {
        metadata.insert("generation".to_owned(), (generation + 1).into());
    }
}

/// Takes a finalizer away, and the object with the last one.
fn drop_finalizer(state: &mut State, key: &Key, finalizer: &str) {
    let Some(object) = state.store.get(key) else { return };
    let mut object = object.parse();
    meta::remove_finalizer(&mut object, finalizer);
    commit::put(state, key, Content::new(object));
}

/// Changes an object in the name of a controller.
fn change(
    cluster: &Cluster,
    state: &mut State,
    key: &Key,
    (manager, part): (&str, Part),
    change: impl FnOnce(&mut Value),
) {
    let (Some(current), Some(resource)) = (state.store.get(key), state.types.by_id(&key.resource)) else {
        return;
    };
    let call = Call {
        resource,
        version: 0,
        namespace: key.namespace().map(str::to_owned),
        name: None,
        part,
        params: Params::default(),
        manager: manager.to_owned(),
    };
    let old = call.parse(current);
    let mut object = old.clone();
    change(&mut object);
    if object == old {
        return;
    }
    fields::written(&call, Some(&old), &mut object, &cluster.now());
    commit::put(state, key, Content::new(object));
}
