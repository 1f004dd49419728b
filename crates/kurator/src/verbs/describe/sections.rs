//! The tables of what is described.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kurator_api::backup::BackupDetails;
use kurator_api::condition::{self, Condition, ConditionStatus};
use kurator_api::fleet::Fleet;

use super::super::kinds::age;
use super::super::run::{Row, Run};
use super::super::table::table;
use super::last_seen;

/// As much of a message as is said again, and what comes behind it.
const AGAIN: usize = 40;
const AS_ABOVE: &str = "… (as above)";

fn section<'a>(text: &mut String, header: impl IntoIterator<Item = &'a str>, rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        *text += "\n";
        *text += &table(header, rows);
    }
}

/// What Backups, Restores and Migrates have in common: facts, and a table of their clusters.
pub(super) fn about_run(run: &Run, facts: &mut Vec<(&'static str, String)>, sections: &mut String) {
    facts.push(("Phase", run.phase.clone()));
    facts.push(("Clusters", run.clusters.clone()));
    facts.push(("Started", run.started.map(|at| at.to_string()).unwrap_or_default()));
    let took = run.started.zip(run.completed).map(|(from, to)| format!("{to} (after {})", age(from, to)));
    facts.push(("Completed", took.unwrap_or_default()));
    let has_parts = run.rows.iter().any(|row| row.part.is_some());
    let mut said = BTreeSet::new();
    let rows = run.rows.iter().map(|row| {
        let message = once(&row.message, &said);
        said.insert(row.message.clone());
        let part = row.part.map(|part| part.as_str().to_owned()).unwrap_or_default();
        let objects = row.objects.map(|(done, all)| format!("{done}/{all}")).unwrap_or_default();
        let cells = [&row.cluster, &row.phase, &objects, &row.name_in_cluster, &row.reason, &message];
        has_parts.then_some(part).into_iter().chain(cells.map(String::clone)).collect()
    });
    let header = ["CLUSTER", "PHASE", "OBJECTS", "NAME IN CLUSTER", "REASON", "MESSAGE"];
    section(sections, has_parts.then_some("PART").into_iter().chain(header), rows.collect());
    let has_stored =
        |row: &&Row| !row.stored.is_empty() && !["Failed", "FailedValidation"].contains(&row.phase.as_str());
    let stored = run.rows.iter().filter(has_stored);
    let stored = stored.map(|row| vec![row.cluster.clone(), row.stored.clone()]);
    section(sections, ["CLUSTER", "STORED IN"], stored.collect());
}

/// A table of the runs of a schedule that a Restore takes.
pub(super) fn about_good_runs(rows: &[BackupDetails], now: Timestamp, sections: &mut String) {
    let rows = rows.iter().filter_map(|row| {
        let good = row.schedule.as_ref()?.last_success.as_ref()?;
        let ended = good.completion_timestamp.map(|at| age(at, now)).unwrap_or_default();
        let expires = good.expiration.map(|at| at.to_string()).unwrap_or_default();
        Some(vec![row.cluster_name.clone(), good.backup_name_in_cluster.clone(), ended, expires])
    });
    section(sections, ["CLUSTER", "LAST GOOD RUN", "ENDED", "EXPIRES"], rows.collect());
}

/// How many runs of a schedule the members still have; nothing as long as no member has said so.
pub(super) fn runs(rows: &[BackupDetails]) -> String {
    let schedules: Vec<_> = rows.iter().filter_map(|row| row.schedule.as_ref()).collect();
    if schedules.is_empty() {
        return String::new();
    }
    let (mut runs, mut failed, mut since) = (0_u64, 0_u64, 0_u64);
    for schedule in schedules {
        runs += u64::from(schedule.runs);
        failed += u64::from(schedule.failed);
        since += u64::from(schedule.failed_since_success);
    }
    format!("{runs} in all clusters, {failed} of them not complete, {since} since the last success")
}

/// A table of a Fleet's clusters.
pub(super) fn about_members(fleet: &Fleet, sections: &mut String) {
    let mut said = BTreeSet::new();
    let rows = fleet.status.iter().flat_map(|status| &status.clusters).map(|row| {
        let backup = row.backup.clone().unwrap_or_default();
        // A member that is connected is as ready as its backups are.
        let (is_ready, reason, message) = match row.backup.as_ref().filter(|_| row.ready) {
            Some(backup) => (backup.ready, &backup.reason, &backup.message),
            None => (row.ready, &row.reason, &row.message),
        };
        let (reason, message) = (reason.clone().unwrap_or_default(), message.clone().unwrap_or_default());
        let shown = once(&message, &said);
        said.insert(message);
        let ready = if is_ready { "True" } else { "False" }.to_owned();
        let engine = backup.engine.map(|engine| format!("{engine:?}")).unwrap_or_default();
        let place = [backup.bucket, backup.prefix].into_iter().flatten().collect::<Vec<_>>().join("/");
        vec![row.name.clone(), ready, engine, place, backup.phase.unwrap_or_default(), reason, shown]
    });
    let header = ["CLUSTER", "READY", "ENGINE", "STORES IN", "STORE", "REASON", "MESSAGE"];
    section(sections, header, rows.collect());
}

/// A table of conditions; the messages that stand in it.
pub(super) fn about_conditions(
    conditions: &[Condition],
    now: Timestamp,
    text: &mut String,
) -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    let lines = conditions.iter().map(|condition| {
        let message = condition.message.clone().filter(|_| is_about_it(condition)).unwrap_or_default();
        let shown = once(&message, &said);
        said.insert(message);
        let (status, reason) =
            (format!("{:?}", condition.status), condition.reason.clone().unwrap_or_default());
        vec![condition.type_.clone(), status, reason, age(condition.last_transition_time, now), shown]
    });
    let lines = lines.collect();
    section(text, ["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"], lines);
    said
}

/// Whether the message explains this condition: what neither goes on nor stands still has another explanation.
fn is_about_it(condition: &Condition) -> bool {
    let is_step = [condition::RECONCILING, condition::STALLED].contains(&condition.type_.as_str());
    !is_step || condition.status == ConditionStatus::True
}

/// A table of events; of a message that was `said` already, only the beginning.
pub(super) fn about_events(events: &[Event], said: &BTreeSet<String>, now: Timestamp, text: &mut String) {
    let lines = events.iter().map(|event| {
        let seen = last_seen(event).map(|at| age(at, now)).unwrap_or_default();
        let (type_, reason) =
            (event.type_.clone().unwrap_or_default(), event.reason.clone().unwrap_or_default());
        let times = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
        let reason = if times > 1 { format!("{reason} (x{times})") } else { reason };
        vec![type_, reason, seen, once(event.message.as_deref().unwrap_or_default(), said)]
    });
    section(text, ["EVENT", "REASON", "AGE", "MESSAGE"], lines.collect());
}

/// A message, cut short if it was said already and is longer than that.
fn once(message: &str, said: &BTreeSet<String>) -> String {
    if !said.contains(message) || message.chars().count() <= AGAIN + AS_ABOVE.chars().count() {
        return message.to_owned();
    }
    message.chars().take(AGAIN).chain(AS_ABOVE.chars()).collect()
}
