//! `/api/posts/…/react/`, `share/` and `comments/…/like/`: reactions to posts and comments.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::domain::event::Committed;
use crate::domain::feed::event::PostChange;
use crate::domain::feed::post::PostReactionType;
use crate::domain::feed::write::Action;
use crate::protocol::v0::json::Object;
use crate::protocol::v0::post::{five_counts, three_counts};
use crate::rest::answer::json_response;
use crate::rest::app::App;
use crate::rest::error::{Error, Result};
use crate::rest::extract::Caller;
use crate::rest::fields::{Faults, Fields, up_to};
use crate::rest::posts::paths::{locate, post_id};
use crate::rest::write_answer;

/// The longest message of a share, in characters.
const SHARE_CHARS_MAX: usize = 200;
/// Clients compare this text to see that a reaction was removed.
const REACTION_REMOVED: &str = "Reacción eliminada";

/// Writes, and returns the event; `None` if nothing changed.
async fn write(app: &App, caller: &Caller, action: Action) -> Result<Option<Arc<Committed>>> {
    write_answer::event(app.store.write_feed(caller.id(), action).await)
}

/// The same for writes that always change something.
async fn change(app: &App, caller: &Caller, action: Action) -> Result<Arc<Committed>> {
    let kind = action.kind();
    write(app, caller, action).await?.ok_or_else(|| Error::Internal(format!("{kind} changed nothing")))
}

fn counts(out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object::open(out);
    write(&mut object);
    object.close();
}

/// `POST posts/<id>/react/`
pub async fn react(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(post): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let post = post_id(&post)?;
    let name = fields.0.get("reaction_type").and_then(|value| value.as_str()).unwrap_or_default();
    let reaction = PostReactionType::from_request(name)
        .ok_or_else(|| Error::hand(StatusCode::BAD_REQUEST, "Tipo de reacción inválido"))?;
    let event = change(&app, &caller, Action::React { post, reaction }).await?;
    let PostChange::Reacted { counts: now, reaction, .. } = write_answer::post_change(&event)? else {
        return Err(write_answer::unexpected(&event));
    };
    let mut out = Vec::with_capacity(1024);
    let mut answer = Object::open(&mut out);
    answer.text("message", if reaction.is_some() { "Reacción agregada" } else { REACTION_REMOVED });
    if let Some(reaction) = reaction {
        answer.value("reaction", |out| app.presenter.post_reaction(out, reaction, Some(caller.id())));
    }
    answer.value("counts", |out| counts(out, |object| five_counts(object, *now))).close();
    Ok(json_response(if reaction.is_some() { StatusCode::CREATED } else { StatusCode::OK }, out))
}

/// `DELETE posts/<id>/react/`. If the post has become private, the answer has no counts.
pub async fn unreact(State(app): State<Arc<App>>, caller: Caller, Path(post): Path<String>) -> Result<Response> {
    let event = change(&app, &caller, Action::Unreact { post: post_id(&post)? }).await?;
    let post = write_answer::post_event(&event)?;
    let PostChange::Reacted { counts: now, .. } = post.change else { return Err(write_answer::unexpected(&event)) };
    let mut out = Vec::with_capacity(128);
    let mut answer = Object::open(&mut out);
    answer.text("message", REACTION_REMOVED);
    if post.is_visible_to(caller.id()) {
        answer.value("counts", |out| counts(out, |object| three_counts(object, now)));
    }
    answer.close();
    Ok(json_response(StatusCode::OK, out))
}

/// `POST posts/<id>/share/`
pub async fn share(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(post): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let post = post_id(&post)?;
    let mut faults = Faults::default();
    let has_words = fields.has("message");
    let message = has_words.then(|| fields.optional("message", up_to(SHARE_CHARS_MAX), &mut faults)).flatten();
    faults.result()?;
    let action = Action::Share { post, message: message.unwrap_or_default() };
    let Some(event) = write(&app, &caller, action).await? else {
        return Ok(Json(json!({"message": "Ya has compartido este post"})).into_response());
    };
    let PostChange::Shared { shares_count, .. } = write_answer::post_change(&event)? else {
        return Err(write_answer::unexpected(&event));
    };
    let body = json!({"message": "Post compartido exitosamente", "shares_count": shares_count});
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// `POST posts/comments/<id>/like/`: no toggle.
pub async fn like_comment(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(comment): Path<String>,
) -> Result<Response> {
    let (post, comment) = locate(&app, &comment).await?;
    let Some(event) = write(&app, &caller, Action::LikeComment { post, comment }).await? else {
        return Ok(Json(json!({"message": "Ya has dado like a este comentario"})).into_response());
    };
    let PostChange::CommentLiked { likes_count, .. } = write_answer::post_change(&event)? else {
        return Err(write_answer::unexpected(&event));
    };
    let body = json!({"message": "Like agregado", "likes_count": likes_count});
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// `DELETE posts/comments/<id>/like/`. If the post has become private, the answer has no count.
pub async fn unlike_comment(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(comment): Path<String>,
) -> Result<Response> {
    let (post, comment) = locate(&app, &comment).await?;
    let event = change(&app, &caller, Action::UnlikeComment { post, comment }).await?;
    let post = write_answer::post_event(&event)?;
    let PostChange::CommentLiked { likes_count, .. } = post.change else {
        return Err(write_answer::unexpected(&event));
    };
    let mut body = json!({"message": "Like eliminado"});
    if post.is_visible_to(caller.id()) {
        body["likes_count"] = json!(likes_count);
    }
    Ok(Json(body).into_response())
}
