//! What the status of a run says now and which Velero objects are made next. Pure.

use jiff::Timestamp;
use kurator_api::backup::RowPhase;
use kurator_api::cluster::ClusterKey;
use kurator_api::condition;
use kurator_api::reason::Reason;
use tokio::time::Instant;

use super::Started;
use super::child::{Seen, VeleroRun, step};
use super::kinds::RunPhase;
use super::rows::{Aggregate, Row, Rows};
use crate::standing::{Standing, Verdict};

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
    let room = condition::room(rows.len());
    rows.iter_mut().for_each(|row| row.cut(room));
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

impl<K: VeleroRun> Plan<K> {
    /// Says again what all comes to, after more was noted in rows.
    pub(crate) fn retell(&mut self) {
        self.verdict = verdict(self.rows.aggregate(), &self.rows);
    }
}

fn verdict<S: Clone>(aggregate: Aggregate, rows: &Rows<S>) -> Verdict {
    let counts = rows.summary().status;
    let wait = rows.0.iter().find(|row| needs_help(row)).or_else(|| rows.first_wait());
    let bad = rows.0.iter().find(|row| row.phase != RowPhase::Completed);
    match aggregate {
        Aggregate::Nothing => Verdict::underway(Reason::NoClusters, "no cluster is selected"),
        Aggregate::Pending => {
            let reason = wait.and_then(|row| row.reason).unwrap_or(Reason::Waiting);
            // What is on its way says less than what keeps others from it.
            let starting = rows.0.iter().filter(|row| row.reason == Some(Reason::InProgress)).count();
            let held_up =
                rows.0.iter().find(|row| row.reason.is_some() && row.reason != Some(Reason::InProgress));
            if starting > 0 {
                let so_far = format!("{starting}/{} clusters starting", rows.0.len());
                return Verdict::underway(Reason::InProgress, with(so_far, held_up));
            }
            Verdict::new(standing(rows, wait), reason, with("no cluster has started".to_owned(), wait))
        }
        Aggregate::InProgress => {
            let message = with(format!("{counts} clusters completed"), wait);
            match (standing(rows, wait), wait.and_then(|row| row.reason)) {
                (Standing::Stalled, Some(reason)) => Verdict::stalled(reason, message),
                _ => Verdict::underway(Reason::InProgress, message),
            }
        }
        Aggregate::Completed => {
            let remark = rows.0.iter().find(|row| row.message.is_some());
            Verdict::ready(Reason::Completed, with(format!("{counts} clusters completed"), remark))
        }
        Aggregate::PartiallyFailed => {
            Verdict::stalled(Reason::PartiallyFailed, with(format!("{counts} clusters completed"), bad))
        }
        Aggregate::Failed => Verdict::stalled(Reason::Failed, with("no cluster succeeded".to_owned(), bad)),
    }
}

/// Whether nothing goes on without a person: the row that is told first says so of all, or each that is open of itself.
fn standing<S>(rows: &Rows<S>, told: Option<&Row<S>>) -> Standing {
    let mut open = rows.0.iter().filter(|row| !row.phase.is_terminal()).peekable();
    let all_wait =
        open.peek().is_some() && open.all(|row| row.reason.is_some_and(Reason::waits_for_somebody));
    match told.is_some_and(needs_help) || all_wait {
        true => Standing::Stalled,
        false => Standing::Underway,
    }
}

/// Whether the row waits for a person. What a member refuses before anything runs there is tried again.
fn needs_help<S>(row: &Row<S>) -> bool {
    match row.reason {
        Some(Reason::AlreadyExists | Reason::FleetNotFound) => !row.phase.is_terminal(),
        Some(Reason::MemberRefused) => row.phase == RowPhase::InProgress,
        _ => false,
    }
}

