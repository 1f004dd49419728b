//! No call waits for ever.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tower::{BoxError, Layer, Service};

/// Gives every request a deadline: the head of the answer, and its body too unless the answer is meant to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeadlineLayer(Duration);

impl DeadlineLayer {
    pub(super) fn new(limit: Duration) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { limit: self.0, inner }
    }
}

/// See [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub(super) struct Deadline<S> {
    limit: Duration,
    inner: S,
}

/// The server had the request and did not answer it in time.
#[derive(Debug, thiserror::Error)]
#[error("no complete answer within {} s", .0.as_secs())]
pub(super) struct TooLate(Duration);

impl<S, Q, R> Service<Request<Q>> for Deadline<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<TimedBody<R>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let limit = self.limit;
        let deadline = Instant::now() + limit;
        let endless = goes_on(request.uri().query().unwrap_or_default());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = match timeout_at(deadline, answer).await {
                Ok(response) => response.map_err(Into::into)?,
                Err(_) => return Err(TooLate(limit).into()),
            };
            let deadline = (!endless).then(|| Box::pin(sleep_until(deadline)));
            Ok(response.map(|body| TimedBody { body, deadline, limit }))
        })
    }
}

/// Watches and followed logs have no end of their own.
fn goes_on(query: &str) -> bool {
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        matches!(name, "watch" | "follow") && matches!(value, "true" | "1")
    })
}

/// A body that fails when its deadline passes before its end.
#[derive(Debug)]
pub(super) struct TimedBody<B> {
    body: B,
    deadline: Option<Pin<Box<Sleep>>>,
    limit: Duration,
}

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        // First, since a body that always has more to give would never be late otherwise.
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(TooLate(this.limit).into())));
        }
        Pin::new(&mut this.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{StreamExt as _, stream};
    use kube::client::Body as KubeBody;
    use tower::service_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    /// A stand-in for a server that waits before its answer and before each of ten chunks of it.
    fn client(head: Duration, chunk: Duration) -> kube::Client {
        let server = service_fn(move |_: Request<KubeBody>| async move {
            tokio::time::sleep(head).await;
            let chunks = stream::iter(0..10).then(move |_| async move {
                tokio::time::sleep(chunk).await;
                Ok::<_, Infallible>(Bytes::from_static(b"x"))
            });
            Ok::<_, BoxError>(Response::new(axum::body::Body::from_stream(chunks)))
        });
        kube::Client::new(DeadlineLayer::new(LIMIT).layer(server), "default")
    }

    async fn read(client: &kube::Client, uri: &str) -> (Duration, kube::Result<usize>) {
        let start = Instant::now();
        let result = match client.send(Request::get(uri).body(KubeBody::empty()).unwrap()).await {
            Ok(response) => response.into_body().collect_bytes().await.map(|bytes| bytes.len()),
            Err(error) => Err(error),
        };
        (start.elapsed(), result)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_left_alone() {
        let client = client(Duration::from_secs(4), Duration::from_secs(1));
        assert_eq!(read(&client, "/api").await.1.unwrap(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_begin_fails_watch_or_not() {
        let client = client(Duration::from_secs(3600), Duration::ZERO);
        for uri in ["/api", "/api?watch=true"] {
            let (took, result) = read(&client, uri).await;
            let error = result.unwrap_err();
            assert!(error.to_string().contains("no complete answer within 15 s"), "{error}");
            assert!(took < LIMIT + Duration::from_secs(1), "{took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_fails_at_the_same_moment() {
        let client = client(Duration::from_secs(10), Duration::from_secs(2));
        let (took, result) = read(&client, "/api?limit=500").await;
        result.unwrap_err();
        assert!(took < LIMIT + Duration::from_secs(1), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_may_go_on() {
        let client = client(Duration::from_secs(1), Duration::from_secs(60));
        for uri in ["/api?watch=true&a=b", "/api?a=b&watch=1", "/log?follow=true"] {
            assert_eq!(read(&client, uri).await.1.unwrap(), 10);
        }
        read(&client, "/api?watch=false").await.1.unwrap_err();
    }
}
