//! Reading one object or many.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{Body, Call, Reply};
use crate::{
    cluster::{Cluster, State},
    error::{ApiError, FieldError, Result, Why},
    select::Selection,
    store::{Key, Object, Range},
};

/// Reads one object.
pub(crate) fn get(cluster: &Cluster, call: &Call) -> Result<Reply> {
    let object = cluster.read(|state| {
        refuse_future(state, call)?;
        call.current(state)
    })?;
    Ok(Reply::ok(Body::Object(call.render(&object))))
}

/// Where the next page starts; opaque to clients.
#[derive(Deserialize)]
struct Continue {
    v: String,
    /// The state that the pages are of; negative, if they need not agree.
    rv: i64,
    start: String,
}

const FORMAT: &str = "meta.k8s.io/v1";

/// What is asked for: of which state, and from where on.
struct Start {
    revision: u64,
    /// The path after which it starts; empty at the beginning.
    after: String,
}

/// One page.
struct Page {
    revision: u64,
    objects: Vec<(Key, Arc<Object>)>,
    next: Option<String>,
    /// How many come after this page, where that is known.
    remaining: Option<usize>,
}

/// Reads the objects of a list, or a page of them.
pub(crate) fn list(cluster: &Cluster, call: &Call) -> Result<Reply> {
    let params = &call.params;
    let selection = Selection::parse(&call.resource, &params.label_selector, &params.field_selector)?;
    let prefix = call.prefix();
    // Under the lock objects are only pointed at; what is asked of them and how they are shown comes after.
    let (start, objects) = cluster.read(|state| -> Result<_> {
        let start = start(state, call, &prefix)?;
        let range = Range { resource: &call.resource.kept, prefix: &prefix, after: &start.after };
        let all = state.store.list_at(range, start.revision).map_err(|_| gone(&start, &prefix))?;
        let objects: Vec<_> = all.map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
        Ok((start, objects))
    })?;
    let page = page(call, &selection, &prefix, start.revision, objects);
    Ok(Reply::ok(Body::List(render(call, &page).into())))
}

fn start(state: &State, call: &Call, prefix: &str) -> Result<Start> {
    let params = &call.params;
    let current = state.store.revision();
    refuse_future(state, call)?;
    if params.continue_token.is_empty() {
        check_match(call)?;
        let exact = params.resource_version_match == "Exact";
        let revision = params.resource_version.filter(|_| exact).unwrap_or(current);
        return Ok(Start { revision, after: String::new() });
    }
    let token = read_token(&params.continue_token)?;
    if params.resource_version.is_some_and(|version| version != 0) {
        return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
    }
    let revision = u64::try_from(token.rv).unwrap_or(current);
    Ok(Start { revision, after: format!("{prefix}{}", token.start) })
}

/// The state that is asked for is one that nobody remembers.
fn gone(start: &Start, prefix: &str) -> ApiError {
    let Start { revision, after } = start;
    match after.strip_prefix(prefix).filter(|after| !after.is_empty()) {
        Some(after) => ApiError::expired_page(write_token(-1, after)),
        None => {
            ApiError::expired(format!("The resourceVersion for the provided list is too old: {revision}"))
        }
    }
}

fn page(
    call: &Call,
    selection: &Selection,
    prefix: &str,
    revision: u64,
    objects: Vec<(Key, Arc<Object>)>,
) -> Page {
    let limit = if call.params.limit == 0 { usize::MAX } else { call.params.limit };
    let mut selected = objects.into_iter().filter(|(key, object)| selection.matches(key, object));
    let objects: Vec<_> = selected.by_ref().take(limit).collect();
    let left = selected.count();
    let next = objects.last().filter(|_| left > 0).map(|(key, _)| {
        let start = key.path.strip_prefix(prefix).unwrap_or(&key.path);
        write_token(i64::try_from(revision).unwrap_or(-1), start)
    });
    let remaining = next.as_ref().filter(|_| selection.is_everything()).map(|_| left);
    Page { revision, objects, next, remaining }
}

fn check_match(call: &Call) -> Result<()> {
    let params = &call.params;
    let refuse = |why, detail: &str| {
        let shown = Value::from(&*params.resource_version_match);
        let error = FieldError::new(why, "resourceVersionMatch", &shown, detail);
        Err(ApiError::bad_options("ListOptions", &error))
    };
    match (&*params.resource_version_match, params.resource_version) {
        ("", _) | ("NotOlderThan", Some(_)) | ("Exact", Some(1..)) => Ok(()),
        ("Exact", Some(0)) => {
            refuse(Why::Forbidden, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        ("Exact" | "NotOlderThan", None) => {
            refuse(Why::Forbidden, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        }
        _ => refuse(Why::NotSupported, "supported values: \"Exact\", \"NotOlderThan\", \"\""),
    }
}

/// A revision that this server has not reached yet.
pub(crate) fn refuse_future(state: &State, call: &Call) -> Result<()> {
    let current = state.store.revision();
    match call.params.resource_version {
        Some(asked) if asked > current => Err(ApiError::too_new(asked, current)),
        _ => Ok(()),
    }
}

fn read_token(token: &str) -> Result<Continue> {
    let invalid = |why: &str| {
        ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    let bytes =
        BASE64_URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|e| invalid(&e.to_string()))?;
    let token: Continue = serde_json::from_slice(&bytes).map_err(|e| invalid(&e.to_string()))?;
    if token.v != FORMAT {
        return Err(invalid(&format!("server does not recognize this encoded version {}", token.v)));
    }
    Ok(token)
}

fn write_token(revision: i64, start: &str) -> String {
    BASE64_URL_SAFE_NO_PAD
        .encode(serde_json::json!({"v": FORMAT, "rv": revision, "start": start}).to_string())
}

fn render(call: &Call, page: &Page) -> Vec<u8> {
    let (kind, api_version) = (&call.resource.list_kind, call.api_version());
    let mut metadata = serde_json::json!({"resourceVersion": page.revision.to_string()});
    match &page.next {
        Some(next) => metadata["continue"] = next.as_str().into(),
        // A custom list says that there is no more.
        None if !call.resource.habits.core => metadata["continue"] = "".into(),
        None => {}
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let mut text =
        format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":[")
            .into_bytes();
    // The items of a core list are of the list's kind, and do not say it.
    let kind = (!call.resource.habits.core).then_some((&*call.resource.kind, &*api_version));
    for (index, (_, object)) in page.objects.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        call.write(object, kind, &mut text);
    }
    text.extend_from_slice(b"]}");
    text
}
