//! Reads a schema as OpenAPI v3 writes it: that of a CRD, or one of the table of core kinds.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use regex::Regex;
use serde_json::{Map, Value};

use super::{Checks, Elements, Fields, Kind, List, Range, Schema, Strategy};

/// Schemas that others refer to by name.
#[derive(Default)]
pub(crate) struct Definitions {
    raw: Map<String, Value>,
    read: HashMap<String, Arc<Schema>>,
    /// Names that are being read: one that refers to itself is anything at all.
    open: Vec<String>,
}

impl Definitions {
    pub(crate) fn new(raw: Map<String, Value>) -> Self {
        Self { raw, read: HashMap::new(), open: Vec::new() }
    }

    /// In the table of core kinds a structure without fields is one that holds anything.
    fn of_core_kinds(&self) -> bool {
        !self.raw.is_empty()
    }

    /// The schema of this name; anything, where there is none.
    pub(crate) fn get(&mut self, name: &str) -> Arc<Schema> {
        if let Some(schema) = self.read.get(name) {
            return Arc::clone(schema);
        }
        let raw = self.raw.get(name).cloned();
        let Some(raw) = raw.filter(|_| !self.open.iter().any(|open| open == name)) else {
            return Arc::new(Schema { preserve: true, ..Schema::default() });
        };
        self.open.push(name.to_owned());
        let schema = Arc::new(read(&raw, self));
        self.open.pop();
        self.read.insert(name.to_owned(), Arc::clone(&schema));
        schema
    }
}

/// Reads a schema that refers to no other.
pub(crate) fn parse(raw: &Value) -> Schema {
    read(raw, &mut Definitions::default())
}

fn child(raw: &Value, definitions: &mut Definitions) -> Arc<Schema> {
    if let Some(name) = reference(raw) {
        let schema = definitions.get(name);
        let own = read_own(raw, &schema);
        return own.map_or(schema, Arc::new);
    }
    Arc::new(read(raw, definitions))
}

/// The one schema that this one refers to: `$ref`, alone or as the only part of `allOf`.
fn reference(raw: &Value) -> Option<&str> {
    let alone = raw["$ref"].as_str();
    alone.or_else(|| raw["allOf"].as_array().filter(|all| all.len() == 1)?[0]["$ref"].as_str())
}

/// A reference with facts of its own beside it; what it refers to has the shape.
fn read_own(raw: &Value, referred: &Schema) -> Option<Schema> {
    let strategy = strategy(raw);
    let default = raw.get("default").filter(|default| **default != serde_json::json!({})).cloned();
    let atomic = raw["x-kubernetes-map-type"] == "atomic";
    if default.is_none() && strategy == Strategy::default() && !atomic {
        return None;
    }
    let kind = match &referred.kind {
        Kind::Object(shape) => Kind::Object(Fields {
            known: shape.known.clone(),
            rest: shape.rest.clone(),
            atomic: atomic || shape.atomic,
            strategy,
        }),
        Kind::Boolean => Kind::Boolean,
        Kind::Integer => Kind::Integer,
        Kind::Number => Kind::Number,
        Kind::String => Kind::String,
        Kind::IntOrString => Kind::IntOrString,
        Kind::Any | Kind::Array(_) => Kind::Any,
    };
    Some(Schema {
        kind,
        default,
        preserve: referred.preserve,
        nullable: referred.nullable,
        ..Schema::default()
    })
}

fn read(raw: &Value, definitions: &mut Definitions) -> Schema {
    let flag = |name: &str| raw[name] == true;
    let kind = kind(raw, definitions);
    Schema {
        preserve: flag("x-kubernetes-preserve-unknown-fields")
            || is_open_object(raw)
            || definitions.of_core_kinds() && is_empty(&kind),
        nullable: flag("nullable"),
        default: raw.get("default").cloned(),
        embedded: flag("x-kubernetes-embedded-resource"),
        checks: checks(raw, definitions).map(Box::new),
        kind,
    }
}

