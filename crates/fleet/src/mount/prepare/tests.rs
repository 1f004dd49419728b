use super::super::render::name;
use super::super::testing::{cluster, place, source_cluster, store};
use super::*;
use kurator_api::migrate::Migrate;
use kurator_api::names::ChildKind;
use serde_json::{Value, json};

/// What is known of a target that has nothing yet and is asked for everything.
struct Scene {
    recorded: Option<String>,
    over: bool,
    records: Records,
    store: Result<Store, String>,
    seen: Seen,
}

impl Scene {
    fn new() -> Self {
        let seen = Seen {
            by_hub: None,
            locations: Knowledge::Present(Vec::new()),
            secrets: Knowledge::Present(Vec::new()),
            backup: Knowledge::Absent,
            secret_write: Write::None,
            location_write: Write::None,
            copy_write: Write::None,
        };
        let recorded = Some(name(&store(), &place()));
        Self { recorded, over: true, records: Records::Lost, store: Ok(store()), seen }
    }

    fn with_secret(mut self) -> Self {
        let mut secret = json!({"metadata": {"name": name(&store(), &place())}});
        secret["metadata"]["annotations"] = json!({CONTENT_HASH: store().content_hash()});
        self.seen.secrets = Knowledge::Present(vec![Arc::new(serde_json::from_value(secret).unwrap())]);
        self
    }

    fn with_location(mut self, phase: &str) -> Self {
        let (owner, name) = (owner(), name(&store(), &place()));
        let mut location = render::location(&store(), &owner, &cluster("m2"), &place(), &name, Some(&name));
        location.status = serde_json::from_value(json!({
            "phase": phase, "message": "no", "lastValidationTime": "2026-11-01T00:00:00Z",
        }))
        .unwrap();
        self.seen.locations = Knowledge::Present(vec![Arc::new(location)]);
        self
    }

    fn with_backup(mut self, backup: Value) -> Self {
        self.seen.backup = Knowledge::Present(Arc::new(serde_json::from_value(backup).unwrap()));
        self
    }

    fn next(self) -> Prepared {
        let (owner, place, source, target) = (owner(), place(), source_cluster(), cluster("m2"));
        let backup =
            serde_json::from_value(json!({"metadata": {"name": "b"}, "status": {"phase": "Completed"}}));
        let copy = Copy { backup: backup.unwrap(), at_home: None, records: self.records };
        let wish = Wish {
            owner: &owner,
            cluster: &target,
            source: Source { place: &place, cluster: &source, endpoint: None, store: self.store.as_ref() },
            recorded: self.recorded.as_deref(),
            copy: self.over.then_some(copy),
        };
        next(&wish, self.seen)
    }
}

fn owner() -> Owner {
    let migrate: Migrate = serde_json::from_value(json!({
        "metadata": {"name": "m", "namespace": "default", "uid": "owner-uid"},
    }))
    .unwrap();
    Owner::new(&migrate, ChildKind::Migrate, "hub", "f".to_owned())
}

fn copy_in_mount(complete: bool) -> Value {
    let location = name(&store(), &place());
    let mut copy = json!({
        "metadata": {"name": "b"}, "spec": {"storageLocation": location}, "status": {"phase": "Completed"},
    });
    if complete {
        copy["metadata"]["annotations"] = json!({names::VOLUMES_ANNOTATION: "0"});
    }
    copy
}

/// What is written and what is said.
fn summary(prepared: &Prepared) -> (Vec<&'static str>, Result<String, Reason>) {
    let written = prepared.actions.iter().map(|action| match action {
        Action::Secret { replace: false, .. } => "secret",
        Action::Secret { replace: true, .. } => "secret again",
        Action::Location { replace: false, .. } => "location",
        Action::Location { replace: true, .. } => "location again",
        Action::Copy { .. } => "copy",
    });
    let said = prepared.ready.clone().map_err(|not_yet| match not_yet {
        NotYet::Wait(reason, _) | NotYet::Never(reason, _) => reason,
    });
    (written.collect(), said)
}

#[test]
fn nothing_is_made_before_its_name_is_in_the_status() {
    let scene = Scene { recorded: None, ..Scene::new() };
    let prepared = scene.next();
    assert_eq!(summary(&prepared), (vec![], Err(Reason::LocationPending)));
    assert_eq!(prepared.location, Some(name(&store(), &place())));
}

#[test]
fn the_credential_comes_first_then_the_location_then_the_copy() {
    let steps = [
        (Scene::new(), vec!["secret"], Err(Reason::LocationPending)),
        (Scene::new().with_secret(), vec!["location", "copy"], Err(Reason::InProgress)),
        (Scene::new().with_secret().with_location("Available"), vec!["copy"], Err(Reason::InProgress)),
        (
            Scene::new().with_secret().with_location("Available").with_backup(copy_in_mount(true)),
            vec![],
            Ok("b".to_owned()),
        ),
    ];
    for (scene, written, said) in steps {
        assert_eq!(summary(&scene.next()), (written, said));
    }
}

#[test]
fn the_way_is_prepared_while_the_backup_runs() {
    let running = || Scene { over: false, ..Scene::new() };
    assert_eq!(summary(&running().next()).0, ["secret"]);
    assert_eq!(summary(&running().with_secret().next()).0, ["location"]);
    let ready = running().with_secret().with_location("Available").next();
    assert_eq!(summary(&ready), (vec![], Err(Reason::BackupNotFinished)));
}

#[test]
fn k20_a_location_that_velero_cannot_use_is_waited_for_with_its_words() {
    let scene = Scene::new().with_secret().with_location("Unavailable").with_backup(copy_in_mount(true));
    let Err(NotYet::Wait(reason, message)) = scene.next().ready else { panic!("ready") };
    assert_eq!(reason, Reason::LocationUnavailable);
    assert!(message.ends_with("is Unavailable: no"), "{message}");
}

