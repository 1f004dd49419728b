//! Drops what a schema does not know.

use serde_json::{Map, Value};

use super::{Kind, Path, Schema};
use crate::registry::object_meta;

impl Schema {
    /// Drops the fields that the schema does not know; their paths are added to `dropped`.
    pub(crate) fn prune(&self, value: &mut Value, dropped: &mut Vec<String>) {
        self.prune_at(value, &Path::Root, dropped);
    }

    fn prune_at(&self, value: &mut Value, at: &Path<'_>, dropped: &mut Vec<String>) {
        match (&self.kind, value) {
            (Kind::Object(shape), Value::Object(fields)) => {
                if !self.preserve && shape.rest.is_none() {
                    drop_unknown(fields, at, dropped, |name| {
                        shape.known.contains_key(name) || (self.embedded && is_object_field(name))
                    });
                }
                for (name, field) in fields.iter_mut() {
                    if self.embedded && name == "metadata" {
                        object_meta().prune_at(field, &Path::Field(at, name), dropped);
                    } else if let Some(schema) = shape.get(name) {
                        schema.prune_at(field, &Path::Field(at, name), dropped);
                    }
                }
            }
            (Kind::Array(shape), Value::Array(elements)) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    shape.item.prune_at(element, &Path::Index(at, index), dropped);
                }
            }
            _ => {}
        }
    }
}

fn drop_unknown(
    fields: &mut Map<String, Value>,
    at: &Path<'_>,
    dropped: &mut Vec<String>,
    is_known: impl Fn(&str) -> bool,
) {
    fields.retain(|name, _| {
        let known = is_known(name);
        if !known {
            dropped.push(Path::Field(at, name).to_string());
        }
        known
    });
}

fn is_object_field(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}
