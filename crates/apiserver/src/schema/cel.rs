//! The rules of a CRD's schema (`x-kubernetes-validations`).

use std::sync::LazyLock;

use kube_cel::{CompiledSchema, SchemaFormat, ScopeContext, Validator, check_rule_scope, compile_schema};
use serde_json::Value;

use super::cost::{has_struct, is_affordable};
use crate::error::{FieldError, Why};

/// All rules of one schema, compiled.
pub(crate) struct Rules(CompiledSchema);

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rules")
    }
}

impl Rules {
    /// `None`: the schema has no rule.
    pub(crate) fn compile(schema: &Value) -> Option<Self> {
        has_rules(schema).then(|| {
            let mut compiled = compile_schema(schema);
            prune(&mut compiled);
            Self(compiled)
        })
    }

    /// One rule alone.
    pub(crate) fn of(rule: &Value) -> Self {
        Self(compile_schema(&serde_json::json!({"x-kubernetes-validations": [rule]})))
    }

    /// Why a rule could not be compiled, or what it asks for that no rule can have.
    pub(crate) fn faults(&self) -> Vec<String> {
        let undeclared = |rule: &str| {
            let warnings = check_rule_scope(rule, ScopeContext::CrdValidation).into_iter();
            let free = warnings.filter(|warning| {
                warning.message.split('\'').nth(1).is_none_or(|variable| !is_bound(variable, rule))
            });
            free.map(|warning| warning.message).collect::<Vec<_>>()
        };
        let rules = self.0.validations.iter();
        rules
            .flat_map(|rule| match rule {
                Ok(rule) if has_struct(rule.program.expression()) => {
                    vec!["a struct can't be made here; use a map".to_owned()]
                }
                Ok(rule) => undeclared(&rule.rule.rule),
                Err(error) => vec![error.to_string()],
            })
            .collect()
    }

    /// Whether a rule compares with what was before.
    pub(crate) fn asks_for_the_past(&self) -> bool {
        self.0.validations.iter().flatten().any(|rule| rule.is_transition_rule)
    }

    /// What the rules have against an object that was `old`.
    pub(crate) fn check(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        if !is_affordable(&self.0, object, old) {
            let why = "the rules would run for too long; bound lists by maxItems, or loop less within loops";
            return vec![FieldError::unshown(Why::Forbidden, "<nil>", why)];
        }
        let mut errors = Vec::new();
        ask(&self.0, "", object, old, &mut errors);
        let is_new = |error: &kube_cel::ValidationError| {
            let pointer = pointer(&error.field_path);
            // What has not changed is let pass, as in validation.
            old.is_none_or(|old| pointer.is_empty() || old.pointer(&pointer) != object.pointer(&pointer))
        };
        errors.into_iter().filter(is_new).map(|error| refusal(object, &error)).collect()
    }
}

/// Takes out what has no rules, down to where the first are. Whether any are left.
fn prune(schema: &mut CompiledSchema) -> bool {
    if !schema.validations.is_empty() {
        simplify(schema);
        return true;
    }
    schema.properties.retain(|_, property| prune(property));
    for part in [&mut schema.items, &mut schema.additional_properties] {
        drop(part.take_if(|part| !prune(part)));
    }
    for branches in [&mut schema.all_of, &mut schema.one_of, &mut schema.any_of] {
        branches.retain_mut(prune);
    }
    !schema.properties.is_empty() || !has_only_fields(schema)
}

/// Takes out, of what a rule sees, whatever is to rules as if it had no schema. Whether all of it is.
fn simplify(schema: &mut CompiledSchema) -> bool {
    for part in [&mut schema.items, &mut schema.additional_properties] {
        drop(part.take_if(|part| simplify(part)));
    }
    let is_open = schema.additional_properties.is_some();
    schema.properties.retain(|_, property| !simplify(property) || is_open);
    for branches in [&mut schema.all_of, &mut schema.one_of, &mut schema.any_of] {
        branches.retain_mut(prune);
    }
    let has_no_type = matches!(schema.format, SchemaFormat::None | SchemaFormat::IntOrString)
        && !(schema.is_map || schema.embedded_resource);
    has_no_type && schema.default.is_none() && schema.properties.is_empty() && has_only_fields(schema)
}

/// Whether all rules are those of properties.
fn has_only_fields(schema: &CompiledSchema) -> bool {
    let mut branches = [&schema.all_of, &schema.one_of, &schema.any_of].into_iter();
    schema.validations.is_empty()
        && schema.items.is_none()
        && schema.additional_properties.is_none()
        && branches.all(Vec::is_empty)
}

/// Asks the rules of a schema about the value at `path`, but for those about what has not changed: to ask takes long, and
/// what they had against it would be let pass.
fn ask(
    schema: &CompiledSchema,
    path: &str,
    value: &Value,
    old: Option<&Value>,
    errors: &mut Vec<kube_cel::ValidationError>,
) {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::new);
    if has_only_fields(schema) {
        for (name, schema) in &schema.properties {
            let (value, old) = (value.get(name), old.and_then(|old| old.get(name)));
            let Some(value) = value.filter(|value| old != Some(value)) else { continue };
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            ask(schema, &path, value, old, errors);
        }
        return;
    }
    let Err(found) = VALIDATOR.validate_compiled(schema, value, old) else { return };
    errors.extend(found.into_vec().into_iter().map(|mut error| {
        let dot =
            if error.field_path.is_empty() || error.field_path.starts_with(['.', '[']) { "" } else { "." };
        if !path.is_empty() {
            error.field_path = format!("{path}{dot}{}", error.field_path);
        }
        error
    }));
}