#[test]
fn where_the_hub_serves_only_what_a_fleet_gave_the_cluster_leads_to_the_backup() {
    let by_hub = |given: &[&str]| {
        let mut location = serde_json::to_value(render::location(
            &store(),
            &owner(),
            &cluster("m2"),
            &place(),
            "theirs",
            None,
        ))
        .unwrap();
        location["status"] = json!({"phase": "Available"});
        let mut scene = Scene { recorded: None, ..Scene::new() };
        scene.seen.locations = Knowledge::Present(vec![Arc::new(serde_json::from_value(location).unwrap())]);
        scene.seen.by_hub = Some(given.iter().map(|name| (*name).to_owned()).collect());
        scene.next()
    };
    let foreign = by_hub(&[]);
    assert_eq!(foreign.location, Some(name(&store(), &place())), "it waits for what the hub never follows");
    let given = by_hub(&["theirs"]);
    assert_eq!((given.location.clone(), summary(&given).0), (None, vec!["copy"]));
}

#[test]
fn a_copy_whose_maker_was_interrupted_is_completed() {
    let scene = Scene::new().with_secret().with_location("Available").with_backup(copy_in_mount(false));
    assert_eq!(summary(&scene.next()), (vec!["copy"], Err(Reason::InProgress)));
}

#[test]
fn a_backup_of_that_name_from_elsewhere_is_never_overwritten() {
    let theirs = json!({
        "metadata": {"name": "b"}, "spec": {"storageLocation": "theirs"}, "status": {"phase": "Completed"},
    });
    let scene = Scene::new().with_secret().with_location("Available").with_backup(theirs);
    let prepared = scene.next();
    assert_eq!(summary(&prepared), (vec![], Err(Reason::AlreadyExists)));
    let Err(NotYet::Wait(_, message)) = prepared.ready else { panic!("for ever") };
    assert_eq!(
        message,
        "a Velero Backup `b` of somebody else, in storage location `theirs`, has the name of the source's; delete it in \
         this cluster, or migrate or restore under another name"
    );
}

#[test]
fn k30_a_rotated_credential_reaches_the_mount() {
    let mut scene = Scene::new().with_location("Available").with_backup(copy_in_mount(true));
    let old = json!({"metadata": {"name": name(&store(), &place()), "annotations": {CONTENT_HASH: "old"}}});
    scene.seen.secrets = Knowledge::Present(vec![Arc::new(serde_json::from_value(old).unwrap())]);
    assert_eq!(summary(&scene.next()), (vec!["secret again"], Ok("b".to_owned())));
}

#[test]
fn a_cluster_of_the_same_fleet_uses_the_secret_that_it_has() {
    let mut scene = Scene::new();
    let of_fleet =
        json!({"metadata": {"name": "f-velero-s3", "labels": {names::OWNER_UID_LABEL: "fleet-uid"}}});
    scene.seen.secrets = Knowledge::Present(vec![Arc::new(serde_json::from_value(of_fleet).unwrap())]);
    let prepared = scene.next();
    let Some(Action::Location { location, replace: false }) = prepared.actions.first() else {
        panic!("no location")
    };
    let credential = location.spec.credential.as_ref().and_then(|credential| credential.name.clone());
    assert_eq!(credential.as_deref(), Some("f-velero-s3"));
}

#[test]
fn a_mount_goes_on_with_what_it_has_while_the_fleets_store_is_faulty() {
    let faulty = || Err("fleet `f` has no backup plugin".to_owned());
    let there = Scene { store: faulty(), ..Scene::new() };
    let there = there.with_location("Available").with_backup(copy_in_mount(true));
    assert_eq!(summary(&there.next()), (vec![], Ok("b".to_owned())));
    let not_there = Scene { store: faulty(), ..Scene::new() };
    assert_eq!(summary(&not_there.next()), (vec![], Err(Reason::SourceUnreadable)));
}

#[test]
fn a_location_of_somebody_else_under_the_name_of_the_mount_is_left_alone() {
    let mut scene = Scene::new().with_secret();
    let theirs = json!({"metadata": {"name": name(&store(), &place())}, "spec": {}});
    scene.seen.locations = Knowledge::Present(vec![Arc::new(serde_json::from_value(theirs).unwrap())]);
    assert_eq!(summary(&scene.next()), (vec![], Err(Reason::LocationConflict)));
}

#[test]
fn records_of_volumes_are_waited_for_while_their_cluster_is_away() {
    let scene = Scene { records: Records::Away("m1 has not answered".to_owned()), ..Scene::new() };
    let prepared = scene.with_secret().with_location("Available").next();
    assert_eq!(summary(&prepared), (vec![], Err(Reason::Unreachable)));
}

#[test]
fn nothing_is_made_of_what_is_not_known() {
    let unknown = || Knowledge::Unknown { since: jiff::Timestamp::UNIX_EPOCH, why: "no list".to_owned() };
    for part in 0..3 {
        let mut scene = Scene::new().with_secret().with_location("Available");
        match part {
            0 => scene.seen.locations = unknown(),
            1 => {
                scene.seen.secrets =
                    Knowledge::Unknown { since: jiff::Timestamp::UNIX_EPOCH, why: String::new() }
            }
            _ => {
                scene.seen.backup =
                    Knowledge::Unknown { since: jiff::Timestamp::UNIX_EPOCH, why: String::new() }
            }
        }
        assert_eq!(summary(&scene.next()), (vec![], Err(Reason::VeleroMissing)), "{part}");
    }
}
