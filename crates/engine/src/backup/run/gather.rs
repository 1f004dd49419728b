//! Brings every object that a Backup takes to the packer: all lists side by side.

mod brought;
mod hooks;
mod order;
mod wanted;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use kurator_archive::{DiskError, GroupResource, ItemPath, Seen, Shelf};
use serde_json::Value;
use tokio::sync::watch;

use super::hooked::{self, Hooked};
use super::pack::Packer;
use super::volumes::{self, LeftOut, TakenVolume};
use crate::backup::hooks::Hooks;
use crate::backup::related::{self, Bindings, Claims};
use crate::backup::select::{Item, Listing, Selection};
use crate::call::Caller;
use crate::hooks::Runner;
use crate::list::{ListRequest, Lister};
use crate::object::{Head, TypeOf, with_type};
use crate::progress::Progress;
use crate::report::{About, Report};
use crate::runs::Place;
use crate::types::{ApiType, Catalog};
use wanted::Wanted;

/// Lists side by side.
const LISTS: usize = 16;
/// Label of claims whose volumes are snapshot together, unless the Backup names another.
const GROUP_LABEL: &str = "velero.io/volume-group";

/// What the Backup says beside its filters.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) hooks: &'a Hooks,
    pub(super) place: &'a Place,
    /// Whether it is worth a warning that the data of a volume is not in the backup.
    pub(super) tells_of_data: bool,
    /// Folder for temporary files.
    pub(super) folder: &'a Path,
}

/// Where the objects come from and go to.
pub(super) struct Gather<'a> {
    caller: &'a Caller,
    catalog: &'a Catalog,
    selection: &'a Selection,
    packer: &'a Packer,
    report: &'a Report,
    progress: &'a watch::Sender<Progress>,
    backup: Asked<'a>,
    runner: Runner<'a>,
    around: Surroundings,
    taken: Mutex<Taken>,
}

/// What has been taken so far.
struct Taken {
    count: u64,
    /// What may come a second time.
    seen: Seen<ItemPath>,
    /// Namespaces that something was taken from.
    namespaces: Seen<str>,
    /// What objects that were taken bring in, as far as it has not been looked for.
    wanted: Wanted,
    /// What has been looked for.
    looked: Seen<ItemPath>,
    /// Pods that wait for their hooks.
    hooked: Vec<Hooked>,
    /// Their JSON.
    shelf: Shelf,
    /// By resource, the places in `orderedResources` that were found.
    ordered: HashSet<(String, usize)>,
    /// Volumes whose data stays where it is.
    left_out: LeftOut,
}

/// What is to be known of the whole cluster to tell what an object brings in.
#[derive(Default)]
struct Surroundings {
    bindings: Bindings,
    claims: Claims,
}

/// Why nothing more is taken.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The packer takes nothing any more; it says why itself.
    Packer,
    /// The folder for temporary files doesn't.
    Disk(DiskError),
}

impl From<DiskError> for Stopped {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl<'a> Gather<'a> {
    #[expect(clippy::too_many_arguments, reason = "all that one backup is made of")]
    pub(super) fn new(
        caller: &'a Caller,
        catalog: &'a Catalog,
        selection: &'a Selection,
        packer: &'a Packer,
        report: &'a Report,
        progress: &'a watch::Sender<Progress>,
        backup: Asked<'a>,
        left_out: LeftOut,
    ) -> Self {
        let taken = Mutex::new(Taken {
            count: 0,
            seen: Seen::default(),
            namespaces: Seen::default(),
            wanted: Wanted::new(backup.folder),
            looked: Seen::default(),
            hooked: Vec::new(),
            shelf: Shelf::new(backup.folder),
            ordered: HashSet::new(),
            left_out,
        });
        let runner = Runner::new(caller, report);
        let around = Surroundings::default();
        Self { caller, catalog, selection, packer, report, progress, backup, runner, around, taken }
    }

    /// What the status tells of the hooks, and the volumes that were taken without their data.
    pub(super) fn end(self) -> (Value, LeftOut) {
        let taken = self.taken.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.runner.status(), taken.left_out)
    }

