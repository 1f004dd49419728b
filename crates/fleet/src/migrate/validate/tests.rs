use super::*;
use crate::standing::Standing;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

fn fleet(name: &str, clusters: &[&str]) -> Fleet {
    let clusters: Vec<_> =
        clusters.iter().map(|name| json!({"kind": "AttachedCluster", "name": name})).collect();
    let whole = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name}, "spec": {"clusters": clusters},
    });
    serde_json::from_value(whole).unwrap()
}

fn one(fleet: &str, cluster: &str) -> Value {
    json!({"fleet": fleet, "clusters": [{"kind": "AttachedCluster", "name": cluster}]})
}

fn look(spec: Value, fleets: &[Fleet]) -> Result<ValidMigrate, (Standing, Reason, String)> {
    look_at(json!({"spec": spec}), fleets)
}

fn look_at(mut whole: Value, fleets: &[Fleet]) -> Result<ValidMigrate, (Standing, Reason, String)> {
    whole["metadata"] = json!({"name": "m", "namespace": "default", "uid": "u"});
    let migrate: Migrate = serde_json::from_value(whole).unwrap();
    let named = |name: &str| {
        let found = fleets.iter().find(|fleet| fleet.metadata.name.as_deref() == Some(name));
        found.map(|fleet| DeserializeGuard(Ok(fleet.clone())))
    };
    let (source, target) =
        (named(&migrate.spec.source_cluster.fleet), named(&migrate.spec.target_cluster.fleet));
    let fleets = Fleets { source: source.as_ref(), target: target.as_ref() };
    validate(&migrate, &fleets, "hub", |_| BTreeMap::new())
        .map_err(|Unfit(verdict)| (verdict.standing, verdict.reason, verdict.message))
}

fn refused(spec: Value, fleets: &[Fleet]) -> (Standing, Reason, String) {
    match look(spec, fleets) {
        Ok(_) => panic!("accepted"),
        Err(why) => why,
    }
}

fn targets(valid: &ValidMigrate) -> Vec<&str> {
    valid.targets.clusters.iter().map(|key| key.name.as_str()).collect()
}

#[test]
fn k12_a_source_that_is_not_one_cluster_is_refused_with_their_number() {
    let of_fleet = |clusters: &[&str]| {
        refused(
            json!({"sourceCluster": {"fleet": "f"}, "targetCluster": one("g", "z")}),
            &[fleet("f", clusters), fleet("g", &["z"])],
        )
    };
    for (clusters, number) in [(&[][..], 0), (&["a", "b"], 2)] {
        assert_eq!(
            of_fleet(clusters),
            (
                Standing::Stalled,
                Reason::InvalidSpec,
                format!(
                    "spec.sourceCluster: comes to {number} clusters of fleet `f`, and a migration has one source; name \
                     exactly one in spec.sourceCluster.clusters"
                )
            )
        );
    }
}

#[test]
fn k12_one_cluster_is_the_source_also_if_the_fleet_has_no_other() {
    let spec = json!({"sourceCluster": {"fleet": "f"}, "targetCluster": one("g", "z")});
    let valid = look(spec, &[fleet("f", &["a"]), fleet("g", &["z"])]).unwrap();
    assert_eq!((valid.source_cluster.name.as_str(), targets(&valid)), ("a", vec!["z"]));
}

#[test]
fn without_a_choice_the_targets_are_the_fleet_without_the_source() {
    let spec = json!({"sourceCluster": one("f", "b"), "targetCluster": {"fleet": "f"}});
    assert_eq!(targets(&look(spec, &[fleet("f", &["a", "b", "c"])]).unwrap()), ["a", "c"]);
}

#[test]
fn the_source_named_as_a_target_is_refused() {
    let spec = json!({"sourceCluster": one("f", "a"), "targetCluster": one("f", "a")});
    assert_eq!(
        refused(spec, &[fleet("f", &["a"])]),
        (
            Standing::Stalled,
            Reason::InvalidSpec,
            "spec.targetCluster: AttachedCluster `a` is the source and can't be a target; take it off the targets"
                .to_owned()
        )
    );
}

