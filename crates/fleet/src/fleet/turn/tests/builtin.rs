use super::*;

const PREFIX: &str = "clusters/default/attachedcluster/m1";

fn by_hub() -> Plugin {
    Plugin::On(Box::new(ValidPlugin { engine: Engine::Builtin, ..plugin() }))
}

fn serves() -> Option<Standing> {
    Some(Standing::Serves { version: "v1.18.3+kurator".into() })
}

/// The next look at a member of which this was recorded.
fn look(
    recorded: Option<&FleetClusterStatus>,
    velero: Result<SeenVelero, String>,
    engine: Option<Standing>,
) -> Plan {
    look_after(Write::None, recorded, velero, engine)
}

/// Likewise, where this became of the last attempt to make the namespace and the types.
fn look_after(
    foundation: Write,
    recorded: Option<&FleetClusterStatus>,
    velero: Result<SeenVelero, String>,
    engine: Option<Standing>,
) -> Plan {
    let contact = SeenContact::Alive(Box::new(SeenAlive { engine, foundation, ..alive(velero) }));
    decide(by_hub(), vec![SeenMember { recorded: recorded.cloned(), ..member("m1", contact) }])
}

/// What is recorded once the engine has served a first time.
fn recorded() -> FleetClusterStatus {
    look(None, Ok(nothing_written()), serves()).rows.remove(0)
}

/// The location as the hub writes it where it serves itself.
fn keyless() -> SeenVelero {
    let mut location = location("default", PREFIX, "ReadWrite");
    let spec = &mut Arc::make_mut(&mut location).spec;
    spec.credential = None;
    spec.backup_sync_period = Some("0s".to_owned());
    SeenVelero { locations: vec![location], ..nothing_written() }
}

/// What the namespace and the types were found to be there or made a moment ago for.
fn laid() -> Write {
    Write::Done { until: Instant::now() + Duration::from_secs(1) }
}

fn failed(failure: Failure) -> Write {
    Write::Failed { failure, retry_at: Instant::now() + Duration::from_secs(1) }
}

