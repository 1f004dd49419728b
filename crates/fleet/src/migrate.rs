//! Migrates: accepted by the API, not acted upon by this version, and told so.

use std::sync::Arc;

use kube::runtime::controller::Action;
use kurator_api::migrate::{Migrate, MigratePhase};
use kurator_api::reason::Reason;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::Guarded;
use crate::standing::Verdict;

pub(crate) async fn reconcile(object: Arc<Guarded<Migrate>>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let Ok(migrate) = &object.0 else { return Ok(Action::await_change()) };
    if migrate.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let before = migrate.status.clone().unwrap_or_default();
    let mut now = before.clone();
    let verdict = Verdict::stalled(Reason::NotSupported, "this version does not migrate; delete the object");
    verdict.record(&mut now.conditions, ctx.clock.now());
    now.phase = Some(MigratePhase::FailedValidation);
    now.observed_generation = migrate.metadata.generation;
    if now != before {
        ctx.hub.write_status(migrate, &now).await?;
        ctx.tell(migrate, &before.conditions, &verdict);
    }
    Ok(Action::await_change())
}
