//! Deletion of a Fleet: what it wrote goes from the members, labels go from the cluster objects.
//! Backups, their objects and their data stay.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use kurator_api::reason::Reason;

use super::validate::{Plugin, ValidFleet};
use super::{apply, claim, observe, plan, report};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::run::look_again;
use crate::standing::Verdict;
use crate::text;

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
    let plan = plan::plan(&empty, observe::observe(ctx, fleet, &empty));
    apply::apply(ctx, fleet, &plan);
    let forced = fleet.annotations().get(names::FORCE_DELETE_ANNOTATION).is_some_and(|value| value == "true");
    let waiting: Vec<_> = plan.rows.iter().map(|row| row.name.clone()).collect();
    if !waiting.is_empty() && !forced {
        let message = format!(
            "waiting for the clean-up of {}; annotate `{}: \"true\"` to give up on what is out of reach",
            text::some_of(&waiting, 5),
            names::FORCE_DELETE_ANNOTATION
        );
        let verdict = Verdict::underway(Reason::MemberCleanupPending, message);
        report::report_terminating(ctx, fleet, &verdict, plan.rows).await?;
        return Ok(look_again([plan.look_again]));
    }
    if !waiting.is_empty() {
        let message = format!("given up on the clean-up of {}", waiting.join(", "));
        ctx.tell(fleet, &[], &Verdict::stalled(Reason::MemberCleanupPending, message));
    }
    claim::release(ctx, fleet, &[]).await?;
    ctx.forget(fleet);
    ctx.hub.remove_finalizer(fleet, names::FLEET_FINALIZER).await?;
    Ok(Action::await_change())
}
