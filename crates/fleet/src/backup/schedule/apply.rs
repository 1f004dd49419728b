//! Starts the writes of a plan. Nothing is waited for.

use std::sync::Arc;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::velero::{Backup, Schedule};
use serde_json::Value;

use super::plan::Plan;
use super::step::Action;
use crate::ctx::Ctx;
use crate::run::Owner;
use crate::writes::{self, Failure, WriteKey};

pub(super) const CREATE: &str = "schedule";
pub(super) const CHANGE: &str = "change";
pub(super) const REMOVE: &str = "unschedule";
pub(super) const RUN_NOW: &str = "run-now";

pub(super) fn key(owner: &Owner, cluster: &ClusterKey, what: &'static str) -> WriteKey {
    WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what }
}

pub(super) fn apply(ctx: &Ctx, owner: &Owner, plan: &Plan) {
    for cluster in &plan.settled {
        ctx.writes.forget(&key(owner, cluster, CHANGE));
    }
    for (cluster, action) in &plan.actions {
        let Some(member) = ctx.members.get(cluster) else { continue };
        start(ctx, owner, cluster, member.client().clone(), action);
    }
}

fn start(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey, client: Client, action: &Action) {
    let wakes = Arc::clone(&ctx.router.wakes.backups);
    let back = ObjectRef::new(&owner.name).within(&owner.namespace);
    let wake = move || wakes.wake(back);
    let key = |what| key(owner, cluster, what);
    let schedules = Api::<Schedule>::namespaced(client.clone(), names::VELERO_NAMESPACE);
    match action {
        Action::Create(schedule) => {
            let schedule = schedule.clone();
            ctx.writes.start(key(CREATE), async move { writes::create(&schedules, &*schedule).await }, wake);
        }
        Action::Change { name, patch } => {
            let (name, patch) = (name.clone(), patch.clone());
            ctx.writes.start(key(CHANGE), async move { change(&schedules, &name, patch).await }, wake);
        }
        Action::Remove { name, uid } => {
            let name = name.clone();
            let only = Preconditions { uid: uid.clone(), resource_version: None };
            let params = DeleteParams::default().preconditions(only);
            let remove = async move { writes::gone(schedules.delete(&name, &params).await) };
            ctx.writes.start(key(REMOVE), remove, wake);
        }
        Action::RunNow(run) => {
            let (run, backups) = (run.clone(), Api::<Backup>::namespaced(client, names::VELERO_NAMESPACE));
            ctx.writes.start(key(RUN_NOW), async move { writes::create(&backups, &*run).await }, wake);
        }
    }
}

async fn change(schedules: &Api<Schedule>, name: &str, patch: Value) -> Result<(), Failure> {
    let patch = serde_json::from_value(patch).map_err(|error| Failure::Refused(error.to_string()))?;
    schedules.patch(name, &PatchParams::default(), &Patch::<()>::Json(patch)).await?;
    Ok(())
}
