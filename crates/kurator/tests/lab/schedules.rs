//! Scheduled Backups: what reaches the members, what is told of the runs, and what follows an edit.

mod edits;

use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use kurator_api::backup::{Backup, BackupDetails, BackupPhase, BackupStatus, RowPhase};
use kurator_api::names::{RUN_NOW_ANNOTATION, run_now_name, second_run_now_name};
use kurator_api::velero;
use kurator_testkit::Cluster;
use kurator_testkit::fixtures::{
    FixtureError, Shelf, Tenant, condition, json_of, object, sow, velero as in_member,
};
use kurator_testkit::wait::until;
use serde_json::json;

use crate::{Outcome, Stage, on_stage};

/// Once a year: never while a test runs.
const YEARLY: &str = "0 0 1 1 *";
/// Velero looks once a minute for what is due, and what is due every minute may have to wait for the next one.
const TWO_TICKS: Duration = Duration::from_secs(240);

/// A fleet of these members without a plugin; the names of its clusters.
async fn fleet_of<'a>(
    stage: &'a Stage,
    name: &str,
    members: &[usize],
) -> Result<(Tenant<'a>, Vec<String>), FixtureError> {
    let tenant = stage.tenant(name).await?;
    let mut clusters = Vec::new();
    for i in members {
        clusters.push(tenant.attach(*i).await?);
    }
    tenant.fleet(&clusters.iter().map(String::as_str).collect::<Vec<_>>(), None).await?;
    Ok((tenant, clusters))
}

/// A Backup `b` by this schedule, of a namespace of the tenant's name in all clusters of its fleet.
async fn scheduled(tenant: &Tenant<'_>, schedule: &str) -> Result<Backup, FixtureError> {
    let policy = json!({"resourceFilter": {"includedNamespaces": [tenant.name()]}});
    let destination = json!({"fleet": tenant.name()});
    tenant.create("b", json!({"schedule": schedule, "destination": destination, "policy": policy})).await
}

/// Name of the Schedule of Backup `b` in member `i`.
fn name_in(tenant: &Tenant<'_>, i: usize) -> String {
    format!("{0}-m{i}-backup-{0}-b", tenant.name())
}

fn status_of(backup: &Backup) -> BackupStatus {
    backup.status.clone().unwrap_or_default()
}

fn row(backup: &Backup) -> BackupDetails {
    status_of(backup).backup_details.first().cloned().unwrap_or_default()
}

async fn until_ready(tenant: &Tenant<'_>, phase: &str) -> Result<Backup, FixtureError> {
    let ready = |backup: &Backup| {
        json_of(backup)["status"]["phase"] == phase
            && condition(backup, "Ready").is_some_and(|ready| ready["status"] == "True")
            && status_of(backup).observed_generation == backup.metadata.generation
    };
    tenant.all::<Backup>().until("b", &format!("{phase} and Ready"), ready).await
}

/// A run as Velero leaves it behind, made by the Schedule `of`, which began at this minute of January 2026.
fn run(of: &velero::Schedule, minute: u32, phase: &str) -> anyhow::Result<velero::Backup> {
    let (day, hour, minute) = (1 + minute / (24 * 60), minute / 60 % 24, minute % 60);
    let time = |second| format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    let name = format!("{}-202601{day:02}{hour:02}{minute:02}00", of.name_any());
    let mut run = object::<velero::Backup>(&name, json!({"includedNamespaces": ["nowhere"]}))?;
    let mut labels = of.labels().clone();
    labels.insert("velero.io/schedule-name".to_owned(), of.name_any());
    run.metadata.labels = Some(labels);
    run.metadata.annotations = Some(of.annotations().clone());
    run.status = Some(serde_json::from_value(json!({
        "phase": phase, "startTimestamp": time(0), "completionTimestamp": time(5),
    }))?);
    Ok(run)
}

/// The Schedule of Backup `b` in member `i`, once it is there.
async fn schedule_in(stage: &Stage, tenant: &Tenant<'_>, i: usize) -> anyhow::Result<velero::Schedule> {
    let schedules = schedules(stage.lab.member(i))?;
    Ok(schedules.until(&name_in(tenant, i), "there", |_| true).await?)
}

fn schedules(member: &Cluster) -> Result<Shelf<velero::Schedule>, FixtureError> {
    in_member(member)
}

