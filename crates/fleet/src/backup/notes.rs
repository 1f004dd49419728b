//! What a Backup says of things that the built-in engine does not do yet.

use kurator_api::backup::{BackupSpec, DeletionPolicy};
use kurator_api::cluster::ClusterKey;
use kurator_api::condition::{self, Condition};
use kurator_api::reason::Reason;

use crate::ctx::Ctx;
use crate::served::is_served;
use crate::text;

/// How many clusters a message names.
const NAMES_SHOWN: usize = 5;

/// Says in a condition what of the spec asks the built-in engine to delete what it has stored.
pub(super) fn say_retention(
    ctx: &Ctx,
    spec: &BackupSpec,
    clusters: impl Iterator<Item = ClusterKey>,
    conditions: &mut Vec<Condition>,
) {
    let by_hub: Vec<_> =
        clusters.filter(|cluster| is_served(ctx, cluster)).map(|cluster| cluster.name).collect();
    match retention(spec, &by_hub) {
        Some(message) => {
            let now = ctx.clock.now();
            let said = Condition::new(condition::RETENTION, false, Reason::NotSupported, message, now);
            condition::set(conditions, said);
        }
        None => conditions.retain(|condition| condition.type_ != condition::RETENTION),
    }
}

fn retention(spec: &BackupSpec, by_hub: &[String]) -> Option<String> {
    let asked = [
        ("spec.policy.ttl", spec.policy.as_ref().is_some_and(|policy| policy.ttl.is_some())),
        ("spec.deletionPolicy", spec.deletion_policy == Some(DeletionPolicy::Delete)),
    ];
    let fields: Vec<_> = asked.iter().filter(|(_, asked)| *asked).map(|(field, _)| *field).collect();
    (!fields.is_empty() && !by_hub.is_empty()).then(|| {
        format!(
            "{}: the built-in engine deletes nothing that it has stored yet, so backups of {} stay until you remove them",
            fields.join(", "),
            text::some_of(by_hub, NAMES_SHOWN)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whoever_asks_the_hub_to_delete_what_is_stored_is_told_that_it_does_not() {
        let said = |spec: &serde_json::Value, by_hub: &[&str]| {
            let by_hub: Vec<_> = by_hub.iter().map(|name| (*name).to_owned()).collect();
            retention(&serde_json::from_value(spec.clone()).unwrap(), &by_hub)
        };
        let plain = json!({"destination": {"fleet": "f"}});
        let asks =
            json!({"destination": {"fleet": "f"}, "policy": {"ttl": "1h"}, "deletionPolicy": "Delete"});
        assert_eq!(said(&plain, &["m1"]), None);
        assert_eq!(said(&asks, &[]), None);
        let expected = "spec.policy.ttl, spec.deletionPolicy: the built-in engine deletes nothing that it has stored yet, so \
                        backups of m1 stay until you remove them";
        assert_eq!(said(&asks, &["m1"]).as_deref(), Some(expected));
    }
}
