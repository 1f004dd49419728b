//! Fills in what a schema says about absent fields.

use serde_json::Value;

use super::{Kind, Schema};

impl Schema {
    /// Leaves out `null`s where none may be and no default takes their place.
    pub(crate) fn drop_nulls(&self, value: &mut Value) {
        match (&self.kind, value) {
            (Kind::Object(shape), Value::Object(fields)) => {
                fields.retain(|name, value| {
                    !value.is_null()
                        || shape.get(name).is_none_or(|schema| schema.nullable || schema.default.is_some())
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

    /// Takes the default where nothing is, or a `null` that may not be.
    fn replace(&self, value: &mut Value) {
        if value.is_null()
            && !self.nullable
            && let Some(default) = &self.default
        {
            value.clone_from(default);
        }
    }

    /// Fills in defaults.
    pub(crate) fn fill(&self, value: &mut Value) {
        match (&self.kind, value) {
            (Kind::Object(shape), Value::Object(fields)) => {
                for (name, schema) in &shape.known {
                    let Some(default) = &schema.default else { continue };
                    schema.replace(fields.entry(&**name).or_insert_with(|| default.clone()));
                }
                for (name, field) in fields.iter_mut() {
                    if let Some(schema) = shape.get(name) {
                        schema.replace(field);
                        schema.fill(field);
                    }
                }
            }
            (Kind::Array(shape), Value::Array(elements)) => {
                for element in elements {
                    shape.item.replace(element);
                    shape.item.fill(element);
                }
            }
            _ => {}
        }
    }
}
