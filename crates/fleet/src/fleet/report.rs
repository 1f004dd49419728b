//! The status of a Fleet.

use kurator_api::cluster::ClusterKey;
use kurator_api::condition::{self, Condition};
use kurator_api::fleet::{Fleet, FleetClusterStatus, FleetPhase, FleetStatus};
use kurator_api::reason::Reason;
use tokio::time::Instant;

use super::plan::Plan;
use crate::ctx::Ctx;
use crate::destination::clusters_of;
use crate::error::Error;
use crate::standing::{Standing, Verdict};
use crate::text;

/// Condition: part of the spec belongs to features that are left alone.
const NOT_MANAGED: &str = "NotManaged";
/// Condition: something about the object store is worth knowing.
const STORAGE: &str = "Storage";
/// Above this many rows the status is not written with every change of one.
const PACED_ABOVE: usize = 100;
/// How many names a message holds.
const NAMES_SHOWN: usize = 5;
/// How many names an event holds, which must not exceed a kilobyte.
const NAMES_IN_EVENT: usize = 10;

/// Writes what the plan says. Returns when to come back if it is too early to write.
pub(super) async fn report(ctx: &Ctx, fleet: &Fleet, plan: &Plan) -> Result<Option<Instant>, Error> {
    let before = fleet.status.clone().unwrap_or_default();
    let now = ctx.clock.now();
    let (phase, verdict) = verdict(plan);
    let mut conditions = before.conditions.clone();
    verdict.record(&mut conditions, now);
    condition::set(&mut conditions, members_ready(plan, now));
    note(&mut conditions, NOT_MANAGED, not_managed(plan), now);
    let storage = plan.notes.first().map(|note| (note.reason, note.message.clone()));
    note(&mut conditions, STORAGE, storage, now);
    let connected = plan.rows.iter().take(plan.listed).filter(|row| row.ready).count();
    let status = FleetStatus {
        phase: Some(phase),
        reason: (phase == FleetPhase::Failed).then(|| verdict.message.clone()),
        ready_clusters: count(connected),
        un_ready_clusters: count(plan.listed - connected),
        conditions,
        observed_generation: fleet.metadata.generation,
        clusters: plan.rows.clone(),
        ..before.clone()
    };
    if fleet.status.as_ref() == Some(&status) {
        return Ok(None);
    }
    let uid = fleet.metadata.uid.as_deref().unwrap_or_default();
    let is_paced = plan.rows.len() > PACED_ABOVE && before.phase == status.phase;
    let size = || serde_json::to_vec(&status).map_or(0, |json| json.len());
    if is_paced && let Some(wait) = ctx.pace.wait(uid, size) {
        return Ok(Some(wait));
    }
    ctx.hub.write_status(fleet, &status).await?;
    ctx.pace.wrote(uid);
    ctx.tell(fleet, &before.conditions, &verdict);
    tell_lost(ctx, fleet, &plan.lost);
    Ok(None)
}

/// Names in an event the members that something of ours may be left in for good; in the log, all of them.
pub(super) fn tell_lost(ctx: &Ctx, fleet: &Fleet, members: &[ClusterKey]) {
    if members.is_empty() {
        return;
    }
    let names: Vec<_> = members.iter().map(|key| key.name.clone()).collect();
    tracing::warn!(fleet = crate::hub::describe(fleet), ?names, "given up on the clean-up of members");
    let message = format!(
        "given up on the clean-up of {}: the storage location and its Secret may be left in namespace `velero` there",
        text::some_of(&names, NAMES_IN_EVENT)
    );
    ctx.tell(fleet, &[], &Verdict::stalled(Reason::MemberCleanupPending, message));
}

fn count(clusters: usize) -> u32 {
    u32::try_from(clusters).unwrap_or(u32::MAX)
}

fn is_good(row: &FleetClusterStatus) -> bool {
    row.ready && row.backup.as_ref().is_none_or(|backup| backup.ready)
}

/// Out of reach: no reason to call the Fleet as a whole unwell.
fn is_away(row: &FleetClusterStatus) -> bool {
    const AWAY: [Reason; 8] = [
        Reason::Unreachable,
        Reason::Unauthorized,
        Reason::Forbidden,
        Reason::Connecting,
        Reason::KubeconfigSecretMissing,
        Reason::KubeconfigKeyMissing,
        Reason::KubeconfigInvalid,
        Reason::KubeconfigRefused,
    ];
    !row.ready && is_one_of(row.reason.as_deref(), &AWAY)
}

