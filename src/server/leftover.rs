//! What is left of a request's body when its answer is made: read, so that the connection serves on, or given up with a word.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use crate::limits::{LEFTOVER_BYTES_MAX, LEFTOVER_PATIENCE};

/// A request's body, lent to whoever answers.
pub(super) struct Leftover {
    body: Arc<Mutex<Incoming>>,
    /// The client sends its body only when it is asked for it (RFC 9110 §10.1.1).
    waits_to_be_asked: bool,
}

/// The body as it is lent.
struct Lent(Arc<Mutex<Incoming>>);

impl Leftover {
    /// The request to be answered, and what will be left of it.
    pub(super) fn of(request: Request<Incoming>) -> (Request<Body>, Self) {
        let waits_to_be_asked = request.headers().contains_key(header::EXPECT);
        let (parts, body) = request.into_parts();
        let body = Arc::new(Mutex::new(body));
        (Request::from_parts(parts, Body::new(Lent(body.clone()))), Self { body, waits_to_be_asked })
    }

    /// The answer is made: reads what is left, if that is little and comes soon. Otherwise the connection cannot serve on, and the
    /// answer says so: a client that learns it by a broken connection has lost its next request.
    pub(super) async fn settle(self, headers: &mut HeaderMap) {
        if !self.is_over() && (self.waits_to_be_asked || !self.read().await) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    fn is_over(&self) -> bool {
        locked(&self.body).is_end_stream()
    }

    /// True when nothing is left.
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
