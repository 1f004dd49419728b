//! Scheduled Backups: one Velero Schedule per selected cluster, kept as the spec says, and its runs followed.
//!
//! Velero in the member makes the runs, so they go on while the hub is away. Nothing here ends: the set of clusters,
//! and every field, follows the spec for as long as it has a schedule, and what a cluster says of its runs is derived
//! anew from what the member has. When the schedule is cleared, the Schedules go first; then the Backup is a one-time
//! one that has not begun.

mod apply;
mod observe;
mod plan;
mod render;
mod report;
mod rows;
mod runs;
mod step;
#[cfg(test)]
mod testing;
mod validate;

pub(crate) use observe::restorable;
pub(crate) use rows::good_run;

use kube::runtime::controller::Action;
use kurator_api::backup::Backup;

use super::observe::fleet;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::run;

/// Whether it has a schedule, or had one of which something is left.
pub(crate) fn concerns(backup: &Backup) -> bool {
    let rows = backup.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
    backup.spec.schedule().is_some() || rows.iter().any(|row| row.schedule.is_some())
}

pub(super) async fn reconcile(ctx: &Ctx, backup: &Backup) -> Result<Action, Error> {
    let now = ctx.clock.now();
    let fleet = fleet(ctx, backup);
    let asked = validate::validate(backup, fleet.as_deref(), &ctx.hub.uid, |key| ctx.hub.labels(key), now);
    let seen = observe::clusters(ctx, backup, &asked, fleet.as_deref(), now);
    let plan = plan::plan(&asked, &seen, now);
    let delayed = report::report(ctx, backup, &plan).await?;
    apply::apply(ctx, &asked.owner, &plan);
    Ok(run::look_again([plan.look_again, plan.due_in(now), delayed]))
}
