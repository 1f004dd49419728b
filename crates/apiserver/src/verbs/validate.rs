//! What an object gets wrong, and what its change.

use serde_json::Value;

use super::Call;
use crate::{
    error::{ApiError, FieldError, Result, Why},
    kinds, meta,
    meta::NameRule,
};

/// Checks the object as a whole: its metadata, its shape, its rules, and what is true of its kind.
///
/// What an old object gets wrong already is let pass, as far as it has not been touched.
pub(super) fn validate(call: &Call, object: &Value, old: Option<&Value>) -> Result<()> {
    let version = call.version();
    let mut errors = meta::check(object, NameRule::of(&call.resource.kept), call.resource.habits.core);
    if !call.resource.habits.core {
        errors.extend(version.schema.check(object, old));
        match &version.rules {
            Some(_) if errors.iter().any(FieldError::hides_rules) => errors.push(unchecked()),
            Some(rules) => errors.extend(rules.check(object, old)),
            None => {}
        }
    }
    errors.extend(kinds::check(&call.resource, object, old));
    refuse(call, object, &errors)
}

/// Rules are not asked about an object that has not the shape that they are written for.
fn unchecked() -> FieldError {
    let detail = "some validation rules were not checked because the object was invalid; correct the existing errors \
                  to complete validation";
    FieldError::invalid("<nil>", &Value::Null, detail)
}

/// On its way out an object gets no new finalizer.
pub(super) fn check_finalizers(call: &Call, object: &Value, old: &Value) -> Result<()> {
    if !meta::is_terminating(old) {
        return Ok(());
    }
    let had = meta::finalizers(old);
    let new: Vec<&str> = meta::finalizers(object).into_iter().filter(|one| !had.contains(one)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = new.iter().map(|one| format!("{one:?}")).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        shown.join(", ")
    );
    let error = FieldError::new(Why::Forbidden, "metadata.finalizers", &Value::Null, &detail);
    // kube-apiserver looks twice, and says so.
    refuse(call, object, &[error.clone(), error])
}

fn refuse(call: &Call, object: &Value, errors: &[FieldError]) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(&call.resource, meta::text(object, "name"), errors))
}