/// Whether a macro such as `all(item, …)` declares the variable, which the library takes for undeclared.
fn is_bound(variable: &str, rule: &str) -> bool {
    rule.match_indices(variable).any(|(at, _)| {
        let (before, after) = (rule[..at].trim_end(), rule[at + variable.len()..].trim_start());
        before.ends_with(['(', ',']) && after.starts_with(',')
    })
}

fn refusal(object: &Value, error: &kube_cel::ValidationError) -> FieldError {
    let why = match error.reason.as_deref() {
        Some("FieldValueForbidden") => Why::Forbidden,
        Some("FieldValueRequired") => Why::Required,
        Some("FieldValueDuplicate") => Why::Duplicate,
        _ => Why::Invalid,
    };
    let value = object.pointer(&pointer(&error.field_path)).cloned().unwrap_or_default();
    let field = if error.field_path.is_empty() { "<nil>" } else { &error.field_path };
    match value {
        Value::Object(_) | Value::Array(_) => FieldError::unshown(why, field, &error.message),
        scalar => FieldError::new(why, field, &scalar, &error.message),
    }
}

/// The JSON pointer of a path.
fn pointer(path: &str) -> String {
    path.split('.')
        .filter(|part| !part.is_empty())
        .fold(String::new(), |pointer, part| format!("{pointer}/{}", part.replace('[', "/").replace(']', "")))
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.contains_key("x-kubernetes-validations") || fields.values().any(has_rules)
        }
        Value::Array(elements) => elements.iter().any(has_rules),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Rules at the root, in a field, in the elements of a list and in the values of a map, over types that are more to
    /// CEL than to JSON.
    fn schema() -> Value {
        let rule = |rule: &str| json!([{"rule": rule, "message": rule}]);
        let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
        json!({
            "type": "object",
            "x-kubernetes-validations": rule("!has(self.spec.at) || self.spec.at > timestamp('2026-01-01T00:00:00Z')"),
            "properties": {
                "spec": {"type": "object", "properties": {
                    "at": {"type": "string", "format": "date-time"},
                    "plain": {"type": "object", "properties": {"a-b": {"type": "string"}}},
                    "labels": texts,
                }, "x-kubernetes-validations": rule("!has(self.labels) || !('a.b/c' in self.labels) || has(self.plain)")},
                "status": {"type": "object", "properties": {
                    "items": {"type": "array", "items": {"type": "object", "properties": {
                        "n": {"type": "integer", "x-kubernetes-validations": rule("self < 3")},
                    }}},
                    "quiet": {"type": "object", "properties": {"deep": texts}},
                }},
                "named": {"type": "object", "additionalProperties": {
                    "type": "string", "x-kubernetes-validations": rule("self == 'good'"),
                }},
            },
        })
    }

    fn objects() -> Vec<Value> {
        vec![
            json!({"spec": {"at": "2025-01-01T00:00:00Z", "labels": {"a.b/c": "x"}}}),
            json!({"spec": {"at": "2027-01-01T00:00:00Z", "labels": {"a.b/c": "x"}, "plain": {"a-b": "x"}}}),
            json!({"spec": {}, "status": {"items": [{"n": 1}, {"n": 4}], "quiet": {"deep": {"a": "b"}}}}),
            json!({"spec": {}, "status": {"items": [{"n": 7}]}, "named": {"one": "bad", "two": "good"}}),
            json!({}),
        ]
    }

    /// Paths and messages, in the order of their paths.
    fn told(mut errors: Vec<String>) -> Vec<String> {
        errors.sort();
        errors
    }

    #[test]
    fn rules_say_the_same_with_and_without_what_has_none() {
        for schema in [schema(), json!({"properties": schema()["properties"]})] {
            let (rules, whole) = (Rules::compile(&schema).unwrap(), compile_schema(&schema));
            for object in objects() {
                let found = Validator::new().validate_compiled(&whole, &object, None).err();
                let found = found.into_iter().flat_map(kube_cel::ValidationErrors::into_vec);
                let expected = told(found.map(|error| format!("{:?}", refusal(&object, &error))).collect());
                let errors = rules.check(&object, None);
                assert_eq!(
                    told(errors.iter().map(|error| format!("{error:?}")).collect()),
                    expected,
                    "{object}"
                );
            }
        }
    }

    #[test]
    fn what_has_not_changed_is_let_pass_and_what_has_is_not() {
        let rules = Rules::compile(&json!({"properties": schema()["properties"]})).unwrap();
        let old = &objects()[3];
        let mut new = old.clone();
        new["spec"]["plain"] = json!({});
        assert!(rules.check(&new, Some(old)).is_empty());
        new["named"]["two"] = json!("worse");
        let errors = rules.check(&new, Some(old));
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["named.two"]);
    }
}
