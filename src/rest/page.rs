//! Serves the page, and the 404 for all other paths.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::rest::answer;
use crate::rest::app::App;
use crate::rest::assets::{self, Asset, Encoding};

const NOWHERE: &str = "<!doctype html>\n<html lang=\"es\">\n<title>No encontrado</title>\n<h1>No encontrado</h1>\n\
    <p>No hay nada en esta dirección.</p>\n</html>\n";

/// A file of the page, or a 404 in HTML.
pub async fn serve(State(app): State<Arc<App>>, request: Request) -> Response {
    let encoding = Encoding::accepted(&text(request.headers(), &header::ACCEPT_ENCODING));
    match (app.page.asset(request.uri().path(), encoding).await, request.method()) {
        (Some(asset), &Method::GET | &Method::HEAD) => file(asset, request.headers()),
        (Some(_), _) => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response(),
        (None, _) => (StatusCode::NOT_FOUND, Html(NOWHERE)).into_response(),
    }
}

/// All lines of a header, joined to one list.
fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",")
}

fn file(asset: Asset, headers: &HeaderMap) -> Response {
    let mut response = if asset.etag.as_deref().is_some_and(|etag| answer::names(headers, etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = ([(header::CONTENT_TYPE, asset.content_type)], Body::from(asset.body)).into_response();
        if let Some(name) = asset.encoding.name() {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        response
    };
    let caching = match (asset.is_immutable, &asset.etag) {
        (true, _) => "public, max-age=31536000, immutable",
        (false, Some(_)) => "no-cache",
        (false, None) => "no-store",
    };
    for (name, value) in [
        (header::CACHE_CONTROL, caching),
        (header::VARY, "Accept-Encoding"),
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
