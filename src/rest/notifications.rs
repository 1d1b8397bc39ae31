//! `/api/notifications/`: lists, reads and deletes the caller's notifications.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::clock::Timestamp;
use crate::domain::feed::write::Action;
use crate::domain::notification::Notification;
use crate::ids::NotificationId;
use crate::limits;
use crate::protocol::v0::json::Object;
use crate::rest::answer::{at_place, json_response};
use crate::rest::app::App;
use crate::rest::error::{Error, Result};
use crate::rest::extract::Caller;
use crate::rest::paging::Listing;
use crate::rest::write_answer;
use crate::store::Position;

fn missing() -> Error {
    Error::hand(StatusCode::NOT_FOUND, "Notificación no encontrada")
}

fn notification_id(text: &str) -> Result<NotificationId> {
    text.parse().map_err(|_| missing())
}

/// `GET notifications/`
pub async fn list(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let (found, place) = app.store.notifications_at(caller.id(), listing.page).await?;
    let now = Timestamp::now();
    let position = |one: &Notification| Position { at: one.created_at, id: one.id.0 };
    let answer =
        listing.answer_by_time(&app.presenter, &found, position, |out, one| app.presenter.notification(out, one, now));
    Ok(at_place(answer?, place))
}

/// `GET notifications/unread-count/`
pub async fn unread_count(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let count = app.store.unread_notifications(caller.id()).await?;
    Ok(Json(json!({"unread_count": count})).into_response())
}

/// `POST notifications/<id>/read/`
pub async fn mark_read(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Result<Response> {
    let id = notification_id(&id)?;
    let action = Action::ReadNotification { notification: id };
    write_answer::event(app.store.write_feed(caller.id(), action).await)?;
    let notification = app.store.notification(caller.id(), id).await?.ok_or_else(missing)?;
    let mut out = Vec::with_capacity(1024);
    Object::open(&mut out)
        .text("message", "Notificación marcada como leída")
        .value("notification", |out| app.presenter.notification(out, &notification, Timestamp::now()))
        .close();
    Ok(json_response(StatusCode::OK, out))
}

/// Runs a write, and returns how many notifications it changed.
async fn changed(app: &App, caller: &Caller, action: Action) -> Result<u64> {
    match write_answer::event(app.store.write_feed(caller.id(), action).await)? {
        Some(event) => write_answer::notifications_changed(&event),
        None => Ok(0),
    }
}

/// 100,000 notifications per call; the rest is left to the next call.
const ROUNDS_MAX: usize = 200;

/// Repeats a write until nothing is left to change, because one transaction takes a bounded number of rows.
async fn all_changed(app: &App, caller: &Caller, action: Action) -> Result<u64> {
    let mut total = 0;
    for _ in 0..ROUNDS_MAX {
        let count = changed(app, caller, action.clone()).await?;
        total += count;
        if count < limits::READ_ALL_ROWS_MAX as u64 {
            break;
        }
    }
    Ok(total)
}

/// `POST notifications/mark-all-read/`
pub async fn mark_all_read(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let count = all_changed(&app, &caller, Action::ReadAllNotifications).await?;
    let text = format!("{count} notificaciones marcadas como leídas");
    Ok(Json(json!({"message": text, "updated_count": count})).into_response())
}

/// `DELETE notifications/<id>/delete/`
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Result<Response> {
    let action = Action::DeleteNotification { notification: notification_id(&id)? };
    changed(&app, &caller, action).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE notifications/clear-all/`
pub async fn clear_all(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let count = all_changed(&app, &caller, Action::ClearNotifications).await?;
    Ok(Json(json!({"message": "Todas las notificaciones eliminadas", "deleted_count": count})).into_response())
}
