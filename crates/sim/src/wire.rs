//! The way from a process to an API server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body as Answer;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::{Frame, SizeHint};
use kube::Client;
use kube::client::Body;
use kurator_member::connect::Over;
use serde_json::json;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::{BoxError, Service};

use crate::history::History;
use crate::life::{Life, Write};
use crate::steps;
use crate::weather::{Fate, Weather};

/// Which of them lies between a process and an API server: another one after each that broke. Clones are the same.
#[derive(Clone, Default)]
pub struct Connection(Arc<AtomicU16>);

impl Connection {
    fn now(&self) -> Over {
        let port = FIRST_PORT.wrapping_add(self.0.load(Ordering::Relaxed));
        let [local, remote] = [port, 443].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Over { local, remote }
    }

    fn breaks(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

const FIRST_PORT: u16 = 49152;

/// Takes the requests of one process to one API server, as its life and the weather allow.
#[derive(Clone)]
pub struct Wire {
    /// Name of the cluster.
    pub place: Arc<str>,
    /// Its API.
    pub router: Router,
    /// Of the process.
    pub life: Life,
    /// On the way.
    pub weather: Arc<Weather>,
    /// Where every request is written down.
    pub history: Arc<History>,
    /// What it goes over, as members are spoken to: HTTP/2.
    pub connection: Connection,
}

impl Wire {
    /// A client that sends everything this way.
    #[must_use]
    pub fn client(self) -> Client {
        Client::new(self, "default")
    }

    async fn take(mut self, request: Request<Body>) -> Result<Response<Answer>, BoxError> {
        let what = format!(
            "{} {}",
            request.method(),
            request.uri().path_and_query().map_or("/", |path| path.as_str())
        );
        let streams = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let fate = self.weather.fate(&self.place, &what, streams);
        self.history.asked(&self.place, &what, fate);
        match fate {
            Fate::OutOfReach | Fate::Refused => {
                self.connection.breaks();
                return Err(lost("connection refused"));
            }
            Fate::Answered(code) => return refusal(code),
            Fate::Late(by) => sleep(by).await,
            Fate::Passes | Fate::Lost | Fate::Cut(_) => {}
        }
        let is_write = !matches!(*request.method(), Method::GET | Method::HEAD);
        let write = if is_write {
            let step = steps::of_request(&self.place, request.method(), request.uri().path());
            self.life.write(&step, &self.history)
        } else {
            Write::Goes
        };
        if !write.is_sent() {
            return Err(lost("the process is dead"));
        }
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        self.history.bytes(&body);
        let Ok(mut answer) = self.router.call(Request::from_parts(head, Body::from(body))).await;
        *answer.version_mut() = Version::HTTP_2;
        answer.extensions_mut().insert(self.connection.now());
        if !answer.status().is_success() {
            self.history.note(&format!("{} {what} is answered {}", self.place, answer.status()));
        }
        if fate == Fate::Lost || write == Write::IsTheLast {
            self.connection.breaks();
            return Err(lost("connection reset by peer"));
        }
        let left = if let Fate::Cut(after) = fate { after } else { u64::MAX };
        let ends = self.weather.next_outage(&self.place).map(|at: Instant| Box::pin(sleep_until(at)));
        let over = Box::pin(self.life.over().clone().cancelled_owned());
        let history = self.history;
        Ok(answer.map(|inner| Answer::new(Pieces { inner, left, ends, over, history })))
    }
}

fn lost(why: &str) -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, why.to_owned()).into()
}

/// An answer that has nothing to do with the request, as servers and what stands before them give.
fn refusal(code: u16) -> Result<Response<Answer>, BoxError> {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the storm", "reason": reason, "code": code,
    });
    let answer = Response::builder().status(StatusCode::from_u16(code)?);
    let answer = answer.header(header::CONTENT_TYPE, "application/json");
    let answer = if code == 429 { answer.header(header::RETRY_AFTER, "1") } else { answer };
    Ok(answer.body(Answer::from(status.to_string()))?)
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (wire, over) = (self.clone(), self.life.over().clone());
        Box::pin(async move {
            let taken = until(&over, wire.take(request)).await;
            taken.unwrap_or_else(|| Err(lost("the process is dead")))
        })
    }
}

async fn until<T>(over: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    if over.is_cancelled() { None } else { over.run_until_cancelled(work).await }
}

/// An answer that may break off.
struct Pieces {
    inner: Answer,
    left: u64,
    ends: Option<Pin<Box<Sleep>>>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    history: Arc<History>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let ends = self.ends.as_mut().is_some_and(|ends| ends.as_mut().poll(context).is_ready());
        if ends || self.left == 0 || self.over.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(lost("connection reset by peer"))));
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        self.left -= 1;
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.history.bytes(data);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
