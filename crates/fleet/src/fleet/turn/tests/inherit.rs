//! A hub that was built again has Fleets of the same names with other UIDs; so have two that live.

use super::*;

/// What a Fleet of this name on the hub with this UID wrote for `m1`.
fn left_by(hub: Option<&str>) -> SeenVelero {
    let mut left = all_written();
    let location = Arc::make_mut(&mut left.locations[0]);
    let mut annotations = BTreeMap::from([
        (names::OWNER_ANNOTATION.to_owned(), "Fleet default/quickstart".to_owned()),
        (names::CLUSTER_ANNOTATION.to_owned(), "AttachedCluster default/m1".to_owned()),
    ]);
    annotations.extend(hub.map(|hub| (names::HUB_ANNOTATION.to_owned(), hub.to_owned())));
    location.metadata.annotations = Some(annotations);
    location.metadata.labels = Some([(names::OWNER_UID_LABEL.to_owned(), "earlier".to_owned())].into());
    left.secrets[0].owner = Some("earlier".into());
    left.secrets[0].made_by = Some("Fleet default/quickstart".into());
    left.secrets[0].made_for = Some("AttachedCluster default/m1".into());
    left
}

fn decided(left: SeenVelero, heir: Heir) -> Plan {
    one(SeenAlive { heir, ..alive(Ok(left)) })
}

#[test]
fn what_an_earlier_fleet_of_this_name_wrote_for_this_member_is_taken_over() {
    let plan = decided(left_by(Some("earlier-hub")), Heir::Inherits);
    let [(_, Action::Secret { secret, replace: true, .. }), (_, Action::Location(location))] =
        &plan.actions[..]
    else {
        panic!("{:?}", written(&plan))
    };
    assert_eq!(secret.metadata.name.as_deref(), Some("quickstart-velero-s3"));
    assert_eq!(location.metadata.name.as_deref(), Some("default"));
    assert_eq!(location.metadata.labels.as_ref().unwrap()[names::OWNER_UID_LABEL], FLEET);
}

#[test]
fn an_earlier_fleet_of_this_very_hub_is_gone_and_nobody_is_asked() {
    let plan = decided(left_by(Some(HUB)), Heir::Ask);
    assert_eq!(written(&plan), ["m1 secret quickstart-velero-s3", "m1 location default ReadWrite"]);
}

#[test]
fn another_hub_is_asked_first_and_nothing_is_taken_from_one_that_lives() {
    let until = Instant::now() + Duration::from_secs(5);
    for hub in [Some("another-hub"), None] {
        let asks = decided(left_by(hub), Heir::Ask);
        assert_eq!(written(&asks), ["m1 question default Some(\"fleet-uid\")"], "{hub:?}");
        let asked = decided(left_by(hub), Heir::Asked { until });
        assert!(written(&asked).is_empty(), "{hub:?}");
        assert_eq!((backup_reason(&asked), asked.look_again), ("Waiting".to_owned(), Some(until)));
    }
    let outlived = decided(left_by(Some("another-hub")), Heir::Outlived { until });
    assert!(written(&outlived).is_empty());
    let row = outlived.rows[0].backup.as_ref().unwrap();
    assert_eq!((row.reason.as_deref(), row.ready), (Some("LocationConflict"), false));
    assert_eq!(
        row.message.as_deref(),
        Some(
            "storage location `default` belongs to `Fleet default/quickstart` of hub another-hub, which is alive; give one \
             of the two Fleets another name, or take this cluster off one of them"
        )
    );
}

#[test]
fn who_is_asked_takes_the_question_off_also_where_its_plugin_is_faulty() {
    let asked = || {
        let mut velero = all_written();
        let location = Arc::make_mut(&mut velero.locations[0]);
        location.annotations_mut().insert(names::INHERITS_ANNOTATION.to_owned(), "other-fleet".to_owned());
        member("m1", SeenContact::Alive(Box::new(alive(Ok(velero)))))
    };
    for plugin in [serving(), Plugin::Faulty(Vec::new())] {
        assert_eq!(written(&decide(plugin, vec![asked()])), ["m1 question default None"]);
    }
}
