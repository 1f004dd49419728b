//! One restore from the download to the last object.
//!
//! The archive is read once into a temporary file and checked as a whole before anything is created. Types follow each
//! other in Velero's order; the objects of one type are created side by side, as many as the API server bears.
//! May be run again after it was broken off at any point: what is there already as this restore made it counts as made.

mod download;
mod item;
mod namespaces;
mod related;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures::StreamExt as _;
use kube::ResourceExt as _;
use kurator_api::velero::{Restore, RestorePhase, RestoreProgress, RestoreStatus};
use kurator_archive::metadata::{self, MetadataError};
use kurator_archive::{GroupResource, RestoreFiles, Spool, SpooledItem};
use kurator_member::clock::Clock;
use kurator_store::{Store, StoreError};
use tokio::sync::watch;

use self::item::Maker;
use self::namespaces::Namespaces;
use super::{CRDS, Context, Images, ItemRef, Plan, Prepared, StorageClasses};
use crate::call::Caller;
use crate::discover::discover;
use crate::report::{About, Report, Reported};
use crate::types::{ApiType, Catalog};

pub use self::download::DownloadError;

/// Objects of one type that are worked on side by side; the API server decides how many requests that makes.
const SIDE_BY_SIDE: usize = 64;

/// How far a run is, in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many there are.
    pub total: u64,
    /// How many are done.
    pub done: u64,
}

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
    /// Names of StorageClasses that are changed.
    pub storage_classes: StorageClasses,
    /// Names of images that are changed.
    pub images: Images,
    /// For the times that are shown.
    pub clock: &'a dyn Clock,
    /// Told how far it is.
    pub progress: &'a watch::Sender<Progress>,
}

/// Why a run came to nothing. What happened to single objects is no reason: that is in the results.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The backup cannot be read.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// What the cluster serves cannot be asked.
    #[error("cannot ask the API server what it serves")]
    Discovery(#[source] Box<kube::Error>),
    /// The results cannot be made.
    #[error(transparent)]
    Results(#[from] MetadataError),
}

/// Runs what was prepared, and returns the Restore with its last status.
///
/// # Errors
/// [`RunError`]; some objects may have been restored then.
pub async fn run(prepared: Prepared, mut tools: Tools<'_>) -> Result<Restore, RunError> {
    let Prepared { mut restore, backup, plan, .. } = prepared;
    let report = Report::new("restore", &restore.namespace().unwrap_or_default(), &restore.name_any());
    let source = download::download(&*tools.store, &backup, &plan, tools.folder, &report).await?;
    let context = download::context(&source, plan, &mut tools, &report).await?;

    let spool = &source.spool;
    let related = related::related(spool, &context, &report);
    let total = spool.resources().filter(|of| of.is_wanted()).map(|of| of.count()).sum();
    tools.progress.send_replace(Progress { total, done: 0 });
    let namespaces = Namespaces::new(tools.caller, spool, &report);
    let maker = Maker { caller: tools.caller, context: &context, namespaces: &namespaces, report: &report };
    let run = Run { spool, related: &related, maker: &maker, report: &report, done: AtomicU64::new(0), total };

    let mut restored = HashSet::new();
    let first = GroupResource::new("customresourcedefinitions", "apiextensions.k8s.io").ok();
    if let Some(crds) = first.filter(|_| context.plan.takes_type(CRDS)) {
        restored.insert(crds.clone());
        let created = run.all_of(&crds, &tools).await;
        if !created.is_empty() {
            item::await_definitions(tools.caller, &created, &report).await;
            tools.catalog = discover(tools.caller.client())
                .await
                .map_err(|error| RunError::Discovery(Box::new(error)))?;
        }
    }
    let in_backup: BTreeSet<GroupResource> =
        spool.resources().filter(|of| of.is_wanted()).map(|of| of.resource().clone()).collect();
    let names = in_backup.iter().map(GroupResource::as_str);
    for name in context.plan.order(names, &tools.catalog) {
        let Ok(resource) = name.parse::<GroupResource>() else { continue };
        if restored.insert(resource.clone()) {
            run.all_of(&resource, &tools).await;
        }
    }

    let list = namespaces_of(&maker);
    let done = run.done.load(Relaxed);
    let Reported { log, results, warnings, errors } = report.close();
    restore.status = Some(last_status(&restore, total, done, warnings, errors, tools.clock));
    keep(&*tools.store, &restore, log, metadata::write(&results, Vec::new())?, list).await;
    Ok(restore)
}

/// The types of one restore.
struct Run<'a> {
    spool: &'a Spool,
    related: &'a BTreeSet<ItemRef>,
    maker: &'a Maker<'a>,
    report: &'a Report,
    done: AtomicU64,
    total: u64,
}

impl Run<'_> {
    /// Restores all objects of a type; the names of those that were created.
    async fn all_of(&self, resource: &GroupResource, tools: &Tools<'_>) -> Vec<String> {
        let name = resource.as_str();
        let Some(api) = tools.catalog.types.iter().find(|api| api.group_resource() == name) else {
            let count = self.spool.resources().find(|of| of.resource() == resource).map_or(0, |of| of.count());
            if count > 0 {
                let lacks = format!("{count} objects of {name} are not restored: the cluster has no such type");
                self.report.warning(About::Run, lacks);
            }
            return Vec::new();
        };
        let wanted = self.spool.items(resource).filter_map(|item| self.wanted(name, item));
        let mut made = futures::stream::iter(wanted)
            .map(|item| self.one(api, name, item, tools.progress))
            .buffer_unordered(SIDE_BY_SIDE);
        let mut created = Vec::new();
        while let Some(name) = made.next().await {
            created.extend(name);
        }
        created
    }

    /// What the plan takes by type and namespace; labels are asked of later.
    fn wanted(&self, resource: &str, item: Result<SpooledItem, kurator_archive::SpoolError>) -> Option<SpooledItem> {
        match item {
            Ok(item) => {
                let namespace = item.namespace.as_deref();
                let plan = &self.maker.context.plan;
                let taken = plan.takes(resource, namespace).is_ok()
                    || (plan.takes_related(resource, namespace).is_ok()
                        && self.related.contains(&reference(resource, &item)));
                if !taken {
                    self.done.fetch_add(1, Relaxed);
                }
                taken.then_some(item)
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
        progress: &watch::Sender<Progress>,
    ) -> Option<String> {
        let is_related = self.related.contains(&reference(resource, &item));
        let created = self.maker.make(api, resource, &item, is_related).await;
        let done = self.done.fetch_add(1, Relaxed) + 1;
        progress.send_replace(Progress { total: self.total, done });
        created.then_some(item.name)
    }
}

fn reference(resource: &str, item: &SpooledItem) -> ItemRef {
    ItemRef {
        resource: resource.to_owned(),
        namespace: item.namespace.as_deref().map(str::to_owned),
        name: item.name.clone(),
    }
}
