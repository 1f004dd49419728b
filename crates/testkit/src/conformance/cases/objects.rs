//! Create, read, replace.

use serde_json::json;

use super::{CONFIG_MAPS, SECRETS, at, config_map, secret, with};
use crate::conformance::{Case, get, merge_patch, post, put};

pub(super) fn cases() -> Vec<Case> {
    let x = at(CONFIG_MAPS, "x");
    let nothing = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {}});
    vec![
        Case {
            name: "objects-made-and-read",
            steps: vec![
                post(CONFIG_MAPS, &config_map("x")),
                get(&x),
                post(CONFIG_MAPS, &config_map("x")),
                get(&at(CONFIG_MAPS, "y")),
                get("/api/v1/namespaces/{ns}"),
                get("/api/v1/namespaces/absent-{ns}"),
                post("/api/v1/namespaces/absent-{ns}/configmaps", &config_map("x")),
            ],
        },
        Case {
            name: "objects-replaced",
            steps: vec![
                post(CONFIG_MAPS, &config_map("x")),
                put(&x, &with(config_map("x"), "/data", json!({"a": "2", "b": "3"}))),
                put(&x, &with(config_map("x"), "/data", json!({"a": "2", "b": "3"}))),
                put(
                    &x,
                    &with(
                        config_map("x"),
                        "/metadata/resourceVersion",
                        json!("{1:/metadata/resourceVersion}"),
                    ),
                ),
                put(
                    &x,
                    &with(
                        config_map("x"),
                        "/metadata/resourceVersion",
                        json!("{2:/metadata/resourceVersion}"),
                    ),
                ),
                put(
                    &x,
                    &with(config_map("x"), "/metadata/uid", json!("00000000-0000-0000-0000-000000000000")),
                ),
                put(&x, &config_map("y")),
                put(&at(CONFIG_MAPS, "y"), &config_map("y")),
                put(&x, &nothing),
            ],
        },
        Case {
            name: "objects-named",
            steps: vec![
                post(CONFIG_MAPS, &with(nothing.clone(), "/metadata/generateName", json!("generated-"))),
                post(CONFIG_MAPS, &nothing),
                post(CONFIG_MAPS, &config_map("Bad_Name")),
                post(CONFIG_MAPS, &config_map(&"a".repeat(254))),
                post(
                    "/api/v1/namespaces",
                    &json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "a.b"}}),
                ),
                post(CONFIG_MAPS, &with(config_map("x"), "/metadata/namespace", json!("other"))),
                post(CONFIG_MAPS, &with(config_map("x"), "/metadata/labels", json!({"bad key": "x"}))),
                post(CONFIG_MAPS, &with(config_map("x"), "/metadata/annotations", json!({"a/b/c": "x"}))),
                post(CONFIG_MAPS, &with(config_map("x"), "/metadata/finalizers", json!(["nodomain"]))),
                post(CONFIG_MAPS, &with(config_map("x"), "/data", json!({"bad key": "x"}))),
                post(CONFIG_MAPS, &with(config_map("x"), "/metadata/resourceVersion", json!("1"))),
            ],
        },
        Case {
            name: "objects-dry-run",
            steps: vec![
                post(&format!("{CONFIG_MAPS}?dryRun=All"), &config_map("x")),
                get(&x),
                post(CONFIG_MAPS, &config_map("x")),
                put(&format!("{x}?dryRun=All"), &with(config_map("x"), "/data", json!({"a": "2"}))),
                get(&x),
                post(&format!("{CONFIG_MAPS}?dryRun=Some"), &config_map("y")),
            ],
        },
        Case {
            name: "objects-decoded",
            steps: vec![
                post(CONFIG_MAPS, &with(config_map("a"), "/unknown", json!(1))),
                post(
                    &format!("{CONFIG_MAPS}?fieldValidation=Strict"),
                    &with(config_map("b"), "/unknown", json!(1)),
                ),
                post(
                    &format!("{CONFIG_MAPS}?fieldValidation=Ignore"),
                    &with(config_map("c"), "/metadata/unknown", json!(1)),
                ),
                post(CONFIG_MAPS, &with(config_map("d"), "/data", json!({}))),
                post(CONFIG_MAPS, &with(config_map("e"), "/metadata/labels", json!(null))),
                post(CONFIG_MAPS, &with(config_map("f"), "/kind", json!("Secret"))),
                post(CONFIG_MAPS, &with(config_map("g"), "/apiVersion", json!("v2"))),
                post(CONFIG_MAPS, &json!({"metadata": {"name": "h"}})),
            ],
        },
        Case {
            name: "objects-status",
            steps: vec![
                put(
                    "/api/v1/namespaces/{ns}/status",
                    &json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "{ns}", "labels": {"a": "b"}},
                            "status": {"phase": "Terminating"}}),
                ),
                get("/api/v1/namespaces/{ns}/status"),
                get(&at(&x, "status")),
            ],
        },
        Case {
            name: "objects-with-nulls",
            steps: vec![
                post(CONFIG_MAPS, &with(config_map("a"), "/data", json!({"a": null, "b": "1"}))),
                post(SECRETS, &with(secret("a"), "/data", json!({"a": null, "b": "MQ=="}))),
                post(CONFIG_MAPS, &with(config_map("b"), "/metadata/labels", json!({"a": null}))),
                post(CONFIG_MAPS, &with(config_map("c"), "/metadata/finalizers", json!([null]))),
                post(
                    CONFIG_MAPS,
                    &with(config_map("d"), "/metadata/annotations", json!({"a": null, "b": "c"})),
                ),
                merge_patch(&at(CONFIG_MAPS, "d"), &json!({"metadata": {"annotations": {"a": null}}})),
            ],
        },
        Case {
            name: "objects-with-numbers",
            steps: [json!(2_147_483_647), json!(2_147_483_648_u32), json!(-2_147_483_649_i64), json!(1.5), json!("1")]
                .into_iter()
                .map(|seconds| {
                    post(
                        "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
                        &json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "x"},
                                "spec": {"leaseDurationSeconds": seconds}}),
                    )
                })
                .chain([post(
                    CONFIG_MAPS,
                    &with(config_map("x"), "/metadata/generation", json!(9_223_372_036_854_775_808_u64)),
                )])
                .collect(),
        },
        Case {
            name: "objects-of-many-kinds",
            steps: vec![
                post(
                    "/api/v1/namespaces/{ns}/serviceaccounts",
                    &json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "x"}}),
                ),
                post(
                    "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
                    &json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "x"},
                            "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}),
                ),
            ],
        },
    ]
}