    /// Everything that the selection takes. What can't be had is in the report.
    pub(super) async fn all(&mut self) -> Result<(), Stopped> {
        for problem in self.selection.missing_namespaces() {
            self.report.error(About::Run, problem);
        }
        self.around = self.look_around().await;
        let this = &*self;
        this.lists().await?;
        this.tell_order();
        this.related().await?;
        this.hooked().await?;
        this.namespaces().await
    }

    /// What the lists alone don't tell of pods, claims and ServiceAccounts.
    async fn look_around(&self) -> Surroundings {
        let mut around = Surroundings::default();
        let takes = |name: &str| self.catalog.find(name).is_some_and(|api| self.selection.takes_type(api));
        if takes("serviceaccounts") {
            let bindings = &mut around.bindings;
            self.every("clusterrolebindings.rbac.authorization.k8s.io", |json| bindings.add(json)).await;
        }
        if self.selection.narrows() && takes("persistentvolumeclaims") {
            let claims = &mut around.claims;
            self.every("pods", |json| claims.add_pod(json)).await;
            self.every("persistentvolumeclaims", |json| claims.add_claim(json, GROUP_LABEL)).await;
        }
        around
    }

    /// Every object of a type in the cluster, whatever is taken of it.
    async fn every(&self, name: &str, mut add: impl FnMut(&[u8]) -> Result<(), serde_json::Error>) {
        let Some(api) = self.catalog.find(name) else { return };
        let request = ListRequest { path: api.path(None), selector: String::new() };
        let mut objects = Lister::new(self.caller, request);
        loop {
            let problem = match objects.next().await {
                Ok(Some(json)) => match add(&json) {
                    Ok(()) => continue,
                    Err(error) => error.to_string(),
                },
                Ok(None) => return,
                Err(error) => error.to_string(),
            };
            self.report.error(About::Run, format!("cannot list {name}: {problem}"));
            return;
        }
    }

    async fn lists(&self) -> Result<(), Stopped> {
        let types = self.selection.visit(self.catalog);
        let mut lists = Vec::new();
        for (at, api) in types.iter().enumerate().filter(|(_, api)| !is_core(api, "namespaces")) {
            lists.extend(self.selection.lists(api).into_iter().map(|listing| (at, listing)));
        }
        let lists = lists.into_iter().map(|(at, listing)| self.list(types[at], listing));
        let mut lists = futures::stream::iter(lists).buffer_unordered(LISTS);
        while let Some(listed) = lists.next().await {
            listed?;
        }
        Ok(())
    }

