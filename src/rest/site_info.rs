//! `/api/` and `/api/site-settings/`: describes the server, with the flags and menu of the pages. Needs no token.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::rest::answer::json_response;
use crate::rest::app::App;

/// `GET /api/`
pub async fn root(State(app): State<Arc<App>>) -> Json<Value> {
    let link = |path: &str| format!("{}{path}", app.presenter.public_url);
    Json(json!({
        "name": "pregon",
        "version": env!("CARGO_PKG_VERSION"),
        "links": {
            "auth": link("/api/auth/"),
            "users": link("/api/users/"),
            "posts": link("/api/posts/"),
            "messaging": link("/api/messaging/chats/"),
            "notifications": link("/api/notifications/"),
            "site-settings": link("/api/site-settings/"),
            "health": link("/health/"),
        },
    }))
}

/// `GET /api/site-settings/`
pub async fn flags(State(app): State<Arc<App>>) -> Response {
    json_response(StatusCode::OK, app.site.flags.clone())
}

/// `GET /api/site-settings/menu/enabled/`
pub async fn menu(State(app): State<Arc<App>>) -> Response {
    json_response(StatusCode::OK, app.site.menu.clone())
}
