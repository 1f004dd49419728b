//! The types of objects that a cluster has: core kinds, which all clusters share, and those that CRDs bring.

mod core;
pub(crate) mod crd;
mod custom;
mod guise;
mod structural;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

pub(crate) use self::core::{Habits, OBJECT_META, object_meta, object_meta_schema, raw_schemas};
pub(crate) use crd::CRDS;
use guise::Guise;

use crate::{
    schema::{Rules, Schema},
    table::JsonPath,
};

/// A type of objects, in all its versions.
#[derive(Debug)]
pub(crate) struct Resource {
    /// `plural.group`, or the plural of the core group.
    pub(crate) id: Arc<str>,
    /// The id of the type that its objects are kept as, which is this one but for a few.
    pub(crate) kept: Arc<str>,
    /// How it shows what is kept.
    pub(crate) guise: &'static Guise,
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
    /// The name of its schema in the table of facts.
    pub(crate) fact: Option<Box<str>>,
    pub(crate) rules: Option<Rules>,
    /// Has the subresource `status`.
    pub(crate) status: bool,
    /// Has the subresource `scale`.
    pub(crate) scale: Option<Scale>,
    pub(crate) columns: Vec<Column>,
}

/// Where an object has what its subresource `scale` shows, as JSON pointers.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    pub(crate) wanted: Box<str>,
    pub(crate) present: Box<str>,
    pub(crate) selector: Option<Box<str>>,
    /// How many are wanted where nobody says it.
    pub(crate) usual: i64,
}

/// A column of the table that people see.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) format: Box<str>,
    pub(crate) description: Box<str>,
    pub(crate) priority: i64,
    /// `None`: it leads nowhere that this server can follow.
    pub(crate) path: Option<JsonPath>,
}

impl Resource {
    /// The kind as messages name it: `Kind.group`.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_string() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// The group of the type that its objects are kept as.
    pub(crate) fn kept_group(&self) -> &str {
        guise::group_of(&self.kept)
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

/// The types of one cluster: those of the core, which all clusters share, and its own.
#[derive(Debug, Default)]
pub(crate) struct Types {
    custom: BTreeMap<Arc<str>, Arc<Resource>>,
    /// What clients are told of all types, from the first question on until a type changes.
    told: OnceLock<Arc<str>>,
}

impl Types {
    /// All types, core kinds first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        core::resources().iter().chain(self.custom.values())
    }

    /// The type and the place of its version, if that version is served.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<(Arc<Resource>, usize)> {
        let resource = self.by_id(&custom::id(plural, group))?;
        let index = resource.versions.iter().position(|one| *one.name == *version && one.served)?;
        Some((resource, index))
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<Resource>> {
        core::by_id(id).or_else(|| self.custom.get(id)).cloned()
    }

    /// The type of this kind, if that version is served.
    pub(crate) fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Resource>> {
        let is_it = |one: &&Arc<Resource>| {
            *one.kind == *kind
                && *one.group == *group
                && one.versions.iter().any(|one| *one.name == *version && one.served)
        };
        core::by_kind(kind).find(is_it).or_else(|| self.custom.values().find(is_it)).cloned()
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

    /// Whether another definition of the group has this name for its resource or its kind.
    pub(crate) fn is_name_taken(&self, id: &str, group: &str, name: &str) -> bool {
        self.custom.values().filter(|one| *one.id != *id && *one.group == *group).any(|one| {
            let names = [&one.plural, &one.singular, &one.kind, &one.list_kind];
            names.into_iter().chain(&one.short).any(|taken| **taken == *name)
        })
    }

    /// Brings the type of an accepted definition up to date.
    pub(crate) fn define(&mut self, definition: &serde_json::Value) {
        let resource = custom::resource(definition);
        let before = self.custom.insert(Arc::clone(&resource.id), Arc::clone(&resource));
        if before.is_none_or(|before| !Arc::ptr_eq(&before, &resource)) {
            self.told.take();
        }
    }

    /// Forgets the type of a definition.
    pub(crate) fn forget(&mut self, id: &str) {
        if self.custom.remove(id).is_some() {
            self.told.take();
        }
    }

    /// What clients are told of all types: this, if nothing has been made of them since they changed.
    pub(crate) fn told(&self, tell: impl FnOnce() -> Arc<str>) -> Arc<str> {
        self.told.get_or_init(tell).clone()
    }
}
