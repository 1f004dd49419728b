use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

mod builtin;
mod clean_up;
mod inherit;
mod place;

use super::*;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use kurator_api::cluster::ClusterKind;
use kurator_api::fleet::Layout;
use kurator_api::velero::{BackupStorageLocationStatus, ServerStatusRequest};
use kurator_store::Location;
use serde_json::json;

use super::super::heir::Heir;
use super::super::lack::Lack;
use super::super::observe::{Seen, SeenSecret};
use super::super::plan::{Plan, plan};
use super::super::render;
use super::super::validate::Plugin;
use crate::served::Standing;

const FLEET: &str = "fleet-uid";
const HUB: &str = "hub-uid";
const CLOUD: &str = "[default]\naws_access_key_id=a\naws_secret_access_key=s\n";

fn plugin() -> ValidPlugin {
    ValidPlugin {
        engine: Engine::Velero,
        provider: "aws",
        bucket: "velero".into(),
        root: String::new(),
        layout: None,
        config: BTreeMap::from([("s3Url".into(), "http://s3".into())]),
        secret: "quickstart-velero-s3".into(),
        cloud: CLOUD.into(),
        endpoint: "http://s3".into(),
        store: Location::default(),
    }
}

fn fleet(clusters: &[&str], plugin: Plugin) -> ValidFleet {
    ValidFleet {
        uid: FLEET.into(),
        name: "quickstart".into(),
        clusters: clusters.iter().map(|name| key(name)).collect(),
        problems: Vec::new(),
        plugin,
        not_managed: Vec::new(),
    }
}

fn key(name: &str) -> ClusterKey {
    ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: name.into() }
}

fn nothing_written() -> SeenVelero {
    SeenVelero {
        locations: Vec::new(),
        secrets: Vec::new(),
        requests: Vec::new(),
        schedules: Some(Vec::new()),
    }
}

/// A location of ours as the plugin wants it for `m1`, in this phase.
fn location(name: &str, prefix: &str, mode: &str) -> Arc<BackupStorageLocation> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"kurator.dev/owner-uid": FLEET}},
            "spec": {
                "provider": "aws", "default": mode == "ReadWrite", "accessMode": mode, "config": {"s3Url": "http://s3"},
                "credential": {"name": "quickstart-velero-s3", "key": "cloud"},
                "objectStorage": {"bucket": "velero", "prefix": prefix},
            },
            "status": {"phase": "Available"},
        }))
        .unwrap(),
    )
}

fn all_written() -> SeenVelero {
    SeenVelero {
        locations: vec![location("default", "clusters/default/attachedcluster/m1", "ReadWrite")],
        secrets: vec![SeenSecret {
            name: "quickstart-velero-s3".into(),
            owner: Some(FLEET.into()),
            content: Some(render::hash(&[CLOUD])),
            made_for: None,
            made_by: None,
        }],
        requests: vec![request(json!({"phase": "Processed", "serverVersion": "v1.18.3"}))],
        schedules: Some(Vec::new()),
    }
}

fn secret_written() -> SeenVelero {
    SeenVelero { locations: Vec::new(), ..all_written() }
}

fn request(status: serde_json::Value) -> Arc<ServerStatusRequest> {
    Arc::new(serde_json::from_value(json!({"metadata": {"name": "kurator-x"}, "status": status})).unwrap())
}

fn alive(velero: Result<SeenVelero, String>) -> SeenAlive {
    SeenAlive {
        uid: "cluster-uid".into(),
        settled: None,
        lack: None,
        velero,
        owner: Probe::Known(Owner::Ours),
        secret_write: Write::None,
        location_write: Write::None,
        retirement: Write::None,
        server_write: Write::None,
        location_removal: Write::None,
        secret_removal: Write::None,
        foundation: Write::None,
        foundation_removal: Write::None,
        question: Write::None,
        heir: Heir::Ask,
        engine: None,
        served_as: None,
        sign_of_life: Some(Instant::now()),
        asked: None,
        installed: None,
    }
}

