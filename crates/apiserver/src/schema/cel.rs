//! The rules of a CRD's schema (`x-kubernetes-validations`).

use kube_cel::{CompiledSchema, ScopeContext, Validator, check_rule_scope, compile_schema};
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
        has_rules(schema).then(|| Self(compile_schema(schema)))
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
        let Err(errors) = Validator::new().validate_compiled(&self.0, object, old) else { return Vec::new() };
        let errors = errors.into_vec().into_iter();
        let is_new = |error: &kube_cel::ValidationError| {
            let pointer = pointer(&error.field_path);
            // What has not changed is let pass, as in validation.
            old.is_none_or(|old| pointer.is_empty() || old.pointer(&pointer) != object.pointer(&pointer))
        };
        errors.filter(is_new).map(|error| refusal(object, &error)).collect()
    }
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
