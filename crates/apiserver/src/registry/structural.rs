//! What the schema of a definition may say: it has to be structural, and what it says has to make sense.
//!
//! A structural schema gives every value one type in one place, so that pruning, defaulting and merging know what to
//! do; `allOf`, `anyOf`, `oneOf` and `not` may only narrow what is allowed.

use regex::Regex;
use serde_json::{Value, json};

use crate::{
    error::{FieldError, Why},
    schema::{Rules, parse},
};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const VALIDATIONS: &str = "x-kubernetes-validations";
/// What a schema inside of `allOf` and its like can't say.
const FORBIDDEN_INSIDE: [&str; 7] = [
    "description",
    "default",
    "nullable",
    "title",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
];
/// Words of OpenAPI that no definition has.
const UNSUPPORTED: [&str; 6] =
    ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];

/// Where in the schema of an object a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What the schema at this path gets wrong. Rules are asked about only if nothing else is wrong.
pub(super) fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_structure(schema, Level::Root, path, &mut errors);
    check_words(schema, path, &mut errors);
    if errors.is_empty() {
        check_rules(schema, path, None, &mut errors);
    }
    errors
}

fn forbidden(field: String, detail: &str) -> FieldError {
    FieldError::new(Why::Forbidden, field, &Value::Null, detail)
}

fn children<'a>(schema: &'a Value, path: &str) -> Vec<(&'a Value, Level, String)> {
    let mut all = Vec::new();
    if schema["items"].is_object() {
        all.push((&schema["items"], Level::Item, format!("{path}.items")));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        all.push((property, Level::Field, format!("{path}.properties[{name}]")));
    }
    if schema["additionalProperties"].is_object() {
        all.push((&schema["additionalProperties"], Level::Field, format!("{path}.additionalProperties")));
    }
    all
}

/// The schemas that narrow what this one allows.
fn junctors<'a>(schema: &'a Value, path: &str) -> Vec<(&'a Value, String)> {
    let mut all = Vec::new();
    for word in ["allOf", "anyOf", "oneOf"] {
        let schemas = schema[word].as_array().into_iter().flatten().enumerate();
        all.extend(schemas.map(|(index, schema)| (schema, format!("{path}.{word}[{index}]"))));
    }
    if schema["not"].is_object() {
        all.push((&schema["not"], format!("{path}.not")));
    }
    all
}

fn check_structure(schema: &Value, level: Level, path: &str, errors: &mut Vec<FieldError>) {
    let kind = schema["type"].as_str().unwrap_or_default();
    let is = |word: &str| schema[word] == true;
    let (embedded, int_or_string) = (is("x-kubernetes-embedded-resource"), is("x-kubernetes-int-or-string"));
    if kind == "array" && !schema["items"].is_object() {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    if level == Level::Root && schema.get("additionalProperties").is_some() {
        errors.push(forbidden(format!("{path}.additionalProperties"), "must not be used at the root"));
    }
    if int_or_string && is("x-kubernetes-preserve-unknown-fields") {
        let detail = "must be false if x-kubernetes-int-or-string is true";
        let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(field, &true.into(), detail));
    }
    if int_or_string && !kind.is_empty() {
        let detail = "must be empty if x-kubernetes-int-or-string is true";
        errors.push(FieldError::invalid(format!("{path}.type"), &kind.into(), detail));
    }
    let free = int_or_string || is("x-kubernetes-preserve-unknown-fields");
    if kind.is_empty() && !free {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(format!("{path}.type"), detail));
    } else if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(FieldError::invalid(format!("{path}.type"), &kind.into(), detail));
    } else if level == Level::Root && kind != "object" {
        errors.push(FieldError::invalid(format!("{path}.type"), &kind.into(), "must be object at the root"));
    }
    if level == Level::Root {
        check_metadata(&schema["properties"]["metadata"], path, errors);
    }
    check_pattern(schema, path, errors);
    let known = int_or_string_pattern(schema);
    for (inner, at) in junctors(schema, path) {
        check_inside(inner, schema, &at, int_or_string && known, errors);
    }
    for (child, level, at) in children(schema, path) {
        check_structure(child, level, &at, errors);
    }
}

