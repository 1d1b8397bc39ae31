//! `/api/posts/<id>/comments/` and `/api/posts/comments/<id>/`: comments and replies.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::domain::feed::comment::{Comment, NewComment};
use crate::domain::feed::event::PostChange;
use crate::domain::feed::write::Action;
use crate::domain::write::Outcome;
use crate::ids::{CommentId, PostId};
use crate::limits;
use crate::rest::answer::{at_place, json_response};
use crate::rest::app::App;
use crate::rest::error::{Error, NOT_FOUND, Result};
use crate::rest::extract::Caller;
use crate::rest::fields::{Faults, Fields, up_to};
use crate::rest::form::Form;
use crate::rest::paging::Listing;
use crate::rest::posts::deletion;
use crate::rest::posts::paths::{locate, post_id, require_visible};
use crate::rest::uploads::slots;
use crate::rest::uploads::upload::Stored;
use crate::rest::write_answer;

/// The pictures of a comment and of the replies shown with it.
pub fn files_of(comment: &Comment) -> Vec<String> {
    comment.image.iter().cloned().chain(comment.replies.iter().flat_map(files_of)).collect()
}

fn comment_response(app: &App, status: StatusCode, caller: &Caller, comment: &Comment) -> Response {
    let mut out = Vec::with_capacity(2048);
    app.presenter.comment(&mut out, comment, Some(caller.id()));
    json_response(status, out)
}

/// `GET posts/<id>/comments/`
pub async fn list(State(app): State<Arc<App>>, caller: Caller, Path(post): Path<String>, uri: Uri) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let post = post_id(&post)?;
    require_visible(&app, &caller, post).await?;
    let (found, place) = app.store.comments_at(caller.id(), post, listing.page).await?;
    let answer =
        listing.answer(&app.presenter, &found, |out, comment| app.presenter.comment(out, comment, Some(caller.id())));
    Ok(at_place(answer?, place))
}

/// `GET posts/comments/<id>/replies/`
pub async fn replies(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(comment): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let (post, comment) = locate(&app, &comment).await?;
    require_visible(&app, &caller, post).await?;
    let found = app.store.replies(caller.id(), comment, listing.page).await?;
    listing.answer(&app.presenter, &found, |out, comment| app.presenter.comment(out, comment, Some(caller.id())))
}

/// `POST posts/<id>/comments/`
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(post): Path<String>,
    request: Request,
) -> Result<Response> {
    let post = post_id(&post)?;
    // Checked before the body is read, so that nobody uploads for a post they may not see.
    require_visible(&app, &caller, post).await?;
    let mut form = Form::read(&app.media, caller.id(), slots::COMMENT, request).await?;
    let mut new = new_comment(post, &form.fields)?;
    let image = form.store(&app.media, "image").await?;
    new.image = image.as_ref().map(|image| image.path().to_owned());
    // In a task of its own, so that a dropped request cannot leave a committed comment without its file.
    let store = Arc::clone(&app.store);
    let user = caller.id();
    let written = tokio::spawn(async move {
        let outcome = store.write_feed(user, Action::Comment(new)).await;
        if let (Outcome::Committed(_), Some(image)) = (&outcome, image) {
            Stored::keep(image);
        }
        outcome
    });
    let written = write_answer::event(written.await.map_err(|error| Error::Internal(error.to_string()))?)?;
    let event = written.ok_or_else(|| Error::Internal("writing a comment changed nothing".to_owned()))?;
    match write_answer::post_change(&event)? {
        PostChange::Commented { comment, .. } => Ok(comment_response(&app, StatusCode::CREATED, &caller, comment)),
        _ => Err(write_answer::unexpected(&event)),
    }
}

fn new_comment(post: PostId, fields: &Fields) -> Result<NewComment> {
    let mut faults = Faults::default();
    let content = fields.required("content", up_to(limits::COMMENT_CHARS_MAX), &mut faults);
    let named = fields.has("parent").then(|| fields.optional("parent", up_to(64), &mut faults)).flatten();
    let mut parent = None;
    if let Some(text) = named.filter(|text| !text.is_empty()) {
        match text.parse() {
            Ok(id) => parent = Some(id),
            Err(_) => faults.add("parent", format!("“{text}” no es un UUID válido.")),
        }
    }
    faults.result()?;
    Ok(NewComment { post, parent, content: content.unwrap_or_default(), image: None })
}

/// `GET posts/comments/<id>/`
pub async fn show(State(app): State<Arc<App>>, caller: Caller, Path(comment): Path<String>) -> Result<Response> {
    let (post, comment) = locate(&app, &comment).await?;
    require_visible(&app, &caller, post).await?;
    current(&app, &caller, comment).await
}

async fn current(app: &App, caller: &Caller, comment: CommentId) -> Result<Response> {
    let comment = app.store.comment(caller.id(), comment).await?.ok_or(NOT_FOUND)?;
    Ok(comment_response(app, StatusCode::OK, caller, &comment))
}

/// `PATCH` and `PUT posts/comments/<id>/`
pub async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(comment): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let (post, comment) = locate(&app, &comment).await?;
    let mut faults = Faults::default();
    let content = fields.required("content", up_to(limits::COMMENT_CHARS_MAX), &mut faults);
    // A caller who may not edit is told so, rather than what is wrong with the text.
    let is_own = app.store.comment_head(comment).await?.is_some_and(|head| head.author == caller.id());
    if is_own {
        faults.result()?;
    }
    let action = Action::EditComment { post, comment, content: content.unwrap_or_default() };
    write_answer::event(app.store.write_feed(caller.id(), action).await)?;
    current(&app, &caller, comment).await
}

/// `DELETE posts/comments/<id>/`
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, Path(comment): Path<String>) -> Result<Response> {
    let (post, comment) = locate(&app, &comment).await?;
    let left = app.store.comment(caller.id(), comment).await?.map(|comment| files_of(&comment)).unwrap_or_default();
    let is_whole = move |change: &PostChange| match change {
        PostChange::CommentsDeleted { comments, .. } => comments.first() == Some(&comment),
        _ => false,
    };
    deletion::whole(app, caller.id(), Action::DeleteComment { post, comment }, left, is_whole).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
