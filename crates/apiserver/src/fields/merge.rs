//! Merging what is applied into an object, and taking away what is applied no more.

use serde_json::Value;

use super::{Set, Shape, element, field, named, shape};
use crate::schema::{Kind, Schema};

/// Puts what is applied into a state.
pub(super) fn merge(schema: &Schema, live: &mut Value, applied: &Value) {
    match (shape(schema, applied), &mut *live) {
        (Shape::Map(applied), Value::Object(live)) => {
            for (name, value) in applied {
                match live.get_mut(name) {
                    Some(there) => merge(field(schema, name), there, value),
                    None => drop(live.insert(name.clone(), value.clone())),
                }
            }
        }
        (Shape::List(elements, applied), Value::Array(live)) => {
            for value in applied {
                let name = element(elements, value);
                match live.iter_mut().find(|there| element(elements, there) == name) {
                    Some(there) => merge(&elements.item, there, value),
                    None => live.push(value.clone()),
                }
            }
        }
        _ => *live = applied.clone(),
    }
}

/// Takes away what was applied and is wanted by nobody now.
pub(super) fn remove(schema: &Schema, live: &mut Value, was: &Set, wanted: &Set) {
    let is_wanted = |name: &str| wanted.below.contains_key(name);
    if matches!(shape(schema, live), Shape::Leaf) {
        return;
    }
    let nothing = Set::default();
    match live {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                let name = named(name);
                is_wanted(&name) || !was.below.contains_key(&name)
            });
            for (name, value) in fields.iter_mut() {
                let key = named(name);
                if let Some(was) = was.below.get(&key) {
                    remove(field(schema, name), value, was, wanted.below.get(&key).unwrap_or(&nothing));
                }
            }
        }
        Value::Array(values) => {
            let Kind::Array(elements) = &schema.kind else { return };
            values.retain(|value| {
                let name = element(elements, value);
                is_wanted(&name) || !was.below.contains_key(&name)
            });
            for value in values.iter_mut() {
                let key = element(elements, value);
                if let Some(was) = was.below.get(&key) {
                    remove(&elements.item, value, was, wanted.below.get(&key).unwrap_or(&nothing));
                }
            }
        }
        _ => {}
    }
}
