//! Brings every object that a Backup takes to the packer: all lists side by side.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use kurator_archive::{GroupResource, ItemPath};
use tokio::sync::watch;

use super::pack::Packer;
use crate::backup::select::{Item, Listing, Selection};
use crate::call::{CallError, Caller};
use crate::list::{ListRequest, list};
use crate::object::{Head, TypeOf, with_type};
use crate::report::{About, Report};
use crate::types::{ApiType, Catalog};

/// Lists side by side.
const LISTS: usize = 16;
/// Objects that are asked for by name, side by side.
const LOOKS: usize = 16;

/// How far a run is, in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many there are, as far as is known.
    pub total: u64,
    /// How many are done.
    pub done: u64,
}

/// Where the objects come from and go to.
pub(super) struct Gather<'a> {
    caller: &'a Caller,
    catalog: &'a Catalog,
    selection: &'a Selection,
    packer: &'a Packer,
    report: &'a Report,
    progress: &'a watch::Sender<Progress>,
    hashes: RandomState,
    taken: Mutex<Taken>,
}

/// What has been taken so far.
#[derive(Default)]
struct Taken {
    count: u64,
    /// Hashes of what may come a second time.
    seen: HashSet<u64>,
    /// Namespaces that something was taken from.
    namespaces: HashSet<String>,
    /// Names of the definitions of custom types that something was taken of.
    custom: BTreeSet<String>,
}

/// The packer takes nothing any more; it says why itself.
#[derive(Debug)]
pub(super) struct Stopped;

impl<'a> Gather<'a> {
    pub(super) fn new(
        caller: &'a Caller,
        catalog: &'a Catalog,
        selection: &'a Selection,
        packer: &'a Packer,
        report: &'a Report,
        progress: &'a watch::Sender<Progress>,
    ) -> Self {
        let (hashes, taken) = (RandomState::new(), Mutex::default());
        Self { caller, catalog, selection, packer, report, progress, hashes, taken }
    }

    /// Everything that the selection takes. What can't be had is in the report.
    pub(super) async fn all(&self) -> Result<(), Stopped> {
        for problem in self.selection.missing_namespaces() {
            self.report.error(About::Run, problem);
        }
        let lists = self
            .selection
            .visit(self.catalog)
            .into_iter()
            .filter(|api| !is_namespaces(api))
            .flat_map(|api| self.selection.lists(api).into_iter().map(move |listing| (api, listing)));
        let mut lists =
            futures::stream::iter(lists).map(|(api, listing)| self.list(api, listing)).buffer_unordered(LISTS);
        while let Some(listed) = lists.next().await {
            listed?;
        }
        drop(lists);
        self.namespaces().await?;
        self.definitions().await
    }

