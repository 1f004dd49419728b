//! Reading one object or many.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{Body, Call, Reply, with_type};
use crate::{
    cluster::{Cluster, State},
    error::{ApiError, FieldError, Result, Why},
    select::Selection,
    store::{Gone, Key, Object},
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

/// One page.
struct Page {
    revision: u64,
    objects: Vec<Arc<Object>>,
    next: Option<String>,
    /// How many come after this page, where that is known.
    remaining: Option<usize>,
}

/// Reads the objects of a list, or a page of them.
pub(crate) fn list(cluster: &Cluster, call: &Call) -> Result<Reply> {
    let params = &call.params;
    let selection = Selection::parse(&call.resource.id, &params.label_selector, &params.field_selector)?;
    let page = cluster.read(|state| page(state, call, &selection))?;
    Ok(Reply::ok(Body::List(render(call, &page).into())))
}

fn page(state: &State, call: &Call, selection: &Selection) -> Result<Page> {
    let params = &call.params;
    let current = state.store.revision();
    refuse_future(state, call)?;
    let (revision, start) = if params.continue_token.is_empty() {
        check_match(call)?;
        let exact = params.resource_version_match == "Exact";
        (params.resource_version.filter(|_| exact).unwrap_or(current), None)
    } else {
        let token = read_token(&params.continue_token)?;
        if params.resource_version.is_some_and(|version| version != 0) {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        (u64::try_from(token.rv).unwrap_or(current), Some(token.start))
    };
    let gone = |_: Gone| match &start {
        Some(start) => ApiError::expired_page(write_token(-1, start)),
        None => {
            ApiError::expired(format!("The resourceVersion for the provided list is too old: {revision}"))
        }
    };
    let prefix = call.prefix();
    let old;
    let objects: Box<dyn Iterator<Item = (&Key, &Arc<Object>)>> = if revision == current {
        Box::new(state.store.list(&call.resource.id, &prefix))
    } else {
        old = state.store.list_at(&call.resource.id, &prefix, revision).map_err(gone)?;
        let all: &BTreeMap<Key, Arc<Object>> = &old;
        Box::new(all.iter())
    };
    let from = start.as_ref().map(|start| format!("{prefix}{start}"));
    let mut objects = objects
        .skip_while(|(key, _)| from.as_ref().is_some_and(|from| *key.path <= **from))
        .filter(|(_, object)| selection.is_everything() || selection.matches(&object.parse()));
    let limit = if params.limit == 0 { usize::MAX } else { params.limit };
    let taken: Vec<_> = objects.by_ref().take(limit).collect();
    let left = objects.count();
    let next = taken.last().filter(|_| left > 0).map(|(key, _)| {
        let start = key.path.strip_prefix(&*prefix).unwrap_or(&key.path);
        write_token(i64::try_from(revision).unwrap_or(-1), start)
    });
    Ok(Page {
        revision,
        remaining: next.as_ref().filter(|_| selection.is_everything()).map(|_| left),
        objects: taken.into_iter().map(|(_, object)| Arc::clone(object)).collect(),
        next,
    })
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
    for (index, object) in page.objects.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        if call.resource.habits.core {
            // The items of a core list are of the list's kind, and do not say it.
            text.extend_from_slice(&object.text);
        } else {
            text.extend_from_slice(&with_type(&call.resource.kind, &api_version, &object.text));
        }
    }
    text.extend_from_slice(b"]}");
    text
}
