//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const STANDBY: u8 = 0;
const STARTING: u8 = 1;
const READY: u8 = 2;

/// What the process says of itself.
pub(super) struct Health {
    state: AtomicU8,
    registry: Registry,
}

impl Health {
    pub(super) fn new(registry: Registry) -> Self {
        Self { state: AtomicU8::new(STARTING), registry }
    }

    /// Somebody else leads; that is where this process should be.
    pub(super) fn stand_by(&self) {
        self.state.store(STANDBY, Ordering::Relaxed);
    }

    /// Leading, but not all of the hub is known.
    pub(super) fn start(&self) {
        self.state.store(STARTING, Ordering::Relaxed);
    }

    pub(super) fn ready(&self) {
        self.state.store(READY, Ordering::Relaxed);
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
    match health.state.load(Ordering::Relaxed) {
        READY => (StatusCode::OK, "ok: leading"),
        STANDBY => (StatusCode::OK, "ok: standing by"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
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
