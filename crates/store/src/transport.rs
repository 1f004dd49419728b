//! The one way to a server: reqwest under `object_store`'s clients.
//!
//! A request ends when nothing has moved in either direction for a while, however long it takes as long as bytes
//! flow. Redirects are not followed: a store does not send its caller elsewhere. What an error answer says is cut
//! down to its code and message before anybody sees it, and answers that must be held in memory are bounded.

mod body;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{Method, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;

use self::body::{Progress, Sliced, Watched, collect};
use crate::StoreError;
use crate::clients::{Clients, Trust};
use crate::location::Patience;
use crate::words::{Secrets, code_and_message};

/// Longest answer that is held in memory: a page of a list with the longest keys fits.
const LONGEST_ANSWER: u64 = 32 << 20;
/// Longest error answer that is looked at.
const LONGEST_REFUSAL: u64 = 64 << 10;
/// Why there is no answer that `object_store` could use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("{said}")]
    Refused {
        status: StatusCode,
        /// The server's own name of the error; empty where it gives none.
        code: String,
        said: String,
    },
    #[error("silent for {} s", .0.as_secs_f32())]
    Silent(Duration),
    #[error("{0}")]
    Unreachable(String),
    #[error("the answer is longer than {0} bytes")]
    TooLong(u64),
}

/// What differs between servers.
pub(crate) struct TransportSettings<'a> {
    /// Whether every request must go over TLS.
    pub(crate) tls_only: bool,
    /// Certificates in PEM to trust besides the machine's.
    pub(crate) ca: Option<&'a [u8]>,
    /// Whether any certificate will do.
    pub(crate) insecure: bool,
    pub(crate) patience: Patience,
    pub(crate) secrets: Secrets,
    pub(crate) clients: &'a Clients,
}

fn client(trust: &Trust) -> Result<reqwest::Client, StoreError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("kurator/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(trust.connect)
        .redirect(redirect::Policy::none())
        .dns_resolver(Resolver)
        .referer(false)
        .http1_only()
        .https_only(trust.tls_only)
        .tls_danger_accept_invalid_certs(trust.insecure);
    if let Some(pem) = &trust.ca {
        let none = || StoreError::settings("caCert", "holds no certificate; give one or more in PEM");
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| none())?;
        if certificates.is_empty() {
            return Err(none());
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| StoreError::settings("caCert", format!("cannot be used: {}", last_words(&error))))
}

#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: reqwest::Client,
    silence: Duration,
    secrets: Arc<Secrets>,
    /// Whether multipart uploads end only where there is no object.
    if_absent: bool,
}

impl Transport {
    pub(crate) fn new(settings: TransportSettings<'_>) -> Result<Self, StoreError> {
        let TransportSettings { tls_only, ca, insecure, patience, secrets, clients } = settings;
        let ca = ca.map(<[u8]>::to_vec);
        let client = clients.get(Trust { tls_only, ca, insecure, connect: patience.connect }, client)?;
        Ok(Self { client, silence: patience.silence, secrets: Arc::new(secrets), if_absent: false })
    }

    /// The same connections, with multipart uploads that end only where there is no object.
    pub(crate) fn if_absent(&self) -> Self {
        Self { if_absent: true, ..self.clone() }
    }

