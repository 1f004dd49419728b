use serde_json::{Value, json};

use super::*;

fn config_maps() -> Arc<str> {
    "configmaps".into()
}

fn key(path: &str) -> Key {
    Key::new(&config_maps(), path)
}

fn object(uid: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"uid": uid}})
}

fn owned(uid: &str, owner: &str) -> Value {
    json!({"metadata": {"uid": uid, "ownerReferences": [{"uid": owner}]}})
}

fn put(store: &mut Store, path: &str, value: Value) -> Arc<Object> {
    store.put(&key(path), Content::new(value))
}

fn all<'a>(resource: &'a Arc<str>, prefix: &'a str) -> Range<'a> {
    Range { resource, prefix, after: "" }
}

#[test]
fn every_change_gets_the_next_revision() {
    let mut store = Store::default();
    assert_eq!(put(&mut store, "a/x", object("1")).revision, 1);
    assert_eq!(put(&mut store, "b/y", object("2")).revision, 2);
    assert_eq!(store.remove(&key("a/x")).unwrap().revision, 3);
}

#[test]
fn an_object_is_kept_without_its_type_and_with_its_revision() {
    let mut store = Store::default();
    let object = put(&mut store, "a/x", object("1"));
    assert_eq!(object.parse(), json!({"metadata": {"uid": "1", "resourceVersion": "1"}}));
}

#[test]
fn a_list_is_of_one_namespace_and_in_the_order_of_paths() {
    let mut store = Store::default();
    for path in ["a/y", "b/z", "a/x", "a-b/w"] {
        put(&mut store, path, object(path));
    }
    let resource = config_maps();
    let paths = |prefix| store.list(all(&resource, prefix)).map(|(key, _)| &*key.path).collect::<Vec<_>>();
    assert_eq!(paths("a/"), ["a/x", "a/y"]);
    assert_eq!(paths(""), ["a-b/w", "a/x", "a/y", "b/z"]);
}

#[test]
fn an_old_list_is_as_it_was() {
    let mut store = Store::default();
    put(&mut store, "a/x", object("1"));
    put(&mut store, "a/y", object("2"));
    store.remove(&key("a/x"));
    put(&mut store, "a/y", object("2"));
    put(&mut store, "a/z", object("3"));
    let resource = config_maps();
    let then = store.list_at(all(&resource, "a/"), 2).unwrap();
    let seen: Vec<_> = then.map(|(key, object)| (&*key.path, object.revision)).collect();
    assert_eq!(seen, [("a/x", 1), ("a/y", 2)]);
}

#[test]
fn a_list_goes_on_after_a_path_as_it_was_then() {
    let mut store = Store::default();
    for path in ["a/w", "a/x", "a/y"] {
        put(&mut store, path, object(path));
    }
    store.remove(&key("a/x"));
    put(&mut store, "a/xx", object("xx"));
    let resource = config_maps();
    let range = Range { resource: &resource, prefix: "a/", after: "a/w" };
    let paths: Vec<_> = store.list_at(range, 3).unwrap().map(|(key, _)| &*key.path).collect();
    assert_eq!(paths, ["a/x", "a/y"]);
}

#[test]
fn the_log_forgets_the_oldest_events_and_says_so() {
    let mut store = Store::default();
    for _ in 0..=log::EVENTS {
        put(&mut store, "a/x", object("1"));
    }
    assert_eq!(store.after(0).err(), Some(Gone { oldest: 1 }));
    assert_eq!(store.after(1).unwrap().count(), log::EVENTS);
    assert!(store.list_at(all(&config_maps(), ""), 0).is_err());
}

#[test]
fn the_log_is_bounded_in_bytes_too_but_keeps_a_few_events() {
    let mut store = Store::default();
    let big = "x".repeat(log::BYTES / 4);
    for _ in 0..2 * log::FEW {
        put(&mut store, "a/x", json!({"metadata": {"uid": "1"}, "data": {"k": big}}));
    }
    assert_eq!(store.log.len(), log::FEW);
}

#[test]
fn dependents_follow_the_owners_that_an_object_names_now() {
    let mut store = Store::default();
    put(&mut store, "a/x", owned("1", "o"));
    assert_eq!(store.dependents("o").collect::<Vec<_>>(), [&key("a/x")]);
    put(&mut store, "a/x", object("1"));
    assert_eq!(store.dependents("o").count(), 0);
}

#[test]
fn a_namespace_holds_something_until_its_last_object_is_gone() {
    let mut store = Store::default();
    put(&mut store, "a/x", object("1"));
    put(&mut store, "a/x", object("1"));
    assert!(store.holds_something("a"));
    store.remove(&key("a/x"));
    assert!(!store.holds_something("a"));
}

#[test]
fn long_specs_of_two_stores_are_one_text() {
    let long = json!({"metadata": {"uid": "1"}, "spec": {"text": "x".repeat(5000)}});
    let (mut a, mut b) = (Store::default(), Store::default());
    let (a, b) = (put(&mut a, "a/x", long.clone()), put(&mut b, "a/x", long.clone()));
    assert!(a.shares_spec_with(&b));
    assert_eq!(a.parse()["spec"], long["spec"]);
}