fn member(name: &str, contact: SeenContact) -> SeenMember {
    SeenMember {
        key: key(name),
        listed: true,
        recorded: None,
        presence: Presence::There,
        rival: None,
        in_use: None,
        contact,
    }
}

fn serving() -> Plugin {
    Plugin::On(Box::new(plugin()))
}

fn root(shared: bool, per_cluster: bool) -> Probe<RootFinding> {
    Probe::Known(RootFinding { shared, per_cluster })
}

fn decide(plugin: Plugin, members: Vec<SeenMember>) -> Plan {
    let names: Vec<_> = members.iter().filter(|m| m.listed).map(|m| m.key.name.clone()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    plan(&fleet(&names, plugin), Seen { hub: HUB.into(), root: root(false, true), members })
}

fn one(contact: SeenAlive) -> Plan {
    decide(serving(), vec![member("m1", SeenContact::Alive(Box::new(contact)))])
}

fn backup_reason(plan: &Plan) -> String {
    plan.rows[0].backup.as_ref().and_then(|backup| backup.reason.clone()).unwrap_or_default()
}

fn written(plan: &Plan) -> Vec<String> {
    let name = |metadata: &ObjectMeta| metadata.name.clone().unwrap_or_default();
    let one = |(key, action): &(ClusterKey, Action)| match action {
        Action::Secret { secret, replace: _, locations } => {
            let again: String = locations.iter().map(|location| format!(", check {location}")).collect();
            format!("{} secret {}{again}", key.name, name(&secret.metadata))
        }
        Action::Location(location) | Action::Retire(location) => {
            let mode = location.spec.access_mode.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} location {} {mode}", key.name, name(&location.metadata))
        }
        Action::ChangeEngine => format!("{} change engine", key.name),
        Action::LayFoundation => format!("{} lay foundation", key.name),
        Action::ClearFoundation => format!("{} clear foundation", key.name),
        Action::AskServer => format!("{} ask", key.name),
        Action::Question { location, by } => format!("{} question {location} {by:?}", key.name),
        Action::DeleteLocations(names) => format!("{} delete locations {}", key.name, names.join(" ")),
        Action::DeleteSecrets(names) => format!("{} delete secrets {}", key.name, names.join(" ")),
    };
    plan.actions.iter().map(one).collect()
}

#[test]
fn a_new_member_gets_its_secret_first() {
    assert_eq!(written(&one(alive(Ok(nothing_written())))), ["m1 secret quickstart-velero-s3"]);
}

#[test]
fn a_member_with_its_secret_gets_its_own_prefix() {
    let plan = one(alive(Ok(secret_written())));
    assert_eq!(written(&plan), ["m1 location default ReadWrite"]);
    let backup = plan.rows[0].backup.as_ref().unwrap();
    assert_eq!(backup.prefix.as_deref(), Some("clusters/default/attachedcluster/m1"));
    assert!(!backup.ready);
}

#[test]
fn a_member_that_has_everything_is_left_alone() {
    let plan = one(alive(Ok(all_written())));
    assert_eq!((written(&plan), plan.rows[0].backup.as_ref().map(|b| b.ready)), (Vec::new(), Some(true)));
}

#[test]
fn k30_another_credential_is_written_again_and_the_location_checked_with_it() {
    let mut velero = all_written();
    velero.secrets[0].content = Some("an older one".into());
    assert_eq!(written(&one(alive(Ok(velero)))), ["m1 secret quickstart-velero-s3, check default"]);
}

