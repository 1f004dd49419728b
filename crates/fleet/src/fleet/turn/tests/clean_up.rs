use super::*;
use kurator_api::velero::Schedule;

use crate::usage::InUse;

/// A member that had the plugin, as it is seen now.
fn left(contact: SeenContact) -> SeenMember {
    let recorded = one(alive(Ok(all_written()))).rows.into_iter().next();
    SeenMember { listed: false, recorded, ..member("m1", contact) }
}

fn reached(velero: SeenVelero) -> SeenContact {
    SeenContact::Alive(Box::new(alive(Ok(velero))))
}

fn away() -> SeenContact {
    SeenContact::Away { reason: Reason::Unreachable, why: "no route".into() }
}

fn reason(plan: &Plan) -> Option<&str> {
    plan.rows.first()?.reason.as_deref()
}

#[test]
fn k02_a_member_off_the_list_is_cleaned_step_by_step_and_then_forgotten() {
    let plan = decide(serving(), vec![left(reached(all_written()))]);
    assert_eq!(written(&plan), ["m1 delete locations default"]);
    let plan = decide(serving(), vec![left(reached(secret_written()))]);
    assert_eq!(written(&plan), ["m1 delete secrets quickstart-velero-s3"]);
    let plan = decide(serving(), vec![left(reached(nothing_written()))]);
    assert!(plan.rows.is_empty() && plan.actions.is_empty() && plan.lost.is_empty());
}

#[test]
fn k02_a_member_off_the_list_and_out_of_reach_waits_to_be_cleaned() {
    let plan = decide(serving(), vec![left(away())]);
    assert_eq!(reason(&plan), Some("MemberCleanupPending"));
    assert!(plan.actions.is_empty());
    assert_eq!((plan.stuck, plan.lost), (vec![key("m1")], vec![]));
}

#[test]
fn earlier_locations_go_with_the_current_one_and_mounts_stay() {
    let locations = ["default", "default-12345678", "kurator-ro-12345678"];
    let locations = locations.map(|name| location(name, name, "ReadOnly")).into();
    let plan = decide(Plugin::Off, vec![left(reached(SeenVelero { locations, ..all_written() }))]);
    assert_eq!(written(&plan), ["m1 delete locations default default-12345678"]);
}

#[test]
fn nothing_is_removed_while_something_runs_there() {
    let busy = |needs_help| {
        let in_use = Some(InUse { why: "Backup `b` runs".into(), needs_help });
        decide(Plugin::Off, vec![SeenMember { in_use, ..left(reached(all_written())) }])
    };
    let plan = busy(false);
    assert_eq!(reason(&plan), Some("MemberCleanupPending"));
    assert_eq!(plan.rows[0].message.as_deref(), Some("Backup `b` runs"));
    assert!(plan.actions.is_empty() && plan.stuck.is_empty());
    assert_eq!((plan.needed, plan.blocked), (vec![key("m1")], vec![]));
    assert_eq!(busy(true).blocked, [key("m1")]);
}

#[test]
fn n07_a_schedule_does_not_lose_its_location() {
    let schedule = |location: &str| -> Arc<Schedule> {
        let spec = json!({"template": {"storageLocation": location}});
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec})).unwrap())
    };
    let with = |location| SeenVelero { schedules: Some(vec![schedule(location)]), ..all_written() };
    let plan = decide(Plugin::Off, vec![left(reached(with("default")))]);
    let why = "Velero Schedule `s` still stores there; delete its Backup";
    assert_eq!((plan.rows[0].message.as_deref(), plan.actions.len()), (Some(why), 0));
    let plan = decide(Plugin::Off, vec![left(reached(with("elsewhere")))]);
    assert_eq!(written(&plan), ["m1 delete locations default"]);
}

#[test]
fn a_schedule_that_would_lose_its_location_names_the_backup_that_takes_it_away() {
    let metadata = json!({"name": "s", "annotations": {"kurator.dev/owner": "Backup default/nightly"}});
    let schedule = json!({"metadata": metadata, "spec": {"template": {"storageLocation": "default"}}});
    let schedule: Arc<Schedule> = Arc::new(serde_json::from_value(schedule).unwrap());
    let plan = decide(
        Plugin::Off,
        vec![left(reached(SeenVelero { schedules: Some(vec![schedule]), ..all_written() }))],
    );
    let why = "Velero Schedule `s` still stores there; delete Backup default/nightly";
    assert_eq!((plan.rows[0].message.as_deref(), plan.needed), (Some(why), vec![key("m1")]));
}

