use serde_json::json;

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

fn revision(object: &Object) -> u64 {
    object.parse()["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[test]
fn every_change_gets_the_next_revision() {
    let mut store = Store::default();
    assert_eq!(revision(&store.put(&key("a/x"), object("1"))), 1);
    assert_eq!(revision(&store.put(&key("b/y"), object("2"))), 2);
    assert_eq!(revision(&store.remove(&key("a/x")).unwrap()), 3);
}

#[test]
fn an_object_is_kept_without_its_type_and_with_its_revision() {
    let mut store = Store::default();
    let object = store.put(&key("a/x"), object("1"));
    assert_eq!(object.parse(), json!({"metadata": {"uid": "1", "resourceVersion": "1"}}));
}

#[test]
fn a_list_is_of_one_namespace_and_in_the_order_of_paths() {
    let mut store = Store::default();
    for path in ["a/y", "b/z", "a/x", "a-b/w"] {
        store.put(&key(path), object(path));
    }
    let paths = |prefix| store.list(&config_maps(), prefix).map(|(key, _)| &*key.path).collect::<Vec<_>>();
    assert_eq!(paths("a/"), ["a/x", "a/y"]);
    assert_eq!(paths(""), ["a-b/w", "a/x", "a/y", "b/z"]);
}

#[test]
fn an_old_list_is_as_it_was() {
    let mut store = Store::default();
    store.put(&key("a/x"), object("1"));
    store.put(&key("a/y"), object("2"));
    store.remove(&key("a/x"));
    store.put(&key("a/y"), object("2"));
    store.put(&key("a/z"), object("3"));
    let then = store.list_at(&config_maps(), "a/", 2).unwrap();
    let seen: Vec<_> = then.iter().map(|(key, object)| (&*key.path, revision(object))).collect();
    assert_eq!(seen, [("a/x", 1), ("a/y", 2)]);
}

#[test]
fn the_window_forgets_the_oldest_events_and_says_so() {
    let mut store = Store::default();
    for _ in 0..=WINDOW_EVENTS {
        store.put(&key("a/x"), object("1"));
    }
    assert_eq!(store.after(0).err(), Some(Gone { oldest: 1 }));
    assert_eq!(store.after(1).unwrap().count(), WINDOW_EVENTS);
    assert!(store.list_at(&config_maps(), "", 0).is_err());
}

#[test]
fn the_window_is_bounded_in_bytes_too() {
    let mut store = Store::default();
    let big = "x".repeat(WINDOW_BYTES / 4);
    for _ in 0..8 {
        store.put(&key("a/x"), json!({"metadata": {"uid": "1"}, "data": {"k": big}}));
    }
    assert!(store.event_bytes <= WINDOW_BYTES);
    assert_eq!(store.events.back().unwrap().revision, 8);
}

#[test]
fn dependents_follow_the_owners_that_an_object_names_now() {
    let mut store = Store::default();
    store.put(&key("a/x"), owned("1", "o"));
    assert_eq!(store.dependents("o"), [key("a/x")]);
    store.put(&key("a/x"), object("1"));
    assert!(store.dependents("o").is_empty());
    assert_eq!(store.by_uid("1"), Some(&key("a/x")));
    store.remove(&key("a/x"));
    assert_eq!(store.by_uid("1"), None);
}
