//! Requests to the cluster's API server, by path and as bytes: the engine handles types that it does not know.
//!
//! What may be repeated is repeated here, within bounds; what is refused comes back in the server's words.

mod attempt;
mod pace;
#[cfg(test)]
mod tests;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::list::cut::ListMeta;
pub(crate) use attempt::{Attempt, Failed};
pub use pace::{Pace, Turn};
use webhooks::Webhooks;

/// Requests side by side, at most. Real API servers are saturated by fewer.
const SIDE_BY_SIDE: usize = 48;
/// Longest answer that is held in memory, in bytes.
const LONGEST_ANSWER: usize = 16 << 20;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server's own words.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// Reason as in a Kubernetes Status, such as `AlreadyExists`; may be empty.
        reason: String,
        /// For people.
        message: String,
        /// The single faults that the server found, if it tells them apart.
        causes: Vec<String>,
    },
    /// No answer, after all attempts.
    #[error("no answer from the API server: {0}")]
    Unreachable(String),
    /// What was to be created is there: made by an attempt that got no answer, or by somebody else.
    #[error("it may have been there before: {0}")]
    PerhapsCreated(String),
    /// An answer that is not what was asked for.
    #[error("an unusable answer from the API server: {0}")]
    Unusable(String),
}

impl CallError {
    /// Whether the server said no with this status.
    #[must_use]
    pub fn is(&self, status: StatusCode) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == status.as_u16())
    }

    /// Whether the server refuses for nothing but ports that are in use: by what was to be created, if that is there.
    #[must_use]
    pub fn is_of_taken_ports(&self) -> bool {
        matches!(self, Self::Refused { causes, .. } if says_ports_are_taken(causes))
    }

    /// Whether admission does not know a PriorityClass or ServiceAccount that the object names: kube-apiserver's caches
    /// come to what was created a moment ago a moment later.
    #[must_use]
    pub fn is_of_what_may_be_new(&self) -> bool {
        const SAID: [&str; 2] = ["no PriorityClass with name", "error looking up service account"];
        matches!(self, Self::Refused { reason, message, .. }
            if reason == "Forbidden" && SAID.iter().any(|said| message.contains(said)))
    }

    /// Whether what was to be created is there, whoever made it.
    #[must_use]
    pub fn is_there_already(&self) -> bool {
        match self {
            Self::Refused { reason, .. } => reason == "AlreadyExists",
            Self::PerhapsCreated(_) => true,
            Self::Unreachable(_) | Self::Unusable(_) => false,
        }
    }
}

fn says_ports_are_taken(causes: &[String]) -> bool {
    !causes.is_empty() && causes.iter().all(|cause| cause.contains("provided port is already allocated"))
}

/// Body and content type of a write.
#[derive(Clone, Debug)]
pub struct Content {
    /// MIME type.
    pub kind: &'static str,
    /// JSON.
    pub body: Bytes,
}

/// The way to one API server.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    pace: Arc<Pace>,
    webhooks: Arc<Webhooks>,
    large: Arc<Semaphore>,
}

impl Caller {
    /// Over `client`, which must not repeat anything by itself.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let pace = Arc::new(Pace::new(SIDE_BY_SIDE));
        Self { client, pace, webhooks: Arc::default(), large: Arc::new(Semaphore::new(1)) }
    }

    /// For requests of typed clients.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What is at `path`; `None` if there is nothing.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>, CallError> {
        match self.send(Method::GET, path, None).await {
            Ok(body) => Ok(Some(body)),
            Err(error) if error.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a typed client asks for, which must be a read; repeated like any other.
    ///
    /// # Errors
    /// [`CallError`]
    pub(crate) async fn read<T, F>(&self, ask: impl Fn(Client) -> F) -> Result<T, CallError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut attempt = Attempt::default();
        loop {
            let turn = self.pace.turn().await;
            let failed = match ask(self.client.clone()).await {
                Ok(answer) => {
                    self.pace.went_through();
                    return Ok(answer);
                }
                Err(error) => Failed::from(error),
            };
            drop(turn);
            attempt.after(failed, &self.pace).await?;
        }
    }

    /// Creates `body` at the collection `path`.
    ///
    /// An attempt without an answer is repeated; if the object is there then, whether it is ours is for the caller
    /// to see.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn create(&self, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        self.send(Method::POST, path, Some(Content { kind: "application/json", body })).await
    }

    /// Patches what is at `path`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn patch(&self, path: &str, content: Content) -> Result<Bytes, CallError> {
        self.send(Method::PATCH, path, Some(content)).await
    }

    /// Replaces what is at `path`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn replace(&self, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        self.send(Method::PUT, path, Some(Content { kind: "application/json", body })).await
    }

    /// Deletes what is at `path`; it may be gone already.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn delete(&self, path: &str) -> Result<(), CallError> {
        match self.send(Method::DELETE, path, None).await {
            Err(error) if !error.is(StatusCode::NOT_FOUND) => Err(error),
            _ => Ok(()),
        }
    }

    async fn send(&self, method: Method, path: &str, content: Option<Content>) -> Result<Bytes, CallError> {
        let mut attempt = Attempt::default();
        loop {
            let turn = self.pace.turn().await;
            let sent = self.once(&method, path, content.clone()).await;
            let failed = match sent {
                Ok(body) => {
                    self.pace.went_through();
                    return Ok(body);
                }
                Err(failed) => failed,
            };
            drop(turn);
            attempt.after(self.webhooks.judge(failed), &self.pace).await?;
        }
    }

    async fn once(&self, method: &Method, path: &str, content: Option<Content>) -> Result<Bytes, Failed> {
        let answer = self.head(method, path, content).await?;
        read(answer.into_body()).await
    }

    /// The head of an answer, its body still to come. Sent once; the caller repeats with [`Attempt`].
    pub(crate) async fn head(
        &self,
        method: &Method,
        path: &str,
        content: Option<Content>,
    ) -> Result<Response<Body>, Failed> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(content) = &content {
            request = request.header(header::CONTENT_TYPE, content.kind);
        }
        let body = content.map_or_else(Body::empty, |content| Body::from(content.body));
        let request =
            request.body(body).map_err(|error| Failed::last(CallError::Unusable(error.to_string())))?;
        let answer = self.client.send(request).await.map_err(|error| Failed::unanswered(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refused(answer).await)
    }

    /// Who holds it may read large objects into memory.
    pub(crate) fn large(&self) -> &Arc<Semaphore> {
        &self.large
    }

    /// A turn for a request that is sent with [`head`](Self::head).
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }
}

/// The part of a Kubernetes Status that is shown.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    reason: String,
    metadata: ListMeta,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    message: String,
}

async fn refused(answer: Response<Body>) -> Failed {
    let code = answer.status();
    let asked = retry_after(&answer);
    let status = read(answer.into_body()).await.unwrap_or_default();
    let Status { message, reason, metadata, details } = serde_json::from_slice(&status).unwrap_or_default();
    let causes: Vec<_> = details.unwrap_or_default().causes.into_iter().map(|cause| cause.message).collect();
    let message = if message.is_empty() { format!("the API server answered {code}") } else { message };
    let error = CallError::Refused { code: code.as_u16(), reason, message, causes };
    Failed::refused(code, asked, error, metadata.next)
}

fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(body: Body) -> Result<Bytes, Failed> {
    match Limited::new(body, LONGEST_ANSWER).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(Failed::unanswered(&*error)),
    }
}
