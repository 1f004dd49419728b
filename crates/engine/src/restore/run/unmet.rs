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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::restore::testing::{report, restore, spool};
    use crate::types::ApiType;

    const STORED: [(&str, Option<&str>, &str); 3] = [
        ("namespaces", None, "empty"),
        ("pods", Some("shop"), "p"),
        ("widgets.example.com", Some("shop"), "w"),
    ];

    /// What is told of a Restore with this spec.
    fn told(spec: &Value) -> Vec<String> {
        let (spec, spool, report) = (restore(spec.clone()).spec, spool(&STORED), report());
        let unmet = Unmet::new(&spec, &spool);
        for of in spool.resources() {
            for item in spool.items(of.resource()).map(Result::unwrap) {
                item.namespace.iter().for_each(|namespace| unmet.met(namespace));
            }
        }
        unmet.tell(&spec, &report);
        report.close().unwrap().results.warnings.velero
    }

    #[test]
    fn a_namespace_of_which_the_backup_holds_nothing_is_told_with_its_field() {
        for (spec, expected) in [
            (json!({}), vec![]),
            (json!({"includedNamespaces": ["shop", "empty"]}), vec![]),
            (json!({"includedNamespaces": ["*"]}), vec![]),
            (json!({"includedNamespaces": ["sh*p", "none-*"]}), vec![]),
            (json!({"namespaceMapping": {"shop": "a"}}), vec![]),
            (
                json!({"includedNamespaces": ["shop", "shpo", "shop-2"]}),
                vec![
                    "spec.includedNamespaces: the backup holds nothing of namespace `shop-2`",
                    "spec.includedNamespaces: the backup holds nothing of namespace `shpo`",
                ],
            ),
            (
                json!({"includedNamespaces": ["shpo"], "namespaceMapping": {"shpo": "copy"}}),
                vec!["spec.namespaceMapping (shpo to copy): the backup holds nothing of namespace `shpo`"],
            ),
        ] {
            assert_eq!(told(&spec), expected, "{spec}");
        }
    }

    #[test]
    fn a_type_that_neither_the_cluster_nor_the_backup_knows_is_told() {
        let pods = ApiType { resource: "pods".into(), singular: "pod".into(), ..ApiType::default() };
        let down = ("metrics.k8s.io/v1".to_owned(), "its server does not answer".to_owned());
        let what = "names neither a type of the cluster nor one of the backup; write it in full, such as \
                    `widgets.example.com`";
        for (named, failed, expected) in [
            ("po*", vec![], None),
            ("pod", vec![], None),
            ("widgets.example.com", vec![], None),
            ("widgets", vec![], Some(format!("spec.includedResources: `widgets` {what}"))),
            ("widgets", vec![down], None),
        ] {
            let catalog = Catalog { types: vec![pods.clone()], failed };
            let report = report();
            let spec = restore(json!({"includedResources": [named]})).spec;
            tell_types(&spec, &spool(&STORED), &catalog, &report);
            let told = report.close().unwrap().results.warnings.velero;
            assert_eq!(told, Vec::from_iter(expected), "{named} {:?}", catalog.failed);
        }
    }
}
