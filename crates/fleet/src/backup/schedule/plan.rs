//! What the status of a scheduled Backup says now, and what is written in which member. Pure.

use jiff::Timestamp;
use kurator_api::backup::{BackupDetails, BackupPhase, Summary};
use kurator_api::cluster::ClusterKey;
use kurator_api::condition;
use kurator_api::reason::Reason;
use tokio::time::Instant;

use super::observe::Seen;
use super::rows::{good_run, shorten};
use super::step::{self, Action, OVERDUE, Part, Step};
use super::validate::{Aim, Asked, Instead, Wanted};
use crate::run::rows::{SHORT_FROM, cut};
use crate::standing::{Standing, Verdict};
use crate::text;

/// How many clusters a message names.
const NAMES_SHOWN: usize = 3;

/// What follows for all clusters.
pub(super) struct Plan {
    pub(super) rows: Vec<BackupDetails>,
    /// `None` if the phase stays.
    pub(super) phase: Option<BackupPhase>,
    pub(super) verdict: Verdict,
    /// Clusters whose newest run that ended is not complete.
    pub(super) degraded: Vec<String>,
    pub(super) summary: Summary,
    pub(super) last_success: Option<Timestamp>,
    pub(super) next_run: Option<Timestamp>,
    pub(super) actions: Vec<(ClusterKey, Action)>,
    /// Clusters of whose last change nothing need be kept.
    pub(super) settled: Vec<ClusterKey>,
    /// Clusters that left the hub, with a Schedule in them.
    pub(super) given_up: Vec<String>,
    pub(super) look_again: Option<Instant>,
}

impl Plan {
    /// When a due time that has passed must have been followed by a run, or another is to be told.
    pub(super) fn due_in(&self, now: Timestamp) -> Option<Instant> {
        let wait = (self.next_run? + OVERDUE).duration_since(now).unsigned_abs();
        Some(Instant::now() + wait)
    }
}

pub(super) fn plan(asked: &Asked, seen: &[Seen], now: Timestamp) -> Plan {
    let mut steps = Vec::with_capacity(seen.len());
    let room = condition::room(seen.len());
    for seen in seen {
        let cluster = seen.cluster.clone();
        let mut step = match &asked.aim {
            Aim::In(_, wanted) if seen.selected => step::selected(seen, &asked.owner, wanted, now),
            Aim::In(..) | Aim::Nowhere => step::left(seen),
            Aim::Hold => step::held(seen, now),
        };
        step.row.iter_mut().for_each(|row| cut(&mut row.message, room));
        steps.push((cluster, step));
    }
    let staying: Vec<_> = steps
        .iter()
        .filter(|(_, step)| step.part != Part::Leaves)
        .filter_map(|(_, step)| step.row.as_ref())
        .collect();
    let successes: Option<Vec<_>> =
        staying.iter().map(|row| good_run(row).and_then(|good| good.completion_timestamp)).collect();
    let (phase, verdict) = standing(asked, &steps);
    let mut plan = Plan {
        phase,
        verdict,
        degraded: staying
            .iter()
            .filter(|row| row.schedule.as_ref().is_some_and(|schedule| schedule.failed_since_success > 0))
            .map(|row| row.cluster_name.clone())
            .collect(),
        summary: Summary::of(steps.iter().filter_map(|(_, step)| Some(step.row.as_ref()?.phase))),
        last_success: successes.and_then(|all| all.into_iter().min()),
        // A member that is out of reach told of a run that has come since.
        next_run: staying
            .iter()
            .filter_map(|row| row.schedule.as_ref()?.next_run)
            .filter(|at| *at + OVERDUE > now)
            .min(),
        rows: Vec::with_capacity(steps.len()),
        actions: Vec::new(),
        settled: Vec::new(),
        given_up: Vec::new(),
        look_again: None,
    };
    let many = steps.len() >= SHORT_FROM;
    for (cluster, step) in steps {
        let Step { row, part: _, unknown: _, actions, look_again, settled, given_up } = step;
        plan.rows.extend(row.map(|row| if many { shorten(row) } else { row }));
        plan.actions.extend(actions.into_iter().map(|action| (cluster.clone(), action)));
        plan.look_again = plan.look_again.into_iter().chain(look_again).min();
        if given_up {
            plan.given_up.push(cluster.to_string());
        }
        if settled {
            plan.settled.push(cluster);
        }
    }
    plan
}

fn standing(asked: &Asked, steps: &[(ClusterKey, Step)]) -> (Option<BackupPhase>, Verdict) {
    let leaving = steps.iter().filter(|(_, step)| step.part == Part::Leaves && step.row.is_some());
    let pending = leaving.map(|(cluster, step)| why(cluster, step)).collect::<Vec<_>>();
    match (&asked.aim, &asked.instead) {
        (Aim::Hold, Some(Instead { phase, verdict })) => (*phase, with_held(verdict, steps)),
        (Aim::In(..) | Aim::Nowhere, Some(Instead { phase, verdict })) => {
            (*phase, with_pending(verdict.clone(), &pending))
        }
        (Aim::In(_, wanted), None) => {
            let verdict = in_members(wanted, steps, !pending.is_empty());
            (Some(in_one_word(wanted, steps)), with_pending(verdict, &pending))
        }
        // Either comes with a word of its own.
        (Aim::Nowhere | Aim::Hold, None) => {
            (None, Verdict::underway(Reason::Waiting, "nothing is asked for"))
        }
    }
}

