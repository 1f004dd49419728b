//! CustomResourceDefinitions: their names are accepted, their types served, and their objects go before they go.

use std::sync::Arc;

use super::{Sweep, Task, change, drop_finalizer};
use crate::{
    cluster::{Cluster, State},
    registry::{CRDS, crd},
    store::{Key, Range},
    verbs::Part,
};

/// The finalizer by which a definition waits for its objects.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

fn key_of(id: &str) -> Key {
    Key::new(&Arc::from(CRDS), id)
}

/// Whether the type of these objects is that of a definition which is to go.
pub(crate) fn is_going(state: &State, resource: &str) -> bool {
    resource.contains('.') && state.store.get(&key_of(resource)).is_some_and(|object| object.meta().deleting)
}

/// The deletion of a definition's objects.
pub(super) fn sweep(definition: &Key) -> Task {
    Task::Sweep(Sweep {
        resources: vec![Arc::from(&*definition.path)],
        prefix: Box::default(),
        after: Box::default(),
        then: Box::new(Task::Definition(definition.path.clone())),
    })
}

/// Forgets the type of a definition; others may have waited for its names.
pub(super) fn gone(state: &mut State, definition: &Key) {
    state.types.forget(&definition.path);
    let group = definition.path.split_once('.').map_or("", |(_, group)| group);
    let resource = Arc::from(CRDS);
    let range = Range { resource: &resource, prefix: "", after: "" };
    let same_group = |key: &&Key| key.path.split_once('.').is_some_and(|(_, other)| other == group);
    let others: Vec<_> =
        state.store.list(range).map(|(key, _)| key).filter(same_group).map(|key| key.path.clone()).collect();
    for other in others {
        state.queue.add(Task::Definition(other));
    }
}

/// Serves the type of a definition whose names are free, and lets one go that is to go and has no objects.
pub(super) fn check(cluster: &Cluster, state: &mut State, id: &str) {
    let key = key_of(id);
    let Some(object) = state.store.get(&key).cloned() else { return };
    if object.meta().deleting {
        let resource = Arc::from(id);
        let is_empty =
            state.store.list(Range { resource: &resource, prefix: "", after: "" }).next().is_none();
        if is_empty && object.meta().has_finalizer(CLEANUP) {
            drop_finalizer(state, &key, CLEANUP);
        }
        return;
    }
    let definition = object.parse();
    let mut accepted = definition.clone();
    let is_taken = |group: &str, name: &str| state.types.is_name_taken(id, group, name);
    crd::accept(&mut accepted, is_taken, cluster.clock.now());
    if crd::is_established(&accepted) {
        state.types.define(&accepted);
    }
    if accepted != definition {
        change(cluster, state, &key, ("kube-apiserver", Part::Status), |object| {
            object["status"] = accepted["status"].clone();
        });
    }
}
