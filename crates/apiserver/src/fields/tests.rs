use serde_json::{Value, json};

use super::{
    diff::{compare, paths},
    merge::{merge, remove},
    set::Set,
};
use crate::schema::{Schema, parse};

fn schema() -> Schema {
    parse(&json!({"type": "object", "properties": {
        "data": {"type": "object", "additionalProperties": {"type": "string"}},
        "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                  "items": {"type": "object", "properties": {"port": {"type": "integer"}, "name": {"type": "string"},
                            "protocol": {"type": "string", "default": "TCP"}}}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "plain": {"type": "array", "items": {"type": "string"}},
    }}))
}

#[test]
fn a_set_is_read_as_it_was_written() {
    let written =
        json!({"f:data": {".": {}, "f:a": {}}, "f:ports": {"k:{\"port\":1}": {".": {}, "f:name": {}}}});
    assert_eq!(Set::read(&written).write(), written);
}

#[test]
fn an_applied_state_wants_its_leaves_and_the_keys_of_its_maps_and_lists() {
    let state = json!({"data": {"a": "1"}, "atomic": {"x": "y"}, "ports": [{"port": 1, "name": "n"}], "set": ["s"], "plain": ["p"]});
    let expected = json!({
        "f:data": {"f:a": {}},
        "f:atomic": {},
        "f:ports": {"k:{\"port\":1,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}},
        "f:set": {"v:\"s\"": {}},
        "f:plain": {},
    });
    assert_eq!(paths(&schema(), &state).write(), expected);
}

#[test]
fn what_is_added_is_named_with_all_that_holds_it() {
    let difference = compare(&schema(), Some(&json!({})), Some(&json!({"data": {"a": "1"}})));
    assert_eq!(difference.added.write(), json!({"f:data": {".": {}, "f:a": {}}}));
}

#[test]
fn changes_and_removals_are_told_apart() {
    let (old, new) = (json!({"data": {"a": "1", "b": "2"}}), json!({"data": {"a": "3"}}));
    let difference = compare(&schema(), Some(&old), Some(&new));
    assert_eq!(difference.modified.write(), json!({"f:data": {"f:a": {}}}));
    assert_eq!(difference.removed.write(), json!({"f:data": {"f:b": {}}}));
}

#[test]
fn elements_are_merged_by_their_keys() {
    let mut live = json!({"ports": [{"port": 1, "protocol": "TCP", "name": "a"}], "plain": ["x"]});
    merge(&schema(), &mut live, &json!({"ports": [{"port": 1, "name": "b"}, {"port": 2}], "plain": ["y"]}));
    let expected =
        json!({"ports": [{"port": 1, "protocol": "TCP", "name": "b"}, {"port": 2}], "plain": ["y"]});
    assert_eq!(live, expected);
}

#[test]
fn what_nobody_wants_any_more_is_removed() {
    let mut live: Value = json!({"data": {"a": "1", "b": "2", "c": "3"}});
    let was = Set::read(&json!({"f:data": {"f:a": {}, "f:b": {}}}));
    let wanted = Set::read(&json!({"f:data": {"f:a": {}}}));
    remove(&schema(), &mut live, &was, &wanted);
    assert_eq!(live, json!({"data": {"a": "1", "c": "3"}}));
}

#[test]
fn members_are_shown_as_paths() {
    let set = Set::read(
        &json!({"f:spec": {"f:ports": {"k:{\"port\":1}": {"f:name": {}}}, "f:set": {"v:\"s\"": {}}}}),
    );
    assert_eq!(set.shown(), [".spec.ports[port=1].name", ".spec.set[=\"s\"]"]);
}
