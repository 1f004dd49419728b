//! One restore from the download to the last object.
//!
//! The archive is read once into a temporary file and checked as a whole before anything is created. Types follow each
//! other in Velero's order; the objects of one type are created side by side, as many as the API server bears.
//! May be run again after it was broken off at any point: what is there already as this restore made it counts as made.

mod definitions;
mod download;
mod earlier;
mod hooks;
mod item;
mod listed;
mod load;
mod namespaces;
mod related;
mod status;
mod unmet;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::ResourceExt as _;
use kurator_api::names::{PROBLEMS_ANNOTATION, label_value};
use kurator_api::velero::{Restore, RestorePhase, RestoreProgress, RestoreStatus};
use kurator_archive::layout::LayoutError;
use kurator_archive::metadata::{self, MetadataError};
use kurator_archive::{DiskError, GroupResource, RestoreFiles, Spool, SpooledItem};
use kurator_member::clock::Clock;
use kurator_store::{Store, StoreError};
use tempfile::SpooledTempFile;
use tokio::sync::{mpsc, watch};

use self::earlier::Earlier;
use self::item::Maker;
use self::listed::Listed;
use self::namespaces::Namespaces;
use self::related::Related;
use self::unmet::Unmet;
use super::reset::RESTORE_NAME_LABEL;
use super::{CRDS, Images, Prepared, StorageClasses};
use crate::budget::{Budget, Held};
use crate::call::{CallError, Caller};
use crate::files;
use crate::hooks::Runner;
use crate::progress::Progress;
use crate::report::{About, Report, Reported};
use crate::runs::Place;
use crate::types::{ApiType, Catalog};

pub use self::download::DownloadError;

/// Objects of one type that are worked on side by side; the API server decides how many requests that makes.
const SIDE_BY_SIDE: usize = 64;
/// What a run holds while nothing but hooks is waited for, in bytes: what was stored lies on the disk.
const WAITING_FOR_HOOKS: usize = 4 << 20;

/// What a run works with.
pub struct Tools<'a> {
    /// The way to the cluster.
    pub caller: &'a Caller,
    /// What the cluster serves.
    pub catalog: Catalog,
    /// Where the backup is.
    pub store: Arc<dyn Store>,
    /// Folder for temporary files.
    pub folder: &'a Path,
    /// Whether the run takes up one that was broken off.
    pub resumed: bool,
    /// Names of StorageClasses that are changed.
    pub storage_classes: StorageClasses,
    /// Names of images that are changed.
    pub images: Images,
    /// For the times that are shown.
    pub clock: Arc<dyn Clock>,
    /// Told how far it is.
    pub progress: &'a watch::Sender<Progress>,
    /// What the run works at, left to others while nothing but hooks is waited for.
    pub place: &'a Place,
}

