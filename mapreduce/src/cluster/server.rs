//! The coordinator's side of the network.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tributary_mapreduce_core::job::Poll;

use super::auth::{Key, NONCE, SIGNATURE, Side};
use crate::link::Link;

/// The longest poll that is read: a worker's reports of one round.
const MAX_POLL: usize = 64 << 20;

struct Shared {
    link: Arc<dyn Link>,
    key: Key,
}

/// Answers workers by `link` until `stop`, and then those that are under way. `GET /healthz` needs no key.
pub async fn serve(
    listener: TcpListener,
    link: Arc<dyn Link>,
    key: Key,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = Router::new()
        .route("/v1/poll", post(poll))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(MAX_POLL))
        .with_state(Arc::new(Shared { link, key }));
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn poll(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (nonce, signature) = (header(NONCE).to_owned(), header(SIGNATURE));
    if nonce.is_empty() || !shared.key.verify(Side::Request, &nonce, &body, signature) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let poll: Poll = match serde_json::from_slice(&body) {
        Ok(poll) => poll,
        Err(e) => return (StatusCode::BAD_REQUEST, e.to_string()).into_response(),
    };
    let reply = match shared.link.poll(&poll).await {
        Ok(reply) => reply,
        Err(e) => return (StatusCode::SERVICE_UNAVAILABLE, e.to_string()).into_response(),
    };
    match serde_json::to_vec(&reply) {
        Ok(body) => ([(SIGNATURE, shared.key.sign(Side::Reply, &nonce, &body))], body).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
