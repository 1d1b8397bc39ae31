//! Builds the answers of handlers.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::access::crypto;
use crate::domain::event::Cursor;

/// Names the place that a list shows: a client of `pregon.v1` subscribes from there.
pub const CURSOR: HeaderName = HeaderName::from_static("x-pregon-cursor");

/// Which pages may embed an answer: <https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header>.
pub const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// An answer from JSON that is already written.
pub fn json_response(status: StatusCode, json: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(json)).into_response()
}

/// The answer of a list, with the place in its topic's order that it shows.
pub fn at_place(mut answer: Response, place: Option<Cursor>) -> Response {
    if let Some(value) = place.and_then(|place| HeaderValue::try_from(place.to_string()).ok()) {
        answer.headers_mut().insert(CURSOR, value);
    }
    answer
}

/// The answer with a tag of what it says. Without the rest if the client names that tag: it has it already.
pub async fn unless_known(headers: &HeaderMap, answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    // It was written before, so that nothing is waited for.
    let Ok(json) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("\"{}\"", crypto::fingerprint(&json));
    let is_known = names(headers, &tag);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    if !is_known {
        return Response::from_parts(parts, Body::from(json));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    Response::from_parts(parts, Body::empty())
}

/// Does `If-None-Match` name this tag?
pub fn names(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = lines.flat_map(|line| line.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}
