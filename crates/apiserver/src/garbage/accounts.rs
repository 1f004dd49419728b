//! The account that every namespace has: made with the namespace, and again whenever it is deleted.

use std::sync::Arc;

use serde_json::json;

use super::NAMESPACES;
use crate::{
    cluster::{Cluster, State},
    commit,
    source::uid,
    store::{Content, Key},
};

const ACCOUNTS: &str = "serviceaccounts";
const NAME: &str = "default";

/// Whether an object is the account of its namespace.
pub(super) fn is_it(key: &Key) -> bool {
    *key.resource == *ACCOUNTS && key.name() == NAME
}

/// Makes the account of a namespace that stays, if it is not there.
pub(super) fn check(cluster: &Cluster, state: &mut State, namespace: &str) {
    let home = state.store.get(&Key::new(&Arc::from(NAMESPACES), namespace));
    let key = Key::new(&Arc::from(ACCOUNTS), format!("{namespace}/{NAME}"));
    if home.is_none_or(|home| home.meta().deleting) || state.store.get(&key).is_some() {
        return;
    }
    let account = json!({"metadata": {
        "name": NAME, "namespace": namespace, "uid": uid(&*cluster.numbers), "creationTimestamp": cluster.now(),
    }});
    commit::put(state, &key, Content::new(account));
}
