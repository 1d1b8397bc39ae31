//! `/api/posts/`: lists, publishes, shows, edits and deletes posts.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::domain::event::Committed;
use crate::domain::feed::event::PostChange;
use crate::domain::feed::post::{Post, PostList, PostPatch};
use crate::domain::feed::write::Action;
use crate::domain::write::Outcome;
use crate::ids::PostId;
use crate::limits;
use crate::rest::answer::{at_place, json_response, unless_known};
use crate::rest::app::App;
use crate::rest::error::{Error, FORBIDDEN, NOT_FOUND, Result};
use crate::rest::extract::Caller;
use crate::rest::form::Form;
use crate::rest::paging::Listing;
use crate::rest::people::profiles::by_name;
use crate::rest::posts::edit_turns::Turn;
use crate::rest::posts::paths::post_id;
use crate::rest::posts::{comments, deletion, fields};
use crate::rest::uploads::litter;
use crate::rest::uploads::slots;
use crate::rest::uploads::upload::Stored;
use crate::rest::write_answer;
use crate::store::Position;

/// `GET posts/?friends_only=`
pub async fn list(State(app): State<Arc<App>>, caller: Caller, headers: HeaderMap, uri: Uri) -> Result<Response> {
    let listing = Listing::of(&uri)?;
    let friends_only = listing.value("friends_only").unwrap_or("true").eq_ignore_ascii_case("true");
    let which = if friends_only { PostList::Circle } else { PostList::Everybody };
    // Whoever has the page hears cheaply that it is as it was: a feed has no cursor by which to say so.
    Ok(unless_known(&headers, answer_list(&app, &caller, &listing, which).await?).await)
}

/// `GET users/<username>/posts/`: the public posts; authors also see their private ones.
pub async fn list_of(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut listing = Listing::of(&uri)?;
    listing.page.size = limits::AUTHOR_PAGE_ROWS;
    let author = by_name(&app, &name).await?;
    answer_list(&app, &caller, &listing, PostList::Of(author.id)).await
}

async fn answer_list(app: &App, caller: &Caller, listing: &Listing, which: PostList) -> Result<Response> {
    let found = app.store.posts(caller.id(), which, listing.page).await?;
    let position = |post: &Post| Position { at: post.created_at, id: post.id.0 };
    listing.answer_by_time(&app.presenter, &found, position, |out, post| {
        app.presenter.post(out, post, Some(caller.id()));
    })
}

fn post_response(app: &App, status: StatusCode, caller: &Caller, post: &Post) -> Response {
    let mut out = Vec::with_capacity(4096);
    app.presenter.post(&mut out, post, Some(caller.id()));
    json_response(status, out)
}

/// `GET posts/<id>/`
pub async fn show(State(app): State<Arc<App>>, caller: Caller, Path(post): Path<String>) -> Result<Response> {
    shown(&app, &caller, post_id(&post)?).await
}

/// `GET posts/short/<short_id>/`
pub async fn show_short(State(app): State<Arc<App>>, caller: Caller, Path(short): Path<String>) -> Result<Response> {
    let post = app.store.post_of_short_id(&short).await?.ok_or(NOT_FOUND)?;
    shown(&app, &caller, post).await
}

async fn shown(app: &App, caller: &Caller, id: PostId) -> Result<Response> {
    let (post, place) = app.store.post_at(caller.id(), id).await?;
    let post = post.ok_or(NOT_FOUND)?;
    if !post.head().is_visible_to(caller.id()) {
        return Err(FORBIDDEN);
    }
    Ok(at_place(post_response(app, StatusCode::OK, caller, &post), place))
}

/// Stored files. They are deleted again unless they are kept.
#[derive(Default)]
struct Files {
    image: Option<Stored>,
    video: Option<Stored>,
    thumbnail: Option<Stored>,
}

impl Files {
    async fn store(app: &App, mut form: Form) -> Result<Self> {
        Ok(Self {
            image: form.store(&app.media, "image").await?,
            video: form.store(&app.media, "video").await?,
            thumbnail: form.store(&app.media, "thumbnail").await?,
        })
    }

    fn keep(self) {
        [self.image, self.video, self.thumbnail].into_iter().flatten().for_each(Stored::keep);
    }

    /// The picture's address, in the form of a post's `images`.
    fn image_address(&self, app: &App) -> Option<String> {
        self.image.as_ref().and_then(|image| app.presenter.media(image.path()))
    }
}

