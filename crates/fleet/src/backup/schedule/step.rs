//! The life of the Schedule in one member: the pure step from what is known to what is said and done.
//!
//! Invariants: nothing is created unless its absence is known; a member that can't be asked keeps what it said last.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kurator_api::backup::{BackupDetails, RowPhase};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::{Backup, Schedule, SchedulePhase};
use kurator_schedule::{Cron, Dialect, NextRun, base};
use tokio::time::Instant;

use super::observe::Seen;
use super::render;
use super::rows::{because, empty, said_in_force, tell, tell_again};
use super::validate::Wanted;
use crate::run::Owner;
use crate::run::child::{Contact, Place, leaving, namesake, taken};
use crate::text;
use crate::usage;
use crate::writes::Write;

/// Velero looks once a minute whether a run is due; a due time further back than this is a run that did not come.
pub(super) const OVERDUE: SignedDuration = SignedDuration::from_secs(120);

/// Where one cluster stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The Schedule is as the spec says; while nothing may change, it runs as it is.
    InForce,
    /// While nothing may change: it is there, and paused.
    Rests,
    /// It will be, when something changes.
    Waits,
    /// It will not be until somebody helps.
    Refused,
    /// It is to go.
    Leaves,
}

/// What is written in a member.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Create(Box<Schedule>),
    Change { name: String, patch: serde_json::Value },
    Remove { name: String, uid: Option<String> },
    RunNow(Box<Backup>),
}

/// What follows for one cluster.
#[derive(Debug, PartialEq)]
pub(super) struct Step {
    /// `None` if nothing of it is left.
    pub(super) row: Option<BackupDetails>,
    pub(super) part: Part,
    /// The member can't be asked.
    pub(super) unknown: bool,
    pub(super) actions: Vec<Action>,
    /// When to look again although nothing may have changed.
    pub(super) look_again: Option<Instant>,
    /// What was last written about a change is shown by the member: it need not be kept.
    pub(super) settled: bool,
    /// A cluster object that left the hub, and took the way to its Schedule with it.
    pub(super) given_up: bool,
}

fn said(part: Part, row: BackupDetails) -> Step {
    let (actions, look_again) = (Vec::new(), None);
    Step { row: Some(row), part, unknown: false, actions, look_again, settled: false, given_up: false }
}

fn nothing_left() -> Step {
    Step { row: None, ..said(Part::Leaves, BackupDetails::default()) }
}

/// The row to go on from: of a cluster that was built again, nothing.
fn begin(seen: &Seen) -> BackupDetails {
    let same = |row: &&BackupDetails| match (&seen.contact, &row.cluster_uid) {
        (Contact::Live { uid }, Some(known)) => uid == known,
        _ => true,
    };
    let mut row = seen.recorded.as_ref().filter(same).cloned().unwrap_or_else(|| empty(&seen.cluster));
    row.schedule.get_or_insert_default();
    row
}

/// A cluster that is to have the Schedule.
pub(super) fn selected(seen: &Seen, owner: &Owner, wanted: &Wanted, now: Timestamp) -> Step {
    let mut row = begin(seen);
    match &seen.contact {
        Contact::Live { uid } => row.cluster_uid = Some(uid.clone()),
        Contact::NotYet(until) => {
            let part = if said_in_force(&row) { Part::InForce } else { Part::Waits };
            return Step { look_again: *until, ..said(part, row) };
        }
        Contact::Lost { reason, why } => {
            return Step { unknown: true, ..said(Part::Waits, because(row, *reason, why)) };
        }
    }
    let row = told(row, seen, wanted.paused);
    match &seen.place {
        Place::Ours(found) if found.metadata.deletion_timestamp.is_some() => {
            said(Part::Waits, because(row, Reason::Waiting, leaving(&found.name_any())))
        }
        Place::Ours(found) => there(row, found, seen, owner, wanted, now),
        Place::Unknown { why } => said(Part::Waits, because(row, Reason::VeleroMissing, why)),
        Place::Leaving { name } => said(Part::Waits, because(row, Reason::Waiting, leaving(name))),
        Place::Namesake { name } => said(Part::Refused, because(row, Reason::AlreadyExists, namesake(name))),
        Place::Taken { name } => said(Part::Refused, because(row, Reason::AlreadyExists, taken(name))),
        Place::Free { name } => absent(row, name, seen, owner, wanted),
    }
}

/// Tells what the member says of its runs; while it is being listed, what it said last.
fn told(row: BackupDetails, seen: &Seen, paused: bool) -> BackupDetails {
    let Some(history) = &seen.history else { return tell_again(row, paused) };
    let mut row = tell(row, history, paused);
    row.stored = seen
        .stored
        .clone()
        .or(row.stored.filter(|_| history.newest.is_some() || history.remembered.is_some()));
    row
}