    async fn list(&self, api: &ApiType, listing: Listing) -> Result<(), Stopped> {
        let request = ListRequest {
            path: api.path(listing.namespace.as_deref()),
            selector: listing.label_selector.unwrap_or_default(),
        };
        let mut stopped = false;
        let listed = list(self.caller, &request, async |json: Vec<u8>| {
            if self.consider(api, json).await.is_err() {
                stopped = true;
                return Err(CallError::Unusable("the tarball cannot be written".to_owned()));
            }
            Ok(())
        });
        match listed.await {
            Err(_) if stopped => Err(Stopped),
            Err(error) => {
                let of = api.group_resource();
                self.report.error(About::Run, format!("cannot list {of} at {}: {error}", request.path));
                Ok(())
            }
            Ok(()) => Ok(()),
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
        let item = Item {
            namespace,
            name: &head.metadata.name,
            labels: &head.metadata.labels,
            deleting: head.metadata.deletion_timestamp.is_some(),
        };
        if !self.selection.takes_item(api, &item) {
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
        self.note(api, namespace);
        self.take(api, path, kind, json).await
    }

    /// Packs an object, unless it is packed already.
    async fn take(&self, api: &ApiType, path: ItemPath, kind: TypeOf, json: Vec<u8>) -> Result<(), Stopped> {
        if !self.taken().seen.insert(self.hashes.hash_one(&path)) {
            return Ok(());
        }
        if !self.packer.put(api, path, with_type(json, kind, api)).await {
            return Err(Stopped);
        }
        let count = {
            let mut taken = self.taken();
            taken.count += 1;
            taken.count
        };
        self.progress.send_replace(Progress { total: count, done: count });
        Ok(())
    }

    /// What follows from an object of a list: its namespace and the definition of its type are taken too.
    fn note(&self, api: &ApiType, namespace: Option<&str>) {
        let mut taken = self.taken();
        if let Some(namespace) = namespace
            && !taken.namespaces.contains(namespace)
        {
            taken.namespaces.insert(namespace.to_owned());
        }
        // No definition has the name of a type that is built in; those are never asked for.
        if api.group.contains('.') && !api.group.ends_with(".k8s.io") {
            let name = api.group_resource();
            if !taken.custom.contains(&name) {
                taken.custom.insert(name);
            }
        }
    }

    /// The Namespaces of what was taken, and those that the selection wants for themselves.
    async fn namespaces(&self) -> Result<(), Stopped> {
        let Some(api) = self.catalog.types.iter().find(|api| is_namespaces(api)) else { return Ok(()) };
        if !self.selection.takes_type(api) {
            return Ok(());
        }
        let request = ListRequest { path: api.path(None), selector: String::new() };
        let mut stopped = false;
        let listed = list(self.caller, &request, async |json: Vec<u8>| {
            let Ok(head) = serde_json::from_slice::<Head<'_>>(&json) else { return Ok(()) };
            let name = &*head.metadata.name;
            if !self.taken().namespaces.contains(name) && !self.selection.tracks_namespace(name) {
                return Ok(());
            }
            if self.consider(api, json).await.is_err() {
                stopped = true;
                return Err(CallError::Unusable("the tarball cannot be written".to_owned()));
            }
            Ok(())
        });
        match listed.await {
            Err(_) if stopped => Err(Stopped),
            Err(error) => {
                self.report.error(About::Run, format!("cannot list namespaces: {error}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The definitions of the custom types of what was taken.
    async fn definitions(&self) -> Result<(), Stopped> {
        if !self.selection.adds_definitions() {
            return Ok(());
        }
        let Some(api) = self.catalog.find("customresourcedefinitions.apiextensions.k8s.io") else {
            return Ok(());
        };
        let names = std::mem::take(&mut self.taken().custom);
        let mut looks =
            futures::stream::iter(names).map(|name| self.look(api, None, name)).buffer_unordered(LOOKS);
        while let Some(looked) = looks.next().await {
            looked?;
        }
        Ok(())
    }

    /// Takes an object that another brings in, if it exists and nothing bars it.
    async fn look(&self, api: &ApiType, namespace: Option<String>, name: String) -> Result<(), Stopped> {
        let namespace = namespace.as_deref();
        let path = match path(api, namespace, &name) {
            Ok(path) => path,
            Err(problem) => {
                self.report.warning(About::from(namespace), problem);
                return Ok(());
            }
        };
        if self.taken().seen.contains(&self.hashes.hash_one(&path)) {
            return Ok(());
        }
        let json = match self.caller.get(&api.object_path(namespace, &name)).await {
            Ok(Some(json)) => json.to_vec(),
            Ok(None) => return Ok(()),
            Err(error) => {
                self.report.error(About::from(namespace), format!("cannot get {path}: {error}"));
                return Ok(());
            }
        };
        let Ok(head) = serde_json::from_slice::<Head<'_>>(&json) else {
            self.report.error(About::from(namespace), format!("cannot read {path}"));
            return Ok(());
        };
        let item = Item {
            namespace,
            name: &name,
            labels: &head.metadata.labels,
            deleting: head.metadata.deletion_timestamp.is_some(),
        };
        if !self.selection.related(api, &item) {
            return Ok(());
        }
        let kind = TypeOf::from(&head);
        self.take(api, path, kind, json).await
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_namespaces(api: &ApiType) -> bool {
    api.group.is_empty() && api.resource == "namespaces"
}

fn path(api: &ApiType, namespace: Option<&str>, name: &str) -> Result<ItemPath, String> {
    let made = GroupResource::new(&api.resource, &api.group).and_then(|of| ItemPath::new(of, namespace, name));
    made.map_err(|error| format!("{} cannot be stored: {error}", api.group_resource()))
}
