//! Patches.

use serde_json::json;

use super::{CONFIG_MAPS, at, config_map};
use crate::conformance::{Case, get, json_patch, merge_patch, post, raw};

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
                json_patch(&x, &json!([{"op": "add", "path": "/data/b", "value": 5}])),
                json_patch(&x, &json!({"op": "remove", "path": "/data/b"})),
                get(&x),
            ],
        },
    ]
}
