//! `/api/messaging/chats/`: rooms, their participants, and the caller's own settings of a room.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::domain::chat::room::{ChatRoom, ChatType, NewRoom, SettingsPatch};
use crate::domain::chat::write::Action;
use crate::domain::user::Membership;
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{RoomId, UserId};
use crate::limits;
use crate::protocol::v0::json::Object;
use crate::protocol::v0::object;
use crate::rest::answer::json_response;
use crate::rest::app::App;
use crate::rest::error::{Error, FORBIDDEN, NOT_FOUND, Result};
use crate::rest::extract::Caller;
use crate::rest::fields::{Faults, Fields, up_to};
use crate::rest::paging::{Listing, no_such_page};
use crate::store::{NewRoomError, PageRequest};

/// The room id of a path.
///
/// # Errors
/// 404, like Django's path converter.
pub fn room_id(text: &str) -> Result<RoomId> {
    text.parse().map_err(|_| NOT_FOUND)
}

/// `GET chats/`
pub async fn list(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let chat_type = match listing.value("chat_type").filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(chat_type_of(text)?),
    };
    let is_active = match listing.value("is_active").map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "true" | "1") => true,
        Some("false" | "0") => false,
        Some(_) => return Err(Error::field("is_active", "Debe ser un booleano válido.")),
    };
    let found = app.store.rooms(caller.id(), chat_type, is_active, listing.page).await?;
    listing.answer(&app.presenter, &found, |out, room| app.presenter.room(out, room))
}

fn chat_type_of(text: &str) -> Result<ChatType> {
    ChatType::from_text(text).ok_or_else(|| Error::field("chat_type", format!("\"{text}\" no es una elección válida.")))
}

/// `GET chats/<id>/`; large rooms are paged by `?participants_page=`
pub async fn show(State(app): State<Arc<App>>, caller: Caller, Path(room): Path<String>, uri: Uri) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let number = match listing.value("participants_page").filter(|text| !text.is_empty()) {
        None => 1,
        Some(text) => text.parse().ok().filter(|number| (1..=100_000).contains(number)).ok_or_else(no_such_page)?,
    };
    let participants = PageRequest::numbered(number, limits::PARTICIPANTS_SHOWN_MAX);
    let room = app.store.room_of_page(caller.id(), room_id(&room)?, participants).await?.ok_or(NOT_FOUND)?;
    Ok(room_response(&app, &room))
}

/// A room, as its participant sees it.
pub fn room_response(app: &App, room: &ChatRoom) -> Response {
    let mut out = Vec::with_capacity(4096);
    app.presenter.room(&mut out, room);
    json_response(StatusCode::OK, out)
}

/// `POST chats/`
pub async fn create(State(app): State<Arc<App>>, caller: Caller, fields: Fields) -> Result<Response> {
    let room = new_room(&caller, &fields)?;
    app.rates.participants(caller.id(), room.others.len())?;
    let answer = json!({
        "name": room.name,
        "chat_type": room.chat_type.as_str(),
        "description": room.description,
        "avatar": null,
    });
    let made = match (room.chat_type, room.others.as_slice()) {
        // Two users have one private room, even if both open it at once.
        (ChatType::Private, &[other]) => {
            let account = app.store.account(other).await?.filter(|account| account.is_active);
            account.ok_or_else(unknown_users)?;
            private_room(&app, &caller, other).await?.0
        }
        _ if app.store.is_blocked_among(caller.id(), room.others.clone()).await? => {
            return Err(Refusal::Blocked.into());
        }
        _ => app.store.create_room(room).await.map_err(|error| match error {
            NewRoomError::UnknownUsers => unknown_users(),
            NewRoomError::Store(error) => error.into(),
        })?,
    };
    let mut answer = answer;
    answer["id"] = json!(made);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// The private room of the caller and another; true if it is new. None is made where one has blocked the other, but the two keep
/// theirs: its history can be read.
///
/// # Errors
/// 403, and the store's errors.
pub async fn private_room(app: &App, caller: &Caller, other: UserId) -> Result<(RoomId, bool)> {
    if app.store.is_blocked_among(caller.id(), vec![other]).await? {
        let known = app.store.known_private_room(caller.id(), other).await?;
        return known.map(|room| (room, false)).ok_or_else(|| Refusal::Blocked.into());
    }
    Ok(app.store.open_private_room(caller.id(), other).await?)
}

fn unknown_users() -> Error {
    Error::field("participant_ids", "Algunos usuarios no existen.")
}

fn new_room(caller: &Caller, fields: &Fields) -> Result<NewRoom> {
    let mut faults = Faults::default();
    let name = fields.optional("name", up_to(100), &mut faults).unwrap_or_default();
    let description = fields.optional("description", up_to(2000), &mut faults).unwrap_or_default();
    let kind = fields.optional("chat_type", up_to(15), &mut faults).unwrap_or_default();
    faults.result()?;
    let chat_type = if kind.is_empty() { ChatType::Private } else { chat_type_of(&kind)? };
    let mut others = Vec::new();
    for value in fields.list("participant_ids")? {
        let other = user_id("participant_ids", value)?;
        if other != caller.id() && !others.contains(&other) {
            others.push(other);
        }
        if others.len() > limits::ROOM_PARTICIPANTS_NEW_MAX {
            let most = limits::ROOM_PARTICIPANTS_NEW_MAX;
            let text = format!("Asegúrese de que este campo no tenga más de {most} elementos.");
            return Err(Error::field("participant_ids", text));
        }
    }
    match chat_type {
        ChatType::Private if others.len() != 1 => {
            let text = "Los chats privados requieren exactamente 1 participante adicional.";
            Err(Error::field("participant_ids", text))
        }
        ChatType::Group if others.len() < 2 => {
            let text = "Los chats grupales requieren al menos 2 participantes adicionales.";
            Err(Error::field("participant_ids", text))
        }
        ChatType::Group if name.is_empty() => Err(Error::field("name", "Los chats grupales requieren un nombre.")),
        _ => Ok(NewRoom { creator: caller.id(), chat_type, name, description, others }),
    }
}

fn user_id(name: &str, value: &Value) -> Result<UserId> {
    let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        Error::field(name, format!("“{shown}” no es un UUID válido."))
    })
}

