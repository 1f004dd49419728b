//! `orderedResources`: what of it is there. The order itself matters to pods with hooks only; the tarball has none.

use std::collections::HashSet;

use kurator_archive::ItemPath;

use super::{Gather, is_core};
use crate::report::About;
use crate::types::ApiType;

impl Gather<'_> {
    /// Remembers that an object has a place in `orderedResources`.
    pub(super) fn note_order(&self, api: &ApiType, path: &ItemPath) {
        let ordered = self.selection.ordered(api).iter();
        let place = ordered
            .enumerate()
            .find(|(_, one)| one.namespace.as_deref() == path.namespace() && one.name == path.name());
        if let Some((place, _)) = place {
            self.taken().ordered.insert((api.resource.clone(), place));
        }
    }

    /// Tells which objects of `orderedResources` are none of those that are taken, as Velero.
    pub(super) fn tell_order(&self) {
        let found = std::mem::take(&mut self.taken().ordered);
        let mut told = HashSet::new();
        for api in self.selection.visit(self.catalog).into_iter().filter(|api| !is_core(api, "namespaces")) {
            // Few groups have a resource of the same name; they share their places.
            if !told.insert(&api.resource) {
                continue;
            }
            for (place, one) in self.selection.ordered(api).iter().enumerate() {
                if !found.contains(&(api.resource.clone(), place)) {
                    let resource = &api.resource;
                    let warning =
                        format!("spec.orderedResources.{resource}: {one} is not among what is backed up");
                    self.report.warning(About::Run, warning);
                }
            }
        }
    }
}