fn why(cluster: &ClusterKey, step: &Step) -> String {
    let message = step.row.as_ref().and_then(|row| row.message.as_deref()).unwrap_or("waits");
    format!("{}: {message}", cluster.name)
}

/// Adds what the members do meanwhile: what cannot be followed changes nothing there.
fn with_held(verdict: &Verdict, steps: &[(ClusterKey, Step)]) -> Verdict {
    let names = |part: Part| {
        let there = steps.iter().filter(|(_, step)| step.part == part);
        there.map(|(cluster, _)| cluster.name.clone()).collect::<Vec<_>>()
    };
    let said = |does: &str, names: &[String]| {
        let named = text::some_of(names, NAMES_SHOWN);
        (!names.is_empty()).then(|| format!("; the schedule as it was before {does} in {named}"))
    };
    let meanwhile = [said("goes on", &names(Part::InForce)), said("stays paused", &names(Part::Rests))]
        .into_iter()
        .flatten();
    let meanwhile = meanwhile.collect::<String>();
    let room = condition::MAX_MESSAGE.saturating_sub(meanwhile.len());
    Verdict::new(verdict.standing, verdict.reason, condition::shorten(&verdict.message, room) + &meanwhile)
}

fn with_pending(verdict: Verdict, pending: &[String]) -> Verdict {
    if pending.is_empty() {
        return verdict;
    }
    let message = format!("{}; {}", verdict.message, text::some_of(pending, NAMES_SHOWN));
    Verdict { message, ..verdict }
}

fn in_one_word(wanted: &Wanted, steps: &[(ClusterKey, Step)]) -> BackupPhase {
    let selected = || steps.iter().map(|(_, step)| step).filter(|step| step.part != Part::Leaves);
    let is_refused = |step: &Step| step.row.as_ref().is_some_and(|row| is(row, Reason::ScheduleRefused));
    let is_there = |step: &Step| {
        let schedule = step.row.as_ref().and_then(|row| row.schedule.as_ref());
        schedule.is_some_and(|schedule| schedule.schedule_name_in_cluster.is_some())
    };
    match () {
        () if selected().all(is_refused) => BackupPhase::FailedValidation,
        () if wanted.paused => BackupPhase::Paused,
        () if selected().any(is_there) => BackupPhase::Enabled,
        () => BackupPhase::Pending,
    }
}

fn is(row: &BackupDetails, reason: Reason) -> bool {
    row.reason.as_deref() == Some(reason.as_str())
}

/// What the clusters together come to; `leftovers` says that a Schedule has not gone yet where it should.
fn in_members(wanted: &Wanted, steps: &[(ClusterKey, Step)], leftovers: bool) -> Verdict {
    let part = |part: Part| steps.iter().filter(move |(_, step)| step.part == part);
    let (in_force, refused, waiting) =
        (part(Part::InForce).count(), part(Part::Refused).next(), part(Part::Waits).next());
    let total = steps.iter().filter(|(_, step)| step.part != Part::Leaves).count();
    let state = if wanted.paused { "paused" } else { "in force" };
    // A Schedule that was there goes on without the hub.
    let unknown = part(Part::Waits).filter(|(_, step)| step.unknown).count();
    let so_far = match unknown {
        0 => format!("{state} in {in_force}/{total} clusters"),
        unknown => format!("{state} in {in_force}/{total} clusters, not known in {unknown}"),
    };
    match (refused, waiting) {
        (Some((cluster, step)), _) => {
            Verdict::stalled(reason(step), format!("{so_far}; {}", why(cluster, step)))
        }
        (None, Some((cluster, step))) => {
            Verdict::underway(reason(step), format!("{so_far}; {}", why(cluster, step)))
        }
        (None, None) => {
            let message = std::iter::once(so_far).chain(wanted.remarks.iter().cloned());
            let standing = if leftovers { Standing::Underway } else { Standing::Ready };
            let reason = match (leftovers, wanted.paused) {
                (true, _) => Reason::MemberCleanupPending,
                (false, true) => Reason::Paused,
                (false, false) => Reason::Enabled,
            };
            Verdict::new(standing, reason, message.collect::<Vec<_>>().join("; "))
        }
    }
}

fn reason(step: &Step) -> Reason {
    let named = step.row.as_ref().and_then(|row| row.reason.as_deref());
    named.and_then(Reason::of).unwrap_or(Reason::Waiting)
}

#[cfg(test)]
mod tests;
