//! What follows from a change: owners and dependents, namespaces and their content, types and their objects.
//!
//! A real cluster has controllers for this, which come to it in time; here it is done at once, within the change, so
//! that a run can be replayed. Whoever watches sees the same states in the same order. A queue is worked off, so a
//! long chain of owners needs no deep stack.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    cluster::{Cluster, State},
    fields,
    http::Params,
    meta,
    registry::{CRDS, Resource, crd},
    store::{Key, Object},
    verbs::{Call, Part},
};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
const NAMESPACES: &str = "namespaces";
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// What happens to the dependents of an object that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go after it.
    Background,
    /// Those that block go before it.
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

enum Task {
    /// An object is gone.
    Gone {
        key: Key,
        uid: Box<str>,
        owners: Box<[Box<str>]>,
    },
    Delete(Key, Propagation),
    /// Owners of this object may be gone.
    Owners(Key),
    /// Something that blocked this owner may be gone.
    Unblock(Key),
    /// Something in this namespace is gone.
    Namespace(String),
    /// An object of this type is gone.
    Definition(Arc<str>),
}

struct Work<'a> {
    cluster: &'a Cluster,
    state: &'a mut State,
    tasks: VecDeque<Task>,
}

/// Does what follows from a new or changed object.
pub(crate) fn after_write(cluster: &Cluster, state: &mut State, key: &Key) {
    if *key.resource == *CRDS {
        define(cluster, state, key);
    }
    let mut work = Work { cluster, state, tasks: VecDeque::new() };
    work.tasks.push_back(Task::Owners(key.clone()));
    if *key.resource == *NAMESPACES {
        work.tasks.push_back(Task::Namespace(key.path.to_string()));
    }
    work.run();
}

/// Deletes an object, or marks it as one that is to go once its finalizers are.
pub(crate) fn delete(cluster: &Cluster, state: &mut State, key: &Key, how: Propagation) -> Option<Deleted> {
    let mut work = Work { cluster, state, tasks: VecDeque::new() };
    let deleted = work.delete(key, how);
    work.run();
    deleted
}

/// Removes an object whose last finalizer is gone.
pub(crate) fn remove(cluster: &Cluster, state: &mut State, key: &Key) {
    let mut work = Work { cluster, state, tasks: VecDeque::new() };
    work.remove(key);
    work.run();
}

/// Serves the type of a definition, and says so in its status.
fn define(cluster: &Cluster, state: &mut State, key: &Key) {
    let Some(definition) = state.store.get(key).map(|object| object.parse()) else { return };
    if meta::is_terminating(&definition) {
        return;
    }
    state.types.define(&definition);
    if definition["status"]["conditions"].is_array() {
        return;
    }
    let Some(call) = by_controller(state, key, "kube-apiserver", Part::Status) else { return };
    let mut accepted = definition.clone();
    accepted["status"] = crd::status_of(&accepted, cluster.clock.now());
    fields::written(&call, Some(&definition), &mut accepted, &cluster.now());
    state.store.put(key, accepted);
}

/// What a controller would ask about an object.
fn by_controller(state: &State, key: &Key, manager: &str, part: Part) -> Option<Call> {
    Some(Call {
        resource: state.types.by_id(&key.resource)?,
        version: 0,
        namespace: key.namespace().map(str::to_owned),
        name: None,
        part,
        params: Params::default(),
        manager: manager.to_owned(),
    })
}

