//! What the status says now and what is made next. Pure, but for the place of the backup, which a cache knows.

use kurator_api::backup::RowPhase;
use kurator_api::cluster::ClusterKey;
use kurator_api::reason::Reason;
use kurator_api::velero;
use tokio::time::Instant;

use super::observe::{self, Targets};
use super::stage::{self, Stage, Whole};
use super::template;
use super::validate::ValidMigrate;
use crate::ctx::Ctx;
use crate::mount::{self, Prepared};
use crate::run;
use crate::run::child::Seen;
use crate::run::rows::{Row, Rows};

/// The first stage.
pub(super) struct SourcePlan {
    pub(super) row: Row<velero::BackupStatus>,
    pub(super) stage: Stage,
    pub(super) plan: run::plan::Plan<velero::Backup>,
}

/// Both stages.
pub(super) struct Plan {
    pub(super) whole: Whole,
    /// Whether the clusters are written down.
    pub(super) begun: bool,
    pub(super) source_row: Row<velero::BackupStatus>,
    pub(super) source: run::plan::Plan<velero::Backup>,
    pub(super) targets: run::plan::Plan<velero::Restore>,
    pub(super) prepared: Vec<(ClusterKey, Prepared)>,
    pub(super) look_again: Option<Instant>,
}

pub(super) fn source(ctx: &Ctx, valid: &ValidMigrate, seen: Seen<'_, velero::Backup>) -> SourcePlan {
    let make = |cluster: &ClusterKey, name: &str, location: String| {
        template::velero_backup(valid, cluster, name, location)
    };
    let plan = run::plan::plan(&valid.source, vec![seen], make, ctx.clock.now());
    let first = plan.rows.0.first().cloned();
    let mut row = first.unwrap_or_else(|| Row::new(valid.source_cluster.clone()));
    if row.stored.is_none() {
        let of_new = plan.creations.first().and_then(|(_, backup)| backup.spec.storage_location.clone());
        let of_child = || observe::location_of(ctx, &row.cluster, row.child.as_deref()?);
        let location = of_new.or_else(of_child);
        row.stored = location.and_then(|location| observe::place(ctx, valid, &location));
    }
    let begins = valid.begun || !plan.creations.is_empty() || row.started();
    let stage = stage::stage(&row, begins, valid.allow_partially_failed);
    SourcePlan { row, stage, plan }
}

pub(super) fn plan(ctx: &Ctx, valid: &ValidMigrate, source: SourcePlan, targets: Targets<'_>) -> Plan {
    let SourcePlan { row: source_row, stage, plan: source } = source;
    let Targets { seen, prepared } = targets;
    let make = |cluster: &ClusterKey, name: &str, backup: String| {
        template::velero_restore(valid, cluster, name, backup)
    };
    let mut targets = run::plan::plan(&valid.targets, seen, make, ctx.clock.now());
    freeze_source(&mut targets.rows, &source_row);
    mount::note_ways(&mut targets.rows, &prepared);
    mount::note_lost_volumes(ctx, &valid.targets, &mut targets.rows);
    if stage == Stage::Failed {
        nothing_to_restore(&mut targets.rows);
    }
    let ways = prepared.iter().filter_map(|(_, way)| way.look_again);
    Plan {
        whole: stage::whole(stage, &source_row, targets.phase, &targets.verdict),
        begun: stage != Stage::Waiting,
        look_again: ways.chain(source.look_again).chain(targets.look_again).min(),
        source_row,
        source,
        targets,
        prepared,
    }
}

/// Writes into each row which Backup it restores; a name once written stays.
fn freeze_source(rows: &mut Rows<velero::RestoreStatus>, source: &Row<velero::BackupStatus>) {
    for row in rows.0.iter_mut().filter(|row| row.source.is_none()) {
        row.source.clone_from(&source.child);
    }
}

fn nothing_to_restore(rows: &mut Rows<velero::RestoreStatus>) {
    for row in rows.0.iter_mut().filter(|row| !row.phase.is_terminal()) {
        let failed = row.clone().in_phase(RowPhase::FailedValidation);
        *row = failed
            .because(Reason::BackupFailed, "the backup of the source failed; there is nothing to restore");
    }
}
