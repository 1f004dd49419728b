//! Writes the status of a Migrate.

use kube::ResourceExt;
use kurator_api::backup::{BackupDetails, Summary};
use kurator_api::condition::{self, Condition};
use kurator_api::migrate::{Migrate, MigratePhase, MigrateStatus};
use kurator_api::reason::Reason;
use kurator_api::restore::RestoreDetails;
use tokio::time::Instant;

use super::plan::Plan;
use super::stage::Whole;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::run::Unfit;
use crate::run::retention::{Asked, say_retention};
use crate::run::rows::{Details, only_progress};
use crate::run::volumes::{Teller, say_volumes};
use crate::standing::Verdict;

/// Writes what the plan says. Returns when to come back if it is too early to write.
pub(super) async fn report(ctx: &Ctx, migrate: &Migrate, plan: &Plan) -> Result<Option<Instant>, Error> {
    let before = migrate.status.clone().unwrap_or_default();
    let now = ctx.clock.now();
    let Whole { phase, verdict, source_ready: (is_ready, reason, message) } = &plan.whole;
    let mut conditions = before.conditions.clone();
    verdict.record(&mut conditions, now);
    let ready = Condition::new(condition::SOURCE_READY, *is_ready, *reason, message, now);
    condition::set(&mut conditions, ready);
    let source = &plan.source_row;
    let backup = source.child.iter().map(|name| (source.cluster.clone(), name.clone()));
    say_volumes(ctx, Teller::Restore, backup, &mut conditions);
    let policy = migrate.spec.policy.as_ref();
    let asked = Asked {
        ttl: ("spec.policy.ttl", policy.and_then(|policy| policy.ttl.as_deref())),
        policy: ("spec.policy.deletionPolicy", policy.and_then(|policy| policy.deletion_policy)),
    };
    say_retention(ctx, asked, std::iter::once(source.cluster.clone()), &mut conditions);
    let finished = phase.is_terminal();
    let mut status = MigrateStatus {
        phase: Some(*phase),
        conditions,
        observed_generation: migrate.metadata.generation,
        ..MigrateStatus::default()
    };
    if plan.begun {
        status.source_cluster_status = Some(BackupDetails::write(&plan.source_row));
        status.target_cluster_status = plan.targets.rows.write();
        status.summary = Some(plan.targets.rows.summary());
        status.start_timestamp = Some(plan.source.started);
        status.completion_timestamp = finished.then_some(now);
    }
    let urgent = before.phase != status.phase
        || before.start_timestamp.is_none()
        || has_new_way(&before.target_cluster_status, &status.target_cluster_status);
    write(ctx, migrate, before, status, verdict, urgent).await
}

/// Adds what Kurator leaves out of the status of a Migrate that it finished: the count of rows, and the conditions.
pub(super) async fn complete(ctx: &Ctx, migrate: &Migrate) -> Result<(), Error> {
    let before = migrate.status.clone().unwrap_or_default();
    if before.summary.is_some() {
        return Ok(());
    }
    let namespace = migrate.namespace().unwrap_or_default();
    let phases = before.target_cluster_status.iter().map(|row| Some(row.read(row.cluster(&namespace)).phase));
    let summary = Summary::of(phases);
    let message = format!("{} clusters completed", summary.status);
    let verdict = match before.phase {
        Some(MigratePhase::Completed) => Verdict::ready(Reason::Completed, message),
        _ => Verdict::stalled(Reason::Failed, message),
    };
    let mut now = MigrateStatus { summary: Some(summary), ..before.clone() };
    verdict.record(&mut now.conditions, ctx.clock.now());
    now.observed_generation = migrate.metadata.generation;
    write(ctx, migrate, before, now, &verdict, true).await.map(drop)
}

/// Whether a cluster has to wait for this write before anything is made there.
fn has_new_way(before: &[RestoreDetails], now: &[RestoreDetails]) -> bool {
    before.iter().zip(now).any(|(before, now)| before.source_location != now.source_location)
}

/// Says why the Migrate has not started.
pub(super) async fn report_unfit(ctx: &Ctx, migrate: &Migrate, unfit: &Unfit) -> Result<(), Error> {
    let before = migrate.status.as_ref();
    let is_refused = before.and_then(|before| before.phase) == Some(MigratePhase::FailedValidation);
    let observed = before.and_then(|before| before.observed_generation);
    if !unfit.counts(is_refused, observed, migrate.metadata.generation) {
        return Ok(());
    }
    let phase = if unfit.is_invalid() { MigratePhase::FailedValidation } else { MigratePhase::Pending };
    report_standing(ctx, migrate, phase, &unfit.0).await
}

/// Says something of the whole object and leaves its rows alone.
pub(super) async fn report_standing(
    ctx: &Ctx,
    migrate: &Migrate,
    phase: MigratePhase,
    verdict: &Verdict,
) -> Result<(), Error> {
    let before = migrate.status.clone().unwrap_or_default();
    let mut status = before.clone();
    verdict.record(&mut status.conditions, ctx.clock.now());
    status.phase = Some(phase);
    status.observed_generation = migrate.metadata.generation;
    write(ctx, migrate, before, status, verdict, true).await.map(drop)
}

async fn write(
    ctx: &Ctx,
    migrate: &Migrate,
    before: MigrateStatus,
    now: MigrateStatus,
    verdict: &Verdict,
    urgent: bool,
) -> Result<Option<Instant>, Error> {
    if before == now || (!urgent && is_only_progress(&before, &now)) {
        return Ok(None);
    }
    let uid = migrate.uid().unwrap_or_default();
    if !urgent
        && let Some(wait) = ctx.pace.wait(&uid, || serde_json::to_vec(&now).map_or(0, |json| json.len()))
    {
        return Ok(Some(wait));
    }
    ctx.hub.write_status(migrate, &now).await?;
    ctx.pace.wrote(&uid);
    ctx.tell(migrate, &before.conditions, verdict);
    Ok(None)
}

fn is_only_progress(before: &MigrateStatus, now: &MigrateStatus) -> bool {
    before.source_cluster_status == now.source_cluster_status
        && only_progress(&before.target_cluster_status, &now.target_cluster_status)
}
