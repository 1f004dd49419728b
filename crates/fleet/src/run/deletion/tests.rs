use kurator_api::cluster::ClusterKind;
use serde_json::json;

use super::*;

fn backup(status: &serde_json::Value) -> Backup {
    serde_json::from_value(json!({"metadata": {"name": "b", "uid": "b-uid"}, "status": status})).unwrap()
}

fn made(name: &str, second: u32, status: &serde_json::Value) -> Arc<DeleteBackupRequest> {
    let metadata = json!({
        "name": name, "uid": name, "resourceVersion": "1", "labels": {"velero.io/backup-uid": "b-uid"},
        "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
    });
    let request = json!({"metadata": metadata, "spec": {"backupName": "b"}, "status": status});
    Arc::new(serde_json::from_value(request).unwrap())
}

fn cluster() -> ClusterKey {
    ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: "m1".into() }
}

#[test]
fn k05_a_backup_is_asked_for_once_it_has_ended_and_again_only_after_a_while() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let asked = |state, due| Some(Asked { state, due });
    let refused = || State::Refused("no".into());
    let wait = |why: &str, until| Step::Wait { why: why.into(), until };
    let table = [
        ("Completed", None, Step::Ask),
        ("PartiallyFailed", None, Step::Ask),
        ("Failed", None, Step::Ask),
        ("Deleting", None, Step::Ask),
        ("FailedValidation", None, Step::Drop),
        ("InProgress", None, wait("`b` is in phase InProgress, and ends first", None)),
        ("Finalizing", asked(refused(), now), wait("`b` is in phase Finalizing, and ends first", None)),
        ("Unheard", None, wait("`b` is in phase Unheard, and ends first", None)),
        ("Completed", asked(State::New, now), wait("Velero has not taken up the deletion of `b`", None)),
        ("Deleting", asked(State::InProgress, later), wait("Velero is deleting `b`", Some(later))),
        ("Deleting", asked(State::InProgress, now), Step::Ask),
        ("Deleting", asked(refused(), later), Step::Refused { why: "`b`: no".into(), until: later }),
        ("Deleting", asked(refused(), now), Step::Ask),
    ];
    for (phase, asked, expected) in table {
        let what = format!("{phase} {asked:?}");
        assert_eq!(step(&backup(&json!({"phase": phase})), asked, now), expected, "{what}");
    }
    assert!(matches!(step(&backup(&json!({})), None, now), Step::Wait { .. }));
}

#[test]
fn k39_data_that_lay_under_the_name_before_a_failed_run_stays() {
    let failed = |why: &str| backup(&json!({"phase": "Failed", "failureReason": why}));
    let step = |why| step(&failed(why), None, Instant::now());
    assert_eq!(step("backup already exists in object storage"), Step::Drop);
    assert_eq!(step("found a backup with status \"InProgress\" during the server starting"), Step::Ask);
}

#[test]
fn a_request_that_is_not_done_counts_before_a_newer_one_that_is() {
    let refused = json!({"phase": "Processed", "errors": ["no"]});
    let of_an_earlier_object = {
        let mut request = (*made("c", 9, &json!({}))).clone();
        request.metadata.labels = Some([("velero.io/backup-uid".to_owned(), "earlier".to_owned())].into());
        Arc::new(request)
    };
    let requests =
        [made("a", 1, &json!({"phase": "InProgress"})), made("b", 2, &refused), of_an_earlier_object];
    let name = |requests| newest(&backup(&json!({})), requests).map(ResourceExt::name_any);
    assert_eq!(name(&requests).as_deref(), Some("a"));
    assert_eq!(name(&requests[1..]).as_deref(), Some("b"));
    assert_eq!(name(&requests[2..]), None);
}

#[test]
fn what_velero_processed_without_the_backup_being_gone_was_refused() {
    let state = |status: &serde_json::Value| state(&made("a", 1, status));
    assert_eq!(state(&json!({})), State::New);
    assert_eq!(state(&json!({"phase": "Processed", "errors": ["a", "b"]})), State::Refused("a; b".into()));
    assert!(matches!(state(&json!({"phase": "Processed"})), State::Refused(_)));
}

