//! Backups: one Velero Backup per selected cluster, made once, followed to its end; or, in [`schedule`], by the clock.
//!
//! The set of clusters of a one-time Backup is written down before anything is created; from then on the status is the
//! plan. A finished Backup is never run again, whatever becomes of its Velero objects.

mod observe;
mod release;
pub(crate) mod schedule;
mod template;
mod validate;

pub(crate) use template::{copy_of, spec};

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kurator_api::backup::{Backup, BackupSpec};
use kurator_api::names;
use serde_json::json;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::Guarded;
use crate::run::kinds::{Run, RunPhase};
use crate::run::retention::{Asked, say_retention};
use crate::run::volumes::{Teller, say_volumes};
use crate::run::{self, apply, plan, report};

pub(crate) async fn reconcile(object: Arc<Guarded<Backup>>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let backup = match &object.0 {
        Ok(backup) => backup,
        Err(undecodable) => {
            ctx.report_undecodable(&*object, undecodable, json!({"phase": "FailedValidation"})).await?;
            return Ok(Action::await_change());
        }
    };
    if backup.metadata.deletion_timestamp.is_some() {
        return release::release(&ctx, backup).await;
    }
    let scheduled = schedule::concerns(backup);
    if !scheduled && backup.phase().is_some_and(RunPhase::is_finished) {
        ctx.forget(backup);
        return Ok(Action::await_change());
    }
    if !backup.finalizers().iter().any(|held| held == names::BACKUP_FINALIZER) {
        ctx.hub.add_finalizer(backup, names::BACKUP_FINALIZER).await?;
        return Ok(Action::await_change());
    }
    if scheduled {
        return schedule::reconcile(&ctx, backup).await;
    }
    let fleet = observe::fleet(&ctx, backup);
    let valid = match validate::validate(backup, fleet.as_deref(), &ctx.hub.uid, |key| ctx.hub.labels(key)) {
        Ok(valid) => valid,
        Err(unfit) => {
            report::report_unfit(&ctx, backup, &unfit).await?;
            return Ok(Action::await_change());
        }
    };
    let seen = observe::clusters(&ctx, &valid);
    let make =
        |cluster: &_, name: &str, location: String| template::velero_backup(&valid, cluster, name, location);
    let mut plan = plan::plan(&valid.run, seen, make, ctx.clock.now());
    observe::record_places(&ctx, &valid.run.owner.fleet, &mut plan.rows);
    let runs = plan.rows.0.iter().filter_map(|row| Some((row.cluster.clone(), row.child.clone()?)));
    let clusters = plan.rows.0.iter().map(|row| row.cluster.clone());
    let say = |conditions: &mut Vec<_>| {
        say_volumes(&ctx, Teller::Backup, runs, conditions);
        say_retention(&ctx, retention(&backup.spec), clusters, conditions);
    };
    let delayed = report::report(&ctx, backup, &plan, say).await?;
    apply::apply(&ctx, &valid.run.owner, &plan, &ctx.router.wakes.backups);
    Ok(run::look_again([plan.look_again, delayed]))
}

/// What a Backup says of how long its runs stay.
fn retention(spec: &BackupSpec) -> Asked<'_> {
    let ttl = spec.policy.as_ref().and_then(|policy| policy.ttl.as_deref());
    Asked { ttl: ("spec.policy.ttl", ttl), policy: ("spec.deletionPolicy", spec.deletion_policy) }
}