#[test]
fn a_secret_of_another_fleet_of_that_name_is_left_alone() {
    let foreign = || {
        let mut velero = all_written();
        velero.locations.clear();
        velero.secrets[0].owner = Some("other-fleet".into());
        velero
    };
    assert_eq!(written(&one(alive(Ok(foreign())))), ["m1 secret quickstart-velero-s3-fleet-ui"]);
    let mut gone = member("m1", SeenContact::Alive(Box::new(alive(Ok(foreign())))));
    gone.recorded = one(alive(Ok(all_written()))).rows.into_iter().next();
    let plan = decide(Plugin::Off, vec![gone]);
    assert!(plan.actions.is_empty());
}

#[test]
fn k31_every_member_gets_a_secret_of_its_own_in_one_pass() {
    let members = (1..=20).map(|i| {
        let mut alive = alive(Ok(nothing_written()));
        alive.uid = format!("cluster-{i}");
        member(&format!("m{i}"), SeenContact::Alive(Box::new(alive)))
    });
    let plan = decide(serving(), members.collect());
    let secrets: Vec<_> =
        plan.actions.iter().filter(|(_, action)| matches!(action, Action::Secret { .. })).collect();
    assert_eq!(secrets.len(), 20);
    for (_, action) in secrets {
        let Action::Secret { secret, .. } = action else { continue };
        assert_eq!((&secret.metadata.resource_version, &secret.metadata.uid), (&None, &None));
    }
}

#[test]
fn k02_a_member_out_of_reach_keeps_what_it_has() {
    for plugin in [serving(), Plugin::Off] {
        let mut away =
            member("m1", SeenContact::Away { reason: Reason::Unreachable, why: "no route".into() });
        away.recorded = one(alive(Ok(all_written()))).rows.into_iter().next();
        let before = away.recorded.as_ref().and_then(|row| row.backup.clone());
        let plan = decide(plugin, vec![away]);
        assert!(plan.actions.is_empty());
        assert_eq!(plan.rows[0].reason.as_deref(), Some("Unreachable"));
        assert_eq!(plan.rows[0].backup, before);
    }
}

#[test]
fn the_same_cluster_twice_is_refused_the_second_time() {
    let members =
        ["m1", "m2"].map(|name| member(name, SeenContact::Alive(Box::new(alive(Ok(nothing_written()))))));
    let plan = decide(serving(), members.into());
    assert!(written(&plan).iter().all(|action| action.starts_with("m1 ")));
    let reason = plan.rows[1].backup.as_ref().and_then(|backup| backup.reason.as_deref());
    assert_eq!(reason, Some("SameCluster"));
}

#[test]
fn a_faulty_plugin_leaves_what_is_there() {
    let seen = member("m1", SeenContact::Alive(Box::new(alive(Ok(all_written())))));
    let problem = Problem { reason: Reason::CredentialSecretMissing, message: "there is no Secret".into() };
    let plan = decide(Plugin::Faulty(vec![problem]), vec![seen]);
    assert!(plan.actions.is_empty());
    assert_eq!(backup_reason(&plan), "CredentialSecretMissing");
}

#[test]
fn beside_a_faulty_plugin_stands_what_is_said_of_the_location_now() {
    let mut broken = (*location("default", "clusters/default/attachedcluster/m1", "ReadWrite")).clone();
    broken.status = Some(unavailable());
    let seen = alive(Ok(SeenVelero { locations: vec![Arc::new(broken)], ..all_written() }));
    let row = one(alive(Ok(all_written()))).rows.remove(0);
    assert_eq!(row.backup.as_ref().and_then(|backup| backup.phase.as_deref()), Some("Available"));
    let seen = SeenMember { recorded: Some(row), ..member("m1", SeenContact::Alive(Box::new(seen))) };
    let problem = Problem { reason: Reason::CredentialSecretMissing, message: "there is no Secret".into() };
    let plan = decide(Plugin::Faulty(vec![problem]), vec![seen]);
    assert_eq!(plan.rows[0].backup.as_ref().and_then(|backup| backup.phase.as_deref()), Some("Unavailable"));
}

