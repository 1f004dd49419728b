use super::*;
use kurator_api::cluster::ClusterKind;
use kurator_api::names::ChildKind;
use kurator_api::velero;
use serde_json::json;
use std::time::Duration;

type Backups = Step<velero::BackupStatus, String>;

fn cluster() -> ClusterKey {
    ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: "m1".into() }
}

fn owner() -> Owner {
    Owner {
        uid: "11111111-2222".into(),
        kind: ChildKind::Backup,
        api_kind: "Backup",
        namespace: "default".into(),
        name: "nightly".into(),
        fleet: "quickstart".into(),
        hub: "hub-uid".into(),
        claim: Claim::None,
        harmless: true,
    }
}

/// A Velero Backup made for `owner()`, in this phase.
fn ours(phase: Option<&str>) -> Arc<velero::Backup> {
    let mut backup = velero::Backup {
        metadata: owner().metadata("m1-backup-default-nightly", &cluster()),
        ..Default::default()
    };
    backup.status = phase.map(|phase| serde_json::from_value(json!({"phase": phase})).unwrap());
    Arc::new(backup)
}

fn recorded(phase: RowPhase) -> Option<Row<velero::BackupStatus>> {
    let row = Row { child: Some("m1-backup-default-nightly".into()), ..Row::new(cluster()) };
    Some(row.in_phase(phase))
}

