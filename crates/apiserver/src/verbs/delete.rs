//! Deleting one object or many.

use serde_json::{Value, json};

use super::{Body, Call, Reply};
use crate::{
    cluster::{Cluster, State},
    error::{ApiError, FieldError, Result, Why},
    garbage::{self, Deleted, Propagation},
    meta,
    select::Selection,
    store::{Key, Object},
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

    fn check(&self, call: &Call, object: &Value) -> Result<()> {
        let name = meta::text(object, "name");
        for (wanted, field, title, hint) in [
            (&self.uid, "uid", "UID", "deleted and then recreated"),
            (&self.resource_version, "resourceVersion", "ResourceVersion", "modified"),
        ] {
            let there = meta::text(object, field);
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
    let deleted = cluster.write(|state| -> Result<_> {
        let current = call.current(state)?;
        options.check(call, &current.parse())?;
        if options.dry_run {
            return Ok(Deleted::Gone(current));
        }
        let deleted = delete_one(cluster, state, &call.key(), options);
        deleted.ok_or_else(|| ApiError::not_found(&call.resource, call.name()))
    })?;
    let body = match deleted {
        Deleted::Gone(object) if !call.resource.habits.returns_deleted => Body::Value(success(call, &object)),
        Deleted::Gone(object) | Deleted::Waiting(object) => Body::Object(call.render(&object)),
    };
    Ok(Reply::ok(body))
}

fn delete_one(cluster: &Cluster, state: &mut State, key: &Key, options: &DeleteOptions) -> Option<Deleted> {
    garbage::delete(cluster, state, key, options.propagation.unwrap_or(Propagation::Background))
}

fn success(call: &Call, object: &Object) -> Value {
    let mut details = json!({"name": call.name(), "kind": &*call.resource.plural, "uid": &*object.uid});
    if !call.resource.group.is_empty() {
        details["group"] = (*call.resource.group).into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// Deletes all objects of a list.
pub(crate) fn delete_collection(cluster: &Cluster, call: &Call, options: &DeleteOptions) -> Result<Reply> {
    let params = &call.params;
    let selection = Selection::parse(&call.resource.id, &params.label_selector, &params.field_selector)?;
    let (texts, revision) = cluster.write(|state| -> Result<_> {
        let prefix = call.prefix();
        let all =
            state.store.list(&call.resource.id, &prefix).map(|(key, object)| (key.clone(), object.clone()));
        let chosen: Vec<_> = all.filter(|(_, object)| selection.matches(&object.parse())).collect();
        let revision = state.store.revision();
        let mut texts = Vec::new();
        for (key, object) in chosen {
            options.check(call, &object.parse())?;
            texts.push(object.text.clone());
            if !options.dry_run {
                drop(delete_one(cluster, state, &key, options));
            }
        }
        Ok((texts, revision))
    })?;
    let items: Vec<Value> = texts.iter().filter_map(|text| serde_json::from_slice(text).ok()).collect();
    let list = json!({
        "kind": &*call.resource.list_kind,
        "apiVersion": call.api_version(),
        "metadata": {"resourceVersion": revision.to_string()},
        "items": items,
    });
    Ok(Reply::ok(Body::List(list.to_string().into())))
}
