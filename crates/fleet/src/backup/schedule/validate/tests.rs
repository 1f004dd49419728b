use super::*;
use crate::standing::Standing;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

fn fleet(clusters: Value) -> Guarded<Fleet> {
    let whole = json!({"metadata": {"name": "quickstart", "namespace": "default", "uid": "f"}, "spec": {"clusters": clusters}});
    DeserializeGuard(Ok(serde_json::from_value(whole).unwrap()))
}

fn members() -> Guarded<Fleet> {
    fleet(json!([{"name": "a", "kind": "AttachedCluster"}, {"name": "b", "kind": "AttachedCluster"}]))
}

fn backup(spec: Value) -> Backup {
    let metadata = json!({"name": "b", "namespace": "default", "uid": "u"});
    let mut backup: Backup = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
    backup.spec.destination.fleet = "quickstart".into();
    backup
}

fn nightly() -> Backup {
    backup(json!({"schedule": "0 0 * * *", "destination": {"fleet": "quickstart"}}))
}

fn asked(backup: &Backup, fleet: Option<&Guarded<Fleet>>) -> Asked {
    validate(backup, fleet, "hub", |_| BTreeMap::new(), now())
}

/// How the aim is called, and what is said instead of what the rows say.
fn told(asked: Asked) -> (&'static str, Option<BackupPhase>, Reason, String) {
    let aim = match asked.aim {
        Aim::In(..) => "in",
        Aim::Nowhere => "nowhere",
        Aim::Hold => "hold",
    };
    let Instead { phase, verdict } = asked.instead.expect("nothing is said");
    (aim, phase, verdict.reason, verdict.message)
}

