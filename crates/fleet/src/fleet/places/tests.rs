use super::*;
use serde_json::{Value, json};

fn ours() -> Value {
    json!({
        "provider": "aws", "config": {"s3Url": "http://s3", "region": "r"},
        "objectStorage": {"bucket": "velero", "prefix": "clusters/default/attachedcluster/m1"},
    })
}

/// The field that differs when somebody wrote this over what the hub wrote.
fn over(change: &Value, read_only: bool) -> Option<&'static str> {
    let spec = |value: Value| serde_json::from_value::<BackupStorageLocationSpec>(value).unwrap();
    let mut found = ours();
    for (key, value) in change.as_object().unwrap() {
        found[key] = value.clone();
    }
    differs(&spec(found), &spec(ours()), read_only)
}

#[test]
fn every_field_that_decides_where_a_connection_goes_must_be_the_hubs_own() {
    let storage = |bucket: &str, prefix: &str, ca: Option<&str>| json!({"objectStorage": {"bucket": bucket, "prefix": prefix, "caCert": ca}});
    let at_home = "clusters/default/attachedcluster/m1";
    let table = [
        (json!({}), None),
        (json!({"accessMode": "ReadWrite", "default": true, "validationFrequency": "1s"}), None),
        (storage("velero", "/clusters/default/attachedcluster/m1/", None), None),
        (json!({"provider": "kurator.dev/local"}), Some("spec.provider")),
        (json!({"config": {"s3Url": "http://127.0.0.1", "region": "r"}}), Some("spec.config")),
        (json!({"config": {"s3Url": "http://s3", "region": "r", "profile": "other"}}), Some("spec.config")),
        (storage("other", at_home, None), Some("spec.objectStorage.bucket")),
        (storage("velero", "clusters/default/attachedcluster/m2", None), Some("spec.objectStorage.prefix")),
        (storage("velero", at_home, Some("Zm9v")), Some("spec.objectStorage.caCert")),
        (json!({"credential": {"name": "mine", "key": "cloud"}}), Some("spec.credential")),
    ];
    for (change, expected) in table {
        assert_eq!(over(&change, false), expected, "{change}");
    }
}

#[test]
fn what_may_only_be_read_must_say_so() {
    assert_eq!(over(&json!({"accessMode": "ReadOnly"}), true), None);
    assert_eq!(over(&json!({"accessMode": "ReadWrite"}), true), Some("spec.accessMode"));
    assert_eq!(over(&json!({}), true), Some("spec.accessMode"));
}

fn cluster(name: &str) -> ClusterKey {
    ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: name.into() }
}

fn at(bucket: &str, prefix: &str) -> StoredAt {
    StoredAt { location: "default".into(), bucket: bucket.into(), prefix: prefix.into(), fleet: None }
}

/// A Fleet that stores in bucket `velero`, below `root`.
fn store(root: &str) -> Store {
    Store::of_test(json!({
        "metadata": {"name": "f", "namespace": "default", "uid": "f-uid"},
        "spec": {"clusters": [], "plugin": {"backup": {"storage": {
            "location": {
                "bucket": "velero", "provider": "aws", "endpoint": "http://minio:9000", "region": "minio",
                "prefix": root,
            },
            "secretName": "s",
        }}}},
    }))
}

#[test]
fn a_cluster_is_believed_only_where_it_says_what_its_fleet_would_give_it() {
    let own = "clusters/default/attachedcluster/m1";
    let below = "root/clusters/default/attachedcluster/m1";
    let table = [
        ("", None, at("velero", own), true),
        ("root", None, at("velero", below), true),
        ("root", Some(Layout::Shared), at("velero", "root"), true),
        ("", Some(Layout::Shared), at("velero", ""), true),
        // Another bucket, or another cluster's folder.
        ("", None, at("other", own), false),
        ("", None, at("velero", "clusters/default/attachedcluster/m2"), false),
        ("", None, at("velero", "clusters/other/attachedcluster/m1"), false),
        ("", None, at("velero", "clusters/default/cluster/m1"), false),
        ("", None, at("velero", "clusters/default/attachedcluster/m1/deeper"), false),
        (
            "",
            None,
            at("velero", "clusters/default/attachedcluster/m2/clusters/default/attachedcluster/m1"),
            false,
        ),
        // Another root, or none where each cluster has its folder.
        ("root", None, at("velero", own), false),
        ("", None, at("velero", below), false),
        ("", None, at("velero", ""), false),
        ("", Some(Layout::PerCluster), at("velero", "shared"), false),
        ("root", Some(Layout::PerCluster), at("velero", "root"), false),
        ("root", Some(Layout::Shared), at("velero", ""), false),
        ("", None, at("velero", "../velero"), false),
    ];
    for (root, layout, at, followed) in table {
        let said = format!("{root:?} {layout:?} {at:?}");
        let place = Place { at, read_only: true, whose: Whose::Clusters(cluster("m1"), layout) };
        assert_eq!(place.may_be_followed(&store(root)), followed, "{said}");
    }
}

#[test]
fn what_the_hub_itself_gave_is_followed_though_the_fleet_has_moved_since() {
    let place = Place {
        at: at("former", "once/clusters/default/attachedcluster/m1"),
        read_only: true,
        whose: Whose::Hub,
    };
    assert!(place.may_be_followed(&store("now")));
}

#[test]
fn a_place_is_found_by_the_name_that_the_fleet_gave_it_now_or_before() {
    let fleet: Guarded<Fleet> =
        serde_json::from_value(json!({"metadata": {"name": "f"}, "spec": {}})).unwrap();
    let row: MemberBackupStatus = serde_json::from_value(json!({
        "location": "default-2", "bucket": "velero", "prefix": "b", "ready": true,
        "earlier": [{"location": "default", "bucket": "velero", "prefix": "a"}],
    }))
    .unwrap();
    let prefix = |name: &str| given(&fleet, &row, name).map(|place| (place.prefix, place.fleet));
    assert_eq!(prefix("default-2"), Some(("b".into(), Some("f".into()))));
    assert_eq!(prefix("default"), Some(("a".into(), Some("f".into()))));
    assert_eq!(prefix("of-the-member"), None);
}
