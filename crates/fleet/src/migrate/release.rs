//! The end of a Migrate: what was made to move the content goes when it has expired, or with the Migrate. What was
//! migrated stays; of the backup in the source, `spec.policy.deletionPolicy` decides.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kurator_api::backup::DeletionPolicy;
use kurator_api::migrate::{Migrate, MigratePhase};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use serde_json::json;

use super::report;
use super::validate::{begun, source_owner, target_owner};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::is_forced;
use crate::members::Access;
use crate::mount::{self, Mounted, Waiting};
use crate::run::child::{self, Place};
use crate::run::deletion::erase;
use crate::run::rows::Row;
use crate::run::{self, Owner, apply};
use crate::standing::Verdict;
use crate::text;
use crate::writes::{self, Write, WriteKey};

/// Takes away what a finished Migrate needs no more.
pub(super) fn tidy(ctx: &Ctx, migrate: &Migrate) -> Action {
    let owner = target_owner(migrate, &ctx.hub.uid);
    let targets = begun(migrate, &owner.namespace).targets;
    if targets.iter().all(|row| row.source_location.is_none()) {
        ctx.forget(migrate);
        return Action::await_change();
    }
    let wakes = &ctx.router.wakes.migrates;
    run::look_again([mount::tidy(ctx, &owner, mounted(&targets), wakes)])
}

pub(super) async fn release(ctx: &Ctx, migrate: &Migrate) -> Result<Action, Error> {
    if !migrate.finalizers().iter().any(|held| held == names::MIGRATE_FINALIZER) {
        return Ok(Action::await_change());
    }
    let owner = target_owner(migrate, &ctx.hub.uid);
    let begun = begun(migrate, &owner.namespace);
    let forced = is_forced(migrate);
    let wakes = &ctx.router.wakes.migrates;
    let mut waiting = mount::release(ctx, &owner, mounted(&begun.targets), forced, wakes);
    let deletes = migrate.spec.policy.as_ref().and_then(|policy| policy.deletion_policy)
        == Some(DeletionPolicy::Delete);
    let mut refused = Vec::new();
    // Not while a target may be reading it.
    if let Some(source) = begun.source.filter(|_| waiting.is_over(forced)) {
        let source = Source { ctx, owner: source_owner(migrate, &ctx.hub.uid), row: source };
        if deletes {
            refused = source.erase(&mut waiting);
        } else {
            source.leave(&mut waiting);
        }
    }
    if !waiting.is_over(forced) {
        let verdict = verdict(&waiting, refused.first().filter(|_| !forced), deletes);
        report::report_standing(ctx, migrate, MigratePhase::Deleting, &verdict).await?;
        return Ok(run::look_again([waiting.look_again]));
    }
    let was_there = ctx.hub.remove_finalizer(migrate, names::MIGRATE_FINALIZER).await?;
    if let Some(message) = waiting.given_up().filter(|_| was_there) {
        ctx.tell(migrate, &[], &Verdict::stalled(Reason::MemberCleanupPending, message));
    }
    ctx.forget(migrate);
    Ok(Action::await_change())
}

/// What the deletion waits for, and what to do about it.
fn verdict(waiting: &Waiting, refused: Option<&String>, deletes: bool) -> Verdict {
    if let Some(first) = refused {
        let message = format!(
            "the backup of the source can't be deleted; mend the cause, or set spec.policy.deletionPolicy to `Retain` to \
             leave it; {first}"
        );
        return Verdict::stalled(Reason::DeletionRefused, message);
    }
    let or_retain = if deletes { ", or set spec.policy.deletionPolicy to `Retain`" } else { "" };
    Verdict::underway(Reason::MemberCleanupPending, waiting.message(or_retain))
}

/// The backup in the source.
struct Source<'a> {
    ctx: &'a Ctx,
    owner: Owner,
    row: Row<velero::BackupStatus>,
}

