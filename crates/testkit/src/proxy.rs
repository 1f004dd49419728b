//! A reverse proxy that does to requests what a test says: between a program and a cluster's API server or the store.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::cage::{LAN, lock};
use crate::fixtures::BOUND;
use crate::wait::TimedOut;
use crate::{Cluster, LabError, S3};

type Body = UnsyncBoxBody<Bytes, io::Error>;
type Judge = dyn Fn(&Parts) -> Manner + Send + Sync;

/// What becomes of a request.
pub enum Manner {
    /// It is passed on, and so is its answer.
    Pass,
    /// It is passed on when this is over.
    After(BoxFuture<'static, ()>),
    /// It is answered here.
    Answer(Box<Response<Bytes>>),
    /// Its connection ends and it is passed on to nobody.
    Cut,
    /// It is passed on, and its connection ends after so many bytes of the answer's body; without any answer after 0.
    CutAnswer(usize),
}

impl Manner {
    /// Passed on late.
    #[must_use]
    pub fn late(by: Duration) -> Self {
        Self::After(Box::pin(tokio::time::sleep(by)))
    }

    /// A Kubernetes API server's refusal, with a `Retry-After` of so many seconds where there is one.
    #[must_use]
    pub fn refusal(code: StatusCode, retry_after: Option<u32>) -> Self {
        let status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(),
            "message": format!("the proxy says {code}"),
        });
        let mut answer = Response::new(Bytes::from(status.to_string()));
        *answer.status_mut() = code;
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(seconds) = retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        Self::Answer(Box::new(answer))
    }
}

/// A running proxy, in the network of the lab that it was started in; gone when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    judge: Arc<Mutex<Arc<Judge>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Requests that wait until the test lets them go on.
pub struct Held {
    arrived: Arc<Notify>,
    go: Arc<Semaphore>,
}

impl Held {
    /// Waits until there is one.
    ///
    /// # Errors
    /// None came.
    pub async fn arrived(&self) -> Result<(), TimedOut> {
        let late =
            |_| TimedOut { what: "a request to hold".to_owned(), bound: BOUND, last: "none".to_owned() };
        tokio::time::timeout(BOUND, self.arrived.notified()).await.map_err(late)
    }

    /// Lets them go on, also those to come.
    pub fn release(&self) {
        self.go.close();
    }
}

impl Proxy {
    /// In front of a cluster's API server, whose administrator everybody becomes who comes this way. Call it inside
    /// [`crate::Lab::run`]; it outlives the run.
    ///
    /// # Errors
    /// The kernel refused the thread or the port.
    pub fn to_api(cluster: &Cluster) -> Result<Self, LabError> {
        let config = cluster.config();
        Self::start(move || Ok(Upstream::Api(kube::Client::try_from(config)?)))
    }

