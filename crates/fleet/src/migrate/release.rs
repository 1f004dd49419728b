//! The end of a Migrate: what was made to move the content goes when it has expired, or with the Migrate. What was
//! migrated stays; of the backup in the source, `spec.policy.deletionPolicy` decides.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kurator_api::cluster::ClusterKey;
use kurator_api::migrate::{Migrate, MigratePhase};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero;
use kurator_member::knowledge::Knowledge;
use serde_json::json;

use super::report;
use super::validate::{begun, source_owner, target_owner};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::members::Access;
use crate::mount::{self, Mounted, Waiting};
use crate::run::child::{self, Place};
use crate::run::rows::Row;
use crate::run::{self, Owner, apply};
use crate::standing::Verdict;
use crate::text;
use crate::writes::{Write, WriteKey};

/// Takes away what a finished Migrate needs no more.
pub(super) fn tidy(ctx: &Ctx, migrate: &Migrate) -> Action {
    let owner = target_owner(migrate, &ctx.hub.uid);
    let targets = begun(migrate, &owner.namespace).targets;
    if targets.iter().all(|row| row.source_location.is_none()) {
        ctx.forget(migrate);
        return Action::await_change();
    }
    let wakes = &ctx.router.wakes.migrates;
    run::look_again(mounted(&targets).map(|mounted| mount::tidy(ctx, &owner, &mounted, wakes)))
}

pub(super) async fn release(ctx: &Ctx, migrate: &Migrate) -> Result<Action, Error> {
    if !migrate.finalizers().iter().any(|held| held == names::MIGRATE_FINALIZER) {
        return Ok(Action::await_change());
    }
    let owner = target_owner(migrate, &ctx.hub.uid);
    let begun = begun(migrate, &owner.namespace);
    let mut waiting = mount::release(ctx, &owner, mounted(&begun.targets), &ctx.router.wakes.migrates);
    let forced =
        migrate.annotations().get(names::FORCE_DELETE_ANNOTATION).is_some_and(|value| value == "true");
    // The targets may be reading it.
    if let Some(source) = begun.source.filter(|_| waiting.is_over(forced)) {
        let owner = source_owner(migrate, &ctx.hub.uid);
        leave(ctx, &owner, &source.cluster, &mut waiting);
    }
    if !waiting.is_over(forced) {
        let message = format!(
            "waiting for {}; annotate `{}: \"true\"` to give up on what is out of reach",
            text::some_of(&waiting.sentences(), 3),
            names::FORCE_DELETE_ANNOTATION
        );
        let verdict = Verdict::underway(Reason::MemberCleanupPending, message);
        report::report_standing(ctx, migrate, MigratePhase::Deleting, &verdict).await?;
        return Ok(run::look_again([waiting.look_again]));
    }
    if !waiting.stuck.is_empty() {
        let message = format!("given up on {}", waiting.stuck.join(", "));
        ctx.tell(migrate, &[], &Verdict::stalled(Reason::MemberCleanupPending, message));
    }
    ctx.forget(migrate);
    ctx.hub.remove_finalizer(migrate, names::MIGRATE_FINALIZER).await?;
    Ok(Action::await_change())
}

/// Marks the backup in the source as one that nobody owes anything, so that a new Migrate of this name may run. A
/// source out of reach is not waited for.
fn leave(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey, waiting: &mut Waiting) {
    let Access::Alive { member, .. } = ctx.members.access(cluster) else { return };
    let creation = ctx.writes.state(&apply::creation(owner, cluster));
    let look = |name: &str| -> Knowledge<Arc<velero::Backup>> { member.backups().get(name) };
    let backup = match (child::place(look, owner, cluster), creation) {
        (_, Write::InFlight) => return waiting.goes(cluster, "something is still being made", None),
        (Place::Ours(backup), _) => backup,
        (Place::Free { .. }, Write::Done { until }) => {
            return waiting.goes(cluster, "what was made does not show yet", Some(until));
        }
        _ => return,
    };
    if backup.annotations().contains_key(names::RELEASED_ANNOTATION) {
        return;
    }
    let key = WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what: "leave" };
    match ctx.writes.state(&key) {
        Write::InFlight => waiting.goes(cluster, "its backup is being marked", None),
        Write::Done { until } => waiting.goes(cluster, "its backup is being marked", Some(until)),
        // Best effort: the mark is not worth keeping the object for.
        Write::Failed { .. } => {}
        Write::None => {
            let api = Api::<velero::Backup>::namespaced(member.client().clone(), names::VELERO_NAMESPACE);
            let name = backup.name_any();
            let time = text::time(ctx.clock.now());
            let mark = json!({"metadata": {"annotations": {names::RELEASED_ANNOTATION: time}}});
            let wakes = Arc::clone(&ctx.router.wakes.migrates);
            let back = ObjectRef::new(&owner.name).within(&owner.namespace);
            let write = async move {
                api.patch(&name, &PatchParams::default(), &Patch::Merge(&mark)).await?;
                Ok(())
            };
            ctx.writes.start(key, write, move || wakes.wake(back));
            waiting.goes(cluster, "its backup is being marked", None);
        }
    }
}

fn mounted(targets: &[Row<velero::RestoreStatus>]) -> impl Iterator<Item = Mounted<'_>> {
    targets.iter().map(|row| Mounted {
        cluster: &row.cluster,
        location: row.source_location.as_deref(),
        backup: row.source.as_deref(),
    })
}