#[test]
fn k21_k24_the_row_without_a_name_is_replaced_by_the_first_run_as_soon_as_that_ends() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "k21", &[1]).await?;
        sow(stage.lab.member(1), "k21").await?;
        scheduled(&tenant, "* * * * *").await?;
        let before = until_ready(&tenant, "Enabled").await?;
        let rows = json_of(&before)["status"]["backupDetails"].clone();
        assert_eq!(rows.as_array().map(Vec::len), Some(1));
        assert_eq!(rows[0]["backupStatusInCluster"], json!({}));
        assert_eq!(rows[0].get("backupNameInCluster"), None);
        assert!(status_of(&before).next_run.is_some() && status_of(&before).last_success.is_none());

        let runs = in_member::<velero::Backup>(stage.lab.member(1))?;
        let label = format!("velero.io/schedule-name={}", name_in(&tenant, 1));
        let ended = until("Velero to make a run by the clock", TWO_TICKS, async || {
            let ended = |run: &velero::Backup| {
                run.status
                    .as_ref()
                    .and_then(|status| status.phase.as_ref())
                    .is_some_and(|phase| phase.is_success())
            };
            Ok::<_, FixtureError>(runs.list(&label).await?.into_iter().find(ended))
        })
        .await?;
        // Kurator would look again after a period of the schedule and 30 s.
        let after = until("the hub to say so", Duration::from_secs(10), async || {
            let backup = tenant.all::<Backup>().get("b").await?;
            let told = row(&backup).phase == Some(RowPhase::Completed);
            Ok::<_, FixtureError>(told.then_some(backup))
        })
        .await?;
        let status = status_of(&after);
        assert_eq!(status.backup_details.len(), 1);
        let row = row(&after);
        assert_eq!(row.backup_name_in_cluster.as_deref(), Some(ended.name_any().as_str()));
        let schedule = row.schedule.context("nothing of the schedule")?;
        assert_eq!((schedule.runs, schedule.failed), (1, 0));
        assert_eq!(status.last_success, ended.status.and_then(|status| status.completion_timestamp));
        assert!(status.next_run > before.status.and_then(|status| status.next_run));
        Ok(())
    })
}

#[test]
fn k22_a_thousand_runs_make_the_status_no_larger() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "k22", &[2]).await?;
        scheduled(&tenant, YEARLY).await?;
        let schedule = schedule_in(stage, &tenant, 2).await?;
        let runs = in_member::<velero::Backup>(stage.lab.member(2))?;
        let make = async |minute| -> Outcome {
            runs.create(&run(&schedule, minute, "Completed")?).await?;
            Ok(())
        };
        let told = async |count: u32| -> anyhow::Result<usize> {
            let all = |b: &Backup| row(b).schedule.is_some_and(|schedule| schedule.runs == count);
            let backup = tenant.all::<Backup>().until("b", &format!("{count} runs"), all).await?;
            Ok(json_of(&backup)["status"].to_string().len())
        };
        for minute in 1000..1010 {
            make(minute).await?;
        }
        let few = told(10).await?;
        stream::iter(1010..2000).map(make).buffer_unordered(32).try_collect::<()>().await?;
        let many = told(1000).await?;
        assert!(many <= few + 8, "{few} bytes grew to {many}");

        let label = format!("kurator.dev/owner-uid={}", schedule.labels()["kurator.dev/owner-uid"]);
        let ours = ListParams::default().labels(&label);
        runs.api().delete_collection(&DeleteParams::default(), &ours).await?;
        Ok(())
    })
}

#[test]
fn k23_a_failed_run_is_told_beside_the_good_one_until_another_good_one() -> Outcome {
    on_stage(async |stage| {
        let (tenant, clusters) = fleet_of(stage, "k23", &[1]).await?;
        scheduled(&tenant, YEARLY).await?;
        let schedule = schedule_in(stage, &tenant, 1).await?;
        let runs = in_member::<velero::Backup>(stage.lab.member(1))?;
        let backups = tenant.all::<Backup>();
        let good = runs.create(&run(&schedule, 1, "Completed")?).await?;
        let bad = runs.create(&run(&schedule, 2, "PartiallyFailed")?).await?;
        let message = backups.until_condition("b", "Degraded", "RunFailed").await?;
        assert_eq!(message, format!("the newest run is not complete in {}", clusters[0]));
        let backup = backups.get("b").await?;
        let told = row(&backup);
        assert_eq!(told.backup_name_in_cluster, Some(bad.name_any()));
        assert_eq!(told.phase, Some(RowPhase::PartiallyFailed));
        let counts = told.schedule.context("nothing of the schedule")?;
        let last = counts.last_success.context("no good run")?;
        assert_eq!(last.backup_name_in_cluster, good.name_any());
        assert_eq!((counts.runs, counts.failed, counts.failed_since_success), (2, 1, 1));
        assert_eq!(status_of(&backup).phase, Some(BackupPhase::Enabled));
        tenant.until_event("Backup", "b", "RunFailed").await?;

        runs.create(&run(&schedule, 3, "Completed")?).await?;
        backups.until_condition("b", "Degraded", "AsExpected").await?;
        Ok(())
    })
}

