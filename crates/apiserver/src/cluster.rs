//! One cluster: its objects and types under one lock, and the clock and numbers that it was handed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    commit,
    garbage::{self, NAMESPACES, Queue},
    meta,
    registry::Types,
    source::{Clock, Numbers, uid},
    store::{Content, Key, Store},
};

/// Namespaces that every cluster has.
const FIRST: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

pub(crate) struct Cluster {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) numbers: Arc<dyn Numbers>,
    state: Mutex<State>,
    /// The newest revision, for those who watch.
    changed: watch::Sender<u64>,
}

/// What the lock guards. Nothing waits while it is held, and nothing is parsed or checked that a request brings.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) types: Types,
    /// What follows from changes and is not done yet.
    pub(crate) queue: Queue,
}

impl Cluster {
    pub(crate) fn new(clock: Arc<dyn Clock>, numbers: Arc<dyn Numbers>) -> Self {
        let cluster = Self { clock, numbers, state: Mutex::default(), changed: watch::Sender::new(0) };
        cluster.write(|state| {
            let resource = Arc::from(NAMESPACES);
            for name in FIRST {
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
                commit::put(state, &Key::new(&resource, name), Content::new(namespace));
            }
        });
        // Nobody has seen the cluster without them and what follows from them.
        cluster.write(|state| state.store.forget_past());
        cluster
    }

    /// Looks, while nothing changes.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes as one step, then does what follows from it in steps of its own, and tells those who watch.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = self.step(change);
        while self.step(|state| garbage::work(self, state)) {}
        result
    }

    fn step<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
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
