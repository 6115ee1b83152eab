//! /healthz, /readyz and /metrics.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{caches::Caches, metrics::Metrics};

/// What the endpoints show.
#[derive(Clone)]
pub struct Shown {
    /// For readiness.
    pub caches: Arc<Caches>,
    /// For /metrics.
    pub metrics: Arc<Metrics>,
}

/// Serves until stopped.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(address: SocketAddr, shown: Shown, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(shown);
    let listener = TcpListener::bind(address).await?;
    tracing::info!(%address, "serving health and metrics");
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Ready once the apiserver has said what it serves: our own kinds may come later, and are waited for.
async fn ready(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    match shown.caches.is_discovered() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "waiting for the apiserver"),
    }
}

async fn metrics(State(shown): State<Shown>) -> String {
    shown.metrics.text(shown.caches.queues())
}
