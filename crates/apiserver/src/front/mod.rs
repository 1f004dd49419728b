//! Several clusters behind one TLS listener, for clients outside of the process: `https://ADDRESS/clusters/NAME`.
//!
//! Each cluster has a token of its own, which may do everything in it. Certificates and tokens are made at the start,
//! from the machine's randomness, and end with the process.

mod door;
mod identity;
mod patience;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use kurator_listen::listen;
use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite, join, split},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::{
    door::{Door, Guarded},
    identity::{Identity, Token},
    patience::{Patient, Prompt},
};
use crate::{ApiServer, meta::NameRule};

/// Connections at the same time; more wait until one ends. Fewer where the process may not open twice as many files.
const CONNECTIONS: usize = 8192;
/// Streams of one connection at the same time; a watch is one.
const STREAMS: u32 = 1000;
/// Longest time in which a client takes nothing of what it is sent.
const STALL: Duration = Duration::from_secs(30);
/// Longest time for a TLS handshake, for the first words after it, and for the head of a request over HTTP/1.1.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that answers under way are given at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Why clusters can't be served.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The address can't be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A cluster's name would not survive a URL.
    #[error("cannot serve a cluster named `{name}`: {why}")]
    Name {
        /// The name.
        name: String,
        /// What a name must be.
        why: String,
    },
    /// Certificates could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// Certificates could not be used.
    #[error("cannot prepare TLS")]
    Tls(#[from] rustls::Error),
    /// The system has no randomness for tokens.
    #[error("cannot make a token: {0}")]
    Randomness(String),
}

/// A listener that leads to clusters by the first segments of the path.
pub struct Front {
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    authority: String,
    clusters: BTreeMap<String, (Token, ApiServer)>,
}

impl Front {
    /// Listens on `address`, where port 0 means any free one, for clusters with these names.
    ///
    /// # Errors
    /// [`FrontError`]: a name that is no DNS label, or that two clusters have; an address that can't be had.
    pub async fn bind(
        address: SocketAddr,
        clusters: impl IntoIterator<Item = (String, ApiServer)>,
    ) -> Result<Self, FrontError> {
        let mut named = BTreeMap::new();
        for (name, server) in clusters {
            let refused = |why: &str| FrontError::Name { name: name.clone(), why: why.to_owned() };
            if let Some(why) = NameRule::Label.refuse(&name) {
                return Err(refused(&why));
            }
            if named.contains_key(&name) {
                return Err(refused("another cluster has the name"));
            }
            named.insert(name.clone(), (Token::new()?, server));
        }
        let listen = |source| FrontError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let Identity { authority, config } = Identity::new(address.ip())?;
        Ok(Self { listener, address, tls: TlsAcceptor::from(Arc::new(config)), authority, clusters: named })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig for the cluster of this name, in YAML, that holds all it needs; its one context has the cluster's
    /// name. `None` if there is no such cluster.
    #[must_use]
    pub fn kubeconfig(&self, name: &str) -> Option<String> {
        let (token, _) = self.clusters.get(name)?;
        Some(identity::kubeconfig(name, self.address, &self.authority, token))
    }

    /// Answers until `end`; what is under way then is given half a second.
    pub async fn serve(self, end: CancellationToken) {
        let guarded = self.clusters.into_iter().map(|(name, (token, server))| {
            (name, Guarded { token: token.fingerprint(), router: server.router() })
        });
        let door = Door::new(guarded.collect());
        let serve = |stream| serve_one(self.tls.clone(), stream, door.clone(), end.clone());
        listen(&self.listener, room(), &end, serve).await;
    }
}

/// How many connections there may be: the clusters' own clients have the other half of the files.
fn room() -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(CONNECTIONS, |files| (files / 2).clamp(1, CONNECTIONS))
}

async fn serve_one(tls: TlsAcceptor, stream: TcpStream, door: Door, end: CancellationToken) {
    let handshake = tls.accept(Patient::new(stream, STALL));
    let Some(Ok(Ok(stream))) = end.run_until_cancelled(timeout(PATIENCE, handshake)).await else {
        return;
    };
    serve_requests(stream, door, end).await;
}

async fn serve_requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    door: Door,
    end: CancellationToken,
) {
    let (read, write) = split(stream);
    let stream = join(Prompt::new(read, PATIENCE), write);
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    http.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    let service = service_fn(move |request| {
        let door = door.clone();
        async move { Ok::<_, Infallible>(door.answer(request).await) }
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_ANSWERS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(error, "a connection broke");
    }
}
