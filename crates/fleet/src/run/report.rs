//! Writes the status of a run.

use kube::ResourceExt;
use kurator_api::condition::Condition;
use tokio::time::Instant;

use super::Unfit;
use super::child::VeleroRun;
use super::kinds::{Run, RunPhase, Said};
use super::plan::Plan;
use super::rows::{Details, only_progress};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::standing::Verdict;

/// Writes what the plan says, and what `also` adds. Returns when to come back if it is too early to write.
pub(crate) async fn report<R, K>(
    ctx: &Ctx,
    object: &R,
    plan: &Plan<K>,
    also: impl FnOnce(&mut Vec<Condition>),
) -> Result<Option<Instant>, Error>
where
    R: Run,
    K: VeleroRun,
    R::Details: Details<Status = K::Status>,
{
    let before = object.said();
    let mut conditions = before.conditions.clone();
    plan.verdict.record(&mut conditions, ctx.clock.now());
    also(&mut conditions);
    let now = Said {
        phase: Some(plan.phase),
        conditions,
        details: plan.rows.write(),
        summary: Some(plan.rows.summary()),
        observed_generation: object.meta().generation,
        started: Some(plan.started),
        completed: plan.completed,
    };
    let urgent = before.phase != now.phase || before.started.is_none();
    if !urgent && only_progress(&before.details, &now.details) {
        return Ok(None);
    }
    let said_before = before.conditions.clone();
    let status = R::status(now);
    if R::status(before) == status {
        return Ok(None);
    }
    let uid = object.uid().unwrap_or_default();
    if !urgent
        && let Some(wait) = ctx.pace.wait(&uid, || serde_json::to_vec(&status).map_or(0, |json| json.len()))
    {
        return Ok(Some(wait));
    }
    ctx.hub.write_status(object, &status).await?;
    ctx.pace.wrote(&uid);
    ctx.tell(object, &said_before, &plan.verdict);
    Ok(None)
}

/// Says why the run has not started.
pub(crate) async fn report_unfit<R: Run>(ctx: &Ctx, object: &R, unfit: &Unfit) -> Result<(), Error> {
    let Said { phase: before, observed_generation, .. } = object.said();
    if !unfit.counts(
        before == Some(RunPhase::FailedValidation),
        observed_generation,
        object.meta().generation,
    ) {
        return Ok(());
    }
    let phase = if unfit.is_invalid() { RunPhase::FailedValidation } else { RunPhase::Pending };
    report_standing(ctx, object, phase, &unfit.0).await
}

/// Says something of the whole object and leaves its rows alone.
pub(crate) async fn report_standing<R: Run>(
    ctx: &Ctx,
    object: &R,
    phase: RunPhase,
    verdict: &Verdict,
) -> Result<(), Error> {
    let before = object.said();
    let mut now = before.clone();
    verdict.record(&mut now.conditions, ctx.clock.now());
    now.phase = Some(phase);
    now.observed_generation = object.meta().generation;
    let said_before = before.conditions.clone();
    let status = R::status(now);
    if R::status(before) == status {
        return Ok(());
    }
    ctx.hub.write_status(object, &status).await?;
    ctx.tell(object, &said_before, verdict);
    Ok(())
}
