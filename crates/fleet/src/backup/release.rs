//! Deletion of a Backup: its schedules go from the members. What they and the Backup itself made stays, marked as
//! released, or is deleted with its data, as `spec.deletionPolicy` says.
//!
//! A member is done when it shows that nothing is left. One that is out of reach keeps the Backup, until somebody
//! gives it up.

mod left;

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
use crate::hub::is_forced;
use crate::members::Access;
use crate::run::child::{Contact, belongs};
use crate::run::deletion::{ERASE, erase};
use crate::run::kinds::{Run, RunPhase};
use crate::run::rows::Row;
use crate::run::{self, Owner, Started, report};
use crate::standing::Verdict;
use crate::text;
use crate::writes::{self, Unsettled, Write, WriteKey};
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
    /// Members that something is waited for in, and what.
    waiting: Vec<(String, String)>,
    /// Members out of reach that may come back, and why they are.
    away: Vec<(String, String)>,
    /// Members that nobody will ever reach again.
    lost: Vec<String>,
    /// What Velero would not delete, in its own words.
    refused: Vec<String>,
    look_again: Vec<Option<Instant>>,
}

pub(super) async fn release(ctx: &Ctx, backup: &Backup) -> Result<Action, Error> {
    if !backup.finalizers().iter().any(|held| held == names::BACKUP_FINALIZER) {
        ctx.forget(backup);
        return Ok(Action::await_change());
    }
    let run = Started::again(owner(backup, &ctx.hub.uid), &backup.said());
    let goal = goal(backup);
    let mut pass = Pass::default();
    for cluster in &run.clusters {
        visit(ctx, &run.owner, cluster, run.recorded.get(cluster), goal, &mut pass);
    }
    let forced = is_forced(backup);
    if !pass.waiting.is_empty() || (!pass.away.is_empty() && !forced) {
        let verdict = waiting(&pass, goal, forced);
        report::report_standing(ctx, backup, RunPhase::Deleting, &verdict).await?;
        return Ok(run::look_again(pass.look_again));
    }
    if ctx.writes.in_flight(&run.owner.uid) {
        // Its end wakes the Backup.
        return Ok(Action::await_change());
    }
    let left_alone: Vec<_> =
        pass.lost.into_iter().chain(pass.away.into_iter().map(|(cluster, _)| cluster)).collect();
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
            let (why, until) = unschedule(ctx, owner, cluster, &member, schedules);
            wait(why.unwrap_or_else(|| "its schedule is being removed".to_owned()), until);
        }
        Left::Mark(backups) => {
            if member.is_some_and(|member| mark(ctx, owner, cluster, &member, backups)) {
                wait("its backups are being marked".to_owned(), None);
            }
        }
        Left::Erase(backups) => {
            let Some(member) = member else { return };
            let erasing = erase(ctx, owner, cluster, &member, &backups, &ctx.router.wakes.backups);
            let more = erasing.waiting.len().saturating_sub(1);
            if let Some(first) = erasing.waiting.into_iter().next() {
                let first = if more > 0 { format!("{first}, and {more} more") } else { first };
                wait(first, erasing.look_again);
            }
            pass.refused.extend(erasing.refused);
        }
    }
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
        Access::Alive { member, uid, settled } => (member, uid, settled),
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
) -> (Option<String>, Option<Instant>) {
    let key = key(owner, cluster, UNSCHEDULE);
    match ctx.writes.state(&key) {
        Write::InFlight => return (None, None),
        Write::Done { until } => return (None, Some(until)),
        Write::Failed { failure, retry_at } if retry_at > Instant::now() => {
            return (Some(failure.to_string()), Some(retry_at));
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
fn waiting(pass: &Pass, goal: Goal, forced: bool) -> Verdict {
    if let Some(first) = pass.refused.first() {
        let message = format!(
            "Velero does not delete everything; mend the cause, or set spec.deletionPolicy to `Retain` to leave the data; \
             {first}"
        );
        return Verdict::underway(Reason::DeletionRefused, message);
    }
    let all = pass.away.iter().filter(|_| !forced).chain(&pass.waiting);
    let names: Vec<_> = all.clone().map(|(cluster, _)| cluster.clone()).collect();
    let mut message = format!("waiting for {}", text::some_of(&names, NAMES_SHOWN));
    if !pass.away.is_empty() && !forced {
        message.push_str(&format!(
            "; annotate `{}: \"true\"` to give up on what is out of reach",
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
        Goal { delete: true, .. } => "what was backed up there stays in the object store",
        Goal { delete: false, .. } => "its schedule may still run there",
    };
    tracing::warn!(object = crate::hub::describe(backup), ?clusters, "given up: {what}");
    let message = format!("given up on {}: {what}", text::some_of(clusters, NAMES_IN_EVENT));
    ctx.tell(backup, &[], &Verdict::stalled(Reason::MemberCleanupPending, message));
}
