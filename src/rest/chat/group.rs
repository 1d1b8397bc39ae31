//! A group's name, description and picture, and the roles of its participants.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use crate::domain::chat::room::{Role, RoomPatch};
use crate::domain::chat::write::Action;
use crate::domain::user::PicturePatch;
use crate::domain::write::Outcome;
use crate::rest::app::App;
use crate::rest::chat::rooms::{self, require_participant, required_user, room_id, room_response};
use crate::rest::error::{Error, NOT_FOUND, Result};
use crate::rest::extract::Caller;
use crate::rest::fields::{Faults, Fields, up_to};
use crate::rest::form::Form;
use crate::rest::uploads::slots;

/// `PATCH` and `PUT chats/<id>/` with any of `name`, `description` and `avatar` (a file, or empty for none)
pub async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(room): Path<String>,
    request: Request,
) -> Result<Response> {
    let room = room_id(&room)?;
    // Checked before the body is read, so that nobody uploads into a foreign room.
    require_participant(&app, &caller, room).await?;
    let mut form = Form::read(&app.media, caller.id(), slots::ROOM, request).await?;
    let mut patch = patch(&form.fields)?;
    let file = form.store(&app.media, slots::ROOM[0].field).await?;
    if let Some(file) = &file {
        patch.avatar = PicturePatch::Replace(file.path().to_owned());
    }
    // In a task of its own, so that a dropped request cannot leave a committed change without its picture.
    let (store, user) = (Arc::clone(&app.store), caller.id());
    let written = tokio::spawn(async move {
        let outcome = store.write(user, room, Action::Change(Box::new(patch))).await;
        if let (Outcome::Committed(_), Some(file)) = (&outcome, file) {
            file.keep();
        }
        outcome
    });
    if let Outcome::Refused(refusal) = written.await.map_err(|error| Error::Internal(error.to_string()))? {
        return Err(refusal.into());
    }
    let room = app.store.room(caller.id(), room).await?.ok_or(NOT_FOUND)?;
    Ok(room_response(&app, &room))
}

fn patch(fields: &Fields) -> Result<RoomPatch> {
    let mut faults = Faults::default();
    let mut text = |name, most| fields.has(name).then(|| fields.optional(name, up_to(most), &mut faults)).flatten();
    let (name, description) = (text("name", 100), text("description", 2000));
    faults.result()?;
    if name.as_deref() == Some("") {
        return Err(Error::field("name", "Los chats grupales requieren un nombre."));
    }
    let avatar = match fields.0.get("avatar") {
        None => PicturePatch::Keep,
        Some(Value::Null) => PicturePatch::Remove,
        Some(Value::String(text)) if text.trim().is_empty() => PicturePatch::Remove,
        Some(_) => return Err(Error::field("avatar", "Envía un archivo, o nada para quitar la imagen.")),
    };
    Ok(RoomPatch { name, description, avatar })
}

/// `POST chats/<id>/set_role/` with `user_id` and `role`: `admin`, `member`, or `owner`, which makes the caller an admin
pub async fn set_role(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(room): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let user = required_user(&fields)?;
    let role = fields.value("role").and_then(Value::as_str).and_then(Role::from_text);
    let role = role.ok_or_else(|| Error::hand(StatusCode::BAD_REQUEST, "role debe ser owner, admin o member"))?;
    rooms::change(&app, &caller, &room, Action::SetRole { user, role }, "Rol actualizado exitosamente").await
}
