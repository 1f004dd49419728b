//! Clients: for a member from a [`TrustedConfig`], for the hub from the operator's own configuration.
//!
//! A member's client keeps one HTTP/2 connection, over which all watches run (six HTTP/1.1 watches cost twice the
//! memory and six sockets). The connection is pinged, so that a peer which has gone without a word is noticed
//! half a second after [`PING_EVERY`] + [`PING_TIMEOUT`] although nothing is being sent; a server that speaks HTTP/1.1
//! only gets TCP keep-alive instead, which notices a dead link but not a hung server.
//!
//! What turns a connection into something else (a command in a pod, over WebSocket) gets an HTTP/1.1 connection of
//! its own, with the same trust, limits and gate: HTTP/2 connections as they are spoken here can't be upgraded.
//!
//! Nothing is sent twice on its own: whoever asked decides whether to ask again.

mod deadline;
mod resolver;
#[cfg(test)]
mod tests;
mod ticks;
mod upgrade;

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Response, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, HttpInfo},
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client,
    client::{Body, ClientBuilder, ConfigExt as _},
};
use rustls::{
    client::Resumption,
    pki_types::{InvalidDnsNameError, ServerName},
};
use tower::{BoxError, Layer, Service, ServiceBuilder};

use self::{deadline::DeadlineLayer, resolver::CheckedResolver, ticks::Ticks, upgrade::Upgrading};
use crate::{gate::WriteGate, kubeconfig::TrustedConfig};

/// Longest time for name resolution, TCP and TLS together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for a request that is no watch, its body included; and for the head of a watch's answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Time between two pings of a quiet HTTP/2 connection.
pub const PING_EVERY: Duration = Duration::from_secs(3);
/// A connection whose ping is not answered for this long is dead.
pub const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// How much later either may come: many connections are pinged together.
const TICK: Duration = Duration::from_millis(250);

