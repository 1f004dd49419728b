//! What is to be run next, in which order.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kurator_api::velero::{Backup, BackupPhase, Restore, RestorePhase};

/// How far a Backup or Restore is, as far as the queue cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Begun by a process that is gone: first, since it holds up everything that waits for it.
    Begun,
    /// Not begun.
    Waiting,
}

/// Something to run.
pub(crate) trait Work {
    /// `None`: nothing is to be done.
    fn stage(&self) -> Option<Stage>;
}

impl Work for Backup {
    fn stage(&self) -> Option<Stage> {
        if self.metadata.deletion_timestamp.is_some() {
            return None;
        }
        match self.status.as_ref().and_then(|status| status.phase.as_ref()) {
            None | Some(BackupPhase::New | BackupPhase::Queued | BackupPhase::ReadyToStart) => {
                Some(Stage::Waiting)
            }
            Some(
                BackupPhase::InProgress
                | BackupPhase::WaitingForPluginOperations
                | BackupPhase::WaitingForPluginOperationsPartiallyFailed
                | BackupPhase::Finalizing
                | BackupPhase::FinalizingPartiallyFailed,
            ) => Some(Stage::Begun),
            Some(BackupPhase::Other(phase)) if phase.is_empty() => Some(Stage::Waiting),
            Some(_) => None,
        }
    }
}

impl Work for Restore {
    fn stage(&self) -> Option<Stage> {
        if self.metadata.deletion_timestamp.is_some() {
            return None;
        }
        match self.status.as_ref().and_then(|status| status.phase.as_ref()) {
            None | Some(RestorePhase::New) => Some(Stage::Waiting),
            Some(
                RestorePhase::InProgress
                | RestorePhase::WaitingForPluginOperations
                | RestorePhase::WaitingForPluginOperationsPartiallyFailed
                | RestorePhase::Finalizing
                | RestorePhase::FinalizingPartiallyFailed,
            ) => Some(Stage::Begun),
            Some(RestorePhase::Other(phase)) if phase.is_empty() => Some(Stage::Waiting),
            Some(_) => None,
        }
    }
}

/// The next one: what was begun, then the oldest, and of two of one second the first by name.
pub(crate) fn next<'a, K: Work + kube::Resource>(
    all: impl IntoIterator<Item = &'a std::sync::Arc<K>>,
) -> Option<&'a std::sync::Arc<K>> {
    let created =
        |object: &K| object.meta().creation_timestamp.as_ref().map_or(Timestamp::MAX, |created| created.0);
    all.into_iter()
        .filter_map(|object| Some((object.stage()?, object)))
        .min_by_key(|(stage, object)| (*stage, created(object), object.name_any()))
        .map(|(_, object)| object)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn backup(name: &str, created: &str, phase: &str) -> Arc<Backup> {
        let object = json!({
            "apiVersion": "velero.io/v1", "kind": "Backup", "spec": {},
            "metadata": {"name": name, "creationTimestamp": format!("2026-01-01T00:00:{created}Z")},
            "status": {"phase": phase},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn what_was_begun_comes_first_then_the_oldest() {
        let ended = backup("ended", "00", "Completed");
        let young = backup("a", "03", "New");
        let old = backup("b", "02", "");
        let twin = backup("c", "02", "New");
        let begun = backup("z", "09", "InProgress");
        let all = [ended, young, twin, old, begun];
        let mut order = Vec::new();
        let mut left = all.to_vec();
        while let Some(found) = next(&left) {
            order.push(found.name_any());
            left.retain(|other| other.name_any() != *order.last().unwrap());
        }
        assert_eq!(order, ["z", "b", "c", "a"]);
    }

    #[test]
    fn a_phase_that_nobody_knows_is_left_alone() {
        assert!(next(&[backup("a", "00", "Dreaming"), backup("b", "00", "Deleting")]).is_none());
    }
}