#[test]
fn k25_whatever_velero_reads_is_accepted_and_reaches_it_as_it_is() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "k25", &[1]).await?;
        scheduled(&tenant, "@daily").await?;
        let schedules = schedules(stage.lab.member(1))?;
        for expression in ["@daily", "@every 6h", "CRON_TZ=Europe/Berlin 30 4 * * MON-FRI", "5/15 0 ? * SUN"]
        {
            tenant.all::<Backup>().merge("b", json!({"spec": {"schedule": expression}})).await?;
            let backup = until_ready(&tenant, "Enabled").await?;
            assert!(status_of(&backup).next_run.is_some(), "{expression}");
            let there = schedules.get(&name_in(&tenant, 1)).await?;
            assert_eq!(there.spec.schedule.as_deref(), Some(expression));
        }
        Ok(())
    })
}

#[test]
fn what_no_velero_reads_is_named_with_the_remedy_and_healed_by_an_edit() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "no-cron", &[1]).await?;
        scheduled(&tenant, "0 24 * * *").await?;
        let backups = tenant.all::<Backup>();
        backups.until_phase("b", "FailedValidation").await?;
        let message = backups.until_reason("b", "InvalidSpec").await?;
        assert_eq!(message, "spec.schedule: `24` in the hour field is out of range; use 0 to 23");
        backups.merge("b", json!({"spec": {"schedule": "0 0 30 2 *"}})).await?;
        let never = "spec.schedule: `0 0 30 2 *` fits no time of the next five years, and Velero would start a backup every \
            minute; choose a day that comes";
        backups.until("b", never, |b| condition(b, "Ready").unwrap_or_default()["message"] == never).await?;
        backups.merge("b", json!({"spec": {"schedule": YEARLY}})).await?;
        until_ready(&tenant, "Enabled").await?;
        Ok(())
    })
}

#[test]
fn a_schedule_that_velero_refuses_is_told_in_its_words_and_healed_by_an_edit() -> Outcome {
    on_stage(async |stage| {
        let (tenant, clusters) = fleet_of(stage, "refused", &[1]).await?;
        // Releases before the lab's take this for once an hour.
        scheduled(&tenant, "*/60 * * * *").await?;
        let backups = tenant.all::<Backup>();
        let message = backups.until_reason("b", "ScheduleRefused").await?;
        let begin = format!("in force in 0/1 clusters; {}: invalid schedule:", clusters[0]);
        assert!(message.starts_with(&begin), "{message}");
        let refused = backups.until_phase("b", "FailedValidation").await?;
        assert_eq!(row(&refused).phase, Some(RowPhase::FailedValidation));
        assert_eq!(condition(&refused, "Stalled").unwrap_or_default()["status"], "True");
        backups.merge("b", json!({"spec": {"schedule": "0 * * * *"}})).await?;
        let healed = until_ready(&tenant, "Enabled").await?;
        assert_eq!(row(&healed).phase, Some(RowPhase::Pending));
        Ok(())
    })
}

#[test]
fn a_paused_schedule_rests_in_the_members_and_goes_on() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "pause", &[1]).await?;
        let backups = tenant.all::<Backup>();
        let destination = json!({"fleet": "pause"});
        let spec = json!({"schedule": YEARLY, "destination": destination, "paused": true});
        backups.create(&object("b", spec)?).await?;
        let paused = until_ready(&tenant, "Paused").await?;
        assert_eq!((status_of(&paused).next_run, row(&paused).reason.as_deref()), (None, Some("Paused")));
        assert_eq!(schedule_in(stage, &tenant, 1).await?.spec.paused, Some(true));
        backups.merge("b", json!({"spec": {"paused": false}})).await?;
        let resumed = until_ready(&tenant, "Enabled").await?;
        assert!(status_of(&resumed).next_run.is_some());
        assert_eq!(schedule_in(stage, &tenant, 1).await?.spec.paused, Some(false));
        Ok(())
    })
}

