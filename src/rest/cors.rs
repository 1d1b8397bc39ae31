//! CORS: lets pages of allowed origins read the answers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::rest::app::App;

const METHODS: HeaderValue = HeaderValue::from_static("DELETE, GET, OPTIONS, PATCH, POST, PUT");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, accept-encoding, authorization, content-type, dnt, if-none-match, origin, user-agent, x-csrftoken, \
     x-requested-with",
);
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Answers preflights, and adds the CORS headers to every other answer for the origin that asked.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let allowed = allowed_origin(&app, request.headers());
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight { StatusCode::OK.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed {
        let mut set = |name: HeaderName, value| drop(headers.insert(name, value));
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag, x-pregon-cursor"));
        if is_preflight {
            set(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            set(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
    response
}

fn allowed_origin(app: &App, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    app.origins.allows(Some(origin.to_str().ok()?), host).then(|| origin.clone())
}