fn unavailable() -> BackupStorageLocationStatus {
    let status = json!({"phase": "Unavailable", "message": "no such bucket", "lastValidationTime": "2026-11-01T00:00:00Z"});
    serde_json::from_value(status).unwrap()
}

#[test]
fn k27_an_unavailable_location_is_not_ready_and_says_why() {
    let mut broken = (*location("default", "clusters/default/attachedcluster/m1", "ReadWrite")).clone();
    broken.status = Some(unavailable());
    let plan = one(alive(Ok(SeenVelero { locations: vec![Arc::new(broken)], ..all_written() })));
    assert_eq!(backup_reason(&plan), "LocationUnavailable");
}

#[test]
fn what_velero_lacks_is_named_with_who_makes_it_and_nothing_is_written() {
    let hidden = "restores may not be watched";
    for (types, hidden, expected) in [
        (
            vec!["backups.velero.io"; 6],
            vec![],
            "the cluster has no velero.io types; install Velero, or let the hub do its work with `engine: Builtin`",
        ),
        (
            vec!["backups.velero.io"],
            vec![hidden.to_owned()],
            "the cluster has no type `backups.velero.io`; install it again, as `velero install --crds-only` does",
        ),
        (vec![], vec![hidden.to_owned()], hidden),
    ] {
        let good = one(alive(Ok(all_written()))).rows.remove(0);
        let lack = Some(Lack { types, hidden });
        let contact = SeenContact::Alive(Box::new(SeenAlive { lack, ..alive(Ok(all_written())) }));
        let plan = decide(serving(), vec![SeenMember { recorded: Some(good), ..member("m1", contact) }]);
        let backup = plan.rows[0].backup.as_ref().unwrap();
        assert_eq!((backup.ready, backup.reason.as_deref()), (false, Some("VeleroMissing")));
        assert_eq!(backup.message.as_deref(), Some(expected));
        assert!(written(&plan).is_empty());
    }
}

#[test]
fn a_namespace_that_velero_has_lost_is_named_with_the_remedy() {
    let failure = Failure::NoPlace("the cluster has no namespace `velero`".into());
    let secret_write = Write::Failed { failure, retry_at: Instant::now() + Duration::from_secs(1) };
    let plan = one(SeenAlive { secret_write, ..alive(Ok(nothing_written())) });
    let backup = plan.rows[0].backup.as_ref().unwrap();
    assert_eq!(backup.reason.as_deref(), Some("VeleroMissing"));
    let expected = "the cluster has no namespace `velero`; install Velero again";
    assert_eq!(backup.message.as_deref(), Some(expected));
}

#[test]
fn a_silent_server_is_asked_and_then_reported() {
    let silent = |velero| SeenAlive { sign_of_life: None, ..alive(Ok(velero)) };
    assert_eq!(written(&one(silent(all_written()))), ["m1 ask"]);
    let asked = SeenVelero { requests: vec![request(json!({"phase": "New"}))], ..all_written() };
    let long_ago = Instant::now().checked_sub(Duration::from_secs(31));
    assert_eq!(backup_reason(&one(SeenAlive { asked: long_ago, ..silent(asked) })), "VeleroSilent");
}

#[test]
fn a_restart_of_the_hub_changes_no_word_while_things_are_being_asked() {
    let good = one(alive(Ok(all_written()))).rows;
    for contact in [
        SeenContact::Connecting,
        SeenContact::Alive(Box::new(SeenAlive { owner: Probe::Running, ..alive(Ok(all_written())) })),
        SeenContact::Alive(Box::new(SeenAlive { sign_of_life: None, ..alive(Ok(all_written())) })),
        SeenContact::Alive(Box::new(SeenAlive {
            settled: Some(Instant::now() + Duration::from_secs(5)),
            ..alive(Err("being listed".into()))
        })),
    ] {
        let mut seen = member("m1", contact);
        seen.recorded = good.first().cloned();
        assert_eq!(decide(serving(), vec![seen]).rows, good);
    }
}

