//! `/media/`: uploaded files, as what they are and nothing else.

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::rest::uploads::upload::MediaDir;

/// A file on its own may show itself but run nothing, whatever its bytes are.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
);
/// Stored names are never used again.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Serves the file that the path below `/media` names, or a range of it. Folders and dot files are not there.
pub async fn serve(media: &MediaDir, request: Request<Body>) -> Response {
    let path = request.uri().path();
    let hidden =
        path.split('/').any(|part| part.starts_with('.') || part.starts_with("%2e") || part.starts_with("%2E"));
    if hidden || path.ends_with('/') {
        return StatusCode::NOT_FOUND.into_response();
    }
    let files = ServeDir::new(media.root()).append_index_html_on_directories(false);
    let mut response = match files.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    let ok = response.status().is_success();
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    if ok {
        headers.insert(header::CACHE_CONTROL, CACHE);
    }
    response
}