    async fn list(&self, api: &ApiType, listing: Listing) -> Result<(), Stopped> {
        let request = ListRequest {
            path: api.path(listing.namespace.as_deref()),
            selector: listing.label_selector.unwrap_or_default(),
        };
        let at = request.path.clone();
        let mut objects = Lister::new(self.caller, request);
        loop {
            match objects.next().await {
                Ok(Some(json)) => self.consider(api, json).await?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    let of = api.group_resource();
                    self.report.error(About::Run, format!("cannot list {of} at {at}: {error}"));
                    return Ok(());
                }
            }
        }
    }

    /// Takes an object of a list if the selection wants it.
    async fn consider(&self, api: &ApiType, json: Vec<u8>) -> Result<(), Stopped> {
        let head: Head<'_> = match serde_json::from_slice(&json) {
            Ok(head) => head,
            Err(error) => {
                let of = api.group_resource();
                self.report.error(About::Run, format!("cannot read an object of the list of {of}: {error}"));
                return Ok(());
            }
        };
        let namespace = head.metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty());
        if !self.selection.takes_item(api, &item(&head, namespace)) {
            return Ok(());
        }
        let path = match path(api, namespace, &head.metadata.name) {
            Ok(path) => path,
            Err(problem) => {
                self.report.error(About::from(namespace), problem);
                return Ok(());
            }
        };
        let kind = TypeOf::from(&head);
        self.note_order(api, &path);
        if let Some(namespace) = namespace {
            self.taken().namespaces.insert(namespace);
        }
        self.take(api, path, kind, json).await
    }

    /// Packs an object, unless it is packed already or waits for its hooks.
    async fn take(&self, api: &ApiType, path: ItemPath, kind: TypeOf, json: Vec<u8>) -> Result<(), Stopped> {
        if !self.taken().seen.insert(&path) {
            return Ok(());
        }
        if is_core(api, "pods") && self.waits_for_hooks(&path, &json) {
            // Whoever cannot be read has no claims; that is told when it is noted.
            let claims = related::of_pod(&json).map(|brought| hooked::claims(&brought)).unwrap_or_default();
            let mut taken = self.taken();
            let slip = taken.shelf.put(&json)?;
            taken.hooked.push(Hooked { path, kind, slip, claims });
            return Ok(());
        }
        self.pack(api, path, kind, json).await
    }

    async fn pack(&self, api: &ApiType, path: ItemPath, kind: TypeOf, json: Vec<u8>) -> Result<(), Stopped> {
        let json = self.note(api, &path, json)?;
        if !self.packer.put(api, path, with_type(json, kind, api)).await {
            return Err(Stopped::Packer);
        }
        let count = {
            let mut taken = self.taken();
            taken.count += 1;
            taken.count
        };
        self.progress.send_replace(Progress { total: count, done: count });
        Ok(())
    }

    /// Remembers what an object brings in; the object as it is stored.
    fn note(&self, api: &ApiType, path: &ItemPath, json: Vec<u8>) -> Result<Vec<u8>, Stopped> {
        let (mut brought, mut json) = (Vec::new(), json);
        let mut kept = Ok(());
        let noted = match (api.group.as_str(), api.resource.as_str()) {
            ("", "pods") => related::of_pod(&json).map(|of_pod| brought = of_pod),
            ("", "persistentvolumeclaims") => related::of_claim(&json, self.backup.name).map(|claim| {
                let Some(mut claim) = claim else { return };
                if let Some(changed) = claim.changed.take() {
                    json = changed;
                }
                brought = self.around.claims.with(&claim);
                kept = self.taken().left_out.claim(&claim);
                if self.backup.tells_of_data {
                    self.report.warning(About::Namespace(&claim.namespace), volumes::warning(&claim));
                }
                brought.push(claim.volume);
            }),
            ("", "persistentvolumes") => {
                TakenVolume::parse(&json).map(|volume| kept = self.taken().left_out.volume(&volume))
            }
            ("", "serviceaccounts") => {
                let namespace = path.namespace().unwrap_or_default();
                brought = self.around.bindings.of(namespace, path.name()).cloned().collect();
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = noted {
            self.report.error(About::from(path.namespace()), format!("cannot read {path}: {error}"));
        }
        if self.selection.adds_definitions() {
            brought.extend(related::definition(api));
        }
        kept?;
        if !brought.is_empty() {
            let mut taken = self.taken();
            brought.iter().try_for_each(|reference| taken.wanted.push(reference))?;
        }
        Ok(json)
    }

    /// The Namespaces of what was taken, and those that the selection wants for themselves.
    async fn namespaces(&self) -> Result<(), Stopped> {
        let Some(api) = self.catalog.types.iter().find(|api| is_core(api, "namespaces")) else {
            return Ok(());
        };
        if !self.selection.takes_type(api) {
            return Ok(());
        }
        let request = ListRequest { path: api.path(None), selector: String::new() };
        let mut objects = Lister::new(self.caller, request);
        loop {
            match objects.next().await {
                Ok(Some(json)) => {
                    let tracked = serde_json::from_slice::<Head<'_>>(&json).is_ok_and(|head| {
                        let name = &*head.metadata.name;
                        self.taken().namespaces.contains(name) || self.selection.tracks_namespace(name)
                    });
                    if tracked {
                        self.consider(api, json).await?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.report.error(About::Run, format!("cannot list namespaces: {error}"));
                    return Ok(());
                }
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_core(api: &ApiType, resource: &str) -> bool {
    api.group.is_empty() && api.resource == resource
}

/// What the selection looks at.
fn item<'a>(head: &'a Head<'a>, namespace: Option<&'a str>) -> Item<'a> {
    Item {
        namespace,
        name: &head.metadata.name,
        labels: &head.metadata.labels,
        deleting: head.metadata.deletion_timestamp.is_some(),
    }
}

fn path(api: &ApiType, namespace: Option<&str>, name: &str) -> Result<ItemPath, String> {
    let made =
        GroupResource::new(&api.resource, &api.group).and_then(|of| ItemPath::new(of, namespace, name));
    made.map_err(|error| format!("{} cannot be stored: {error}", api.group_resource()))
}