impl Source<'_> {
    /// Deletes it with its data, by Velero; what was refused, and where.
    fn erase(&self, waiting: &mut Waiting) -> Vec<String> {
        let (ctx, cluster) = (self.ctx, &self.row.cluster);
        let (member, uid) = match ctx.members.access(cluster) {
            Access::Alive { member, uid, .. } => (member, uid),
            Access::Connecting | Access::Away { .. } if !ctx.hub.has_cluster(cluster) => {
                waiting.lost.push(format!("{}: its backup stays in the object store", cluster.name));
                return Vec::new();
            }
            Access::Connecting => {
                waiting.stuck.push(format!("{}: being connected to", cluster.name));
                return Vec::new();
            }
            Access::Away { why, .. } => {
                waiting.stuck.push(format!("{}: {why}", cluster.name));
                return Vec::new();
            }
        };
        if self.row.seen_in.as_ref().is_some_and(|seen_in| *seen_in != uid) {
            let why = "leads to another cluster now, which can't delete the data of the one before";
            waiting.stuck.push(format!("{}: {why}", cluster.name));
            return Vec::new();
        }
        let Some(backup) = self.backup(&member, waiting) else { return Vec::new() };
        let erasing = erase(ctx, &self.owner, cluster, &member, &[backup], &ctx.router.wakes.migrates);
        for why in &erasing.waiting {
            waiting.goes(cluster, why, erasing.look_again);
        }
        for why in &erasing.stuck {
            waiting.is_stuck(cluster, why, erasing.look_again);
        }
        erasing.refused.into_iter().map(|why| format!("{}: {why}", cluster.name)).collect()
    }

    /// Marks it as one that nobody owes anything, so that a new Migrate of this name may run. A source out of reach is
    /// not waited for.
    fn leave(&self, waiting: &mut Waiting) {
        let (ctx, cluster) = (self.ctx, &self.row.cluster);
        let Access::Alive { member, .. } = ctx.members.access(cluster) else { return };
        let Some(backup) = self.backup(&member, waiting) else { return };
        if backup.annotations().contains_key(names::RELEASED_ANNOTATION) {
            return;
        }
        let marking = "its backup is being marked";
        let key = WriteKey { owner: self.owner.uid.clone(), cluster: cluster.clone(), what: "leave" };
        match ctx.writes.state(&key) {
            Write::InFlight => waiting.goes(cluster, marking, None),
            // Best effort: the mark is not worth keeping the object for.
            Write::Done { .. } | Write::Failed { .. } => {}
            Write::None => {
                let api = Api::<velero::Backup>::namespaced(member.client().clone(), names::VELERO_NAMESPACE);
                let name = backup.name_any();
                let time = text::time(ctx.clock.now());
                let mark =
                    Patch::Merge(json!({"metadata": {"annotations": {names::RELEASED_ANNOTATION: time}}}));
                let wakes = Arc::clone(&ctx.router.wakes.migrates);
                let back = ObjectRef::new(&self.owner.name).within(&self.owner.namespace);
                let write =
                    async move { writes::gone(api.patch(&name, &PatchParams::default(), &mark).await) };
                ctx.writes.start(key, write, move || wakes.wake(back));
                waiting.goes(cluster, marking, None);
            }
        }
    }

    /// The Velero Backup, if it is there and no write of it is under way.
    fn backup(&self, member: &Member, waiting: &mut Waiting) -> Option<Arc<velero::Backup>> {
        let (ctx, cluster) = (self.ctx, &self.row.cluster);
        let creation = apply::creation(&self.owner, cluster);
        let look = |name: &str| -> Knowledge<Arc<velero::Backup>> { member.backups().get(name) };
        match (child::place(look, &self.owner, cluster), ctx.writes.state(&creation)) {
            (_, Write::InFlight) => waiting.goes(cluster, "something is still being made", None),
            (Place::Ours(backup), _) => return Some(backup),
            (Place::Free { .. }, Write::Done { until }) => {
                waiting.goes(cluster, "what was made does not show yet", Some(until));
            }
            (Place::Unknown { why }, _) => waiting.stuck.push(format!("{}: {why}", cluster.name)),
            _ => {}
        }
        None
    }
}

fn mounted(targets: &[Row<velero::RestoreStatus>]) -> impl Iterator<Item = Mounted<'_>> {
    targets.iter().map(|row| Mounted {
        cluster: &row.cluster,
        location: row.source_location.as_deref(),
        backup: row.source.as_deref(),
        restore: row.child.as_deref(),
    })
}
