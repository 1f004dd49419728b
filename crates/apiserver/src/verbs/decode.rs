//! From what a client sent to an object of its kind: its type, its place, its shape, its defaults.

use serde_json::Value;

use super::Call;
use crate::{
    error::{ApiError, FieldError, Result},
    http::FieldValidation,
    kinds, meta,
    registry::object_meta,
};

/// Checks that the object belongs where it was sent, reads it as its kind and drops what no schema knows.
///
/// Answers with a warning per unknown field.
pub(super) fn receive(call: &Call, object: &mut Value) -> Result<Vec<String>> {
    check_type(call, object)?;
    if meta::is_deeper_than(object, meta::DEEPEST) {
        return Err(ApiError::bad_request(format!("an object has {} levels at the most", meta::DEEPEST)));
    }
    let mut dropped = Vec::new();
    let undecodable = |why: String| {
        let (kind, version) = (&call.resource.kind, &call.version().name);
        ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    };
    meta::of(object);
    object_meta().decode_under(&mut object["metadata"], "metadata").map_err(undecodable)?;
    if call.resource.habits.core {
        call.version().schema.decode(object).map_err(undecodable)?;
    }
    prune(call, object, &mut dropped);
    dropped.sort();
    object["kind"] = (*call.resource.kind).into();
    object["apiVersion"] = call.api_version().into();
    match call.params.field_validation {
        FieldValidation::Strict if !dropped.is_empty() => {
            let fields: Vec<String> =
                dropped.iter().map(|field| format!("unknown field \"{field}\"")).collect();
            let (kind, version) = (&call.resource.kind, &call.version().name);
            let why = format!("strict decoding error: {}", fields.join(", "));
            Err(ApiError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
            )))
        }
        FieldValidation::Warn => {
            Ok(dropped.iter().map(|field| format!("unknown field \"{field}\"")).collect())
        }
        FieldValidation::Ignore | FieldValidation::Strict => Ok(Vec::new()),
    }
}

fn prune(call: &Call, object: &mut Value, dropped: &mut Vec<String>) {
    let mut inner = Vec::new();
    object_meta().prune(&mut object["metadata"], &mut inner);
    dropped.extend(inner.into_iter().map(|field| format!("metadata.{field}")));
    // The schema of a custom type knows nothing of these.
    let Value::Object(fields) = object else { return };
    let outer: Vec<_> = ["apiVersion", "kind", "metadata"].map(|field| (field, fields.remove(field))).into();
    call.version().schema.prune(object, dropped);
    let Value::Object(fields) = object else { return };
    for (field, value) in outer {
        fields.extend(value.map(|value| (field.to_owned(), value)));
    }
}

fn check_type(call: &Call, object: &Value) -> Result<()> {
    let Value::Object(fields) = object else {
        return Err(ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: \
             no JSON object",
            call.resource.kind
        )));
    };
    let sent = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, api_version) = (sent("kind"), sent("apiVersion"));
    let (wanted_kind, wanted_version) = (&*call.resource.kind, call.api_version());
    let is_core = call.resource.habits.core;
    // Kind and version follow from the path where a core kind leaves them out.
    if (kind.is_empty() && is_core || kind == wanted_kind)
        && (api_version.is_empty() && is_core || api_version == wanted_version)
    {
        return Ok(());
    }
    if !is_core && kind == wanted_kind {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({wanted_version})"
        )));
    }
    if !is_core && !kind.is_empty() {
        let error = FieldError::invalid("kind", &kind.into(), &format!("must be {wanted_kind}"));
        return Err(ApiError::invalid_as(kind, &call.resource.group, meta::text(object, "name"), &[error]));
    }
    if kind.is_empty() {
        return Err(ApiError::bad_request(format!("Object 'Kind' is missing in '{object}'")));
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    Err(ApiError::bad_request(format!(
        "{kind} in version \"{version}\" cannot be handled as a {wanted_kind}: no kind \"{kind}\" is registered for \
         the expected type in version \"{group}/{version}\""
    )))
}

/// The namespace of the path is the object's.
pub(super) fn place(call: &Call, object: &mut Value) -> Result<()> {
    let sent = meta::text(object, "namespace").to_owned();
    match &call.namespace {
        Some(namespace) if call.resource.namespaced => {
            if !sent.is_empty() && sent != *namespace {
                let why =
                    "the namespace of the provided object does not match the namespace sent on the request";
                return Err(ApiError::bad_request(why));
            }
            meta::of(object).insert("namespace".to_owned(), namespace.as_str().into());
        }
        _ if !sent.is_empty() => {
            let why = "namespace is not allowed for cluster-scoped resources";
            tracing::debug!(why, "a namespace is ignored");
            meta::of(object).remove("namespace");
        }
        _ => {}
    }
    Ok(())
}

/// Fills in what the kind has without being told.
pub(super) fn default(call: &Call, object: &mut Value) {
    let schema = &call.version().schema;
    if !call.resource.habits.core {
        schema.drop_nulls(object);
    }
    schema.fill(object);
    kinds::complete(&call.resource, object);
}

/// The name in a body has to be the one in the path.
pub(super) fn check_name(call: &Call, object: &Value) -> Result<()> {
    let sent = meta::text(object, "name");
    if sent == call.name() {
        return Ok(());
    }
    let name = call.name();
    Err(ApiError::bad_request(if sent.is_empty() {
        format!("the name of the object ({name} based on URL) was undeterminable: name must be provided")
    } else {
        format!("the name of the object ({sent}) does not match the name on the URL ({name})")
    }))
}
