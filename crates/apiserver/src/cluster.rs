//! One cluster: its objects and types under one lock, and the clock and numbers that it was handed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    meta,
    registry::{Resource, Types},
    source::{Clock, Numbers, uid},
    store::{Key, Object, Store},
};

/// Namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

pub(crate) struct Cluster {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) numbers: Arc<dyn Numbers>,
    state: Mutex<State>,
    /// The newest revision, for those who watch.
    changed: watch::Sender<u64>,
}

/// What the lock guards. Nothing waits while it is held.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) types: Types,
}

impl State {
    pub(crate) fn object(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<&Arc<Object>> {
        self.store.get(&Key::new(&resource.id, resource.path(namespace, name)))
    }
}

impl Cluster {
    pub(crate) fn new(clock: Arc<dyn Clock>, numbers: Arc<dyn Numbers>) -> Self {
        let cluster = Self { clock, numbers, state: Mutex::default(), changed: watch::Sender::new(0) };
        cluster.write(|state| {
            let resource = Arc::<str>::from("namespaces");
            for name in NAMESPACES {
                let namespace = json!({
                    "metadata": {
                        "name": name,
                        "uid": uid(&*cluster.numbers),
                        "creationTimestamp": meta::time(cluster.clock.now()),
                        "labels": {"kubernetes.io/metadata.name": name},
                    },
                    "spec": {"finalizers": ["kubernetes"]},
                    "status": {"phase": "Active"},
                });
                state.store.put(&Key::new(&resource, name), namespace);
            }
        });
        cluster
    }

    /// Looks, while nothing changes.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes as one step, and tells those who watch.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let revision = state.store.revision();
        self.changed.send_if_modified(|seen| std::mem::replace(seen, revision) != revision);
        result
    }

    /// Tells of every change from here on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current time, as objects have it.
    pub(crate) fn now(&self) -> Value {
        meta::time(self.clock.now()).into()
    }
}
