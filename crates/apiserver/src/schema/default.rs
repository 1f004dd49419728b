//! Fills in what a schema says about absent fields.

use serde_json::Value;

use super::{Kind, Schema};

impl Schema {
    /// Leaves out `null`s where none may be.
    pub(crate) fn drop_nulls(&self, value: &mut Value) {
        match (&self.kind, value) {
            (Kind::Object(shape), Value::Object(fields)) => {
                fields.retain(|name, value| {
                    !value.is_null() || shape.known.get(&**name).is_none_or(|schema| schema.nullable)
                });
                for (name, field) in fields.iter_mut() {
                    if let Some(schema) = shape.get(name) {
                        schema.drop_nulls(field);
                    }
                }
            }
            (Kind::Array(shape), Value::Array(elements)) => {
                elements.iter_mut().for_each(|element| shape.item.drop_nulls(element));
            }
            _ => {}
        }
    }

    /// Fills in defaults.
    pub(crate) fn fill(&self, value: &mut Value) {
        match (&self.kind, value) {
            (Kind::Object(shape), Value::Object(fields)) => {
                for (name, schema) in &shape.known {
                    let Some(default) = &schema.default else { continue };
                    fields.entry(&**name).or_insert_with(|| default.clone());
                }
                for (name, field) in fields.iter_mut() {
                    if let Some(schema) = shape.get(name) {
                        schema.fill(field);
                    }
                }
            }
            (Kind::Array(shape), Value::Array(elements)) => {
                for element in elements {
                    shape.item.fill(element);
                }
            }
            _ => {}
        }
    }
}
