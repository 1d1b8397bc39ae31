//! `/api/users/block/` and `/api/users/blocked/`: blocks people, and lists who is blocked.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::domain::feed::write::Action;
use crate::rest::app::App;
use crate::rest::error::{Error, Result};
use crate::rest::extract::Caller;
use crate::rest::people::profiles::{by_name, people_response};
use crate::rest::write_answer;

/// `POST users/block/<username>/`. Again, it changes nothing.
pub async fn block(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = by_name(&app, &name).await?;
    if user.id == caller.id() {
        return Err(Error::hand(StatusCode::BAD_REQUEST, "No puedes bloquearte a ti mismo"));
    }
    let event = write_answer::event(app.store.write_feed(caller.id(), Action::Block { user: user.id }).await)?;
    let status = if event.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let text = format!("Has bloqueado a {}", user.display_name);
    Ok((status, Json(json!({"message": text}))).into_response())
}

/// `DELETE users/block/<username>/`. It also works on a deactivated user.
pub async fn unblock(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = app.store.profile_by_name(&name).await?;
    let user = user.ok_or_else(|| Error::hand(StatusCode::NOT_FOUND, "Usuario no encontrado"))?;
    write_answer::event(app.store.write_feed(caller.id(), Action::Unblock { user: user.id }).await)?;
    let text = format!("Has desbloqueado a {}", user.display_name);
    Ok(Json(json!({"message": text})).into_response())
}

/// `GET users/blocked/`: those whom the caller has blocked, the last one first.
pub async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let found = app.store.blocked(caller.id()).await?;
    Ok(people_response(&app, &found))
}
