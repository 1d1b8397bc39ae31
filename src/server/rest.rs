//! Carries requests from a shard's thread to the control runtime, and carries back only the bytes of the answers.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tower::ServiceExt;

use crate::access::client_address::{self, Network, PeerAddr};
use crate::engine::shard::port::{Promise, Rest, RestBody};
use crate::rest::error::Error;
use crate::server::budget::{Share, holding};
use crate::server::leftover::Leftover;
use crate::server::memory::{self, Memory};

/// Bodies below this size are not counted: the connection itself costs about as much.
const COUNTED_BYTES_MIN: u64 = 16 * 1024;
/// Bodies up to this size are handed over as a whole.
const WHOLE_BYTES_MAX: u64 = 1024 * 1024;
/// How many pieces of a larger body may wait for its reader.
const PIECES_MAX: usize = 1;
/// The most that such pieces take: the waiting piece, the one that waits for its place, those in the connection's own
/// queue, and what is read ahead of the file. Each is 64 KiB.
const PIPED_BYTES: u64 = 320 * 1024;

/// Counts the answers that are being made.
#[derive(Clone)]
pub(super) struct UnderWay(Arc<Semaphore>);

impl UnderWay {
    const ALL: u32 = 1 << 20;

    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(Self::ALL as usize)))
    }

    /// Waits until no answer is being made.
    pub async fn none(&self) {
        drop(self.0.acquire_many(Self::ALL).await);
    }
}

/// The REST API as the shards see it.
pub(super) fn port(
    router: axum::Router,
    control: Handle,
    under_way: UnderWay,
    trusted: Vec<Network>,
    memory: Arc<Memory>,
) -> Rest {
    Arc::new(move |request: Request<Incoming>, peer| {
        let client = client_address::client(peer, request.headers(), &trusted);
        let caller = Caller { peer, client: client_address::site(client), memory: memory.clone() };
        answer(router.clone(), &control, &under_way, request, caller)
    })
}

/// The client of a request, and the memory that counts what it takes.
struct Caller {
    peer: SocketAddr,
    client: IpAddr,
    memory: Arc<Memory>,
}

fn answer(
    router: axum::Router,
    control: &Handle,
    under_way: &UnderWay,
    request: Request<Incoming>,
    caller: Caller,
) -> Promise<Response<RestBody>> {
    let (hand_over, handed_over) = oneshot::channel();
    let counted = Arc::clone(&under_way.0).try_acquire_owned();
    control.spawn(async move {
        let _counted = counted;
        let is_exempt = memory::is_exempt(request.uri().path());
        let room = caller.memory.admit(caller.client, &request);
        let (mut request, leftover) = Leftover::of(request);
        let Ok(taken) = room else {
            let mut refused = refused().await;
            leftover.settle(refused.headers_mut()).await;
            let _ = hand_over.send(refused);
            return;
        };
        request.extensions_mut().insert(PeerAddr(caller.peer));
        let response = router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {});
        drop(taken);
        let bounded = if is_exempt { Some((response, None)) } else { within_bounds(response, &caller) };
        let Some((response, share)) = bounded else {
            let mut refused = refused().await;
            leftover.settle(refused.headers_mut()).await;
            let _ = hand_over.send(refused);
            return;
        };
        let (mut parts, body) = response.into_parts();
        leftover.settle(&mut parts.headers).await;
        if body.size_hint().exact().is_some_and(|bytes| bytes <= WHOLE_BYTES_MAX) {
            let whole = body.collect().await.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            let whole = share.map_or(whole.clone(), |share| holding(whole, share));
            let _ = hand_over.send(Response::from_parts(parts, full(whole)));
            return;
        }
        let (pieces, waiting) = mpsc::channel(PIECES_MAX);
        if hand_over.send(Response::from_parts(parts, Piped { waiting, _share: share }.boxed())).is_ok() {
            pipe(body, &pieces).await;
        }
    });
    Box::pin(async move {
        handed_over.await.unwrap_or_else(|_| {
            // The handler panicked: its task is gone, but the connection can still be answered.
            let response = Error::Internal("a handler panicked".to_owned()).into_response();
            response.map(|_| full(Bytes::from_static(b"{\"error\":\"Error interno del servidor\"}")))
        })
    })
}

/// Gives the answer its share of the memory for answers; `None` if there is no room.
fn within_bounds(response: Response<Body>, caller: &Caller) -> Option<(Response<Body>, Option<Share>)> {
    let bytes = match response.body().size_hint().exact() {
        // The body is in memory as a whole.
        Some(bytes) if bytes < COUNTED_BYTES_MIN => return Some((response, None)),
        Some(bytes) => bytes,
        None => length(&response).unwrap_or(PIPED_BYTES).min(PIPED_BYTES),
    };
    let share = caller.memory.answers.take(caller.client, usize::try_from(bytes).unwrap_or(usize::MAX));
    if share.is_none() {
        metrics::counter!("pregon_answers_refused_total").increment(1);
    }
    share.map(|share| (response, Some(share)))
}

fn length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn refused() -> Response<RestBody> {
    let (parts, body) = Error::Unavailable.into_response().into_parts();
    let whole = body.collect().await.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
    Response::from_parts(parts, full(whole))
}

fn full(bytes: Bytes) -> RestBody {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed()
}

/// Moves a body's pieces until the body ends or its reader is gone.
async fn pipe(mut body: Body, pieces: &mpsc::Sender<io::Result<Frame<Bytes>>>) {
    while let Some(piece) = body.frame().await {
        let piece = piece.map_err(io::Error::other);
        let is_last = piece.is_err();
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

/// A body whose pieces come from the control runtime.
struct Piped {
    waiting: mpsc::Receiver<io::Result<Frame<Bytes>>>,
    _share: Option<Share>,
}

impl hyper::body::Body for Piped {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.waiting.poll_recv(context)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
