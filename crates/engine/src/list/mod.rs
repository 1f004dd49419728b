//! Lists: every object of a type, page by page, each cut out as bytes.

pub mod cut;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::call::{Attempt, CallError, Caller, Failed, Turn};
use cut::{CutError, Cutter};

/// Objects per page. The server holds a page in memory; we don't.
const PAGE: usize = 500;
/// Items that are longer than this, in bytes, are read by one list at a time.
const LARGE: usize = 256 << 10;

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

/// Every object that a request selects, once, as it arrives.
///
/// A page that is cut off is asked for again, and what has been handed out of it is left out. If the list
/// grows too old between two pages the server continues it from where it stands, as kubectl's chunked lists do.
pub struct Lister<'a> {
    caller: &'a Caller,
    request: ListRequest,
    /// Where the page that is being read begins.
    from: String,
    page: Option<Page<'a>>,
    /// Cut out and not handed out yet.
    items: VecDeque<Vec<u8>>,
    /// Of this page.
    handed_out: HashSet<Name>,
    attempt: Attempt,
    /// Held while a page with a large item is read.
    large: Option<OwnedSemaphorePermit>,
    ended: bool,
}

/// A page on its way.
struct Page<'a> {
    body: Body,
    cutter: Cutter,
    _turn: Turn<'a>,
}

impl<'a> Lister<'a> {
    /// A list of which nothing has been asked yet.
    #[must_use]
    pub fn new(caller: &'a Caller, request: ListRequest) -> Self {
        Self {
            caller,
            request,
            from: String::new(),
            page: None,
            items: VecDeque::new(),
            handed_out: HashSet::new(),
            attempt: Attempt::default(),
            large: None,
            ended: false,
        }
    }

    /// The next object; none at the end of a list that is complete.
    ///
    /// # Errors
    /// [`CallError`], after what may be repeated was. What follows then is not defined.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Ok(Some(item));
            }
            if self.ended {
                return Ok(None);
            }
            let Err(failed) = self.read().await else { continue };
            self.page = None;
            match failed.goes_on_at() {
                Some(place) if place != self.from => place.clone_into(&mut self.from),
                _ => self.attempt.after(failed, self.caller.pace()).await?,
            }
        }
    }

    /// Opens a page, or reads a piece of it.
    async fn read(&mut self) -> Result<(), Failed> {
        let Some(page) = &mut self.page else {
            let turn = self.caller.pace().turn().await;
            let answer = self.caller.head(&Method::GET, &self.request.page(&self.from), None).await?;
            self.page = Some(Page { body: answer.into_body(), cutter: Cutter::default(), _turn: turn });
            return Ok(());
        };
        let Some(frame) = page.body.frame().await else { return self.turn_page() };
        let frame = frame.map_err(|error| Failed::unanswered(&error))?;
        let Ok(piece) = frame.into_data() else { return Ok(()) };
        let (items, handed_out) = (&mut self.items, &mut self.handed_out);
        page.cutter.feed(&piece, |item| {
            let named: Named = serde_json::from_slice(&item)
                .map_err(|error| Failed::last(CallError::Unusable(error.to_string())))?;
            if handed_out.insert(named.metadata) {
                items.push_back(item.into_owned());
            }
            Ok::<_, Failed>(())
        })?;
        if page.cutter.held() > LARGE && self.large.is_none() {
            let large = Arc::clone(self.caller.large());
            self.large = match Arc::clone(&large).try_acquire_owned() {
                Ok(held) => Some(held),
                Err(_) => {
                    // The page is asked for again: who waited with it open would keep the others from the connection
                    // that they share.
                    self.page = None;
                    large.acquire_owned().await.ok()
                }
            };
        }
        Ok(())
    }

    fn turn_page(&mut self) -> Result<(), Failed> {
        let Some(page) = self.page.take() else { return Ok(()) };
        let meta = page.cutter.finish()?;
        self.caller.pace().went_through();
        self.ended = meta.next.is_empty();
        self.from = meta.next;
        self.handed_out.clear();
        self.large = None;
        self.attempt = Attempt::default();
        Ok(())
    }
}

impl From<CutError> for Failed {
    fn from(error: CutError) -> Self {
        match error {
            // An answer that ends early is a connection that was cut.
            CutError::Truncated => Self::unanswered(&error),
            error => Self::last(CallError::Unusable(error.to_string())),
        }
    }
}
