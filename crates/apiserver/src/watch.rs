//! Watching: the events of a list, as they happen.
//!
//! A watch is a cursor into the log of events, not a queue: it costs nothing while nothing happens, and nothing is
//! kept for a client that does not read. What is there at the start is read in pieces too, as it was then. One that
//! falls behind the log gets `410 Expired` and its end. One whose type goes ends after the last of its objects.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::{sync::watch::Receiver, time::Instant};

use crate::{
    cluster::{Cluster, State},
    error::{ApiError, FieldError, Result, Why},
    http::As,
    select::Selection,
    store::{Event, Gone, Object, Range},
    verbs::Call,
};

/// How many objects or events are taken under one hold of the lock.
const BATCH: usize = 64;
/// How many events that a client does not see are passed over under one hold of the lock.
const PASSED: usize = 1024;
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
    prefix: String,
    stage: Stage,
    next_bookmark: Instant,
    end: Instant,
}

/// What the client is told next.
enum Stage {
    /// The objects that were there at the cursor, from this path on.
    First {
        after: Box<str>,
    },
    /// What happened after the cursor.
    Events,
    /// This, and no more.
    Last(Bytes),
    Over,
}

/// Starts a watch.
pub(crate) fn watch(
    cluster: &Arc<Cluster>,
    call: &Call,
    form: As,
) -> Result<impl Stream<Item = Bytes> + use<>> {
    let params = &call.params;
    let selection = Selection::parse(&call.resource, &params.label_selector, &params.field_selector)?;
    check_initial_events(call)?;
    let now = Instant::now();
    let changes = cluster.changes();
    let (cursor, stage) = cluster.read(|state| start(state, call));
    let watcher = Watcher {
        cluster: Arc::clone(cluster),
        selection,
        form,
        changes,
        cursor,
        prefix: call.prefix(),
        stage,
        next_bookmark: now + BOOKMARKS,
        end: now + lifetime(params.timeout),
        call: call.clone(),
    };
    Ok(stream::unfold(
        watcher,
        |mut watcher| async move { watcher.next().await.map(|bytes| (bytes, watcher)) },
    ))
}

/// A client that does not say how long it watches says 0, too.
fn lifetime(seconds: Option<u64>) -> Duration {
    seconds
        .filter(|seconds| *seconds > 0)
        .map_or(LIFETIME, |seconds| Duration::from_secs(seconds).min(LIFETIME))
}

/// Where a watch starts, and with what.
fn start(state: &State, call: &Call) -> (u64, Stage) {
    let params = &call.params;
    let current = state.store.revision();
    let asked = params.resource_version.unwrap_or_default();
    if !params.initial_events.unwrap_or(asked == 0) {
        // Nothing but what comes: from now on, if the client does not say from when.
        return (if asked == 0 { current } else { asked }, Stage::Events);
    }
    if asked > current {
        let error = ApiError::too_new(asked, current);
        return (current, Stage::Last(line("ERROR", error.status().to_string().as_bytes())));
    }
    (current, Stage::First { after: Box::default() })
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
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            let errors =
                [(Why::Forbidden, detail), (Why::NotSupported, "supported values: \"NotOlderThan\"")]
                    .map(|(why, detail)| FieldError::new(why, "resourceVersionMatch", &other.into(), detail));
            Err(ApiError::all_bad_options("ListOptions", &errors))
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
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let now = Instant::now();
            if now >= self.end {
                return None;
            }
            let bookmarks = self.call.params.bookmarks;
            let told = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::First { after } => self.first(&after),
                Stage::Events if bookmarks && now >= self.next_bookmark => {
                    self.stage = Stage::Events;
                    self.next_bookmark = now + BOOKMARKS;
                    self.bookmark(false).into()
                }
                Stage::Events => self.events(),
                Stage::Last(bytes) => return Some(bytes),
                Stage::Over => return None,
            };
            if !told.is_empty() {
                return Some(told.into());
            }
            if !matches!(self.stage, Stage::Events) || self.changes.has_changed().ok()? {
                continue;
            }
            let wake = if bookmarks { self.next_bookmark.min(self.end) } else { self.end };
            // In this order, so that a run can be replayed.
            tokio::select! {
                biased;
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// The next of the objects that were there at the start, as lines.
    fn first(&mut self, after: &str) -> Vec<u8> {
        let range = Range { resource: &self.call.resource.kept, prefix: &self.prefix, after };
        let taken = self.cluster.read(|state| {
            let all = state.store.list_at(range, self.cursor)?;
            Ok(all.take(BATCH).map(|(key, object)| (key.clone(), Arc::clone(object))).collect::<Vec<_>>())
        });
        let objects = match taken {
            Ok(objects) => objects,
            Err(gone) => return self.cut(gone),
        };
        let mut lines = Vec::new();
        for (_, object) in objects.iter().filter(|(key, object)| self.selection.matches(key, object)) {
            lines.extend_from_slice(&self.event("ADDED", object));
        }
        match objects.last().filter(|_| objects.len() == BATCH) {
            Some((key, _)) => self.stage = Stage::First { after: key.path.clone() },
            None => {
                self.stage = Stage::Events;
                if self.call.params.initial_events == Some(true) && self.call.params.bookmarks {
                    lines.extend_from_slice(&self.bookmark(true));
                }
            }
        }
        lines
    }

    /// The next events, as lines.
    fn events(&mut self) -> Vec<u8> {
        self.changes.mark_unchanged();
        self.stage = Stage::Events;
        let taken = self.cluster.read(|state| {
            let mut cursor = self.cursor;
            let mut seen: Vec<Event> = Vec::new();
            for event in state.store.after(cursor)?.take(PASSED) {
                cursor = event.revision;
                if *event.key.resource == *self.call.resource.kept && event.key.path.starts_with(&self.prefix)
                {
                    seen.push(event.clone());
                }
                if seen.len() == BATCH {
                    break;
                }
            }
            let more = cursor < state.store.revision();
            let is_served = state.types.by_id(&self.call.resource.id).is_some();
            Ok((cursor, more, is_served, seen))
        });
        let (cursor, more, is_served, events) = match taken {
            Ok(taken) => taken,
            Err(gone) => return self.cut(gone),
        };
        self.cursor = cursor;
        if more {
            self.changes.mark_changed();
        } else if !is_served {
            self.stage = Stage::Over;
        }
        events.iter().filter_map(|event| self.told(event)).flatten().collect()
    }

    /// The client has fallen behind what is remembered: it is told so, and no more.
    fn cut(&mut self, gone: Gone) -> Vec<u8> {
        self.stage = Stage::Over;
        let message = format!("too old resource version: {} ({})", self.cursor, gone.oldest);
        line("ERROR", ApiError::expired(message).status().to_string().as_bytes()).into()
    }

    /// What an event is to this client, who may see only some objects: one that comes into sight is added, one that
    /// leaves it is deleted.
    fn told(&self, event: &Event) -> Option<Bytes> {
        let sees = |object: &Object| self.selection.matches(&event.key, object);
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
        line(kind, &self.form.object(&self.call, &self.call.render(object), self.cluster.clock.now()))
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
        line("BOOKMARK", &self.form.object(&self.call, &object.to_string().into(), self.cluster.clock.now()))
    }
}

/// One event as clients read it: a JSON object and the end of the line.
fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}