/// Writes, and keeps the new files only if that succeeds; `left` are the files that the post then no longer names. It
/// runs in a task of its own, so that a dropped request cannot leave a committed post without its files.
async fn write(
    app: &Arc<App>,
    caller: &Caller,
    action: Action,
    files: Files,
    left: Vec<String>,
    turn: Option<Turn>,
) -> Result<Option<Arc<Committed>>> {
    let app = Arc::clone(app);
    let user = caller.id();
    let written = tokio::spawn(async move {
        let outcome = app.store.write_feed(user, action).await;
        drop(turn);
        if matches!(outcome, Outcome::Committed(_)) {
            files.keep();
            app.media.litter().leave(left.iter().map(String::as_str));
        }
        outcome
    });
    write_answer::event(written.await.map_err(|error| Error::Internal(error.to_string()))?)
}

/// The post, if it belongs to the caller.
async fn own(app: &App, caller: &Caller, id: PostId) -> Result<Post> {
    let post = app.store.post(Some(caller.id()), id).await?.ok_or(NOT_FOUND)?;
    if post.user.id == caller.id() { Ok(post) } else { Err(FORBIDDEN) }
}

/// The files of a post and of the comments shown with it; the sweep finds the files of other comments.
fn files_of(post: &Post) -> Vec<String> {
    let own = [&post.video, &post.thumbnail].into_iter().flatten().cloned();
    own.chain(litter::addresses(&post.images)).chain(post.comments.iter().flat_map(comments::files_of)).collect()
}

/// The files that the post no longer names after the patch.
fn files_left(before: &Post, patch: &PostPatch) -> Vec<String> {
    let replaced = [(&before.video, &patch.video), (&before.thumbnail, &patch.thumbnail)];
    let mut left: Vec<String> =
        replaced.iter().filter_map(|(old, new)| old.as_ref().filter(|_| new.is_some())).cloned().collect();
    if let Some(images) = &patch.images {
        let kept = litter::addresses(images);
        left.extend(litter::addresses(&before.images).into_iter().filter(|image| !kept.contains(image)));
    }
    left
}

/// `POST posts/`
pub async fn create(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response> {
    let form = Form::read(&app.media, caller.id(), slots::POST, request).await?;
    let mut new = fields::new_post(&form.fields)?;
    if form.has_file("image") {
        fields::check_room(&new.images)?;
    }
    let files = Files::store(&app, form).await?;
    if let Some(address) = files.image_address(&app) {
        new.images = fields::with_image(&new.images, address)?;
    }
    new.video = files.video.as_ref().map(|video| video.path().to_owned());
    new.thumbnail = files.thumbnail.as_ref().map(|thumbnail| thumbnail.path().to_owned());
    let action = Action::Publish { post: PostId::fresh(), new: Box::new(new) };
    let written = write(&app, &caller, action, files, Vec::new(), None).await?;
    let event = written.ok_or_else(|| Error::Internal("publishing a post changed nothing".to_owned()))?;
    match write_answer::post_change(&event)? {
        PostChange::Created(post) => Ok(post_response(&app, StatusCode::CREATED, &caller, post)),
        _ => Err(write_answer::unexpected(&event)),
    }
}

/// `PATCH` and `PUT posts/<id>/`
pub async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(post): Path<String>,
    request: Request,
) -> Result<Response> {
    let id = post_id(&post)?;
    // Checked before the body is read, so that nobody uploads for a foreign post.
    own(&app, &caller, id).await?;
    let form = Form::read(&app.media, caller.id(), slots::POST, request).await?;
    let mut patch: PostPatch = fields::patch(&form.fields)?;
    // Reading the body may take minutes, so the post is read again.
    let turn = app.edit_turns.take(id).await;
    let before = own(&app, &caller, id).await?;
    fields::check_patched(&before, &patch)?;
    if form.has_file("image") {
        fields::check_room(patch.images.as_deref().unwrap_or(&before.images))?;
    }
    let files = Files::store(&app, form).await?;
    if let Some(address) = files.image_address(&app) {
        let images = patch.images.as_deref().unwrap_or(&before.images);
        patch.images = Some(fields::with_image(images, address)?);
    }
    patch.video = files.video.as_ref().map(|video| video.path().to_owned());
    patch.thumbnail = files.thumbnail.as_ref().map(|thumbnail| thumbnail.path().to_owned());
    let left = files_left(&before, &patch);
    let action = Action::EditPost { post: id, patch: Box::new(patch) };
    write(&app, &caller, action, files, left, Some(turn)).await?;
    shown(&app, &caller, id).await
}

/// `DELETE posts/<id>/`
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, Path(post): Path<String>) -> Result<Response> {
    let post = post_id(&post)?;
    let left = app.store.post(Some(caller.id()), post).await?.map(|post| files_of(&post)).unwrap_or_default();
    let is_whole = |change: &PostChange| matches!(change, PostChange::Deleted);
    deletion::whole(app, caller.id(), Action::DeletePost { post }, left, is_whole).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