/// The one `anyOf` with types that is allowed: an integer or a string.
fn int_or_string_pattern(schema: &Value) -> bool {
    let types = json!([{"type": "integer"}, {"type": "string"}]);
    schema["anyOf"] == types || schema["allOf"][0]["anyOf"] == types
}

fn check_pattern(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(pattern) = schema["pattern"].as_str()
        && let Err(why) = Regex::new(pattern)
    {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(FieldError::invalid(format!("{path}.pattern"), &pattern.into(), &detail));
    }
}

/// Of an object's metadata a definition may only narrow the names.
fn check_metadata(metadata: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if metadata.is_null() {
        return;
    }
    let at = format!("{path}.properties[metadata]");
    if metadata["type"] != "object" {
        errors.push(FieldError::invalid(format!("{at}.type"), &metadata["type"], "must be object"));
    }
    let fields = metadata.as_object().into_iter().flatten();
    let only_names =
        fields.filter(|(word, _)| *word != "type" && *word != "description").all(|(word, value)| {
            let properties = value.as_object().into_iter().flatten();
            word == "properties"
                && properties.map(|(name, _)| name).all(|name| name == "name" || name == "generateName")
        });
    if !only_names {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(forbidden(at, detail));
    }
}

/// Checks a schema that stands inside of `allOf` and its like: it says nothing that decides the shape, and names only
/// fields that are there outside.
fn check_inside(inner: &Value, outer: &Value, path: &str, typed: bool, errors: &mut Vec<FieldError>) {
    if inner["type"].is_string() && !typed {
        errors.push(forbidden(format!("{path}.type"), "must be empty to be structural"));
    }
    if inner.get("additionalProperties").is_some() {
        errors.push(forbidden(format!("{path}.additionalProperties"), "must be undefined to be structural"));
    }
    for word in
        FORBIDDEN_INSIDE.iter().filter(|word| !matches!(&inner[**word], Value::Null | Value::Bool(false)))
    {
        errors.push(forbidden(format!("{path}.{word}"), "must be undefined to be structural"));
    }
    check_pattern(inner, path, errors);
    for (name, property) in inner["properties"].as_object().into_iter().flatten() {
        let there = &outer["properties"][name];
        if there.is_null() && outer["x-kubernetes-preserve-unknown-fields"] != true {
            let field = path.split_once(".allOf[").map_or(path, |(outside, _)| outside);
            let field = ["anyOf[", "oneOf[", "not"].iter().fold(field, |field, word| {
                field.split_once(&format!(".{word}")).map_or(field, |(outside, _)| outside)
            });
            let detail = format!("because it is defined in {path}.properties[{name}]");
            errors.push(FieldError::required(format!("{field}.properties[{name}]"), &detail));
        }
        check_inside(property, there, &format!("{path}.properties[{name}]"), false, errors);
    }
    if inner["items"].is_object() {
        check_inside(&inner["items"], &outer["items"], &format!("{path}.items"), false, errors);
    }
    for (junctor, at) in junctors(inner, path) {
        check_inside(junctor, outer, &at, typed, errors);
    }
}

/// Checks what single words of a schema say, here and below.
fn check_words(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let kind = schema["type"].as_str().unwrap_or_default();
    if !kind.is_empty() && !TYPES.contains(&kind) {
        let supported: Vec<String> = TYPES.iter().map(|kind| format!("{kind:?}")).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        errors.push(FieldError::new(Why::NotSupported, format!("{path}.type"), &kind.into(), &detail));
    }
    for word in UNSUPPORTED.iter().filter(|word| schema.get(**word).is_some()) {
        errors.push(forbidden(format!("{path}.{word}"), &format!("{word} is not supported")));
    }
    if schema["uniqueItems"] == true {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(forbidden(format!("{path}.uniqueItems"), detail));
    }
    let has_fields = schema["properties"].as_object().is_some_and(|fields| !fields.is_empty());
    if has_fields && schema["additionalProperties"].is_object() {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(forbidden(format!("{path}.additionalProperties"), detail));
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(field, &false.into(), "must be true or undefined"));
    }
    check_list(schema, path, errors);
    if let Some(default) = schema.get("default") {
        let at = format!("{path}.default");
        for error in parse(schema).check(default, None) {
            errors.push(error.below(&at));
        }
    }
    for (index, rule) in schema[VALIDATIONS].as_array().into_iter().flatten().enumerate() {
        if rule["rule"].as_str().unwrap_or_default().trim().is_empty() {
            let field = format!("{path}.{VALIDATIONS}[{index}].rule");
            errors.push(FieldError::required(field, "rule is not specified"));
        }
    }
    for (child, _, at) in children(schema, path) {
        check_words(child, &at, errors);
    }
}

