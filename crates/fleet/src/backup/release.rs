//! Deletion of a Backup: its schedules go from the members. What they and the Backup itself made stays, marked as
//! released, or is deleted with its data, as `spec.deletionPolicy` says.
//!
//! A member is done when it shows that nothing is left. One that is out of reach keeps the Backup, until somebody
//! gives it up.

mod left;
mod readers;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kurator_api::backup::{Backup, DeletionPolicy};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero;
use kurator_member::member::Member;
use serde_json::json;
use tokio::time::Instant;

use super::validate::owner;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::{in_namespace, is_forced};
use crate::members::Access;
use crate::run::child::{Contact, belongs};
use crate::run::deletion::{ERASE, erase};
use crate::run::kinds::{Run, RunPhase};
use crate::run::rows::Row;
use crate::run::{self, Owner, Started, report};
use crate::standing::Verdict;
use crate::text;
use crate::writes::{self, Failure, Unsettled, Write, WriteKey};
use left::{Goal, Left, Seen, left};

/// The write that removes schedules from a member.
const UNSCHEDULE: &str = "unschedule";
/// The write that marks backups as nobody's any more.
const MARK: &str = "mark";
/// The writes of a deletion.
const OWN_WRITES: [&str; 3] = [ERASE, UNSCHEDULE, MARK];
/// Writes in one member at the same time.
const AT_ONCE: usize = 8;
/// Names of clusters in a message.
const NAMES_SHOWN: usize = 3;
/// Names of clusters in an event, which must not exceed a kilobyte.
const NAMES_IN_EVENT: usize = 10;

/// What became of one pass over all members.
#[derive(Default)]
struct Pass {
    /// What does not get on is given up.
    forced: bool,
    /// Members that something is waited for in, and what.
    waiting: Vec<(String, String)>,
    /// Members out of reach that may come back, and why they are.
    away: Vec<(String, String)>,
    /// Members that answer and in which nobody does what is to be done, and what that is.
    stuck: Vec<(String, String)>,
    /// Members that nobody will ever reach again.
    lost: Vec<String>,
    /// In which member what would not be deleted, in Velero's own words if they are its.
    refused: Vec<String>,
    look_again: Vec<Option<Instant>>,
}

impl Pass {
    /// Whether nothing is left, or only what is given up.
    fn is_over(&self) -> bool {
        self.waiting.is_empty() && (self.forced || (self.away.is_empty() && self.stuck.is_empty()))
    }
}

pub(super) async fn release(ctx: &Ctx, backup: &Backup) -> Result<Action, Error> {
    if !backup.finalizers().iter().any(|held| held == names::BACKUP_FINALIZER) {
        ctx.forget(backup);
        return Ok(Action::await_change());
    }
    let run = Started::again(owner(backup, &ctx.hub.uid), &backup.said());
    let goal = goal(backup);
    let mut pass = Pass { forced: is_forced(backup), ..Pass::default() };
    for cluster in &run.clusters {
        visit(ctx, &run.owner, cluster, run.recorded.get(cluster), goal, &mut pass);
    }
    if !pass.is_over() {
        let verdict = waiting(&pass, goal);
        report::report_standing(ctx, backup, RunPhase::Deleting, &verdict).await?;
        return Ok(run::look_again(pass.look_again));
    }
    if ctx.writes.in_flight(&run.owner.uid) {
        // Its end wakes the Backup.
        return Ok(Action::await_change());
    }
    let given_up = pass.away.into_iter().chain(pass.stuck).map(|(cluster, _)| cluster);
    let left_alone: Vec<_> = pass.lost.into_iter().chain(given_up).collect();
    if ctx.hub.remove_finalizer(backup, names::BACKUP_FINALIZER).await? && !left_alone.is_empty() {
        give_up(ctx, backup, goal, &left_alone);
    }
    ctx.forget(backup);
    Ok(Action::await_change())
}

fn goal(backup: &Backup) -> Goal {
    let rows = backup.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
    Goal {
        delete: backup.spec.deletion_policy == Some(DeletionPolicy::Delete),
        scheduled: backup.spec.schedule().is_some() || rows.iter().any(|row| row.schedule.is_some()),
    }
}

