//! Makes Backups by the clock, as Velero 1.18.3.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kurator_api::names::VELERO_SCHEDULE_NAME_LABEL;
use kurator_api::velero::{Backup, BackupPhase, Schedule, SchedulePhase};
use kurator_schedule::{Cron, Dialect, NextRun, base, next_run};
use serde_json::{Value, json};

use super::Server;
use super::write::{AGAIN, Target, merge};
use crate::fresh::fresh;

/// Velero looks at its schedules this often; one that is always due runs no more often.
const EVERY: Duration = Duration::from_secs(60);

/// A run that is said to be further ahead than this was none: somebody wrote it, or a clock was wrong, and a schedule that
/// believed it would not run for years. By less the clocks of two who take turns may differ.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// What is to be done about a schedule.
#[derive(Debug, PartialEq)]
enum Step {
    /// Nothing before this time has passed; nothing at all without one.
    Wait(Option<Duration>),
    /// Write that it is in force, or why it is not.
    Judge(Result<(), String>),
    /// Write that the first run is left out.
    Skip,
    /// Make a Backup.
    Run,
}

/// How long until something is to be done; none if nothing is before the schedule changes.
pub(super) fn due(schedule: &Schedule, backups: &[Arc<Backup>], now: Timestamp) -> Option<Duration> {
    match step(schedule, backups, now) {
        Step::Wait(pause) => pause,
        _ => Some(Duration::ZERO),
    }
}

fn step(schedule: &Schedule, backups: &[Arc<Backup>], now: Timestamp) -> Step {
    if schedule.metadata.deletion_timestamp.is_some() {
        return Step::Wait(None);
    }
    let status = schedule.status.clone().unwrap_or_default();
    let expression = schedule.spec.schedule.as_deref().unwrap_or_default();
    let cron = match Cron::parse(expression, Dialect::GoCron) {
        Ok(cron) => cron,
        Err(error) => {
            let why = format!("invalid schedule: {error}");
            let known = status.phase == Some(SchedulePhase::FailedValidation)
                && status.validation_errors == [why.as_str()];
            return if known { Step::Wait(None) } else { Step::Judge(Err(why)) };
        }
    };
    if status.phase != Some(SchedulePhase::Enabled) {
        return Step::Judge(Ok(()));
    }
    if schedule.spec.skip_immediately == Some(true) {
        return Step::Skip;
    }
    if schedule.spec.paused == Some(true) {
        return Step::Wait(None);
    }
    let created = schedule.metadata.creation_timestamp.as_ref().map_or(now, |created| created.0);
    let was = |at: &Timestamp| at.duration_since(now) <= AHEAD;
    let from = base(created, status.last_backup.filter(was), status.last_skipped.filter(was));
    let next = next_run(&cron, from, &TimeZone::UTC);
    if next.is_due(now) && !is_running(&schedule.name_any(), backups) {
        return Step::Run;
    }
    Step::Wait(Some(match next {
        NextRun::At(at) if at > now => Duration::try_from(at.duration_since(now)).unwrap_or(EVERY),
        // One that is due and has to wait for its last run.
        _ => EVERY,
    }))
}

/// Whether a Backup of the schedule has not ended: as in Velero it is not followed by another before that.
fn is_running(schedule: &str, backups: &[Arc<Backup>]) -> bool {
    let of_it = |backup: &Backup| {
        backup.labels().get(VELERO_SCHEDULE_NAME_LABEL).map(String::as_str) == Some(schedule)
    };
    backups.iter().filter(|backup| of_it(backup)).any(|backup| {
        let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
        matches!(phase, None | Some(BackupPhase::New | BackupPhase::InProgress))
    })
}