/// An object of which nothing is known holds anything, in the table of core kinds.
fn is_open_object(raw: &Value) -> bool {
    let Some(fields) = raw.as_object() else { return true };
    fields.is_empty()
}

fn is_empty(kind: &Kind) -> bool {
    matches!(kind, Kind::Object(fields) if fields.known.is_empty() && fields.rest.is_none())
}

fn kind(raw: &Value, definitions: &mut Definitions) -> Kind {
    if raw["x-kubernetes-int-or-string"] == true || raw["format"] == "int-or-string" {
        return Kind::IntOrString;
    }
    match raw["type"].as_str() {
        Some("boolean") => Kind::Boolean,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("string") => Kind::String,
        Some("object") => Kind::Object(fields(raw, definitions)),
        Some("array") => Kind::Array(elements(raw, definitions)),
        _ if raw["properties"].is_object() => Kind::Object(fields(raw, definitions)),
        _ => Kind::Any,
    }
}

fn fields(raw: &Value, definitions: &mut Definitions) -> Fields {
    let known = raw["properties"].as_object().into_iter().flatten();
    let known: BTreeMap<_, _> =
        known.map(|(name, field)| (name.as_str().into(), child(field, definitions))).collect();
    let rest = match &raw["additionalProperties"] {
        Value::Bool(true) => Some(Arc::new(Schema { preserve: true, ..Schema::default() })),
        schema @ Value::Object(_) => Some(child(schema, definitions)),
        _ => None,
    };
    Fields { known, rest, atomic: raw["x-kubernetes-map-type"] == "atomic", strategy: strategy(raw) }
}

fn elements(raw: &Value, definitions: &mut Definitions) -> Elements {
    let keys = || raw["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
    let list = match raw["x-kubernetes-list-type"].as_str() {
        Some("set") => List::Set,
        Some("map") => List::Map(keys().filter_map(Value::as_str).map(Into::into).collect()),
        _ => List::Atomic,
    };
    let merge_key = raw["x-kubernetes-patch-merge-key"].as_str().map(Into::into);
    Elements { item: child(&raw["items"], definitions), list, merge_key, strategy: strategy(raw) }
}

fn strategy(raw: &Value) -> Strategy {
    let words = raw["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
    let has = |word: &str| words.split(',').any(|given| given == word);
    Strategy { merge: has("merge"), replace: has("replace"), retain_keys: has("retainKeys") }
}

/// `None`: nothing beyond the type.
fn checks(raw: &Value, definitions: &mut Definitions) -> Option<Checks> {
    const WORDS: [&str; 20] = [
        "required",
        "enum",
        "pattern",
        "format",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "uniqueItems",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
    ];
    let fields = raw.as_object()?;
    if !WORDS.iter().any(|word| fields.contains_key(*word)) {
        return None;
    }
    let texts = |name: &str| raw[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    let range = |min: &str, max: &str| Range { min: raw[min].as_u64(), max: raw[max].as_u64() };
    let mut schemas = |name: &str| -> Vec<Schema> {
        raw[name].as_array().into_iter().flatten().map(|schema| read(schema, definitions)).collect()
    };
    Some(Checks {
        all_of: schemas("allOf"),
        any_of: schemas("anyOf"),
        one_of: schemas("oneOf"),
        required: texts("required").map(Into::into).collect(),
        one_of_values: raw["enum"].as_array().cloned().unwrap_or_default(),
        pattern: raw["pattern"].as_str().and_then(|pattern| Regex::new(pattern).ok()),
        format: raw["format"].as_str().map(Into::into),
        length: range("minLength", "maxLength"),
        items: range("minItems", "maxItems"),
        properties: range("minProperties", "maxProperties"),
        unique: raw["uniqueItems"] == true,
        bounds: Range { min: raw["minimum"].as_f64(), max: raw["maximum"].as_f64() },
        exclusive: (raw["exclusiveMinimum"] == true, raw["exclusiveMaximum"] == true),
        multiple_of: raw["multipleOf"].as_f64(),
        not: raw.get("not").map(|not| read(not, definitions)),
    })
}