/// Looks at one member and starts what comes next there.
fn visit(
    ctx: &Ctx,
    owner: &Owner,
    cluster: &ClusterKey,
    row: Option<&Row<velero::BackupStatus>>,
    goal: Goal,
    pass: &mut Pass,
) {
    let (member, seen) = observe(ctx, owner, cluster, row, goal);
    let name = || cluster.name.clone();
    let mut wait = |why: String, until| {
        pass.waiting.push((name(), why));
        pass.look_again.push(until);
    };
    match left(&seen, goal) {
        Left::Nothing => {}
        Left::Wait { why, until } => wait(why, until),
        Left::Away(why) => pass.away.push((name(), why)),
        Left::Lost => pass.lost.push(name()),
        Left::Unschedule(schedules) => {
            let Some(member) = member else { return };
            match unschedule(ctx, owner, cluster, &member, schedules) {
                (Some(failure), until) if failure.is_final() => {
                    pass.stuck.push((name(), failure.to_string()));
                    pass.look_again.push(until);
                }
                (Some(failure), until) => wait(failure.to_string(), until),
                (None, until) => wait("its schedule is being removed".to_owned(), until),
            }
        }
        Left::Mark(backups) => {
            if member.is_some_and(|member| mark(ctx, owner, cluster, &member, backups)) {
                wait("its backups are being marked".to_owned(), None);
            }
        }
        Left::Erase(backups) => {
            let Some(member) = member else { return };
            if let Some(why) = reader(ctx, owner, cluster, &backups).filter(|_| !pass.forced) {
                return wait(why, None);
            }
            let erasing = erase(ctx, owner, cluster, &member, &backups, &ctx.router.wakes.backups);
            pass.waiting.extend(first_of(erasing.waiting).map(|why| (name(), why)));
            pass.stuck.extend(first_of(erasing.stuck).map(|why| (name(), why)));
            pass.look_again.push(erasing.look_again);
            pass.refused.extend(erasing.refused.into_iter().map(|why| format!("{}: {why}", name())));
        }
    }
}

/// A Restore on the hub that still needs what is to be erased.
fn reader(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey, backups: &[Arc<velero::Backup>]) -> Option<String> {
    in_namespace(&ctx.hub.restores, &owner.namespace).iter().find_map(|restore| {
        let restore = restore.0.as_ref().ok()?;
        readers::reads(restore, &owner.name, cluster, backups)
    })
}

/// The first of these sentences stands for all.
fn first_of(sentences: Vec<String>) -> Option<String> {
    let more = sentences.len().saturating_sub(1);
    let first = sentences.into_iter().next()?;
    Some(if more > 0 { format!("{first}, and {more} more") } else { first })
}

fn observe(
    ctx: &Ctx,
    owner: &Owner,
    cluster: &ClusterKey,
    row: Option<&Row<velero::BackupStatus>>,
    goal: Goal,
) -> (Option<Arc<Member>>, Seen) {
    let exists = ctx.hub.has_cluster(cluster);
    let (member, uid, settled) = match ctx.members.access(cluster) {
        Access::Alive { member, uid, settled, .. } => (member, uid, settled),
        Access::Connecting => return (None, Seen::nothing(exists, Contact::NotYet(None))),
        Access::Away { reason, why } => {
            return (None, Seen::nothing(exists, Contact::Lost { reason, why }));
        }
    };
    let schedules = member.schedules().select(|schedule| belongs(schedule, owner, cluster));
    let backups = member.backups().select(|backup| belongs(backup, owner, cluster));
    if settled.is_some() && (schedules.is_unknown() || backups.is_unknown()) {
        return (None, Seen::nothing(exists, Contact::NotYet(settled)));
    }
    let seen = Seen {
        exists,
        another: row.and_then(|row| row.seen_in.as_ref()).is_some_and(|seen_in| *seen_in != uid),
        contact: Contact::Live { uid },
        schedules,
        backups,
        others: Unsettled::No,
    };
    if seen.shows_what_was_made(goal) {
        ctx.writes.settle(&owner.uid, cluster, &OWN_WRITES);
    }
    let others = ctx.writes.unsettled(&owner.uid, cluster, &OWN_WRITES);
    (Some(member), Seen { others, ..seen })
}

fn key(owner: &Owner, cluster: &ClusterKey, what: &'static str) -> WriteKey {
    WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what }
}

