//! The types of objects that a cluster has: core kinds, which all clusters share, and those that CRDs bring.

mod core;
pub(crate) mod crd;
mod custom;

use std::{collections::BTreeMap, sync::Arc};

pub(crate) use self::core::{Habits, object_meta, object_meta_schema};
pub(crate) use crd::CRDS;

use crate::schema::{Rules, Schema};

/// A type of objects, in all its versions.
#[derive(Debug)]
pub(crate) struct Resource {
    /// `plural.group`, or the plural of the core group.
    pub(crate) id: Arc<str>,
    pub(crate) group: Box<str>,
    pub(crate) plural: Box<str>,
    pub(crate) singular: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) list_kind: Box<str>,
    pub(crate) short: Vec<Box<str>>,
    pub(crate) categories: Vec<Box<str>>,
    pub(crate) namespaced: bool,
    /// Most preferred first.
    pub(crate) versions: Vec<Version>,
    pub(crate) habits: Habits,
}

/// One version of a type.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: Box<str>,
    pub(crate) served: bool,
    pub(crate) schema: Arc<Schema>,
    pub(crate) rules: Option<Rules>,
    /// Has the subresource `status`.
    pub(crate) status: bool,
    pub(crate) columns: Vec<Column>,
}

/// A column of the table that people see.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) format: Box<str>,
    pub(crate) description: Box<str>,
    pub(crate) priority: i64,
    pub(crate) path: Box<str>,
}

impl Resource {
    /// The kind as messages name it: `Kind.group`.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_string() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// `group/version`, or the version of the core group.
    pub(crate) fn api_version(&self, version: &Version) -> String {
        if self.group.is_empty() {
            version.name.to_string()
        } else {
            format!("{}/{}", self.group, version.name)
        }
    }

    /// Where an object of this name is kept.
    pub(crate) fn path(&self, namespace: Option<&str>, name: &str) -> String {
        match namespace {
            Some(namespace) if self.namespaced => format!("{namespace}/{name}"),
            _ => name.to_owned(),
        }
    }
}

/// The types of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Types {
    custom: BTreeMap<Arc<str>, Arc<Resource>>,
}

impl Types {
    /// All types, core kinds first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        core::resources().iter().chain(self.custom.values())
    }

    /// The type and the place of its version, if that version is served.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<(Arc<Resource>, usize)> {
        let resource = self.all().find(|one| *one.group == *group && *one.plural == *plural)?;
        let index = resource.versions.iter().position(|one| *one.name == *version && one.served)?;
        Some((Arc::clone(resource), index))
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<Resource>> {
        self.all().find(|one| *one.id == *id).cloned()
    }

    /// Whether this is a group of core kinds.
    pub(crate) fn is_core(&self, group: &str) -> bool {
        core::resources().iter().any(|one| *one.group == *group)
    }

    /// Whether there is anything of this group and version.
    pub(crate) fn has(&self, group: &str, version: &str) -> bool {
        self.all()
            .any(|one| *one.group == *group && one.versions.iter().any(|v| *v.name == *version && v.served))
    }

    /// Brings the type of a CRD up to date.
    pub(crate) fn define(&mut self, definition: &serde_json::Value) {
        let resource = custom::resource(definition);
        self.custom.insert(Arc::clone(&resource.id), Arc::new(resource));
    }

    /// Forgets the type of a CRD.
    pub(crate) fn forget(&mut self, id: &str) {
        self.custom.remove(id);
    }
}
