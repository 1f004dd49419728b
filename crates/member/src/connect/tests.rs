//! Clients against stand-ins for a server that speak real TLS over real sockets on this machine.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::body::Body as Answer;
use http::{Request, Response, Version};
use hyper_util::{rt::TokioIo, server::conn::auto, service::TowerToHyperService};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::service_fn;

use super::*;
use crate::{
    kubeconfig::{TrustPolicy, UntrustedKubeconfig},
    testing::{Pki, kubeconfig},
};

const TOKEN: &str = "open-sesame";

/// Answers every request with the HTTP version it came by, or 401 without the token.
struct Server {
    address: SocketAddr,
    pki: Pki,
    connections: Arc<AtomicUsize>,
    /// Ends the server with the test.
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(alpn: &[&str]) -> Self {
        use_one_crypto_provider();
        let pki = Pki::new();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pki.key.serialize_der()));
        let mut tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![pki.cert.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                let count = Arc::clone(&count);
                open.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    count.fetch_add(1, Ordering::SeqCst);
                    let service = TowerToHyperService::new(service_fn(answer));
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, pki, connections, _tasks: tasks }
    }

    fn config(&self, server: &str, ca: &Pki) -> TrustedConfig {
        let server = format!("server: 'https://{server}:{}/base'", self.address.port());
        let cluster = format!("{server}, certificate-authority-data: {}", ca.cert_data());
        trusted(&kubeconfig(&cluster, &format!("token: {TOKEN}")))
    }
}

async fn answer<B>(request: Request<B>) -> Result<Response<Answer>, Infallible> {
    let allowed =
        request.headers().get("authorization").is_some_and(|value| value == &format!("Bearer {TOKEN}"));
    let said = format!("{:?} {}", request.version(), request.uri().path());
    Ok(Response::builder().status(if allowed { 200 } else { 401 }).body(Answer::from(said)).unwrap())
}

fn trusted(text: &str) -> TrustedConfig {
    UntrustedKubeconfig::new(text.as_bytes()).trust(&TrustPolicy { allow_loopback: true }).unwrap()
}

async fn get(client: &Client) -> kube::Result<(Version, String)> {
    let response = client.send(Request::get("/readyz").body(Body::empty()).unwrap()).await?;
    let version = response.version();
    let body = response.into_body().collect_bytes().await?;
    Ok((version, String::from_utf8_lossy(&body).into_owned()))
}

/// The whole chain of an error, as a log shows it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[tokio::test]
async fn many_requests_share_one_http2_connection() {
    let server = Server::start(&["h2", "http/1.1"]).await;
    let client = connect(&server.config("127.0.0.1", &server.pki), &WriteGate::open()).unwrap();
    assert_eq!(get(&client).await.unwrap(), (Version::HTTP_2, "HTTP/2.0 /base/readyz".to_owned()));
    let answers = futures::future::join_all((0..50).map(|_| get(&client))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok((Version::HTTP_2, _)))));
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_upgrades_gets_an_http1_connection_of_its_own() {
    let server = Server::start(&["h2", "http/1.1"]).await;
    let client = connect(&server.config("127.0.0.1", &server.pki), &WriteGate::open()).unwrap();
    assert_eq!(get(&client).await.unwrap().0, Version::HTTP_2);
    for _ in 0..2 {
        let request = Request::get("/exec").header("connection", "upgrade").header("upgrade", "websocket");
        let answer = client.send(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!((answer.status(), answer.version()), (http::StatusCode::OK, Version::HTTP_11));
        drop(answer.into_body().collect_bytes().await.unwrap());
    }
    assert_eq!(get(&client).await.unwrap().0, Version::HTTP_2);
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_server_that_speaks_http1_only_is_spoken_to_in_http1() {
    for alpn in [&["http/1.1"][..], &[]] {
        let server = Server::start(alpn).await;
        let client = connect(&server.config("127.0.0.1", &server.pki), &WriteGate::open()).unwrap();
        assert_eq!(get(&client).await.unwrap(), (Version::HTTP_11, "HTTP/1.1 /base/readyz".to_owned()));
    }
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_not_accepted() {
    let server = Server::start(&["h2"]).await;
    let client = connect(&server.config("127.0.0.1", &Pki::new()), &WriteGate::open()).unwrap();
    let error = chain(&get(&client).await.unwrap_err());
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn k51_a_name_that_turned_to_this_machine_is_not_connected_to() {
    let server = Server::start(&["h2"]).await;
    // Looks like a name, is an address to the resolver: 127.0.0.1.
    let fields =
        format!("server: 'https://2130706433:{}', tls-server-name: localhost", server.address.port());
    let text = kubeconfig(&fields, "token: t");
    let config = UntrustedKubeconfig::new(text.as_bytes()).trust(&TrustPolicy::default()).unwrap();
    let error = chain(&get(&connect(&config, &WriteGate::open()).unwrap()).await.unwrap_err());
    assert!(error.contains("is refused: it is a loopback address"), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_speaks_is_given_up_in_time() {
    use_one_crypto_provider();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("server: 'https://127.0.0.1:{}'", silent.local_addr().unwrap().port());
    let client = connect(&trusted(&kubeconfig(&server, "token: t")), &WriteGate::open()).unwrap();
    let start = Instant::now();
    let error = chain(&get(&client).await.unwrap_err());
    assert!(error.contains("no connection within 5 s"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_key_of_another_certificate_is_an_error_and_nothing_is_sent() {
    let (one, other) = (Pki::new(), Pki::new());
    let user = format!("client-certificate-data: {}, client-key-data: {}", one.cert_data(), other.key_data());
    let config = trusted(&kubeconfig("server: 'https://127.0.0.1:1'", &user));
    let error = connect(&config, &WriteGate::open()).err().unwrap();
    assert!(matches!(error, ConnectError::Tls { .. }), "{error}");
}

#[tokio::test]
async fn the_hubs_client_reads_the_operators_files_and_passes_the_gate() {
    let server = Server::start(&["h2"]).await;
    let file = std::env::temp_dir().join(format!("kurator-token-{}", std::process::id()));
    std::fs::write(&file, TOKEN).unwrap();
    let mut config =
        kube::Config::new(format!("https://localhost:{}", server.address.port()).parse().unwrap());
    config.root_cert = Some(vec![server.pki.cert.der().to_vec()]);
    config.auth_info.token_file = Some(file.display().to_string());
    let (_claim, waiting) = tokio::sync::watch::channel(crate::lease::Claim::Lost);
    let client = hub_client(config, &WriteGate::new(waiting));
    std::fs::remove_file(&file).unwrap();
    let client = client.unwrap();

    assert_eq!(get(&client).await.unwrap().1, "HTTP/2.0 /readyz");
    let write = Request::post("/api").body(Body::empty()).unwrap();
    assert!(crate::gate::GateClosed::behind(&client.send(write).await.unwrap_err()).is_some());
}
