//! Who manages which fields of an object: what `managedFields` says, and what server-side apply lives by.

mod diff;
mod manage;
mod merge;
mod set;
#[cfg(test)]
mod tests;

pub(crate) use manage::{apply, written};
use set::Set;

use serde_json::Value;

use crate::schema::{Elements, Kind, List, Schema};

/// How a value is divided among managers.
enum Shape<'a> {
    /// As a whole.
    Leaf,
    /// By its fields.
    Map(&'a serde_json::Map<String, Value>),
    /// By its elements.
    List(&'a Elements, &'a [Value]),
}

fn shape<'a>(schema: &'a Schema, value: &'a Value) -> Shape<'a> {
    match (&schema.kind, value) {
        (Kind::Object(fields), Value::Object(_)) if fields.atomic => Shape::Leaf,
        (Kind::Object(_) | Kind::Any, Value::Object(fields)) => Shape::Map(fields),
        (Kind::Array(elements), Value::Array(values)) if elements.list != List::Atomic => {
            Shape::List(elements, values)
        }
        _ => Shape::Leaf,
    }
}

/// The schema of a field; of one that no schema knows, that of anything.
fn field<'a>(schema: &'a Schema, name: &str) -> &'a Schema {
    static ANYTHING: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(Schema::default);
    match &schema.kind {
        Kind::Object(fields) => fields.get(name).map_or(&ANYTHING, |schema| &**schema),
        _ => &ANYTHING,
    }
}

/// Whether a field is part of the type, and not the key of a map.
fn is_known(schema: &Schema, name: &str) -> bool {
    matches!(&schema.kind, Kind::Object(fields) if fields.known.contains_key(name))
}

/// The name of a field in a set.
fn named(field: &str) -> String {
    format!("f:{field}")
}

/// The name of an element in a set: its keys, or itself.
fn element(elements: &Elements, value: &Value) -> String {
    match &elements.list {
        List::Map(keys) => {
            let default = |key: &str| field(&elements.item, key).default.clone();
            let keys: serde_json::Map<String, Value> = keys
                .iter()
                .filter_map(|key| {
                    let value = value.get(&**key).cloned().or_else(|| default(key))?;
                    Some(((**key).to_owned(), value))
                })
                .collect();
            format!("k:{}", Value::Object(keys))
        }
        List::Set | List::Atomic => format!("v:{value}"),
    }
}
