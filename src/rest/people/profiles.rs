//! `/api/users/`: finds people, and opens a chat with somebody.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use crate::domain::user::{Person, UserProfile};
use crate::limits;
use crate::protocol::v0::json::{self, Object};
use crate::rest::answer::json_response;
use crate::rest::app::App;
use crate::rest::chat::rooms;
use crate::rest::error::{Error, NOT_FOUND, Result};
use crate::rest::extract::Caller;
use crate::rest::paging::Listing;
use crate::store::PageOf;

/// `GET users/` and `GET users/search/?q=`
pub async fn search(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Result<Response> {
    let listing = Listing::sized(&uri)?;
    let text = listing.value("q").or_else(|| listing.value("search")).unwrap_or_default();
    // People type names with an @, as in mentions.
    let text = text.trim().trim_start_matches('@').trim_start();
    let text: String = text.chars().take(limits::SEARCH_CHARS_MAX).collect();
    let found = app.store.search_people(caller.id(), &text, listing.page).await?;
    listing.answer(&app.presenter, &found, |out, person| app.presenter.person(out, person))
}

/// A list of people without pages.
pub fn people_response(app: &App, people: &[Person]) -> Response {
    let mut out = Vec::with_capacity(512 * (people.len() + 1));
    json::array(&mut out, people, |out, person| app.presenter.person(out, person));
    json_response(StatusCode::OK, out)
}

/// `GET users/suggested/`: one page.
pub async fn suggested(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let rows = app.store.suggested_people(caller.id()).await?;
    let found = PageOf { count: rows.len() as u64, rows };
    listing.answer(&app.presenter, &found, |out, person| app.presenter.person(out, person))
}

/// `GET users/profile/<username>/`
pub async fn profile(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let user = app.store.profile_by_name(&name).await?.filter(|user| user.is_active).ok_or(NOT_FOUND)?;
    profile_response(&app, &caller, &user).await
}

/// A single profile: with both names, and the relation between the caller and the user.
///
/// # Errors
/// The store's errors.
pub async fn profile_response(app: &App, caller: &Caller, user: &UserProfile) -> Result<Response> {
    let person = match user.id == caller.id() {
        true => None,
        false => Some(app.store.person(caller.id(), user.id).await?.ok_or(NOT_FOUND)?),
    };
    let mut out = Vec::with_capacity(1024);
    app.presenter.profile(&mut out, user, Some(caller.id()));
    // The profile is already a whole object. Removing its closing brace makes room for six more keys.
    out.pop();
    out.push(b',');
    let mut more = Vec::with_capacity(256);
    Object::open(&mut more)
        .text("first_name", &user.first_name)
        .text("last_name", &user.last_name)
        .flag("is_following", person.as_ref().is_some_and(|person| person.is_following))
        .flag("is_friend", person.as_ref().is_some_and(|person| person.is_friend))
        .flag("is_blocked", person.as_ref().is_some_and(|person| person.is_blocked))
        .text_or_null("friend_request_status", person.as_ref().and_then(|person| person.friend_request))
        .close();
    out.extend_from_slice(&more[1..]);
    Ok(json_response(StatusCode::OK, out))
}

/// `POST users/chat/<username>/`: the private room of the two, made if it does not exist.
pub async fn open_chat(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let other = by_name(&app, &name).await?;
    if other.id == caller.id() {
        return Err(Error::hand(StatusCode::BAD_REQUEST, "No puedes crear un chat contigo mismo"));
    }
    let (room, created) = rooms::private_room(&app, &caller, other.id).await?;
    let room = app.store.room(caller.id(), room).await?.ok_or(NOT_FOUND)?;
    let mut out = Vec::with_capacity(4096);
    let mut object = Object::open(&mut out);
    object.value("chat", |out| app.presenter.room(out, &room)).flag("created", created);
    if created {
        object.text("message", &format!("Chat creado con {}", other.display_name));
    }
    object.close();
    Ok(json_response(if created { StatusCode::CREATED } else { StatusCode::OK }, out))
}

/// The active user with this name.
///
/// # Errors
/// 404, and the store's errors.
pub async fn by_name(app: &App, name: &str) -> Result<Arc<UserProfile>> {
    let found = app.store.profile_by_name(name).await?.filter(|user| user.is_active);
    found.ok_or_else(|| Error::hand(StatusCode::NOT_FOUND, "Usuario no encontrado"))
}
