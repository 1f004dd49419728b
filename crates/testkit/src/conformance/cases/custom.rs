//! Custom types: what a CRD brings.

use serde_json::{Value, json};

use super::with;
use crate::conformance::{Case, delete, get, merge_patch, post, put, until};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition in a group of its own, `{ns}.example.com`.
fn definition(spec: Value) -> Value {
    let mut schema = json!({"type": "object", "properties": {"status": {
        "type": "object", "properties": {"phase": {"type": "string"}}}}});
    schema["properties"]["spec"] = spec;
    json!({
        "kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": "widgets.{ns}.example.com"},
        "spec": {
            "group": "{ns}.example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                          "subresources": {"status": {}}}],
        },
    })
}

fn widget(name: &str, spec: Value) -> Value {
    let mut widget =
        json!({"kind": "Widget", "apiVersion": "{ns}.example.com/v1", "metadata": {"name": name}});
    widget["spec"] = spec;
    widget
}

const WIDGETS: &str = "/apis/{ns}.example.com/v1/namespaces/{ns}/widgets";

/// The definition, made and served.
fn defined(spec: Value) -> Vec<crate::conformance::Step> {
    let name = format!("{CRDS}/widgets.{{ns}}.example.com");
    vec![
        post(CRDS, &definition(spec)),
        until(&name, 200, "InitialNamesAccepted"),
        until(WIDGETS, 200, "items"),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    let x = format!("{WIDGETS}/x");
    let simple = json!({"type": "object", "properties": {"size": {"type": "integer"}}});
    let mut life = defined(simple.clone());
    life.extend([
        post(WIDGETS, &with(widget("x", json!({"size": 1})), "/status", json!({"phase": "New"}))),
        put(&x, &widget("x", json!({"size": 2}))),
        put(
            &x,
            &with(
                widget("x", json!({"size": 2})),
                "/metadata/resourceVersion",
                json!("{4:/metadata/resourceVersion}"),
            ),
        ),
        merge_patch(&x, &json!({"spec": {"size": 3}, "status": {"phase": "Old"}})),
        merge_patch(
            &format!("{x}/status"),
            &json!({"spec": {"size": 4}, "status": {"phase": "Old"}, "metadata": {"labels": {"a": "b"}}}),
        ),
        get(&format!("{x}/status")),
        get(WIDGETS),
        get("/apis/{ns}.example.com/v1"),
        get("/apis/{ns}.example.com"),
        post(WIDGETS, &with(widget("y", json!({})), "/kind", json!("Gadget"))),
        get("/apis/{ns}.example.com/v2/namespaces/{ns}/widgets"),
        get("/apis/{ns}.example.com/v1/namespaces/{ns}/gadgets"),
        delete(&x, &json!({})),
        delete(&format!("{CRDS}/widgets.{{ns}}.example.com"), &json!({})),
        until(WIDGETS, 404, ""),
    ]);
    let mut pruned = defined(json!({"type": "object", "properties": {
        "size": {"type": "integer", "default": 7},
        "shape": {"type": "object", "default": {}, "properties": {"round": {"type": "boolean", "default": true}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "port": {"x-kubernetes-int-or-string": true},
        "note": {"type": "string", "nullable": true},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "inner": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "default": "A"}}}},
    }}));
    pruned.extend([
        post(
            WIDGETS,
            &widget(
                "a",
                json!({"unknown": 1, "free": {"x": {"y": 1}}, "port": "http", "inner": [{"b": 1}, {}]}),
            ),
        ),
        post(WIDGETS, &widget("b", json!({"size": null, "note": null, "map": {"k": "v"}, "port": 80}))),
        post(&format!("{WIDGETS}?fieldValidation=Strict"), &widget("c", json!({"unknown": 1}))),
        post(WIDGETS, &widget("d", json!({"size": "big"}))),
        post(WIDGETS, &widget("e", json!({"shape": []}))),
        post(WIDGETS, &with(widget("f", json!({})), "/metadata/labels", json!({"a": 1}))),
    ]);
    let mut checked = defined(json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2},
        "color": {"type": "string", "enum": ["red", "green"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "list": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                  "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}},
    }}));
    let bad = |name: &str, spec| post(WIDGETS, &widget(name, spec));
    checked.extend([
        bad("a", json!({"name": "abc"})),
        bad("b", json!({})),
        bad("c", json!({"name": "A"})),
        bad("d", json!({"name": "abcdefg"})),
        bad("e", json!({"name": "abc", "color": "blue"})),
        bad("f", json!({"name": "abc", "count": 0})),
        bad("g", json!({"name": "abc", "count": 10})),
        bad("h", json!({"name": "abc", "list": ["a", "b", "c"]})),
        bad("i", json!({"name": "abc", "set": ["a", "a"]})),
        bad("j", json!({"name": "abc", "keyed": [{"k": "a"}, {"k": "a"}]})),
    ]);
    let mut ruled = defined(json!({"type": "object",
        "x-kubernetes-validations": [
            {"rule": "self.min <= self.max", "message": "min must not exceed max"},
            {"rule": "!has(oldSelf.fixed) || self.fixed == oldSelf.fixed", "message": "fixed is immutable"},
        ],
        "properties": {"min": {"type": "integer"}, "max": {"type": "integer"},
            "fixed": {"type": "string", "maxLength": 10, "x-kubernetes-validations": [{"rule": "self != 'bad'"}]}}}));
    ruled.extend([
        bad("x", json!({"min": 1, "max": 2, "fixed": "a"})),
        bad("y", json!({"min": 3, "max": 2})),
        bad("z", json!({"min": 1, "max": 2, "fixed": "bad"})),
        merge_patch(&x, &json!({"spec": {"fixed": "b"}})),
        merge_patch(&x, &json!({"spec": {"max": 5}})),
    ]);
    vec![
        Case { name: "custom-life", steps: life },
        Case { name: "custom-shapes", steps: pruned },
        Case { name: "custom-limits", steps: checked },
        Case { name: "custom-rules", steps: ruled },
        Case {
            name: "custom-definitions",
            steps: vec![
                post(
                    CRDS,
                    &with(definition(simple.clone()), "/metadata/name", json!("other.{ns}.example.com")),
                ),
                post(CRDS, &with(definition(simple), "/spec/scope", json!("Everywhere"))),
            ],
        },
    ]
}