impl Work<'_> {
    fn run(&mut self) {
        while let Some(task) = self.tasks.pop_front() {
            match task {
                Task::Gone { key, uid, owners } => self.gone(&key, &uid, &owners),
                Task::Delete(key, how) => drop(self.delete(&key, how)),
                Task::Owners(key) => self.check_owners(&key),
                Task::Unblock(key) => self.unblock(&key),
                Task::Namespace(name) => self.check_namespace(&name),
                Task::Definition(id) => self.check_definition(&id),
            }
        }
    }

    fn delete(&mut self, key: &Key, how: Propagation) -> Option<Deleted> {
        let mut object = self.state.store.get(key)?.parse();
        let before = object.clone();
        match how {
            Propagation::Background => {
                meta::remove_finalizer(&mut object, FOREGROUND);
                meta::remove_finalizer(&mut object, ORPHAN);
            }
            Propagation::Foreground => meta::add_finalizer(&mut object, FOREGROUND),
            Propagation::Orphan => meta::add_finalizer(&mut object, ORPHAN),
        }
        if *key.resource == *CRDS {
            meta::add_finalizer(&mut object, CLEANUP);
        }
        let is_namespace = *key.resource == *NAMESPACES;
        if meta::finalizers(&object).is_empty() && !is_namespace {
            return self.remove(key).map(Deleted::Gone);
        }
        if !meta::is_terminating(&object) {
            mark(&mut object, self.cluster.now());
            if is_namespace || *key.resource == *CRDS {
                meta::copy(&before, &mut object, "deletionGracePeriodSeconds");
                meta::copy(&before, &mut object, "generation");
            }
            if *key.resource == *CRDS {
                crd::terminate(&mut object, self.cluster.clock.now());
            }
            if is_namespace {
                object["status"]["phase"] = "Terminating".into();
            }
        }
        if object == before && how == Propagation::Foreground {
            // It waits already: whatever blocks it has been told, perhaps by itself, in a circle of owners.
            return self.state.store.get(key).cloned().map(Deleted::Waiting);
        }
        let marked = if object == before {
            Arc::clone(self.state.store.get(key)?)
        } else {
            self.state.store.put(key, object)
        };
        self.follow(key, how, &marked);
        Some(Deleted::Waiting(marked))
    }

    /// Does what a marked object waits for.
    fn follow(&mut self, key: &Key, how: Propagation, marked: &Object) {
        match how {
            Propagation::Foreground => {
                for dependent in self.blocking(&marked.uid) {
                    if self.has_another_owner(&dependent, &marked.uid) {
                        self.disown(&dependent, |uid| *uid != *marked.uid);
                    } else {
                        self.tasks.push_back(Task::Delete(dependent, Propagation::Foreground));
                    }
                }
                self.tasks.push_back(Task::Unblock(key.clone()));
            }
            Propagation::Orphan => {
                for dependent in self.state.store.dependents(&marked.uid) {
                    self.disown(&dependent, |uid| *uid != *marked.uid);
                }
                self.drop_finalizer(key, ORPHAN);
            }
            Propagation::Background => {}
        }
        if *key.resource == *NAMESPACES {
            self.empty(&format!("{}/", key.path), |resource| resource.namespaced);
            self.tasks.push_back(Task::Namespace(key.path.to_string()));
        }
        if *key.resource == *CRDS {
            self.empty("", |resource| *resource.id == *key.path);
            self.tasks.push_back(Task::Definition(Arc::from(&*key.path)));
        }
    }

    /// Deletes the objects of some types.
    fn empty(&mut self, prefix: &str, of: impl Fn(&Resource) -> bool) {
        let resources = self.state.types.all().filter(|resource| of(resource));
        let keys = resources
            .flat_map(|resource| self.state.store.list(&resource.id, prefix).map(|(key, _)| key.clone()));
        let tasks: Vec<Task> = keys.map(|key| Task::Delete(key, Propagation::Background)).collect();
        self.tasks.extend(tasks);
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<Object>> {
        let object = self.state.store.remove(key)?;
        let (uid, owners) = (object.uid.clone(), object.owners.clone());
        self.tasks.push_back(Task::Gone { key: key.clone(), uid, owners });
        Some(object)
    }

    fn gone(&mut self, key: &Key, uid: &str, owners: &[Box<str>]) {
        self.tasks.extend(self.state.store.dependents(uid).into_iter().map(Task::Owners));
        let owners = owners.iter().filter_map(|owner| self.state.store.by_uid(owner));
        let owners: Vec<Task> = owners.cloned().map(Task::Unblock).collect();
        self.tasks.extend(owners);
        if let Some(namespace) = key.namespace() {
            self.tasks.push_back(Task::Namespace(namespace.to_owned()));
        }
        if *key.resource == *CRDS {
            self.state.types.forget(&key.path);
        } else {
            self.tasks.push_back(Task::Definition(Arc::clone(&key.resource)));
        }
    }

    /// Collects an object whose owners are all gone; of one that has others the dead references are taken away.
    fn check_owners(&mut self, key: &Key) {
        let Some(object) = self.state.store.get(key) else { return };
        let is_there = |uid: &str| self.state.store.by_uid(uid).is_some();
        let alive = object.owners.iter().filter(|uid| is_there(uid)).count();
        if alive == object.owners.len() {
            return;
        }
        if alive == 0 {
            self.tasks.push_back(Task::Delete(key.clone(), Propagation::Background));
            return;
        }
        let there: Vec<Box<str>> = object.owners.iter().filter(|uid| is_there(uid)).cloned().collect();
        self.disown(key, |uid| there.iter().any(|owner| **owner == *uid));
    }

    /// Keeps only some owner references.
    fn disown(&mut self, key: &Key, keep: impl Fn(&str) -> bool) {
        let Some(object) = self.state.store.get(key) else { return };
        let old = object.parse();
        let mut object = old.clone();
        if let Some(Value::Array(owners)) = meta::of(&mut object).get_mut("ownerReferences") {
            owners.retain(|owner| keep(owner["uid"].as_str().unwrap_or_default()));
            if owners.is_empty() {
                meta::of(&mut object).remove("ownerReferences");
            }
        }
        if let Some(call) = by_controller(self.state, key, "kube-controller-manager", Part::Whole) {
            fields::written(&call, Some(&old), &mut object, &self.cluster.now());
        }
        self.state.store.put(key, object);
    }

    /// Whether an owner but this one is there that is not to take its dependents with it.
    fn has_another_owner(&self, key: &Key, uid: &str) -> bool {
        let Some(object) = self.state.store.get(key) else { return false };
        let stays = |owner: &str| {
            let found = self.state.store.by_uid(owner).and_then(|key| self.state.store.get(key));
            found.is_some_and(|owner| !goes_in_foreground(&owner.parse()))
        };
        object.owners.iter().any(|owner| **owner != *uid && stays(owner))
    }

    /// The dependents without which an owner that is deleted in the foreground may not go. One that waits for its own
    /// dependents in the same way blocks nobody: it may wait for this owner.
    fn blocking(&self, uid: &str) -> Vec<Key> {
        let blocks = |key: &Key| {
            let object = self.state.store.get(key).map(|object| object.parse()).unwrap_or_default();
            if goes_in_foreground(&object) && self.waits_for(key, uid) {
                return false;
            }
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners
                .into_iter()
                .flatten()
                .any(|owner| owner["uid"] == uid && owner["blockOwnerDeletion"] == true)
        };
        self.state.store.dependents(uid).into_iter().filter(blocks).collect()
    }

    /// Whether the object with this UID is among those that `key` owns, over any number of steps.
    fn waits_for(&self, key: &Key, uid: &str) -> bool {
        let mut seen: HashSet<Box<str>> = HashSet::new();
        let own = self.state.store.get(key).map(|object| object.uid.clone());
        let mut next: Vec<Box<str>> = own.into_iter().collect();
        while let Some(owner) = next.pop() {
            if *owner == *uid {
                return true;
            }
            if seen.insert(owner.clone()) {
                let dependents = self.state.store.dependents(&owner);
                next.extend(dependents.iter().filter_map(|key| Some(self.state.store.get(key)?.uid.clone())));
            }
        }
        false
    }

    fn unblock(&mut self, key: &Key) {
        let Some(object) = self.state.store.get(key) else { return };
        if goes_in_foreground(&object.parse()) && self.blocking(&object.uid).is_empty() {
            self.drop_finalizer(key, FOREGROUND);
        }
    }

    /// Takes a finalizer away, and the object with the last one.
    fn drop_finalizer(&mut self, key: &Key, finalizer: &str) {
        let Some(object) = self.state.store.get(key) else { return };
        let mut object = object.parse();
        meta::remove_finalizer(&mut object, finalizer);
        if meta::finalizers(&object).is_empty() && *key.resource != *NAMESPACES {
            self.remove(key);
        } else {
            self.state.store.put(key, object);
            if *key.resource == *NAMESPACES {
                self.tasks.push_back(Task::Namespace(key.path.to_string()));
            }
        }
    }

    /// A namespace that is to go goes with the last of its content and of its finalizers.
    fn check_namespace(&mut self, name: &str) {
        let key = Key::new(&Arc::from(NAMESPACES), name);
        let Some(object) = self.state.store.get(&key) else { return };
        let namespace = object.parse();
        let prefix = format!("{name}/");
        if !meta::is_terminating(&namespace) || !meta::finalizers(&namespace).is_empty() {
            return;
        }
        let State { store, types } = &*self.state;
        let has_some = |resource: &Arc<Resource>| store.list(&resource.id, &prefix).next().is_some();
        if !types.all().any(|resource| resource.namespaced && has_some(resource)) {
            self.remove(&key);
        }
    }

    /// A definition that is to go goes with the last of its objects.
    fn check_definition(&mut self, id: &Arc<str>) {
        let key = Key::new(&Arc::from(CRDS), &**id);
        let Some(object) = self.state.store.get(&key) else { return };
        let definition = object.parse();
        let is_empty = self.state.store.list(id, "").next().is_none();
        if meta::is_terminating(&definition) && is_empty && meta::finalizers(&definition).contains(&CLEANUP) {
            self.drop_finalizer(&key, CLEANUP);
        }
    }
}

/// Whether an object is deleted after those of its dependents that block it.
fn goes_in_foreground(object: &Value) -> bool {
    meta::is_terminating(object) && meta::finalizers(object).contains(&FOREGROUND)
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
