//! `/media/`: serves uploaded files, so that none of them runs as a script or a document.

use std::path::PathBuf;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::rest::answer::CROSS_ORIGIN_RESOURCE_POLICY;
use crate::rest::uploads::litter::is_upload;
use crate::rest::uploads::slots::DOCUMENTS;
use crate::rest::uploads::upload::MediaDir;
use crate::rest::uploads::{documents, labels};

/// A file that is opened by itself may be shown but may run nothing, whatever it contains. Browsers style the document that
/// they make around a picture.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
);
/// What browsers show without running anything, by its type.
const SHOWN: [&str; 10] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "image/heic",
    "image/heif",
    "image/x-icon",
    "image/vnd.microsoft.icon",
];
/// The name of a stored file is never reused.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Serves the file at the path below `/media`, or a range of it. Folders and dot files are answered as missing.
pub async fn serve(media: &MediaDir, request: Request<Body>) -> Response {
    let path = request.uri().path();
    let hidden =
        path.split('/').any(|part| part.starts_with('.') || part.starts_with("%2e") || part.starts_with("%2E"));
    if hidden || path.ends_with('/') {
        return StatusCode::NOT_FOUND.into_response();
    }
    let document = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(DOCUMENTS)?.strip_prefix('/'))
        .map(|file| is_upload(file).then(|| media.root().join(DOCUMENTS).join(file)));
    let mut response = in_ranges(media, request).await;
    let ok = response.status().is_success();
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    // Pages of other origins show pictures of posts.
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    if ok {
        headers.insert(header::CACHE_CONTROL, CACHE);
        match document {
            Some(place) => save(headers, place).await,
            None => disarm(headers),
        }
    }
    response
}

/// A message's document is saved under the name that it was sent with, whatever it is. `place` is `None` for a file that is
/// no upload.
async fn save(headers: &mut HeaderMap, place: Option<PathBuf>) {
    let named = tokio::task::spawn_blocking(move || labels::name(&place?)).await;
    let disposition = named.ok().flatten().map(|name| documents::disposition(&name));
    let nameless = HeaderValue::from_static("attachment");
    headers.insert(header::CONTENT_DISPOSITION, disposition.unwrap_or(nameless));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
}

/// The folder may be another program's, with documents and scripts in it. What is neither picture, sound nor video loses its
/// type, and what is none of the usual ones is saved and not opened: an SVG still shows in an `<img>`, where it runs nothing.
fn disarm(headers: &mut HeaderMap) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_stream = kind.starts_with("audio/") || kind.starts_with("video/");
    if is_stream || SHOWN.contains(&kind.as_str()) {
        return;
    }
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    if !kind.starts_with("image/") {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
}

/// Serves the whole file or the requested range, by RFC 9110 §14 where the library differs: a range in another unit is
/// ignored, the last 500 bytes of a file of 70 are all 70, and `If-Range` with another version asks for the whole file.
async fn in_ranges(media: &MediaDir, mut request: Request<Body>) -> Response {
    let range =
        request.headers().get(header::RANGE).map(|range| range.to_str().unwrap_or_default().to_ascii_lowercase());
    let Some(range) = range else { return file(media, request).await };
    let mut plain = Request::new(Body::empty());
    (*plain.method_mut(), *plain.uri_mut()) = (request.method().clone(), request.uri().clone());
    if !is_byte_range(&range) {
        request.headers_mut().remove(header::RANGE);
        return file(media, request).await;
    }
    if let Ok(range) = HeaderValue::from_str(&range) {
        // The library knows the unit only in lower case.
        request.headers_mut().insert(header::RANGE, range);
    }
    let version = request.headers_mut().remove(header::IF_RANGE);
    let response = file(media, request).await;
    let is_other = version.is_some_and(|version| response.headers().get(header::LAST_MODIFIED) != Some(&version));
    match response.status() {
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if is_other => file(media, plain).await,
        StatusCode::RANGE_NOT_SATISFIABLE if asks_for_all(&range, response.headers()) => {
            plain.headers_mut().insert(header::RANGE, HeaderValue::from_static("bytes=0-"));
            file(media, plain).await
        }
        _ => response,
    }
}

async fn file(media: &MediaDir, request: Request<Body>) -> Response {
    let files = ServeDir::new(media.root()).append_index_html_on_directories(false);
    match files.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// `bytes=0-9`, `bytes=5-`, `bytes=-5`, or a list of them.
fn is_byte_range(range: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = |one: &str| {
        let ends = one.trim().split_once('-');
        ends.is_some_and(|(first, last)| is_number(first) && is_number(last) && one.trim() != "-")
    };
    range.strip_prefix("bytes=").is_some_and(|list| list.split(',').all(is_one))
}

/// Whether the range asks for the end of a non-empty file that is shorter than the range.
fn asks_for_all(range: &str, headers: &HeaderMap) -> bool {
    let length = headers
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok()?.strip_prefix("bytes */")?.parse::<u64>().ok());
    let asked = range.strip_prefix("bytes=-").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    // A number with too many digits to parse exceeds the length of any file.
    let asked = asked.map(|digits| digits.parse::<u64>().unwrap_or(u64::MAX));
    matches!((asked, length), (Some(asked), Some(length)) if length > 0 && asked > length)
}
