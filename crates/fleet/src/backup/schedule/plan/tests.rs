use super::*;
use crate::backup::schedule::observe::Writes;
use crate::backup::schedule::render;
use crate::backup::schedule::runs::History;
use crate::backup::schedule::testing::{cluster, history, owner, wanted};
use crate::run::child::{Contact, Place};
use crate::writes::{Failure, Write};
use kurator_api::backup::RowPhase;
use kurator_api::velero::{self, Schedule};
use kurator_schedule::Dialect;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "m1-backup-default-nightly";

fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

/// A member of which nothing is known yet but that it is there and empty.
fn empty(name: &str) -> Seen {
    Seen {
        cluster: cluster(name),
        selected: true,
        recorded: None,
        on_hub: true,
        contact: Contact::Live { uid: "cluster-uid".into() },
        place: Place::Free { name: format!("{name}-backup-default-nightly") },
        history: Some(History::default()),
        stored: None,
        location: Ok("default".into()),
        dialect: Dialect::GoCron,
        writes: Writes {
            create: Write::None,
            change: Write::None,
            remove: Write::None,
            run_now: Write::None,
        },
        asked_run: Place::Free { name: "asked-for".into() },
    }
}

/// The Schedule as it is in force in a member.
fn schedule(name: &str) -> Schedule {
    let full = format!("{name}-backup-default-nightly");
    let mut schedule = render::schedule(&owner(), &wanted(), &cluster(name), &full, Some("default".into()));
    schedule.metadata.uid = Some("s".into());
    schedule.metadata.resource_version = Some("7".into());
    schedule.metadata.creation_timestamp =
        Some(serde_json::from_value(json!("2026-10-31T10:00:00Z")).unwrap());
    let status = json!({"phase": "Enabled", "lastBackup": "2026-11-01T00:00:30Z"});
    schedule.status = Some(serde_json::from_value(status).unwrap());
    schedule
}

/// A member in which it is in force.
fn in_force(name: &str) -> Seen {
    Seen { place: Place::Ours(Arc::new(schedule(name))), ..empty(name) }
}

fn ended(name: &str, phase: &str) -> Seen {
    let run = json!({"metadata": {"name": format!("{name}-run")}, "spec": {}, "status": {
        "phase": phase, "startTimestamp": "2026-11-01T00:00:30Z",
        "completionTimestamp": "2026-11-01T00:00:40Z", "expiration": "2026-12-01T00:00:30Z",
    }});
    let run = Arc::new(serde_json::from_value(run).unwrap());
    Seen { history: Some(history(vec![run], now())), ..in_force(name) }
}

fn away(mut seen: Seen, recorded: Option<BackupDetails>) -> Seen {
    seen.contact = Contact::Lost { reason: Reason::Unreachable, why: "no answer since noon".into() };
    seen.place = Place::Unknown { why: "away".into() };
    Seen { history: None, location: Err((Reason::Unreachable, "away".into())), recorded, ..seen }
}

fn left(seen: Seen) -> Seen {
    Seen { selected: false, ..seen }
}

fn asked(clusters: &[&str]) -> Asked {
    asked_with(clusters, wanted())
}

fn asked_with(clusters: &[&str], wanted: Wanted) -> Asked {
    let clusters = clusters.iter().map(|name| cluster(name)).collect();
    Asked { owner: owner(), aim: Aim::In(clusters, Box::new(wanted)), instead: None }
}

fn decide(seen: &[Seen]) -> Plan {
    plan(&asked(&["m1", "m2"]), seen, now())
}

fn one(seen: Seen) -> (BackupDetails, Plan) {
    let plan = decide(&[seen]);
    (plan.rows[0].clone(), plan)
}

fn says(row: &BackupDetails) -> (Option<RowPhase>, &str) {
    (row.phase, row.reason.as_deref().unwrap_or_default())
}

fn actions(plan: &Plan) -> Vec<&'static str> {
    let kind = |(_, action): &(ClusterKey, Action)| match action {
        Action::Create(_) => "create",
        Action::Change { .. } => "change",
        Action::Remove { .. } => "remove",
        Action::RunNow(_) => "run now",
    };
    plan.actions.iter().map(kind).collect()
}