#[tokio::test(start_paused = true)]
async fn refusals_back_off_from_a_minute_and_an_open_request_gets_its_time() {
    let refusals = Refusals::default();
    let look = |uid: &str, refused| {
        let key = ("owner".to_owned(), cluster(), "b".to_owned());
        refusals.look(key, (Some(uid.to_owned()), refused)) - Instant::now()
    };
    assert_eq!(look("1", false), PATIENCE);
    assert_eq!(look("1", true), FIRST_RETRY);
    tokio::time::advance(FIRST_RETRY / 2).await;
    assert_eq!(look("1", true), FIRST_RETRY / 2);
    assert_eq!(look("2", true), FIRST_RETRY * 2);
    for again in 3..9 {
        assert!(look(&again.to_string(), true) <= LAST_RETRY);
    }
    refusals.forget("owner");
    assert_eq!(look("9", true), FIRST_RETRY);
}

#[tokio::test(start_paused = true)]
async fn k05_a_request_that_is_gone_is_not_repeated_before_its_backup_must_have_gone_too() {
    let (refusals, backup) = (Refusals::default(), backup(&json!({"phase": "Deleting"})));
    let done = || refusals.done(&owner(), &cluster(), &backup);
    assert_eq!(done(), None, "no request was ever seen");
    refusals.look(("owner-uid".into(), cluster(), "b".into()), (Some("1".into()), false));
    assert!(matches!(done(), Some(Step::Wait { .. })));
    tokio::time::advance(SHOWN_WITHIN).await;
    assert_eq!(done(), None, "it is still there, and Velero is asked again");
}

#[tokio::test(start_paused = true)]
async fn what_velero_does_not_take_up_is_stuck_until_something_happens() {
    let refusals = Refusals::default();
    let waits = |backup: &Backup, request: Option<&DeleteBackupRequest>| {
        let mut erasing = Erasing::default();
        let idle_at = refusals.idle.until(key(&owner(), &cluster(), backup), backup, request);
        erasing.wait_for_velero("waits".into(), None, idle_at);
        (erasing.waiting.len(), erasing.stuck.len(), erasing.look_again.is_some())
    };
    let mut ended = backup(&json!({"phase": "Completed"}));
    assert_eq!(waits(&ended, None), (1, 0, true));
    tokio::time::advance(idle::TAKEN_UP_WITHIN).await;
    assert_eq!(waits(&ended, None), (0, 1, false));
    assert_eq!(waits(&ended, Some(&made("a", 1, &json!({})))), (1, 0, true), "it is asked anew");
    tokio::time::advance(idle::TAKEN_UP_WITHIN).await;
    ended.metadata.resource_version = Some("8".into());
    assert_eq!(waits(&ended, Some(&made("a", 1, &json!({})))), (1, 0, true), "it has changed");
}

fn owner() -> Owner {
    Owner {
        uid: "owner-uid".into(),
        kind: names::ChildKind::Backup,
        api_kind: "Backup",
        namespace: "default".into(),
        name: "nightly".into(),
        fleet: "quickstart".into(),
        hub: "hub-uid".into(),
        claim: super::super::Claim::None,
        harmless: true,
    }
}

#[test]
fn a_request_says_which_backup_and_whose() {
    let request = serde_json::to_value(request(&owner(), &cluster(), &backup(&json!({})))).unwrap();
    assert_eq!(request["spec"], json!({"backupName": "b"}));
    let metadata = &request["metadata"];
    assert_eq!((metadata.get("name"), &metadata["generateName"]), (None, &json!("b-")));
    for (label, value) in [
        ("velero.io/backup-name", "b"),
        ("velero.io/backup-uid", "b-uid"),
        ("fleet.kurator.dev/plugin", "backup"),
        ("kurator.dev/owner-uid", "owner-uid"),
    ] {
        assert_eq!(metadata["labels"][label], value, "{label}");
    }
    assert_eq!(metadata["annotations"]["kurator.dev/owner"], "Backup default/nightly");
}