/// Why a run came to nothing. What happened to single objects is no reason: that is in the results.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The backup cannot be read.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// What the cluster serves cannot be asked.
    #[error("cannot ask the API server what it serves")]
    Discovery(#[source] CallError),
    /// The results cannot be made.
    #[error(transparent)]
    Results(#[from] MetadataError),
    /// The folder for temporary files does not take what does not fit memory.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The same of the log.
    #[error("cannot keep the log of the restore in the folder for temporary files: free some space there")]
    Log(#[source] io::Error),
}

/// Runs what was prepared, and returns the Restore with its last status.
///
/// # Errors
/// [`RunError`]; some objects may have been restored then.
pub async fn run(prepared: Prepared, mut tools: Tools<'_>) -> Result<Restore, RunError> {
    let Prepared { mut restore, backup, location: _, plan, warnings } = prepared;
    let namespace = restore.namespace().unwrap_or_default();
    let report =
        Report::new("restore", &namespace, &restore.name_any(), Arc::clone(&tools.clock), tools.folder);
    for warning in warnings {
        report.warning(About::Run, warning);
    }
    let mut source = download::download(&*tools.store, &backup, &plan, tools.folder, &report).await?;
    let context = download::context(&mut source, plan, &mut tools, &report).await?;

    let spool = &source.spool;
    let related = Related::of(spool, &context, &report);
    let total = spool.resources().filter(|of| of.is_wanted()).map(|of| of.count()).sum();
    tools.progress.send_replace(Progress { total, done: 0 });
    let listed = Listed::new(tools.folder, &report)?;
    let earlier = Earlier::of(&restore, tools.resumed);
    let namespaces = Namespaces::new(tools.caller, spool, &earlier, &report, &listed, tools.folder)?;
    let runner = Runner::new(tools.caller, &report);
    let (hooked, pods) = mpsc::unbounded_channel();
    let maker = Maker {
        caller: tools.caller,
        context: &context,
        namespaces: &namespaces,
        report: &report,
        earlier: &earlier,
        hooked,
        listed: &listed,
        compared: Budget::new(load::COMPARED),
    };
    let done = AtomicU64::new(0);
    let selector = format!("{RESTORE_NAME_LABEL}={}", label_value(context.plan.restore()));
    let hooks = hooks::run(tools.caller.client(), &selector, &runner, &report, pods);
    unmet::tell_types(&restore.spec, spool, &tools.catalog, &report);
    let unmet = Unmet::new(&restore.spec, spool);
    let objects = objects(spool, &related, maker, &tools, Steps { done: &done, total, unmet: &unmet });
    beside(objects, hooks, tools.place).await?;
    unmet.tell(&restore.spec, &report);
    drop(namespaces);
    // As Velero 1.18 at the end: what was dealt with, and no longer what was expected.
    let (dealt_with, list) = listed.finish(tools.folder)?;
    let hook_status = runner.status();
    let reported = report.close().map_err(RunError::Log)?;
    if let Ok(at) = RestoreFiles::new("", &restore.name_any()) {
        let told = reported.problems(&at.results());
        restore.annotations_mut().extend(told.map(|told| (PROBLEMS_ANNOTATION.to_owned(), told)));
    }
    let Reported { log, results, warnings, errors, first: _ } = reported;
    let mut status = last_status(&restore, dealt_with, warnings, errors, &*tools.clock);
    status.other.insert("hookStatus".to_owned(), hook_status);
    restore.status = Some(status);
    let results = metadata::write(&results, files::draft(tools.folder))?;
    if let Err(error) = keep(&*tools.store, &restore.name_any(), [log, results, list], tools.folder).await {
        // As Velero 1.18: the objects are there, so the files are not worth a failure.
        tracing::warn!(restore = restore.name_any(), error = %error, "the files of the restore are not stored");
    }
    Ok(restore)
}

/// Restores the objects while the hooks of what is there already run. Those that take longer need no place.
async fn beside<T>(objects: impl Future<Output = T>, hooks: impl Future<Output = ()>, place: &Place) -> T {
    let (mut objects, mut hooks) = (pin!(objects), pin!(hooks));
    tokio::select! {
        restored = &mut objects => {
            place.aside(WAITING_FOR_HOOKS, hooks).await;
            restored
        }
        () = &mut hooks => objects.await,
    }
}

/// How many objects there are, how many are done, and what none of them was of.
#[derive(Clone, Copy)]
struct Steps<'a> {
    done: &'a AtomicU64,
    total: u64,
    unmet: &'a Unmet,
}

/// Restores all objects.
async fn objects(
    spool: &Spool,
    related: &Related,
    maker: Maker<'_>,
    tools: &Tools<'_>,
    steps: Steps<'_>,
) -> Result<(), RunError> {
    let (plan, report) = (&maker.context.plan, maker.report);
    let run = Run { spool, related, maker: &maker, report, steps, budget: Budget::new(load::ALL) };
    let mut catalog = Cow::Borrowed(&tools.catalog);
    let mut restored = HashSet::new();
    let first = GroupResource::new("customresourcedefinitions", "apiextensions.k8s.io").ok();
    if let Some(crds) = first.filter(|_| plan.takes_type(CRDS)) {
        restored.insert(crds.clone());
        let created = run.all_of(&crds, &catalog, tools.progress).await;
        if !created.is_empty() {
            let fresh = definitions::awaited(tools.caller, &created, report).await;
            catalog = Cow::Owned(fresh.map_err(RunError::Discovery)?);
        }
    }
    let in_backup: BTreeSet<GroupResource> =
        spool.resources().filter(|of| of.is_wanted()).map(|of| of.resource().clone()).collect();
    let names = in_backup.iter().map(GroupResource::as_str);
    for name in plan.order(names, &catalog) {
        let Ok(resource) = name.parse::<GroupResource>() else { continue };
        if restored.insert(resource.clone()) {
            run.all_of(&resource, &catalog, tools.progress).await;
        }
    }
    Ok(())
}

async fn keep(
    store: &dyn Store,
    name: &str,
    [log, results, list]: [SpooledTempFile; 3],
    folder: &Path,
) -> Result<(), KeepError> {
    let at = RestoreFiles::new("", name)?;
    let none: [(); 0] = [];
    let nothing = || metadata::write(&none, files::draft(folder));
    let files = [
        (at.log(), log),
        (at.results(), results),
        (at.resource_list(), list),
        (at.item_operations(), nothing()?),
        (at.volume_info(), nothing()?),
    ];
    let stored = files.map(|(key, file)| async move { store.write(&key, files::content(file)).await });
    futures::future::try_join_all(stored).await?;
    Ok(())
}

/// Why the files of a restore are not in the store.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Name(#[from] LayoutError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] MetadataError),
}

