//! `/api/messaging/chats/<id>/messages/`: lists, sends, edits and deletes messages, reacts to them and marks them read.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::clock::{JsonTimes, Timestamp};
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::{Message, ReactionType};
use crate::domain::chat::write::Action;
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{MessageId, RoomId};
use crate::limits;
use crate::rest::answer::{at_place, json_response};
use crate::rest::app::App;
use crate::rest::chat::rooms::{require_participant, room_id};
use crate::rest::error::{Error, NOT_FOUND, Result};
use crate::rest::extract::Caller;
use crate::rest::fields::{Faults, Fields, up_to};
use crate::rest::paging::Listing;
use crate::rest::posts::new_post::Draft;
use crate::store::Position;

/// `GET chats/<id>/messages/`; with `?since=` only later messages.
pub async fn list(State(app): State<Arc<App>>, caller: Caller, Path(room): Path<String>, uri: Uri) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let room = room_id(&room)?;
    require_participant(&app, &caller, room).await.map_err(hidden)?;
    let since = match listing.value("since").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(since(app.presenter.times, text).ok_or_else(|| {
            Error::hand(StatusCode::BAD_REQUEST, "since debe ser una fecha y hora en formato ISO 8601")
        })?),
    };
    let (found, place) = app.store.messages_at(caller.id(), room, since, listing.page).await?;
    let now = Timestamp::now();
    let position = |message: &Message| Position { at: message.created_at, id: message.id.0 };
    let answer = listing.answer_by_time(&app.presenter, &found, position, |out, message| {
        app.presenter.message_for(out, message, Some(caller.id()), now);
    });
    Ok(at_place(answer?, place))
}

/// Reads `since`. An unencoded `+` arrives as a blank.
fn since(times: JsonTimes, text: &str) -> Option<Timestamp> {
    times.read(text).or_else(|| times.read(&text.replace(' ', "+")))
}

/// When reading is refused, the answer is the same as for a room that does not exist.
fn hidden(error: Error) -> Error {
    match error {
        Error::Detail(StatusCode::FORBIDDEN, _) => NOT_FOUND,
        other => other,
    }
}

