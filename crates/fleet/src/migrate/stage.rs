//! How far a Migrate is: the pure step from the source and the targets to one phase.

use kurator_api::backup::RowPhase;
use kurator_api::migrate::MigratePhase;
use kurator_api::reason::Reason;
use kurator_api::velero;

use crate::run::kinds::RunPhase;
use crate::run::rows::Row;
use crate::standing::Verdict;

/// How far the backup of the source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is made, and the clusters are not written down.
    Waiting,
    Running,
    /// The targets may go on.
    Good {
        partial: bool,
    },
    /// Incomplete, and nobody has said that this is good enough.
    Incomplete,
    Failed,
}

/// Reads the source's row.
pub(super) fn stage(source: &Row<velero::BackupStatus>, begins: bool, allow_partial: bool) -> Stage {
    match source.phase {
        RowPhase::Completed => Stage::Good { partial: false },
        RowPhase::PartiallyFailed if allow_partial => Stage::Good { partial: true },
        RowPhase::PartiallyFailed => Stage::Incomplete,
        RowPhase::Failed | RowPhase::FailedValidation => Stage::Failed,
        RowPhase::Pending | RowPhase::InProgress if begins => Stage::Running,
        RowPhase::Pending | RowPhase::InProgress => Stage::Waiting,
    }
}

/// What is said of the whole.
pub(super) struct Whole {
    pub(super) phase: MigratePhase,
    pub(super) verdict: Verdict,
    /// Why the source is ready, or is not, and a sentence.
    pub(super) source_ready: (bool, Reason, String),
}

/// `targets` is what all targets together come to.
pub(super) fn whole(
    stage: Stage,
    source: &Row<velero::BackupStatus>,
    targets: RunPhase,
    said_of_targets: &Verdict,
) -> Whole {
    let name = &source.cluster.name;
    let because = source.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let not_ready = |phase, verdict: Verdict| Whole {
        phase,
        source_ready: (false, verdict.reason, verdict.message.clone()),
        verdict,
    };
    match stage {
        Stage::Waiting => {
            let reason = source.reason.unwrap_or(Reason::Waiting);
            let message = format!("source {name} is not ready{because}");
            let verdict = match reason {
                Reason::AlreadyExists => Verdict::stalled(reason, message),
                _ => Verdict::underway(reason, message),
            };
            not_ready(MigratePhase::Pending, verdict)
        }
        Stage::Running => {
            let message = format!("source {name} is being backed up{because}");
            not_ready(MigratePhase::BackupInProgress, Verdict::underway(Reason::InProgress, message))
        }
        Stage::Incomplete => {
            let message = format!(
                "the backup of source {name} is incomplete (set spec.policy.allowPartiallyFailed: true to go on with it, \
                 or delete this Migrate){because}"
            );
            not_ready(MigratePhase::Pending, Verdict::stalled(Reason::SourcePartiallyFailed, message))
        }
        Stage::Failed => {
            let message =
                format!("the backup of source {name} failed (mend it and create a new Migrate){because}");
            not_ready(MigratePhase::Failed, Verdict::stalled(Reason::BackupFailed, message))
        }
        Stage::Good { partial } => {
            let reason = if partial { Reason::PartiallyFailed } else { Reason::Completed };
            let (phase, verdict) = of_targets(partial, targets, said_of_targets);
            let said = if partial {
                format!("incomplete, which spec.policy allows{because}")
            } else {
                String::new()
            };
            Whole { phase, verdict, source_ready: (true, reason, said) }
        }
    }
}

fn of_targets(partial: bool, targets: RunPhase, said: &Verdict) -> (MigratePhase, Verdict) {
    let phase = match targets {
        RunPhase::Completed if partial => {
            let message = "every target has what the incomplete backup of the source has";
            return (MigratePhase::PartiallyFailed, Verdict::stalled(Reason::PartiallyFailed, message));
        }
        RunPhase::Completed => MigratePhase::Completed,
        RunPhase::PartiallyFailed => MigratePhase::PartiallyFailed,
        RunPhase::Failed => MigratePhase::Failed,
        RunPhase::Pending | RunPhase::InProgress | RunPhase::FailedValidation | RunPhase::Deleting => {
            MigratePhase::RestoreInProgress
        }
    };
    (phase, said.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::{ClusterKey, ClusterKind};

    fn source(phase: RowPhase) -> Row<velero::BackupStatus> {
        let name = "m1".to_owned();
        let cluster =
            ClusterKey { namespace: "default".to_owned(), kind: ClusterKind::AttachedCluster, name };
        Row::new(cluster).in_phase(phase).because(Reason::PartiallyFailed, "1 error")
    }

    fn said(phase: RowPhase, begins: bool, allow: bool, targets: RunPhase) -> Whole {
        let of_targets = Verdict::underway(Reason::InProgress, "0/2 clusters completed");
        let row = source(phase);
        whole(stage(&row, begins, allow), &row, targets, &of_targets)
    }

    #[test]
    fn k17_every_phase_is_reached_and_none_before_its_time() {
        use RunPhase as T;
        let table = [
            (RowPhase::Pending, false, T::Pending, MigratePhase::Pending),
            (RowPhase::Pending, true, T::Pending, MigratePhase::BackupInProgress),
            (RowPhase::InProgress, true, T::Pending, MigratePhase::BackupInProgress),
            (RowPhase::Failed, true, T::Pending, MigratePhase::Failed),
            (RowPhase::FailedValidation, true, T::Pending, MigratePhase::Failed),
            (RowPhase::Completed, true, T::Pending, MigratePhase::RestoreInProgress),
            (RowPhase::Completed, true, T::InProgress, MigratePhase::RestoreInProgress),
            (RowPhase::Completed, true, T::Completed, MigratePhase::Completed),
            (RowPhase::Completed, true, T::PartiallyFailed, MigratePhase::PartiallyFailed),
            (RowPhase::Completed, true, T::Failed, MigratePhase::Failed),
        ];
        for (source, begins, targets, expected) in table {
            assert_eq!(said(source, begins, false, targets).phase, expected, "{source:?} {targets:?}");
        }
    }

    #[test]
    fn k08_an_incomplete_source_waits_for_the_policy() {
        let waits = said(RowPhase::PartiallyFailed, true, false, RunPhase::Pending);
        assert_eq!(
            (waits.phase, waits.verdict.reason),
            (MigratePhase::Pending, Reason::SourcePartiallyFailed)
        );
        assert!(!waits.source_ready.0);
        assert_eq!(
            waits.verdict.message,
            "the backup of source m1 is incomplete (set spec.policy.allowPartiallyFailed: true to go on with it, or delete \
             this Migrate): 1 error"
        );
        let goes_on = said(RowPhase::PartiallyFailed, true, true, RunPhase::Pending);
        assert_eq!(goes_on.phase, MigratePhase::RestoreInProgress);
        assert!(goes_on.source_ready.0);
    }

    #[test]
    fn k08_what_came_of_an_incomplete_source_is_never_called_complete() {
        let done = said(RowPhase::PartiallyFailed, true, true, RunPhase::Completed);
        assert_eq!(
            (done.phase, done.verdict.reason),
            (MigratePhase::PartiallyFailed, Reason::PartiallyFailed)
        );
    }
}
