//! Facts from Velero 1.18.3: `pkg/backup/actions`, `pkg/itemblock/actions`, `pkg/util/actionhelpers`.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn bytes(json: &Value) -> Vec<u8> {
    json.to_string().into_bytes()
}

fn told(references: impl IntoIterator<Item = Reference>) -> Vec<String> {
    let text = |Reference { group, resource, namespace, name }: Reference| {
        format!("{resource}.{group} {}/{name}", namespace.unwrap_or_default())
    };
    references.into_iter().map(text).collect()
}

#[test]
fn a_pod_brings_its_class_and_its_claims() {
    let pod = json!({
        "metadata": { "name": "web", "namespace": "a" },
        "spec": {
            "priorityClassName": "high",
            "volumes": [
                { "name": "x", "persistentVolumeClaim": { "claimName": "data" } },
                { "name": "y", "emptyDir": {} },
                { "name": "z", "persistentVolumeClaim": { "claimName": "" } },
                { "name": "w", "persistentVolumeClaim": { "claimName": "logs" } },
            ],
        },
    });
    assert_eq!(
        told(of_pod(&bytes(&pod)).unwrap()),
        [
            "priorityclasses.scheduling.k8s.io /high",
            "persistentvolumeclaims. a/data",
            "persistentvolumeclaims. a/logs"
        ]
    );
    let bare = json!({ "metadata": { "name": "web" }, "spec": { "volumes": null, "priorityClassName": "" } });
    assert_eq!(of_pod(&bytes(&bare)).unwrap(), []);
}

fn claim(change: impl FnOnce(&mut Value)) -> Value {
    let mut claim = json!({
        "metadata": { "name": "data", "namespace": "a", "labels": { "app": "web" } },
        "spec": { "volumeName": "pv-1", "storageClassName": "fast" },
        "status": { "phase": "Bound" },
    });
    change(&mut claim);
    claim
}

fn bound(claim: &Value) -> BoundClaim {
    of_claim(&bytes(claim), "nightly").unwrap().unwrap()
}

#[test]
fn a_bound_claim_brings_its_volume_and_is_stored_as_it_is() {
    let found = bound(&claim(|_| {}));
    assert_eq!(told([found.volume.clone()]), ["persistentvolumes. /pv-1"]);
    assert_eq!((found.namespace.as_str(), found.name.as_str(), found.changed), ("a", "data", None));
}

#[test]
fn a_claim_that_is_not_bound_brings_nothing() {
    for change in [
        (|claim| claim["status"]["phase"] = json!("Pending")) as fn(&mut Value),
        |claim| claim["spec"]["volumeName"] = json!(""),
        |claim| claim["status"] = json!({}),
    ] {
        let mut claim = claim(change);
        claim["spec"]["dataSource"] = json!({ "name": "x" });
        assert_eq!(of_claim(&bytes(&claim), "nightly").unwrap(), None);
    }
}

#[test]
fn what_ties_a_claim_to_its_past_goes() {
    type Change = fn(&mut Value);
    let cases: [(Change, Change); 8] = [
        (|c| c["spec"]["dataSource"] = json!({ "name": "x" }), |_| {}),
        (|c| c["spec"]["dataSourceRef"] = json!({ "name": "x" }), |_| {}),
        (|c| c["spec"]["selector"] = json!({ "matchLabels": { "a": "b" } }), |_| {}),
        (
            |c| {
                c["spec"]["storageClassName"] = json!("");
                c["spec"]["selector"] = json!({ "matchLabels": { "a": "b", "velero.io/x": "y" } });
            },
            |c| {
                c["spec"]["storageClassName"] = json!("");
                c["spec"]["selector"] = json!({ "matchLabels": { "a": "b" } });
            },
        ),
        (|c| c["metadata"]["labels"]["velero.io/restore-name"] = json!("x"), |_| {}),
        (|c| c["metadata"]["labels"]["velero.io/volume-snapshot-name"] = json!("x"), |_| {}),
        (
            |c| c["metadata"]["labels"]["backup.velero.io/must-include-additional-items"] = json!("true"),
            |_| {},
        ),
        (|c| c["metadata"]["labels"]["velero.io/backup-name"] = json!("earlier"), |_| {}),
    ];
    for (before, after) in cases {
        let (before, after) = (claim(before), claim(after));
        let changed: Value = serde_json::from_slice(&bound(&before).changed.expect("a change")).unwrap();
        assert_eq!(changed, after, "{before}");
    }
}