/// `POST chats/<id>/send_message/`
pub async fn send(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(room): Path<String>,
    request: Request,
) -> Result<Response> {
    let room = room_id(&room)?;
    // Checked before the body is read, so that nobody uploads into a foreign room.
    require_participant(&app, &caller, room).await?;
    let draft = Draft::read(&app.media, caller.id(), request).await?;
    let (message, file) = draft.finish(&app.media, &app.presenter).await?;
    // In a task of its own, so that a dropped request cannot leave a committed message without its file.
    let store = Arc::clone(&app.store);
    let user = caller.id();
    let written = tokio::spawn(async move {
        let outcome = store.write(user, room, Action::Send(message)).await;
        if let (Outcome::Committed(committed), Some(file)) = (&outcome, file) {
            match committed.chat() {
                Some(ChatEvent::Sent(message)) => file.keep_for(message.id).await,
                _ => file.keep(),
            }
        }
        outcome
    });
    match written.await.map_err(|error| Error::Internal(error.to_string()))? {
        Outcome::Committed(committed) => match committed.chat() {
            Some(ChatEvent::Sent(message)) => Ok(message_response(&app, StatusCode::CREATED, &caller, message)),
            _ => Err(Error::Internal(format!("sending a message committed {committed:?}"))),
        },
        Outcome::Twin(message) | Outcome::Repeated(message, _) => {
            Ok(message_response(&app, StatusCode::CREATED, &caller, &message))
        }
        Outcome::Unchanged => Err(Error::Internal("sending a message changed nothing".to_owned())),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

fn message_response(app: &App, status: StatusCode, caller: &Caller, message: &Message) -> Response {
    let mut out = Vec::with_capacity(2048);
    app.presenter.message_for(&mut out, message, Some(caller.id()), Timestamp::now());
    json_response(status, out)
}

/// The room and message ids of a path.
fn ids(room: &str, message: &str) -> Result<(RoomId, MessageId)> {
    Ok((room_id(room)?, message.parse().map_err(|_| NOT_FOUND)?))
}

/// `GET chats/<id>/messages/<mid>/`
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((room, message)): Path<(String, String)>,
) -> Result<Response> {
    let (room, message) = ids(&room, &message)?;
    require_participant(&app, &caller, room).await?;
    current(&app, &caller, room, message).await
}

/// The message's current state, as the caller sees it.
async fn current(app: &App, caller: &Caller, room: RoomId, message: MessageId) -> Result<Response> {
    let message = app.store.message(caller.id(), room, message).await?.ok_or(NOT_FOUND)?;
    Ok(message_response(app, StatusCode::OK, caller, &message))
}

/// `PATCH` and `PUT chats/<id>/messages/<mid>/`: changes the text of the caller's own text message.
pub async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((room, message)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response> {
    let (room, message) = ids(&room, &message)?;
    let mut faults = Faults::default();
    let content = fields.required("content", up_to(limits::CONTENT_CHARS_MAX), &mut faults);
    faults.result()?;
    let action = Action::Edit { message, content: content.unwrap_or_default() };
    match app.store.write(caller.id(), room, action).await {
        Outcome::Refused(Refusal::NotAuthor) => {
            Err(Error::hand(StatusCode::FORBIDDEN, "Solo puedes editar tus propios mensajes"))
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
        _ => current(&app, &caller, room, message).await,
    }
}

/// `DELETE chats/<id>/messages/<mid>/`
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((room, message)): Path<(String, String)>,
) -> Result<Response> {
    let (room, message) = ids(&room, &message)?;
    match app.store.write(caller.id(), room, Action::Delete { message }).await {
        Outcome::Refused(Refusal::NotAuthor) => {
            Err(Error::hand(StatusCode::FORBIDDEN, "Solo puedes eliminar tus propios mensajes"))
        }
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Unchanged => Err(NOT_FOUND),
        _ => Ok(Json(json!({"message": "Mensaje eliminado"})).into_response()),
    }
}

/// `POST chats/<id>/messages/<mid>/react/`. Clients compare the answer's texts.
pub async fn react(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((room, message)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response> {
    let (room, message) = ids(&room, &message)?;
    let bad = |text: &'static str| Error::hand(StatusCode::BAD_REQUEST, text);
    let name = fields.value("reaction_type").filter(|value| **value != "");
    let name = name.ok_or_else(|| bad("reaction_type es requerido"))?;
    let reaction = name.as_str().and_then(ReactionType::from_text).ok_or_else(|| bad("Tipo de reacción inválido"))?;
    match app.store.write(caller.id(), room, Action::React { message, reaction }).await {
        Outcome::Committed(committed) => match committed.chat() {
            Some(ChatEvent::Reacted { added: true, .. }) => {
                Ok(Json(json!({"message": "Reacción agregada", "reacted": true, "reaction_type": reaction.as_str()}))
                    .into_response())
            }
            Some(ChatEvent::Reacted { added: false, .. }) => {
                Ok(Json(json!({"message": "Reacción eliminada", "reacted": false})).into_response())
            }
            _ => Err(Error::Internal(format!("a reaction committed {committed:?}"))),
        },
        Outcome::Refused(refusal) => Err(refusal.into()),
        other => Err(Error::Internal(format!("a reaction ended as {other:?}"))),
    }
}

/// `POST chats/<id>/mark_as_read/`
pub async fn mark_as_read(State(app): State<Arc<App>>, caller: Caller, Path(room): Path<String>) -> Result<Response> {
    let room = room_id(&room)?;
    let mut total = 0;
    // One transaction takes a bounded number of rows. After a few rounds the rest is left to the next call.
    for _ in 0..READ_ROUNDS_MAX {
        let count = match app.store.write(caller.id(), room, Action::ReadAll).await {
            Outcome::Committed(committed) => match committed.chat() {
                Some(ChatEvent::Read { count, .. }) => *count,
                _ => return Err(Error::Internal(format!("marking as read committed {committed:?}"))),
            },
            Outcome::Refused(refusal) => return Err(refusal.into()),
            _ => 0,
        };
        total += count;
        if usize::try_from(count).is_ok_and(|count| count < limits::READ_ALL_ROWS_MAX) {
            break;
        }
    }
    Ok(Json(json!({"message": "Mensajes marcados como leídos", "count": total})).into_response())
}

/// At most 10,000 messages per call.
const READ_ROUNDS_MAX: usize = 20;
