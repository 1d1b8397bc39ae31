//! Deals with the rest of a request's body when its answer is made: reads it, so that the connection can serve another
//! request, or tells the client that the connection ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use crate::limits::{LEFTOVER_BYTES_MAX, LEFTOVER_PATIENCE};

/// A request's body, lent to the handler that answers.
pub(super) struct Leftover {
    body: Arc<Mutex<Incoming>>,
    /// The client sends its body only when it is asked for it (RFC 9110 §10.1.1).
    waits_to_be_asked: bool,
}

/// The body as the handler sees it.
struct Lent(Arc<Mutex<Incoming>>);

impl Leftover {
    /// The request with a lent body, and the handle to what the handler leaves of it.
    pub(super) fn of(request: Request<Incoming>) -> (Request<Body>, Self) {
        let waits_to_be_asked = request.headers().contains_key(header::EXPECT);
        let (parts, body) = request.into_parts();
        let body = Arc::new(Mutex::new(body));
        (Request::from_parts(parts, Body::new(Lent(body.clone()))), Self { body, waits_to_be_asked })
    }

    /// Called when the answer is made. Reads the rest of the body if it is short and comes soon. Otherwise the
    /// connection cannot serve another request, and the answer says so: a client that finds out by a broken connection
    /// has lost its next request.
    pub(super) async fn settle(self, headers: &mut HeaderMap) {
        if !self.is_over() && (self.waits_to_be_asked || !self.read().await) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    fn is_over(&self) -> bool {
        locked(&self.body).is_end_stream()
    }

    /// Reads the rest of the body. True if it was read to its end.
    async fn read(&self) -> bool {
        if locked(&self.body).size_hint().lower() > LEFTOVER_BYTES_MAX {
            return false;
        }
        let mut left = LEFTOVER_BYTES_MAX;
        let reading = async {
            while let Some(piece) = std::future::poll_fn(|context| poll(&self.body, context)).await {
                let Ok(piece) = piece else { return false };
                let bytes = piece.data_ref().map_or(0, |data| data.len() as u64);
                let Some(rest) = left.checked_sub(bytes) else { return false };
                left = rest;
            }
            true
        };
        tokio::time::timeout(LEFTOVER_PATIENCE, reading).await.unwrap_or(false)
    }
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        poll(&self.0, context)
    }

    fn is_end_stream(&self) -> bool {
        locked(&self.0).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        locked(&self.0).size_hint()
    }
}

fn poll(body: &Mutex<Incoming>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    Pin::new(&mut *locked(body)).poll_frame(context)
}

fn locked(body: &Mutex<Incoming>) -> MutexGuard<'_, Incoming> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}
