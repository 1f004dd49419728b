use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Object `name` at version `version`, its UID being its name.
fn object(name: &str, version: u32) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        uid: Some(name.to_owned()),
        resource_version: Some(version.to_string()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn cache() -> Arc<Cache<ConfigMap>> {
    Arc::new(Cache::new(at(0), "connecting"))
}

fn names(cache: &Cache<ConfigMap>) -> Option<Vec<String>> {
    cache.list().present().map(|objects| objects.iter().map(|object| object.name_any()).collect())
}

/// Applies a complete list and says what changed by it.
fn list(feed: &Feed<ConfigMap>, objects: &[(&str, u32)]) -> Vec<String> {
    feed.apply(Event::Init, at(1));
    for (name, version) in objects {
        assert_eq!(feed.apply(Event::InitApply(object(name, *version)), at(1)), Effect::None);
    }
    match feed.apply(Event::InitDone, at(1)) {
        Effect::All(objects) => objects.iter().map(|object| object.name_any()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_known_before_the_first_complete_list() {
    let cache = cache();
    let feed = cache.feed();
    let unknown = Knowledge::Unknown { since: at(0), why: "connecting".to_owned() };
    feed.apply(Event::Init, at(1));
    feed.apply(Event::InitApply(object("a", 1)), at(1));
    assert_eq!(cache.get("a"), unknown);
    assert_eq!(cache.get("b"), unknown);
    assert!(cache.list().is_unknown());
}

#[test]
fn absent_is_said_only_after_a_complete_list() {
    let cache = cache();
    assert_eq!(list(&cache.feed(), &[("a", 1)]), ["a"]);
    assert_eq!(cache.get("a").present().unwrap().metadata.resource_version.as_deref(), Some("1"));
    assert!(cache.get("b").is_absent());
}

#[test]
fn an_empty_list_is_knowledge() {
    let cache = cache();
    list(&cache.feed(), &[]);
    assert_eq!(names(&cache), Some(vec![]));
    assert!(cache.get("a").is_absent());
}

#[test]
fn events_are_followed_and_told() {
    let cache = cache();
    let feed = cache.feed();
    list(&feed, &[("a", 1)]);
    assert!(matches!(feed.apply(Event::Apply(object("b", 2)), at(2)), Effect::One(_)));
    assert!(matches!(feed.apply(Event::Apply(object("a", 3)), at(2)), Effect::One(_)));
    assert_eq!(cache.get("a").present().unwrap().metadata.resource_version.as_deref(), Some("3"));
    assert!(
        matches!(feed.apply(Event::Delete(object("a", 4)), at(2)), Effect::One(gone) if gone.name_any() == "a")
    );
    assert_eq!(names(&cache), Some(vec!["b".to_owned()]));
}

#[test]
fn a_delete_while_nobody_watched_is_told_by_the_next_list() {
    let cache = cache();
    let feed = cache.feed();
    list(&feed, &[("a", 1), ("b", 1), ("c", 1)]);
    assert!(feed.broken(at(5), "410", None));
    assert_eq!(cache.get("a"), Knowledge::Unknown { since: at(5), why: "410".to_owned() });

    // `a` is as it was, `b` changed, `c` is gone, `d` is new.
    assert_eq!(list(&cache.feed(), &[("a", 1), ("b", 9), ("d", 8)]), ["b", "d", "c"]);
    assert!(cache.get("c").is_absent());
}

#[test]
fn a_list_that_breaks_off_and_begins_anew_keeps_nothing_of_its_first_half() {
    let cache = cache();
    let feed = cache.feed();
    feed.apply(Event::Init, at(1));
    feed.apply(Event::InitApply(object("deleted-meanwhile", 1)), at(1));
    assert_eq!(list(&feed, &[("a", 2)]), ["a"]);
    assert!(cache.get("deleted-meanwhile").is_absent());
}

#[test]
fn a_list_that_starts_by_itself_takes_knowledge_away_meanwhile() {
    let cache = cache();
    let feed = cache.feed();
    list(&feed, &[("a", 1), ("b", 1)]);
    assert_eq!(feed.apply(Event::Init, at(7)), Effect::Forgotten);
    assert!(cache.get("a").is_unknown());
    assert_eq!(list(&feed, &[("a", 1)]), ["b"]);
}

const NO_SUCH_TYPE: Option<Refusal> = Some(Refusal::NoSuchType);

#[test]
fn a_refusal_is_told_apart_from_a_list_that_is_still_to_come() {
    let cache = cache();
    assert_eq!(cache.refusal(), None);
    let feed = cache.feed();
    assert!(feed.broken(at(1), "404", NO_SUCH_TYPE));
    assert!(!feed.broken(at(2), "404", NO_SUCH_TYPE));
    assert_eq!(cache.refusal(), Some((Refusal::NoSuchType, "404".to_owned())));
    list(&feed, &[("a", 1)]);
    assert_eq!(cache.refusal(), None);
    feed.broken(at(3), "404", NO_SUCH_TYPE);
    cache.forget(at(4), "unreachable");
    assert_eq!(cache.refusal(), None);
}

#[test]
fn an_event_in_hand_when_knowledge_is_taken_away_restores_nothing() {
    let cache = cache();
    let old = cache.feed();
    old.apply(Event::Init, at(1));
    assert!(cache.forget(at(2), "unreachable"));
    assert_eq!(old.apply(Event::InitDone, at(3)), Effect::None);
    assert!(!old.broken(at(3), "broken", None));
    assert_eq!(cache.get("a"), Knowledge::Unknown { since: at(0), why: "unreachable".to_owned() });

    let new = cache.feed();
    list(&new, &[]);
    assert_eq!(old.apply(Event::Apply(object("ghost", 1)), at(4)), Effect::None);
    assert!(cache.get("ghost").is_absent());
}

#[test]
fn since_is_the_end_of_knowledge_and_the_reason_is_the_newest() {
    let cache = cache();
    list(&cache.feed(), &[]);
    assert!(cache.forget(at(5), "first"));
    assert!(cache.forget(at(6), "second"));
    assert!(!cache.forget(at(7), "second"));
    assert_eq!(cache.get("a"), Knowledge::Unknown { since: at(5), why: "second".to_owned() });
}

#[test]
fn an_object_of_another_cluster_with_the_same_name_and_version_is_another_object() {
    let cache = cache();
    list(&cache.feed(), &[("a", 1)]);
    let feed = cache.feed();
    feed.apply(Event::Init, at(1));
    let mut other = object("a", 1);
    other.metadata.uid = Some("elsewhere".to_owned());
    feed.apply(Event::InitApply(other), at(1));
    assert!(matches!(feed.apply(Event::InitDone, at(1)), Effect::All(changed) if changed.len() == 1));
}

#[test]
fn what_nobody_reads_is_not_kept() {
    let mut heavy = object("a", 1);
    heavy.metadata.managed_fields = Some(vec![Default::default()]);
    let annotations = [(LAST_APPLIED, "swordfish"), ("kept", "yes")];
    heavy.metadata.annotations =
        Some(annotations.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
    let cache = cache();
    let feed = cache.feed();
    list(&feed, &[]);
    feed.apply(Event::Apply(heavy), at(2));
    let kept = cache.get("a").present().unwrap();
    assert_eq!(kept.metadata.managed_fields, None);
    assert_eq!(kept.annotations().keys().collect::<Vec<_>>(), ["kept"]);
}
