//! The page, and what is said where nothing is.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::rest::assets;

const NOWHERE: &str = "<!doctype html>\n<html lang=\"es\">\n<title>No encontrado</title>\n<h1>No encontrado</h1>\n\
    <p>No hay nada en esta dirección.</p>\n</html>\n";

/// A file of the page, or 404 in HTML.
pub async fn serve(request: Request) -> Response {
    let asset = assets::asset(request.uri().path());
    match (asset, request.method()) {
        (Some(asset), &Method::GET | &Method::HEAD) => file(asset, request.headers()),
        (Some(_), _) => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response(),
        (None, _) => (StatusCode::NOT_FOUND, Html(NOWHERE)).into_response(),
    }
}

fn file(asset: assets::Asset, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_known = known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag || tag.trim() == "*");
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.content_type)], Body::from(asset.body)).into_response()
    };
    let lines: [(HeaderName, &str); 4] = [
        (header::ETAG, asset.etag),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, assets::CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in lines {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