/// What is said of all, and of one that explains it.
fn with<S>(text: String, row: Option<&Row<S>>) -> String {
    match row.and_then(|row| row.message.as_ref().map(|why| (row, why))) {
        Some((row, why)) => format!("{text}; {}: {why}", row.cluster.name),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKind;
    use kurator_api::velero::BackupStatus;

    fn row(name: &str, phase: RowPhase, reason: Reason, message: &str) -> Row<BackupStatus> {
        let cluster =
            ClusterKey { namespace: "default".into(), kind: ClusterKind::default(), name: name.into() };
        Row::new(cluster).in_phase(phase).because(reason, message)
    }

    fn said(rows: &[Row<BackupStatus>]) -> (Reason, String) {
        let rows = Rows(rows.to_vec());
        let verdict = verdict(rows.aggregate(), &rows);
        (verdict.reason, verdict.message)
    }

    #[test]
    fn the_first_word_counts_what_starts_and_names_what_does_not() {
        let starts = |name| row(name, RowPhase::Pending, Reason::InProgress, "being created in the member");
        let away = row("m3", RowPhase::Pending, Reason::Unreachable, "no answer");
        assert_eq!(said(&[starts("m1"), starts("m2")]), (Reason::InProgress, "2/2 clusters starting".into()));
        let expected = (Reason::InProgress, "1/2 clusters starting; m3: no answer".into());
        assert_eq!(said(&[starts("m1"), away.clone()]), expected);
        assert_eq!(said(&[away]), (Reason::Unreachable, "no cluster has started; m3: no answer".into()));
    }

    #[test]
    fn what_waits_for_a_person_is_said_before_what_goes_on_by_itself() {
        let goes = row("m1", RowPhase::InProgress, Reason::InProgress, "3 of 5");
        let refused = row("m2", RowPhase::InProgress, Reason::MemberRefused, "not you");
        assert_eq!(
            said(&[goes.clone(), refused]),
            (Reason::MemberRefused, "0/2 clusters completed; m2: not you".into())
        );
        let failed = row("m2", RowPhase::Failed, Reason::MemberRefused, "no such field");
        assert_eq!(said(&[goes, failed]), (Reason::InProgress, "0/2 clusters completed; m1: 3 of 5".into()));
    }

    #[test]
    fn what_can_only_wait_for_a_person_everywhere_is_stalled() {
        let (done, missing) = (
            row("m1", RowPhase::Completed, Reason::Completed, ""),
            row("m2", RowPhase::Pending, Reason::ClusterNotFound, "there is no AttachedCluster"),
        );
        let away = row("m3", RowPhase::Pending, Reason::Unreachable, "no answer");
        let standing = |rows: &[&Row<BackupStatus>]| {
            let rows = Rows(rows.iter().copied().cloned().collect());
            verdict(rows.aggregate(), &rows).standing
        };
        assert_eq!(standing(&[&missing]), Standing::Stalled);
        assert_eq!(standing(&[&done, &missing]), Standing::Stalled);
        assert_eq!(standing(&[&missing, &away]), Standing::Underway, "a cluster may answer again");
    }

    #[test]
    fn b3_a_backup_without_its_fleet_does_not_go_on_by_itself() {
        let (away, gone) = (
            row("m1", RowPhase::Pending, Reason::Unreachable, "no answer"),
            row("m2", RowPhase::Pending, Reason::FleetNotFound, "there is no Fleet"),
        );
        let rows = Rows(vec![away, gone]);
        let verdict = verdict(rows.aggregate(), &rows);
        let expected = "no cluster has started; m2: there is no Fleet";
        assert_eq!(verdict, Verdict::stalled(Reason::FleetNotFound, expected));
    }

    #[test]
    fn the_last_word_names_what_is_not_complete_and_what_is_to_be_known_of_what_is() {
        let (good, partial, bad) = (
            row("m1", RowPhase::Completed, Reason::Completed, ""),
            row("m2", RowPhase::PartiallyFailed, Reason::PartiallyFailed, "1 error"),
            row("m3", RowPhase::Failed, Reason::Failed, "no such bucket"),
        );
        assert_eq!(said(std::slice::from_ref(&partial)).1, "0/1 clusters completed; m2: 1 error");
        assert_eq!(said(&[good.clone(), bad.clone()]).1, "1/2 clusters completed; m3: no such bucket");
        assert_eq!(said(&[bad]).1, "no cluster succeeded; m3: no such bucket");
        let empty = row("m4", RowPhase::Completed, Reason::Completed, "0 items");
        assert_eq!(said(&[good, empty]).1, "2/2 clusters completed; m4: 0 items");
    }
}