/// Why no client could be made. Nothing was sent anywhere.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Certificates or key can't be used together.
    #[error("cannot prepare TLS for {server}; check the CA, the client certificate and its key")]
    Tls {
        /// The server's URL.
        server: String,
        /// What the TLS library says.
        #[source]
        source: Box<kube::Error>,
    },
    /// The name to expect in the server's certificate is none.
    #[error("cannot expect `tls-server-name` `{name}` of {server}; write a host name or an address")]
    ServerName {
        /// The server's URL.
        server: String,
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: InvalidDnsNameError,
    },
    /// The credentials can't be put into a request.
    #[error("cannot use the credentials for {server}; check token, exec plugin and token file")]
    Credentials {
        /// The server's URL.
        server: String,
        /// What is wrong with them.
        #[source]
        source: Box<kube::Error>,
    },
    /// The proxy in the operator's configuration can't be used.
    #[error("cannot use the proxy for {server}; check `proxy-url` and HTTPS_PROXY")]
    Proxy {
        /// The server's URL.
        server: String,
        /// What is wrong with it.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Makes the clients for members.
pub trait Connect: Send + Sync {
    /// A client for a member whose writes pass `gate`.
    ///
    /// # Errors
    /// No client can be made of `config`.
    fn connect(&self, config: &TrustedConfig, gate: &WriteGate) -> Result<Client, ConnectError>;
}

/// Members are where their configuration says: [`connect`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

impl Connect for Network {
    fn connect(&self, config: &TrustedConfig, gate: &WriteGate) -> Result<Client, ConnectError> {
        connect(config, gate)
    }
}

/// A client for a member. Runs no program, reads no file, connects only where the configuration's policy allows;
/// the first connection is made with the first request.
///
/// # Errors
///
/// If TLS can't be set up with the certificates given.
pub fn connect(config: &TrustedConfig, gate: &WriteGate) -> Result<Client, ConnectError> {
    let kube = config.to_kube();
    http2_client(&kube, CheckedResolver::new(Some(config.policy())), gate)
}

/// A client for the hub, whose configuration is the operator's own and trusted: exec plugins, token files and
/// proxies work. Over a proxy the client is kube's own (HTTP/1.1), otherwise it is built as for a member.
///
/// # Errors
///
/// If TLS, the credentials or the proxy can't be used.
pub fn hub_client(mut config: kube::Config, gate: &WriteGate) -> Result<Client, ConnectError> {
    if config.proxy_url.is_none() {
        return http2_client(&config, CheckedResolver::new(None), gate);
    }
    let server = config.cluster_url.to_string();
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let builder = ClientBuilder::try_from(config)
        .map_err(|source| ConnectError::Proxy { server, source: Box::new(source) })?;
    Ok(builder.with_layer(&DeadlineLayer::new(REQUEST_TIMEOUT)).with_layer(gate).build())
}

fn http2_client(
    config: &kube::Config,
    resolver: CheckedResolver,
    gate: &WriteGate,
) -> Result<Client, ConnectError> {
    let server = || config.cluster_url.to_string();
    use_one_crypto_provider();
    let mut tls = config
        .rustls_client_config()
        .map_err(|source| ConnectError::Tls { server: server(), source: Box::new(source) })?;
    // There is one server: room for the sessions of others would be kept for nothing.
    tls.resumption = Resumption::in_memory_sessions(1);
    let auth = config
        .auth_layer()
        .map_err(|source| ConnectError::Credentials { server: server(), source: Box::new(source) })?;
    let headers = config
        .extra_headers_layer()
        .map_err(|source| ConnectError::Credentials { server: server(), source: Box::new(source) })?;

    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PING_EVERY));
    tcp.set_keepalive_interval(Some(Duration::from_secs(1)));
    tcp.set_keepalive_retries(Some(3));
    // Keep-alive is silent while sent data waits for its acknowledgement; this limit is not.
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(PING_EVERY + PING_TIMEOUT));

    let name = config.tls_server_name.as_ref().map(|name| {
        ServerName::try_from(name.clone()).map_err(|source| ConnectError::ServerName {
            server: server(),
            name: name.clone(),
            source,
        })
    });
    let name = name.transpose()?;
    let https = || {
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        match &name {
            Some(name) => https.with_server_name_resolver(FixedServerNameResolver::new(name.clone())),
            None => https,
        }
    };
    let upgradable = TimedConnector(https().enable_http1().wrap_connector(tcp.clone()));
    let connector = TimedConnector(https().enable_all_versions().wrap_connector(tcp));

    let shared: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
        .timer(Ticks::new(TICK))
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    // A connection that is to be upgraded is used once.
    let single = legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(upgradable);
    let transport = Upgrading { shared, single };

    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(headers)
        .map_err(BoxError::from)
        .map_response(note_connection)
        .service(transport);
    let service = gate.layer(DeadlineLayer::new(REQUEST_TIMEOUT).layer(service));
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// The connection that an answer came over, among its extensions. Of answers with the same one nothing lies between:
/// who spoke first still speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Address of this end.
    pub local: SocketAddr,
    /// Address of the other end.
    pub remote: SocketAddr,
}

fn note_connection<B>(mut response: Response<B>) -> Response<B> {
    if let Some(of) = response.extensions().get::<HttpInfo>() {
        let over = Over { local: of.local_addr(), remote: of.remote_addr() };
        response.extensions_mut().insert(over);
    }
    response
}

/// Whether a request that came to nothing was never sent: there was no connection.
#[must_use]
pub fn was_never_sent(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<legacy::Error>()).any(legacy::Error::is_connect)
}

/// rustls panics at the first connection if two providers are linked and none was chosen. Whoever chose one
/// before keeps it.
fn use_one_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if another thread was faster, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

/// The connector within one limit for everything it does: the TCP part has a limit of its own only for itself,
/// and a stopped server accepts connections whose TLS handshake never ends.
#[derive(Clone)]
struct TimedConnector(HttpsConnector<HttpConnector<CheckedResolver>>);

impl Service<Uri> for TimedConnector {
    type Response = <HttpsConnector<HttpConnector<CheckedResolver>> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(connection) => connection,
                Err(_) => Err(NotConnected.into()),
            }
        })
    }
}

/// The server did not complete a connection in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
struct NotConnected;
