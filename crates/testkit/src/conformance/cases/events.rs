//! Events, which are served in two groups under different names of their fields.

use serde_json::{Value, json};

use super::{at, with};
use crate::conformance::{
    Case, apply, delete, get, json_patch, merge_patch, post, put, strategic_patch, watch,
};

const CORE: &str = "/api/v1/namespaces/{ns}/events";
const NEW: &str = "/apis/events.k8s.io/v1/namespaces/{ns}/events";
const TIME: &str = "2026-01-02T03:04:05.000006Z";

/// As a client of the core group writes it: everything said, so that no default is of interest.
fn core(name: &str) -> Value {
    json!({
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": name}},
        "involvedObject": {"kind": "Pod", "namespace": "{ns}", "name": name, "uid": "1", "apiVersion": "v1",
                           "resourceVersion": "2", "fieldPath": "spec.containers{c}"},
        "reason": "Pulled", "message": "It is here.", "source": {"component": "kubelet", "host": "node"},
        "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:05:05Z", "count": 2, "type": "Normal",
        "eventTime": null, "reportingComponent": "kubelet", "reportingInstance": "node",
    })
}

/// As a client of the later group writes it.
fn new(name: &str) -> Value {
    json!({
        "kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"name": name, "labels": {"app": name}},
        "eventTime": TIME, "reportingController": "example.com/maker", "reportingInstance": "maker-0",
        "action": "Making", "reason": "Made", "note": "It is made.", "type": "Warning",
        "regarding": {"kind": "Pod", "namespace": "{ns}", "name": name},
        "related": {"kind": "Node", "name": "n"}, "series": {"count": 2, "lastObservedTime": TIME},
    })
}

pub(super) fn cases() -> Vec<Case> {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let selected = |collection: &str, selector: &str| get(&format!("{collection}?fieldSelector={selector}"));
    let two = format!("{}?fieldManager=two", at(CORE, "a"));
    let changed = json!({"kind": "Event", "apiVersion": "v1", "message": "It is not.", "count": 2});
    // All that the first manager has said, but the message and what it is related to.
    let less = json!({
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"app": "a"}},
        "eventTime": TIME, "reportingComponent": "example.com/maker", "reportingInstance": "maker-0",
        "action": "Making", "reason": "Made", "type": "Warning",
        "involvedObject": {"kind": "Pod", "namespace": "{ns}", "name": "a"},
        "series": {"count": 2, "lastObservedTime": TIME},
    });
    let mut timeless = core("t");
    for field in ["firstTimestamp", "lastTimestamp"] {
        timeless[field] = Value::Null;
    }
    timeless["source"] = json!({});
    let since = "watch=true&resourceVersion={1:/metadata/resourceVersion}";
    vec![
        Case {
            name: "events-in-both-groups",
            steps: vec![
                post(CORE, &core("a")),
                post(NEW, &new("b")),
                get(&at(NEW, "a")),
                get(&at(CORE, "b")),
                post(NEW, &new("a")),
                get(CORE),
                get(NEW),
                get(&at(CORE, "c")),
                get(&at(NEW, "c")),
                post(CORE, &timeless),
                get(&at(NEW, "t")).header("accept", TABLE),
                get(&at(CORE, "t")).header("accept", TABLE),
                get(NEW).header("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
                get("/apis/events.k8s.io/v1"),
                delete(&at(NEW, "a"), &json!({})),
                get(&at(CORE, "a")),
                delete(&at(CORE, "b"), &json!({})),
                get(&at(NEW, "b")),
            ],
        },
        Case {
            name: "events-selected",
            steps: vec![
                post(CORE, &core("a")),
                post(NEW, &new("b")),
                selected(CORE, "involvedObject.name%3Db"),
                selected(CORE, "involvedObject.kind%3DPod,involvedObject.uid%3D1"),
                selected(CORE, "involvedObject.fieldPath%3Dspec.containers{c},reason!%3DMade"),
                selected(CORE, "source%3Dexample.com/maker"),
                selected(CORE, "source%3Dkubelet"),
                selected(CORE, "reportingComponent%3Dexample.com/maker"),
                selected(CORE, "regarding.name%3Db"),
                selected(NEW, "regarding.name%3Da"),
                selected(NEW, "regarding.apiVersion%3Dv1,regarding.resourceVersion%3D2"),
                selected(NEW, "reportingController%3Dexample.com/maker,type%3DWarning"),
                selected(NEW, "source%3Dkubelet"),
                selected(NEW, "metadata.name%3Db,reason%3DMade"),
                selected(NEW, "involvedObject.name%3Da"),
                selected(NEW, "note%3Dx"),
                get(&format!("{NEW}?labelSelector=app%3Da")),
            ],
        },
        Case {
            name: "events-changed",
            steps: vec![
                post(CORE, &core("a")),
                // The later group lets nobody change what an event says, but how often it was seen.
                merge_patch(&at(NEW, "a"), &json!({"metadata": {"labels": {"b": "c"}}})),
                strategic_patch(&at(NEW, "a"), &json!({"series": {"count": 3, "lastObservedTime": TIME}})),
                json_patch(&at(CORE, "a"), &json!([{"op": "replace", "path": "/count", "value": 4}])),
                json_patch(&at(NEW, "a"), &json!([{"op": "test", "path": "/deprecatedCount", "value": 4}])),
                merge_patch(&at(NEW, "a"), &json!({"message": "x"})),
                put(&at(CORE, "a"), &with(core("a"), "/message", json!("It is here again."))),
                get(&at(NEW, "a")),
            ],
        },
        Case {
            name: "events-applied",
            steps: vec![
                apply(&format!("{}?fieldManager=one", at(NEW, "a")), &new("a")),
                apply(&two, &changed),
                apply(&format!("{two}&force=true"), &changed),
                apply(&format!("{}?fieldManager=one", at(CORE, "a")), &less),
                merge_patch(&at(CORE, "a"), &json!({"message": "Well."})),
                apply(
                    &format!("{}?fieldManager=one", at(NEW, "a")),
                    &with(new("a"), "/note", json!("Well.")),
                ),
                get(&at(NEW, "a")),
            ],
        },
        Case {
            name: "events-watched",
            steps: vec![
                post(CORE, &core("a")),
                post(NEW, &new("b")),
                merge_patch(&at(CORE, "a"), &json!({"message": "It was here."})),
                delete(&at(CORE, "b"), &json!({})),
                watch(&format!("{NEW}?{since}"), 3),
                watch(&format!("{CORE}?{since}"), 3),
                watch(&format!("{NEW}?{since}&fieldSelector=regarding.name%3Db"), 2),
            ],
        },
    ]
}
