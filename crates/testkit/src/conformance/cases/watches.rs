//! Watches: events, selectors, bookmarks, initial events.

use serde_json::json;

use super::{SECRETS, at, secret, with};
use crate::conformance::{Case, delete, get, post, put, watch};

pub(super) fn cases() -> Vec<Case> {
    let ask = |query: &str| format!("{SECRETS}?watch=true&{query}");
    let since = "resourceVersion={1:/metadata/resourceVersion}";
    let changes = || {
        vec![
            post(SECRETS, &secret("a")),
            post(SECRETS, &secret("b")),
            put(&at(SECRETS, "b"), &with(secret("b"), "/data", json!({"a": "Mg=="}))),
            put(&at(SECRETS, "a"), &with(secret("a"), "/metadata/labels", json!({"app": "other"}))),
            put(&at(SECRETS, "a"), &secret("a")),
            delete(&at(SECRETS, "a"), &json!({})),
        ]
    };
    let mut events = changes();
    events.push(watch(&ask(since), 5));
    let mut selected = changes();
    selected.extend([
        watch(&ask(&format!("{since}&labelSelector=app%3Da")), 3),
        watch(&ask(&format!("{since}&fieldSelector=metadata.name%3Db")), 2),
        get(&format!("{}?watch=true", at(SECRETS, "b"))),
    ]);
    vec![
        Case { name: "watches-events", steps: events },
        Case { name: "watches-selected", steps: selected },
        Case {
            name: "watches-from-the-start",
            steps: vec![
                post(SECRETS, &secret("a")),
                post(SECRETS, &secret("b")),
                watch(&ask(""), 2),
                watch(
                    &ask("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"),
                    3,
                ),
                watch(&ask("sendInitialEvents=true"), 1),
                watch(&ask("resourceVersionMatch=NotOlderThan"), 1),
                watch(&ask("timeoutSeconds=1&resourceVersion={2:/metadata/resourceVersion}"), 1),
                watch(&ask(""), 1)
                    .header("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
                get("/api/v1/namespaces/{ns}/secrets/a?watch=false"),
            ],
        },
        Case {
            name: "watches-of-the-past",
            steps: vec![
                watch(&ask("resourceVersion=x"), 1),
                watch(&ask("resourceVersion=1&sendInitialEvents=true&resourceVersionMatch=Exact"), 1),
                watch(&format!("{SECRETS}?watch=true&labelSelector=a%20b"), 1),
            ],
        },
    ]
}
