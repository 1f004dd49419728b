//! An engine whose clock is not that of its cluster.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kurator_api::velero::{Backup, Restore, Schedule};
use kurator_member::clock::{Clock, SystemClock};
use kurator_testkit::fixtures::{json_of, object, velero as in_member};
use serde_json::json;

use super::own::{Own, beside_an_engine_by, with_own_engines};
use super::{Outcome, contents, fill};
use crate::scene::of;

/// How far the clocks are apart.
const APART: SignedDuration = SignedDuration::from_mins(10);

/// The machine's clock, and so much more.
struct Off(SignedDuration);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

fn clocks() -> [(&'static str, Arc<Off>); 2] {
    [("clock-ahead", Arc::new(Off(APART))), ("clock-behind", Arc::new(Off(-APART)))]
}

async fn goes_round(own: &Own, namespace: &str, name: &str) -> Outcome {
    let member = own.member();
    let backups = in_member::<Backup>(member)?;
    backups.create(&object(name, of(namespace))?).await?;
    let ended = json_of(&backups.until_phase(name, "Completed").await?);
    let time = |field: &str| anyhow::Ok(serde_json::from_value::<Timestamp>(ended["status"][field].clone())?);
    let took = time("completionTimestamp")?.duration_since(time("startTimestamp")?);
    assert!(!took.is_negative(), "{ended}");
    assert_eq!(time("expiration")?.duration_since(time("startTimestamp")?).as_hours(), 720, "{ended}");

    let copy = format!("{namespace}-{name}");
    let spec = json!({"backupName": name, "namespaceMapping": {namespace: copy}});
    let restores = in_member::<Restore>(member)?;
    restores.create(&object(name, spec)?).await?;
    restores.until_phase(name, "Completed").await?;
    assert_eq!(contents(member, &copy).await?, contents(member, namespace).await?);
    Ok(())
}

#[test]
fn an_engine_whose_clock_is_ten_minutes_off_backs_up_and_restores() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "off", 2, 10).await?;
        for (name, clock) in clocks() {
            let test = async {
                goes_round(own, "off", name).await?;
                own.until_given_back().await
            };
            beside_an_engine_by(&own.member().kubeconfig(), clock, test).await?;
        }
        Ok(())
    })
}

#[test]
fn a_schedule_that_has_run_runs_on_by_a_clock_that_is_ten_minutes_off() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "cron", 1, 10).await?;
        let (schedules, backups) = (in_member::<Schedule>(own.member())?, in_member::<Backup>(own.member())?);
        for (name, clock) in clocks() {
            let last = clock.now() - SignedDuration::from_mins(2);
            let name = format!("cron-{name}");
            let mut schedule: Schedule =
                object(&name, json!({"schedule": "@every 1m", "template": of("cron")}))?;
            schedule.status = serde_json::from_value(json!({"phase": "Enabled", "lastBackup": last}))?;
            schedules.create(&schedule).await?;
            let test = async {
                let has_run = |schedule: &Schedule| {
                    let run = schedule.status.as_ref().and_then(|status| status.last_backup);
                    run.is_some_and(|run| run.as_second() > last.as_second())
                };
                schedules.until(&name, "a run", has_run).await?;
                schedules.delete(&name).await?;
                let label = format!("velero.io/schedule-name={name}");
                for run in backups.list(&label).await? {
                    backups.until_phase(&run.metadata.name.unwrap_or_default(), "Completed").await?;
                }
                own.until_given_back().await
            };
            beside_an_engine_by(&own.member().kubeconfig(), clock, test).await?;
        }
        Ok(())
    })
}
