//! What is said of a Backup or Migrate that asks the built-in engine to delete what it has stored: it does not yet.

use kurator_api::backup::DeletionPolicy;
use kurator_api::cluster::ClusterKey;
use kurator_api::condition::{self, Condition};
use kurator_api::reason::Reason;

use crate::ctx::Ctx;
use crate::served::is_served;
use crate::text;

/// How many clusters a message names.
const NAMES_SHOWN: usize = 5;

/// What a spec says of how long its backups stay, each with where it says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) ttl: (&'static str, Option<&'a str>),
    pub(crate) policy: (&'static str, Option<DeletionPolicy>),
}

/// Says in a condition what of that is not done in these clusters.
pub(crate) fn say_retention(
    ctx: &Ctx,
    asked: Asked<'_>,
    clusters: impl Iterator<Item = ClusterKey>,
    conditions: &mut Vec<Condition>,
) {
    let by_hub: Vec<_> =
        clusters.filter(|cluster| is_served(ctx, cluster)).map(|cluster| cluster.name).collect();
    match retention(asked, &by_hub) {
        Some(message) => {
            let now = ctx.clock.now();
            let said = Condition::new(condition::RETENTION, false, Reason::NotSupported, message, now);
            condition::set(conditions, said);
        }
        None => conditions.retain(|condition| condition.type_ != condition::RETENTION),
    }
}

fn retention(asked: Asked<'_>, by_hub: &[String]) -> Option<String> {
    let Asked { ttl, policy } = asked;
    let asked = [(ttl.0, ttl.1.is_some()), (policy.0, policy.1 == Some(DeletionPolicy::Delete))];
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

    #[test]
    fn whoever_asks_the_hub_to_delete_what_is_stored_is_told_that_it_does_not() {
        let said = |ttl, policy, by_hub: &[&str]| {
            let by_hub: Vec<_> = by_hub.iter().map(|name| (*name).to_owned()).collect();
            retention(
                Asked { ttl: ("spec.policy.ttl", ttl), policy: ("spec.deletionPolicy", policy) },
                &by_hub,
            )
        };
        assert_eq!(said(None, None, &["m1"]), None);
        assert_eq!(said(None, Some(DeletionPolicy::Retain), &["m1"]), None);
        assert_eq!(said(Some("1h"), Some(DeletionPolicy::Delete), &[]), None);
        let expected = "spec.policy.ttl, spec.deletionPolicy: the built-in engine deletes nothing that it has stored yet, so \
                        backups of m1 stay until you remove them";
        assert_eq!(said(Some("1h"), Some(DeletionPolicy::Delete), &["m1"]).as_deref(), Some(expected));
    }
}
