//! Changing parts of an object.

use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

use super::{Call, decode, strategic};
use crate::{
    cluster::Cluster,
    error::{ApiError, FieldError, Result, Why},
    fields, meta,
};

/// A change, in one of the languages for changes.
#[derive(Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own: lists are merged by keys.
    Strategic(Value),
    /// Server-side apply: the fields that somebody wants.
    Apply(Value),
}

/// Most operations of a JSON patch.
const OPERATIONS: usize = 10_000;
/// Most bytes that the copies of a JSON patch make, all together, as kube-apiserver.
const COPIED: usize = 3 << 20;

/// What only an apply is told, and must be.
pub(crate) fn check_options(call: &Call, patch: &Patch) -> Result<()> {
    let refuse = |error: FieldError| Err(ApiError::bad_options("PatchOptions", &error));
    let Patch::Apply(applied) = patch else {
        return match call.params.force {
            true => refuse(FieldError::unshown(
                Why::Forbidden,
                "force",
                "may not be specified for non-apply patch",
            )),
            false => Ok(()),
        };
    };
    if call.params.field_manager.as_deref().unwrap_or_default().is_empty() {
        return refuse(FieldError::required("fieldManager", "is required for apply patch"));
    }
    if !applied.is_object() {
        return Err(ApiError::bad_request("error decoding YAML: what is applied is no object"));
    }
    let text = |field: &str| applied[field].as_str().unwrap_or_default();
    if text("kind").is_empty() || text("apiVersion").is_empty() {
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let why = format!("invalid object type: {group}/{version}, Kind={}", text("kind"));
        return Err(ApiError::bad_request(why));
    }
    if !meta::text(applied, "name").is_empty() {
        decode::check_name(call, applied)?;
    }
    Ok(())
}

/// Does what a JSON patch says, one operation after the other; after a refusal the object is good for nothing.
fn operate(object: &mut Value, patch: &json_patch::Patch) -> Result<()> {
    let mut copied = 0;
    for operation in &patch.0 {
        if let PatchOperation::Copy(copy) = operation
            && let Some(source) = object.pointer(copy.from.as_str())
        {
            copied += source.to_string().len();
            if copied > COPIED {
                let why = format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit \
                     {COPIED}"
                );
                return Err(ApiError::too_many_operations(why));
            }
        }
        let operation = lenient(object, operation);
        // The library's way back after a failure does not know all of its own steps.
        json_patch::patch_unsafe(object, std::slice::from_ref(&operation))
            .map_err(|_| ApiError::unprocessable())?;
        if meta::is_deeper_than(object, meta::DEEPEST) {
            return Err(ApiError::unprocessable());
        }
    }
    Ok(())
}

/// As kube-apiserver reads an operation: what replaces a field that is not there adds it, and a copy of one is a null.
fn lenient(object: &Value, operation: &PatchOperation) -> PatchOperation {
    let is_missing_field = |pointer: &str| {
        let parent = pointer.rsplit_once('/').and_then(|(parent, _)| object.pointer(parent));
        parent.is_some_and(Value::is_object) && object.pointer(pointer).is_none()
    };
    match operation {
        PatchOperation::Replace(replace) if is_missing_field(replace.path.as_str()) => {
            PatchOperation::Add(AddOperation { path: replace.path.clone(), value: replace.value.clone() })
        }
        PatchOperation::Copy(copy) if is_missing_field(copy.from.as_str()) => {
            PatchOperation::Add(AddOperation { path: copy.path.clone(), value: Value::Null })
        }
        other => other.clone(),
    }
}

/// The object as a patch makes it.
pub(super) fn changed(cluster: &Cluster, call: &Call, old: &Value, patch: &Patch) -> Result<Value> {
    let mut object = old.clone();
    match patch {
        Patch::Json(patch) => {
            if patch.len() > OPERATIONS {
                let why = format!(
                    "The allowed maximum operations in a JSON patch is {OPERATIONS}, got {}",
                    patch.len()
                );
                return Err(ApiError::too_many_operations(why));
            }
            operate(&mut object, patch)?;
        }
        Patch::Merge(patch) => json_patch::merge(&mut object, patch),
        Patch::Strategic(_) if !call.resource.habits.core => {
            let accepted =
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            return Err(ApiError::unsupported_media_type("application/strategic-merge-patch+json", accepted));
        }
        Patch::Strategic(patch) => {
            strategic::merge(Some(&call.version().schema), &mut object, patch)
                .map_err(ApiError::bad_request)?;
        }
        Patch::Apply(applied) => return fields::apply(call, Some(old), applied, &cluster.now()),
    }
    Ok(object)
}
