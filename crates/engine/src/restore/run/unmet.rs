//! Names in a Restore that stand for nothing in the backup: most are slips of the pen, of which Velero says nothing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kurator_api::velero::RestoreSpec;
use kurator_archive::Spool;

use crate::glob::Glob;
use crate::report::{About, Report};
use crate::types::Catalog;

/// Namespaces that were asked for and not met in the backup yet.
pub(super) struct Unmet {
    /// Emptied as they are met; `None` as soon as all were.
    namespaces: Mutex<Option<BTreeSet<String>>>,
}

impl Unmet {
    /// Those that a Restore names, but for what is stored as a Namespace.
    pub(super) fn new(spec: &RestoreSpec, spool: &Spool) -> Self {
        let named = spec.included_namespaces.iter().filter(|name| is_literal(name));
        let unmet: BTreeSet<String> = named.chain(spec.namespace_mapping.keys()).cloned().collect();
        let is_asked_for = !unmet.is_empty();
        let unmet = Self { namespaces: Mutex::new(is_asked_for.then_some(unmet)) };
        let of = "namespaces".parse().ok().filter(|_| is_asked_for);
        for item in of.iter().flat_map(|of| spool.items(of)).map_while(Result::ok) {
            unmet.met(&item.name);
        }
        unmet
    }

    /// The backup holds something of a namespace.
    pub(super) fn met(&self, namespace: &str) {
        let mut names = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unmet) = &mut *names {
            unmet.remove(namespace);
            drop(names.take_if(|unmet| unmet.is_empty()));
        }
    }

    /// Warns of those of which there was nothing.
    pub(super) fn tell(&self, spec: &RestoreSpec, report: &Report) {
        let names = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).take();
        for name in names.into_iter().flatten() {
            let what = match spec.namespace_mapping.get(&name) {
                Some(to) => format!("spec.namespaceMapping ({name} to {to})"),
                None => "spec.includedNamespaces".to_owned(),
            };
            report.warning(About::Run, format!("{what}: the backup holds nothing of namespace `{name}`"));
        }
    }
}

/// Warns of types that are neither in the backup nor known to the cluster. What an API serves that is down nobody knows.
pub(super) fn tell_types(spec: &RestoreSpec, spool: &Spool, catalog: &Catalog, report: &Report) {
    for name in spec.included_resources.iter().filter(|name| is_literal(name)) {
        let is_stored = spool.resources().any(|of| of.resource().as_str() == name);
        if !is_stored && catalog.failed.is_empty() && catalog.find(name).is_none() {
            let what = "names neither a type of the cluster nor one of the backup; write it in full, such as \
                        `widgets.example.com`";
            report.warning(About::Run, format!("spec.includedResources: `{name}` {what}"));
        }
    }
}

fn is_literal(name: &str) -> bool {
    Glob::parse(name).is_ok_and(|glob| glob.is_literal())
}
