//! `/api/messaging/chats/<id>/search/`: finds messages of a room by their words.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use crate::clock::Timestamp;
use crate::limits;
use crate::protocol::v0::json::{self, Object};
use crate::rest::answer::json_response;
use crate::rest::app::App;
use crate::rest::chat::rooms::room_id;
use crate::rest::error::{Error, NOT_FOUND, Result};
use crate::rest::extract::Caller;
use crate::rest::paging::Listing;

/// `GET chats/<id>/search/?q=`: messages whose text or file name has all words, newest first, whatever their case and accents. An
/// answer has looked through so many messages at most; `next` goes on with older ones, and may find nothing.
pub async fn list(State(app): State<Arc<App>>, caller: Caller, Path(room): Path<String>, uri: Uri) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let text: String = listing.value("q").unwrap_or_default().chars().take(limits::SEARCH_CHARS_MAX).collect();
    if text.trim().is_empty() {
        return Err(Error::hand(StatusCode::BAD_REQUEST, "Escribe en q lo que buscas"));
    }
    let found = app.store.search_messages(caller.id(), room_id(&room)?, text, listing.page).await?.ok_or(NOT_FOUND)?;
    let next = found.next.map(|last| listing.behind(&app.presenter, last));
    let (now, mut out) = (Timestamp::now(), Vec::with_capacity(1024 * (found.messages.len() + 1)));
    Object::open(&mut out)
        .text_or_null("next", next.as_deref())
        .value("results", |out| {
            json::array(out, &found.messages, |out, message| {
                app.presenter.message_for(out, message, Some(caller.id()), now);
            });
        })
        .close();
    Ok(json_response(StatusCode::OK, out))
}