/// The next look at a member that was ready and has lost these types.
fn without(types: &[&'static str], recorded: &FleetClusterStatus, foundation: Write) -> Plan {
    let lack = Some(Lack { types: types.to_vec(), hidden: Vec::new() });
    let alive = SeenAlive { engine: serves(), lack, foundation, ..alive(Ok(keyless())) };
    let contact = SeenContact::Alive(Box::new(alive));
    decide(by_hub(), vec![SeenMember { recorded: Some(recorded.clone()), ..member("m1", contact) }])
}

/// What the row says of the plugin: whether it is ready, the reason, and the sentence.
fn told(plan: &Plan) -> (bool, String, String) {
    let backup = plan.rows[0].backup.clone().unwrap();
    (backup.ready, backup.reason.unwrap_or_default(), backup.message.unwrap_or_default())
}

#[test]
fn a_bare_member_gets_the_types_and_is_served() {
    let types = vec!["backups.velero.io"; 6];
    let lack = Some(Lack { types, hidden: Vec::new() });
    let contact = SeenContact::Alive(Box::new(SeenAlive { lack, ..alive(Err("nothing is known".into())) }));
    let plan = decide(by_hub(), vec![member("m1", contact)]);
    assert_eq!(written(&plan), ["m1 lay foundation"]);
    assert_eq!(plan.served, [key("m1")]);
    assert_eq!(told(&plan).2, "the cluster has no velero.io types; the hub makes what is missing");
}

#[test]
fn a_member_that_has_lost_a_type_is_not_ready_and_gets_it_again() {
    let good = look(Some(&recorded()), Ok(keyless()), serves()).rows.remove(0);
    for types in [["backups.velero.io"].as_slice(), &["restores.velero.io", "schedules.velero.io"]] {
        let plan = without(types, &good, Write::None);
        assert_eq!(written(&plan), ["m1 lay foundation"]);
        assert_eq!(plan.served, [key("m1")]);
        let (ready, reason, message) = told(&plan);
        assert_eq!((ready, reason.as_str()), (false, "VeleroMissing"));
        assert!(types.iter().all(|name| message.contains(&format!("`{name}`"))), "{message}");
    }
}

#[test]
fn why_a_type_cannot_be_made_is_said_until_an_attempt_has_ended_otherwise() {
    let good = look(Some(&recorded()), Ok(keyless()), serves()).rows.remove(0);
    let lost = |recorded: &_, foundation| without(&["backups.velero.io"], recorded, foundation);
    let mut refused = lost(&good, failed(Failure::Forbidden("you may not".into())));
    let said = told(&refused);
    assert_eq!(
        said,
        (
            false,
            "Forbidden".to_owned(),
            "the hub can't make what the built-in engine works on; grant its user what `kurator rbac member-builtin` \
             prints: you may not"
                .to_owned()
        )
    );
    let refused = refused.rows.remove(0);
    assert_eq!(told(&lost(&refused, Write::InFlight)), said);
    let again = lost(&refused, Write::None);
    assert_eq!((told(&again), written(&again)), (said, vec!["m1 lay foundation".to_owned()]));
    let made = told(&lost(&refused, laid()));
    assert_eq!(made.2, "the cluster has no type `backups.velero.io`; the hub makes what is missing");
}

#[test]
fn a_type_that_is_missing_under_another_server_is_not_made() {
    let engine = Some(Standing::Refused("another server (v1.18.3)".into()));
    let lack = Some(Lack { types: vec!["backups.velero.io"], hidden: Vec::new() });
    let alive = SeenAlive { lack, engine, ..alive(Ok(all_written())) };
    let plan = decide(by_hub(), vec![member("m1", SeenContact::Alive(Box::new(alive)))]);
    assert!(written(&plan).is_empty());
    assert_eq!(backup_reason(&plan), "ServedByAnother");
}

#[test]
fn a_type_that_may_not_be_seen_is_not_made() {
    let hidden = vec!["restores may not be watched".to_owned()];
    let alive = SeenAlive {
        lack: Some(Lack { types: Vec::new(), hidden }),
        engine: serves(),
        ..alive(Ok(keyless()))
    };
    let plan = decide(by_hub(), vec![member("m1", SeenContact::Alive(Box::new(alive)))]);
    assert!(written(&plan).is_empty());
    assert_eq!(told(&plan), (false, "VeleroMissing".to_owned(), "restores may not be watched".to_owned()));
}

#[test]
fn before_a_location_that_is_gone_is_written_its_namespace_is_made() {
    let good = look(Some(&recorded()), Ok(keyless()), serves()).rows.remove(0);
    let gone = |foundation| {
        let alive = SeenAlive { engine: serves(), foundation, ..alive(Ok(nothing_written())) };
        let contact = SeenContact::Alive(Box::new(alive));
        decide(by_hub(), vec![SeenMember { recorded: Some(good.clone()), ..member("m1", contact) }])
    };
    let plan = gone(Write::None);
    assert_eq!((written(&plan), told(&plan).0), (vec!["m1 lay foundation".to_owned()], false));
    let plan = gone(failed(Failure::NoPlace("namespace `velero` is being deleted".into())));
    let (ready, reason, message) = told(&plan);
    assert_eq!((written(&plan), ready, reason.as_str()), (Vec::new(), false, "VeleroMissing"));
    assert!(message.contains("namespace `velero` is being deleted"), "{message}");
    assert_eq!(written(&gone(laid())), ["m1 location default ReadWrite"]);
}

#[test]
fn nothing_is_written_before_it_is_known_that_nobody_else_serves() {
    for engine in [None, Some(Standing::Starting), Some(Standing::Failed("404".into()))] {
        let plan = look(None, Ok(nothing_written()), engine);
        assert_eq!(written(&plan), ["m1 lay foundation"]);
        assert_eq!(backup_reason(&plan), "Waiting");
    }
}

#[test]
fn where_another_serves_nothing_is_changed_and_the_row_names_him() {
    let plan = look(None, Ok(all_written()), Some(Standing::Refused("another server (v1.18.3)".into())));
    assert!(written(&plan).is_empty());
    assert_eq!(backup_reason(&plan), "ServedByAnother");
    let backup = plan.rows[0].backup.as_ref().unwrap();
    assert_eq!(backup.message.as_deref(), Some("another server (v1.18.3)"));
}

#[test]
fn a_cluster_that_another_fleet_has_served_is_not_served_twice() {
    let contact = SeenContact::Alive(Box::new(SeenAlive {
        served_as: Some(key("other")),
        ..alive(Ok(nothing_written()))
    }));
    let plan = decide(by_hub(), vec![member("m1", contact)]);
    assert!(written(&plan).is_empty());
    assert!(plan.served.is_empty());
    assert_eq!(backup_reason(&plan), "SameCluster");
    let message = plan.rows[0].backup.as_ref().unwrap().message.clone().unwrap_or_default();
    let expected = "the hub serves this very cluster as AttachedCluster default/other; take one of the two out of its Fleet";
    assert_eq!(message, expected);
}

#[test]
fn the_place_is_in_the_status_before_a_location_says_so_and_no_credential_is_written() {
    let first = look(None, Ok(nothing_written()), serves());
    assert!(written(&first).is_empty());
    let backup = first.rows[0].backup.as_ref().unwrap();
    assert_eq!((backup.location.as_deref(), backup.prefix.as_deref()), (Some("default"), Some(PREFIX)));
    let second = look_after(laid(), first.rows.first(), Ok(nothing_written()), serves());
    assert_eq!(written(&second), ["m1 location default ReadWrite"]);
    let Some((_, Action::Location(location))) = second.actions.first() else { panic!("no location") };
    assert_eq!(location.spec.credential, None);
    assert_eq!(location.annotations().get(names::ENGINE_ANNOTATION).map(String::as_str), Some("Builtin"));
}

#[test]
fn a_member_that_has_everything_is_ready() {
    let plan = look(Some(&recorded()), Ok(keyless()), serves());
    assert!(written(&plan).is_empty());
    let backup = plan.rows[0].backup.as_ref().unwrap();
    assert!(backup.ready, "{backup:?}");
    assert_eq!(backup.server_version.as_deref(), Some("v1.18.3+kurator"));
}

#[test]
fn a_location_that_somebody_moved_is_moved_back() {
    let mut moved = keyless();
    moved.locations = vec![location("default", "clusters/default/attachedcluster/m2", "ReadWrite")];
    let plan = look(Some(&recorded()), Ok(moved), serves());
    assert_eq!(written(&plan), ["m1 location default ReadWrite"]);
    let Some((_, Action::Location(location))) = plan.actions.first() else { panic!("no location") };
    let at = location.spec.object_storage.as_ref().and_then(|at| at.prefix.as_deref());
    assert_eq!(at, Some(PREFIX));
}

#[test]
fn what_was_good_stays_good_while_the_engine_starts_again() {
    let good = look(Some(&recorded()), Ok(keyless()), serves()).rows.remove(0);
    let plan = look(Some(&good), Ok(keyless()), Some(Standing::Starting));
    assert_eq!(plan.rows[0].backup.as_ref().map(|backup| backup.ready), Some(true));
}

#[test]
fn a_member_that_had_velero_loses_the_credential_once_the_hub_serves() {
    let with_velero = one(alive(Ok(all_written()))).rows.remove(0);
    let changing = look(Some(&with_velero), Ok(all_written()), None);
    assert_eq!(written(&changing), ["m1 change engine"]);
    assert_eq!(changing.rows[0].backup.as_ref().map(|backup| backup.ready), Some(false));
    let refused = look(changing.rows.first(), Ok(all_written()), Some(Standing::Refused("Velero".into())));
    assert!(written(&refused).is_empty(), "what Velero works with was taken away");
    let served = look(changing.rows.first(), Ok(all_written()), serves());
    assert_eq!(written(&served), ["m1 location default ReadWrite"]);
    let secrets = all_written().secrets;
    let done = look(served.rows.first(), Ok(SeenVelero { secrets, ..keyless() }), serves());
    assert_eq!(written(&done), ["m1 delete secrets quickstart-velero-s3"]);
}

#[test]
fn back_at_velero_the_member_is_served_no_more_and_gets_its_credential_first() {
    let contact = || SeenContact::Alive(Box::new(alive(Ok(keyless()))));
    let back = |recorded: &FleetClusterStatus| {
        decide(serving(), vec![SeenMember { recorded: Some(recorded.clone()), ..member("m1", contact()) }])
    };
    let changing = back(&recorded());
    assert!(changing.served.is_empty());
    assert_eq!(written(&changing), ["m1 change engine"]);
    let then = back(&changing.rows[0]);
    assert!(then.served.is_empty());
    assert_eq!(written(&then), ["m1 secret quickstart-velero-s3"]);
}

#[test]
fn what_the_engine_worked_on_goes_last_and_the_member_is_served_until_then() {
    let left = |velero, foundation_removal| {
        let contact = SeenContact::Alive(Box::new(SeenAlive { foundation_removal, ..alive(Ok(velero)) }));
        let gone = SeenMember { listed: false, recorded: Some(recorded()), ..member("m1", contact) };
        decide(Plugin::Off, vec![gone])
    };
    let plan = left(keyless(), Write::None);
    assert_eq!(
        (written(&plan), plan.served),
        (vec!["m1 delete locations default".to_owned()], vec![key("m1")])
    );
    assert_eq!(written(&left(nothing_written(), Write::None)), ["m1 clear foundation"]);
    let done = left(nothing_written(), Write::Done { until: Instant::now() + Duration::from_secs(1) });
    assert!(done.rows.is_empty() && done.actions.is_empty() && done.served.is_empty());
}

#[test]
fn a_twin_is_not_served() {
    let contact = |name: &str| {
        let contact = SeenContact::Alive(Box::new(SeenAlive { engine: serves(), ..alive(Ok(keyless())) }));
        SeenMember { recorded: None, ..member(name, contact) }
    };
    let plan = decide(by_hub(), vec![contact("m1"), contact("m2")]);
    assert_eq!(plan.served, [key("m1")]);
}

#[test]
fn a_fleet_that_moves_remembers_the_former_place_and_is_ready_once_that_is_read_only() {
    let look = |recorded: FleetClusterStatus, velero| {
        let moved =
            Plugin::On(Box::new(ValidPlugin { engine: Engine::Builtin, root: "new".into(), ..plugin() }));
        let alive = SeenAlive { engine: serves(), foundation: laid(), ..alive(Ok(velero)) };
        let contact = SeenContact::Alive(Box::new(alive));
        decide(moved, vec![SeenMember { recorded: Some(recorded), ..member("m1", contact) }])
    };
    let mut first = look(recorded(), keyless());
    assert!(written(&first).is_empty());
    let backup = first.rows[0].backup.clone().unwrap();
    assert_eq!(backup.prefix, Some(format!("new/{PREFIX}")));
    let earlier: Vec<_> =
        backup.earlier.iter().map(|at| (at.location.as_str(), at.prefix.as_str())).collect();
    assert_eq!(earlier, [("default", PREFIX)]);

    let name = backup.location.unwrap();
    let second = look(first.rows.remove(0), keyless());
    assert_eq!(
        written(&second),
        [format!("m1 location {name} ReadWrite"), "m1 location default ReadOnly".to_owned()]
    );
    let backup = second.rows[0].backup.clone().unwrap();
    assert!(!backup.ready);
    assert_eq!(backup.message.as_deref(), Some("storage location `default` is being made read-only"));
}

#[test]
fn each_name_stands_for_one_earlier_place_and_the_oldest_are_forgotten() {
    let mut status = MemberBackupStatus::default();
    let mut go = |name: &str, prefix: &str| {
        record_place(&mut status, name, "velero", prefix, Layout::PerCluster);
        status.earlier.iter().map(|at| format!("{} {}", at.location, at.prefix)).collect::<Vec<_>>()
    };
    assert!(go("default", "a").is_empty());
    assert!(go("default", "a").is_empty());
    assert_eq!(go("second", "b"), ["default a"]);
    assert_eq!(go("default", "a"), ["second b"]);
    // The name has another place now: what it stood for before is no longer told by it.
    assert_eq!(go("default", "c"), ["second b"]);
    for i in 0..20 {
        go(&format!("n{i}"), "x");
    }
    let earlier = go("last", "y");
    assert_eq!((earlier.len(), earlier[0].as_str(), earlier[15].as_str()), (16, "n4 x", "n19 x"));
}