fn absent(mut row: BackupDetails, name: &str, seen: &Seen, owner: &Owner, wanted: &Wanted) -> Step {
    let schedule = row.schedule.get_or_insert_default();
    schedule.schedule_name_in_cluster = None;
    schedule.next_run = None;
    match pending(&seen.writes.create, "being created in the member") {
        Some(pending) => pending.step(row),
        None => match &seen.location {
            Err((reason, why)) => said(Part::Waits, because(row, *reason, why)),
            Ok(location) => {
                let made = render::schedule(owner, wanted, &seen.cluster, name, Some(location.clone()));
                let row = because(row, Reason::Waiting, "being created in the member");
                Step { actions: vec![Action::Create(Box::new(made))], ..said(Part::Waits, row) }
            }
        },
    }
}

fn there(
    mut row: BackupDetails,
    found: &Schedule,
    seen: &Seen,
    owner: &Owner,
    wanted: &Wanted,
    now: Timestamp,
) -> Step {
    let name = found.name_any();
    let schedule = row.schedule.get_or_insert_default();
    schedule.schedule_name_in_cluster = Some(name.clone());
    schedule.next_run = next_run(found, seen.dialect, now);
    // A location that can't be used at the moment is no reason to name another one, or none.
    let location =
        seen.location.as_ref().ok().cloned().or_else(|| found.spec.template.storage_location.clone());
    let shall = render::schedule(owner, wanted, &seen.cluster, &name, location);
    let (mut step, row) = asked_run(row, seen, owner, wanted, &shall, &name);

    if !render::says(found, &shall) {
        let changed = match pending(&seen.writes.change, "being changed in the member") {
            Some(pending) => pending.step(row),
            None => {
                let action = Action::Change { name, patch: render::change(found, &shall) };
                let row = because(row, Reason::Waiting, "being changed in the member");
                Step { actions: vec![action], ..said(Part::Waits, row) }
            }
        };
        step.actions.extend(changed.actions);
        let look_again = step.look_again.into_iter().chain(changed.look_again).min();
        return Step { row: changed.row, part: changed.part, look_again, ..step };
    }
    let (part, row) = in_force(row, found, seen, wanted.paused, step.part);
    Step { row: Some(row), part, settled: true, ..step }
}

/// What is said of a Schedule that is as the spec asks: Velero may still object to it, and runs need a location.
fn in_force(
    mut row: BackupDetails,
    found: &Schedule,
    seen: &Seen,
    paused: bool,
    so_far: Part,
) -> (Part, BackupDetails) {
    let status = found.status.as_ref();
    match status.and_then(|status| status.phase.as_ref()) {
        Some(SchedulePhase::FailedValidation) => {
            let words = status.map(|status| status.validation_errors.join("; ")).unwrap_or_default();
            let words = text::veleros_words(&words);
            row.phase = Some(RowPhase::FailedValidation);
            (Part::Refused, because(row, Reason::ScheduleRefused, words))
        }
        // Velero does not look at one that is paused.
        None | Some(SchedulePhase::New) if !paused => {
            (Part::Waits, because(row, Reason::Waiting, "Velero has not looked at the schedule yet"))
        }
        None | Some(SchedulePhase::New | SchedulePhase::Enabled | SchedulePhase::Other(_)) => {
            match &seen.location {
                Err((reason, why)) => (Part::Waits, because(row, *reason, why)),
                Ok(_) => (so_far, row),
            }
        }
    }
}

/// The run that is asked for now: made once per token, and recorded when the member shows it.
fn asked_run(
    mut row: BackupDetails,
    seen: &Seen,
    owner: &Owner,
    wanted: &Wanted,
    shall: &Schedule,
    name: &str,
) -> (Step, BackupDetails) {
    let done = said(Part::InForce, BackupDetails::default());
    let schedule = row.schedule.get_or_insert_default();
    let Some(token) = wanted.run_now.as_ref().filter(|token| schedule.ran_now.as_ref() != Some(token)) else {
        return (done, row);
    };
    match &seen.asked_run {
        Place::Unknown { .. } => (done, row),
        Place::Ours(_) => {
            schedule.ran_now = Some(token.clone());
            (done, row)
        }
        Place::Leaving { name } => {
            let row = because(row, Reason::Waiting, leaving(name));
            (Step { part: Part::Waits, ..done }, row)
        }
        Place::Namesake { name } => {
            let row = because(row, Reason::AlreadyExists, namesake(name));
            (Step { part: Part::Refused, ..done }, row)
        }
        Place::Taken { name: run } => {
            let row = because(row, Reason::AlreadyExists, run_taken(run));
            (Step { part: Part::Refused, ..done }, row)
        }
        Place::Free { name: run } => {
            match pending(&seen.writes.run_now, "the run asked for is being created") {
                Some(Pending { reason, message, look_again }) => {
                    (Step { part: Part::Waits, look_again, ..done }, because(row, reason, message))
                }
                None if seen.location.is_err() => (done, row),
                None => {
                    let run = render::run_now(owner, shall, name, &seen.cluster, run);
                    (Step { actions: vec![Action::RunNow(Box::new(run))], ..done }, row)
                }
            }
        }
    }
}

fn run_taken(name: &str) -> String {
    format!(
        "the run asked for is not made: `{name}` is somebody else's; give `{}` another value",
        names::RUN_NOW_ANNOTATION
    )
}

