//! Reads a value the way a typed server does: wrong types are refused, and what says nothing is left out.
//!
//! For core kinds and for `metadata`, which kube-apiserver reads into structures of its own.

use serde_json::{Number, Value};

use super::{Kind, Path, Schema};

impl Schema {
    /// Leaves out `null`s, empty lists and empty maps, as a typed server does that omits what is empty.
    ///
    /// # Errors
    /// The first value of a wrong type, in the words of a JSON decoder.
    pub(crate) fn decode(&self, value: &mut Value) -> Result<(), String> {
        self.decode_at(value, &Path::Root)
    }

    pub(crate) fn decode_under(&self, value: &mut Value, field: &str) -> Result<(), String> {
        self.decode_at(value, &Path::Field(&Path::Root, field))
    }

    fn decode_at(&self, value: &mut Value, at: &Path<'_>) -> Result<(), String> {
        let wrong = |sent: &Value, wanted: &str| {
            Err(format!("json: cannot unmarshal {} into Go struct field {at} of type {wanted}", word(sent)))
        };
        match (&self.kind, value) {
            (Kind::Object(shape), Value::Object(fields)) => {
                let required = self.checks.as_ref().map_or(&[][..], |checks| checks.required.as_slice());
                for (name, field) in fields.iter_mut() {
                    if let Some(rest) = &shape.rest
                        && matches!(rest.kind, Kind::String)
                        && field.is_null()
                    {
                        // The element of a map is what its type is without a value.
                        *field = "".into();
                    }
                    if let Some(schema) = shape.get(name) {
                        schema.decode_at(field, &Path::Field(at, name))?;
                    }
                }
                fields.retain(|name, field| {
                    required.iter().any(|required| **required == **name)
                        || !shape
                            .get(name)
                            .is_some_and(|schema| schema.says_nothing(field, shape.rest.is_some()))
                });
                Ok(())
            }
            (Kind::Array(shape), Value::Array(elements)) => elements
                .iter_mut()
                .enumerate()
                .try_for_each(|(index, element)| shape.item.decode_at(element, &Path::Index(at, index))),
            (_, Value::Null) | (Kind::Any, _) => Ok(()),
            (Kind::Boolean, Value::Bool(_)) | (Kind::String, Value::String(_)) => Ok(()),
            (Kind::IntOrString, Value::String(_) | Value::Number(_)) | (Kind::Number, Value::Number(_)) => {
                Ok(())
            }
            (Kind::Integer, Value::Number(number)) if self.holds(number) => Ok(()),
            (Kind::Boolean, sent) => wrong(sent, "bool"),
            (Kind::Integer, Value::Number(number)) => Err(format!(
                "json: cannot unmarshal number {number} into Go struct field {at} of type {}",
                if self.is_short() { "int32" } else { "int64" }
            )),
            (Kind::Integer, sent) => wrong(sent, if self.is_short() { "int32" } else { "int64" }),
            (Kind::Number, sent) => wrong(sent, "float64"),
            (Kind::String | Kind::IntOrString, sent) => wrong(sent, "string"),
            (Kind::Object(shape), sent) if shape.rest.is_some() => wrong(sent, "map[string]string"),
            (Kind::Object(_), sent) => wrong(sent, "struct"),
            (Kind::Array(_), sent) => wrong(sent, "[]"),
        }
    }

    /// Whether an integer of this format can be this number.
    fn holds(&self, number: &Number) -> bool {
        number.as_i64().is_some_and(|number| !self.is_short() || i32::try_from(number).is_ok())
    }

    fn is_short(&self) -> bool {
        self.checks.as_ref().is_some_and(|checks| checks.format.as_deref() == Some("int32"))
    }

    /// Whether a typed server would not write this value again. Elements of a map are always written.
    fn says_nothing(&self, value: &Value, in_map: bool) -> bool {
        match (value, &self.kind) {
            (Value::Null, _) => !in_map,
            (Value::Array(elements), Kind::Array(_)) => elements.is_empty() && !in_map,
            (Value::Object(fields), Kind::Object(shape)) => {
                fields.is_empty() && shape.rest.is_some() && !in_map
            }
            _ => false,
        }
    }
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
