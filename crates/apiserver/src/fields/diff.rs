//! What differs between two states of an object, and what a state has, as sets of paths.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Set, Shape, element, field, is_known, named, shape};
use crate::schema::{Elements, Schema};

/// The paths that one state has and the other has not, or has otherwise.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) added: Set,
    pub(super) modified: Set,
    pub(super) removed: Set,
}

impl Difference {
    fn put(&mut self, name: &str, below: Self) {
        self.added.put(name.to_owned(), below.added);
        self.modified.put(name.to_owned(), below.modified);
        self.removed.put(name.to_owned(), below.removed);
    }
}

/// Compares two states, of which one may be absent.
pub(super) fn compare(schema: &Schema, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let mut difference = Difference::default();
    // A null is nothing of whatever the other is, but it is there.
    let there = |value: &&Value| !value.is_null();
    let (old_shape, new_shape) = (
        old.filter(there).map(|value| shape(schema, value)),
        new.filter(there).map(|value| shape(schema, value)),
    );
    match (old_shape, new_shape) {
        (None | Some(Shape::Map(_)), None | Some(Shape::Map(_))) if has_fields(old) || has_fields(new) => {
            compare_fields(schema, old, new, &mut difference);
        }
        (Some(Shape::List(elements, old)), None) if !old.is_empty() => {
            compare_elements(elements, old, &[], &mut difference);
        }
        (None, Some(Shape::List(elements, new))) if !new.is_empty() => {
            compare_elements(elements, &[], new, &mut difference);
        }
        (Some(Shape::List(elements, old)), Some(Shape::List(_, new)))
            if !(old.is_empty() && new.is_empty()) =>
        {
            compare_elements(elements, old, new, &mut difference);
        }
        _ if old.is_some() && new.is_some() && old != new => difference.modified.member = true,
        _ => {}
    }
    difference.added.member |= old.is_none() && new.is_some();
    difference.removed.member |= old.is_some() && new.is_none();
    difference
}

fn has_fields(value: Option<&Value>) -> bool {
    value.and_then(Value::as_object).is_some_and(|fields| !fields.is_empty())
}

fn compare_fields(schema: &Schema, old: Option<&Value>, new: Option<&Value>, difference: &mut Difference) {
    let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    for (name, value) in old.into_iter().flatten() {
        let new = new.and_then(|new| new.get(name));
        difference.put(&named(name), compare(field(schema, name), Some(value), new));
    }
    let is_new = |name: &String| old.is_none_or(|old| !old.contains_key(name));
    for (name, value) in new.into_iter().flatten().filter(|(name, _)| is_new(name)) {
        difference.put(&named(name), compare(field(schema, name), None, Some(value)));
    }
}

fn compare_elements(elements: &Elements, old: &[Value], new: &[Value], difference: &mut Difference) {
    let (old, new) = (by_name(elements, old), by_name(elements, new));
    for (name, value) in &old {
        difference.put(name, compare(&elements.item, Some(value), new.get(name).copied()));
    }
    for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        difference.put(name, compare(&elements.item, None, Some(value)));
    }
}

fn by_name<'a>(elements: &Elements, values: &'a [Value]) -> BTreeMap<String, &'a Value> {
    values.iter().map(|value| (element(elements, value), value)).collect()
}

/// The paths that an applied state wants.
pub(super) fn paths(schema: &Schema, value: &Value) -> Set {
    let mut set = Set::default();
    match shape(schema, value) {
        Shape::Leaf => set.member = true,
        Shape::Map(fields) => {
            for (name, value) in fields {
                let mut below = paths(field(schema, name), value);
                let is_empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                below.member |= is_empty || !is_known(schema, name);
                set.put(named(name), below);
            }
        }
        Shape::List(elements, values) => {
            for value in values {
                let mut below = paths(&elements.item, value);
                below.member = true;
                set.put(element(elements, value), below);
            }
        }
    }
    set
}
