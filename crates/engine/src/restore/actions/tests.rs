//! Before and after, per action. The facts are those of Velero 1.18.3, `pkg/restore/actions`.

use std::collections::BTreeSet;

use kurator_archive::Seen;
use serde_json::{Value, json};

use super::super::mapping::{Images, StorageClasses};
use super::super::testing::{context, made, plan};
use super::super::transform::{Context, ItemRef, transform};
use super::super::volumes::{BackupMethod, NoData, VolumeFacts, Volumes};

/// What an object with this spec becomes, without its metadata.
fn spec_of(resource: &str, object: Value, context: &Context) -> Value {
    let mut object = object;
    if object.get("metadata").is_none() {
        object["metadata"] = json!({"name": "n", "namespace": "a"});
    }
    made(object, resource, context).object["spec"].clone()
}

fn related(resource: &str, namespace: Option<&str>, name: &str) -> ItemRef {
    ItemRef { resource: resource.into(), namespace: namespace.map(Into::into), name: name.into() }
}

#[test]
fn a_job_forgets_the_uid_of_the_one_that_was() {
    let labels = json!({"controller-uid": "u", "batch.kubernetes.io/controller-uid": "u", "app": "a"});
    let job = json!({"spec": {
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}},
    }});
    assert_eq!(
        spec_of("jobs.batch", job, &context(json!({}))),
        json!({"selector": {"matchLabels": {"app": "a"}}, "template": {"metadata": {"labels": {"app": "a"}}}})
    );
}

#[test]
fn a_pod_loses_node_priority_and_the_token_of_its_account() {
    let mounts = json!([{"name": "sa-token-x"}, {"name": "data"}]);
    let pod = json!({"metadata": {"name": "p", "namespace": "a"}, "spec": {
        "nodeName": "n1", "priority": 7, "priorityClassName": "high", "serviceAccountName": "sa",
        "volumes": [{"name": "sa-token-x"}, {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}],
        "containers": [{"name": "c", "volumeMounts": mounts}, {"name": "d", "volumeMounts": [{"name": "sa-token-x"}]}],
        "initContainers": [{"name": "restore-wait"}, {"name": "i", "volumeMounts": mounts}, {"name": "restic-wait"}],
    }});
    let made = made(pod, "pods", &context(json!({"namespaceMapping": {"a": "b"}})));
    assert_eq!(
        made.object["spec"],
        json!({
            "priorityClassName": "high", "serviceAccountName": "sa",
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "data"}]}, {"name": "d"}],
            "initContainers": [{"name": "i", "volumeMounts": [{"name": "data"}]}],
        })
    );
    assert_eq!(
        made.related,
        [
            related("persistentvolumeclaims", Some("a"), "c"),
            related("priorityclasses.scheduling.k8s.io", None, "high"),
        ]
    );
}

#[test]
fn a_service_loses_its_addresses_unless_it_is_headless() {
    let context = context(json!({}));
    let addresses = |ip: &str| json!({"spec": {"clusterIP": ip, "clusterIPs": [ip]}});
    assert_eq!(spec_of("services", addresses("10.0.0.1"), &context), json!({}));
    assert_eq!(
        spec_of("services", addresses("None"), &context),
        json!({"clusterIP": "None", "clusterIPs": ["None"]})
    );
}

