//! The end of a namespace: first its content goes, then what the server itself holds it by, then the namespace.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Sweep, Task, change};
use crate::{
    cluster::{Cluster, State},
    commit,
    store::{Content, Key},
    verbs::Part,
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

/// Lets a namespace go that is to go and is empty; one that others hold says that it is empty.
pub(super) fn check(cluster: &Cluster, state: &mut State, name: &str) {
    let key = Key::new(&Arc::from(NAMESPACES), name);
    let Some(object) = state.store.get(&key).cloned() else { return };
    let is_emptied = object.parse()["spec"].get("finalizers").is_none();
    if !object.meta().deleting || is_emptied || state.store.holds_something(name) {
        return;
    }
    if !object.meta().finalizers.is_empty() {
        let now = cluster.now();
        change(cluster, state, &key, ("kube-controller-manager", Part::Status), |namespace| {
            namespace["status"]["conditions"] = conditions(&now);
        });
    }
    if let Some(object) = state.store.get(&key) {
        let mut namespace = object.parse();
        namespace["spec"] = json!({});
        commit::put(state, &key, Content::new(namespace));
    }
}

/// That nothing is left to be deleted.
fn conditions(now: &Value) -> Value {
    [
        ("DeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "DeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "DeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("ContentRemaining", "ContentRemoved", "All content successfully removed"),
        ("FinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    ]
    .into_iter()
    .map(|(kind, reason, message)| {
        json!({"type": format!("Namespace{kind}"), "status": "False", "lastTransitionTime": now, "reason": reason,
               "message": message})
    })
    .collect()
}