pub(super) async fn run(server: &Server, known: &Schedule) {
    // Another engine may have made its Backup, and the watch not said so yet.
    let found = fresh(&server.caller, &server.namespace, known).await;
    let schedule = match &found {
        Ok(Some(schedule)) => schedule,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(schedule = known.name_any(), error = %error, "cannot read the schedule");
            return tokio::time::sleep(AGAIN).await;
        }
    };
    let now = server.clock.now();
    let backups = super::known(server.member.backups());
    let patch = match step(schedule, &backups, now) {
        // What the watch shows is out of date; the next look must find it new.
        Step::Wait(_) => return tokio::time::sleep(AGAIN).await,
        Step::Judge(Ok(())) => json!({"status": {"phase": "Enabled", "validationErrors": null}}),
        Step::Judge(Err(why)) => json!({"status": {"phase": "FailedValidation", "validationErrors": [why]}}),
        Step::Skip => json!({"spec": {"skipImmediately": false}, "status": {"lastSkipped": time(now)}}),
        Step::Run => match make(server, schedule, now).await {
            Ok(()) => json!({"status": {"lastBackup": time(now)}}),
            Err(why) => {
                tracing::warn!(schedule = schedule.name_any(), why, "cannot make a Backup");
                return tokio::time::sleep(AGAIN).await;
            }
        },
    };
    if let Err(error) = merge(&server.caller, &Target::of(&server.namespace, schedule), patch).await {
        tracing::warn!(schedule = schedule.name_any(), error = %error, "cannot write the schedule");
        tokio::time::sleep(AGAIN).await;
    }
}