#[test]
fn it_is_created_where_it_is_known_to_be_absent_and_nowhere_else() {
    assert_eq!(actions(&decide(&[empty("m1")])), ["create"]);
    let why = || "no list".to_owned();
    for (place, reason) in [
        (Place::Unknown { why: why() }, Reason::VeleroMissing),
        (Place::Leaving { name: NAME.into() }, Reason::Waiting),
        (Place::Namesake { name: NAME.into() }, Reason::AlreadyExists),
        (Place::Taken { name: NAME.into() }, Reason::AlreadyExists),
    ] {
        let (row, plan) = one(Seen { place, ..empty("m1") });
        assert_eq!((actions(&plan).len(), says(&row)), (0, (Some(RowPhase::Pending), reason.as_str())));
    }
}

#[test]
fn without_a_location_to_use_nothing_is_created_and_the_row_says_so() {
    let location = Err((Reason::LocationUnavailable, "no bucket".to_owned()));
    let (row, plan) = one(Seen { location, ..empty("m1") });
    assert!(plan.actions.is_empty());
    assert_eq!(says(&row).1, "LocationUnavailable");
    assert_eq!(plan.phase, Some(BackupPhase::Pending));
}

#[test]
fn a_location_that_fails_later_changes_no_schedule_but_is_told() {
    let location = Err((Reason::LocationUnavailable, "no bucket".to_owned()));
    let (row, plan) = one(Seen { location, ..in_force("m1") });
    assert!(plan.actions.is_empty());
    assert_eq!(says(&row).1, "LocationUnavailable");
    assert_eq!((plan.phase, plan.verdict.standing), (Some(BackupPhase::Enabled), Standing::Underway));
}

#[test]
fn k21_before_the_first_run_the_row_has_no_name_and_an_empty_status() {
    let (row, plan) = one(in_force("m1"));
    assert_eq!(
        (row.backup_name_in_cluster.as_ref(), says(&row)),
        (None, (Some(RowPhase::Pending), "Enabled"))
    );
    assert_eq!(serde_json::to_value(row.backup_status_in_cluster).unwrap(), json!({}));
    assert_eq!((plan.phase, plan.verdict.standing), (Some(BackupPhase::Enabled), Standing::Ready));
    assert_eq!(plan.next_run, Some("2026-11-02T00:00:00Z".parse().unwrap()));
}

#[test]
fn k21_the_first_run_takes_the_rows_place() {
    let before = one(in_force("m1")).0;
    let (row, plan) = one(Seen { recorded: Some(before), ..ended("m1", "Completed") });
    assert_eq!(
        (row.backup_name_in_cluster.as_deref(), says(&row).0),
        (Some("m1-run"), Some(RowPhase::Completed))
    );
    assert_eq!(plan.rows.len(), 1);
    assert_eq!(plan.last_success, Some("2026-11-01T00:00:40Z".parse().unwrap()));
}

#[test]
fn k23_the_last_success_of_all_is_the_oldest_and_absent_if_one_cluster_has_none() {
    let with = |other| decide(&[ended("m1", "Completed"), other]);
    assert!(with(ended("m2", "Completed")).last_success.is_some());
    let degraded = with(ended("m2", "PartiallyFailed"));
    assert_eq!((degraded.last_success, degraded.degraded), (None, vec!["m2".to_owned()]));
    assert_eq!(degraded.summary.status, "1/2");
}

#[test]
fn k29_a_difference_is_changed_and_a_change_under_way_is_not_repeated() {
    let edited = |change: Write| {
        let mut wanted = wanted();
        wanted.template.ttl = Some("1h".into());
        let mut seen = in_force("m1");
        seen.writes.change = change;
        plan(&asked_with(&["m1"], wanted), &[seen], now())
    };
    let first = edited(Write::None);
    assert_eq!((actions(&first), first.settled.len()), (vec!["change"], 0));
    assert_eq!(first.verdict.standing, Standing::Underway);
    let until = Instant::now() + Duration::from_secs(9);
    for (write, look_again) in [(Write::InFlight, None), (Write::Done { until }, Some(until))] {
        let plan = edited(write);
        assert_eq!((plan.actions.len(), plan.look_again), (0, look_again));
    }
    let due = Write::Failed { failure: Failure::Transient("conflict".into()), retry_at: Instant::now() };
    assert_eq!(actions(&edited(due)), ["change"]);
    assert_eq!(decide(&[in_force("m1")]).settled, [cluster("m1")]);
}

