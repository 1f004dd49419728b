//! Lists: selectors, pages, versions.

use serde_json::json;

use super::{SECRETS, at, secret, with};
use crate::conformance::{Case, Step, get, post};

fn secrets(names: &[&str]) -> Vec<Step> {
    names.iter().map(|name| post(SECRETS, &secret(name))).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let ask = |query: &str| get(&format!("{SECRETS}?{query}"));
    let mut selected = secrets(&["a", "b", "c"]);
    selected.extend([
        ask("labelSelector=app%3Da"),
        ask("labelSelector=app%20in%20(a,c)"),
        ask("labelSelector=app%20notin%20(a,c),app"),
        ask("labelSelector=!app"),
        ask("labelSelector=a%20b"),
        ask("labelSelector=app%3D-"),
        ask("fieldSelector=metadata.name%3Db"),
        ask("fieldSelector=type%3DOpaque,metadata.name!%3Db"),
        ask("fieldSelector=data%3Dx"),
        ask("fieldSelector=x"),
    ]);
    let mut paged = secrets(&["a", "b", "c", "d", "e"]);
    paged.extend([
        ask("limit=2"),
        ask("limit=2&continue={6:/metadata/continue}"),
        ask("limit=2&continue={7:/metadata/continue}"),
        ask("limit=2&labelSelector=app"),
        post(SECRETS, &secret("bb")),
        ask("limit=3&continue={6:/metadata/continue}"),
        ask("limit=2&continue=nonsense"),
        ask("limit=2&continue=bm9uc2Vuc2U"),
        ask("limit=x"),
        ask("limit=2&continue={6:/metadata/continue}&resourceVersion={6:/metadata/resourceVersion}"),
    ]);
    let mut versions = secrets(&["a", "b"]);
    versions.extend([
        ask("resourceVersion={1:/metadata/resourceVersion}&resourceVersionMatch=Exact"),
        // Of an older version the watch cache may answer with or without what came since.
        ask("resourceVersion={2:/metadata/resourceVersion}&resourceVersionMatch=NotOlderThan"),
        ask("resourceVersion=x"),
        ask("resourceVersionMatch=Exact"),
        ask("resourceVersion=0&resourceVersionMatch=Exact"),
        ask("resourceVersion=1&resourceVersionMatch=Nonsense"),
    ]);
    vec![
        Case { name: "lists-selected", steps: selected },
        Case { name: "lists-paged", steps: paged },
        Case { name: "lists-versions", steps: versions },
        Case {
            name: "lists-of-metadata",
            steps: vec![
                post(SECRETS, &with(secret("a"), "/metadata/annotations", json!({"k": "v"}))),
                get(SECRETS)
                    .header("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
                get(&at(SECRETS, "a"))
                    .header("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
                get(&at(SECRETS, "a")).header("accept", "text/html"),
            ],
        },
    ]
}
