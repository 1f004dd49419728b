//! Watches the runs in a cluster, and who has it, as somebody who trusts nobody.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::history::History;
use crate::user::User;

/// The ends of a run, as Velero and the hub call them.
const ENDS: [&str; 4] = ["Completed", "PartiallyFailed", "Failed", "FailedValidation"];

/// What was seen of one kind in one cluster.
pub struct Observer {
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// How each run ended, by UID.
    ended: HashMap<String, String>,
    /// Who holds each Lease.
    holders: HashMap<String, String>,
    wrong: Vec<String>,
}

impl Observer {
    /// Begins to watch the objects like this one.
    #[must_use]
    pub fn start(user: &User, place: &str, like: &Value, history: Arc<History>) -> Self {
        let (api, seen) = (user.api(like), Arc::new(Mutex::new(Seen::default())));
        let kind = like["kind"].as_str().unwrap_or_default().to_owned();
        let (told, place) = (Arc::clone(&seen), place.to_owned());
        let watching = TaskTracker::new().spawn(async move {
            let mut events = pin!(watcher(api, Config::default()).default_backoff());
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                    let mut seen = told.lock().unwrap_or_else(PoisonError::into_inner);
                    if kind == "Lease" {
                        seen.see_lease(&object, &history);
                    } else {
                        seen.see_run(&object, &format!("{kind} {} in {place}", object.name_any()));
                    }
                }
            }
        });
        Self { seen, watching }
    }

    /// Stops, and returns what was wrong.
    #[must_use]
    pub fn end(self) -> Vec<String> {
        self.watching.abort();
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).wrong)
    }
}

impl Seen {
    /// Who takes it after somebody who has not handed it back.
    fn see_lease(&mut self, lease: &DynamicObject, history: &History) {
        let holder = lease.data["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let before = self.holders.insert(lease.name_any(), holder.to_owned()).unwrap_or_default();
        if ![before.as_str(), ""].contains(&holder) && !before.is_empty() {
            history.count("take-over");
        }
    }

    fn see_run(&mut self, object: &DynamicObject, what: &str) {
        let uid = object.uid().unwrap_or_default();
        let phase = object.data["status"]["phase"].as_str().unwrap_or_default();
        if let Some(ended) = self.ended.get(&uid) {
            if ended != phase && phase != "Deleting" {
                self.wrong.push(format!("{what} was {ended} and is {phase} after that"));
            }
        } else if ENDS.contains(&phase) {
            self.ended.insert(uid, phase.to_owned());
        }
    }
}