#[test]
fn what_velero_refuses_stalls_with_its_words() {
    let mut refused = schedule("m1");
    let status = json!({"phase": "FailedValidation", "validationErrors": ["bad minute", "bad hour"]});
    refused.status = Some(serde_json::from_value(status).unwrap());
    let refused = Seen { place: Place::Ours(Arc::new(refused)), ..empty("m1") };
    let plan = decide(&[refused, in_force("m2")]);
    assert_eq!(says(&plan.rows[0]), (Some(RowPhase::FailedValidation), "ScheduleRefused"));
    assert_eq!(plan.phase, Some(BackupPhase::Enabled));
    let said =
        Verdict::stalled(Reason::ScheduleRefused, "in force in 1/2 clusters; m1: bad minute; bad hour");
    assert_eq!(plan.verdict, said);
}

#[test]
fn k44_a_member_out_of_reach_keeps_what_it_said_last_and_holds_up_no_other() {
    let before = one(ended("m1", "Completed")).0;
    let plan = decide(&[away(in_force("m1"), Some(before)), empty("m2")]);
    let row = &plan.rows[0];
    assert_eq!(
        (row.backup_name_in_cluster.as_deref(), says(row)),
        (Some("m1-run"), (Some(RowPhase::Completed), "Unreachable"))
    );
    assert_eq!(actions(&plan), ["create"]);
    assert_eq!(plan.verdict.reason, Reason::Unreachable);
    let expected = "in force in 0/2 clusters, not known in 1; m1: no answer since noon";
    assert_eq!(plan.verdict.message, expected);
}

#[test]
fn a_member_that_is_back_is_no_longer_said_to_be_out_of_reach() {
    let before = one(ended("m1", "Completed")).0;
    let lost = one(away(in_force("m1"), Some(before.clone()))).0;
    assert_eq!(says(&lost).1, "Unreachable");
    // Its Backups are not listed yet.
    let (row, plan) = one(Seen { recorded: Some(lost), history: None, stored: None, ..in_force("m1") });
    assert_eq!(
        (says(&row), row.backup_name_in_cluster.clone()),
        (says(&before), before.backup_name_in_cluster.clone())
    );
    assert_eq!(plan.verdict.standing, Standing::Ready);
}

#[test]
fn the_next_run_that_a_lost_member_told_of_is_not_told_for_ever() {
    let before = one(in_force("m1")).0;
    let later = now() + jiff::SignedDuration::from_hours(48);
    let seen = [away(in_force("m1"), Some(before))];
    assert!(plan(&asked(&["m1"]), &seen, now()).next_run.is_some());
    let plan = plan(&asked(&["m1"]), &seen, later);
    assert_eq!((plan.next_run, plan.due_in(later)), (None, None));
}

#[test]
fn while_a_member_is_being_connected_to_the_last_word_stands() {
    let before = one(ended("m1", "Completed")).0;
    let mut seen = away(in_force("m1"), Some(before.clone()));
    seen.contact = Contact::NotYet(None);
    let (row, plan) = one(seen);
    assert_eq!((row, plan.verdict.standing), (before, Standing::Ready));
}

#[test]
fn a_member_that_was_built_again_starts_anew() {
    let mut before = one(ended("m1", "Completed")).0;
    before.cluster_uid = Some("another".into());
    before.schedule.as_mut().unwrap().ran_now = Some("token".into());
    let (row, plan) = one(Seen { recorded: Some(before), ..empty("m1") });
    assert_eq!((row.backup_name_in_cluster, actions(&plan)), (None, vec!["create"]));
    assert_eq!(row.schedule.unwrap().ran_now, None);
}

#[test]
fn k29_a_cluster_that_left_loses_its_schedule_and_then_its_row() {
    let before = one(in_force("m3")).0;
    let recorded = || Some(before.clone());
    let going = decide(&[in_force("m1"), left(Seen { recorded: recorded(), ..in_force("m3") })]);
    assert_eq!((actions(&going), going.rows.len()), (vec!["remove"], 2));
    assert_eq!(says(&going.rows[1]).1, "MemberCleanupPending");
    assert_eq!(going.verdict.reason, Reason::MemberCleanupPending);
    let gone = decide(&[in_force("m1"), left(Seen { recorded: recorded(), ..empty("m3") })]);
    assert_eq!((gone.actions.len(), gone.rows.len(), gone.verdict.standing), (0, 1, Standing::Ready));
}

