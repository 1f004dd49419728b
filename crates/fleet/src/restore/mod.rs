//! Restores: one Velero Restore per selected cluster, of the run that a Backup made there.
//!
//! Each cluster goes as soon as its own source is there; one that is out of reach holds up no other.
//! Which run is restored is chosen once per cluster and written down. A finished Restore never runs again.

mod filter;
mod observe;
mod release;
mod source;
mod template;
mod validate;

pub(crate) use template::{status_filter, without_ours};

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kurator_api::filter::ResourceFilter;
use kurator_api::names;
use kurator_api::restore::Restore;
use serde_json::json;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::Guarded;
use crate::mount;
use crate::run::kinds::{Run, RunPhase};
use crate::run::volumes::{Teller, say_volumes};
use crate::run::{self, apply, plan, report};
use observe::SeenClusters;

/// Why Velero's Restore can't choose what this filter chooses, a sentence each.
#[must_use]
pub fn problems(filter: &ResourceFilter) -> Vec<String> {
    filter::types(filter).err().unwrap_or_default()
}

pub(crate) async fn reconcile(object: Arc<Guarded<Restore>>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let restore = match &object.0 {
        Ok(restore) => restore,
        Err(undecodable) => {
            ctx.report_undecodable(&*object, undecodable, json!({"phase": "FailedValidation"})).await?;
            return Ok(Action::await_change());
        }
    };
    if restore.metadata.deletion_timestamp.is_some() {
        return release::release(&ctx, restore).await;
    }
    if restore.phase().is_some_and(RunPhase::is_finished) {
        return Ok(release::tidy(&ctx, restore));
    }
    if !restore.finalizers().iter().any(|held| held == names::RESTORE_FINALIZER) {
        ctx.hub.add_finalizer(restore, names::RESTORE_FINALIZER).await?;
        return Ok(Action::await_change());
    }
    let source = observe::source(&ctx, restore);
    let fleet = observe::fleet(&ctx, restore, source.as_deref());
    let labels = |key: &_| ctx.hub.labels(key);
    let now = ctx.clock.now();
    let valid = validate::validate(restore, source.as_deref(), fleet.as_deref(), &ctx.hub.uid, labels, now);
    let valid = match valid {
        Ok(valid) => valid,
        Err(unfit) => {
            report::report_unfit(&ctx, restore, &unfit).await?;
            return Ok(Action::await_change());
        }
    };
    let store = observe::store(&ctx, &valid, now).await?;
    let SeenClusters { clusters, prepared, chosen } = observe::clusters(&ctx, &valid, &store, now);
    let make =
        |cluster: &_, name: &str, backup: String| template::velero_restore(&valid, cluster, name, backup);
    let mut plan = plan::plan(&valid.run, clusters, make, now);
    valid.freeze_sources(&mut plan.rows, chosen);
    mount::note_ways(&mut plan.rows, &prepared);
    mount::note_lost_volumes(&ctx, &valid.run, &mut plan.rows);
    valid.note_incomplete(&mut plan.rows);
    plan.retell();
    let sources = plan.rows.0.iter().filter_map(|row| Some((row.cluster.clone(), row.source.clone()?)));
    let say = |conditions: &mut Vec<_>| say_volumes(&ctx, Teller::Restore, sources, conditions);
    let delayed = report::report(&ctx, restore, &plan, say).await?;
    let (owner, wakes) = (&valid.run.owner, &ctx.router.wakes.restores);
    let ways = prepared.iter().filter_map(|(_, way)| way.look_again).min();
    for (cluster, way) in prepared {
        mount::apply(&ctx, owner, &cluster, way.actions, wakes);
    }
    apply::apply(&ctx, owner, &plan, wakes);
    Ok(run::look_again([plan.look_again, ways, delayed]))
}
