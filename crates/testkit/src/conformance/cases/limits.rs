//! What no server takes.

use serde_json::json;

use super::{CONFIG_MAPS, at, config_map, with};
use crate::conformance::{Case, Step, get, merge_patch, post, raw};

fn yaml(method: &'static str, path: &str, body: &str) -> Step {
    raw(method, path, body).header("content-type", "application/yaml")
}

fn applied(name: &str, body: &str) -> Step {
    let path = format!("{}?fieldManager=m", at(CONFIG_MAPS, name));
    raw("PATCH", &path, body).header("content-type", "application/apply-patch+yaml")
}

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
            name: "limits-of-bodies",
            steps: vec![
                yaml(
                    "POST",
                    CONFIG_MAPS,
                    "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\ndata: {a: '1'}\n",
                ),
                yaml(
                    "POST",
                    CONFIG_MAPS,
                    "# JSON is YAML\n{\"metadata\": {\"name\": \"b\"}, \"data\": {\"a\": \"1\"}}",
                ),
                yaml(
                    "PUT",
                    &at(CONFIG_MAPS, "a"),
                    "metadata: &m\n  name: a\n  labels: &l {app: web}\n  annotations: *l\ndata:\n  a: |\n    two\n    lines\n",
                ),
                yaml("DELETE", &at(CONFIG_MAPS, "b"), "kind: DeleteOptions\napiVersion: v1\ndryRun: [All]\n"),
                yaml("POST", CONFIG_MAPS, ""),
                yaml("POST", CONFIG_MAPS, "a: [1\n"),
                yaml("POST", CONFIG_MAPS, "a:\tb\n\tc: d\n"),
                yaml("POST", CONFIG_MAPS, "- a\n"),
                yaml("POST", CONFIG_MAPS, "words"),
                yaml("POST", CONFIG_MAPS, "metadata: {name: number}\ndata: {a: 1}\n"),
                yaml(
                    "POST",
                    &format!("{CONFIG_MAPS}?fieldValidation=Ignore"),
                    "metadata: {name: twice}\ndata: {a: '1', a: '2'}\n",
                ),
                yaml("POST", CONFIG_MAPS, "metadata: {name: one}\n---\nmetadata: {name: two}\n"),
                yaml("POST", CONFIG_MAPS, "metadata: {name: *nothing}\n"),
                yaml("DELETE", &at(CONFIG_MAPS, "b"), "a: [1\n"),
                applied("c", "kind: ConfigMap\napiVersion: v1\ndata: {c: '3'}\n"),
                applied("c", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {c: '3'}\n"),
                applied("c", "# Without its name\nkind: ConfigMap\napiVersion: v1\ndata: {c: '4'}\n"),
                applied("c", "a: [1\n"),
                raw("POST", CONFIG_MAPS, "{\"metadata\": {\"name\": \"d\"}} more"),
                raw("POST", CONFIG_MAPS, "{\"metadata\": {\"name\": \"d\",}}"),
                raw("POST", CONFIG_MAPS, "{\"metadata\": {\"name\": \"d\"}, \"data\": {\"a\": 1}}"),
                raw("POST", CONFIG_MAPS, "kind: ConfigMap\n"),
                raw("PUT", &at(CONFIG_MAPS, "a"), "{\"metadata\""),
                raw("DELETE", &at(CONFIG_MAPS, "a"), "{"),
                raw("PATCH", &at(CONFIG_MAPS, "a"), "{")
                    .header("content-type", "application/merge-patch+json"),
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
