//! `/api/push/`: the key for browsers, and their subscriptions to what happens while their user has no socket.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::push::{NewSubscription, Subscription};
use crate::fanout::push::{BadEndpoint, are_keys};
use crate::limits::PUSH_ENDPOINT_BYTES_MAX;
use crate::rest::app::{App, PushDesk};
use crate::rest::error::{Error, Result};
use crate::rest::extract::Caller;
use crate::rest::fields::{Faults, Fields, up_to};

fn desk(app: &App) -> Result<&PushDesk> {
    let off = || Error::Detail(StatusCode::NOT_FOUND, "Este servidor no envía notificaciones push.".into());
    app.push.as_ref().ok_or_else(off)
}

/// The id of a browser's subscription.
fn id_of(endpoint: &str) -> Uuid {
    let hash = digest(&SHA256, endpoint.as_bytes());
    let bytes = hash.as_ref().first_chunk().copied().unwrap_or_default();
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// `GET push/key/`: the key that browsers subscribe with. It is no secret, so everybody may ask.
pub async fn key(State(app): State<Arc<App>>) -> Result<Response> {
    Ok(Json(json!({"public_key": desk(&app)?.public_key})).into_response())
}

/// `GET push/subscriptions/`: those of the caller, newest first.
pub async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    desk(&app)?;
    let found = app.store.push_subscriptions(caller.id()).await?;
    let shown = |one: &Subscription| {
        let service = url::Url::parse(&one.endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
        let at = app.presenter.time(Timestamp(one.created_at)).to_string();
        json!({"id": one.id, "service": service.unwrap_or_default(), "created_at": at})
    };
    Ok(Json(json!({"results": found.iter().map(shown).collect::<Vec<Value>>()})).into_response())
}

/// `POST push/subscriptions/` with what a browser's `PushSubscription.toJSON()` says: `endpoint` and `keys`.
pub async fn subscribe(State(app): State<Arc<App>>, caller: Caller, fields: Fields) -> Result<Response> {
    let desk = desk(&app)?;
    let mut faults = Faults::default();
    let endpoint = fields.required("endpoint", up_to(PUSH_ENDPOINT_BYTES_MAX), &mut faults);
    match endpoint.as_deref().map(|endpoint| desk.hosts.check(endpoint)) {
        None | Some(Ok(_)) => {}
        Some(Err(BadEndpoint::Form)) => faults.add("endpoint", "Debe ser la URL https de un servicio push."),
        Some(Err(BadEndpoint::Host)) => faults.add("endpoint", "Este servidor no usa ese servicio push."),
    }
    let keys = fields.value("keys").and_then(Value::as_object);
    let key = |name| keys.and_then(|keys| keys.get(name)).and_then(Value::as_str).unwrap_or_default();
    let [p256dh, auth] = ["p256dh", "auth"].map(|name| key(name).trim_end_matches('=').to_owned());
    if !are_keys(&p256dh, &auth) {
        faults.add("keys", "Debe tener las claves p256dh y auth del navegador.");
    }
    faults.result()?;
    let endpoint = endpoint.unwrap_or_default();
    let id = id_of(&endpoint);
    let subscription = Subscription { id, user: caller.id(), endpoint, p256dh, auth, created_at: 0 };
    app.store.subscribe_push(NewSubscription { subscription, family: caller.access.family }).await?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))).into_response())
}

/// `DELETE push/subscriptions/` with `endpoint` or `id`. That there is none is no error, so that a retry succeeds.
pub async fn unsubscribe(State(app): State<Arc<App>>, caller: Caller, fields: Fields) -> Result<Response> {
    let mut faults = Faults::default();
    let id = match fields.value("id").and_then(Value::as_str) {
        Some(text) => Uuid::try_parse(text).ok(),
        None => fields.required("endpoint", up_to(PUSH_ENDPOINT_BYTES_MAX), &mut faults).as_deref().map(id_of),
    };
    faults.result()?;
    let id = id.ok_or_else(|| Error::field("id", "Debe ser un UUID válido."))?;
    app.store.unsubscribe_push(caller.id(), id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
