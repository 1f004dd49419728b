//! Starts what a plan asks for. Nothing is waited for.

use super::plan::Plan;
use super::validate::ValidMigrate;
use crate::ctx::Ctx;
use crate::mount;
use crate::run;

pub(super) fn apply(ctx: &Ctx, valid: &ValidMigrate, plan: Plan) {
    let wakes = &ctx.router.wakes.migrates;
    run::apply::apply(ctx, &valid.source.owner, &plan.source, wakes);
    let owner = &valid.targets.owner;
    for (cluster, way) in plan.prepared {
        mount::apply(ctx, owner, &cluster, way.actions, wakes);
    }
    if plan.begun {
        run::apply::apply(ctx, owner, &plan.targets, wakes);
    }
}