fn last_status(
    restore: &Restore,
    dealt_with: u64,
    warnings: u64,
    errors: u64,
    clock: &dyn Clock,
) -> RestoreStatus {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let some = |number: u64| (number > 0).then(|| count(number));
    RestoreStatus {
        phase: Some(if errors > 0 { RestorePhase::PartiallyFailed } else { RestorePhase::Completed }),
        completion_timestamp: Some(clock.now()),
        warnings: some(warnings),
        errors: some(errors),
        progress: Some(RestoreProgress {
            total_items: Some(count(dealt_with)),
            items_restored: Some(count(dealt_with)),
            ..RestoreProgress::default()
        }),
        ..restore.status.clone().unwrap_or_default()
    }
}

/// The types of one restore.
struct Run<'a> {
    spool: &'a Spool,
    related: &'a Related,
    maker: &'a Maker<'a>,
    report: &'a Report,
    steps: Steps<'a>,
    /// For objects on their way.
    budget: Budget,
}

impl Run<'_> {
    /// Restores all objects of a type; the names of the CRDs that were created.
    async fn all_of(
        &self,
        resource: &GroupResource,
        catalog: &Catalog,
        progress: &watch::Sender<Progress>,
    ) -> Vec<String> {
        let name = resource.as_str();
        let Some(api) = catalog.types.iter().find(|api| api.group_resource() == name) else {
            let count =
                self.spool.resources().find(|of| of.resource() == resource).map_or(0, |of| of.count());
            if count > 0 {
                let group = name.split_once('.').map_or("", |(_, group)| group);
                let is_down = |(api, _): &&(String, String)| api.split('/').next() == Some(group);
                let lacks = format!("{count} objects of {name} are not restored");
                match catalog.failed.iter().find(is_down) {
                    Some((api, why)) => {
                        self.report
                            .error(About::Run, format!("{lacks}: the API {api} cannot be asked: {why}"));
                    }
                    None => self.report.warning(About::Run, format!("{lacks}: the cluster has no such type")),
                }
            }
            return Vec::new();
        };
        let items = self.spool.items(resource).filter_map(|item| self.wanted(name, item));
        let mut created = Vec::new();
        let mut going = FuturesUnordered::new();
        for (item, load) in items {
            // The next one is read when there is room for this one.
            let mut room = pin!(self.budget.hold(load));
            let held = loop {
                tokio::select! {
                    biased;
                    Some(name) = going.next() => created.extend(name),
                    held = &mut room, if going.len() < SIDE_BY_SIDE => break held,
                }
            };
            going.push(self.one(api, name, item, held, progress));
        }
        while let Some(name) = going.next().await {
            created.extend(name);
        }
        created
    }

    /// What the plan takes by type and namespace, and how much memory it takes; labels are asked of later.
    fn wanted(
        &self,
        resource: &str,
        item: Result<SpooledItem, kurator_archive::SpoolError>,
    ) -> Option<(SpooledItem, usize)> {
        match item {
            Ok(item) => {
                let namespace = item.namespace.as_deref();
                if let Some(namespace) = namespace {
                    self.steps.unmet.met(namespace);
                }
                let plan = &self.maker.context.plan;
                let taken = plan.takes(resource, namespace).is_ok()
                    || (plan.takes_related(resource, namespace).is_ok()
                        && self.related.contains(resource, &item));
                if !taken {
                    self.steps.done.fetch_add(1, Relaxed);
                    return None;
                }
                match load::of(&item) {
                    Ok(load) => Some((item, load)),
                    Err(why) => {
                        self.steps.done.fetch_add(1, Relaxed);
                        let target = namespace.map(|namespace| plan.target(namespace));
                        let shown =
                            target.map_or_else(String::new, |target| format!("{target}/")) + &item.name;
                        let error = format!("error restoring {resource}/{shown}: {why}");
                        self.report.error(About::from(target), error);
                        None
                    }
                }
            }
            Err(error) => {
                self.report.error(About::Run, format!("cannot read {resource} back from the disk: {error}"));
                None
            }
        }
    }

    async fn one(
        &self,
        api: &ApiType,
        resource: &str,
        item: SpooledItem,
        _held: Held,
        progress: &watch::Sender<Progress>,
    ) -> Option<String> {
        let is_related = self.related.contains(resource, &item);
        let created = self.maker.make(api, resource, &item, is_related).await;
        let done = self.steps.done.fetch_add(1, Relaxed) + 1;
        progress.send_replace(Progress { total: self.steps.total, done });
        (created && resource == CRDS).then_some(item.name)
    }
}
