//! `/api/auth/profile/`, `upload-avatar/` and `upload-cover/`: shows and changes the caller's own profile.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::domain::user::{PicturePatch, ProfilePatch, UserProfile};
use crate::protocol::v0::json::Object;
use crate::rest::answer::json_response;
use crate::rest::app::App;
use crate::rest::auth::profile_fields;
use crate::rest::error::{Error, Result, Unauthorized};
use crate::rest::extract::Caller;
use crate::rest::form::Form;
use crate::rest::people::profiles::profile_response;
use crate::rest::uploads::slots::{self, Slot};
use crate::rest::uploads::upload::Stored;

const AVATAR_ALONE: &[Slot] = &[slots::AVATAR];
const COVER_ALONE: &[Slot] = &[slots::COVER];

/// `GET profile/`, also as `users/profile/`
pub async fn show(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let user = own(&app, &caller).await?;
    profile_response(&app, &caller, &user).await
}

async fn own(app: &App, caller: &Caller) -> Result<Arc<UserProfile>> {
    Ok(app.store.profile(caller.id()).await?.ok_or(Unauthorized::NoUser)?)
}

/// `PATCH` and `PUT profile/`: fields that are not named stay.
pub async fn edit(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response> {
    let mut form = Form::read(&app.media, caller.id(), slots::PROFILE, request).await?;
    let before = own(&app, &caller).await?;
    let mut patch = profile_fields::patch(&form.fields, &before, &app.presenter)?;
    let avatar = form.store(&app.media, slots::AVATAR.field).await?;
    let cover = form.store(&app.media, slots::COVER.field).await?;
    if let Some(file) = &avatar {
        patch.avatar = PicturePatch::Replace(file.path().to_owned());
    }
    if let Some(file) = &cover {
        patch.cover_photo = PicturePatch::Replace(file.path().to_owned());
    }
    if patch != ProfilePatch::default() {
        write(&app, &caller, patch, [avatar, cover]).await?;
    }
    show(State(app), caller).await
}

/// Writes the patch, and keeps the new files only if that succeeds. It runs in a task of its own, so that a dropped
/// request cannot leave a committed profile without its pictures.
async fn write(app: &Arc<App>, caller: &Caller, patch: ProfilePatch, files: [Option<Stored>; 2]) -> Result<()> {
    let app = Arc::clone(app);
    let user = caller.id();
    let written = tokio::spawn(async move {
        let left = app.store.change_profile(user, patch).await?.ok_or(Unauthorized::NoUser)?;
        (app.profile_changed)(user);
        files.into_iter().flatten().for_each(Stored::keep);
        app.media.litter().leave(left.iter().map(String::as_str));
        Ok::<(), Error>(())
    });
    written.await.map_err(|error| Error::Internal(error.to_string()))?
}

/// `POST upload-avatar/` with a file in `avatar`
pub async fn upload_avatar(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response> {
    let replace = |path| ProfilePatch { avatar: PicturePatch::Replace(path), ..ProfilePatch::default() };
    take_picture(&app, &caller, request, AVATAR_ALONE, replace).await?;
    let user = own(&app, &caller).await?;
    let address = app.presenter.avatar(&user);
    Ok(picture_response(&app, &user, "Avatar actualizado exitosamente", "avatar_url", &address))
}

/// `POST upload-cover/` with a file in `cover_photo`
pub async fn upload_cover(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response> {
    let replace = |path| ProfilePatch { cover_photo: PicturePatch::Replace(path), ..ProfilePatch::default() };
    take_picture(&app, &caller, request, COVER_ALONE, replace).await?;
    let user = own(&app, &caller).await?;
    let address = user.cover_photo.as_deref().and_then(|path| app.presenter.media(path)).unwrap_or_default();
    let message = "Foto de portada actualizada exitosamente";
    Ok(picture_response(&app, &user, message, "cover_photo_url", &address))
}

/// Stores the file sent for the one slot, and makes it the user's picture.
async fn take_picture(
    app: &Arc<App>,
    caller: &Caller,
    request: Request,
    slots: &'static [Slot],
    replace: impl FnOnce(String) -> ProfilePatch,
) -> Result<()> {
    let slot = &slots[0];
    let in_short = |error| in_one_text(error, slot);
    let mut form = Form::read(&app.media, caller.id(), slots, request).await.map_err(in_short)?;
    let stored = form.store(&app.media, slot.field).await?;
    let file = stored.ok_or_else(|| {
        Error::hand(StatusCode::BAD_REQUEST, format!("No se envió ningún archivo en el campo {}.", slot.field))
    })?;
    let patch = replace(file.path().to_owned());
    write(app, caller, patch, [Some(file), None]).await
}

/// The form in which these endpoints report a bad or too large file: `{"error": text}`.
fn in_one_text(error: Error, slot: &Slot) -> Error {
    match error {
        Error::Hand(StatusCode::PAYLOAD_TOO_LARGE, _) => match slot.too_large() {
            Error::Hand(_, text) => Error::Hand(StatusCode::BAD_REQUEST, text),
            other => other,
        },
        Error::Fields(fields) => {
            let text = fields.values().find_map(|texts| texts.get(0)?.as_str()).unwrap_or_default().to_owned();
            Error::hand(StatusCode::BAD_REQUEST, text)
        }
        other => other,
    }
}

fn picture_response(app: &App, user: &UserProfile, message: &str, key: &'static str, address: &str) -> Response {
    let mut out = Vec::with_capacity(2048);
    Object::open(&mut out)
        .text("message", message)
        .text(key, address)
        .value("user", |out| app.presenter.profile(out, user, Some(user.id)))
        .close();
    json_response(StatusCode::OK, out)
}