#[test]
fn k39_of_a_cluster_that_left_another_owners_schedule_is_not_removed() {
    for place in [Place::Taken { name: NAME.into() }, Place::Namesake { name: NAME.into() }] {
        let plan = decide(&[in_force("m1"), left(Seen { place, ..empty("m3") })]);
        assert_eq!((plan.actions.len(), plan.rows.len()), (0, 1));
    }
}

#[test]
fn a_cluster_that_left_and_can_not_be_reached_stays_with_what_is_pending() {
    let before = one(ended("m3", "Completed")).0;
    let plan = decide(&[ended("m1", "Completed"), left(away(in_force("m3"), Some(before.clone())))]);
    assert_eq!(says(&plan.rows[1]).1, "MemberCleanupPending");
    assert_eq!(
        plan.rows[1].message.as_deref(),
        Some("its schedule is removed when the member is back: no answer since noon")
    );
    // Nobody can ever ask it again: it is let go, and that is said.
    let mut forgotten = left(away(in_force("m3"), Some(before)));
    forgotten.on_hub = false;
    let plan = decide(&[ended("m1", "Completed"), forgotten]);
    assert_eq!((plan.rows.len(), plan.given_up), (1, vec!["AttachedCluster default/m3".to_owned()]));
}

#[test]
fn in_a_cluster_that_left_and_never_answered_nothing_is_pending() {
    let mut row = decide(&[in_force("m3")]).rows.remove(0);
    let rows = |row: &BackupDetails| {
        decide(&[ended("m1", "Completed"), left(away(in_force("m3"), Some(row.clone())))]).rows.len()
    };
    assert_eq!(rows(&row), 2);
    row.cluster_uid = None;
    assert_eq!(rows(&row), 2, "its schedule has a name");
    row.schedule = None;
    assert_eq!(rows(&row), 1);
}

#[test]
fn a_creation_under_way_in_a_cluster_that_left_is_waited_for() {
    let until = Instant::now() + Duration::from_secs(9);
    for write in [Write::InFlight, Write::Done { until }] {
        let mut seen = left(empty("m3"));
        seen.writes.create = write;
        assert_eq!(decide(&[in_force("m1"), seen]).rows.len(), 2);
    }
}

#[test]
fn a_run_asked_for_is_made_once_and_recorded_when_it_is_seen() {
    let asked = || asked_with(&["m1"], Wanted { run_now: Some("now".into()), ..wanted() });
    let first = plan(&asked(), &[in_force("m1")], now());
    let Some((_, Action::RunNow(run))) = first.actions.first() else { panic!("not made") };
    assert_eq!(run.metadata.name, Some("asked-for".to_owned()));
    assert_eq!(first.rows[0].schedule.as_ref().unwrap().ran_now, None);

    let made = Place::Ours(Arc::new((**run).clone()));
    let seen = plan(&asked(), &[Seen { asked_run: made, ..in_force("m1") }], now());
    assert_eq!(
        (seen.actions.len(), seen.rows[0].schedule.as_ref().unwrap().ran_now.as_deref()),
        (0, Some("now"))
    );
    let later = Seen { recorded: Some(seen.rows[0].clone()), ..in_force("m1") };
    assert!(plan(&asked(), &[later], now()).actions.is_empty());
    let unknown = Place::Unknown { why: "no list".into() };
    assert!(plan(&asked(), &[Seen { asked_run: unknown, ..in_force("m1") }], now()).actions.is_empty());
}

