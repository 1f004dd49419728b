//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How far the process is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Somebody else leads; that is where this process should be.
    StandingBy,
    /// Leading, but not all of the hub is known.
    Starting,
    Ready,
}

/// What the process says of itself.
pub(crate) struct Health {
    state: watch::Sender<Readiness>,
    registry: Registry,
}

impl Health {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { state: watch::Sender::new(Readiness::Starting), registry }
    }

    pub(super) fn set(&self, state: Readiness) {
        self.state.send_replace(state);
    }

    /// Waits until the controllers work.
    pub(crate) async fn until_ready(&self) {
        // Fails only with the sender, which is in `self`.
        let mut state = self.state.subscribe();
        let _ready = state.wait_for(|state| *state == Readiness::Ready).await;
    }
}

/// Answers until `end`.
pub(super) async fn serve(listener: TcpListener, health: Arc<Health>, end: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    let served = axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!("the health endpoint ended: {error}");
    }
}

async fn readyz(State(health): State<Arc<Health>>) -> impl IntoResponse {
    match *health.state.borrow() {
        Readiness::Ready => (StatusCode::OK, "ok: leading"),
        Readiness::StandingBy => (StatusCode::OK, "ok: standing by"),
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &health.registry) {
        Ok(()) => {
            let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, format)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
