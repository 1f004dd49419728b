//! A stand-in for an API server in process, for tests of whoever is handed a client.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// What a request is answered with: a status code, and the object or the reason of a refusal.
pub type Answer = (u16, Value);

/// A client of a server that answers so, by method and path. Watches stay quiet.
#[must_use]
pub fn answering(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Client {
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = Arc::clone(&answer);
        async move {
            if request.uri().query().is_some_and(|query| query.contains("watch=")) {
                return pending().await;
            }
            let (code, said) = answer(request.method().as_str(), request.uri().path());
            let body = match code {
                200..=299 => said,
                _ => {
                    json!({"kind": "Status", "status": "Failure", "code": code, "reason": said, "message": said})
                }
            };
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
            Ok::<_, Infallible>(response)
        }
    });
    Client::new(service, "default")
}
