//! The listener of operators: apart from that of clients, and only for who has the key.

mod requests;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::access::admin_key::AdminKey;
use crate::config::Settings;
use crate::limits::{HANDSHAKE_TIMEOUT, OPERATOR_BODY_BYTES_MAX, OPERATOR_CONNECTIONS_MAX, OPERATOR_REQUEST_TIMEOUT};
use crate::server::admin::requests::{Admin, Peer};
use crate::server::operator::Operator;
use crate::store::Store;
use crate::telemetry::alarm;

/// Opens the listener, if there is a key.
///
/// # Errors
/// When the address is taken or is not this machine's.
pub(super) fn open(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    if settings.admin_key.is_none() {
        return Ok(None);
    }
    let address = settings.admin_address;
    let listener = TcpListener::bind(address).with_context(|| {
        format!("operators cannot be heard on {address}: choose another with PREGON_ADMIN_ADDRESS, for example 127.0.0.1:8011")
    })?;
    listener.set_nonblocking(true).context("the operators' listener")?;
    Ok(Some(listener))
}

/// Serves operators until the runtime ends.
///
/// # Errors
/// When the runtime does not take the listener.
pub(super) fn start(
    listener: Option<TcpListener>,
    settings: &Settings,
    operator: Arc<Operator>,
    store: Arc<dyn Store>,
    control: &Handle,
) -> anyhow::Result<()> {
    let (Some(listener), Some(key)) = (listener, &settings.admin_key) else { return Ok(()) };
    let _entered = control.enter();
    let listener = tokio::net::TcpListener::from_std(listener).context("the operators' listener")?;
    let address = listener.local_addr().context("the operators' listener")?;
    tracing::info!(%address, "operators are heard");
    let router = router(Admin { operator, store }, AdminKey::new(key.bytes()));
    control.spawn(alarm::watched("the operators' listener", accept(listener, router)));
    Ok(())
}

fn router(admin: Admin, key: AdminKey) -> Router {
    Router::new()
        .route("/sessions", get(requests::list))
        .route("/sessions/tell", post(requests::tell))
        .route("/sessions/cut", post(requests::cut))
        .route("/rebalance", post(requests::rebalance))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(OPERATOR_BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::new(key), with_key))
        .with_state(Arc::new(admin))
}

async fn with_key(State(key): State<Arc<AdminKey>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map(|line| line.as_bytes());
    if !key.opens(given) {
        metrics::counter!("pregon_admin_requests_total", "verb" => "none", "outcome" => "wrong key").increment(1);
        let text = "the key is missing or wrong: send Authorization: Bearer with the server's PREGON_ADMIN_KEY";
        let mut response = (StatusCode::UNAUTHORIZED, Json(json!({"error": text}))).into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        return response;
    }
    next.run(request).await
}

async fn unknown() -> Response {
    let text = "there are GET /sessions, POST /sessions/tell, POST /sessions/cut and POST /rebalance";
    (StatusCode::NOT_FOUND, Json(json!({"error": text}))).into_response()
}

async fn accept(listener: tokio::net::TcpListener, router: Router) {
    let turns = Arc::new(Semaphore::new(OPERATOR_CONNECTIONS_MAX));
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, peer)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    let _ = timeout(OPERATOR_REQUEST_TIMEOUT, serve(socket, peer, router)).await;
                    drop(turn);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an operator's connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection: one request, so that nobody keeps a turn.
async fn serve(socket: TcpStream, peer: SocketAddr, router: Router) {
    let service = tower::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        tower::ServiceExt::oneshot(router.clone(), request.map(Body::new))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    // If a request is not HTTP, or ends half-way, there is nothing to do.
    let _ = served.await;
}
