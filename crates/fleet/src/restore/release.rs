//! The end of a Restore: what was made to read its Backup goes when it has expired, the records of its runs go when
//! it is deleted. What was restored stays.

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;
use kurator_api::velero;

use super::validate::owner;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::is_forced;
use crate::mount::{self, Mounted};
use crate::run::kinds::{Run, RunPhase};
use crate::run::{self, Started, report};
use crate::standing::Verdict;

/// Takes away what a finished Restore needs no more.
pub(super) fn tidy(ctx: &Ctx, restore: &Restore) -> Action {
    let run = begun(ctx, restore);
    if run.recorded.values().all(|row| row.source_location.is_none()) {
        ctx.forget(restore);
        return Action::await_change();
    }
    let wakes = &ctx.router.wakes.restores;
    run::look_again([mount::tidy(ctx, &run.owner, mounted(&run), wakes)])
}

pub(super) async fn release(ctx: &Ctx, restore: &Restore) -> Result<Action, Error> {
    if !restore.finalizers().iter().any(|held| held == names::RESTORE_FINALIZER) {
        return Ok(Action::await_change());
    }
    let run = begun(ctx, restore);
    let forced = is_forced(restore);
    let waiting = mount::release(ctx, &run.owner, mounted(&run), forced, &ctx.router.wakes.restores);
    if !waiting.is_over(forced) {
        let verdict = Verdict::underway(Reason::MemberCleanupPending, waiting.message(""));
        report::report_standing(ctx, restore, RunPhase::Deleting, &verdict).await?;
        return Ok(run::look_again([waiting.look_again]));
    }
    let was_there = ctx.hub.remove_finalizer(restore, names::RESTORE_FINALIZER).await?;
    if let Some(message) = waiting.given_up().filter(|_| was_there) {
        ctx.tell(restore, &[], &Verdict::stalled(Reason::MemberCleanupPending, message));
    }
    ctx.forget(restore);
    Ok(Action::await_change())
}

fn begun(ctx: &Ctx, restore: &Restore) -> Started<velero::RestoreStatus> {
    Started::again(owner(restore, None, &ctx.hub.uid), &restore.said())
}

fn mounted(run: &Started<velero::RestoreStatus>) -> impl Iterator<Item = Mounted<'_>> {
    run.recorded.iter().map(|(cluster, row)| Mounted {
        cluster,
        location: row.source_location.as_deref(),
        backup: row.source.as_deref(),
        restore: row.child.as_deref(),
    })
}