#[test]
fn every_cluster_of_the_fleet_is_asked_for_the_same() {
    let asked = asked(&nightly(), Some(&members()));
    assert_eq!(asked.instead, None);
    let Aim::In(clusters, wanted) = asked.aim else { panic!("not in members") };
    assert_eq!(clusters.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((wanted.expression.as_str(), wanted.paused, wanted.plugin_of), ("0 0 * * *", false, None));
}

#[test]
fn an_edit_that_clears_the_schedule_and_is_refused_for_something_else_changes_nothing() {
    let cleared = backup(json!({"destination": {"fleet": "quickstart"}, "policy": {"ttl": "soon"}}));
    let (aim, phase, reason, _) = told(asked(&cleared, None));
    assert_eq!((aim, phase, reason), ("hold", Some(BackupPhase::FailedValidation), Reason::InvalidSpec));
}

#[test]
fn a_cleared_schedule_is_to_be_nowhere() {
    let (aim, phase, reason, _) = told(asked(&backup(json!({"destination": {"fleet": "quickstart"}})), None));
    assert_eq!((aim, phase, reason), ("nowhere", Some(BackupPhase::Pending), Reason::Waiting));
}

#[test]
fn clusters_of_a_fleet_that_is_gone_or_going_have_left() {
    let mut going = members();
    going.0.as_mut().unwrap().metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-11-01T00:00:00Z")).unwrap());
    for fleet in [None, Some(&going)] {
        let (aim, phase, reason, _) = told(asked(&nightly(), fleet));
        assert_eq!((aim, phase, reason), ("nowhere", Some(BackupPhase::Pending), Reason::FleetNotFound));
    }
}

#[test]
fn a_fleet_that_cannot_be_read_changes_nothing() {
    let unreadable: Guarded<Fleet> = serde_json::from_value(json!({
        "apiVersion": "fleet.kurator.dev/v1alpha1", "kind": "Fleet",
        "metadata": {"name": "quickstart", "namespace": "default"}, "spec": {"clusters": "all of them"},
    }))
    .unwrap();
    let (aim, phase, reason, _) = told(asked(&nightly(), Some(&unreadable)));
    assert_eq!((aim, phase, reason), ("hold", None, Reason::Waiting));
}

#[test]
fn k09_no_selected_cluster_is_never_in_force() {
    let (aim, phase, reason, _) = told(asked(&nightly(), Some(&fleet(json!([])))));
    assert_eq!((aim, phase, reason), ("nowhere", Some(BackupPhase::Pending), Reason::NoClusters));
}

#[test]
fn an_invalid_edit_leaves_the_members_alone_and_names_all_that_is_wrong() {
    let mut invalid = nightly();
    invalid.spec.schedule = Some("61 * * * *".into());
    invalid.spec.policy = Some(serde_json::from_value(json!({"ttl": "30d"})).unwrap());
    let asked = asked(&invalid, Some(&members()));
    assert_eq!(asked.instead.as_ref().map(|said| said.verdict.standing), Some(Standing::Stalled));
    let (aim, phase, reason, message) = told(asked);
    assert_eq!((aim, phase, reason), ("hold", Some(BackupPhase::FailedValidation), Reason::InvalidSpec));
    for part in ["spec.policy.ttl: ", "spec.schedule: `61` in the minute field is out of range; use 0 to 59"]
    {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_cluster_outside_the_fleet_is_named_and_nothing_is_undone() {
    let mut elsewhere = nightly();
    elsewhere.spec.destination.clusters =
        serde_json::from_value(json!([{"kind": "AttachedCluster", "name": "x"}])).unwrap();
    let (aim, phase, reason, _) = told(asked(&elsewhere, Some(&members())));
    assert_eq!(
        (aim, phase, reason),
        ("hold", Some(BackupPhase::FailedValidation), Reason::ClusterNotInFleet)
    );
}

#[test]
fn k25_what_the_veleros_of_the_fleet_take_differently_is_remarked_and_accepted() {
    let mixed = |versions: [&str; 2]| {
        let mut fleet = members();
        let rows = ["a", "b"].iter().zip(versions).map(|(name, version)| {
            json!({"name": name, "kind": "AttachedCluster", "backup": {"serverVersion": version}})
        });
        fleet.0.as_mut().unwrap().status =
            Some(serde_json::from_value(json!({"clusters": rows.collect::<Vec<_>>()})).unwrap());
        fleet
    };
    let mut friday = nightly();
    friday.spec.schedule = Some("0 0 13 * FRI".into());
    for (versions, remarks) in [(["v1.18.2", "v1.18.3"], 1), (["v1.18.3", "v1.19.0"], 0)] {
        let Aim::In(_, wanted) = asked(&friday, Some(&mixed(versions))).aim else { panic!("not accepted") };
        assert_eq!(wanted.remarks.len(), remarks, "{:?}", wanted.remarks);
    }
}

#[test]
fn k25_a_pause_of_less_than_a_minute_is_remarked_and_a_negative_one_refused() {
    let every = |pause: &str| {
        let mut backup = nightly();
        backup.spec.schedule = Some(format!("@every {pause}"));
        asked(&backup, Some(&members()))
    };
    let with = |engine: &str| {
        let mut fleet = members();
        let rows = ["a", "b"]
            .map(|name| json!({"name": name, "kind": "AttachedCluster", "backup": {"engine": engine}}));
        fleet.0.as_mut().unwrap().status = Some(serde_json::from_value(json!({"clusters": rows})).unwrap());
        let mut backup = nightly();
        backup.spec.schedule = Some("@every 10s".into());
        let Aim::In(_, wanted) = asked(&backup, Some(&fleet)).aim else { panic!("not accepted") };
        wanted.remarks.len()
    };
    assert_eq!([with("Velero"), with("Builtin")], [1, 0], "the built-in engine looks as often as is asked");
    for (pause, expected) in [("1s", 1), ("60s", 0), ("1h", 0)] {
        let Aim::In(_, wanted) = every(pause).aim else { panic!("{pause} is not accepted") };
        let often = wanted.remarks.iter().filter(|remark| remark.contains("runs once a minute")).count();
        assert_eq!(often, expected, "{pause}: {:?}", wanted.remarks);
    }
    let (aim, phase, _, message) = told(every("-1h"));
    assert_eq!((aim, phase), ("hold", Some(BackupPhase::FailedValidation)));
    assert_eq!(message, "spec.schedule: `@every -1h` is no time to come; use one such as `@every 6h`");
}
