//! Lists: every object of a type, page by page, each cut out as bytes.

pub mod cut;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use http::Method;
use http_body_util::BodyExt as _;
use serde::Deserialize;

use crate::call::{Attempt, CallError, Caller, Failed};
use cut::{CutError, Cutter, ListMeta};

/// Objects per page. The server holds a page in memory; we don't.
const PAGE: usize = 500;

/// What is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Path of the collection.
    pub path: String,
    /// Label selector; empty selects everything.
    pub selector: String,
}

impl ListRequest {
    fn page(&self, next: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &PAGE.to_string());
        if !self.selector.is_empty() {
            query.append_pair("labelSelector", &self.selector);
        }
        if !next.is_empty() {
            query.append_pair("continue", next);
        }
        format!("{}?{}", self.path, query.finish())
    }
}

/// What tells the objects of a list apart.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    metadata: Name,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq, Hash)]
#[serde(default)]
struct Name {
    namespace: String,
    name: String,
}

/// Every object that `request` selects, once; `take` gets each as it arrives and returns whether to go on.
///
/// A page that is cut off is asked for again, and what has been handed out of it is left out. If the list
/// grows too old between two pages the server continues it from where it stands, as kubectl's chunked lists do.
///
/// # Errors
/// [`CallError`], after what may be repeated was.
pub async fn list<F>(caller: &Caller, request: &ListRequest, mut take: F) -> Result<(), CallError>
where
    F: AsyncFnMut(Vec<u8>) -> Result<(), CallError>,
{
    let mut next = String::new();
    loop {
        let meta = page(caller, request, next, &mut take).await?;
        if meta.next.is_empty() {
            return Ok(());
        }
        next = meta.next;
    }
}

async fn page<F>(
    caller: &Caller,
    request: &ListRequest,
    mut next: String,
    take: &mut F,
) -> Result<ListMeta, CallError>
where
    F: AsyncFnMut(Vec<u8>) -> Result<(), CallError>,
{
    let mut handed_out = HashSet::new();
    let mut attempt = Attempt::default();
    loop {
        let turn = caller.pace().turn().await;
        let read = read_page(caller, &request.page(&next), &mut handed_out, take).await;
        drop(turn);
        match read {
            Ok(meta) => {
                caller.pace().went_through();
                return Ok(meta);
            }
            Err(Stop::Taker(error)) => return Err(error),
            Err(Stop::Failed(failed)) => match failed.goes_on_at() {
                Some(place) if place != next => place.clone_into(&mut next),
                _ => attempt.after(failed, caller.pace()).await?,
            },
        }
    }
}

enum Stop {
    Failed(Failed),
    /// Whoever takes the objects wants no more.
    Taker(CallError),
}

impl From<CutError> for Stop {
    fn from(error: CutError) -> Self {
        Self::Failed(Failed::last(CallError::Unusable(error.to_string())))
    }
}

async fn read_page<F>(
    caller: &Caller,
    path: &str,
    handed_out: &mut HashSet<Name>,
    take: &mut F,
) -> Result<ListMeta, Stop>
where
    F: AsyncFnMut(Vec<u8>) -> Result<(), CallError>,
{
    let answer = caller.head(&Method::GET, path, None).await.map_err(Stop::Failed)?;
    let mut body = answer.into_body();
    let mut cutter = Cutter::default();
    let mut items = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Stop::Failed(Failed::unanswered(&error)))?;
        let Ok(piece) = frame.into_data() else { continue };
        cutter.feed(&piece, |item| {
            items.push(item.to_vec());
            Ok::<_, CutError>(())
        })?;
        for item in items.drain(..) {
            let named: Named = serde_json::from_slice(&item)
                .map_err(|error| Stop::Failed(Failed::last(CallError::Unusable(error.to_string()))))?;
            if handed_out.insert(named.metadata) {
                take(item).await.map_err(Stop::Taker)?;
            }
        }
    }
    // An answer that ends early is a connection that was cut.
    cutter.finish().map_err(|error| match error {
        CutError::Truncated => Stop::Failed(Failed::unanswered(&error)),
        error => Stop::from(error),
    })
}
