//! The end of a namespace: first its content goes, then what the server itself holds it by, then the namespace.

use std::sync::Arc;

use serde_json::json;

use super::{Sweep, Task};
use crate::{
    cluster::{Cluster, State},
    commit,
    store::{Content, Key},
};

/// The type of namespaces.
pub(crate) const NAMESPACES: &str = "namespaces";

/// Whether a namespace can't be deleted.
pub(crate) fn is_protected(name: &str) -> bool {
    matches!(name, "default" | "kube-system" | "kube-public")
}

/// Whether an object is held by more than the finalizers of its metadata: a namespace is, as long as it has content.
pub(crate) fn holds_itself(key: &Key, content: &Content) -> bool {
    *key.resource == *NAMESPACES && content.spec()["finalizers"].as_array().is_some_and(|all| !all.is_empty())
}

/// The deletion of a namespace's content.
pub(super) fn sweep(state: &State, namespace: &Key) -> Task {
    let resources = state.types.all().filter(|resource| resource.namespaced);
    let mut resources: Vec<_> = resources.map(|resource| Arc::clone(&resource.id)).collect();
    resources.reverse();
    Task::Sweep(Sweep {
        resources,
        prefix: format!("{}/", namespace.path).into(),
        after: Box::default(),
        then: Box::new(Task::Namespace(namespace.path.clone())),
    })
}

/// Lets a namespace go that is to go and is empty.
pub(super) fn check(_: &Cluster, state: &mut State, name: &str) {
    let key = Key::new(&Arc::from(NAMESPACES), name);
    let Some(object) = state.store.get(&key) else { return };
    if !object.meta().deleting || state.store.holds_something(name) {
        return;
    }
    let mut namespace = object.parse();
    if namespace["spec"].get("finalizers").is_none() {
        return;
    }
    namespace["spec"] = json!({});
    commit::put(state, &key, Content::new(namespace));
}
