//! Whether a run goes on by itself, or somebody is needed first.

use kurator_api::condition;
use kurator_api::reason::Reason;

use super::{Part, Row, Run};

impl Run {
    /// What somebody has to change before any cluster goes on; nothing as long as one does so by itself.
    pub(crate) fn held_up(&self) -> Option<String> {
        if self.ended.is_some() {
            return None;
        }
        let open = |part| {
            let rows = self.rows.iter().filter(move |row: &&Row| row.part == part && !row.is_over());
            rows.collect::<Vec<_>>()
        };
        // The targets of a migration wait for its source.
        let open =
            [None, Some(Part::From), Some(Part::To)].map(open).into_iter().find(|rows| !rows.is_empty());
        match open {
            Some(rows) if rows.iter().all(|row| waits_for_somebody(&row.reason)) => {
                let first = rows.first()?;
                let more =
                    if rows.len() > 1 { format!(" (and {} more)", rows.len() - 1) } else { String::new() };
                Some(format!("{}{more}: {}", first.cluster, first.message))
            }
            Some(_) => None,
            None => {
                let ready = condition::find(&self.conditions, condition::READY)?;
                let waits = waits_for_somebody(ready.reason.as_deref().unwrap_or_default());
                waits.then(|| self.message().to_owned())
            }
        }
    }
}

impl Row {
    /// Whether nothing more becomes of it.
    fn is_over(&self) -> bool {
        matches!(self.phase.as_str(), "Completed" | "PartiallyFailed" | "Failed" | "FailedValidation")
    }
}

/// Whether a reason of this name lasts until somebody changes something.
fn waits_for_somebody(reason: &str) -> bool {
    Reason::of(reason).is_some_and(Reason::waits_for_somebody)
}

#[cfg(test)]
mod tests {
    use kurator_api::backup::Backup;
    use kurator_api::migrate::Migrate;
    use serde_json::json;

    use super::*;

    fn backup(reasons: &[(&str, &str)]) -> Run {
        let rows: Vec<_> = reasons
            .iter()
            .enumerate()
            .map(|(at, (phase, reason))| {
                json!({"clusterName": format!("m{at}"), "phase": phase, "reason": reason, "message": "mend it"})
            })
            .collect();
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": "b"}, "spec": {"destination": {"fleet": "f"}},
            "status": {"phase": "Pending", "backupDetails": rows},
        }))
        .unwrap();
        Run::from(&backup)
    }

    #[test]
    fn a_run_is_held_up_when_somebody_is_needed_in_every_cluster_that_is_left() {
        let missing = ("Pending", "KubeconfigSecretMissing");
        assert_eq!(backup(&[missing]).held_up().as_deref(), Some("m0: mend it"));
        let refused = ("InProgress", "Unauthorized");
        let said = backup(&[("Completed", "Completed"), missing, refused]).held_up();
        assert_eq!(said.as_deref(), Some("m1 (and 1 more): mend it"));
    }

    #[test]
    fn a_run_is_not_held_up_while_a_cluster_may_go_on_by_itself() {
        let missing = ("Pending", "KubeconfigSecretMissing");
        for other in [("InProgress", "InProgress"), ("Pending", "Unreachable"), ("Pending", "")] {
            assert_eq!(backup(&[missing, other]).held_up(), None, "{other:?}");
        }
        assert_eq!(backup(&[]).held_up(), None);
    }

    #[test]
    fn a_migration_is_held_up_by_its_source_whatever_its_targets_wait_for() {
        let migrate: Migrate = serde_json::from_value(json!({
            "metadata": {"name": "m"},
            "spec": {"sourceCluster": {"fleet": "f"}, "targetCluster": {"fleet": "f"}},
            "status": {"phase": "Pending",
                "sourceClusterStatus": {"clusterName": "a", "phase": "Pending", "reason": "Unauthorized", "message": "why"},
                "targetClusterStatus": [{"clusterName": "b", "phase": "Pending"}]},
        }))
        .unwrap();
        assert_eq!(Run::from(&migrate).held_up().as_deref(), Some("a: why"));
    }

    #[test]
    fn a_run_without_clusters_is_held_up_by_what_its_condition_says() {
        let ready = json!({"type": "Ready", "status": "False", "reason": "FleetNotFound", "message": "there is no Fleet",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": "b"}, "spec": {"destination": {"fleet": "f"}},
            "status": {"phase": "Pending", "conditions": [ready]},
        }))
        .unwrap();
        assert_eq!(Run::from(&backup).held_up().as_deref(), Some("there is no Fleet"));
    }
}
