//! What a server says of itself, and how it shows objects to people.

use serde_json::json;

use super::{CONFIG_MAPS, SECRETS, at, config_map, secret};
use crate::conformance::{Case, Step, get, post};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn table(path: &str) -> Step {
    get(path).header("accept", TABLE)
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "discovery-of-groups",
            steps: vec![
                get("/apis/apps"),
                get("/apis/coordination.k8s.io/v1"),
                get("/apis/rbac.authorization.k8s.io/v1"),
                get("/apis/absent.example.com"),
                get("/apis/apps/v9"),
                get("/api/v1/absent"),
                get("/nonsense"),
                get("/readyz"),
                get("/livez"),
                get("/openapi/v3/apis/absent.example.com/v1"),
            ],
        },
        Case {
            name: "tables",
            steps: vec![
                post(SECRETS, &secret("a")),
                post(CONFIG_MAPS, &config_map("a")),
                post(
                    "/api/v1/namespaces/{ns}/services",
                    &json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "a"},
                            "spec": {"clusterIP": "None", "ports": [{"name": "a", "port": 80, "protocol": "TCP"}, {"name": "b", "port": 53, "protocol": "UDP"}], "type": "ClusterIP", "selector": {"app": "a"}}}),
                )
                .unseen(),
                post(
                    "/api/v1/namespaces/{ns}/pods",
                    &json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"},
                            "spec": {"containers": [{"name": "c", "image": "i"}]}}),
                )
                .unseen(),
                post(
                    "/api/v1/namespaces/{ns}/persistentvolumeclaims",
                    &json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": {"name": "a"},
                            "spec": {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "resources": {"requests": {"storage": "1Gi"}}}}),
                )
                .unseen(),
                post(
                    "/api/v1/namespaces/{ns}/events",
                    &json!({"kind": "Event", "apiVersion": "v1", "metadata": {"name": "a"}, "type": "Normal", "reason": "R", "message": "m",
                            "involvedObject": {"kind": "Pod", "name": "a", "namespace": "{ns}"}}),
                )
                .unseen(),
                table(SECRETS),
                table(&at(SECRETS, "a")),
                table(&format!("{CONFIG_MAPS}?includeObject=None&fieldSelector=metadata.name%3Da")),
                table("/api/v1/namespaces/{ns}"),
                table("/api/v1/namespaces/{ns}/services?includeObject=None&fieldSelector=metadata.name%3Da"),
                table("/api/v1/namespaces/{ns}/pods?includeObject=None&fieldSelector=metadata.name%3Da"),
                table("/api/v1/namespaces/{ns}/persistentvolumeclaims?includeObject=None&fieldSelector=metadata.name%3Da"),
                table("/api/v1/namespaces/{ns}/events?includeObject=None&fieldSelector=metadata.name%3Da"),
                table("/api/v1/namespaces/{ns}/serviceaccounts?fieldSelector=metadata.name%3Dabsent"),
                table("/apis/apps/v1/namespaces/{ns}/deployments"),
                table("/apis/apps/v1/namespaces/{ns}/replicasets"),
                table("/apis/apps/v1/namespaces/{ns}/statefulsets"),
                table("/apis/apps/v1/namespaces/{ns}/daemonsets"),
                table("/apis/batch/v1/namespaces/{ns}/jobs"),
                table("/apis/batch/v1/namespaces/{ns}/cronjobs"),
                table("/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"),
                table("/api/v1/nodes?labelSelector=absent"),
                table("/api/v1/persistentvolumes?labelSelector=absent"),
                table("/apis/storage.k8s.io/v1/storageclasses?labelSelector=absent"),
                table("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles"),
                table("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings"),
                table("/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses"),
                table("/apis/apiextensions.k8s.io/v1/customresourcedefinitions?labelSelector=absent"),
                table(&format!("{SECRETS}?includeObject=None")),
                table(&format!("{SECRETS}?includeObject=Object")),
            ],
        },
    ]
}
