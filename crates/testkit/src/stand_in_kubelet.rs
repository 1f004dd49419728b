//! A stand-in for a node: what the API server of a lab asks of a kubelet when somebody runs a command in a pod.
//!
//! The way there is real: the API server authorizes the request, finds the pod's node and hands the connection on, over
//! TLS and WebSocket as to a kubelet of 1.36. Only the container is imitated, by a few words that stand for commands:
//!
//! | command | what comes of it |
//! |---|---|
//! | `print TEXT` | prints the text and succeeds |
//! | `fail CODE TEXT` | prints the text as an error and ends with this exit code |
//! | `hang` | never ends |
//! | `hold` | ends when the test says so: [`StandInKubelet::release`] |

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL};
use k8s_openapi::api::core::v1::Node;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::cage::LAN;
use crate::{Lab, LabError};

/// Channels of the protocol.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// A command that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Namespace of the pod.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// The container.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// A node's kubelet as far as commands in pods need one, until the process ends.
pub struct StandInKubelet {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ran: Mutex<Vec<Ran>>,
    release: Notify,
}

impl StandInKubelet {
    /// Starts one in the lab's network.
    ///
    /// # Errors
    /// It cannot listen there.
    pub fn start(lab: &'static Lab) -> Result<Self, LabError> {
        let failed = |source| LabError::Spawn { component: "the stand-in for a kubelet".to_owned(), source };
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let (told, listening) = std::sync::mpsc::channel();
        let tls = tls().map_err(|error| failed(std::io::Error::other(error)))?;
        std::thread::spawn(move || {
            lab.run(async {
                let bound = TcpListener::bind(SocketAddr::from((LAN, 0))).await;
                match bound.and_then(|listener| Ok((listener.local_addr()?.port(), listener))) {
                    Ok((port, listener)) => {
                        // Whoever asked waits for it.
                        let _ = told.send(Ok(port));
                        serve(&listener, &tls, &serving).await;
                    }
                    Err(error) => drop(told.send(Err(error))),
                }
            });
        });
        let port =
            listening.recv().unwrap_or_else(|gone| Err(std::io::Error::other(gone))).map_err(failed)?;
        Ok(Self { port, shared })
    }

    /// The Node to create in a cluster: pods with its name are this kubelet's.
    ///
    /// # Errors
    /// Never, as long as a Node has these fields.
    pub fn node(&self, name: &str) -> Result<Node, serde_json::Error> {
        let address: Ipv4Addr = LAN;
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "status": {
                "addresses": [{"type": "InternalIP", "address": address.to_string()}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
                "declaredFeatures": ["ExtendWebSocketsToKubelet"],
            },
        }))
    }

    /// The commands that were asked for in a namespace, in order.
    #[must_use]
    pub fn ran(&self, namespace: &str) -> Vec<Ran> {
        let ran = self.shared.ran.lock().unwrap_or_else(PoisonError::into_inner);
        ran.iter().filter(|ran| ran.namespace == namespace).cloned().collect()
    }

    /// Ends the commands that hold.
    pub fn release(&self) {
        self.shared.release.notify_waiters();
    }
}

/// A certificate of its own: API servers don't check it unless they are told a CA for kubelets.
fn tls() -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    // A second call changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new(vec![LAN.to_string()])?.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: &TcpListener, tls: &TlsAcceptor, shared: &Arc<Shared>) {
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while sessions.try_join_next().is_some() {}
        let (tls, shared) = (tls.clone(), Arc::clone(shared));
        sessions.spawn(async move {
            if let Err(error) = session(stream, &tls, &shared).await {
                tracing::info!(%error, "a command of the stand-in for a kubelet");
            }
        });
    }
}

async fn session(
    stream: TcpStream,
    tls: &TlsAcceptor,
    shared: &Shared,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = tls.accept(stream).await?;
    let mut asked = None;
    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    let agree = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        asked = read(request.uri());
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("v5.channel.k8s.io"));
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await?;
    let Some(ran) = asked else { return Ok(()) };
    let words: Vec<String> = ran.command.clone();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Begun before it is told, so that a release that follows is not missed.
    let released = shared.release.notified();
    let mut released = std::pin::pin!(released);
    released.as_mut().enable();
    shared.ran.lock().unwrap_or_else(PoisonError::into_inner).push(ran);
    let (channel, text, status) = match words[..] {
        ["print", text] => (STDOUT, text.to_owned(), json!({"status": "Success"})),
        ["fail", code, text] => (STDERR, text.to_owned(), exit(code)),
        ["hold"] => {
            released.await;
            (STDOUT, String::new(), json!({"status": "Success"}))
        }
        ["hang"] => {
            while let Some(Ok(_)) = socket.next().await {}
            return Ok(());
        }
        _ => (STDERR, format!("{words:?} is no command of the stand-in"), exit("127")),
    };
    socket.send(framed(channel, text.into_bytes())).await?;
    socket.send(framed(STATUS, status.to_string().into_bytes())).await?;
    socket.close(None).await?;
    Ok(())
}

fn framed(channel: u8, mut bytes: Vec<u8>) -> Message {
    bytes.insert(0, channel);
    Message::binary(bytes)
}

/// As a kubelet tells of a command that failed.
fn exit(code: &str) -> Value {
    json!({
        "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code}]},
    })
}

/// `/exec/NAMESPACE/POD/CONTAINER?command=…&command=…`
fn read(uri: &Uri) -> Option<Ran> {
    let mut path = uri.path().split('/').skip(1);
    let ("exec", namespace, pod, container) = (path.next()?, path.next()?, path.next()?, path.next()?) else {
        return None;
    };
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let command = query.filter(|(key, _)| key == "command").map(|(_, word)| word.into_owned()).collect();
    Some(Ran {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        container: container.to_owned(),
        command,
    })
}
