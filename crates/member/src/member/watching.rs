//! One task per watch: keeps one cache true while the member is alive.
//!
//! A broken watch is never resumed but begun anew with a complete list: the client library doesn't tell when a
//! resumed watch runs again, and what can't be told can't be called known.

use std::{fmt::Debug, pin::pin, sync::Arc};

use futures::StreamExt as _;
use kube::{Api, Resource, runtime::watcher};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::{
    Change, Kind, Shared,
    liveness::Backoff,
    why::{casts_doubt, explain_watch},
};
use crate::cache::{Cache, Effect, Feed};

/// One of the five.
pub(super) struct Watch<K: Resource> {
    pub(super) kind: Kind,
    pub(super) api: Api<K>,
    pub(super) config: watcher::Config,
    pub(super) cache: Arc<Cache<K>>,
    pub(super) change: fn(Arc<K>) -> Change,
}

impl<K> Watch<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Watches until it is cancelled.
    pub(super) async fn run(self, shared: Arc<Shared>) {
        let mut backoff = Backoff::default();
        loop {
            let Some(session) = shared.session().await else { return };
            let began = Instant::now();
            // From here on: what is mended while this attempt fails calls for another.
            let mut again = shared.again.subscribe();
            let feed = self.cache.feed();
            let broken = tokio::select! {
                // First, so that nothing of a session that has ended is taken for knowledge.
                biased;
                () = shared.end_of(session) => None,
                error = self.follow(&feed, &shared) => Some(error),
            };
            let Some(error) = broken else { continue };

            let why = explain_watch(self.kind.what(), &shared.namespace, &error);
            tracing::debug!(%why, error = &error as &dyn std::error::Error, "watch broke");
            if feed.broken(shared.clock.now(), &why) {
                shared.tell(Change::Resynced(self.kind));
            }
            if casts_doubt(&error) {
                shared.doubt.notify_one();
            }
            // A watch that breaks right after every list must not turn into a loop of lists.
            if began.elapsed() > Backoff::LONGEST {
                backoff.reset();
            }
            tokio::select! {
                () = sleep(backoff.next()) => {}
                // The sender is in `shared`.
                _ = again.changed() => {}
            }
        }
    }

    /// Feeds the cache up to the first error.
    async fn follow(&self, feed: &Feed<K>, shared: &Shared) -> watcher::Error {
        let mut events = pin!(watcher(self.api.clone(), self.config.clone()));
        loop {
            let event = match events.next().await {
                Some(Ok(event)) => event,
                Some(Err(error)) => return error,
                // The stream has no end; if it ever gets one, a new list is the safe answer.
                None => return watcher::Error::NoResourceVersion,
            };
            match feed.apply(event, shared.clock.now()) {
                Effect::None => {}
                Effect::One(object) => shared.tell((self.change)(object)),
                Effect::All(objects) => {
                    for object in objects {
                        shared.tell((self.change)(object));
                    }
                    shared.tell(Change::Resynced(self.kind));
                }
                Effect::Forgotten => shared.tell(Change::Resynced(self.kind)),
            }
        }
    }
}
