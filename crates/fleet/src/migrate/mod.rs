//! Migrates: one Velero Backup in the source, then one Velero Restore of it in every target.
//!
//! The second stage begins only after a good end of the first. The way from a target to the backup is prepared while
//! that still runs, and each target goes on its own. A finished Migrate never runs again.

mod apply;
mod observe;
mod plan;
mod release;
mod report;
mod stage;
mod template;
mod validate;

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kurator_api::migrate::{Migrate, MigratePhase};
use kurator_api::names;
use serde_json::json;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::Guarded;
use crate::run;

pub(crate) async fn reconcile(object: Arc<Guarded<Migrate>>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let migrate = match &object.0 {
        Ok(migrate) => migrate,
        Err(undecodable) => {
            ctx.report_undecodable(&*object, undecodable, json!({"phase": "FailedValidation"})).await?;
            return Ok(Action::await_change());
        }
    };
    if migrate.metadata.deletion_timestamp.is_some() {
        return release::release(&ctx, migrate).await;
    }
    if is_finished(migrate) {
        report::complete(&ctx, migrate).await?;
        return Ok(release::tidy(&ctx, migrate));
    }
    if !migrate.finalizers().iter().any(|held| held == names::MIGRATE_FINALIZER) {
        ctx.hub.add_finalizer(migrate, names::MIGRATE_FINALIZER).await?;
        return Ok(Action::await_change());
    }
    let fleets = observe::fleets(&ctx, migrate);
    let valid = match validate::validate(migrate, &fleets.named(), &ctx.hub.uid, |key| ctx.hub.labels(key)) {
        Ok(valid) => valid,
        Err(unfit) => {
            report::report_unfit(&ctx, migrate, &unfit).await?;
            return Ok(Action::await_change());
        }
    };
    let store = observe::store(&ctx, &fleets).await?;
    let source = plan::source(&ctx, &valid, observe::source(&ctx, &valid));
    let targets = observe::targets(&ctx, &valid, &source, &store);
    let plan = plan::plan(&ctx, &valid, source, targets);
    let delayed = report::report(&ctx, migrate, &plan).await?;
    let look_again = plan.look_again;
    apply::apply(&ctx, &valid, plan);
    Ok(run::look_again([look_again, delayed]))
}

/// Whether nothing will change any more. A failed validation is not the end: an edit starts anew.
pub(crate) fn is_finished(migrate: &Migrate) -> bool {
    let phase = migrate.status.as_ref().and_then(|status| status.phase);
    phase.is_some_and(|phase| phase.is_terminal() && phase != MigratePhase::FailedValidation)
}