#[test]
fn a_run_asked_for_whose_name_is_anothers_is_not_taken_for_made_and_says_what_to_do() {
    let wanted = Wanted { run_now: Some("now".into()), ..wanted() };
    let table: [(Place<velero::Backup>, Standing, &str); 3] = [
        (
            Place::Taken { name: "x".into() },
            Standing::Stalled,
            "the run asked for is not made: `x` is somebody else's; give `kurator.dev/run-now` another value",
        ),
        (Place::Namesake { name: "x".into() }, Standing::Stalled, "annotate this one `kurator.dev/adopt"),
        (Place::Leaving { name: "x".into() }, Standing::Underway, "still being deleted"),
    ];
    for (place, standing, words) in table {
        let seen = Seen { asked_run: place, ..in_force("m1") };
        let plan = plan(&asked_with(&["m1"], wanted.clone()), &[seen], now());
        assert_eq!((plan.actions.len(), plan.verdict.standing), (0, standing), "{words}");
        assert_eq!(plan.rows[0].schedule.as_ref().unwrap().ran_now, None);
        let said = plan.rows[0].message.clone().unwrap_or_default();
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_paused_schedule_is_in_order_before_velero_looks_at_it_and_has_no_next_run() {
    let mut paused = schedule("m1");
    paused.spec.paused = Some(true);
    paused.status = None;
    let seen = Seen { place: Place::Ours(Arc::new(paused)), ..empty("m1") };
    let plan = plan(&asked_with(&["m1"], Wanted { paused: true, ..wanted() }), &[seen], now());
    assert_eq!((plan.phase, plan.verdict.standing), (Some(BackupPhase::Paused), Standing::Ready));
    assert_eq!((says(&plan.rows[0]).1, plan.next_run), ("Paused", None));
}

#[test]
fn a_due_time_that_passed_without_a_run_gives_way_to_the_next_one() {
    let mut late = schedule("m1");
    late.status.as_mut().unwrap().last_backup = Some("2026-10-30T00:00:30Z".parse().unwrap());
    let plan = decide(&[Seen { place: Place::Ours(Arc::new(late)), ..empty("m1") }]);
    assert_eq!(plan.next_run, Some("2026-11-02T00:00:00Z".parse().unwrap()));
}

#[test]
fn where_nothing_may_change_runs_are_still_told() {
    let held = Asked { aim: Aim::Hold, ..asked(&[]) };
    let mut odd = ended("m1", "PartiallyFailed");
    let mut schedule = schedule("m1");
    schedule.spec.schedule = Some("0 5 * * *".into());
    odd.place = Place::Ours(Arc::new(schedule));
    let plan = plan(&held, &[odd, empty("m2")], now());
    assert!(plan.actions.is_empty());
    assert_eq!(says(&plan.rows[0]).0, Some(RowPhase::PartiallyFailed));
    assert_eq!(
        plan.next_run,
        Some("2026-11-01T05:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_hours(24))
    );
}

#[test]
fn an_edit_that_is_refused_is_told_with_what_the_members_do_meanwhile() {
    let paused = |name: &str| {
        let mut schedule = schedule(name);
        schedule.spec.paused = Some(true);
        Seen { place: Place::Ours(Arc::new(schedule)), ..in_force(name) }
    };
    let said = |problem: &str, seen: &[Seen]| {
        let verdict = Verdict::stalled(Reason::InvalidSpec, problem);
        let instead = Instead { phase: Some(BackupPhase::FailedValidation), verdict };
        plan(&Asked { aim: Aim::Hold, instead: Some(instead), ..asked(&[]) }, seen, now()).verdict.message
    };
    let before = "; the schedule as it was before";
    let goes_on = format!("no cron{before} goes on in m1, m2");
    assert_eq!(said("no cron", &[in_force("m1"), in_force("m2")]), goes_on);
    let both = format!("no cron{before} goes on in m1{before} stays paused in m2");
    assert_eq!(said("no cron", &[in_force("m1"), paused("m2")]), both);
    assert_eq!(said("no cron", &[empty("m1")]), "no cron", "it never was in force");
    let long = said(&"x".repeat(300), &[in_force("m1")]);
    assert!(long.len() <= condition::MAX_MESSAGE && long.ends_with("goes on in m1"), "{long}");
}

#[test]
fn k22_the_status_of_three_thousand_clusters_in_good_order_fits_the_api_server() {
    let name = |i: usize| format!("europe-west-{i:05}");
    let seen: Vec<_> = (0..3_000)
        .map(|i| Seen {
            contact: Contact::Live { uid: "3f2504e0-4f89-41d3-9a0c-0305e82c3301".into() },
            ..ended(&name(i), "Completed")
        })
        .collect();
    let asked = asked(&[]);
    let plan = plan(&asked, &seen, now());
    let size = serde_json::to_vec(&plan.rows).unwrap().len();
    assert!(size < 1_400_000, "{size} bytes");
    assert!(plan.last_success.is_some());
    // A short row is read back as what it was.
    let kept = super::good_run(&plan.rows[0]).unwrap();
    assert_eq!(kept.backup_name_in_cluster, "europe-west-00000-run");
}