    /// In front of the lab's object store, as [`Proxy::to_api`].
    ///
    /// # Errors
    /// The kernel refused the thread or the port.
    pub fn to_store() -> Result<Self, LabError> {
        Self::start(|| {
            let client = legacy::Client::builder(TokioExecutor::new()).build(HttpConnector::new());
            Ok(Upstream::Store(Box::new(client)))
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The cluster's kubeconfig that leads here, as a file in `folder`.
    ///
    /// # Errors
    /// It can't be written.
    pub fn kubeconfig(&self, cluster: &Cluster, folder: &std::path::Path) -> Result<PathBuf, LabError> {
        let path = folder.join(format!("{}-{}.kubeconfig", cluster.name(), self.address.port()));
        let straight = format!("https://{}:6443", cluster.address());
        std::fs::write(&path, cluster.kubeconfig().replace(&straight, &self.url()))
            .map_err(|source| LabError::File { path: path.clone(), source })?;
        Ok(path)
    }

    /// Asks `judge` about each request from here on.
    pub fn judge(&self, judge: impl Fn(&Parts) -> Manner + Send + Sync + 'static) {
        *lock(&self.judge) = Arc::new(judge);
    }

    /// Passes everything on from here on.
    pub fn pass(&self) {
        self.judge(|_| Manner::Pass);
    }

    /// Keeps the requests of which `these` is true until they are let go.
    pub fn hold(&self, these: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Held {
        let held = Held { arrived: Arc::new(Notify::new()), go: Arc::new(Semaphore::new(0)) };
        let (arrived, go) = (Arc::clone(&held.arrived), Arc::clone(&held.go));
        self.judge(move |request| {
            if !these(request) || go.is_closed() {
                return Manner::Pass;
            }
            arrived.notify_one();
            let go = Arc::clone(&go);
            // It has no permits: acquiring ends when it is closed.
            Manner::After(Box::pin(async move { drop(go.acquire().await) }))
        });
        held
    }

    /// On a thread of its own, so that it outlives the runtime of the test that started it.
    fn start(upstream: impl FnOnce() -> kube::Result<Upstream> + Send + 'static) -> Result<Self, LabError> {
        let judge: Arc<Mutex<Arc<Judge>>> = Arc::new(Mutex::new(Arc::new(|_: &Parts| Manner::Pass)));
        let (end, ended) = oneshot::channel();
        let begin = || -> io::Result<_> {
            let listener = std::net::TcpListener::bind((LAN, 0))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let judge = Arc::clone(&judge);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let serve = async move {
                let listener = TcpListener::from_std(listener)?;
                let upstream = upstream().map_err(io::Error::other)?;
                tokio::select! {
                    served = serve(listener, upstream, judge) => served,
                    _ = ended => Ok(()),
                }
            };
            let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
                if let Err(error) = runtime.block_on(serve) {
                    tracing::error!(%error, "the proxy has ended");
                }
            })?;
            Ok((address, thread))
        };
        let (address, thread) =
            begin().map_err(|source| LabError::Spawn { component: "the proxy".to_owned(), source })?;
        Ok(Self { address, judge, end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the proxy has panicked");
        }
    }
}

/// Who answers what is passed on.
#[derive(Clone)]
enum Upstream {
    Api(kube::Client),
    Store(Box<legacy::Client<HttpConnector, Full<Bytes>>>),
}

async fn serve(listener: TcpListener, upstream: Upstream, judge: Arc<Mutex<Arc<Judge>>>) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let (upstream, judge) = (upstream.clone(), Arc::clone(&judge));
        let service = service_fn(move |request| {
            let (upstream, judge) = (upstream.clone(), Arc::clone(&*lock(&judge)));
            async move { answer(request, &upstream, &*judge).await }
        });
        connections.spawn(async move {
            // A cut ends the connection with an error, as was wanted.
            let _cut = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    upstream: &Upstream,
    judge: &Judge,
) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let mut left = None;
    match judge(&head) {
        Manner::Pass => {}
        Manner::After(wait) => wait.await,
        Manner::Answer(answer) => {
            // A client that is still sending would take an early answer for a broken connection.
            body.collect().await.map_err(io::Error::other)?;
            return Ok(answer.map(boxed));
        }
        Manner::Cut => return Err(cut_off()),
        Manner::CutAnswer(after) => left = Some(after),
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let answer = upstream.send(head, body).await?;
    match left {
        None => Ok(answer),
        Some(0) => Err(cut_off()),
        Some(left) => Ok(answer.map(|body| cut(body, left))),
    }
}

impl Upstream {
    async fn send(&self, mut head: Parts, body: Bytes) -> io::Result<Response<Body>> {
        match self {
            Self::Api(client) => {
                // The client has its own.
                head.headers.remove(header::HOST);
                head.headers.remove(header::AUTHORIZATION);
                let answer = client.send(Request::from_parts(head, body.into())).await;
                Ok(answer
                    .map_err(io::Error::other)?
                    .map(|body| body.map_err(io::Error::other).boxed_unsync()))
            }
            Self::Store(client) => {
                let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
                head.uri = format!("{}{path}", S3::ENDPOINT).parse::<Uri>().map_err(io::Error::other)?;
                let answer = client.request(Request::from_parts(head, Full::new(body))).await;
                Ok(answer
                    .map_err(io::Error::other)?
                    .map(|body| body.map_err(io::Error::other).boxed_unsync()))
            }
        }
    }
}

fn boxed(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// The first `left` bytes of a body and then an error.
fn cut(body: Body, left: usize) -> Body {
    let pieces = BodyStream::new(body).scan(left, |left, piece| {
        let piece = piece.and_then(|frame| match frame.into_data() {
            Ok(mut data) if *left > 0 => {
                data.truncate(*left);
                *left -= data.len();
                Ok(Frame::data(data))
            }
            _ => Err(cut_off()),
        });
        futures::future::ready(Some(piece))
    });
    // What is shorter is cut at its end.
    StreamBody::new(pieces.chain(stream::once(async { Err(cut_off()) }))).boxed_unsync()
}

fn cut_off() -> io::Error {
    io::Error::other("cut off")
}
