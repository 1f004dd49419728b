//! Watching: the events of a list, as they happen.
//!
//! A watch is a cursor into the window of events, not a queue: it costs nothing while nothing happens, and nothing
//! is kept for a client that does not read. One that falls behind the window gets `410 Expired` and its end.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::{sync::watch::Receiver, time::Instant};

use crate::{
    cluster::{Cluster, State},
    error::{ApiError, FieldError, Result, Why},
    http::As,
    select::Selection,
    store::{Event, Object},
    verbs::Call,
};

/// How many events are written under one hold of the lock.
const BATCH: usize = 64;
/// How often a client that wants bookmarks gets one.
const BOOKMARKS: Duration = Duration::from_secs(60);
/// How long a watch lasts whose client does not say.
const LIFETIME: Duration = Duration::from_secs(3600);
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What is left to do for one watcher.
struct Watcher {
    cluster: Arc<Cluster>,
    call: Call,
    selection: Selection,
    form: As,
    changes: Receiver<u64>,
    /// The newest revision that the client has been told of.
    cursor: u64,
    /// The objects that are there at the start and not told of yet.
    first: VecDeque<Arc<Object>>,
    /// What is told after those.
    then: Option<Bytes>,
    next_bookmark: Instant,
    end: Instant,
    cut: bool,
}

/// Starts a watch.
pub(crate) fn watch(
    cluster: &Arc<Cluster>,
    call: &Call,
    form: As,
) -> Result<impl Stream<Item = Bytes> + use<>> {
    let params = &call.params;
    let selection = Selection::parse(&call.resource.id, &params.label_selector, &params.field_selector)?;
    check_initial_events(call)?;
    let now = Instant::now();
    let mut watcher = Watcher {
        cluster: Arc::clone(cluster),
        selection,
        form,
        changes: cluster.changes(),
        cursor: 0,
        first: VecDeque::new(),
        then: None,
        next_bookmark: now + BOOKMARKS,
        end: now + params.timeout.map_or(LIFETIME, |seconds| Duration::from_secs(seconds).min(LIFETIME)),
        cut: false,
        call: call.clone(),
    };
    cluster.read(|state| watcher.start(state));
    Ok(stream::unfold(
        watcher,
        |mut watcher| async move { watcher.next().await.map(|bytes| (bytes, watcher)) },
    ))
}

fn check_initial_events(call: &Call) -> Result<()> {
    let params = &call.params;
    let refuse = |field: &str, why, value: &str, detail: &str| {
        let error = FieldError::new(why, field, &value.into(), detail);
        Err(ApiError::bad_options("ListOptions", &error))
    };
    match (params.initial_events, &*params.resource_version_match) {
        (Some(_), "NotOlderThan") | (None, "") => Ok(()),
        (Some(_), "") => refuse(
            "resourceVersionMatch",
            Why::Forbidden,
            "",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (Some(_), other) => {
            refuse("resourceVersionMatch", Why::NotSupported, other, "supported values: \"NotOlderThan\"")
        }
        (None, other) => refuse(
            "resourceVersionMatch",
            Why::Forbidden,
            other,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    }
}

impl Watcher {
    fn start(&mut self, state: &State) {
        let params = &self.call.params;
        let current = state.store.revision();
        let asked = params.resource_version.unwrap_or_default();
        let initial = params.initial_events.unwrap_or(asked == 0);
        if !initial {
            // Nothing but what comes: from now on, if the client does not say from when.
            self.cursor = if asked == 0 { current } else { asked };
            return;
        }
        if asked > current {
            let error = ApiError::too_new(asked, current);
            self.then = Some(line("ERROR", error.status().to_string().as_bytes()));
            self.cut = true;
            return;
        }
        self.cursor = current;
        let selected =
            |object: &Object| self.selection.is_everything() || self.selection.matches(&object.parse());
        let prefix = self.call.prefix();
        let objects = state.store.list(&self.call.resource.id, &prefix).map(|(_, object)| object);
        self.first = objects.filter(|object| selected(object)).cloned().collect();
        if params.initial_events == Some(true) && params.bookmarks {
            self.then = Some(self.bookmark(true));
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(object) = self.first.pop_front() {
                return Some(self.event("ADDED", &object));
            }
            if let Some(bytes) = self.then.take() {
                return Some(bytes);
            }
            if self.cut {
                return None;
            }
            self.changes.mark_unchanged();
            let events = self.events();
            if !events.is_empty() {
                return Some(events.into());
            }
            let bookmark = if self.call.params.bookmarks { self.next_bookmark } else { self.end };
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.end) => return None,
                () = tokio::time::sleep_until(bookmark), if bookmark < self.end => {
                    self.next_bookmark += BOOKMARKS;
                    return Some(self.bookmark(false));
                }
            }
        }
    }

    /// The next events, as lines.
    fn events(&mut self) -> Vec<u8> {
        let cluster = Arc::clone(&self.cluster);
        cluster.read(|state| {
            let mut lines = Vec::new();
            let events = match state.store.after(self.cursor) {
                Ok(events) => events,
                Err(gone) => {
                    self.cut = true;
                    let message = format!("too old resource version: {} ({})", self.cursor, gone.oldest);
                    lines.extend_from_slice(&line(
                        "ERROR",
                        ApiError::expired(message).status().to_string().as_bytes(),
                    ));
                    return lines;
                }
            };
            let mut written = 0;
            for event in events {
                self.cursor = event.revision;
                if *event.key.resource != *self.call.resource.id
                    || !event.key.path.starts_with(&self.call.prefix())
                {
                    continue;
                }
                if let Some(bytes) = self.told(event) {
                    lines.extend_from_slice(&bytes);
                    written += 1;
                }
                if written == BATCH {
                    self.changes.mark_changed();
                    break;
                }
            }
            lines
        })
    }

    /// What an event is to this client, who may see only some objects: one that comes into sight is added, one that
    /// leaves it is deleted.
    fn told(&self, event: &Event) -> Option<Bytes> {
        let sees =
            |object: &Object| self.selection.is_everything() || self.selection.matches(&object.parse());
        let before = event.before.as_ref().filter(|object| sees(object));
        let after = (!event.removed && sees(&event.object)).then_some(&event.object);
        match (before, after) {
            (None, None) => None,
            (None, Some(object)) => Some(self.event("ADDED", object)),
            (Some(_), Some(object)) => Some(self.event("MODIFIED", object)),
            (Some(before), None) => Some(self.event("DELETED", &before.at(event.revision))),
        }
    }

    fn event(&self, kind: &str, object: &Object) -> Bytes {
        line(kind, &self.form.object(&self.call, &self.call.render(object)))
    }

    fn bookmark(&self, initial: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if initial {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        let object: Value = json!({
            "kind": &*self.call.resource.kind,
            "apiVersion": self.call.api_version(),
            "metadata": metadata,
        });
        line("BOOKMARK", &self.form.object(&self.call, &object.to_string().into()))
    }
}

/// One event as clients read it: a JSON object and the end of the line.
fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}