#[test]
fn a_refused_write_is_told_with_the_servers_words_and_not_repeated_at_once() {
    let retry_at = Instant::now() + Duration::from_secs(5);
    let failure = Failure::Forbidden("secrets is forbidden".into());
    let refused =
        SeenAlive { secret_write: Write::Failed { failure, retry_at }, ..alive(Ok(nothing_written())) };
    let plan = one(refused);
    assert!(plan.actions.is_empty());
    assert_eq!(plan.look_again, Some(retry_at));
    assert_eq!(backup_reason(&plan), "Forbidden");
    assert_eq!(plan.rows[0].backup.as_ref().and_then(|b| b.message.as_deref()), Some("secrets is forbidden"));
}

#[test]
fn a_location_that_nobody_checks_because_no_server_runs_is_told_as_that() {
    let unchecked = (*location("default", "clusters/default/attachedcluster/m1", "ReadWrite")).clone();
    let unchecked = Arc::new(BackupStorageLocation { status: None, ..unchecked });
    let asked_since = |seconds| {
        let requests = vec![request(json!({"phase": "New"}))];
        let seen = SeenVelero { locations: vec![Arc::clone(&unchecked)], requests, ..all_written() };
        let asked = Instant::now().checked_sub(Duration::from_secs(seconds));
        SeenAlive { sign_of_life: None, asked, ..alive(Ok(seen)) }
    };
    assert_eq!(backup_reason(&one(asked_since(1))), "LocationPending");
    assert_eq!(backup_reason(&one(asked_since(31))), "VeleroSilent");

    let without = |deployment, pods| {
        let installed = Some(server::Installed { deployment, pods });
        one(SeenAlive { installed, ..asked_since(11) })
    };
    assert_eq!(backup_reason(&without(true, true)), "LocationPending", "a pod may take longer");
    for (deployment, seen) in [
        (
            false,
            "when it was asked, namespace `velero` had neither a Deployment `velero` nor a pod; install Velero, or let \
                 the hub do its work with `engine: Builtin`",
        ),
        (true, "when it was asked, Deployment `velero` had no pod; scale it up, or see its events"),
    ] {
        let plan = without(deployment, false);
        assert_eq!(backup_reason(&plan), "VeleroSilent");
        let expected = format!("Velero's types are there, but no server answers: {seen}");
        assert_eq!(plan.rows[0].backup.as_ref().and_then(|backup| backup.message.clone()), Some(expected));
    }
}

#[test]
fn a_member_led_astray_takes_nothing_from_the_one_whose_cluster_it_leads_to() {
    let seen = || {
        let mut theirs = (*location("default", "clusters/default/attachedcluster/m2", "ReadWrite")).clone();
        let of_m2 = ("kurator.dev/cluster".to_owned(), key("m2").to_string());
        theirs.metadata.annotations = Some(BTreeMap::from([of_m2]));
        alive(Ok(SeenVelero { locations: vec![Arc::new(theirs)], ..all_written() }))
    };
    let members = ["m1", "m2"].map(|name| member(name, SeenContact::Alive(Box::new(seen()))));
    let plan = decide(serving(), members.into());
    assert_eq!(written(&plan), Vec::<String>::new());
    let reasons: Vec<_> =
        plan.rows.iter().map(|row| row.backup.as_ref().and_then(|b| b.reason.clone())).collect();
    assert_eq!(reasons, [Some("SameCluster".to_owned()), Some("AsExpected".to_owned())]);
}

#[test]
fn what_somebody_changes_back_at_once_is_not_written_in_a_loop() {
    let mut velero = all_written();
    velero.secrets[0].content = Some("changed back".into());
    let until = Instant::now() + Duration::from_secs(10);
    let plan = one(SeenAlive { secret_write: Write::Done { until }, ..alive(Ok(velero)) });
    assert_eq!((written(&plan), plan.look_again), (Vec::new(), Some(until)));
}
