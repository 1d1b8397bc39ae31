//! `/api/users/follow/` and related paths: follows, unfollows, and lists of both.

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

/// `POST users/follow/<username>/`, also as `users/<username>/follow/`
pub async fn follow(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = by_name(&app, &name).await?;
    if user.id == caller.id() {
        return Err(Error::hand(StatusCode::BAD_REQUEST, "No puedes seguirte a ti mismo"));
    }
    match write_answer::event(app.store.write_feed(caller.id(), Action::Follow { user: user.id }).await)? {
        Some(_) => {
            let text = format!("Ahora sigues a {}", user.display_name);
            Ok((StatusCode::CREATED, Json(json!({"message": text}))).into_response())
        }
        None => Ok(Json(json!({"message": "Ya sigues a este usuario"})).into_response()),
    }
}

/// `DELETE users/unfollow/<username>/`. It also works on a deactivated user.
pub async fn unfollow(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = app.store.profile_by_name(&name).await?;
    let user = user.ok_or_else(|| Error::hand(StatusCode::NOT_FOUND, "Usuario no encontrado"))?;
    write_answer::event(app.store.write_feed(caller.id(), Action::Unfollow { user: user.id }).await)?;
    let text = format!("Has dejado de seguir a {}", user.display_name);
    Ok(Json(json!({"message": text})).into_response())
}

/// `GET users/followers/<username>/`
pub async fn followers(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = by_name(&app, &name).await?;
    let found = app.store.followers(caller.id(), user.id).await?;
    Ok(people_response(&app, &found))
}

/// `GET users/following/<username>/`
pub async fn following(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = by_name(&app, &name).await?;
    let found = app.store.following(caller.id(), user.id).await?;
    Ok(people_response(&app, &found))
}
