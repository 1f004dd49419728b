use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{any_object, context, made};
use super::*;

fn skip(object: Value, resource: &str) -> Option<Skip> {
    match transform(object, resource, &context(json!({}))) {
        Ok(Made::Skip(skip)) => Some(skip),
        _ => None,
    }
}

#[test]
fn an_object_goes_to_its_mapped_namespace_with_labels_of_its_origin() {
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
        "metadata": {"name": "c", "namespace": "a", "uid": "u", "finalizers": ["f"], "labels": {"l": "1"}},
    });
    let made = made(config, "configmaps", &context(json!({"namespaceMapping": {"a": "b"}})));
    assert_eq!(
        made,
        Transformed {
            object: json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
                "metadata": {"name": "c", "namespace": "b", "finalizers": ["f"], "labels": {
                    "l": "1", "velero.io/backup-name": "b", "velero.io/restore-name": "r",
                }},
            }),
            ..Transformed::default()
        }
    );
}

#[test]
fn a_cluster_scoped_object_gets_no_namespace() {
    let role = json!({"kind": "ClusterRole", "metadata": {"name": "c"}});
    let made = made(role, "clusterroles.rbac.authorization.k8s.io", &context(json!({})));
    assert_eq!(object::namespace(&made.object), None);
}

#[test]
fn objects_that_are_done_or_that_kubernetes_makes_are_skipped() {
    let token = |name: &str| {
        json!({"type": "kubernetes.io/service-account-token", "metadata": {
            "name": name, "annotations": {"kubernetes.io/service-account.name": "builder"},
        }})
    };
    for (object, resource, expected) in [
        (json!({"metadata": {}, "status": {"phase": "Succeeded"}}), "pods", Some(Skip::Completed)),
        (json!({"metadata": {}, "status": {"phase": "Failed"}}), "pods", Some(Skip::Completed)),
        (json!({"metadata": {}, "status": {"phase": "Running"}}), "pods", None),
        (json!({"metadata": {}, "status": {"completionTime": "t"}}), "jobs.batch", Some(Skip::Completed)),
        (json!({"metadata": {}, "status": {"failed": 1}}), "jobs.batch", None),
        (
            json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}),
            "pods",
            Some(Skip::MirrorPod),
        ),
        (
            json!({"metadata": {"labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}}}),
            "apiservices.apiregistration.k8s.io",
            Some(Skip::Managed),
        ),
        (json!({"metadata": {}}), "apiservices.apiregistration.k8s.io", None),
        (json!({"metadata": {}}), "datauploads.velero.io", Some(Skip::DataUpload)),
        (
            json!({"metadata": {"name": "kurator-engine", "labels": {"fleet.kurator.dev/plugin": "backup"}}}),
            "leases.coordination.k8s.io",
            Some(Skip::EngineLease),
        ),
        (json!({"metadata": {"name": "kurator-engine"}}), "leases.coordination.k8s.io", None),
        (token("builder-token-x7f9k"), "secrets", Some(Skip::AccountToken)),
        (token("mine"), "secrets", None),
    ] {
        assert_eq!(skip(object.clone(), resource), expected, "{object}");
    }
}

#[test]
fn the_status_is_written_afterwards_only_if_it_is_restored() {
    let widget = || json!({"metadata": {"name": "w", "namespace": "a"}, "status": {"ready": true}});
    let status = |spec| made(widget(), "widgets.example.com", &context(spec)).status;
    assert_eq!(status(json!({})), None);
    assert_eq!(status(json!({"restoreStatus": {"includedResources": ["*"]}})), Some(json!({"ready": true})));
}

#[test]
fn managed_fields_are_written_afterwards_only_where_somebody_applied() {
    let managed = |operation: &str| {
        let entries =
            json!([{"manager": "m", "operation": "Update"}, {"manager": "n", "operation": operation}]);
        let object = json!({"metadata": {"name": "c", "namespace": "a", "managedFields": entries}});
        made(object, "configmaps", &context(json!({}))).managed_fields.map(|kept| kept == entries)
    };
    assert_eq!(managed("Update"), None);
    assert_eq!(managed("Apply"), Some(true));
}

#[test]
fn an_object_without_metadata_fails_with_its_type() {
    let error = transform(json!({}), "pods", &context(json!({}))).unwrap_err();
    assert_eq!(error.to_string(), "error preparing pods/: metadata not found");
}

const TYPES: [&str; 12] = [
    "pods",
    "services",
    "secrets",
    "serviceaccounts",
    "persistentvolumes",
    "persistentvolumeclaims",
    "jobs.batch",
    "statefulsets.apps",
    "deployments.apps",
    "rolebindings.rbac.authorization.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
];

proptest! {
    #[test]
    fn any_object_comes_through_without_what_the_api_server_gave_it(object in any_object(), resource in prop::sample::select(&TYPES[..])) {
        let context = context(json!({"namespaceMapping": {"a": "b"}}));
        if let Ok(Made::Create(made)) = transform(object, resource, &context) {
            for field in ["uid", "resourceVersion", "ownerReferences", "managedFields"] {
                prop_assert_eq!(object::at(&made.object, &["metadata", field]), None);
            }
            prop_assert_eq!(object::at(&made.object, &["status"]), None);
        }
    }

    #[test]
    fn a_second_transformation_changes_nothing(object in any_object(), resource in prop::sample::select(&TYPES[..])) {
        // Of a ServiceAccount's tokens each transformation drops one, as Velero does.
        prop_assume!(resource != "serviceaccounts");
        let context = context(json!({}));
        if let Ok(Made::Create(once)) = transform(object, resource, &context)
            && let Ok(Made::Create(twice)) = transform(once.object.clone(), resource, &context)
        {
            prop_assert_eq!(once.object, twice.object);
        }
    }
}
