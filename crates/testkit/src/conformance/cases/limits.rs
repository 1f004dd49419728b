//! What no server takes.

use serde_json::json;

use super::{CONFIG_MAPS, at, config_map, with};
use crate::conformance::{Case, get, merge_patch, post, raw};

pub(super) fn cases() -> Vec<Case> {
    let big = format!(
        "{{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"big\"}},\"data\":{{\"a\":\"{}\"}}}}",
        "x".repeat(4 << 20)
    );
    let role = |name: &str, size: usize| {
        json!({"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name},
               "rules": [{"apiGroups": ["a".repeat(size)], "resources": ["b"], "verbs": ["get"]}]})
    };
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles";
    vec![
        Case {
            name: "limits-of-sizes",
            steps: vec![
                post(CONFIG_MAPS, &with(config_map("x"), "/data/a", json!("x".repeat(1 << 20)))),
                post(
                    CONFIG_MAPS,
                    &with(config_map("x"), "/metadata/annotations", json!({"a": "x".repeat(1 << 18)})),
                ),
                post(roles, &role("a", 1 << 20)),
                post(roles, &role("b", 1700 << 10)),
                post(roles, &role("c", 2200 << 10)),
                merge_patch(
                    &at(roles, "a"),
                    &json!({"rules": [{"apiGroups": ["a".repeat(1700 << 10)], "resources": ["b"], "verbs": ["get"]}]}),
                ),
            ],
        },
        Case {
            name: "limits",
            steps: vec![
                raw("POST", CONFIG_MAPS, ""),
                raw("POST", CONFIG_MAPS, "{"),
                raw("POST", CONFIG_MAPS, "[]"),
                raw("POST", CONFIG_MAPS, "null"),
                raw("POST", CONFIG_MAPS, "5"),
                raw("POST", CONFIG_MAPS, &big),
                raw("POST", CONFIG_MAPS, "x: y").header("content-type", "text/plain"),
                raw("PUT", CONFIG_MAPS, "{}"),
                raw("PATCH", CONFIG_MAPS, "{}"),
                raw("POST", &at(CONFIG_MAPS, "x"), "{}"),
                post("/api/v1/configmaps", &config_map("x")),
                get("/api/v1/configmaps/x"),
                get("/api/v1/namespaces/{ns}/nodes"),
                get("/api/v1/namespaces/{ns}/configmaps/x/y/z"),
                get("/api/v1/namespaces/{ns}/configmaps/%2e%2e"),
                get("/api/v1/namespaces/{ns}//configmaps"),
            ],
        },
    ]
}