/// Starts the removal of these schedules unless it is under way; when to look again.
fn unschedule(
    ctx: &Ctx,
    owner: &Owner,
    cluster: &ClusterKey,
    member: &Member,
    schedules: Vec<String>,
) -> (Option<Failure>, Option<Instant>) {
    let key = key(owner, cluster, UNSCHEDULE);
    match ctx.writes.state(&key) {
        Write::InFlight => return (None, None),
        Write::Done { until } => return (None, Some(until)),
        Write::Failed { failure, retry_at } if retry_at > Instant::now() => {
            return (Some(failure), Some(retry_at));
        }
        Write::None | Write::Failed { .. } => {}
    }
    let api = Api::<velero::Schedule>::namespaced(member.client().clone(), names::VELERO_NAMESPACE);
    let write = async move {
        let all = stream::iter(schedules).map(|name| {
            let api = api.clone();
            async move { writes::gone(api.delete(&name, &DeleteParams::default()).await) }
        });
        all.buffer_unordered(AT_ONCE).try_collect::<()>().await
    };
    ctx.writes.start(key, write, wake(ctx, owner));
    (None, None)
}

/// Starts to mark these backups; `false` if that was tried and is not worth waiting for any longer.
fn mark(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey, member: &Member, backups: Vec<String>) -> bool {
    let key = key(owner, cluster, MARK);
    match ctx.writes.state(&key) {
        Write::InFlight => return true,
        Write::Done { .. } | Write::Failed { .. } => return false,
        Write::None => {}
    }
    let api = Api::<velero::Backup>::namespaced(member.client().clone(), names::VELERO_NAMESPACE);
    let at = text::time(ctx.clock.now());
    let patch = json!({"metadata": {"annotations": {names::RELEASED_ANNOTATION: at}}});
    let write = async move {
        let all = stream::iter(backups).map(|name| {
            let (api, patch) = (api.clone(), Patch::Merge(patch.clone()));
            async move { writes::gone(api.patch(&name, &PatchParams::default(), &patch).await) }
        });
        all.buffer_unordered(AT_ONCE).try_collect::<()>().await
    };
    ctx.writes.start(key, write, wake(ctx, owner));
    true
}

fn wake(ctx: &Ctx, owner: &Owner) -> impl FnOnce() + Send + 'static {
    let wakes = Arc::clone(&ctx.router.wakes.backups);
    let back = ObjectRef::new(&owner.name).within(&owner.namespace);
    move || wakes.wake(back)
}

/// What the deletion waits for, and what to do about it.
fn waiting(pass: &Pass, goal: Goal) -> Verdict {
    if let Some(first) = pass.refused.first().filter(|_| !pass.forced) {
        let message = format!(
            "not everything that is stored can be deleted; mend the cause, or set spec.deletionPolicy to `Retain` to leave \
             it; {first}"
        );
        return Verdict::stalled(Reason::DeletionRefused, message);
    }
    let can_be_given_up = pass.away.iter().chain(&pass.stuck).filter(|_| !pass.forced);
    let all = can_be_given_up.chain(&pass.waiting);
    let names: Vec<_> = all.clone().map(|(cluster, _)| cluster.clone()).collect();
    let mut message = format!("waiting for {}", text::some_of(&names, NAMES_SHOWN));
    let what = match (pass.forced, pass.away.is_empty(), pass.stuck.is_empty()) {
        (true, _, _) | (false, true, true) => None,
        (false, false, _) => Some("what is out of reach"),
        (false, true, false) => Some("what nobody does"),
    };
    if let Some(what) = what {
        message.push_str(&format!(
            "; annotate `{}: \"true\"` to give up on {what}",
            names::FORCE_DELETE_ANNOTATION
        ));
        if goal.delete {
            message.push_str(", or set spec.deletionPolicy to `Retain`");
        }
    }
    // Last, because it is what may be cut off.
    if let Some((cluster, why)) = all.clone().next() {
        message.push_str(&format!("; {cluster}: {why}"));
    }
    Verdict::underway(Reason::MemberCleanupPending, message)
}

/// Says what stays behind: in full in the log, in an event as far as there is room.
fn give_up(ctx: &Ctx, backup: &Backup, goal: Goal, clusters: &[String]) {
    let what = match goal {
        Goal { delete: true, .. } => "what was backed up there may stay in the object store",
        Goal { delete: false, .. } => "its schedule may still run there",
    };
    tracing::warn!(object = crate::hub::describe(backup), ?clusters, "given up: {what}");
    let message = format!("given up on {}: {what}", text::some_of(clusters, NAMES_IN_EVENT));
    ctx.tell(backup, &[], &Verdict::stalled(Reason::MemberCleanupPending, message));
}
