//! Custom types: what a CRD brings.

use serde_json::{Value, json};

use super::with;
use crate::conformance::{Case, Step, apply, delete, get, json_patch, merge_patch, post, put, until};

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
fn defined(spec: Value) -> Vec<Step> {
    let name = format!("{CRDS}/widgets.{{ns}}.example.com");
    vec![
        post(CRDS, &definition(spec)),
        until(&name, 200, "InitialNamesAccepted"),
        until(WIDGETS, 200, "items"),
    ]
}

/// What is asked of a scale: of a type that nobody else counts the replicas of.
fn scale() -> Vec<Step> {
    let replicas = json!({"type": "integer"});
    let spec = json!({"type": "object", "properties": {"size": replicas, "note": {"type": "string"}}});
    let mut definition = definition(spec);
    let version = &mut definition["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"] =
        json!({"size": replicas, "selector": {"type": "string"}});
    version["subresources"]["scale"] = json!({
        "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector",
    });
    let (x, scale) = (format!("{WIDGETS}/x"), format!("{WIDGETS}/x/scale"));
    let wanted = |size: i64, version: &str| {
        json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
               "metadata": {"name": "x", "namespace": "{ns}", "resourceVersion": version}, "spec": {"replicas": size}})
    };
    vec![
        post(CRDS, &definition),
        until(&format!("{CRDS}/widgets.{{ns}}.example.com"), 200, "InitialNamesAccepted"),
        until(WIDGETS, 200, "items"),
        get("/apis/{ns}.example.com/v1"),
        post(WIDGETS, &widget("x", json!({"size": 1, "note": "n"}))),
        merge_patch(&format!("{x}/status"), &json!({"status": {"size": 3, "selector": "app=x"}})),
        get(&scale),
        merge_patch(&scale, &json!({"spec": {"replicas": 2}})),
        json_patch(
            &scale,
            &json!([{"op": "test", "path": "/spec/replicas", "value": 2},
                                   {"op": "replace", "path": "/spec/replicas", "value": 5}]),
        ),
        put(&scale, &wanted(4, "{9:/metadata/resourceVersion}")),
        put(&scale, &wanted(6, "{9:/metadata/resourceVersion}")),
        put(&scale, &wanted(7, "")),
        merge_patch(&scale, &json!({"spec": {"replicas": -1}})),
        get(&x),
        get(&format!("{WIDGETS}/y/scale")),
        merge_patch(&format!("{WIDGETS}/y/scale"), &json!({"spec": {"replicas": 2}})),
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
        Case { name: "custom-scale", steps: scale() },
        Case { name: "custom-shapes", steps: pruned },
        Case { name: "custom-limits", steps: checked },
        Case { name: "custom-rules", steps: ruled },
        Case { name: "custom-macros", steps: macros() },
        Case { name: "custom-refusals", steps: refused() },
        Case { name: "custom-names", steps: clashing() },
        Case { name: "custom-ratchets", steps: tightened() },
        Case { name: "custom-nulls", steps: nulls() },
        Case { name: "custom-status", steps: statuses() },
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

/// Rules that go through lists and maps.
fn macros() -> Vec<Step> {
    let rule = |rule: &str| json!({"rule": rule});
    let mut steps = defined(json!({"type": "object",
    "x-kubernetes-validations": [
        rule("self.list.all(item, item.size > 0)"),
        rule("!has(self.map) || self.map.exists_one(key, self.map[key] == 'one')"),
        rule("self.list.map(item, item.size).filter(size, size > 5).size() < 2"),
    ],
    "properties": {
        "list": {"type": "array", "maxItems": 9, "items": {"type": "object", "properties": {"size": {"type": "integer"}}}},
        "map": {"type": "object", "maxProperties": 9, "additionalProperties": {"type": "string", "maxLength": 9}},
    }}));
    let sizes = |sizes: &[i64]| sizes.iter().map(|size| json!({"size": size})).collect::<Value>();
    let x = widget("x", json!({"list": sizes(&[1, 6]), "map": {"a": "one", "b": "two"}}));
    steps.extend([
        post(WIDGETS, &x),
        post(WIDGETS, &widget("y", json!({"list": sizes(&[0])}))),
        post(WIDGETS, &widget("z", json!({"list": sizes(&[6, 7]), "map": {"a": "two"}}))),
    ]);
    steps
}

/// What no definition may say.
fn refused() -> Vec<Step> {
    let simple = || json!({"type": "object"});
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    let with_spec =
        |spec: Value| post(CRDS, &definition(json!({"type": "object", "properties": {"a": spec}})));
    let rule = |rule: &str| json!({"type": "string", "x-kubernetes-validations": [{"rule": rule}]});
    let put_in = |pointer: &str, value: Value| {
        let mut definition = definition(simple());
        if let Some(place) = definition.pointer_mut(pointer) {
            *place = value;
        }
        post(CRDS, &definition)
    };
    vec![
        with_spec(json!({"type": "string", "pattern": "["})),
        with_spec(json!({"type": "nonsense"})),
        with_spec(json!({"properties": {"b": {"type": "string"}}})),
        with_spec(json!({"type": "array"})),
        with_spec(json!({"type": "object", "anyOf": [{"type": "string"}]})),
        with_spec(
            json!({"type": "object", "additionalProperties": {"type": "string"}, "properties": {"b": {"type": "string"}}}),
        ),
        with_spec(json!({"type": "integer", "default": "text"})),
        with_spec(json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}})),
        with_spec(json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}})),
        with_spec(json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}})),
        with_spec(json!({"type": "string", "x-kubernetes-preserve-unknown-fields": false})),
        with_spec(rule("self.")),
        with_spec(json!({"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 5,
                         "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}})),
        with_spec(rule("")),
        put_in("/spec/group", json!("nodot")),
        put_in("/spec/names/plural", json!("Widgets")),
        put_in("/spec/names/kind", json!("bad kind")),
        put_in("/spec/versions/0/name", json!("V1!")),
        put_in("/spec/versions/0/storage", json!(false)),
        put_in("/spec/versions", json!([])),
        put_in(
            schema,
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        ),
        put_in(schema, json!({"type": "string"})),
        put_in("/spec/versions/0", json!({"name": "v1", "served": true, "storage": true})),
        put_in(
            "/spec/versions/0/subresources",
            json!({"scale": {"specReplicasPath": "spec.replicas", "statusReplicasPath": ".status.replicas"}}),
        ),
    ]
}

/// Two definitions of one group that want the same names.
fn clashing() -> Vec<Step> {
    let mut steps = defined(json!({"type": "object"}));
    let mut other = definition(json!({"type": "object"}));
    other["metadata"]["name"] = json!("gadgets.{ns}.example.com");
    other["spec"]["names"]["plural"] = json!("gadgets");
    let name = format!("{CRDS}/gadgets.{{ns}}.example.com");
    steps.extend([
        post(CRDS, &other),
        until(&name, 200, "already in use"),
        get("/apis/{ns}.example.com/v1/namespaces/{ns}/gadgets"),
        delete(&format!("{CRDS}/widgets.{{ns}}.example.com"), &json!({})),
        until(&name, 200, "InitialNamesAccepted"),
    ]);
    steps
}

/// Objects that were made before their schema became stricter.
fn tightened() -> Vec<Step> {
    let x = format!("{WIDGETS}/x");
    let it = format!("{CRDS}/widgets.{{ns}}.example.com");
    let field = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let spec =
        |pattern: &str| json!({"type": "object", "properties": {"a": field(pattern), "b": field(pattern)}});
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let mut steps = defined(spec(".*"));
    steps.extend([
        post(WIDGETS, &widget("x", json!({"a": "1", "b": "2"}))),
        json_patch(&it, &json!([{"op": "replace", "path": path, "value": spec("^[a-z]*$")}])),
        until_refused(),
        merge_patch(&x, &json!({"spec": {"b": "c"}})),
        merge_patch(&x, &json!({"spec": {"b": "3"}})),
        merge_patch(&x, &json!({"metadata": {"labels": {"l": "m"}}})),
    ]);
    steps
}

/// A new object that the stricter schema refuses; dry, so that it can be asked again until the schema is there.
fn until_refused() -> Step {
    let refused = widget("probe", json!({"a": "1"}));
    crate::conformance::until_posted(&format!("{WIDGETS}?dryRun=All"), &refused, 422)
}

fn nulls() -> Vec<Step> {
    let mut steps = defined(json!({"type": "object", "properties": {
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "filled": {"type": "object", "additionalProperties": {"type": "string", "default": "d"}},
        "nullable": {"type": "object", "additionalProperties": {"type": "string", "nullable": true}},
        "plain": {"type": "string"},
        "list": {"type": "array", "items": {"type": "string", "nullable": true}},
        "default": {"type": "string", "default": "d"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }}));
    let nulls = json!({"map": {"a": null, "b": "1"}, "filled": {"a": null}, "nullable": {"a": null}, "plain": null,
                       "list": ["a", null], "default": null, "free": {"a": null}});
    steps.extend([
        post(WIDGETS, &widget("x", nulls)),
        merge_patch(&format!("{WIDGETS}/x"), &json!({"spec": {"nullable": null}})),
    ]);
    steps
}

/// A status is applied by its own manager, to an object that is there.
fn statuses() -> Vec<Step> {
    let it = json!({"kind": "Widget", "apiVersion": "{ns}.example.com/v1", "metadata": {"name": "x"}});
    let status = format!("{WIDGETS}/x/status?fieldManager=m");
    let phase = |phase: &str| with(it.clone(), "/status", json!({"phase": phase}));
    let mut steps = defined(json!({"type": "object", "properties": {"size": {"type": "integer"}}}));
    steps.extend([
        apply(&status, &phase("New")),
        post(WIDGETS, &widget("x", json!({"size": 1}))),
        apply(&status, &phase("New")),
        apply(&status, &it),
        apply(&status.replace("=m", "=n"), &with(phase("Old"), "/spec", json!({"size": 5}))),
        apply(&status, &phase("New")),
        put(
            &format!("{WIDGETS}/x/status"),
            &with(widget("x", json!({"size": 9})), "/status", json!({"phase": "Put"})),
        ),
        json_patch(&format!("{WIDGETS}/x/status"), &json!([{"op": "remove", "path": "/status/phase"}])),
    ]);
    steps
}
