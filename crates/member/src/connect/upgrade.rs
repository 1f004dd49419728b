//! Chooses the connection of a request.

use std::task::{Context, Poll};

use http::{Request, header};
use hyper_util::client::legacy;
use kube::client::Body;
use tower::Service;

use super::TimedConnector;

type Transport = legacy::Client<TimedConnector, Body>;

/// One connection for all requests but those that upgrade theirs.
#[derive(Clone)]
pub(super) struct Upgrading {
    pub(super) shared: Transport,
    pub(super) single: Transport,
}

impl Service<Request<Body>> for Upgrading {
    type Response = <Transport as Service<Request<Body>>>::Response;
    type Error = legacy::Error;
    type Future = legacy::ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), legacy::Error>> {
        // A client of hyper's is always ready: it waits when it is called.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let transport =
            if request.headers().contains_key(header::UPGRADE) { &self.single } else { &self.shared };
        transport.request(request)
    }
}