#[test]
fn node_ports_stay_where_they_were_asked_for() {
    let ports = || {
        json!([
            {"name": "web", "port": 80, "protocol": "TCP", "nodePort": 30080},
            {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
            {"port": 99, "protocol": "TCP", "nodePort": 30099},
        ])
    };
    let service = |kind: &str, annotation: Option<Value>, managed: Value| {
        let mut metadata = json!({"name": "s", "namespace": "a", "managedFields": managed});
        if let Some(applied) = annotation {
            metadata["annotations"] =
                json!({"kubectl.kubernetes.io/last-applied-configuration": applied.to_string()});
        }
        json!({"metadata": metadata, "spec": {"type": kind, "ports": ports()}})
    };
    let applied = |ports: Value| Some(json!({"spec": {"ports": ports}}));
    let managed = json!([
        {"fieldsV1": {"f:spec": {"f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {"f:port": {}, "f:nodePort": {}}}}}},
        {"fieldsV1": {"f:spec": {"f:ports": {r#"k:{"port":53,"protocol":"UDP"}"#: {"f:port": {}}}}}},
        {"fieldsV1": {"f:metadata": {}}},
        "no entry",
    ]);
    for (service, preserve, kept) in [
        (service("NodePort", None, json!([])), false, [false, false, false]),
        (service("NodePort", None, json!([])), true, [true, true, true]),
        (service("ExternalName", None, json!([])), false, [true, true, true]),
        (service("NodePort", None, managed.clone()), false, [true, false, false]),
        (
            service("NodePort", applied(json!([{"name": "dns", "nodePort": 30053}])), managed.clone()),
            false,
            [false, true, false],
        ),
        (service("NodePort", applied(json!([{"nodePort": 30099}])), json!([])), false, [false, false, true]),
        (
            service("NodePort", applied(json!([{"name": "web", "nodePort": "30080"}])), json!([])),
            false,
            [true, false, false],
        ),
        (
            service("NodePort", applied(json!([{"name": "web", "nodePort": 0}])), json!([])),
            false,
            [false, false, false],
        ),
        (service("NodePort", applied(json!([{"nodePort": 30098}])), managed), false, [false, false, false]),
    ] {
        let spec = spec_of("services", service.clone(), &context(json!({"preserveNodePorts": preserve})));
        let now: Vec<bool> =
            spec["ports"].as_array().unwrap().iter().map(|port| port.get("nodePort").is_some()).collect();
        assert_eq!(now, kept, "{service}");
    }
}

#[test]
fn a_health_check_port_stays_where_it_was_asked_for() {
    let service = |applied: &str, managed: Value| {
        json!({
            "metadata": {"name": "s", "namespace": "a", "managedFields": managed,
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}},
            "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000},
        })
    };
    let by_field = json!([{"fieldsV1": {"f:spec": {"f:healthCheckNodePort": {}}}}]);
    for (service, kept) in [
        (service("{}", json!([])), false),
        (service(r#"{"spec": {"healthCheckNodePort": 31000}}"#, json!([])), true),
        (service(r#"{"spec": {"healthCheckNodePort": 0}}"#, json!([])), false),
        (service("{}", by_field), true),
    ] {
        let spec = spec_of("services", service.clone(), &context(json!({})));
        assert_eq!(spec.get("healthCheckNodePort").is_some(), kept, "{service}");
    }
}

#[test]
fn an_unreadable_last_applied_configuration_is_an_error_without_its_text() {
    let service = json!({"metadata": {"name": "s", "namespace": "a", "annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": "{secret",
    }}});
    let error =
        transform(service, "services", &context(json!({"namespaceMapping": {"a": "b"}}))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "error preparing services/b/s: the annotation kubectl.kubernetes.io/last-applied-configuration is not JSON: \
         line 1 column 2"
    );
}

#[test]
fn a_service_account_forgets_the_last_token_that_kubernetes_made() {
    let account = json!({
        "metadata": {"name": "sa", "namespace": "a"},
        "secrets": [{"name": "sa-token-1"}, {"name": "mine"}, {"name": "sa-token-2"}, {"name": "other-token-3"}],
    });
    assert_eq!(
        made(account, "serviceaccounts", &context(json!({}))).object["secrets"],
        json!([{"name": "sa-token-1"}, {"name": "mine"}, {"name": "other-token-3"}])
    );
}

#[test]
fn a_token_that_somebody_asked_for_is_asked_for_anew() {
    let secret = json!({
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "mine", "namespace": "a", "annotations": {
            "kubernetes.io/service-account.name": "sa", "kubernetes.io/service-account.uid": "u",
        }},
        "data": {"token": "x", "ca.crt": "x", "namespace": "YQ=="},
    });
    let made = made(secret, "secrets", &context(json!({}))).object;
    assert_eq!(made["data"], json!({"namespace": "YQ=="}));
    assert_eq!(made["metadata"]["annotations"], json!({"kubernetes.io/service-account.name": "sa"}));
}

#[test]
fn the_subjects_of_bindings_follow_the_namespaces() {
    let subjects =
        |namespace: &str| json!([{"kind": "ServiceAccount", "namespace": namespace}, {"kind": "User"}, {}]);
    for resource in
        ["rolebindings.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"]
    {
        let binding = json!({"metadata": {"name": "b"}, "subjects": subjects("a")});
        let made = made(binding, resource, &context(json!({"namespaceMapping": {"a": "b"}})));
        assert_eq!(made.object["subjects"], subjects("b"));
    }
}

#[test]
fn an_old_crd_says_in_its_schemas_that_it_keeps_unknown_fields() {
    let crd = |version: &str| {
        json!({
            "apiVersion": version, "metadata": {"name": "c"},
            "spec": {"preserveUnknownFields": true, "versions": [
                {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object"}}}, {"name": "v2"},
            ]},
        })
    };
    let context = context(json!({}));
    let resource = "customresourcedefinitions.apiextensions.k8s.io";
    assert_eq!(
        spec_of(resource, crd("apiextensions.k8s.io/v1"), &context),
        json!({"versions": [
            {"name": "v1", "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}},
            {"name": "v2"},
        ]})
    );
    let beta = crd("apiextensions.k8s.io/v1beta1");
    assert_eq!(spec_of(resource, beta.clone(), &context), beta["spec"]);
}

#[test]
fn webhooks_say_that_they_have_no_side_effects_where_v1_knows_no_better() {
    let webhooks = |effects: [&str; 3]| {
        let all = effects.map(|effect| json!({"name": "w", "sideEffects": effect}));
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "c"}, "webhooks": all})
    };
    for resource in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let resource = format!("{resource}.admissionregistration.k8s.io");
        let made = made(webhooks(["Unknown", "Some", "NoneOnDryRun"]), &resource, &context(json!({})));
        assert_eq!(made.object["webhooks"], webhooks(["None", "None", "NoneOnDryRun"])["webhooks"]);
    }
}

#[test]
fn a_bound_claim_is_bound_anew_to_its_volume() {
    let claim = json!({
        "metadata": {"name": "c", "namespace": "a", "annotations": {
            "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
            "volume.kubernetes.io/storage-provisioner": "p", "volume.beta.kubernetes.io/storage-provisioner": "p",
            "volume.kubernetes.io/selected-node": "n", "velero.io/volume-snapshot-name": "s",
            "velero.io/data-upload-name": "d", "mine": "kept",
        }},
        "spec": {"volumeName": "pv", "storageClassName": "fast"}, "status": {"phase": "Bound"},
    });
    let retained = json!({"metadata": {"name": "pv"}, "spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    let volumes = Volumes::decide([&retained], VolumeFacts::default(), &plan(json!({})));
    let made = made(claim, "persistentvolumeclaims", &Context { volumes, ..context(json!({})) });
    assert_eq!(made.object["metadata"]["annotations"], json!({"mine": "kept"}));
    assert_eq!(made.object["spec"], json!({"volumeName": "pv", "storageClassName": "fast"}));
    assert_eq!(made.related, [related("persistentvolumes", None, "pv")]);
    assert_eq!(made.data_left_out, None);
}

#[test]
fn a_claim_whose_volume_is_provisioned_again_says_that_its_data_is_left_out() {
    let claim = |phase: &str| {
        json!({
            "metadata": {"name": "c", "namespace": "a"}, "spec": {"volumeName": "pv"}, "status": {"phase": phase},
        })
    };
    let facts = VolumeFacts {
        methods: [(BackupMethod::PodVolumeBackup, Seen::from_iter(["pv"]))].into(),
        ..VolumeFacts::default()
    };
    let spec = json!({"namespaceMapping": {"a": "b"}});
    let volumes = Volumes::decide([&json!({"metadata": {"name": "pv"}})], facts, &plan(spec.clone()));
    let context = Context { volumes, ..context(spec) };
    let bound = made(claim("Bound"), "persistentvolumeclaims", &context);
    assert_eq!(bound.object["spec"], json!({}));
    let left_out = bound.data_left_out.unwrap();
    assert_eq!((left_out.namespace.as_str(), left_out.volume.as_str()), ("b", "pv"));
    assert_eq!(left_out.reason, NoData::NotMoved(BackupMethod::PodVolumeBackup));
    assert_eq!(made(claim("Pending"), "persistentvolumeclaims", &context).data_left_out, None);
}

#[test]
fn a_volume_waits_for_its_claim_in_the_mapped_namespace() {
    let volume = json!({
        "metadata": {"name": "pv", "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}},
        "spec": {"claimRef": {"namespace": "a", "name": "c", "uid": "u", "resourceVersion": "1"}},
    });
    let made = made(volume, "persistentvolumes", &context(json!({"namespaceMapping": {"a": "b"}})));
    assert_eq!(made.object["spec"], json!({"claimRef": {"namespace": "b", "name": "c"}}));
    assert_eq!(made.object["metadata"].get("annotations"), None);
}

#[test]
fn storage_classes_are_changed_in_claims_volumes_and_templates() {
    let rows = [("old".to_owned(), "new".to_owned()), ("older".to_owned(), "gone".to_owned())];
    let storage_classes =
        StorageClasses::new(vec![("map".to_owned(), rows.into())], BTreeSet::from(["new".to_owned()]));
    let context = Context { storage_classes, ..context(json!({})) };
    for resource in ["persistentvolumeclaims", "persistentvolumes"] {
        let spec = |class: &str| json!({"spec": {"storageClassName": class}});
        assert_eq!(spec_of(resource, spec("old"), &context), spec("new")["spec"]);
        assert_eq!(spec_of(resource, spec("other"), &context), spec("other")["spec"]);
    }
    let set =
        |class: &str| json!({"spec": {"volumeClaimTemplates": [{"spec": {"storageClassName": class}}, {}]}});
    assert_eq!(spec_of("statefulsets.apps", set("old"), &context), set("new")["spec"]);
    let claim = json!({"metadata": {"name": "c", "namespace": "a"}, "spec": {"storageClassName": "older"}});
    assert_eq!(
        transform(claim, "persistentvolumeclaims", &context).unwrap_err().to_string(),
        "error preparing persistentvolumeclaims/a/c: error getting storage class gone from API: \
         storageclasses.storage.k8s.io \"gone\" not found"
    );
}

#[test]
fn images_are_changed_where_each_kind_has_its_containers() {
    let images = Images::new(vec![("map".to_owned(), [("1".to_owned(), "old/,new/".to_owned())].into())]);
    let context = Context { images, ..context(json!({})) };
    let pod =
        |image: &str| json!({"containers": [{"image": image}, {}], "initContainers": [{"image": image}]});
    let template = |image| json!({"template": {"spec": pod(image)}});
    for (resource, kind, before, after) in [
        ("pods", "Pod", pod("old/a"), pod("new/a")),
        ("deployments.apps", "Deployment", template("old/a"), template("new/a")),
        ("statefulsets.apps", "StatefulSet", template("old/a"), template("new/a")),
        ("daemonsets.apps", "DaemonSet", template("old/a"), template("new/a")),
        ("replicasets.apps", "ReplicaSet", template("old/a"), template("new/a")),
        ("replicationcontrollers", "ReplicationController", template("old/a"), template("new/a")),
        ("jobs.batch", "Job", template("old/a"), template("new/a")),
        (
            "cronjobs.batch",
            "CronJob",
            json!({"jobTemplate": {"spec": template("old/a")}}),
            json!({"jobTemplate": {"spec": template("new/a")}}),
        ),
    ] {
        assert_eq!(spec_of(resource, json!({"kind": kind, "spec": before}), &context), after, "{kind}");
    }
}
