//! Bodies that are watched: a request that stands still ends, and so does an answer without end.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpErrorKind, HttpRequestBody};
use tokio::time::{Instant, Sleep};

use super::{NoAnswer, silent, unreachable};

/// How much of a body is handed on at once: what is slower than this per silence counts as silent.
const SLICE: usize = 16 << 10;
/// Most that Linux keeps of what is sent and not yet acknowledged, unless told otherwise.
const LARGEST_BUFFER: usize = 4 << 20;

/// The body as far as it comes; of an error answer, what is there is good enough.
pub(super) async fn collect(mut body: Watched) -> Bytes {
    let mut all = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.into_data() {
            all.extend_from_slice(&data);
        }
    }
    all.into()
}

/// When a request last moved, and how much of it has been handed to the system by then.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<(Instant, usize)>>);

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), 0))))
    }
}

impl Progress {
    fn made(&self, length: usize) {
        let mut progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *progress = (Instant::now(), progress.1.saturating_add(length));
    }

    /// When it will have been silent, and for how long then. What this machine's own buffers hold moves unseen, so
    /// every MiB that may be there is given a silence of its own.
    fn deadline(&self, silence: Duration) -> (Instant, Duration) {
        let (at, handed_over) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let buffered = u32::try_from(handed_over.min(LARGEST_BUFFER).div_ceil(1 << 20)).unwrap_or_default();
        let after = silence.saturating_mul(buffered.max(1));
        (at + after, after)
    }

    /// The outcome of the work, or an error once nothing has moved for this long.
    pub(super) async fn unless_silent<T>(
        &self,
        silence: Duration,
        work: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<Result<T, HttpError>, HttpError> {
        tokio::pin!(work);
        loop {
            let (deadline, _) = self.deadline(silence);
            tokio::select! {
                done = &mut work => return Ok(done.map_err(|error| unreachable(&error))),
                () = tokio::time::sleep_until(deadline) => {
                    let (deadline, after) = self.deadline(silence);
                    if deadline <= Instant::now() {
                        return Err(silent(after));
                    }
                }
            }
        }
    }
}

/// A body handed on in slices, so that progress shows.
pub(super) struct Sliced {
    inner: HttpRequestBody,
    rest: Bytes,
    progress: Progress,
}

impl Sliced {
    pub(super) fn new(inner: HttpRequestBody, progress: Progress) -> Self {
        Self { inner, rest: Bytes::new(), progress }
    }
}

impl Body for Sliced {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        let length = self.rest.len().min(SLICE);
        self.progress.made(length);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.inner.size_hint().exact().unwrap_or_default();
        SizeHint::with_exact(left.saturating_add(self.rest.len() as u64))
    }
}

/// An answer that ends in an error once it is silent or too long.
pub(super) struct Watched {
    inner: reqwest::Body,
    left: u64,
    limit: u64,
    silence: Duration,
    /// Runs while the reader waits; a slow reader is no silence.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    /// `limit` is the most bytes that may come.
    pub(super) fn new(inner: reqwest::Body, limit: u64, silence: Duration) -> Self {
        Self { inner, left: limit, limit, silence, timer: None }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.timer = None;
                let Some(frame) = frame else { return Poll::Ready(None) };
                let frame = frame.map_err(|error| unreachable(&error))?;
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = self.left.checked_sub(length) else {
                    let long = NoAnswer::TooLong(self.limit);
                    return Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Unknown, long))));
                };
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => {
                let silence = self.silence;
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
                Poll::Ready(Some(Err(silent(silence))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
