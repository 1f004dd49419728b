//! What the status of a run says now and which Velero objects are made next. Pure.

use jiff::Timestamp;
use kurator_api::cluster::ClusterKey;
use kurator_api::reason::Reason;
use tokio::time::Instant;

use super::Started;
use super::child::{Seen, VeleroRun, step};
use super::kinds::RunPhase;
use super::rows::{Aggregate, Rows};
use crate::standing::Verdict;

/// What follows for all clusters.
pub(crate) struct Plan<K: VeleroRun> {
    pub(crate) rows: Rows<K::Status>,
    pub(crate) phase: RunPhase,
    pub(crate) verdict: Verdict,
    pub(crate) started: Timestamp,
    pub(crate) completed: Option<Timestamp>,
    pub(crate) creations: Vec<(ClusterKey, K)>,
    /// Children, by cluster and name, that are to say whose they are.
    pub(crate) adoptions: Vec<(ClusterKey, String)>,
    pub(crate) look_again: Option<Instant>,
}

/// Decides for every cluster; `make` writes the object that is to be created.
pub(crate) fn plan<K: VeleroRun>(
    run: &Started<K::Status>,
    seen: Vec<Seen<'_, K>>,
    make: impl Fn(&ClusterKey, &str, K::Needs) -> K,
    now: Timestamp,
) -> Plan<K> {
    let mut rows = Vec::with_capacity(seen.len());
    let mut creations = Vec::new();
    let mut adoptions = Vec::new();
    let mut look_again: Option<Instant> = None;
    for seen in seen {
        let step = step(seen);
        if let Some((name, needs)) = step.create {
            creations.push((step.row.cluster.clone(), make(&step.row.cluster, &name, needs)));
        }
        adoptions.extend(step.adopt.map(|name| (step.row.cluster.clone(), name)));
        look_again = look_again.into_iter().chain(step.look_again).min();
        rows.push(step.row);
    }
    let rows = Rows(rows);
    let aggregate = rows.aggregate();
    let phase = match aggregate {
        Aggregate::Nothing | Aggregate::Pending => RunPhase::Pending,
        Aggregate::InProgress => RunPhase::InProgress,
        Aggregate::Completed => RunPhase::Completed,
        Aggregate::PartiallyFailed => RunPhase::PartiallyFailed,
        Aggregate::Failed => RunPhase::Failed,
    };
    Plan {
        verdict: verdict(aggregate, &rows),
        phase,
        started: run.at.unwrap_or(now),
        completed: phase.is_finished().then_some(now),
        rows,
        creations,
        adoptions,
        look_again,
    }
}

fn verdict<S: Clone>(aggregate: Aggregate, rows: &Rows<S>) -> Verdict {
    let counts = rows.summary().status;
    let wait = rows.first_wait();
    let with_wait = |text: String| match wait.and_then(|row| row.message.as_ref().map(|why| (row, why))) {
        Some((row, why)) => format!("{text}; {}: {why}", row.cluster.name),
        None => text,
    };
    match aggregate {
        Aggregate::Nothing => Verdict::underway(Reason::NoClusters, "no cluster is selected"),
        Aggregate::Pending => {
            let reason = wait.and_then(|row| row.reason).unwrap_or(Reason::Waiting);
            let message = with_wait("no cluster has started".to_owned());
            match reason {
                Reason::AlreadyExists => Verdict::stalled(reason, message),
                _ => Verdict::underway(reason, message),
            }
        }
        Aggregate::InProgress => {
            Verdict::underway(Reason::InProgress, with_wait(format!("{counts} clusters completed")))
        }
        Aggregate::Completed => Verdict::ready(Reason::Completed, format!("{counts} clusters completed")),
        Aggregate::PartiallyFailed => Verdict::stalled(
            Reason::PartiallyFailed,
            format!("{counts} clusters completed; the other rows say why not"),
        ),
        Aggregate::Failed => Verdict::stalled(Reason::Failed, "no cluster succeeded; the rows say why"),
    }
}