/// Whether somebody must edit something before the row can become good.
fn needs_help(row: &FleetClusterStatus) -> bool {
    const HELP: [Reason; 8] = [
        Reason::Unauthorized,
        Reason::ServedByAnother,
        Reason::SameCluster,
        Reason::PrefixTaken,
        Reason::ClusterNotFound,
        Reason::ClusterInAnotherFleet,
        Reason::LocationConflict,
        Reason::Forbidden,
    ];
    !is_good(row) && is_one_of(why(row).0, &HELP)
}

fn is_one_of(reason: Option<&str>, some: &[Reason]) -> bool {
    some.iter().any(|one| Some(one.as_str()) == reason)
}

/// Why a row is not good: reason and message.
fn why(row: &FleetClusterStatus) -> (Option<&str>, Option<&str>) {
    match row.backup.as_ref().filter(|_| row.ready) {
        Some(backup) => (backup.reason.as_deref(), backup.message.as_deref()),
        None => (row.reason.as_deref(), row.message.as_deref()),
    }
}

fn named(row: &FleetClusterStatus) -> String {
    let (reason, message) = why(row);
    let parts = [Some(row.name.as_str()), reason, message];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

fn verdict(plan: &Plan) -> (FleetPhase, Verdict) {
    let rows = &plan.rows[..plan.listed.min(plan.rows.len())];
    if let Some(first) = plan.problems.first() {
        let all: Vec<_> = plan.problems.iter().map(|problem| problem.message.as_str()).collect();
        return (FleetPhase::Failed, Verdict::stalled(first.reason, all.join("; ")));
    }
    if rows.is_empty() {
        let message = "spec.clusters is empty; list the clusters of the fleet";
        return (FleetPhase::Pending, Verdict::underway(Reason::NoClusters, message));
    }
    let (good, away) =
        (rows.iter().filter(|row| is_good(row)).count(), rows.iter().filter(|row| is_away(row)).count());
    let counts = format!("{good}/{} clusters ready", rows.len());
    if good > 0 && good + away == rows.len() {
        return (FleetPhase::Ready, Verdict::ready(Reason::AsExpected, counts));
    }
    // First what somebody must help with, last what is only out of reach.
    let order = |row: &&FleetClusterStatus| (!needs_help(row), is_away(row));
    let worst = rows.iter().filter(|row| !is_good(row)).min_by_key(order);
    let message = worst.map(|row| format!("{counts}; {}", named(row))).unwrap_or(counts);
    let standing = if worst.is_some_and(needs_help) { Standing::Stalled } else { Standing::Underway };
    (FleetPhase::Running, Verdict::new(standing, Reason::MembersUnready, message))
}

fn members_ready(plan: &Plan, now: jiff::Timestamp) -> Condition {
    let rows = &plan.rows[..plan.listed.min(plan.rows.len())];
    let rest: Vec<_> = rows.iter().filter(|row| !is_good(row)).map(|row| row.name.clone()).collect();
    all_but(rows.len(), &rest, now)
}

/// How many of all members are ready: all but the `rest`.
fn all_but(all: usize, rest: &[String], now: jiff::Timestamp) -> Condition {
    let counts = format!("{}/{all}", all.saturating_sub(rest.len()));
    let (holds, reason, message) = match (all, rest) {
        (0, _) => (false, Reason::NoClusters, counts),
        (_, []) => (true, Reason::AsExpected, counts),
        (_, rest) => {
            let message = format!("{counts}, not ready: {}", text::some_of(rest, NAMES_SHOWN));
            (false, Reason::MembersUnready, message)
        }
    };
    Condition::new(condition::MEMBERS_READY, holds, reason, message, now)
}

fn not_managed(plan: &Plan) -> Option<(Reason, String)> {
    let fields = &plan.not_managed;
    (!fields.is_empty())
        .then(|| (Reason::NotManaged, format!("accepted and left alone: {}", fields.join(", "))))
}

/// A condition that exists only while there is something to say.
fn note(conditions: &mut Vec<Condition>, type_: &str, said: Option<(Reason, String)>, now: jiff::Timestamp) {
    match said {
        Some((reason, message)) => {
            condition::set(conditions, Condition::new(type_, true, reason, message, now));
        }
        None => conditions.retain(|condition| condition.type_ != type_),
    }
}

pub(super) async fn report_terminating(
    ctx: &Ctx,
    fleet: &Fleet,
    verdict: &Verdict,
    plan: &Plan,
) -> Result<(), Error> {
    let before = fleet.status.clone().unwrap_or_default();
    let status = terminating(fleet, verdict, plan, ctx.clock.now());
    if status == before {
        return Ok(());
    }
    ctx.hub.write_status(fleet, &status).await?;
    ctx.tell(fleet, &before.conditions, verdict);
    tell_lost(ctx, fleet, &plan.lost);
    Ok(())
}

fn terminating(fleet: &Fleet, verdict: &Verdict, plan: &Plan, now: jiff::Timestamp) -> FleetStatus {
    let before = fleet.status.clone().unwrap_or_default();
    let mut conditions = before.conditions.clone();
    verdict.record(&mut conditions, now);
    // Each is being left, or was.
    let members: Vec<_> = clusters_of(fleet).into_iter().map(|key| key.name).collect();
    condition::set(&mut conditions, all_but(members.len(), &members, now));
    FleetStatus { phase: Some(FleetPhase::Terminating), conditions, clusters: plan.rows.clone(), ..before }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::condition::ConditionStatus;
    use kurator_api::fleet::MemberBackupStatus;
    use serde_json::json;

    fn row(name: &str, reason: Reason, backup: Option<Reason>) -> FleetClusterStatus {
        let backup = backup.map(|reason| MemberBackupStatus {
            ready: reason == Reason::AsExpected,
            reason: Some(reason.as_str().to_owned()),
            message: Some("so it is".to_owned()),
            ..MemberBackupStatus::default()
        });
        FleetClusterStatus {
            name: name.to_owned(),
            ready: reason == Reason::Connected,
            reason: Some(reason.as_str().to_owned()),
            message: Some("why".to_owned()),
            backup,
            ..FleetClusterStatus::default()
        }
    }

    fn said(rows: Vec<FleetClusterStatus>) -> (FleetPhase, Standing, String) {
        let (phase, verdict) = verdict(&Plan::of(rows));
        (phase, verdict.standing, verdict.message)
    }

    #[test]
    fn a_fleet_that_needs_a_person_is_stalled_and_names_the_cluster_and_what_is_wrong() {
        let good = || row("m1", Reason::Connected, Some(Reason::AsExpected));
        for (bad, why) in [
            (row("m2", Reason::Connected, Some(Reason::SameCluster)), "SameCluster: so it is"),
            (row("m2", Reason::Connected, Some(Reason::PrefixTaken)), "PrefixTaken: so it is"),
            (row("m2", Reason::ClusterNotFound, None), "ClusterNotFound: why"),
        ] {
            let waits = row("m0", Reason::Connected, Some(Reason::LocationPending));
            let expected = format!("1/3 clusters ready; m2: {why}");
            assert_eq!(said(vec![waits, good(), bad]), (FleetPhase::Running, Standing::Stalled, expected));
        }
    }

    #[test]
    fn what_comes_by_itself_is_under_way_and_what_is_out_of_reach_leaves_the_fleet_ready() {
        let (good, away) = (
            || row("m1", Reason::Connected, Some(Reason::AsExpected)),
            || row("m2", Reason::KubeconfigSecretMissing, Some(Reason::AsExpected)),
        );
        assert_eq!(
            said(vec![good(), away()]),
            (FleetPhase::Ready, Standing::Ready, "1/2 clusters ready".into())
        );
        let pending = row("m3", Reason::Connected, Some(Reason::LocationPending));
        let expected = "1/3 clusters ready; m3: LocationPending: so it is".to_owned();
        assert_eq!(said(vec![good(), away(), pending]), (FleetPhase::Running, Standing::Underway, expected));
        let expected = "0/1 clusters ready; m2: KubeconfigSecretMissing: why".to_owned();
        assert_eq!(said(vec![away()]), (FleetPhase::Running, Standing::Underway, expected));
    }

    #[test]
    fn of_a_fleet_that_is_being_deleted_no_member_is_ready() {
        let good = || row("m1", Reason::Connected, Some(Reason::AsExpected));
        let clusters = ["m1", "m2"].map(|name| json!({"name": name, "kind": "AttachedCluster"}));
        let fleet =
            json!({"metadata": {"name": "f", "namespace": "default"}, "spec": {"clusters": clusters}});
        let mut fleet: Fleet = serde_json::from_value(fleet).unwrap();
        let said = |status: &FleetStatus| {
            let found = condition::find(&status.conditions, condition::MEMBERS_READY).unwrap();
            (found.status == ConditionStatus::True, found.message.clone().unwrap_or_default())
        };
        let mut before = FleetStatus::default();
        condition::set(
            &mut before.conditions,
            members_ready(&Plan::of(vec![good(), good()]), jiff::Timestamp::UNIX_EPOCH),
        );
        assert_eq!(said(&before), (true, "2/2".into()));
        fleet.status = Some(before);
        let leaving = Plan::of(vec![row("m1", Reason::MemberCleanupPending, Some(Reason::AsExpected))]);
        let verdict = Verdict::underway(Reason::MemberCleanupPending, "waits");
        let after = terminating(&fleet, &verdict, &leaving, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(said(&after), (false, "0/2, not ready: m1, m2".into()));
    }
}
