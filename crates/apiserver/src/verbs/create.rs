//! Making an object.

use serde_json::Value;

use super::{Body, Call, Noted, Reply, admit};
use crate::{
    cluster::{Cluster, State},
    error::{ApiError, Result},
    fields, garbage, kinds, meta,
    source::{suffix, uid},
};

/// How often another generated name is tried.
const NAMES: usize = 8;

/// Makes an object.
pub(crate) fn create(cluster: &Cluster, call: &Call, mut object: Value) -> Result<Reply> {
    let warnings = admit::receive(call, &mut object)?;
    admit::place(call, &mut object)?;
    if !meta::text(&object, "resourceVersion").is_empty() {
        return Err(ApiError::version_on_create());
    }
    cluster.write(|state| create_in(cluster, state, call, object, Noted::ByChange)).map(|mut reply| {
        reply.warnings.extend(warnings);
        reply
    })
}

/// As [`create`], of an object that was received, within a change.
pub(super) fn create_in(
    cluster: &Cluster,
    state: &mut State,
    call: &Call,
    mut object: Value,
    noted: Noted,
) -> Result<Reply> {
    let generated = meta::text(&object, "name").is_empty();
    if generated {
        generate_name(cluster, state, call, &mut object);
    }
    check_namespace(state, call, meta::text(&object, "name"))?;
    prepare(cluster, call, &mut object);
    admit::validate(call, &mut object, None)?;
    if noted == Noted::ByChange {
        meta::of(&mut object).remove("managedFields");
        fields::written(call, None, &mut object, &cluster.now());
    }
    let name = meta::text(&object, "name").to_owned();
    let key = call.key_of(&name);
    if state.store.get(&key).is_some() {
        return Err(ApiError::already_exists(&call.resource, &name));
    }
    let body = if call.params.dry_run {
        object.to_string().into()
    } else {
        let object = state.store.put(&key, object);
        let body = call.render(&object);
        garbage::after_write(cluster, state, &key);
        body
    };
    Ok(Reply { code: 201, body: Body::Object(body), warnings: Vec::new() })
}

fn generate_name(cluster: &Cluster, state: &State, call: &Call, object: &mut Value) {
    /// Longest base, so that the name is no longer than a label may be.
    const BASE: usize = 58;
    let base: String = meta::text(object, "generateName").chars().take(BASE).collect();
    if base.is_empty() {
        return;
    }
    for _ in 0..NAMES {
        let name = format!("{base}{}", suffix(&*cluster.numbers));
        let taken = state.store.get(&call.key_of(&name)).is_some();
        meta::of(object).insert("name".to_owned(), name.into());
        if !taken {
            break;
        }
    }
}

/// Objects are made only in namespaces that are there to stay.
fn check_namespace(state: &State, call: &Call, name: &str) -> Result<()> {
    let Some(namespace) = call.namespace.as_deref().filter(|_| call.resource.namespaced) else {
        return Ok(());
    };
    let namespaces = state.types.by_id("namespaces").ok_or_else(|| ApiError::internal("no namespaces"))?;
    let Some(found) = state.object(&namespaces, None, namespace) else {
        return Err(ApiError::not_found(&namespaces, namespace));
    };
    if meta::is_terminating(&found.parse()) {
        return Err(ApiError::terminating(&call.resource, name, namespace));
    }
    Ok(())
}

/// What the server alone decides about a new object.
fn prepare(cluster: &Cluster, call: &Call, object: &mut Value) {
    if call.version().status
        && let Value::Object(fields) = object
    {
        fields.remove("status");
    }
    let metadata = meta::of(object);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), uid(&*cluster.numbers).into());
    metadata.insert("creationTimestamp".to_owned(), cluster.now());
    if call.resource.habits.generation {
        metadata.insert("generation".to_owned(), 1.into());
    }
    kinds::prepare(&call.resource, object);
}