/// A write whose end is not known, or that has to wait until it is tried again.
struct Pending {
    reason: Reason,
    message: String,
    look_again: Option<Instant>,
}

impl Pending {
    fn step(self, row: BackupDetails) -> Step {
        let part = if self.reason == Reason::MemberRefused { Part::Refused } else { Part::Waits };
        Step { look_again: self.look_again, ..said(part, because(row, self.reason, self.message)) }
    }
}

/// `None` if there is nothing to wait for: the write can be started.
fn pending(write: &Write, doing: &str) -> Option<Pending> {
    match write {
        Write::None => None,
        Write::InFlight => {
            Some(Pending { reason: Reason::Waiting, message: doing.to_owned(), look_again: None })
        }
        Write::Done { until } => {
            let message = format!("{doing}; waiting for it to show that");
            Some(Pending { reason: Reason::Waiting, message, look_again: Some(*until) })
        }
        Write::Failed { retry_at, .. } if *retry_at <= Instant::now() => None,
        Write::Failed { failure, retry_at } => {
            let (reason, message) = (failure.reason(), failure.to_string());
            Some(Pending { reason, message, look_again: Some(*retry_at) })
        }
    }
}

/// A cluster that is no longer to have the Schedule.
pub(super) fn left(seen: &Seen) -> Step {
    let row = begin(seen);
    let waits = |row, why: &str| said(Part::Leaves, because(row, Reason::MemberCleanupPending, why));
    match &seen.contact {
        // Whatever was seen there before, the member says what there is.
        Contact::Live { .. } => {}
        Contact::NotYet(until) => return Step { look_again: *until, ..said(Part::Leaves, row) },
        Contact::Lost { .. } if !seen.on_hub => {
            let had_one = row.schedule.is_some_and(|schedule| schedule.schedule_name_in_cluster.is_some());
            return Step { given_up: had_one, ..nothing_left() };
        }
        Contact::Lost { .. } if !usage::has_been_there(&row) && matches!(seen.writes.create, Write::None) => {
            return nothing_left();
        }
        Contact::Lost { why, .. } => {
            return waits(row, &format!("its schedule is removed when the member is back: {why}"));
        }
    }
    match &seen.place {
        Place::Unknown { why } => waits(row, &format!("its schedule is to be removed: {why}")),
        Place::Ours(found) if found.metadata.deletion_timestamp.is_some() => {
            waits(row, &leaving(&found.name_any()))
        }
        Place::Ours(found) => match pending(&seen.writes.remove, "its schedule is being removed") {
            Some(Pending { message, look_again, .. }) => Step { look_again, ..waits(row, &message) },
            None => {
                let action = Action::Remove { name: found.name_any(), uid: found.metadata.uid.clone() };
                Step { actions: vec![action], ..waits(row, "its schedule is being removed") }
            }
        },
        Place::Free { .. } | Place::Leaving { .. } | Place::Namesake { .. } | Place::Taken { .. } => {
            // What is on its way into the member will be seen there, and removed.
            match &seen.writes.create {
                Write::InFlight => waits(row, "its schedule is being created and will be removed"),
                Write::Done { until } => {
                    let step = waits(row, "its schedule was just created and will be removed");
                    Step { look_again: Some(*until), ..step }
                }
                Write::None | Write::Failed { .. } => nothing_left(),
            }
        }
    }
}

/// A cluster in which nothing may change: what runs there is told.
pub(super) fn held(seen: &Seen, now: Timestamp) -> Step {
    let mut row = begin(seen);
    match &seen.contact {
        Contact::Live { .. } => {}
        Contact::NotYet(until) => return Step { look_again: *until, ..said(Part::Waits, row) },
        Contact::Lost { reason, why } => return said(Part::Waits, because(row, *reason, why)),
    }
    let Place::Ours(found) = &seen.place else { return said(Part::Waits, row) };
    let paused = found.spec.paused == Some(true);
    row = told(row, seen, paused);
    row.schedule.get_or_insert_default().next_run = next_run(found, seen.dialect, now);
    said(if paused { Part::Rests } else { Part::InForce }, row)
}

/// When Velero in the member makes the next run. A run that should have come and did not is not waited for in public:
/// the next one is told instead.
fn next_run(found: &Schedule, dialect: Dialect, now: Timestamp) -> Option<Timestamp> {
    if found.spec.paused == Some(true) {
        return None;
    }
    let cron = Cron::parse(found.spec.schedule.as_deref()?, dialect).ok()?;
    let created = found.metadata.creation_timestamp.as_ref()?.0;
    let status = found.status.as_ref();
    let (last, skipped) = (status.and_then(|s| s.last_backup), status.and_then(|s| s.last_skipped));
    // The server's zone is not known; its image has UTC.
    match kurator_schedule::next_run(&cron, base(created, last, skipped), &TimeZone::UTC) {
        NextRun::At(at) if at + OVERDUE > now => Some(at),
        NextRun::At(_) | NextRun::EveryCheck => cron.next_after(now, &TimeZone::UTC),
    }
}