/// What a list says of how its elements are told apart.
fn check_list(schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    const LIST: &str = "x-kubernetes-list-type";
    const KEYS: &str = "x-kubernetes-list-map-keys";
    let Some(list) = schema[LIST].as_str() else {
        if schema[KEYS].as_array().is_some_and(|keys| !keys.is_empty()) {
            let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
            errors.push(FieldError::required(format!("{path}.{LIST}"), detail));
        }
        return;
    };
    let items = &schema["items"];
    if schema["type"] != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        errors.push(FieldError::invalid(format!("{path}.type"), &schema["type"], detail));
    }
    match list {
        "atomic" => {}
        "set" => {
            if items["type"] == "object" && items["x-kubernetes-map-type"] != "atomic" {
                let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
                let field = format!("{path}.items.x-kubernetes-map-type");
                errors.push(FieldError::invalid(field, &Value::Null, detail));
            }
        }
        "map" => check_keys(items, schema[KEYS].as_array().map_or(&[][..], Vec::as_slice), path, errors),
        other => {
            let detail = "supported values: \"atomic\", \"map\", \"set\"";
            errors.push(FieldError::new(Why::NotSupported, format!("{path}.{LIST}"), &other.into(), detail));
        }
    }
    if list != "atomic" && items["nullable"] == true {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list}");
        errors.push(forbidden(format!("{path}.items.nullable"), &detail));
    }
}

fn check_keys(items: &Value, keys: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let field = format!("{path}.x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.push(FieldError::required(&*field, "must not be empty if x-kubernetes-list-type is map"));
    }
    if items["type"] != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(format!("{path}.items.type"), &items["type"], detail));
        return;
    }
    for key in keys.iter().filter_map(Value::as_str) {
        let property = &items["properties"][key];
        let at = format!("{path}.items.properties[{key}]");
        if property.is_null() {
            let shown = Value::Array(keys.to_vec());
            errors.push(FieldError::invalid(&*field, &shown, "entries must all be names of item properties"));
            continue;
        }
        if matches!(property["type"].as_str(), Some("array" | "object")) {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(format!("{at}.type"), &property["type"], detail));
        }
        let required = items["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key));
        if !required && property.get("default").is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                          property";
            errors.push(FieldError::required(format!("{at}.default"), detail));
        }
    }
}

/// Checks the rules, here and below. `loose` is the path of a list whose elements can't be told apart from what they
/// were.
fn check_rules(schema: &Value, path: &str, loose: Option<&str>, errors: &mut Vec<FieldError>) {
    for (index, rule) in schema[VALIDATIONS].as_array().into_iter().flatten().enumerate() {
        let field = format!("{path}.{VALIDATIONS}[{index}].rule");
        let one = Rules::of(rule);
        for fault in one.faults() {
            let detail = format!("compilation failed: {fault}");
            errors.push(FieldError::invalid(&*field, rule, &detail));
        }
        if let Some(loose) = loose.filter(|_| one.asks_for_the_past()) {
            let detail =
                format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {loose}");
            errors.push(FieldError::invalid(&*field, &rule["rule"], &detail));
        }
    }
    for (child, level, at) in children(schema, path) {
        let here = match level {
            Level::Item => schema["x-kubernetes-list-type"] != "map",
            Level::Field => schema["x-kubernetes-map-type"] == "atomic",
            Level::Root => false,
        };
        check_rules(child, &at, loose.or(here.then_some(path)), errors);
    }
}