#[test]
fn k45_a_cluster_whose_object_is_gone_is_cleaned_over_the_connection_that_is_left() {
    let gone = |contact, listed| SeenMember { presence: Presence::Gone, listed, ..left(contact) };
    for listed in [true, false] {
        let plan = decide(serving(), vec![gone(reached(all_written()), listed)]);
        assert_eq!(written(&plan), ["m1 delete locations default"]);
        assert_eq!(reason(&plan), Some("MemberCleanupPending"));
    }
    let plan = decide(serving(), vec![gone(reached(nothing_written()), true)]);
    assert_eq!(reason(&plan), Some("ClusterNotFound"));
    assert!(plan.rows[0].backup.is_none());
    assert!(decide(serving(), vec![gone(reached(nothing_written()), false)]).rows.is_empty());
}

#[test]
fn k45_a_cluster_whose_object_and_connection_are_gone_is_given_up() {
    let gone = |listed| SeenMember { presence: Presence::Gone, listed, ..left(away()) };
    let plan = decide(serving(), vec![gone(false)]);
    assert_eq!((plan.rows.len(), plan.lost), (0, vec![key("m1")]));
    let plan = decide(serving(), vec![gone(true)]);
    assert_eq!((reason(&plan), plan.lost.len()), (Some("ClusterNotFound"), 0));
    assert!(plan.rows[0].backup.is_some());
}

#[test]
fn k45_a_cluster_whose_object_waits_is_waited_for_when_it_is_out_of_reach_and_let_go_when_it_is_clean() {
    let leaving = |contact, listed| SeenMember { presence: Presence::Leaving, listed, ..left(contact) };
    for listed in [true, false] {
        let plan = decide(serving(), vec![leaving(away(), listed)]);
        assert_eq!(reason(&plan), Some("MemberCleanupPending"));
        assert_eq!((plan.stuck, plan.lost, plan.left), (vec![key("m1")], Vec::new(), Vec::new()));
        let plan = decide(serving(), vec![leaving(reached(all_written()), listed)]);
        assert_eq!(written(&plan), ["m1 delete locations default"]);
        assert!(plan.left.is_empty());
        let plan = decide(serving(), vec![leaving(reached(nothing_written()), listed)]);
        assert_eq!((plan.rows.len(), plan.left), (usize::from(listed), vec![key("m1")]));
    }
}

#[test]
fn k45_what_was_written_before_a_row_told_of_it_is_removed_from_a_cluster_whose_object_waits() {
    let unrecorded =
        |velero| SeenMember { presence: Presence::Leaving, recorded: None, ..left(reached(velero)) };
    let plan = decide(serving(), vec![unrecorded(all_written())]);
    assert_eq!((written(&plan), plan.left.len()), (vec!["m1 delete locations default".to_owned()], 0));
    assert_eq!(decide(serving(), vec![unrecorded(nothing_written())]).left, [key("m1")]);
}

#[test]
fn a_location_that_was_just_written_is_waited_for_until_it_shows() {
    let until = Instant::now() + Duration::from_secs(5);
    let seen = SeenAlive { location_write: Write::Done { until }, ..alive(Ok(nothing_written())) };
    let plan = decide(Plugin::Off, vec![left(SeenContact::Alive(Box::new(seen)))]);
    assert_eq!((reason(&plan), plan.look_again), (Some("MemberCleanupPending"), Some(until)));
}

#[test]
fn a_location_that_another_member_of_the_same_cluster_has_stays() {
    let mut theirs = (*location("default", "x", "ReadWrite")).clone();
    let of_m2 = ("kurator.dev/cluster".to_owned(), key("m2").to_string());
    theirs.metadata.annotations = Some(BTreeMap::from([of_m2]));
    let mut velero = SeenVelero { locations: vec![Arc::new(theirs)], ..all_written() };
    velero.secrets[0].made_for = Some(key("m2").to_string());
    let plan = decide(serving(), vec![member("m2", SeenContact::Connecting), left(reached(velero))]);
    assert!(written(&plan).is_empty());
    assert_eq!(plan.rows.len(), 1);
}

#[test]
fn a_write_under_way_ends_before_anything_is_removed() {
    let seen = SeenAlive { location_write: Write::InFlight, ..alive(Ok(all_written())) };
    let plan = decide(Plugin::Off, vec![left(SeenContact::Alive(Box::new(seen)))]);
    assert!(plan.actions.is_empty());
    assert_eq!(reason(&plan), Some("MemberCleanupPending"));
}

#[test]
fn k32_a_plugin_that_is_turned_off_goes_from_one_member_whatever_fails_in_another() {
    let refused = Write::Failed {
        failure: Failure::Forbidden("may not delete".into()),
        retry_at: Instant::now() + Duration::from_secs(60),
    };
    let failing = SeenAlive { location_removal: refused, ..alive(Ok(all_written())) };
    let failing = SeenMember { listed: true, ..left(SeenContact::Alive(Box::new(failing))) };
    let mut other = SeenMember { listed: true, ..left(reached(secret_written())) };
    other.key = key("m2");
    let plan = decide(Plugin::Off, vec![failing, other]);
    assert_eq!(written(&plan), ["m2 delete secrets quickstart-velero-s3"]);
    assert_eq!(plan.rows[0].message.as_deref(), Some("may not delete"));
}
