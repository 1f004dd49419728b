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

use super::earlier::Earlier;
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
    earlier: &'a Earlier,
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
        earlier: &'a Earlier,
        report: &'a Report,
        listed: &'a Listed<'a>,
        folder: &Path,
    ) -> Result<Self, DiskError> {
        let stored = Stored::new(spool, folder)?;
        let making = Budget::new(load::COMPARED);
        Ok(Self { caller, stored, earlier, report, listed, known: Mutex::default(), making })
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
                Err(refusal) if refusal.is_there_already() => match self.there(target).await {
                    Ok(Some(There { created })) => {
                        // It has no label that tells which Restore made it, as by Velero.
                        if self.earlier.may_have_made(&refusal, created.as_deref()) {
                            self.listed.add("v1", "Namespace", None, target, Action::Created);
                        }
                        return Ok(());
                    }
                    Ok(None) => format!("namespace {target} is being deleted for more than {GOING:?}"),
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

    /// The namespace, unless it is there only until it is gone.
    async fn there(&self, name: &str) -> Result<Option<There>, CallError> {
        let Some(found) = self.caller.get(&format!("{PATH}/{name}")).await? else { return Ok(None) };
        let found: Value =
            serde_json::from_slice(&found).map_err(|error| CallError::Unusable(error.to_string()))?;
        let text = |at: &str| found.pointer(at).and_then(Value::as_str);
        let is_going =
            text("/metadata/deletionTimestamp").is_some() || text("/status/phase") == Some("Terminating");
        Ok((!is_going).then(|| There { created: text("/metadata/creationTimestamp").map(str::to_owned) }))
    }
}

/// A namespace that stays.
struct There {
    /// When it was created.
    created: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::restore::testing::{report, restore, spool};
    use crate::testing::{ok, server, status};

    /// How many objects a run has dealt with where the namespace is there already, created at this time.
    async fn counted(resumed: bool, created: &str) -> u64 {
        let there = json!({"metadata": {"creationTimestamp": created}, "status": {"phase": "Active"}});
        let (caller, _) = server(move |_, path| match path {
            PATH => status(409, "AlreadyExists", "namespaces \"shop\" already exists"),
            _ => ok(there.to_string()),
        });
        let mut restore = restore(json!({}));
        restore.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:00:05Z")).unwrap();
        let (report, folder) = (report(), std::env::temp_dir());
        let listed = Listed::new(&folder, &report).unwrap();
        let earlier = Earlier::of(&restore, resumed);
        let spool = spool(&[("namespaces", None, "shop")]);
        let namespaces = Namespaces::new(&caller, &spool, &earlier, &report, &listed, &folder).unwrap();
        assert!(namespaces.ready("shop", "shop").await);
        drop(namespaces);
        listed.finish(&folder).unwrap().0
    }

    #[tokio::test]
    async fn a_run_that_is_taken_up_counts_the_namespaces_that_it_made_before() {
        let (older, younger) = ("2026-01-01T00:00:04Z", "2026-01-01T00:00:06Z");
        for (resumed, created, expected) in
            [(true, younger, 1), (true, older, 0), (false, younger, 0), (false, older, 0)]
        {
            assert_eq!(counted(resumed, created).await, expected, "resumed {resumed}, created {created}");
        }
    }
}