/// `PATCH chats/<id>/settings/`, also as `chat-settings/`
pub async fn settings(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(room): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let room = room_id(&room)?;
    let mut faults = Faults::default();
    let mut text = |name, most| match fields.has(name) {
        true => fields.optional(name, up_to(most), &mut faults),
        false => None,
    };
    let mut patch = SettingsPatch {
        other_user_nickname: text("other_user_nickname", 50),
        chat_background: text("chat_background", 20),
        chat_color: text("chat_color", 30),
        other_message_color: text("other_message_color", 30),
        ..SettingsPatch::default()
    };
    patch.notifications_enabled = fields.flag("notifications_enabled", &mut faults);
    patch.sound_enabled = fields.flag("sound_enabled", &mut faults);
    patch.is_muted = fields.flag("is_muted", &mut faults);
    faults.result()?;
    changed_settings(&app, &caller, room, patch).await?;
    let room = app.store.room(caller.id(), room).await?.ok_or(NOT_FOUND)?;
    let own = room.participants.iter().find(|one| one.user.id == caller.id()).ok_or(NOT_FOUND)?;
    let mut out = Vec::with_capacity(256);
    Object::open(&mut out)
        .text("message", "Configuración actualizada exitosamente")
        .value("chat_settings", |out| object::room_settings(out, &own.settings))
        .close();
    Ok(json_response(StatusCode::OK, out))
}

/// `POST chats/<id>/mute/`: nothing of the room is pushed to the caller any more.
pub async fn mute(State(app): State<Arc<App>>, caller: Caller, Path(room): Path<String>) -> Result<Response> {
    set_muted(&app, &caller, &room, true).await
}

/// `DELETE chats/<id>/mute/`
pub async fn unmute(State(app): State<Arc<App>>, caller: Caller, Path(room): Path<String>) -> Result<Response> {
    set_muted(&app, &caller, &room, false).await
}

async fn set_muted(app: &App, caller: &Caller, room: &str, is_muted: bool) -> Result<Response> {
    let patch = SettingsPatch { is_muted: Some(is_muted), ..SettingsPatch::default() };
    changed_settings(app, caller, room_id(room)?, patch).await?;
    Ok(Json(json!({"is_muted": is_muted})).into_response())
}

/// Changes what a participant has set for a room: all of the settings endpoint, or one of them.
async fn changed_settings(app: &App, caller: &Caller, room: RoomId, patch: SettingsPatch) -> Result<()> {
    match app.store.change_room_settings(caller.id(), room, patch).await? {
        true => Ok(()),
        false => Err(NOT_FOUND),
    }
}

/// `POST chats/<id>/add_participant/` with `user_id`
pub async fn add_participant(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(room): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let user = required_user(&fields)?;
    app.rates.participants(caller.id(), 1)?;
    match app.store.write(caller.id(), room_id(&room)?, Action::Add { user }).await {
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Unchanged => Err(Error::hand(StatusCode::BAD_REQUEST, "El usuario ya es participante de este chat")),
        _ => Ok(Json(json!({"message": "Participante agregado exitosamente"})).into_response()),
    }
}

/// `POST chats/<id>/remove_participant/` with `user_id`
pub async fn remove_participant(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(room): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let user = required_user(&fields)?;
    change(&app, &caller, &room, Action::Remove { user }, "Participante eliminado exitosamente").await
}

/// `POST chats/<id>/leave/`
pub async fn leave(State(app): State<Arc<App>>, caller: Caller, Path(room): Path<String>) -> Result<Response> {
    change(&app, &caller, &room, Action::Leave, "Has salido del chat").await
}

/// The user whom a request names.
///
/// # Errors
/// 400 without `user_id`, or if it is none.
pub fn required_user(fields: &Fields) -> Result<UserId> {
    let value = fields.value("user_id");
    let value = value.ok_or_else(|| Error::hand(StatusCode::BAD_REQUEST, "user_id es requerido"))?;
    user_id("user_id", value)
}

/// Changes the participants. If the state was already as wanted that is no error, so that a retry after a lost answer
/// succeeds.
///
/// # Errors
/// Why it was refused.
pub async fn change(app: &App, caller: &Caller, room: &str, action: Action, done: &str) -> Result<Response> {
    match app.store.write(caller.id(), room_id(room)?, action).await {
        Outcome::Refused(refusal) => Err(refusal.into()),
        _ => Ok(Json(json!({"message": done})).into_response()),
    }
}

/// Requires the caller to be a participant of an active room. One who blocked the other, or was blocked, still is.
///
/// # Errors
/// 403, and the store's errors.
pub async fn require_participant(app: &App, caller: &Caller, room: RoomId) -> Result<()> {
    let admission = app.store.admission(room, caller.id()).await?;
    if admission.membership == Membership::None { Err(FORBIDDEN) } else { Ok(()) }
}
