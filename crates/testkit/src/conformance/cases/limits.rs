//! What no server takes.

use super::{CONFIG_MAPS, at, config_map};
use crate::conformance::{Case, get, post, raw};

pub(super) fn cases() -> Vec<Case> {
    let big = format!(
        "{{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{{\"name\":\"big\"}},\"data\":{{\"a\":\"{}\"}}}}",
        "x".repeat(4 << 20)
    );
    vec![Case {
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
    }]
}