#[test]
fn a_run_is_made_now_once_per_token_and_is_a_run_of_the_schedule() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "now", &[1]).await?;
        sow(stage.lab.member(1), "now").await?;
        scheduled(&tenant, YEARLY).await?;
        let backups = tenant.all::<Backup>();
        backups.merge("b", json!({"spec": {"paused": true}})).await?;
        until_ready(&tenant, "Paused").await?;
        let ask = |token: &str| json!({"metadata": {"annotations": {"kurator.dev/run-now": token}}});
        let ran = |token: &'static str, runs: u32| {
            move |b: &Backup| {
                let schedule = row(b).schedule.unwrap_or_default();
                row(b).phase == Some(RowPhase::Completed)
                    && schedule.runs == runs
                    && schedule.ran_now.as_deref() == Some(token)
            }
        };
        backups.merge("b", ask("before the upgrade")).await?;
        let backup = backups.until("b", "one run", ran("before the upgrade", 1)).await?;
        let name = run_now_name(&name_in(&tenant, 1), "before the upgrade");
        assert_eq!(row(&backup).backup_name_in_cluster.as_ref(), Some(&name));
        let runs = in_member::<velero::Backup>(stage.lab.member(1))?;
        let made = runs.get(&name).await?;
        assert_eq!(made.labels()["velero.io/schedule-name"], name_in(&tenant, 1));
        assert_eq!(made.spec.included_namespaces, ["now"]);

        // Gone is not a reason to make it again; another token is.
        runs.delete(&name).await?;
        backups.until("b", "no run", |b| row(b).schedule.is_some_and(|s| s.runs == 0)).await?;
        backups.merge("b", ask("after the upgrade")).await?;
        backups.until("b", "the other run", ran("after the upgrade", 1)).await?;
        Ok(())
    })
}

#[test]
fn a_run_asked_for_by_the_value_that_an_earlier_backup_of_the_name_had_is_made() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "now-again", &[1]).await?;
        sow(stage.lab.member(1), "now-again").await?;
        let backups = tenant.all::<Backup>();
        let ask = json!({"metadata": {"annotations": {RUN_NOW_ANNOTATION: "now"}}});
        let first = run_now_name(&name_in(&tenant, 1), "now");
        for expected in [first.clone(), String::new()] {
            let uid = scheduled(&tenant, YEARLY).await?.uid().unwrap_or_default();
            backups.merge("b", ask.clone()).await?;
            let ran = |b: &Backup| row(b).phase == Some(RowPhase::Completed);
            let row = row(&backups.until("b", "a run", ran).await?);
            let second = second_run_now_name(&name_in(&tenant, 1), "now", &uid);
            let name = if expected.is_empty() { second } else { expected };
            assert_eq!(row.backup_name_in_cluster, Some(name));
            let schedule = row.schedule.unwrap_or_default();
            assert_eq!((schedule.runs, schedule.ran_now.as_deref()), (1, Some("now")));
            backups.delete("b").await?;
            backups.until_gone("b").await?;
        }
        Ok(())
    })
}

#[test]
fn k43_k44_a_broken_member_has_a_row_that_says_so_and_the_others_have_their_schedule() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k43-schedules").await?;
        let cluster = tenant.attach(1).await?;
        tenant.attach_as("k43-s-broken", "{]").await?;
        tenant.fleet(&["k43-s-broken", &cluster], None).await?;
        scheduled(&tenant, YEARLY).await?;
        let message =
            "in force in 1/2 clusters, not known in 1; k43-s-broken: Secret `k43-s-broken`, key `value`: ";
        let backups = tenant.all::<Backup>();
        let said = |b: &Backup| {
            condition(b, "Ready").unwrap_or_default()["message"]
                .as_str()
                .is_some_and(|m| m.starts_with(message))
        };
        let backup = backups.until("b", message, said).await?;
        assert_eq!(status_of(&backup).phase, Some(BackupPhase::Enabled));
        assert_eq!(row(&backup).reason.as_deref(), Some("KubeconfigInvalid"));
        assert_eq!(status_of(&backup).last_success, None);
        Ok(())
    })
}
