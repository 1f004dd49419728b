//! Checks a custom object against its schema: types, limits, enumerations, lists and what is required.

use std::collections::BTreeSet;

use serde_json::{Number, Value, json};

use super::{Checks, Elements, Kind, List, Path, Range, Schema};
use crate::error::{FieldError, Why};

impl Schema {
    /// Everything that the schema has against the value. What is as it was in `old` is let pass: a stricter schema does
    /// not take objects hostage that were made under another.
    pub(crate) fn check(&self, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.check_at(value, old, &Path::Root, &mut errors);
        errors
    }

    fn check_at(&self, value: &Value, old: Option<&Value>, at: &Path<'_>, errors: &mut Vec<FieldError>) {
        if value.is_null() && self.nullable || old == Some(value) {
            return;
        }
        if let Some(wanted) = self.wrong_type(value) {
            errors.push(wrong_type(value, at, wanted));
            return;
        }
        if let Some(checks) = &self.checks {
            checks.check(value, old, at, errors);
        }
        match (&self.kind, value) {
            (Kind::Object(shape), Value::Object(fields)) => {
                for (name, field) in fields {
                    if let Some(schema) = shape.get(name) {
                        let old = old.and_then(|old| old.get(name));
                        schema.check_at(field, old, &Path::Field(at, name), errors);
                    }
                }
            }
            (Kind::Array(shape), Value::Array(elements)) => {
                shape.check_keys(elements, at, errors);
                for (index, element) in elements.iter().enumerate() {
                    let old = old.and_then(|old| shape.same(element, old));
                    shape.item.check_at(element, old, &Path::Index(at, index), errors);
                }
            }
            _ => {}
        }
    }

    /// The type that the value should have and has not.
    fn wrong_type(&self, value: &Value) -> Option<&'static str> {
        let (right, wanted) = match &self.kind {
            Kind::Any => (true, ""),
            Kind::Boolean => (value.is_boolean(), "boolean"),
            Kind::Integer => (is_integer(value), "integer"),
            Kind::Number => (value.is_number(), "number"),
            Kind::String => (value.is_string(), "string"),
            Kind::IntOrString => (value.is_string() || is_integer(value), "integer,string"),
            Kind::Object(_) => (value.is_object(), "object"),
            Kind::Array(_) => (value.is_array(), "array"),
        };
        (!right).then_some(wanted)
    }

    fn accepts(&self, value: &Value) -> bool {
        self.check(value, None).is_empty()
    }
}

impl Elements {
    /// The element that this one was, where elements can be told apart by keys.
    pub(super) fn same<'a>(&self, element: &Value, old: &'a Value) -> Option<&'a Value> {
        let List::Map(keys) = &self.list else { return None };
        old.as_array()?.iter().find(|one| keys.iter().all(|key| one.get(&**key) == element.get(&**key)))
    }

    fn check_keys(&self, elements: &[Value], at: &Path<'_>, errors: &mut Vec<FieldError>) {
        let mut seen = BTreeSet::new();
        for (index, element) in elements.iter().enumerate() {
            let key = match &self.list {
                List::Atomic => return,
                List::Set => element.clone(),
                List::Map(keys) => {
                    keys.iter().map(|key| ((**key).to_owned(), element[&**key].clone())).collect()
                }
            };
            if !seen.insert(key.to_string()) {
                errors.push(FieldError::new(Why::Duplicate, Path::Index(at, index).to_string(), &key, ""));
            }
        }
    }
}