#[test]
fn k09_no_target_at_all_is_waited_for() {
    let spec = json!({"sourceCluster": one("f", "a"), "targetCluster": {"fleet": "f"}});
    let (standing, reason, message) = refused(spec, &[fleet("f", &["a"])]);
    assert_eq!((standing, reason), (Standing::Underway, Reason::NoClusters));
    assert_eq!(
        message,
        "spec.targetCluster: no cluster of fleet `f` other than the source is selected; add one"
    );
}

#[test]
fn a_missing_fleet_of_either_side_is_waited_for_by_name() {
    let spec = json!({"sourceCluster": one("f", "a"), "targetCluster": one("g", "z")});
    let missing = |fleets: &[Fleet]| {
        let (standing, reason, message) = refused(spec.clone(), fleets);
        assert_eq!((standing, reason), (Standing::Underway, Reason::FleetNotFound));
        message
    };
    assert_eq!(
        missing(&[fleet("g", &["z"])]),
        "spec.sourceCluster.fleet: there is no Fleet `f` in this namespace; create it or name another"
    );
    assert_eq!(
        missing(&[fleet("f", &["a"])]),
        "spec.targetCluster.fleet: there is no Fleet `g` in this namespace; create it or name another"
    );
}

#[test]
fn a_fleet_that_is_being_deleted_starts_nothing_new_on_either_side() {
    let leaving = |name, clusters: &[&str]| {
        let mut fleet = fleet(name, clusters);
        fleet.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-01T00:00:00Z")).unwrap();
        fleet
    };
    let spec = json!({"sourceCluster": one("f", "a"), "targetCluster": one("g", "z")});
    for fleets in [[leaving("f", &["a"]), fleet("g", &["z"])], [fleet("f", &["a"]), leaving("g", &["z"])]] {
        let (standing, reason, message) = refused(spec.clone(), &fleets);
        assert_eq!((standing, reason), (Standing::Underway, Reason::FleetNotFound));
        assert!(message.contains("is being deleted, and nothing begins in its clusters"), "{message}");
    }
    let row = |name: &str| json!({"clusterKind": "AttachedCluster", "clusterName": name});
    let begun = json!({"spec": spec, "status": {
        "sourceClusterStatus": row("a"), "targetClusterStatus": [row("z")],
    }});
    let valid = look_at(begun, &[fleet("f", &["a"]), leaving("g", &["z"])]).unwrap();
    assert!(valid.source_over.is_none() && valid.targets_over.is_some());
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let spec = json!({
        "sourceCluster": one("f", "x"), "targetCluster": {"fleet": ""},
        "policy": {"ttl": "soon", "resourceFilter": {"labelSelector": {}, "orLabelSelectors": [{}]}},
    });
    let (_, _, message) = refused(spec, &[fleet("f", &["a"])]);
    for part in [
        "spec.policy.resourceFilter: labelSelector and orLabelSelectors",
        "spec.policy.ttl: ",
        "spec.targetCluster.fleet: is empty; name a Fleet of this namespace",
        "spec.sourceCluster.clusters[0]: AttachedCluster `x` is not a cluster of fleet `f`",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn what_has_begun_keeps_its_clusters_whatever_becomes_of_the_fleet() {
    let row = |name: &str| json!({"clusterKind": "AttachedCluster", "clusterName": name});
    let whole = json!({
        "spec": {"sourceCluster": one("f", "a"), "targetCluster": {"fleet": "f"}},
        "status": {
            "phase": "BackupInProgress", "sourceClusterStatus": row("a"), "targetClusterStatus": [row("b"), row("c")],
        },
    });
    let valid = look_at(whole, &[]).unwrap();
    assert!(valid.begun);
    assert_eq!((valid.source_cluster.name.as_str(), targets(&valid)), ("a", vec!["b", "c"]));
}

#[test]
fn only_the_restores_may_not_run_under_a_second_name() {
    let spec = json!({"sourceCluster": one("f", "a"), "targetCluster": {"fleet": "f"}});
    let valid = look(spec, &[fleet("f", &["a", "b"])]).unwrap();
    assert_eq!(
        valid.source.owner.names(&valid.source_cluster),
        ["a-migrate-default-m", "a-migrate-default-m-u"]
    );
    assert_eq!(valid.targets.owner.names(&valid.targets.clusters[0]), ["b-migrate-default-m"]);
}
