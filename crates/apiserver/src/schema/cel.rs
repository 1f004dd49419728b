//! The rules of a CRD's schema (`x-kubernetes-validations`).

use kube_cel::{CompiledSchema, Validator, compile_schema};
use serde_json::Value;

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

    /// Why rules could not be compiled, for the author of the CRD.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.0.compilation_errors().iter().map(ToString::to_string).collect()
    }

    /// What the rules have against an object that was `old`.
    pub(crate) fn check(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let Err(errors) = Validator::new().validate_compiled(&self.0, object, old) else { return Vec::new() };
        errors.into_vec().into_iter().map(|error| refusal(object, &error)).collect()
    }
}

fn refusal(object: &Value, error: &kube_cel::ValidationError) -> FieldError {
    let why = match error.reason.as_deref() {
        Some("FieldValueForbidden") => Why::Forbidden,
        Some("FieldValueRequired") => Why::Required,
        Some("FieldValueDuplicate") => Why::Duplicate,
        _ => Why::Invalid,
    };
    let pointer: String =
        error.field_path.split('.').filter(|part| !part.is_empty()).fold(String::new(), |pointer, part| {
            format!("{pointer}/{}", part.replace('[', "/").replace(']', ""))
        });
    let value = object.pointer(&pointer).cloned().unwrap_or_default();
    let field = if error.field_path.is_empty() { "<nil>" } else { &error.field_path };
    match value {
        Value::Object(_) | Value::Array(_) => FieldError::unshown(why, field, &error.message),
        scalar => FieldError::new(why, field, &scalar, &error.message),
    }
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
