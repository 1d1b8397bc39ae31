//! `/api/users/friends/` and `/api/users/friend-requests/`: lists, makes and ends friendships.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::domain::feed::write::Action;
use crate::domain::people::{FriendRequest, RequestStatus};
use crate::ids::RequestId;
use crate::protocol::v0::json::{self, Object};
use crate::rest::answer::json_response;
use crate::rest::app::App;
use crate::rest::error::{Error, Result, Unauthorized};
use crate::rest::extract::Caller;
use crate::rest::fields::Fields;
use crate::rest::people::profiles::{by_name, people_response};
use crate::rest::write_answer;

/// `GET users/friends/`
pub async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let found = app.store.friends(caller.id(), caller.id()).await?;
    Ok(people_response(&app, &found))
}

/// `GET users/friends/<username>/`
pub async fn list_of(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = by_name(&app, &name).await?;
    let found = app.store.friends(caller.id(), user.id).await?;
    Ok(people_response(&app, &found))
}

/// `DELETE users/friends/<username>/`. It also works on a deactivated user.
pub async fn remove(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = app.store.profile_by_name(&name).await?;
    let user = user.ok_or_else(|| Error::hand(StatusCode::NOT_FOUND, "Usuario no encontrado"))?;
    write_answer::event(app.store.write_feed(caller.id(), Action::RemoveFriend { user: user.id }).await)?;
    Ok(Json(json!({"message": "Amistad eliminada"})).into_response())
}

/// `GET users/friend-requests/`: the open requests to and from the caller.
pub async fn requests(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let found = app.store.friend_requests(caller.id()).await?;
    let mut out = Vec::with_capacity(512 * (found.len() + 1));
    json::array(&mut out, &found, |out, request| app.presenter.friend_request(out, request));
    Ok(json_response(StatusCode::OK, out))
}

/// `POST users/friend-requests/send/<username>/`
pub async fn request(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = by_name(&app, &name).await?;
    let action = Action::RequestFriend { user: user.id };
    let written = write_answer::event(app.store.write_feed(caller.id(), action).await)?;
    let event = written.ok_or_else(|| Error::Internal("a friend request changed nothing".to_owned()))?;
    let id = write_answer::relation(&event)?.request.ok_or_else(|| write_answer::unexpected(&event))?;
    let sender = app.store.profile(caller.id()).await?.ok_or(Unauthorized::NoUser)?;
    let message = format!("Solicitud de amistad enviada a {}", user.display_name);
    let status = RequestStatus::Pending;
    let request = FriendRequest { id, sender, receiver: user, status, created_at: event.at };
    let mut out = Vec::with_capacity(1024);
    Object::open(&mut out)
        .text("message", &message)
        .value("friend_request", |out| app.presenter.friend_request(out, &request))
        .close();
    Ok(json_response(StatusCode::CREATED, out))
}

fn request_id(text: &str) -> Result<RequestId> {
    let missing = |_| Error::hand(StatusCode::NOT_FOUND, "Solicitud de amistad no encontrada");
    text.parse().map_err(missing)
}

/// `POST users/friend-requests/<id>/respond/` with `action`
pub async fn respond(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(request): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let request = request_id(&request)?;
    let accept = match fields.0.get("action").and_then(|value| value.as_str()) {
        Some("accept") => true,
        Some("reject") => false,
        _ => return Err(Error::hand(StatusCode::BAD_REQUEST, "Acción inválida: usa accept o reject")),
    };
    write_answer::event(app.store.write_feed(caller.id(), Action::AnswerRequest { request, accept }).await)?;
    let text = if accept { "Solicitud de amistad aceptada" } else { "Solicitud de amistad rechazada" };
    Ok(Json(json!({"message": text})).into_response())
}

/// `DELETE users/friend-requests/<id>/`: withdraws the caller's own request.
pub async fn cancel(State(app): State<Arc<App>>, caller: Caller, Path(request): Path<String>) -> Result<Response> {
    let action = Action::CancelRequest { request: request_id(&request)? };
    write_answer::event(app.store.write_feed(caller.id(), action).await)?;
    Ok(Json(json!({"message": "Solicitud de amistad cancelada"})).into_response())
}
