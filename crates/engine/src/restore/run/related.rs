//! What the objects of a restore bring in although the plan itself would not take it.

use std::collections::BTreeSet;

use kurator_archive::Spool;
use serde_json::Value;

use crate::restore::{Context, ItemRef, Made, transform};

/// Types whose objects bring others in, in the order in which one brings in the next.
const BRINGING: [&str; 2] = ["pods", "persistentvolumeclaims"];

/// The objects that others bring in. Their own type and namespace still have to be taken.
pub(super) fn related(spool: &Spool, context: &Context) -> BTreeSet<ItemRef> {
    let mut related = BTreeSet::new();
    for resource in BRINGING {
        let Ok(of) = resource.parse() else { continue };
        for item in spool.items(&of) {
            // What cannot be read is told when it is its turn.
            let Ok(item) = item else { break };
            let reference = super::reference(resource, &item);
            let namespace = item.namespace.as_deref();
            let brought =
                related.contains(&reference) && context.plan.takes_related(resource, namespace).is_ok();
            if !brought && context.plan.takes(resource, namespace).is_err() {
                continue;
            }
            let Ok(object) = serde_json::from_slice::<Value>(&item.json) else { continue };
            if !brought && !context.plan.selects(resource, namespace, &object) {
                continue;
            }
            if let Ok(Made::Create(made)) = transform(object, resource, context) {
                related.extend(made.related);
            }
        }
    }
    related
}