#[test]
fn what_does_not_tie_a_claim_stays() {
    for change in [
        (|c| c["metadata"]["labels"]["velero.io/backup-name"] = json!("nightly")) as fn(&mut Value),
        |c| c["metadata"]["labels"]["velero.io/other"] = json!("x"),
        |c| c["spec"]["dataSource"] = json!(null),
        |c| {
            c["spec"]["storageClassName"] = json!("");
            c["spec"]["selector"] = json!({ "matchLabels": { "a": "b" } });
        },
    ] {
        let claim = claim(change);
        assert_eq!(bound(&claim).changed, None, "{claim}");
    }
}

#[test]
fn a_claim_brings_the_pods_that_use_it_and_its_group() {
    let mut claims = Claims::default();
    let running = |name: &str, namespace: &str| {
        json!({
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "nodeName": "n", "volumes": [{ "persistentVolumeClaim": { "claimName": "data" } }] },
            "status": { "phase": "Running" },
        })
    };
    let mut pending = running("pending", "a");
    pending["status"]["phase"] = json!("Pending");
    let mut going = running("going", "a");
    going["metadata"]["deletionTimestamp"] = json!("2026-11-01T00:00:00Z");
    let mut nowhere = running("nowhere", "a");
    nowhere["spec"]["nodeName"] = json!("");
    for pod in [running("web-1", "a"), running("web-0", "a"), running("other", "b"), pending, going, nowhere]
    {
        claims.add_pod(&bytes(&pod)).unwrap();
    }
    for (namespace, name, group) in
        [("a", "data", "db"), ("a", "logs", "db"), ("a", "tmp", ""), ("a", "x", "y"), ("b", "logs", "db")]
    {
        let claim =
            json!({ "metadata": { "name": name, "namespace": namespace, "labels": { "group": group } } });
        claims.add_claim(&bytes(&claim), "group").unwrap();
    }
    assert_eq!(
        told(claims.with(&bound(&claim(|_| {})))),
        ["pods. a/web-0", "pods. a/web-1", "persistentvolumeclaims. a/logs"]
    );
    assert_eq!(claims.with(&bound(&claim(|c| c["metadata"]["name"] = json!("tmp")))), []);
}

#[test]
fn a_service_account_brings_the_bindings_that_name_it_and_their_roles() {
    let mut bindings = Bindings::default();
    let binding = |name: &str, role: &str, subjects: Value| json!({ "metadata": { "name": name }, "roleRef": { "kind": "ClusterRole", "name": role }, "subjects": subjects });
    let account =
        |namespace: &str| json!([{ "kind": "ServiceAccount", "namespace": namespace, "name": "web" }]);
    for binding in [
        binding("two", "view", account("a")),
        binding("one", "view", account("a")),
        binding("three", "edit", account("b")),
        binding("four", "admin", json!([{ "kind": "User", "name": "web", "namespace": "a" }])),
        binding("five", "admin", json!(null)),
    ] {
        bindings.add(&bytes(&binding)).unwrap();
    }
    let rbac = "rbac.authorization.k8s.io";
    assert_eq!(
        told(bindings.of("a", "web").cloned()),
        [
            format!("clusterrolebindings.{rbac} /one"),
            format!("clusterrolebindings.{rbac} /two"),
            format!("clusterroles.{rbac} /view")
        ]
    );
    assert_eq!(bindings.of("a", "api").count(), 0);
}

#[test]
fn a_type_of_a_domain_may_have_a_definition() {
    let api = |group: &str| ApiType { group: group.into(), resource: "widgets".into(), ..ApiType::default() };
    assert_eq!(definition(&api("example.com")).unwrap().name, "widgets.example.com");
    assert_eq!((definition(&api("apps")), definition(&api(""))), (None, None));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(text in r#"[{}\[\]":,a-z0-9]{0,40}|\{"(spec|metadata)":.{0,30}\}"#) {
        let json = text.as_bytes();
        let _ = (of_pod(json), of_claim(json, "nightly"));
        let _ = (Claims::default().add_pod(json), Claims::default().add_claim(json, "x"), Bindings::default().add(json));
    }
}
