//! Deletion of a Restore: the records of its runs go from the members, what was restored stays.

use std::sync::Arc;

use kube::api::DeleteParams;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_member::knowledge::Knowledge;

use super::validate::owner;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::members::Access;
use crate::run::child::{self, Place};
use crate::run::kinds::{Run, RunPhase};
use crate::run::{self, Owner, Started, report};
use crate::standing::Verdict;
use crate::text;
use crate::writes::{self, Write, WriteKey};

/// What is left to do in one member.
enum Left {
    Nothing,
    Delete(String),
    /// Under way or to be tried again at this time.
    Wait(String, Option<tokio::time::Instant>),
}

pub(super) async fn release(ctx: &Ctx, restore: &Restore) -> Result<Action, Error> {
    if !restore.finalizers().iter().any(|held| held == names::RESTORE_FINALIZER) {
        return Ok(Action::await_change());
    }
    let run = Started::again(owner(restore, None, &ctx.hub.uid), &restore.said());
    let mut waiting = Vec::new();
    let mut times = Vec::new();
    for cluster in &run.clusters {
        match left(ctx, &run.owner, cluster) {
            Left::Nothing => {}
            Left::Delete(name) => {
                delete(ctx, &run.owner, cluster, name);
                waiting.push(format!("{}: being cleaned up", cluster.name));
            }
            Left::Wait(why, until) => {
                times.push(until);
                waiting.push(format!("{}: {why}", cluster.name));
            }
        }
    }
    let forced =
        restore.annotations().get(names::FORCE_DELETE_ANNOTATION).is_some_and(|value| value == "true");
    if !waiting.is_empty() && !forced {
        let message = format!(
            "waiting for {}; annotate `{}: \"true\"` to give up on what is out of reach",
            text::some_of(&waiting, 3),
            names::FORCE_DELETE_ANNOTATION
        );
        let verdict = Verdict::underway(Reason::MemberCleanupPending, message);
        report::report_standing(ctx, restore, RunPhase::Deleting, &verdict).await?;
        return Ok(run::look_again(times));
    }
    if !waiting.is_empty() {
        let verdict =
            Verdict::stalled(Reason::MemberCleanupPending, format!("given up on {}", waiting.join(", ")));
        ctx.tell(restore, &[], &verdict);
    }
    ctx.forget(restore);
    ctx.hub.remove_finalizer(restore, names::RESTORE_FINALIZER).await?;
    Ok(Action::await_change())
}

fn left(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey) -> Left {
    if !ctx.hub.has_cluster(cluster) {
        return Left::Nothing;
    }
    let member = match ctx.members.access(cluster) {
        Access::Alive { member, .. } => member,
        Access::Connecting => return Left::Wait("being connected to".to_owned(), None),
        Access::Away { why } => return Left::Wait(why, None),
    };
    let look = |name: &str| -> Knowledge<Arc<velero::Restore>> { member.restores().get(name) };
    match child::place(look, owner, cluster) {
        Place::Unknown { why } => Left::Wait(why, None),
        Place::Free { .. } | Place::Leaving { .. } | Place::Namesake { .. } | Place::Taken { .. } => {
            Left::Nothing
        }
        // Velero ends the deletion itself, and only while it runs.
        Place::Ours(object) if object.metadata.deletion_timestamp.is_some() => Left::Nothing,
        Place::Ours(object) => match ctx.writes.state(&key(owner, cluster)) {
            Write::None => Left::Delete(object.name_any()),
            Write::InFlight => Left::Wait("being cleaned up".to_owned(), None),
            Write::Done { until } => Left::Wait("being cleaned up".to_owned(), Some(until)),
            Write::Failed { retry_at, .. } if retry_at <= tokio::time::Instant::now() => {
                Left::Delete(object.name_any())
            }
            Write::Failed { failure, retry_at } => Left::Wait(failure.to_string(), Some(retry_at)),
        },
    }
}

fn key(owner: &Owner, cluster: &ClusterKey) -> WriteKey {
    WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what: "delete" }
}

fn delete(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey, name: String) {
    let Some(member) = ctx.members.get(cluster) else { return };
    let api = Api::<velero::Restore>::namespaced(member.client().clone(), names::VELERO_NAMESPACE);
    let wakes = Arc::clone(&ctx.router.wakes.restores);
    let back = ObjectRef::new(&owner.name).within(&owner.namespace);
    let write = async move { writes::gone(api.delete(&name, &DeleteParams::default()).await) };
    ctx.writes.start(key(owner, cluster), write, move || wakes.wake(back));
}
