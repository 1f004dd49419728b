//! Which cluster a request is for, and whether it may go there.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Body, response::Response};
use http::{HeaderMap, Request, Uri, header};
use tower::ServiceExt as _;

use super::identity::Fingerprint;
use crate::{
    error::{ApiError, Result},
    http::json,
};

/// A cluster and what opens it.
pub(super) struct Guarded {
    pub(super) token: Fingerprint,
    pub(super) router: Router,
}

/// The clusters by name.
#[derive(Clone)]
pub(super) struct Door(Arc<BTreeMap<String, Guarded>>);

impl Door {
    pub(super) fn new(clusters: BTreeMap<String, Guarded>) -> Self {
        Self(Arc::new(clusters))
    }

    /// The answer of the cluster that the request names, or the refusal.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        match self.pass(request) {
            Ok((router, request)) => match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Err(refused) => json(refused.code, &refused.status()),
        }
    }

    /// The cluster, and the request as it is within it.
    fn pass<B>(&self, request: Request<B>) -> Result<(Router, Request<Body>)>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let (name, rest) = split(parts.uri.path()).ok_or_else(ApiError::no_such_path)?;
        // Names are compared as they are sent: no cluster has one that would have to be decoded.
        let cluster = self.0.get(name).ok_or_else(ApiError::no_such_path)?;
        let sent = bearer(&parts.headers).map(Fingerprint::of);
        if sent != Some(cluster.token) {
            return Err(ApiError::unauthorized());
        }
        let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        parts.uri = Uri::try_from(format!("{rest}{query}")).map_err(|_| ApiError::no_such_path())?;
        // It has done its work, and is nobody's business behind the door.
        parts.headers.remove(header::AUTHORIZATION);
        Ok((cluster.router.clone(), Request::from_parts(parts, Body::new(body))))
    }
}

/// `/clusters/NAME/REST` as the name and `/REST`.
fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/clusters/")?;
    let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((name, if rest.is_empty() { "/" } else { rest }))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
