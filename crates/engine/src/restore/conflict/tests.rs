use proptest::prelude::*;
use serde_json::json;

use super::super::testing::context;
use super::super::testing::{any_json, made, plan};
use super::*;

const CONFIG: &str = "configmaps";

fn config(data: &Value, metadata: Value) -> Value {
    let mut own = json!({"name": "c", "namespace": "a"});
    merge(&mut own, metadata);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": own, "data": data})
}

/// What is decided where the backup holds one and the cluster another.
fn decide(backup: Value, cluster: Value, resource: &str, spec: Value) -> Conflict {
    let made = made(backup, resource, &context(spec.clone()));
    resolve(&made.object, cluster, resource, &plan(spec))
}

fn origin_labels() -> Value {
    json!({"velero.io/backup-name": "b", "velero.io/restore-name": "r"})
}

#[test]
fn an_object_that_differs_in_what_servers_and_restores_write_alone_is_the_same() {
    let cluster = config(
        &json!({"k": "v"}),
        json!({
            "uid": "u2", "resourceVersion": "9", "creationTimestamp": "t", "ownerReferences": [{"uid": "o"}],
            "managedFields": [{"manager": "x"}],
            "labels": {"velero.io/backup-name": "older", "velero.io/restore-name": "older"},
        }),
    );
    let backup = config(&json!({"k": "v"}), json!({"uid": "u1", "managedFields": [{"manager": "y"}]}));
    for (spec, labels) in [
        (json!({}), None),
        (json!({"existingResourcePolicy": "none"}), None),
        (json!({"existingResourcePolicy": "update"}), Some(json!({"metadata": {"labels": origin_labels()}}))),
    ] {
        assert_eq!(decide(backup.clone(), cluster.clone(), CONFIG, spec), Conflict::Same { labels });
    }
}

#[test]
fn a_different_object_stays_with_a_warning_in_velero_s_words() {
    for (spec, warning) in [
        (
            json!({}),
            "could not restore, ConfigMap:c already exists. Warning: the in-cluster version is different than the \
             backed-up version",
        ),
        (
            json!({"existingResourcePolicy": "none"}),
            "could not restore, ConfigMap \"c\" already exists. Warning: the in-cluster version is different than the \
             backed-up version",
        ),
    ] {
        assert_eq!(
            decide(
                config(&json!({"k": "1"}), json!({})),
                config(&json!({"k": "2"}), json!({})),
                CONFIG,
                spec
            ),
            Conflict::Different { warning: warning.to_owned() }
        );
    }
}

#[test]
fn an_update_patches_what_differs_removes_what_is_not_in_the_backup_and_labels() {
    let backup = config(&json!({"same": "1", "other": "2", "new": "3"}), json!({"labels": {"l": "1"}}));
    let cluster = config(
        &json!({"same": "1", "other": "x", "gone": "4"}),
        json!({"annotations": {"a": "1"}, "ownerReferences": [{"uid": "o"}], "managedFields": []}),
    );
    assert_eq!(
        decide(backup, cluster, CONFIG, json!({"existingResourcePolicy": "update"})),
        Conflict::Patch {
            patch: json!({
                "data": {"other": "2", "new": "3", "gone": null},
                "metadata": {"annotations": null, "labels": {
                    "l": "1", "velero.io/backup-name": "b", "velero.io/restore-name": "r",
                }},
            }),
            labels: Some(json!({"metadata": {"labels": origin_labels()}})),
        }
    );
}

fn account(secrets: &Value, metadata: Value) -> Value {
    let mut own = json!({"name": "sa", "namespace": "a"});
    merge(&mut own, metadata);
    json!({"kind": "ServiceAccount", "metadata": own, "secrets": secrets})
}

#[test]
fn a_service_account_is_merged_whatever_the_policy_and_the_cluster_wins() {
    let backup = account(
        &json!([{"name": "one"}, {"name": "two"}]),
        json!({"labels": {"l": "backup", "new": "1"}, "annotations": {"a": "1"}}),
    );
    let mut with_pull = backup.clone();
    with_pull["imagePullSecrets"] = json!([{"name": "pull"}]);
    let cluster = account(&json!([{"name": "one"}]), json!({"labels": {"l": "cluster"}}));
    assert_eq!(
        decide(with_pull, cluster, "serviceaccounts", json!({"existingResourcePolicy": "none"})),
        Conflict::Patch {
            patch: json!({
                "secrets": [{"name": "one"}, {"name": "two"}], "imagePullSecrets": [{"name": "pull"}],
                "metadata": {"labels": {"new": "1"}, "annotations": {"a": "1"}},
            }),
            labels: None,
        }
    );
}

#[test]
fn a_service_account_with_nothing_to_merge_is_the_same() {
    let backup = account(&json!([{"name": "one"}]), json!({}));
    let cluster = account(&json!([{"name": "one"}, {"name": "more"}]), json!({"labels": {"l": "1"}}));
    assert_eq!(
        decide(backup, cluster, "serviceaccounts", json!({"existingResourcePolicy": "update"})),
        Conflict::Same { labels: None }
    );
}

/// As JSON would say it: a merge patch cannot write a null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn the_difference_of_two_objects_makes_the_one_of_the_other(from in any_json(), to in any_json()) {
        let (mut from, to) = (without_nulls(from), without_nulls(to));
        if let Some(patch) = difference(&from, &to) {
            merge(&mut from, patch);
        }
        prop_assert_eq!(from, to);
    }

    #[test]
    fn any_two_objects_are_decided_on(made in any_json(), found in any_json(), resource in prop::sample::select(vec!["serviceaccounts", "pods"])) {
        for spec in [json!({}), json!({"existingResourcePolicy": "update"})] {
            let plan = plan(spec);
            let _ = resolve(&made, found.clone(), resource, &plan);
            let same = resolve(&made, made.clone(), resource, &plan);
            prop_assert!(!matches!(same, Conflict::Different { .. } | Conflict::Patch { .. }), "differs from itself");
        }
    }
}
