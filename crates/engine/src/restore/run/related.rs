//! What the objects of a restore bring in although the plan itself would not take it.

use kurator_archive::{Seen, Spool, SpooledItem};
use serde_json::Value;

use super::load;
use crate::report::{About, Report};
use crate::restore::{Context, ItemRef, Made, transform};

/// Types whose objects bring others in, in the order in which one brings in the next.
const BRINGING: [&str; 2] = ["pods", "persistentvolumeclaims"];
/// Objects that others bring in, at most: two for each of a million.
const MOST: u64 = 2_000_000;

/// Objects that others bring in.
#[derive(Debug, Default)]
pub(super) struct Related(Seen<ItemRef>);

impl Related {
    /// The objects that others bring in. Their own type and namespace still have to be taken.
    ///
    /// Where the plan takes every object of what it takes at all, nobody asks for them.
    pub(super) fn of(spool: &Spool, context: &Context, report: &Report) -> Self {
        let mut related = Self::default();
        if context.plan.takes_all_that_is_related() {
            return related;
        }
        for resource in BRINGING {
            let Ok(of) = resource.parse() else { continue };
            for item in spool.items(&of) {
                // What cannot be read is told when it is its turn.
                let Ok(item) = item else { break };
                for brought in related.brought_by(resource, &item, context) {
                    related.0.insert(&brought);
                    if related.0.count() >= MOST {
                        report.error(
                            About::Run,
                            format!(
                                "pods and claims name more than {MOST} objects; of those beyond only what the Restore \
                                 takes by itself is restored, restore fewer at a time"
                            ),
                        );
                        return related;
                    }
                }
            }
        }
        related
    }

    fn brought_by(&self, resource: &str, item: &SpooledItem, context: &Context) -> Vec<ItemRef> {
        let namespace = item.namespace.as_deref();
        let brought =
            self.contains(resource, item) && context.plan.takes_related(resource, namespace).is_ok();
        if !brought && context.plan.takes(resource, namespace).is_err() {
            return Vec::new();
        }
        if load::of(item).is_err() {
            return Vec::new();
        }
        let Ok(object) = serde_json::from_slice::<Value>(&item.json) else { return Vec::new() };
        if !brought && !context.plan.selects(resource, namespace, &object) {
            return Vec::new();
        }
        match transform(object, resource, context) {
            Ok(Made::Create(made)) => made.related,
            _ => Vec::new(),
        }
    }

    /// Whether another object brings this one in.
    pub(super) fn contains(&self, resource: &str, item: &SpooledItem) -> bool {
        let reference = ItemRef {
            resource: resource.to_owned(),
            namespace: item.namespace.clone(),
            name: item.name.clone(),
        };
        self.0.contains(&reference)
    }
}
