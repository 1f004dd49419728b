//! The one way into the store: whatever changes an object, a request or what follows from one, ends here.

use std::sync::Arc;

use crate::{
    cluster::State,
    garbage,
    store::{Content, Key, Object},
};

/// What became of an object.
#[derive(Debug)]
pub(crate) enum Committed {
    /// It is kept.
    Kept(Arc<Object>),
    /// It was on its way out and nothing holds it any more: it is gone.
    Gone,
}

/// Keeps a new state of an object, or lets the object go if nothing is left to wait for; what follows from it is noted.
pub(crate) fn put(state: &mut State, key: &Key, content: Content) -> Committed {
    let before = state.store.get(key).cloned();
    let is_held = !content.meta.finalizers.is_empty() || garbage::holds_itself(key, &content);
    if content.meta.deleting && !is_held && before.is_some() {
        // The state without finalizers is nobody's to see.
        remove(state, key);
        return Committed::Gone;
    }
    let object = state.store.put(key, content);
    garbage::written(state, key, before.as_deref(), &object);
    Committed::Kept(object)
}

/// Removes an object; what is returned is its last state.
pub(crate) fn remove(state: &mut State, key: &Key) -> Option<Arc<Object>> {
    let object = state.store.remove(key)?;
    garbage::gone(state, key, &object);
    Some(object)
}