fn decide(change: impl FnOnce(&mut Seen<'_, velero::Backup>)) -> Backups {
    let cluster = cluster();
    let mut seen = Seen {
        cluster: &cluster,
        recorded: None,
        contact: Contact::Live { uid: "cluster-uid".into() },
        place: Place::Free { name: "m1-backup-default-nightly".into() },
        adopted: false,
        silence: None,
        unproven: None,
        write: Write::None,
        precondition: Ok("default".into()),
    };
    change(&mut seen);
    step(seen)
}

fn says(step: &Backups) -> (RowPhase, Option<Reason>, bool) {
    (step.row.phase, step.row.reason, step.create.is_some())
}

#[test]
fn what_is_known_to_be_absent_is_created_once() {
    let step = decide(|_| {});
    assert_eq!(step.create, Some(("m1-backup-default-nightly".into(), "default".into())));
    assert_eq!(step.row.phase, RowPhase::Pending);
}

#[test]
fn nothing_is_created_where_nothing_is_known() {
    let step = decide(|seen| seen.place = Place::Unknown { why: "no list".into() });
    assert_eq!(says(&step), (RowPhase::Pending, Some(Reason::VeleroMissing), false));
}

#[test]
fn k44_an_unreachable_member_has_a_row_that_says_so() {
    let step = decide(|seen| {
        seen.contact = Contact::Lost { reason: Reason::Unreachable, why: "no answer since noon".into() }
    });
    assert_eq!(says(&step), (RowPhase::Pending, Some(Reason::Unreachable), false));
    assert_eq!(step.row.message.as_deref(), Some("no answer since noon"));
}

#[test]
fn a_running_backup_stays_in_progress_while_its_member_is_out_of_reach() {
    let step = decide(|seen| {
        seen.recorded = recorded(RowPhase::InProgress);
        seen.contact = Contact::Lost { reason: Reason::Unreachable, why: "gone".into() };
    });
    assert_eq!(says(&step), (RowPhase::InProgress, Some(Reason::Unreachable), false));
}

#[test]
fn while_a_member_is_being_connected_to_the_last_word_stands() {
    let before = recorded(RowPhase::InProgress).map(|row| row.because(Reason::InProgress, "3 of 5"));
    let step = decide(|seen| {
        seen.recorded.clone_from(&before);
        seen.contact = Contact::NotYet(None);
    });
    assert_eq!(Some(step.row), before);
}

#[test]
fn k06_what_was_made_once_is_never_made_again() {
    let step = decide(|seen| seen.recorded = recorded(RowPhase::InProgress));
    assert_eq!(says(&step), (RowPhase::Failed, Some(Reason::ChildGone), false));
}

#[test]
fn k06_a_finished_row_ignores_whatever_becomes_of_its_child() {
    for phase in
        [RowPhase::Completed, RowPhase::PartiallyFailed, RowPhase::Failed, RowPhase::FailedValidation]
    {
        for place in [
            Place::Free { name: "x".into() },
            Place::Ours(ours(Some("InProgress"))),
            Place::Taken { name: "x".into() },
        ] {
            let step = decide(|seen| {
                seen.recorded = recorded(phase);
                seen.place = place.clone();
            });
            assert_eq!((step.row.phase, step.create), (phase, None));
        }
    }
}

#[test]
fn k16_every_terminal_phase_of_velero_ends_the_row() {
    for (phase, expected) in [
        ("Completed", RowPhase::Completed),
        ("PartiallyFailed", RowPhase::PartiallyFailed),
        ("Failed", RowPhase::Failed),
        ("FailedValidation", RowPhase::FailedValidation),
    ] {
        assert_eq!(decide(|seen| seen.place = Place::Ours(ours(Some(phase)))).row.phase, expected);
    }
}

#[test]
fn n2_phases_of_other_releases_count_as_in_progress_and_are_shown() {
    for phase in ["Queued", "ReadyToStart", "Finalizing", "SomethingNew"] {
        let row = decide(|seen| seen.place = Place::Ours(ours(Some(phase)))).row;
        assert_eq!(row.phase, RowPhase::InProgress);
        let shown = row.status.and_then(|status| status.phase).map(|phase| phase.to_string());
        assert_eq!(shown.as_deref(), Some(phase));
    }
}

#[test]
fn veleros_words_come_with_a_failure() {
    let mut failed = (*ours(Some("FailedValidation"))).clone();
    failed.status.as_mut().unwrap().validation_errors = vec!["no location".into(), "bad ttl".into()];
    let row = decide(|seen| seen.place = Place::Ours(Arc::new(failed))).row;
    assert_eq!(row.message.as_deref(), Some("no location; bad ttl"));
}

#[test]
fn a_write_under_way_is_not_repeated() {
    assert_eq!(decide(|seen| seen.write = Write::InFlight).create, None);
    let until = Instant::now() + Duration::from_secs(5);
    let step = decide(|seen| seen.write = Write::Done { until });
    assert_eq!((step.create, step.look_again), (None, Some(until)));
}

#[test]
fn a_refusal_ends_the_row_with_the_servers_words() {
    let write = Write::Failed { failure: Failure::Refused("spec.ttl: bad".into()), retry_at: Instant::now() };
    let step = decide(|seen| seen.write = write);
    assert_eq!(says(&step), (RowPhase::Failed, Some(Reason::MemberRefused), false));
    assert_eq!(step.row.message.as_deref(), Some("spec.ttl: bad"));
}

#[test]
fn a_failure_on_the_way_is_tried_again_at_its_time() {
    let later = Instant::now() + Duration::from_secs(60);
    let failure = Failure::Forbidden("may not create".into());
    let step = decide(|seen| seen.write = Write::Failed { failure: failure.clone(), retry_at: later });
    assert_eq!(says(&step), (RowPhase::Pending, Some(Reason::Forbidden), false));
    assert_eq!(step.look_again, Some(later));
    let due = decide(|seen| seen.write = Write::Failed { failure, retry_at: Instant::now() });
    assert!(due.create.is_some());
}

#[test]
fn a_missing_precondition_is_waited_for_or_ends_the_row() {
    let wait =
        decide(|seen| seen.precondition = Err(NotYet::Wait(Reason::LocationUnavailable, "no bucket".into())));
    assert_eq!(says(&wait), (RowPhase::Pending, Some(Reason::LocationUnavailable), false));
    let never = decide(|seen| seen.precondition = Err(NotYet::Never(Reason::BackupFailed, "failed".into())));
    assert_eq!(says(&never), (RowPhase::FailedValidation, Some(Reason::BackupFailed), false));
}

const FIRST: &str = "m1-backup-default-nightly";
const SECOND: &str = "m1-backup-default-nightly-11111111";

fn find(objects: &[(&str, Arc<velero::Backup>)]) -> Place<velero::Backup> {
    find_for(&owner(), objects)
}

fn find_for(owner: &Owner, objects: &[(&str, Arc<velero::Backup>)]) -> Place<velero::Backup> {
    let look = |name: &str| match objects.iter().find(|(held, _)| *held == name) {
        Some((_, object)) => Knowledge::Present(Arc::clone(object)),
        None => Knowledge::Absent,
    };
    place(look, owner, &cluster())
}

fn foreign(labels: serde_json::Value) -> Arc<velero::Backup> {
    let backup = json!({"metadata": {"name": FIRST, "labels": labels}, "spec": {}});
    Arc::new(serde_json::from_value(backup).unwrap())
}

#[test]
fn k38_a_name_that_another_owner_holds_leads_to_the_second_one() {
    let taken = foreign(json!({"kurator.dev/owner-uid": "somebody"}));
    assert!(matches!(find(&[]), Place::Free { name } if name == FIRST));
    assert!(matches!(find(&[(FIRST, Arc::clone(&taken))]), Place::Free { name } if name == SECOND));
    assert!(
        matches!(find(&[(FIRST, Arc::clone(&taken)), (SECOND, taken)]), Place::Taken { name } if name == SECOND)
    );
}

/// What an object of our name left behind when the hub was lost.
fn namesake() -> Arc<velero::Backup> {
    let mut namesake = (*ours(Some("Completed"))).clone();
    namesake.labels_mut().insert(names::OWNER_UID_LABEL.into(), "of the lost hub".into());
    Arc::new(namesake)
}

#[test]
fn k06_what_a_hub_made_before_it_was_built_again_is_reported_and_not_run_again() {
    let place = find(&[(FIRST, namesake())]);
    assert!(matches!(&place, Place::Namesake { name } if name == FIRST));
    let step = decide(|seen| seen.place = place);
    assert_eq!(says(&step), (RowPhase::Pending, Some(Reason::AlreadyExists), false));
    assert_eq!(
        step.row.message.as_deref(),
        Some(
            "`m1-backup-default-nightly` was made before, for an object of this name; annotate this one \
             `kurator.dev/adopt: \"true\"` to take it over or `kurator.dev/run-again: \"true\"` to run anew"
        )
    );
}

#[test]
fn k06_a_namesake_is_taken_over_or_passed_by_only_if_somebody_says_so() {
    let with = |claim| Owner { claim, ..owner() };
    let there = [(FIRST, namesake())];
    assert!(matches!(find_for(&with(Claim::Adopt), &there), Place::Ours(_)));
    assert!(matches!(find_for(&with(Claim::RunAgain), &there), Place::Free { name } if name == SECOND));
}

#[test]
fn what_was_deleted_in_order_stands_in_the_way_of_nothing() {
    let mut released = (*namesake()).clone();
    released.annotations_mut().insert(names::RELEASED_ANNOTATION.into(), "2026-11-01T00:00:00Z".into());
    assert!(matches!(find(&[(FIRST, Arc::new(released))]), Place::Free { name } if name == SECOND));
}

#[test]
fn only_a_backup_takes_a_second_name_unasked() {
    let restore = Owner { kind: ChildKind::Restore, api_kind: "Restore", harmless: false, ..owner() };
    assert_eq!(restore.names(&cluster()).len(), 1);
    assert_eq!(Owner { claim: Claim::RunAgain, ..restore }.names(&cluster()).len(), 2);
}

#[test]
fn k38_our_object_is_found_under_either_name() {
    let taken = foreign(json!({"kurator.dev/owner-uid": "somebody"}));
    assert!(matches!(find(&[(FIRST, taken), (SECOND, ours(None))]), Place::Ours(_)));
    assert!(matches!(find(&[(FIRST, ours(None))]), Place::Ours(_)));
}

#[test]
fn k38_an_object_made_for_another_cluster_of_the_same_owner_is_not_ours() {
    let mut twin = (*ours(None)).clone();
    twin.annotations_mut().insert(names::CLUSTER_ANNOTATION.into(), "Cluster default/m1".into());
    assert!(matches!(find(&[(FIRST, Arc::new(twin))]), Place::Free { name } if name == SECOND));
}

#[test]
fn an_object_that_kurator_made_is_adopted() {
    let kurators = foreign(json!({"kurator.dev/backup-name": "nightly"}));
    assert!(matches!(find(&[(FIRST, kurators)]), Place::Ours(_)));
}

#[test]
fn k38_our_object_is_still_ours_when_somebody_takes_one_of_its_labels() {
    for label in [names::OWNER_UID_LABEL, names::PLUGIN_LABEL, names::BACKUP_NAME_LABEL] {
        let mut child = (*ours(None)).clone();
        assert!(child.labels_mut().remove(label).is_some(), "{label}");
        let place = find(&[("m1-backup-default-nightly", Arc::new(child))]);
        assert!(matches!(place, Place::Ours(_)), "{label}: {place:?}");
    }
}

#[test]
fn an_object_that_is_being_deleted_is_waited_for_and_not_given_up_on() {
    let mut leaving = (*foreign(json!({"kurator.dev/owner-uid": "predecessor"}))).clone();
    leaving.metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2026-11-01T00:00:00Z")).unwrap());
    let leaving = Arc::new(leaving);
    let place = find(&[(FIRST, Arc::clone(&leaving)), (SECOND, leaving)]);
    assert!(matches!(place, Place::Leaving { .. }));
    let step = decide(|seen| seen.place = place);
    assert_eq!(says(&step), (RowPhase::Pending, Some(Reason::Waiting), false));
}

#[test]
fn a_row_remembers_which_cluster_its_object_was_seen_in() {
    let row = decide(|seen| seen.place = Place::Ours(ours(None))).row;
    assert_eq!(row.seen_in.as_deref(), Some("cluster-uid"));
}

#[test]
fn a_good_end_is_not_told_before_it_is_proven() {
    let step = |phase, unproven: Option<&str>| {
        decide(|seen| {
            seen.recorded = recorded(RowPhase::InProgress);
            seen.place = Place::Ours(ours(Some(phase)));
            seen.unproven = unproven.map(str::to_owned);
        })
    };
    let in_progress = (RowPhase::InProgress, Some(Reason::InProgress), false);
    for phase in ["Completed", "PartiallyFailed"] {
        assert_eq!(says(&step(phase, Some("nobody knows"))), in_progress, "{phase}");
    }
    assert_eq!(says(&step("Completed", None)).0, RowPhase::Completed);
    assert_eq!(says(&step("Failed", None)).0, RowPhase::Failed);
    assert_eq!(step("Completed", Some("nobody knows")).row.message.as_deref(), Some("nobody knows"));
}

#[test]
fn an_end_that_the_member_refuses_is_explained_by_the_row() {
    let step = decide(|seen| {
        seen.recorded = recorded(RowPhase::InProgress);
        seen.place = Place::Ours(ours(Some("InProgress")));
        seen.unproven = Some("ended as Completed, and the member refuses".into());
    });
    assert_eq!(says(&step), (RowPhase::InProgress, Some(Reason::MemberRefused), false));
    assert_eq!(step.row.message.as_deref(), Some("ended as Completed, and the member refuses"));
}

#[test]
fn a_backup_claims_its_good_end_alone_and_can_be_shown_with_another() {
    let claim = |phase| ours(phase).claim().cloned();
    let good = [velero::BackupPhase::Completed, velero::BackupPhase::PartiallyFailed];
    assert_eq!([claim(Some("Completed")), claim(Some("PartiallyFailed"))], good.clone().map(Some));
    assert_eq!([claim(None), claim(Some("InProgress")), claim(Some("Failed"))], [None, None, None]);
    let [_, partly] = good;
    assert_eq!(ours(Some("Completed")).ending(partly).outcome().phase, RowPhase::PartiallyFailed);
}
