//! One backup from the first list to the last file.
//!
//! The tarball is made in a temporary file, so that neither a slow store holds up the lists nor a store that
//! fails leaves half a backup. `velero-backup.json` comes last and with a terminal phase: until then nobody sees a backup.

mod gather;
mod hooked;
mod mark;
mod pack;
mod store;
mod volumes;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use kube::ResourceExt as _;
use kurator_api::names::{PROBLEMS_ANNOTATION, WITHOUT_DATA_ANNOTATION};
use kurator_api::velero::{Backup, BackupPhase, BackupProgress, BackupStatus};
use kurator_archive::layout::LayoutError;
use kurator_archive::{BackupFiles, FORMAT_VERSION};
use kurator_member::clock::Clock;
use kurator_store::{Store, StoreError};
use tokio::sync::watch;

use self::gather::{Asked, Gather, Stopped};
use self::mark::Mark;
use self::store::Files;
use self::volumes::LeftOut;
use crate::backup::prepare::Prepared;
use crate::backup::select::{NamespaceFact, Selection};
use crate::call::Caller;
use crate::files;
use crate::fresh::fresh;
use crate::progress::Progress;
use crate::report::{About, Report, Reported};
use crate::runs::Place;
use crate::types::Catalog;

pub use self::pack::{PackError, Packed, Packer};
pub use self::store::KeepError;

/// What a run works with.
pub struct Tools<'a> {
    /// The way to the cluster.
    pub caller: &'a Caller,
    /// UID of the cluster's namespace kube-system: tells clusters apart in a store that they share.
    pub cluster: &'a str,
    /// What the cluster serves.
    pub catalog: &'a Catalog,
    /// The namespaces of the cluster.
    pub namespaces: &'a [NamespaceFact],
    /// Where the backup goes.
    pub store: Arc<dyn Store>,
    /// Folder for temporary files.
    pub folder: &'a Path,
    /// Threads that compress.
    pub threads: NonZeroUsize,
    /// For the times that are shown.
    pub clock: Arc<dyn Clock>,
    /// Told how far it is.
    pub progress: &'a watch::Sender<Progress>,
    /// What the run works at, left to others while hooks run.
    pub place: &'a Place,
}

/// Why a run came to nothing. What could not be had of the cluster is no reason: that is in the results.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its object is gone: nobody would know of what is stored.
    #[error("the Backup was deleted while it was made; nothing of it is kept")]
    Deleted,
    /// The name cannot be that of a folder in the store.
    #[error(transparent)]
    Name(#[from] LayoutError),
    /// The tarball cannot be made.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// It cannot be brought into the store.
    #[error(transparent)]
    Keep(#[from] KeepError),
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        Self::Keep(KeepError::Store(error))
    }
}

/// Runs what was prepared, and returns the Backup with its last status, as it is in the store.
///
/// May be run again after it was broken off at any point: whatever is in the store then is written over, unless
/// the backup is complete.
///
/// # Errors
/// [`RunError`]; there is no backup then.
pub async fn run(prepared: Prepared, tools: &Tools<'_>) -> Result<Backup, RunError> {
    let at = BackupFiles::new("", &prepared.backup.name_any())?;
    if let Found::Ended(ended) = find(&*tools.store, &at, &prepared.backup).await? {
        // A process that was killed after it had sealed the backup has left its mark; another's is none of our business.
        if let Ok(mark) = Mark::set(&*tools.store, &at, tools.cluster, &prepared.backup).await {
            mark.remove(&*tools.store).await;
        }
        return Ok(*ended);
    }
    let mark = Mark::set(&*tools.store, &at, tools.cluster, &prepared.backup).await?;
    let ended = marked(prepared, &at, tools).await;
    mark.remove(&*tools.store).await;
    ended
}

