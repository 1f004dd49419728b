//! One task per watch: keeps one cache true while the member is alive.
//!
//! A broken watch is never resumed but begun anew with a complete list: until that is there, nothing is known. One that
//! its server ends in order goes on where it ended. The client library's own watcher keeps a buffer of 8 KiB for each
//! watch, and a hub has seven for each of thousands of members.

use std::{fmt::Debug, io, sync::Arc, time::Duration};

use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, WatchEvent, WatchParams},
    core::{Request, Status},
    runtime::watcher::{Error, Event},
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Change, Kind, Shared, lines,
    liveness::Backoff,
    why::{casts_doubt, explain_watch, refusal},
};
use crate::cache::{Cache, Effect, Feed};

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// Longest time that the server is to let a watch go on, in seconds, as client-go asks for. The shortest is half of it:
/// what began together is not to begin anew together for ever.
const LONGEST: u32 = 600;
/// How much later than that the end may come.
const GRACE: Duration = Duration::from_secs(5);
/// How a server answers where it serves no such type, whatever form it was asked for.
const NO_SUCH_TYPE: &[u8] = b"404 page not found";
/// Least time between the beginnings of two watches where the server ends them.
const AT_LEAST: Duration = Duration::from_secs(1);

/// One of the watches.
pub(super) struct Watch<K: Resource> {
    pub(super) kind: Kind,
    pub(super) api: Api<K>,
    /// Selector; none for all.
    pub(super) labels: Option<&'static str>,
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

            let why = explain_watch(self.kind, &shared.namespace, &error);
            tracing::debug!(%why, error = &error as &dyn std::error::Error, "watch broke");
            if feed.broken(shared.clock.now(), &why, refusal(&error)) {
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
    async fn follow(&self, feed: &Feed<K>, shared: &Shared) -> Error {
        // In a box of its own: what a list takes is given back when it is complete.
        let mut version = match Box::pin(self.list(feed, shared)).await {
            Ok(version) => version,
            Err(error) => return error,
        };
        loop {
            let began = Instant::now();
            if let Err(error) = self.watch(&mut version, feed, shared).await {
                return error;
            }
            sleep(AT_LEAST.saturating_sub(began.elapsed())).await;
        }
    }

    /// Lists everything; the version that this was.
    async fn list(&self, feed: &Feed<K>, shared: &Shared) -> Result<String, Error> {
        self.tell(feed.apply(Event::Init, shared.clock.now()), shared);
        let mut page = ListParams { label_selector: self.labels.map(str::to_owned), ..ListParams::default() }
            .limit(PAGE);
        loop {
            let list = self.api.list(&page).await.map_err(Error::InitialListFailed)?;
            for object in list.items {
                self.tell(feed.apply(Event::InitApply(object), shared.clock.now()), shared);
            }
            let some = |text: Option<String>| text.filter(|text| !text.is_empty());
            if let Some(next) = some(list.metadata.continue_) {
                page.continue_token = Some(next);
                continue;
            }
            let version = some(list.metadata.resource_version).ok_or(Error::NoResourceVersion)?;
            self.tell(feed.apply(Event::InitDone, shared.clock.now()), shared);
            return Ok(version);
        }
    }

    /// Follows what changes after `version`, and moves that along, until the server ends the watch.
    async fn watch(&self, version: &mut String, feed: &Feed<K>, shared: &Shared) -> Result<(), Error> {
        let limit = fastrand::u32(LONGEST / 2..=LONGEST);
        let params = WatchParams { label_selector: self.labels.map(str::to_owned), ..WatchParams::default() }
            .timeout(limit);
        let request = Request::new(self.api.resource_url()).watch(&params, version);
        let request = request.map_err(|error| Error::WatchStartFailed(kube::Error::BuildRequest(error)))?;
        let client = self.api.clone().into_client();
        // In a box of its own, likewise.
        let body = Box::pin(client.request_stream(request)).await;
        let mut body = body.map_err(Error::WatchStartFailed)?;
        let quiet = Duration::from_secs(limit.into()) + GRACE;
        loop {
            // A server that ends nothing has gone without a word, or forgotten this watch.
            let Ok(line) = timeout(quiet, lines::next(&mut body)).await else { return Ok(()) };
            let broken = |error: io::Error| Error::WatchFailed(kube::Error::ReadEvents(error));
            let Some(line) = line.map_err(broken)? else { return Ok(()) };
            let event = match event::<K>(&line)? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    *version = object.resource_version().unwrap_or_default();
                    Event::Apply(object)
                }
                WatchEvent::Deleted(object) => {
                    *version = object.resource_version().unwrap_or_default();
                    Event::Delete(object)
                }
                WatchEvent::Bookmark(bookmark) => {
                    *version = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(status) => return Err(Error::WatchError(status)),
            };
            if version.is_empty() {
                return Err(Error::NoResourceVersion);
            }
            self.tell(feed.apply(event, shared.clock.now()), shared);
        }
    }

    fn tell(&self, effect: Effect<K>, shared: &Shared) {
        match effect {
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

fn event<K: DeserializeOwned>(line: &[u8]) -> Result<WatchEvent<K>, Error> {
    serde_json::from_slice(line).map_err(|error| {
        if line == NO_SUCH_TYPE {
            let gone = Status { code: 404, ..Status::default() };
            return Error::WatchError(Box::new(gone));
        }
        // What is on the way to a server says in its own form that it is not there.
        match serde_json::from_slice(line) {
            Ok(status) => Error::WatchError(status),
            Err(_) => Error::WatchFailed(kube::Error::SerdeError(error)),
        }
    })
}