/// Makes the Backup of this time; one that is there already, made before the time could be written, is it.
async fn make(server: &Server, schedule: &Schedule, now: Timestamp) -> Result<(), String> {
    let body = backup(schedule, &server.namespace, now).to_string().into_bytes();
    let collection = format!("/apis/velero.io/v1/namespaces/{}/backups", server.namespace);
    match server.caller.create(&collection, body.into()).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_there_already() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn backup(schedule: &Schedule, namespace: &str, now: Timestamp) -> Value {
    let name = schedule.name_any();
    let template = schedule.spec.template.metadata.clone().unwrap_or_default();
    let own = |map: &std::collections::BTreeMap<String, String>| map.clone();
    let mut labels = if template.labels.is_empty() { own(schedule.labels()) } else { template.labels };
    labels.insert(VELERO_SCHEDULE_NAME_LABEL.to_owned(), name.clone());
    let mut annotations =
        if template.annotations.is_empty() { own(schedule.annotations()) } else { template.annotations };
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    let mut made = json!({
        "apiVersion": "velero.io/v1", "kind": "Backup", "spec": schedule.spec.template,
        "metadata": {
            "name": format!("{name}-{}", now.strftime("%Y%m%d%H%M%S")), "namespace": namespace,
            "labels": labels, "annotations": annotations,
        },
    });
    if schedule.spec.use_owner_references_in_backup == Some(true) {
        made["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "velero.io/v1", "kind": "Schedule", "name": name,
            "uid": schedule.uid().unwrap_or_default(), "controller": true,
        }]);
    }
    made
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(spec: &Value, status: &Value) -> Schedule {
        serde_json::from_value(json!({
            "metadata": {"name": "nightly", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"team": "shop"}},
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn backup_of(phase: &str) -> Arc<Backup> {
        let object = json!({
            "metadata": {"name": "b", "labels": {VELERO_SCHEDULE_NAME_LABEL: "nightly"}},
            "spec": {}, "status": {"phase": phase},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn each_step_follows_from_what_is_there() {
        let hourly = json!({"schedule": "@hourly", "skipImmediately": false});
        let enabled = json!({"phase": "Enabled"});
        let now = at("2026-01-01T01:00:01Z");
        let minutes = |count: u64| Step::Wait(Some(Duration::from_secs(count * 60)));
        let table = [
            (hourly.clone(), json!({}), Step::Judge(Ok(()))),
            (hourly.clone(), enabled.clone(), Step::Run),
            (
                hourly.clone(),
                json!({"phase": "Enabled", "lastBackup": "2026-01-01T01:00:01Z"}),
                Step::Wait(Some(Duration::from_secs(59 * 60 + 59))),
            ),
            (json!({"schedule": "@hourly", "paused": true}), enabled.clone(), Step::Wait(None)),
            (json!({"schedule": "@hourly", "skipImmediately": true}), enabled.clone(), Step::Skip),
            (
                hourly.clone(),
                json!({"phase": "Enabled", "lastSkipped": "2026-01-01T01:00:01Z"}),
                Step::Wait(Some(Duration::from_secs(59 * 60 + 59))),
            ),
        ];
        for (spec, status, expected) in table {
            let told = format!("{spec} {status}");
            assert_eq!(step(&schedule(&spec, &status), &[], now), expected, "{told}");
        }
        // A run that has not ended is not followed by another.
        let due = schedule(&hourly, &enabled);
        assert_eq!(step(&due, &[backup_of("InProgress")], now), minutes(1));
        assert_eq!(step(&due, &[backup_of("Completed")], now), Step::Run);
    }

    #[test]
    fn what_was_missed_is_made_up_for_by_one_run() {
        let schedule = |last: &str| {
            let status = json!({"phase": "Enabled", "lastBackup": last});
            schedule(&json!({"schedule": "* * * * *", "skipImmediately": false}), &status)
        };
        let now = at("2026-01-01T05:00:10Z");
        assert_eq!(step(&schedule("2026-01-01T04:00:00Z"), &[], now), Step::Run);
        let then = Step::Wait(Some(Duration::from_secs(50)));
        assert_eq!(step(&schedule("2026-01-01T05:00:10Z"), &[], now), then);
    }

    #[test]
    fn a_run_far_in_the_future_was_none_and_one_by_a_clock_that_is_ahead_is_waited_for() {
        let now = at("2026-01-01T01:00:01Z");
        let hourly = json!({"schedule": "@hourly", "skipImmediately": false});
        for (field, time, expected) in [
            ("lastBackup", "2099-01-01T00:00:00Z", Step::Run),
            ("lastSkipped", "2099-01-01T00:00:00Z", Step::Run),
            ("lastBackup", "2026-01-01T01:05:00Z", Step::Wait(Some(Duration::from_secs(3599)))),
        ] {
            let status = json!({"phase": "Enabled", field: time});
            assert_eq!(step(&schedule(&hourly, &status), &[], now), expected, "{field} {time}");
        }
    }

    #[test]
    fn an_expression_that_cannot_be_read_is_refused_once() {
        let now = at("2026-01-01T01:00:01Z");
        let spec = json!({"schedule": "every day"});
        let Step::Judge(Err(why)) = step(&schedule(&spec, &json!({})), &[], now) else {
            unreachable!("it is not refused")
        };
        let refused = json!({"phase": "FailedValidation", "validationErrors": [why]});
        assert_eq!(step(&schedule(&spec, &refused), &[], now), Step::Wait(None));
        assert_eq!(step(&schedule(&json!({"schedule": "@daily"}), &refused), &[], now), Step::Judge(Ok(())));
    }

    #[test]
    fn a_run_is_named_by_its_time_and_labelled_by_its_schedule() {
        let spec =
            json!({"schedule": "@daily", "template": {"ttl": "1h"}, "useOwnerReferencesInBackup": true});
        let made = backup(&schedule(&spec, &json!({})), "velero", at("2026-02-03T04:05:06Z"));
        assert_eq!(made["metadata"]["name"], "nightly-20260203040506");
        let labels = json!({"team": "shop", VELERO_SCHEDULE_NAME_LABEL: "nightly"});
        assert_eq!(made["metadata"]["labels"], labels);
        assert_eq!(made["metadata"]["ownerReferences"][0]["name"], "nightly");
        assert_eq!(made["spec"], json!({"ttl": "1h"}));
    }
}