/// Makes the backup, while a mark in the store keeps other engines from it.
async fn marked(prepared: Prepared, at: &BackupFiles, tools: &Tools<'_>) -> Result<Backup, RunError> {
    let Prepared { mut backup, filters, hooks, warnings } = prepared;
    let (namespace, name) = (backup.namespace().unwrap_or_default(), backup.name_any());
    if let Found::Ended(ended) = find(&*tools.store, at, &backup).await? {
        return Ok(*ended);
    }
    let report = Report::new("backup", &namespace, &name, Arc::clone(&tools.clock), tools.folder);
    for warning in warnings {
        report.warning(About::Run, warning);
    }
    for (group, why) in &tools.catalog.failed {
        report.warning(About::Run, format!("the API {group} cannot be backed up: {why}"));
    }
    let hooks = hooks.for_pods(tools.catalog);
    let selection = Selection::new(&filters, tools.catalog, tools.namespaces);
    for warning in selection.warnings() {
        report.warning(About::Run, warning);
    }

    let began =
        backup.status.as_ref().and_then(|status| status.start_timestamp).unwrap_or_else(|| tools.clock.now());
    let packer =
        Packer::start(tools.folder, tools.threads, u64::try_from(began.as_second()).unwrap_or_default());
    // Who wants no data need not be told that there is none.
    let tells_of_data = backup.spec.snapshot_volumes != Some(false);
    let asked = Asked { name: &name, hooks: &hooks, place: tools.place, tells_of_data, folder: tools.folder };
    let left_out = LeftOut::new(tools.folder).map_err(PackError::from)?;
    let mut gather = Gather::new(
        tools.caller,
        tools.catalog,
        &selection,
        &packer,
        &report,
        tools.progress,
        asked,
        left_out,
    );
    let stopped = gather.all().await;
    let (hooks, left_out) = gather.end();
    let packed = packer.finish().await?;
    // What else stopped it is what the packer has said at its end.
    if let Err(Stopped::Disk(error)) = stopped {
        return Err(PackError::from(error).into());
    }
    let items = packed.written.items;
    let claims = left_out.claims();
    if tells_of_data && claims > 0 {
        backup.annotations_mut().extend([(WITHOUT_DATA_ANNOTATION.to_owned(), claims.to_string())]);
    }
    let volumes = left_out.write(files::draft(tools.folder)).map_err(PackError::from)?;
    report.info(format!("{items} objects, {} bytes compressed", packed.written.stored));

    let reported = report.close().map_err(|error| PackError::spool(tools.folder, error))?;
    let told = reported.problems(&at.results());
    backup.annotations_mut().extend(told.map(|told| (PROBLEMS_ANNOTATION.to_owned(), told)));
    let Reported { log, results, warnings, errors, first: _ } = reported;
    let mut status = last_status(&backup, items, warnings, errors, tools.clock.now());
    status.other.insert("hookStatus".to_owned(), hooks);
    backup.status = Some(status);
    let files = Files { packed, log, results, volumes };
    // A Velero, which knows no marks, may have stored one of this name meanwhile.
    let over = match find(&*tools.store, at, &backup).await? {
        Found::Ended(ended) => return Ok(*ended),
        Found::Begun(json) => Some(json),
        Found::Nothing => None,
    };
    still_wanted(tools.caller, &backup).await?;
    store::keep(&*tools.store, at, files, tools.folder).await?;
    if let Err(deleted) = still_wanted(tools.caller, &backup).await {
        store::discard(&*tools.store, at).await;
        return Err(deleted);
    }
    match store::seal(&*tools.store, at, &backup, over).await {
        Ok(()) => Ok(backup),
        // The last request of an engine that was stopped may arrive when another has taken its place.
        Err(exists @ KeepError::Exists) => match find(&*tools.store, at, &backup).await? {
            Found::Ended(ended) => Ok(*ended),
            Found::Begun(_) | Found::Nothing => Err(exists.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Makes sure that the object of the backup is there. One that the cluster does not answer for is.
async fn still_wanted(caller: &Caller, backup: &Backup) -> Result<(), RunError> {
    let namespace = backup.namespace().unwrap_or_default();
    if backup.uid().is_none() {
        // It was never in a cluster.
        return Ok(());
    }
    match fresh(caller, &namespace, backup).await {
        Ok(Some(found)) if found.metadata.deletion_timestamp.is_none() => Ok(()),
        Ok(_) => Err(RunError::Deleted),
        Err(error) => {
            tracing::warn!(backup = backup.name_any(), error = %error, "cannot ask whether it is still there; it is stored");
            Ok(())
        }
    }
}

/// What the store has under the name of a backup.
enum Found {
    Nothing,
    /// This one: the process ended before it could say so.
    Ended(Box<Backup>),
    /// This one as JSON, without an end: Velero stores it before that, and was stopped.
    Begun(Bytes),
}

/// What the store has of this backup; another of its name is an error.
async fn find(store: &dyn Store, at: &BackupFiles, backup: &Backup) -> Result<Found, RunError> {
    let Some(json) = store.get(&at.metadata()).await? else { return Ok(Found::Nothing) };
    let found = serde_json::from_slice::<Backup>(&json).ok();
    let found = found.filter(|found| found.uid().is_some() && found.uid() == backup.uid());
    let found = found.ok_or(KeepError::Exists)?;
    let phase = found.status.as_ref().and_then(|status| status.phase.as_ref());
    if phase.is_some_and(BackupPhase::is_terminal) {
        return Ok(Found::Ended(Box::new(found)));
    }
    Ok(Found::Begun(json))
}

fn last_status(backup: &Backup, items: u64, warnings: u64, errors: u64, now: Timestamp) -> BackupStatus {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let some = |count: u64| (count > 0).then(|| i64::try_from(count).unwrap_or(i64::MAX));
    BackupStatus {
        phase: Some(if errors > 0 { BackupPhase::PartiallyFailed } else { BackupPhase::Completed }),
        version: Some(1),
        format_version: Some(FORMAT_VERSION.to_owned()),
        completion_timestamp: Some(now),
        warnings: some(warnings),
        errors: some(errors),
        progress: Some(BackupProgress {
            total_items: Some(count(items)),
            items_backed_up: Some(count(items)),
            ..BackupProgress::default()
        }),
        ..backup.status.clone().unwrap_or_default()
    }
}
