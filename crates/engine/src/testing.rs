//! A stand-in for an API server: what it answers is written down by the test.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;

use crate::call::Caller;

/// Paths of the requests that a stand-in has had.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A way to a server that answers the n-th request, counted from 0, with `answer(n, path)`.
pub(crate) fn server(
    answer: impl Fn(usize, &str) -> Response<Body> + Send + Sync + 'static,
) -> (Caller, Log) {
    let log = Log::default();
    let asked = log.clone();
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (log, answer) = (asked.clone(), Arc::clone(&answer));
        async move {
            let path = request.uri().path_and_query().unwrap().as_str().to_owned();
            // A body that is still being sent has failed for who sends it.
            request.into_body().collect().await.unwrap();
            let mut log = log.0.lock().unwrap();
            let answer = answer(log.len(), &path);
            log.push(path);
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    (Caller::new(Client::new(service, "default")), log)
}

pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Response<Body> {
    Response::new(Body::from(body.into()))
}

pub(crate) fn status(code: u16, reason: &str, message: &str) -> Response<Body> {
    let body = serde_json::json!({ "kind": "Status", "code": code, "reason": reason, "message": message });
    Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
}
