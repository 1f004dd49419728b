//! Writes the status of a scheduled Backup.

use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails, BackupStatus};
use kurator_api::cluster::ClusterKey;
use kurator_api::condition::{self, Condition};
use kurator_api::reason::Reason;
use tokio::time::Instant;

use super::super::retention;
use super::plan::Plan;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::run::retention::say_retention;
use crate::run::rows::only_progress;
use crate::run::volumes::{Teller, say_volumes};
use crate::standing::Verdict;
use crate::text;

/// Writes what the plan says. Returns when to come back if it is too early to write.
pub(super) async fn report(ctx: &Ctx, backup: &Backup, plan: &Plan) -> Result<Option<Instant>, Error> {
    let before = backup.status.clone().unwrap_or_default();
    let degraded = degraded(plan);
    let now = status(ctx, backup, plan, &before, degraded.as_ref());
    if before == now {
        return Ok(None);
    }
    let urgent = is_urgent(&before, &now);
    if !urgent && nothing_but_progress(&before, &now) {
        return Ok(None);
    }
    let uid = backup.uid().unwrap_or_default();
    if !urgent
        && let Some(wait) = ctx.pace.wait(&uid, || serde_json::to_vec(&now).map_or(0, |json| json.len()))
    {
        return Ok(Some(wait));
    }
    ctx.hub.write_status(backup, &now).await?;
    ctx.pace.wrote(&uid);
    ctx.tell(backup, &before.conditions, &plan.verdict);
    tell_of_runs(ctx, backup, &before, degraded.as_ref());
    if !plan.given_up.is_empty() {
        let message = format!(
            "no longer on the hub, so their schedules could not be removed: {}; delete them there",
            text::some_of(&plan.given_up, 3)
        );
        ctx.tell(backup, &[], &Verdict::stalled(Reason::ClusterNotFound, message));
    }
    Ok(None)
}

fn status(
    ctx: &Ctx,
    backup: &Backup,
    plan: &Plan,
    before: &BackupStatus,
    degraded: Option<&Verdict>,
) -> BackupStatus {
    let at = ctx.clock.now();
    let mut conditions = before.conditions.clone();
    plan.verdict.record(&mut conditions, at);
    let (reason, message) =
        degraded.map_or((Reason::AsExpected, ""), |verdict| (verdict.reason, verdict.message.as_str()));
    if plan.rows.is_empty() {
        // Nothing runs of which it could be said.
        conditions.retain(|condition| condition.type_ != condition::DEGRADED);
    } else {
        let degraded = Condition::new(condition::DEGRADED, degraded.is_some(), reason, message, at);
        condition::set(&mut conditions, degraded);
    }
    let namespace = backup.namespace().unwrap_or_default();
    let key = |row: &BackupDetails| ClusterKey {
        namespace: namespace.clone(),
        kind: row.cluster_kind,
        name: row.cluster_name.clone(),
    };
    let runs = plan.rows.iter().filter_map(|row| Some((key(row), row.backup_name_in_cluster.clone()?)));
    say_volumes(ctx, Teller::Backup, runs, &mut conditions);
    say_retention(ctx, retention(&backup.spec), plan.rows.iter().map(key), &mut conditions);
    BackupStatus {
        phase: plan.phase.or(before.phase),
        conditions,
        backup_details: plan.rows.clone(),
        summary: Some(plan.summary.clone()),
        observed_generation: backup.metadata.generation,
        // Those of a one-time run, which fix its spec.
        start_timestamp: None,
        completion_timestamp: None,
        last_success: plan.last_success,
        next_run: plan.next_run,
    }
}

fn degraded(plan: &Plan) -> Option<Verdict> {
    let named = (!plan.degraded.is_empty()).then(|| text::some_of(&plan.degraded, 5))?;
    Some(Verdict::stalled(Reason::RunFailed, format!("the newest run is not complete in {named}")))
}

fn tell_of_runs(ctx: &Ctx, backup: &Backup, before: &BackupStatus, degraded: Option<&Verdict>) {
    let was = condition::find(&before.conditions, condition::DEGRADED);
    if let Some(verdict) = degraded
        && !was.is_some_and(|was| was.is_because(verdict.reason))
    {
        ctx.tell(backup, &[], verdict);
    }
}

/// What is written at once: another phase or set of clusters, a condition that turns, the end of all runs, and a run
/// that was asked for, which must not be made again.
fn is_urgent(before: &BackupStatus, now: &BackupStatus) -> bool {
    let clusters = |status: &BackupStatus| {
        let key = |row: &kurator_api::backup::BackupDetails| {
            let ran_now = row.schedule.as_ref().and_then(|schedule| schedule.ran_now.clone());
            (row.cluster_kind, row.cluster_name.clone(), ran_now)
        };
        status.backup_details.iter().map(key).collect::<Vec<_>>()
    };
    let turns = |status: &BackupStatus| {
        status.conditions.iter().map(|c| (c.type_.clone(), c.status)).collect::<Vec<_>>()
    };
    let going =
        |status: &BackupStatus| status.summary.as_ref().is_some_and(|summary| summary.in_progress > 0);
    before.phase != now.phase
        || turns(before) != turns(now)
        || (going(before) && !going(now))
        || clusters(before) != clusters(now)
}

fn nothing_but_progress(before: &BackupStatus, now: &BackupStatus) -> bool {
    let without_rows = |status: &BackupStatus| BackupStatus { backup_details: Vec::new(), ..status.clone() };
    only_progress(&before.backup_details, &now.backup_details) && without_rows(before) == without_rows(now)
}
