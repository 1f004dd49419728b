//! The namespaces that objects are restored to: made when the first of their objects comes.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kurator_archive::metadata::resource_list::Action;
use kurator_archive::{DiskError, Seen, Shelf, Slip, Spool};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::listed::Listed;
use super::load;
use crate::budget::Budget;
use crate::call::{CallError, Caller};
use crate::report::{About, Report};
use crate::restore::namespace;

/// Longest time that a namespace which is going is waited for, as Velero 1.18's `--terminating-resource-timeout`.
const GOING: Duration = Duration::from_secs(600);
/// First and longest pause between two looks at a namespace that is going.
const LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
const PATH: &str = "/api/v1/namespaces";

/// Whether a namespace is there; asked once.
type Ready = Arc<OnceCell<bool>>;

/// The namespaces of one restore.
pub(super) struct Namespaces<'a> {
    caller: &'a Caller,
    stored: Stored,
    report: &'a Report,
    listed: &'a Listed<'a>,
    known: Mutex<Known>,
    /// For those that are being created.
    making: Budget,
}

/// The namespaces in the backup, on the disk.
struct Stored {
    objects: Shelf,
    keys: RandomState,
    /// By hash of the name, with what each takes in memory.
    slips: HashMap<u64, (Slip, usize)>,
}

/// The targets.
#[derive(Default)]
struct Known {
    there: Seen<str>,
    /// Those that cannot be made.
    missing: Seen<str>,
    /// Those that are being asked for.
    asked: HashMap<String, Ready>,
}

impl Stored {
    /// What cannot be read is told when its own turn comes.
    fn new(spool: &Spool, folder: &Path) -> Result<Self, DiskError> {
        let mut stored =
            Self { objects: Shelf::new(folder), keys: RandomState::new(), slips: HashMap::new() };
        let of = "namespaces".parse().ok();
        for item in of.iter().flat_map(|of| spool.items(of)).flatten() {
            if let Ok(load) = load::of(&item) {
                let slip = stored.objects.put(&item.json)?;
                stored.slips.insert(stored.keys.hash_one(&*item.name), (slip, load));
            }
        }
        Ok(stored)
    }

    fn get(&self, name: &str) -> Result<Option<Value>, DiskError> {
        let Some((slip, _)) = self.slips.get(&self.keys.hash_one(name)) else { return Ok(None) };
        Ok(serde_json::from_slice(&self.objects.get(*slip)?).ok())
    }

    /// What one takes in memory until it is created, in bytes.
    fn load(&self, name: &str) -> usize {
        self.slips.get(&self.keys.hash_one(name)).map_or(0, |(_, load)| *load)
    }
}

impl<'a> Namespaces<'a> {
    /// With temporary files in `folder`.
    ///
    /// # Errors
    /// [`DiskError`]
    pub(super) fn new(
        caller: &'a Caller,
        spool: &Spool,
        report: &'a Report,
        listed: &'a Listed<'a>,
        folder: &Path,
    ) -> Result<Self, DiskError> {
        let stored = Stored::new(spool, folder)?;
        let making = Budget::new(load::COMPARED);
        Ok(Self { caller, stored, report, listed, known: Mutex::default(), making })
    }

    /// Sees to it that `target` is there for what was in `source`; whether it is. Why not is told in the report once.
    pub(super) async fn ready(&self, source: &str, target: &str) -> bool {
        let cell = {
            let mut known = self.known();
            if known.there.contains(target) {
                return true;
            }
            if known.missing.contains(target) {
                return false;
            }
            match known.asked.get(target) {
                Some(cell) => Arc::clone(cell),
                None => Arc::clone(known.asked.entry(target.to_owned()).or_default()),
            }
        };
        let made = cell.get_or_init(|| async {
            let made = self.make(source, target).await;
            if let Err(problem) = &made {
                self.report.error(About::Namespace(target), problem);
            }
            let mut known = self.known();
            if made.is_ok() { &mut known.there } else { &mut known.missing }.insert(target);
            known.asked.remove(target);
            made.is_ok()
        });
        *made.await
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(&self, source: &str, target: &str) -> Result<(), String> {
        // The objects that wait for it are counted, it is not.
        let _held = self.making.hold(self.stored.load(source)).await;
        let stored = self.stored.get(source);
        let stored = stored.map_err(|error| format!("cannot read namespace {source} back: {error}"))?;
        let body = namespace(stored.as_ref(), target);
        let body = serde_json::to_vec(&body).map(Bytes::from).map_err(|error| error.to_string())?;
        let until = Instant::now() + GOING;
        let mut pause = LOOKS.0;
        loop {
            let failed = match self.caller.create(PATH, body.clone()).await {
                Ok(_) => {
                    self.listed.add("v1", "Namespace", None, target, Action::Created);
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