    /// Headers of the answer to an unsigned HEAD, whatever its status.
    pub(crate) async fn head(&self, url: &str) -> Result<HeaderMap, NoAnswer> {
        let request = self.client.head(url).send();
        match tokio::time::timeout(self.silence, request).await {
            Err(_) => Err(NoAnswer::Silent(self.silence)),
            Ok(Err(error)) => Err(NoAnswer::Unreachable(self.secrets.clean(&last_words(&error)))),
            Ok(Ok(response)) => Ok(response.headers().clone()),
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let asked = Asked::of(&request, &self.secrets);
        let (mut parts, body) = request.into_parts();
        let ends_upload = parts.method == Method::POST && has_query(&parts.uri, "uploadId");
        if self.if_absent && ends_upload {
            // Not among the signed headers: only those of Amazon's own must be.
            parts.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let holds_object = parts.method == Method::GET && parts.uri.query().is_none();
        let url = parts.uri.to_string().parse().map_err(|_| {
            HttpError::new(HttpErrorKind::Unknown, NoAnswer::Unreachable("the URL cannot be used".to_owned()))
        })?;
        let progress = Progress::default();
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        if body.content_length() > 0 {
            *request.body_mut() = Some(reqwest::Body::wrap(Sliced::new(body, progress.clone())));
        }
        let response = progress.unless_silent(self.silence, self.client.execute(request)).await??;
        let response: http::Response<reqwest::Body> = response.into();
        let (parts, body) = response.into_parts();
        let body = |limit| Watched::new(body, limit, self.silence);
        if !parts.status.is_success() {
            let text = collect(body(LONGEST_REFUSAL)).await;
            return Err(asked.refused(parts.status, &parts.headers, &text));
        }
        if ends_upload {
            // Amazon answers 200 before it knows, and tells an error in the body.
            let text = collect(body(LONGEST_REFUSAL)).await;
            if String::from_utf8_lossy(&text).contains("<Error>") {
                return Err(asked.refused(StatusCode::INTERNAL_SERVER_ERROR, &parts.headers, &text));
            }
            return Ok(HttpResponse::from_parts(parts, text.into()));
        }
        let limit = if holds_object { u64::MAX } else { LONGEST_ANSWER };
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body(limit))))
    }
}

/// Names below `localhost` mean this machine, whatever a name server says (RFC 6761): so a bucket can stand in the
/// host of a local server.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str();
            let local = name.trim_end_matches('.').to_ascii_lowercase();
            if local == "localhost" || local.ends_with(".localhost") {
                let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
                let addresses = addresses.map(|address| SocketAddr::new(address, 0));
                return Ok(Box::new(addresses.into_iter()) as Addrs);
            }
            let found: Vec<_> = tokio::net::lookup_host((name, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.send(request).await
    }
}

/// What of a request matters for the reading of its answer.
struct Asked {
    /// Only where the object is still the same.
    if_match: bool,
    secrets: Secrets,
}

impl Asked {
    fn of(request: &HttpRequest, secrets: &Secrets) -> Self {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let authorization = text(AUTHORIZATION.as_str()).unwrap_or_default();
        let after = |mark: &str| authorization.split_once(mark).map(|(_, rest)| rest);
        let of_request = [text("x-amz-security-token"), after("Signature="), after(" "), Some(authorization)];
        Self {
            if_match: request.headers().contains_key(IF_MATCH),
            secrets: secrets.and(of_request.into_iter().flatten()),
        }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> HttpError {
        let body = String::from_utf8_lossy(body);
        let (code, message) = code_and_message(&body);
        let code = code.unwrap_or_default();
        let mut said = match message {
            Some(message) if !code.is_empty() => format!("{code}: {message}"),
            Some(message) => message.to_owned(),
            None if !code.is_empty() => code.to_owned(),
            None => status.to_string(),
        };
        if let Some(region) = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok()) {
            said.push_str(&format!(", the bucket is in `{region}`"));
        }
        let again = match status {
            StatusCode::NOT_IMPLEMENTED | StatusCode::INSUFFICIENT_STORAGE => false,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
            // Two conditional writes met; the server could not tell whose was first.
            StatusCode::CONFLICT => self.if_match || code == "ConditionalRequestConflict",
            status => status.is_server_error() && !crate::fault::is_final(code),
        };
        let kind = if again { HttpErrorKind::Request } else { HttpErrorKind::Unknown };
        let (code, said) = (self.secrets.clean(code), self.secrets.clean(&said));
        HttpError::new(kind, NoAnswer::Refused { status, code, said })
    }
}

fn has_query(uri: &http::Uri, name: &str) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair.split('=').next() == Some(name))
}

fn silent(silence: Duration) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, NoAnswer::Silent(silence))
}

fn unreachable(error: &reqwest::Error) -> HttpError {
    // A request whose connection broke may have been carried out: only those that may be repeated are.
    let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, NoAnswer::Unreachable(last_words(error)))
}

/// The innermost reason, which says most.
fn last_words(error: &dyn Error) -> String {
    let mut last: &dyn Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
