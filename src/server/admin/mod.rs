//! The listener of operators: apart from that of clients, and only for who has the key.

mod crowd;
mod requests;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::access::admin_key::AdminKey;
use crate::access::client_address;
use crate::config::Settings;
use crate::limits::{
    OPERATOR_BODY_BYTES_MAX, OPERATOR_CONNECTIONS_MAX, OPERATOR_KEY_TIMEOUT, OPERATOR_REQUEST_TIMEOUT,
};
use crate::server::admin::crowd::Crowd;
use crate::server::admin::requests::{Admin, Peer};
use crate::server::operator::Operator;
use crate::store::Store;
use crate::telemetry::{self, alarm};

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

/// Whether the connection's client has shown the key.
#[derive(Debug, Clone, Default)]
struct Shown(Arc<AtomicBool>);

async fn with_key(
    State(key): State<Arc<AdminKey>>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(shown): Extension<Shown>,
    request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map(|line| line.as_bytes());
    if !key.opens(given) {
        telemetry::wrong_admin_key(peer);
        let text = "the key is missing or wrong: send Authorization: Bearer with the server's PREGON_ADMIN_KEY";
        let mut response = (StatusCode::UNAUTHORIZED, Json(json!({"error": text}))).into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        return response;
    }
    shown.0.store(true, Ordering::Relaxed);
    next.run(request).await
}

async fn unknown() -> Response {
    let text = "there are GET /sessions, POST /sessions/tell, POST /sessions/cut and POST /rebalance";
    (StatusCode::NOT_FOUND, Json(json!({"error": text}))).into_response()
}

async fn accept(listener: tokio::net::TcpListener, router: Router) {
    let (turns, crowd) = (Arc::new(Semaphore::new(OPERATOR_CONNECTIONS_MAX)), Arc::<Crowd>::default());
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, peer)) => {
                let Some(counted) = crowd.admit(client_address::site(peer.ip())) else {
                    turn_away(socket, peer);
                    continue;
                };
                let router = router.clone();
                tokio::spawn(async move {
                    serve(socket, peer, router).await;
                    drop((turn, counted));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an operator's connection could not be accepted");
                sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

const TURNED_AWAY: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n\
    {\"error\":\"too many connections of this address: ask one thing after the other\"}";

/// Says so, if that can be written at once. The next in line need not wait.
fn turn_away(socket: TcpStream, peer: SocketAddr) {
    telemetry::limit_hit("operators' connections", peer.ip());
    if let Ok(mut socket) = socket.into_std() {
        let _ = socket.write_all(TURNED_AWAY.as_bytes());
    }
}

/// Serves one connection: one request, so that nobody keeps a turn. Who has not shown the key keeps it for a moment only.
async fn serve(socket: TcpStream, peer: SocketAddr, router: Router) {
    let shown = Shown::default();
    let noted = shown.clone();
    let service = tower::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(noted.clone());
        tower::ServiceExt::oneshot(router.clone(), request.map(Body::new))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(OPERATOR_KEY_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    let is_over = async {
        sleep(OPERATOR_KEY_TIMEOUT).await;
        if shown.0.load(Ordering::Relaxed) {
            sleep(OPERATOR_REQUEST_TIMEOUT - OPERATOR_KEY_TIMEOUT).await;
        }
    };
    tokio::select! {
        // If a request is not HTTP, or ends half-way, there is nothing to do.
        _ = served => {}
        () = is_over => {}
    }
}
