//! Replacing an object, or its status.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Body, Call, Noted, Part, Reply, admit, create::create_in};
use crate::{
    cluster::{Cluster, State},
    error::{ApiError, FieldError, Result, Why},
    fields, garbage, kinds, meta,
    store::Object,
};

/// Replaces an object.
pub(crate) fn update(cluster: &Cluster, call: &Call, mut object: Value) -> Result<Reply> {
    let warnings = admit::receive(call, &mut object)?;
    admit::place(call, &mut object)?;
    let sent = meta::text(&object, "name");
    if sent.is_empty() {
        let name = call.name();
        let why =
            format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
        return Err(ApiError::bad_request(why));
    } else if sent != call.name() {
        let why =
            format!("the name of the object ({sent}) does not match the name on the URL ({})", call.name());
        return Err(ApiError::bad_request(why));
    }
    let reply = cluster.write(|state| {
        let current = match call.current(state) {
            Err(_) if call.resource.habits.create_on_update && call.part == Part::Whole => {
                return create_in(cluster, state, call, object, Noted::ByChange);
            }
            current => current?,
        };
        if meta::text(&object, "resourceVersion").is_empty() && !call.resource.habits.unconditional_update {
            let detail = "must be specified for an update";
            let error = FieldError::invalid("metadata.resourceVersion", &0.into(), detail);
            return Err(ApiError::invalid_as(
                &call.resource.plural,
                &call.resource.group,
                call.name(),
                &[error],
            ));
        }
        replace(cluster, state, call, &current, object, Noted::ByChange)
    });
    reply.map(|mut reply| {
        reply.warnings.extend(warnings);
        reply
    })
}

/// Puts a new state in the place of the current one, as far as the call may change it.
pub(super) fn replace(
    cluster: &Cluster,
    state: &mut State,
    call: &Call,
    current: &Arc<Object>,
    mut object: Value,
    noted: Noted,
) -> Result<Reply> {
    let old = call.parse(current);
    check_preconditions(call, &object, &old)?;
    keep(call, &old, &mut object);
    kinds::keep(&call.resource, call.part, &old, &mut object);
    check_finalizers(call, &old, &object)?;
    admit::validate(call, &mut object, Some(&old))?;
    count_generation(call, &old, &mut object);
    if noted == Noted::ByChange {
        fields::written(call, Some(&old), &mut object, &cluster.now());
    }
    finish(cluster, state, call, &old, object)
}

/// Keeps the new state, or nothing if it says what the old one said.
pub(super) fn finish(
    cluster: &Cluster,
    state: &mut State,
    call: &Call,
    old: &Value,
    mut object: Value,
) -> Result<Reply> {
    let key = call.key();
    meta::copy(old, &mut object, "resourceVersion");
    if call.params.dry_run || object == *old {
        return Ok(Reply::ok(Body::Object(object.to_string().into())));
    }
    if meta::is_terminating(&object) && meta::finalizers(&object).is_empty() && kinds::may_go(&call.resource)
    {
        // The state without finalizers is nobody's to see: it goes at once.
        let body = object.to_string().into();
        garbage::remove(cluster, state, &key);
        return Ok(Reply::ok(Body::Object(body)));
    }
    let body = call.render(&state.store.put(&key, object));
    garbage::after_write(cluster, state, &key);
    Ok(Reply::ok(Body::Object(body)))
}

fn check_preconditions(call: &Call, object: &Value, old: &Value) -> Result<()> {
    let (sent, there) = (meta::text(object, "uid"), meta::text(old, "uid"));
    if !sent.is_empty() && sent != there {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {sent}, UID in object meta: {there}",
            call.key().path
        );
        return Err(ApiError::conflict(&call.resource, call.name(), &why));
    }
    let sent = meta::text(object, "resourceVersion");
    if !sent.is_empty() && sent != meta::text(old, "resourceVersion") {
        return Err(ApiError::modified(&call.resource, call.name()));
    }
    Ok(())
}

/// Gives back what no update changes, and what this one is not about.
fn keep(call: &Call, old: &Value, object: &mut Value) {
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "selfLink",
    ] {
        meta::copy(old, object, field);
    }
    let Value::Object(fields) = object else { return };
    let restore = |fields: &mut Map<String, Value>, name: &str| match old.get(name) {
        Some(value) => drop(fields.insert(name.to_owned(), value.clone())),
        None => drop(fields.remove(name)),
    };
    match call.part {
        Part::Whole if call.version().status => restore(fields, "status"),
        Part::Whole => {}
        Part::Status if call.resource.habits.core => restore(fields, "spec"),
        Part::Status => {
            let sent = fields.clone();
            old.as_object().unwrap_or(&Map::new()).clone_into(fields);
            match sent.get("status") {
                Some(status) => drop(fields.insert("status".to_owned(), status.clone())),
                None => drop(fields.remove("status")),
            }
            // Who has applied which field of the status is known by now.
            if let Some(managed) = sent.get("metadata").and_then(|metadata| metadata.get("managedFields")) {
                fields["metadata"]["managedFields"] = managed.clone();
            }
        }
    }
}

/// On its way out an object gets no new finalizer.
fn check_finalizers(call: &Call, old: &Value, object: &Value) -> Result<()> {
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
    admit::refuse(call, object, &[error.clone(), error])
}

fn count_generation(call: &Call, old: &Value, object: &mut Value) {
    if !call.resource.habits.generation || call.part == Part::Status {
        return;
    }
    let wanted = |value: &Value| {
        let mut fields = value.as_object().cloned().unwrap_or_default();
        fields.remove("metadata");
        if call.resource.habits.core || call.version().status {
            fields.remove("status");
        }
        fields
    };
    if wanted(old) != wanted(object) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
        meta::of(object).insert("generation".to_owned(), generation.into());
    }
}
