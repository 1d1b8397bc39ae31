//! The health, readiness and metrics of the server.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;

use crate::access::client_address::PeerAddr;
use crate::access::lifecycle::Phase;
use crate::limits;
use crate::rest::app::App;

/// The header that names the node that answers.
const NODE: &str = "x-pregon-node";

/// `GET /healthz`: the process is alive, and which node it is.
pub async fn alive(State(app): State<Arc<App>>) -> Response {
    let mut response = "ok\n".into_response();
    // A name that no header can carry is left out.
    if let Ok(node) = HeaderValue::from_str(&app.node) {
        response.headers_mut().insert(NODE, node);
    }
    response
}

/// `GET /readyz`: the server may receive clients.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let unready =
        |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], why).into_response();
    match app.lifecycle.phase() {
        Phase::Starting => return unready("starting\n"),
        Phase::Draining => return unready("draining\n"),
        Phase::Ready => {}
    }
    match timeout(limits::PING_TIMEOUT, app.store.ping()).await {
        Ok(Ok(())) if app.redis.as_ref().is_some_and(|is_up| !is_up()) => unready("redis\n"),
        // Clients hear everything all the same, a little later.
        Ok(Ok(())) if app.bus.as_ref().is_some_and(|is_up| !is_up()) => "ready, without redis\n".into_response(),
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            unready("database\n")
        }
        Err(_) => {
            tracing::warn!("not ready: the database does not answer in time");
            unready("database\n")
        }
    }
}

/// `GET /health/`, for probes written for the older backend.
pub async fn healthy() -> Json<serde_json::Value> {
    Json(json!({"status": "healthy", "message": "El servidor está funcionando correctamente"}))
}

/// `GET /metrics`: for programs on this machine that do not come through a proxy, or for everybody if so set.
pub async fn metrics(State(app): State<Arc<App>>, request: Request) -> Response {
    let peer = request.extensions().get::<PeerAddr>();
    let is_local = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    let is_proxied =
        ["x-forwarded-for", "forwarded", "x-real-ip"].iter().any(|name| request.headers().contains_key(*name));
    if !app.metrics_public && (!is_local || is_proxied) {
        return StatusCode::FORBIDDEN.into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (app.render_metrics)()).into_response()
}
