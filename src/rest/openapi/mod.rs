//! `/api/schema/`: the REST API in writing, as OpenAPI 3.1.
//!
//! The document is made of the table in `operations` and the types in `bodies`, which only tests use; one of them holds the file that is
//! served against both and against the routes.

#[cfg(test)]
#[expect(dead_code, reason = "their schemas alone are used")]
mod bodies;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod tests;

use axum::http::StatusCode;
use axum::response::Response;

use crate::rest::answer::json_response;

#[cfg(test)]
use self::tests::{Operation, answer, delete, get, list, nothing, patch, post, put};

/// The document.
const DOCUMENT: &[u8] = include_bytes!("../../../docs/protocol/openapi.json");

/// `GET /api/schema/`
pub async fn show() -> Response {
    json_response(StatusCode::OK, DOCUMENT.to_vec())
}
