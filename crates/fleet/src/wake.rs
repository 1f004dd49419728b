//! Wakes: "look at this object again". They carry no data, are never dropped, and an object has at
//! most one pending.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt, stream};
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

/// Objects of one kind that somebody wants reconciled.
pub(crate) struct WakeSet<K: Resource<DynamicType = ()>> {
    pending: Mutex<HashSet<ObjectRef<K>>>,
    added: Notify,
}

impl<K: Resource<DynamicType = ()> + 'static> WakeSet<K> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { pending: Mutex::new(HashSet::new()), added: Notify::new() })
    }

    /// Idempotent until the worker has taken the wake.
    pub(crate) fn wake(&self, object: ObjectRef<K>) {
        if self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(object) {
            self.added.notify_one();
        }
    }

    fn take(&self) -> HashSet<ObjectRef<K>> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All wakes, in batches as they come; never ends.
    pub(crate) fn stream(self: Arc<Self>) -> impl Stream<Item = Result<ObjectRef<K>, Infallible>> + Send {
        stream::unfold(self, |wakes| async move {
            loop {
                let batch = wakes.take();
                if !batch.is_empty() {
                    return Some((stream::iter(batch), wakes));
                }
                wakes.added.notified().await;
            }
        })
        .flatten()
        .map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[tokio::test]
    async fn a_wake_before_the_worker_listens_is_not_lost_and_comes_once() {
        let wakes = WakeSet::<ConfigMap>::new();
        let (a, b) = (ObjectRef::new("a").within("x"), ObjectRef::new("b").within("x"));
        for object in [&a, &a, &b, &a] {
            wakes.wake(object.clone());
        }
        let taken: HashSet<_> =
            Arc::clone(&wakes).stream().take(2).filter_map(|w| async { w.ok() }).collect().await;
        assert_eq!(taken, HashSet::from([a, b]));
        assert!(wakes.take().is_empty());
    }
}
