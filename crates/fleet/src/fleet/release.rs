//! Deletion of a Fleet: what it wrote goes from the members, labels go from the cluster objects.
//! Backups, their objects and their data stay; what runs in a member ends before that member is cleaned up.

use std::collections::HashSet;
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use kurator_api::reason::Reason;

use super::plan::Plan;
use super::validate::{Plugin, ValidFleet};
use super::{apply, claim, observe, plan, report};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::is_forced;
use crate::run::look_again;
use crate::standing::{Standing, Verdict};
use crate::text;

/// How many names a message holds.
const NAMES_SHOWN: usize = 3;

pub(super) async fn release(ctx: &Arc<Ctx>, fleet: &Fleet) -> Result<Action, Error> {
    if !fleet.finalizers().iter().any(|held| held == names::FLEET_FINALIZER) {
        return Ok(Action::await_change());
    }
    let empty = ValidFleet {
        uid: fleet.uid().unwrap_or_default(),
        name: fleet.name_any(),
        clusters: Vec::new(),
        problems: Vec::new(),
        plugin: Plugin::Off,
        not_managed: Vec::new(),
    };
    let forced = is_forced(fleet);
    let seen = observe::observe(ctx, fleet, &empty);
    let plan = plan::plan(&empty, if forced { seen.in_use_or_not() } else { seen });
    apply::apply(ctx, fleet, &plan);
    ctx.router.engines.want(ctx, &empty.uid, &plan.served);
    let stuck: HashSet<_> = plan.stuck.iter().map(|key| (key.kind, key.name.as_str())).collect();
    if plan.rows.iter().any(|row| !forced || !stuck.contains(&(row.kind, row.name.as_str()))) {
        let verdict = waiting(&plan, forced);
        report::report_terminating(ctx, fleet, &verdict, &plan).await?;
        claim::let_go(ctx, fleet, &plan.left).await?;
        return Ok(look_again([plan.look_again]));
    }
    let uid = fleet.uid().unwrap_or_default();
    if ctx.writes.in_flight(&uid) {
        // Its end wakes the Fleet.
        return Ok(Action::await_change());
    }
    claim::release(ctx, fleet, &[]).await?;
    if ctx.hub.remove_finalizer(fleet, names::FLEET_FINALIZER).await? {
        let given_up: Vec<_> = plan.stuck.into_iter().chain(plan.lost).collect();
        report::tell_lost(ctx, fleet, &given_up);
    }
    ctx.router.engines.want(ctx, &uid, &[]);
    ctx.router.engines.forget_key(&uid);
    ctx.forget(fleet);
    Ok(Action::await_change())
}

fn waiting(plan: &Plan, forced: bool) -> Verdict {
    let names: Vec<_> = plan.rows.iter().map(|row| row.name.clone()).collect();
    let mut message = format!("waiting for the clean-up of {}", text::some_of(&names, NAMES_SHOWN));
    if !forced && !plan.stuck.is_empty() {
        let annotation = names::FORCE_DELETE_ANNOTATION;
        message.push_str(&format!("; annotate `{annotation}: \"true\"` to give up on what is out of reach"));
    }
    // Rather than what goes on by itself.
    let held_up = plan.blocked.first().or(plan.needed.first()).or(plan.stuck.first());
    let told = plan.rows.iter().find_map(|row| {
        let is_it = held_up.is_none_or(|key| key.kind == row.kind && key.name == row.name);
        Some((&row.name, row.message.as_ref().filter(|_| is_it)?))
    });
    // Last, because it is what may be cut off.
    if let Some((name, why)) = told {
        message.push_str(&format!("; {name}: {why}"));
    }
    let standing = if plan.blocked.is_empty() { Standing::Underway } else { Standing::Stalled };
    Verdict::new(standing, Reason::MemberCleanupPending, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKey;
    use kurator_api::fleet::FleetClusterStatus;

    fn row(name: &str, why: &str) -> FleetClusterStatus {
        FleetClusterStatus {
            name: name.to_owned(),
            message: Some(why.to_owned()),
            ..FleetClusterStatus::default()
        }
    }

    fn key(row: &FleetClusterStatus) -> ClusterKey {
        ClusterKey { namespace: "default".into(), kind: row.kind, name: row.name.clone() }
    }

    #[test]
    fn a_fleet_that_goes_names_what_still_needs_a_member_with_its_reason_and_the_remedy() {
        let refused = "Backup `b` is being deleted: DeletionRefused: set spec.deletionPolicy to `Retain`";
        let rows = vec![row("m1", "being cleaned up"), row("m2", "no route"), row("m3", refused)];
        let (stuck, blocked) = (vec![key(&rows[1])], vec![key(&rows[2])]);
        let plan = Plan { stuck, needed: vec![key(&rows[0])], blocked, ..Plan::of(rows) };
        let verdict = waiting(&plan, false);
        assert_eq!((verdict.standing, verdict.reason), (Standing::Stalled, Reason::MemberCleanupPending));
        let expected = format!(
            "waiting for the clean-up of m1, m2, m3; annotate `kurator.dev/force-delete: \"true\"` to give up on what is \
             out of reach; m3: {refused}"
        );
        assert_eq!(verdict.message, expected);
    }

    #[test]
    fn a_fleet_that_goes_names_what_is_out_of_reach_rather_than_what_goes_on_by_itself() {
        let rows = vec![row("m1", "being cleaned up"), row("m2", "no route")];
        let plan = Plan { stuck: vec![key(&rows[1])], ..Plan::of(rows) };
        let verdict = waiting(&plan, false);
        assert!(verdict.message.ends_with("; m2: no route"));
        assert_eq!(verdict.standing, Standing::Underway);
    }
}
