//! The namespaces that objects are restored to: made when the first of their objects comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kurator_archive::Spool;
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::call::{CallError, Caller};
use crate::report::{About, Report};
use crate::restore::namespace;

/// Longest time that a namespace which is going is waited for, as Velero 1.18's `--terminating-resource-timeout`.
const GOING: Duration = Duration::from_secs(600);
/// First and longest pause between two looks at a namespace that is going.
const LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
const PATH: &str = "/api/v1/namespaces";

/// Whether a namespace is there, or why not; asked once.
type Ready = Arc<OnceCell<Result<(), String>>>;

/// The namespaces of one restore.
pub(super) struct Namespaces<'a> {
    caller: &'a Caller,
    /// By name, of those in the backup.
    stored: HashMap<String, Value>,
    report: &'a Report,
    /// By target: whether it is there.
    ready: Mutex<HashMap<String, Ready>>,
    created: Mutex<Vec<String>>,
}

impl<'a> Namespaces<'a> {
    pub(super) fn new(caller: &'a Caller, spool: &Spool, report: &'a Report) -> Self {
        let mut stored = HashMap::new();
        let of = "namespaces".parse().ok();
        for item in of.iter().flat_map(|of| spool.items(of)).flatten() {
            stored.extend(serde_json::from_slice(&item.json).map(|object| (item.name, object)));
        }
        Self { caller, stored, report, ready: Mutex::default(), created: Mutex::default() }
    }

    /// Sees to it that `target` is there for what was in `source`.
    ///
    /// # Errors
    /// Why it is not; told in the report once.
    pub(super) async fn ready(&self, source: &str, target: &str) -> Result<(), String> {
        let cell = {
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            match ready.get(target) {
                Some(cell) => Arc::clone(cell),
                None => Arc::clone(ready.entry(target.to_owned()).or_default()),
            }
        };
        let made = cell.get_or_init(|| async {
            let made = self.make(source, target).await;
            if let Err(problem) = &made {
                self.report.error(About::Namespace(target), problem);
            }
            made
        });
        made.await.clone()
    }

    /// The names of those that were not there before.
    pub(super) fn created(self) -> Vec<String> {
        self.created.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(&self, source: &str, target: &str) -> Result<(), String> {
        let body = namespace(self.stored.get(source), target);
        let body = serde_json::to_vec(&body).map(Bytes::from).map_err(|error| error.to_string())?;
        let until = Instant::now() + GOING;
        let mut pause = LOOKS.0;
        loop {
            let failed = match self.caller.create(PATH, body.clone()).await {
                Ok(_) => {
                    self.created.lock().unwrap_or_else(PoisonError::into_inner).push(target.to_owned());
                    return Ok(());
                }
                Err(error) if error.is_there_already() => match self.is_going(target).await {
                    Ok(false) => return Ok(()),
                    Ok(true) => format!("namespace {target} is being deleted for more than {GOING:?}"),
                    Err(error) => return Err(format!("cannot get namespace {target}: {error}")),
                },
                Err(error) => return Err(format!("cannot create namespace {target}: {error}")),
            };
            if Instant::now() + pause > until {
                return Err(failed);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOKS.1);
        }
    }

    /// Whether it is there only until it is gone.
    async fn is_going(&self, name: &str) -> Result<bool, CallError> {
        let Some(found) = self.caller.get(&format!("{PATH}/{name}")).await? else { return Ok(true) };
        let found: Value =
            serde_json::from_slice(&found).map_err(|error| CallError::Unusable(error.to_string()))?;
        Ok(found.pointer("/metadata/deletionTimestamp").is_some()
            || found.pointer("/status/phase").and_then(Value::as_str) == Some("Terminating"))
    }
}
