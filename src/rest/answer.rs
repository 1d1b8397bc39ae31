//! Builds the answers of handlers.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::domain::event::Cursor;

/// Names the place that a list shows: a client of `pregon.v1` subscribes from there.
pub const CURSOR: HeaderName = HeaderName::from_static("x-pregon-cursor");

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