impl Checks {
    fn check(&self, value: &Value, old: Option<&Value>, at: &Path<'_>, errors: &mut Vec<FieldError>) {
        let field = || at.to_string();
        let should =
            |detail: String| FieldError::invalid(field(), value, &format!("{at} in body should {detail}"));
        match value {
            Value::String(text) => {
                // Only the first of these is told, as kube-apiserver does.
                let length = text.chars().count() as u64;
                if let Some(max) = self.length.max.filter(|max| length > *max) {
                    let detail = format!("may not be more than {max} bytes");
                    errors.push(FieldError::new(Why::TooLong, field(), value, &detail));
                } else if let Some(min) = self.length.min.filter(|min| length < *min) {
                    errors.push(should(format!("be at least {min} chars long")));
                } else if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text))
                {
                    errors.push(should(format!("match '{pattern}'")));
                }
                if let Some(format) = self.format.as_deref().filter(|format| !has_format(text, format)) {
                    let detail = format!("{at} in body must be of type {format}: {value}");
                    errors.push(FieldError::invalid(field(), value, &detail));
                }
            }
            Value::Number(number) => self.check_number(number, value, at, errors),
            Value::Array(elements) => {
                let length = elements.len() as u64;
                if let Some(min) = self.items.min.filter(|min| length < *min) {
                    errors.push(should(format!("have at least {min} items")));
                }
                if let Some(max) = self.items.max.filter(|max| length > *max) {
                    errors.push(too_many(field(), length, max, "items"));
                }
                if self.unique && elements.iter().enumerate().any(|(i, e)| elements[..i].contains(e)) {
                    errors.push(FieldError::invalid(field(), value, "shouldn't contain duplicates"));
                }
            }
            Value::Object(fields) => {
                for name in self.required.iter().filter(|name| !fields.contains_key(&***name)) {
                    errors.push(FieldError::required(Path::Field(at, name).to_string(), ""));
                }
                let length = fields.len() as u64;
                if let Some(min) = self.properties.min.filter(|min| length < *min) {
                    let detail = format!("{at} in body should have at least {min} properties");
                    errors.push(FieldError::invalid(field(), value, &detail));
                }
                if let Some(max) = self.properties.max.filter(|max| length > *max) {
                    errors.push(too_many(field(), length, max, "properties"));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
        self.check_choice(value, old, at, errors);
    }

    fn check_number(&self, number: &Number, value: &Value, at: &Path<'_>, errors: &mut Vec<FieldError>) {
        let Some(float) = number.as_f64() else { return };
        let Range { min, max } = self.bounds;
        let mut should = |detail: String| {
            let detail = format!("{at} in body should be {detail}");
            errors.push(FieldError::invalid(at.to_string(), value, &detail));
        };
        match (min, self.exclusive.0) {
            (Some(min), false) if float < min => should(format!("greater than or equal to {min}")),
            (Some(min), true) if float <= min => should(format!("greater than {min}")),
            _ => {}
        }
        match (max, self.exclusive.1) {
            (Some(max), false) if float > max => should(format!("less than or equal to {max}")),
            (Some(max), true) if float >= max => should(format!("less than {max}")),
            _ => {}
        }
        if let Some(step) = self.multiple_of.filter(|step| *step != 0.0 && (float / step).fract() != 0.0) {
            should(format!("a multiple of {step}"));
        }
    }

    fn check_choice(&self, value: &Value, old: Option<&Value>, at: &Path<'_>, errors: &mut Vec<FieldError>) {
        if !self.one_of_values.is_empty() && !self.one_of_values.contains(value) {
            let supported: Vec<String> = self.one_of_values.iter().map(Value::to_string).collect();
            let detail = format!("supported values: {}", supported.join(", "));
            errors.push(FieldError::new(Why::NotSupported, at.to_string(), value, &detail));
        }
        let named = if matches!(at, Path::Root) { "<nil>".to_owned() } else { at.to_string() };
        let mut fails = |detail: &str| {
            let detail = format!("{at} in body {detail}");
            errors.push(FieldError::invalid(named.clone(), value, detail.trim_start()));
        };
        let passed = self.one_of.iter().filter(|schema| schema.accepts(value)).count();
        if !self.any_of.is_empty() && !self.any_of.iter().any(|schema| schema.accepts(value)) {
            fails("must validate at least one schema (anyOf)");
        }
        if !self.one_of.is_empty() && passed != 1 {
            fails("must validate one and only one schema (oneOf)");
        }
        if self.not.as_ref().is_some_and(|schema| schema.accepts(value)) {
            fails("must not validate the schema (not)");
        }
        for schema in &self.all_of {
            schema.check_at(value, old, at, errors);
        }
    }
}

fn wrong_type(value: &Value, at: &Path<'_>, wanted: &str) -> FieldError {
    let word = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let detail = format!("{at} in body must be of type {wanted}: {}", json!(word));
    FieldError::new(Why::TypeInvalid, at.to_string(), &json!(word), &detail)
}

fn too_many(field: String, length: u64, max: u64, what: &str) -> FieldError {
    FieldError::new(Why::TooMany, field, &Value::Null, &format!("{length}: must have at most {max} {what}"))
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// Whether a text has the format; formats that kube-apiserver does not check are had by every text.
fn has_format(text: &str, format: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        _ => true,
    }
}
