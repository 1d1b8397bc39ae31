//! `/api/posts/<id>/bookmark/`: adds and removes bookmarks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::rest::app::App;
use crate::rest::error::{Error, NOT_FOUND, Result};
use crate::rest::extract::Caller;
use crate::rest::posts::paths::{post_id, require_visible};

/// `POST posts/<id>/bookmark/`, for a post that the caller may see.
pub async fn add(State(app): State<Arc<App>>, caller: Caller, Path(post): Path<String>) -> Result<Response> {
    let post = post_id(&post)?;
    require_visible(&app, &caller, post).await?;
    match app.store.bookmark(caller.id(), post).await?.ok_or(NOT_FOUND)? {
        true => Ok((StatusCode::CREATED, Json(json!({"message": "Post agregado a favoritos"}))).into_response()),
        false => Ok(Json(json!({"message": "Post ya está en favoritos"})).into_response()),
    }
}

/// `DELETE posts/<id>/bookmark/`. It also works if the post has become private.
pub async fn remove(State(app): State<Arc<App>>, caller: Caller, Path(post): Path<String>) -> Result<Response> {
    match app.store.unbookmark(caller.id(), post_id(&post)?).await? {
        true => Ok(Json(json!({"message": "Post eliminado de favoritos"})).into_response()),
        false => Err(Error::hand(StatusCode::NOT_FOUND, "Post no está en favoritos")),
    }
}
