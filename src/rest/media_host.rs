//! Adds the server's host to addresses in answers when only the request knows it.
//!
//! A server that listens on every address and has no public address writes its own addresses as paths. Its page
//! resolves them, also those in frames. In REST answers they get the host that the request named.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;

use crate::rest::app::App;

/// Keys whose values are addresses of files.
const FILES: [&str; 11] = [
    "avatar",
    "avatar_url",
    "cover_photo",
    "cover_photo_url",
    "image",
    "video",
    "audio",
    "file_url",
    "thumbnail",
    "media_url",
    "images",
];
/// Keys whose values are addresses of other pages of a list.
const PAGES: [&str; 2] = ["next", "previous"];

/// Completes the addresses of an answer.
pub async fn complete(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let base = if app.presenter.public_url.is_empty() { base(&app, request.headers()) } else { None };
    let response = next.run(request).await;
    let is_json =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/json");
    let Some(base) = base.filter(|_| is_json) else { return response };
    let (mut parts, body) = response.into_parts();
    // The body is already in memory, so this neither waits nor fails.
    let body = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(with_base(&body, &base)))
}

/// The scheme and host by which a request calls this server, if pages of that host may call.
fn base(app: &App, headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter);
    let scheme = match headers.get("x-forwarded-proto").map(|scheme| scheme.as_bytes()) {
        _ if app.is_encrypted => "https",
        Some(b"https") if !app.trusted_proxies.is_empty() => "https",
        _ => "http",
    };
    let base = format!("{scheme}://{host}");
    (!host.is_empty() && host.chars().all(is_name) && app.origins.allows(Some(&base), host)).then_some(base)
}

/// The same JSON, with `base` before the paths in the values of known keys. A user's text cannot look like a key,
/// because its quotes are escaped.
fn with_base(json: &[u8], base: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 8);
    let mut rest = json;
    while let Some(colon) = rest.windows(2).position(|pair| pair == b"\":") {
        let (before, after) = rest.split_at(colon + 2);
        out.extend_from_slice(before);
        rest = after;
        let key = before[..colon].rsplit(|byte| *byte == b'"').next().unwrap_or_default();
        let is = |keys: &[&str]| keys.iter().any(|name| name.as_bytes() == key);
        if is(&FILES) {
            rest = files(rest, base, &mut out);
        } else if is(&PAGES) && rest.starts_with(b"\"/api/") {
            out.push(b'"');
            out.extend_from_slice(base.as_bytes());
            rest = &rest[1..];
        }
    }
    out.extend_from_slice(rest);
    out
}

/// One address, or a list of them. Returns the rest of the JSON.
fn files<'a>(mut rest: &'a [u8], base: &str, out: &mut Vec<u8>) -> &'a [u8] {
    let is_list = rest.first() == Some(&b'[');
    if is_list {
        out.push(b'[');
        rest = &rest[1..];
    }
    while let Some(text) = rest.strip_prefix(b"\"") {
        out.push(b'"');
        if text.starts_with(b"/media/") {
            out.extend_from_slice(base.as_bytes());
        }
        let Some(end) = text_end(text) else { return text };
        out.extend_from_slice(&text[..end]);
        rest = &text[end..];
        if !is_list || rest.first() != Some(&b',') {
            break;
        }
        out.push(b',');
        rest = &rest[1..];
    }
    rest
}

/// The end of a text that has begun, after its closing quote.
fn text_end(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map(|end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_ours_get_the_host_and_texts_stay() {
        let before = serde_json::json!({
            "avatar": "/media/avatars/a.png", "cover_photo": null, "image": "https://x/media/b.png",
            "images": ["/media/posts/a.png", "https://x/y.png", "/media/posts/\"b.png"],
            "next": "/api/posts/?page=2", "previous": null,
            "results": [{"content": "\"avatar\":\"/media/x", "video": "/media/v.mp4", "images": [], "text": "/media/z"}],
            "message": "/api/x",
        });
        let after: serde_json::Value =
            serde_json::from_slice(&with_base(before.to_string().as_bytes(), "http://h:8000")).unwrap();
        assert_eq!(
            after,
            serde_json::json!({
                "avatar": "http://h:8000/media/avatars/a.png", "cover_photo": null, "image": "https://x/media/b.png",
                "images": ["http://h:8000/media/posts/a.png", "https://x/y.png", "http://h:8000/media/posts/\"b.png"],
                "next": "http://h:8000/api/posts/?page=2", "previous": null,
                "results": [{"content": "\"avatar\":\"/media/x", "video": "http://h:8000/media/v.mp4", "images": [],
                    "text": "/media/z"}],
                "message": "/api/x",
            })
        );
    }

    #[test]
    fn what_is_cut_off_is_passed_through() {
        for json in ["", "{", "{\"images\":[\"/media/a", "{\"avatar\":\"/media/a\\\"", "{\"avatar\":"] {
            let after = String::from_utf8(with_base(json.as_bytes(), "")).unwrap();
            assert_eq!(after, json);
        }
    }
}
