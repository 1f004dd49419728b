//! Deleting one object or many.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Body, Call, Reply};
use crate::{
    cluster::Cluster,
    error::{ApiError, FieldError, Result, Why},
    garbage::{self, Deleted, NAMESPACES, Propagation},
    select::Selection,
    store::{Object, Range},
};

/// What a deletion is told beside the path: in its body or its query.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) propagation: Option<Propagation>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    pub(crate) fn parse(call: &Call, body: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        // Options in the body are all options: the query is not asked.
        let query = body.is_null().then_some(&call.params);
        let policy = text(&body["propagationPolicy"]).or_else(|| query?.propagation.clone());
        let propagation = match policy.as_deref() {
            None if body["orphanDependents"] == true => Some(Propagation::Orphan),
            None => None,
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let detail = "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
                let error = FieldError::new(Why::NotSupported, "propagationPolicy", &other.into(), detail);
                return Err(ApiError::bad_options("DeleteOptions", &error));
            }
        };
        Ok(Self {
            propagation,
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            dry_run: query.is_some_and(|query| query.dry_run)
                || body["dryRun"].as_array().is_some_and(|all| !all.is_empty()),
        })
    }

    fn check(&self, call: &Call, name: &str, object: &Object) -> Result<()> {
        let revision = object.revision.to_string();
        for (wanted, there, title, hint) in [
            (&self.uid, &*object.meta().uid, "UID", "deleted and then recreated"),
            (&self.resource_version, &*revision, "ResourceVersion", "modified"),
        ] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != *there) {
                let why = format!(
                    "the {title} in the precondition ({wanted}) does not match the {title} in record ({there}). The \
                     object might have been {hint}"
                );
                return Err(ApiError::precondition(&call.resource, name, &why));
            }
        }
        Ok(())
    }
}

/// Deletes one object.
pub(crate) fn delete(cluster: &Cluster, call: &Call, options: &DeleteOptions) -> Result<Reply> {
    if *call.resource.id == *NAMESPACES && garbage::is_protected(call.name()) {
        return Err(ApiError::forbidden(&call.resource, call.name(), "this namespace may not be deleted"));
    }
    let deleted = cluster.write(|state| -> Result<_> {
        let current = call.current(state)?;
        options.check(call, call.name(), &current)?;
        if options.dry_run {
            return Ok(Deleted::Gone(current));
        }
        let deleted = garbage::delete(cluster, state, &call.key(), options.propagation);
        deleted.ok_or_else(|| ApiError::not_found(&call.resource, call.name()))
    })?;
    let body = match deleted {
        Deleted::Gone(object) if !call.resource.habits.returns_deleted => Body::Value(success(call, &object)),
        Deleted::Gone(object) | Deleted::Waiting(object) => Body::Object(call.render(&object)),
    };
    Ok(Reply::ok(body))
}

fn success(call: &Call, object: &Object) -> Value {
    let mut details =
        json!({"name": call.name(), "kind": &*call.resource.plural, "uid": &*object.meta().uid});
    if !call.resource.group.is_empty() {
        details["group"] = (*call.resource.group).into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// Deletes all objects of a list, each as a step of its own.
pub(crate) fn delete_collection(cluster: &Cluster, call: &Call, options: &DeleteOptions) -> Result<Reply> {
    let params = &call.params;
    let selection = Selection::parse(&call.resource, &params.label_selector, &params.field_selector)?;
    let prefix = call.prefix();
    let (revision, mut chosen) = cluster.read(|state| {
        let range = Range { resource: &call.resource.kept, prefix: &prefix, after: "" };
        let all = state.store.list(range).map(|(key, object)| (key.clone(), Arc::clone(object)));
        (state.store.revision(), all.collect::<Vec<_>>())
    });
    chosen.retain(|(key, object)| selection.matches(key, object));
    for (key, object) in &chosen {
        options.check(call, key.name(), object)?;
    }
    for (key, object) in chosen.iter().filter(|_| !options.dry_run) {
        cluster.write(|state| {
            // What somebody else has made in the meantime is not meant.
            if state.store.get(key).is_some_and(|there| there.meta().uid == object.meta().uid) {
                garbage::delete(cluster, state, key, options.propagation);
            }
        });
    }
    let items: Vec<Value> = chosen.iter().map(|(_, object)| call.shown(object)).collect();
    let list = json!({
        "kind": &*call.resource.list_kind,
        "apiVersion": call.api_version(),
        "metadata": {"resourceVersion": revision.to_string()},
        "items": items,
    });
    Ok(Reply::ok(Body::List(list.to_string().into())))
}
