//! The subresource `scale`: how many replicas an object wants and has, the same for all kinds that have any.

use serde_json::{Value, json};

use super::{Call, decode};
use crate::{
    error::{ApiError, FieldError, Result},
    meta,
    registry::Scale,
    select,
};

/// What an object shows of itself as a scale.
pub(super) fn show(scale: &Scale, object: &Value) -> Value {
    let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut shown = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {},
        "status": {"replicas": at(&scale.present).as_i64().unwrap_or_default()},
    });
    let wanted =
        object.pointer(&scale.wanted).map_or(scale.usual, |wanted| wanted.as_i64().unwrap_or_default());
    if wanted != 0 {
        shown["spec"]["replicas"] = wanted.into();
    }
    let selector = match scale.selector.as_ref().map(|pointer| at(pointer)).unwrap_or_default() {
        Value::String(text) => text,
        selector => select::text(&selector),
    };
    if !selector.is_empty() {
        shown["status"]["selector"] = selector.into();
    }
    shown
}

/// The object as a change of its scale makes it.
pub(super) fn scaled(call: &Call, scale: &Scale, old: &Value, changed: &Value) -> Result<Value> {
    decode::check_name(call, changed)?;
    let wanted = &changed["spec"]["replicas"];
    let wanted = if wanted.is_null() { 0 } else { wanted.as_i64().unwrap_or(-1) };
    if wanted < 0 {
        let given = &changed["spec"]["replicas"];
        if call.resource.habits.core {
            let error = FieldError::invalid("spec.replicas", given, "must be greater than or equal to 0");
            return Err(ApiError::invalid_as("Scale", "autoscaling", call.name(), &[error]));
        }
        let at = scale.wanted.replace('/', ".");
        let error = FieldError::invalid(at, given, "should be a non-negative integer");
        return Err(ApiError::invalid(&call.resource, call.name(), &[error]));
    }
    let mut object = old.clone();
    for field in ["resourceVersion", "uid"].into_iter().filter(|field| !meta::text(changed, field).is_empty())
    {
        meta::copy(changed, &mut object, field);
    }
    let nowhere = || ApiError::unforeseen(format!("there is no place for replicas at {}", scale.wanted));
    set(&mut object, &scale.wanted, wanted.into()).ok_or_else(nowhere)?;
    Ok(object)
}

/// Sets what is at a pointer; `None`: something else is on the way.
fn set(object: &mut Value, pointer: &str, value: Value) -> Option<()> {
    let mut place = object;
    for field in pointer.split('/').skip(1) {
        if place.is_null() {
            *place = json!({});
        }
        place = place.as_object_mut()?.entry(field).or_insert(Value::Null);
    }
    *place = value;
    Some(())
}
