//! Serves the page, and the 404 for all other paths.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::rest::answer;
use crate::rest::app::App;
use crate::rest::assets::{self, Asset};
use crate::rest::encoding::Encoding;

const NOWHERE: &str = "<!doctype html>\n<html lang=\"es\">\n<title>No encontrado</title>\n<h1>No encontrado</h1>\n\
    <p>No hay nada en esta dirección.</p>\n</html>\n";

/// A file of the page, or a 404 in HTML.
pub async fn serve(State(app): State<Arc<App>>, request: Request) -> Response {
    let encoding = Encoding::accepted(request.headers(), Encoding::COMPRESSED);
    match (app.page.asset(request.uri().path(), encoding).await, request.method()) {
        (Some(asset), &Method::GET | &Method::HEAD) => file(asset, request.headers()),
        (Some(_), _) => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response(),
        (None, _) => (StatusCode::NOT_FOUND, Html(NOWHERE)).into_response(),
    }
}

fn file(asset: Asset, headers: &HeaderMap) -> Response {
    let mut response = if asset.etag.as_deref().is_some_and(|etag| answer::names(headers, etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.content_type)], Body::from(asset.body)).into_response()
    };
    asset.encoding.describe(&mut response);
    let caching = match (asset.is_immutable, &asset.etag) {
        (true, _) => "public, max-age=31536000, immutable",
        (false, Some(_)) => "no-cache",
        (false, None) => "no-store",
    };
    for (name, value) in [
        (header::CACHE_CONTROL, caching),
        (header::CONTENT_SECURITY_POLICY, assets::CONTENT_SECURITY_POLICY),
        // No window that another origin opened, or was opened from, holds on to the page's.
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Some(etag) = asset.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
