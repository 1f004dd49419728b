//! Patches.

use serde_json::{Value, json};

use super::{CONFIG_MAPS, at, config_map};
use crate::conformance::{Case, Step, apply, get, json_patch, merge_patch, post, put, raw, strategic_patch};

pub(super) fn cases() -> Vec<Case> {
    let x = at(CONFIG_MAPS, "x");
    vec![
        Case {
            name: "patches-merge",
            steps: vec![
                post(CONFIG_MAPS, &config_map("x")),
                merge_patch(&x, &json!({"data": {"b": "2"}})),
                merge_patch(&x, &json!({"data": {"a": null}})),
                merge_patch(&x, &json!({"data": {"a": null}})),
                merge_patch(&x, &json!({"metadata": {"resourceVersion": "1"}})),
                merge_patch(&x, &json!({"metadata": {"name": "y"}})),
                merge_patch(&at(CONFIG_MAPS, "y"), &json!({"data": {"b": "2"}})),
                merge_patch(&format!("{x}?dryRun=All"), &json!({"data": {"c": "3"}})),
                raw("PATCH", &x, "{").header("content-type", "application/merge-patch+json"),
                raw("PATCH", &x, "{}").header("content-type", "application/json"),
                get(&x),
            ],
        },
        Case {
            name: "patches-json",
            steps: vec![
                post(CONFIG_MAPS, &config_map("x")),
                json_patch(&x, &json!([{"op": "add", "path": "/data/b", "value": "2"}])),
                json_patch(
                    &x,
                    &json!([{"op": "test", "path": "/data/b", "value": "3"}, {"op": "remove", "path": "/data/b"}]),
                ),
                json_patch(&x, &json!([{"op": "remove", "path": "/data/absent"}])),
                json_patch(&x, &json!([{"op": "replace", "path": "/metadata/name", "value": "y"}])),
                json_patch(&x, &json!([{"op": "nonsense", "path": "/data/b"}])),
                json_patch(&x, &json!({"op": "remove", "path": "/data/b"})),
                get(&x),
            ],
        },
        Case {
            name: "patches-json-moves",
            steps: vec![
                post(CONFIG_MAPS, &config_map("x")),
                json_patch(&x, &json!([{"op": "copy", "from": "/data/a", "path": "/data/b"}])),
                json_patch(&x, &json!([{"op": "move", "from": "/data/a", "path": "/data/c"}])),
                json_patch(&x, &json!([{"op": "move", "from": "/data/absent", "path": "/data/d"}])),
                json_patch(&x, &json!([{"op": "copy", "from": "/absent", "path": "/data/d"}])),
                json_patch(&x, &json!([{"op": "add", "path": "/absent/d", "value": "1"}])),
                json_patch(&x, &json!([{"op": "replace", "path": "/data/absent", "value": "1"}])),
                json_patch(
                    &x,
                    &json!([{"op": "test", "path": "/data/c", "value": "1"}, {"op": "add", "path": "/data/e", "value": "2"}]),
                ),
                json_patch(&x, &json!([{"op": "remove", "path": "/data"}])),
                json_patch(&x, &json!([])),
                get(&x),
            ],
        },
        Case { name: "patches-applied-with-versions", steps: versioned() },
        Case { name: "patches-applied", steps: applied() },
        Case { name: "patches-strategic", steps: strategic() },
    ]
}

fn applied() -> Vec<Step> {
    let x = at(CONFIG_MAPS, "x");
    let by = |manager: &str, data: Value| {
        let metadata = match manager {
            "a" => json!({"name": "x", "labels": {"l": "1"}}),
            _ => json!({"name": "x"}),
        };
        apply(
            &format!("{x}?fieldManager={manager}"),
            &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data}),
        )
    };
    let other = |query: &str, body: Value| apply(&format!("{x}?{query}"), &body);
    vec![
        by("a", json!({"a": "1", "b": "2"})),
        by("a", json!({"a": "1", "b": "2"})),
        by("b", json!({"a": "9", "b": "8"})),
        by("b", json!({"a": "9"})),
        by("b&force=true", json!({"a": "9"})),
        by("c", json!({"a": "9"})),
        by("a", json!({})),
        put(&x, &config_map("x")),
        by("b", json!({"a": "3"})),
        other("", json!({"kind": "ConfigMap", "apiVersion": "v1"})),
        other("fieldManager=a", json!([])),
        other("fieldManager=a", json!({"metadata": {"name": "x"}})),
        other("fieldManager=a", json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "y"}})),
        other(
            "fieldManager=a",
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "managedFields": [{"manager": "z"}]}}),
        ),
        merge_patch(&format!("{x}?force=true"), &json!({"data": {"a": "1"}})),
        get(&x),
    ]
}

fn strategic() -> Vec<Step> {
    let accounts = "/api/v1/namespaces/{ns}/serviceaccounts";
    let x = at(accounts, "x");
    vec![
        post(
            accounts,
            &json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "x", "finalizers": ["example.com/a"]},
                    "secrets": [{"name": "a"}, {"name": "b"}]}),
        ),
        strategic_patch(&x, &json!({"secrets": [{"name": "b"}, {"name": "c"}]})),
        strategic_patch(&x, &json!({"secrets": [{"name": "a", "$patch": "delete"}]})),
        strategic_patch(&x, &json!({"secrets": [{"$patch": "replace"}, {"name": "z"}]})),
        strategic_patch(&x, &json!({"metadata": {"labels": {"a": "b"}}})),
        strategic_patch(&x, &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}})),
        strategic_patch(&x, &json!({"metadata": {"labels": {"$patch": "replace", "c": "d"}}})),
        strategic_patch(&x, &json!({"metadata": {"labels": null}})),
        get(&x),
    ]
}

fn versioned() -> Vec<Step> {
    let x = at(CONFIG_MAPS, "x");
    let by = |version: &str, data: Value| {
        apply(
            &format!("{x}?fieldManager=a"),
            &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "resourceVersion": version}, "data": data}),
        )
    };
    vec![
        post(CONFIG_MAPS, &config_map("x")),
        by("{1:/metadata/resourceVersion}", json!({"b": "1"})),
        by("{1:/metadata/resourceVersion}", json!({"b": "2"})),
        by("1", json!({"b": "1"})),
        apply(
            &format!("{}?fieldManager=a", at(CONFIG_MAPS, "absent")),
            &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "absent", "resourceVersion": "1"}}),
        ),
        apply(
            &format!("{x}?fieldManager=a"),
            &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x", "uid": "00000000-0000-0000-0000-000000000000"}}),
        ),
    ]
}
