//! `/api/auth/`: register, log in, refresh, log out, and the current user.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::access::rate;
use crate::access::token::{Pair, TokenError};
use crate::clock::Timestamp;
use crate::domain::feed::write::Action;
use crate::domain::user::ProfilePatch;
use crate::domain::write::Outcome;
use crate::ids::{FamilyId, UserId};
use crate::limits;
use crate::protocol::v0::json::Object;
use crate::rest::answer::json_response;
use crate::rest::app::App;
use crate::rest::auth::registration::{self, PASSWORD_CHARS};
use crate::rest::error::{Error, Result, Unauthorized};
use crate::rest::extract::Client;
use crate::rest::extract::{Caller, bearer_of};
use crate::rest::fields::{Faults, Fields, Length, up_to};
use crate::rest::uploads::defaults;
use crate::store::RegisterError;

/// Every new user follows this user, if it exists.
const FOLLOWED_BY_ALL: &str = "sos";

/// `POST login/`
pub async fn login(State(app): State<Arc<App>>, Client(client): Client, fields: Fields) -> Result<Response> {
    let mut faults = Faults::default();
    let login = fields.required("login", up_to(254), &mut faults);
    let password = fields.required("password", up_to(PASSWORD_CHARS), &mut faults);
    let (Some(login), Some(password)) = (login, password) else { return Err(faults.result().err().unwrap_or(wrong())) };
    // Taken before the password is looked up, so that a password change in the meantime also ends this login.
    let family = FamilyId::begun(Timestamp::now());
    let Checked { user, hash } = check_password(&app, client, &login, password).await?;
    if app.store.credentials(&login.to_lowercase()).await?.is_none_or(|found| found.password_hash != hash) {
        return Err(wrong());
    }
    let pair = app.tokens.issue_pair_of(user, family, Timestamp::now());
    let mut out = Vec::with_capacity(2048);
    let mut object = Object::open(&mut out);
    object.text("refresh", &pair.refresh).text("access", &pair.access);
    write_user(&app, &mut object, user).await?;
    object.close();
    Ok(json_response(StatusCode::OK, out))
}

/// A user who gave the right password.
struct Checked {
    user: UserId,
    /// The hash that the password matched.
    hash: String,
}

/// Counts every attempt. A failed one is logged with its address, but without the name.
async fn check_password(app: &App, client: Option<IpAddr>, login: &str, password: String) -> Result<Checked> {
    let checked = try_password(app, client, login, password).await;
    let outcome = match &checked {
        Ok(Ok(_)) => "ok",
        Ok(Err(outcome)) => *outcome,
        Err(Error::TooMany(_)) => "limited",
        Err(_) => "unavailable",
    };
    metrics::counter!("pregon_logins_total", "outcome" => outcome).increment(1);
    if outcome != "ok" {
        let client = client.map_or_else(|| "-".to_owned(), |client| client.to_string());
        tracing::info!(client, outcome, "a login failed");
    }
    checked?.map_err(|outcome| match outcome {
        INACTIVE => Error::whole("Esta cuenta está desactivada."),
        _ => wrong(),
    })
}

/// The password is right, but the user was deactivated.
const INACTIVE: &str = "inactive";

async fn try_password(
    app: &App,
    client: Option<IpAddr>,
    login: &str,
    password: String,
) -> Result<std::result::Result<Checked, &'static str>> {
    app.rates.attempt(client)?;
    let login = login.to_lowercase();
    let found = app.store.credentials(&login).await?;
    let bucket = found.as_ref().map_or(rate::Login::Name(login), |found| rate::Login::Account(found.user));
    app.rates.login(client, bucket)?;
    let hash = found.as_ref().map(|found| found.password_hash.clone());
    let is_right = app.hasher.verify(client, password, hash).await?;
    Ok(match found {
        Some(found) if is_right && found.is_active => Ok(Checked { user: found.user, hash: found.password_hash }),
        Some(_) if is_right => Err(INACTIVE),
        _ => Err("wrong"),
    })
}

fn wrong() -> Error {
    Error::whole("Credenciales inválidas.")
}

/// `POST register/`
pub async fn register(State(app): State<Arc<App>>, Client(client): Client, fields: Fields) -> Result<Response> {
    app.rates.registration(client)?;
    let (mut user, password) = registration::check(&*app.store, &fields, || app.rates.taken(client)).await?;
    user.password_hash = app.hasher.make(client, password).await?;
    let username = user.username.clone();
    let user = app.store.register(user).await.map_err(|error| match error {
        RegisterError::Taken { email, username } => {
            app.rates.taken(client).map_or_else(Error::from, |()| registration::taken(email, username))
        }
        RegisterError::Store(error) => error.into(),
    })?;
    give_pictures(&app, user, &username).await;
    follow_the_helpers(&app, user).await;
    let Pair { refresh, access } = app.tokens.issue_pair(user, Timestamp::now());
    let mut out = Vec::with_capacity(2048);
    let mut object = Object::open(&mut out);
    object.text("message", "Usuario registrado exitosamente");
    write_user(&app, &mut object, user).await?;
    object.value("tokens", |out| Object::open(out).text("refresh", &refresh).text("access", &access).close());
    object.close();
    Ok(json_response(StatusCode::CREATED, out))
}

/// Gives a new user the operator's default pictures. If that fails, the user stays registered.
async fn give_pictures(app: &App, user: UserId, username: &str) {
    let [avatar, cover_photo] = defaults::give(app.media.root(), username).await;
    let patch = ProfilePatch { avatar, cover_photo, ..ProfilePatch::default() };
    if patch != ProfilePatch::default()
        && let Err(error) = app.store.change_profile(user, patch).await
    {
        tracing::warn!(%error, "cannot copy the default pictures for a new user");
    }
}

/// Makes a new user follow [`FOLLOWED_BY_ALL`], like an ordinary follow. If that fails, the user stays registered.
async fn follow_the_helpers(app: &App, user: UserId) {
    let helpers = match app.store.profile_by_name(FOLLOWED_BY_ALL).await {
        Ok(helpers) => helpers.filter(|helpers| helpers.is_active && helpers.id != user),
        Err(error) => return tracing::warn!(%error, "cannot make a new user follow {FOLLOWED_BY_ALL}"),
    };
    if let Some(helpers) = helpers
        && let Outcome::Refused(refusal) = app.store.write_feed(user, Action::Follow { user: helpers.id }).await
    {
        tracing::warn!(?refusal, "cannot make a new user follow {FOLLOWED_BY_ALL}");
    }
}

/// `POST refresh/`
pub async fn refresh(State(app): State<Arc<App>>, fields: Fields) -> Result<Response> {
    let mut faults = Faults::default();
    let token = fields.required("refresh", up_to(limits::TOKEN_BYTES_MAX), &mut faults);
    faults.result()?;
    let now = Timestamp::now();
    let refresh = app.tokens.verify_refresh(&token.unwrap_or_default(), now).map_err(Unauthorized::Refresh)?;
    let is_over = bearer_of(&*app.store, &refresh.token).await?.is_none();
    if is_over || !app.logins.may_renew(&refresh).await? {
        return Err(Unauthorized::Refresh(TokenError::Invalid).into());
    }
    let Pair { access, refresh } = app.tokens.renew(&refresh, now);
    Ok(Json(json!({"access": access, "refresh": refresh})).into_response())
}

/// `GET verify/`
pub async fn verify(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::open(&mut out);
    object.flag("valid", true);
    write_user(&app, &mut object, caller.id()).await?;
    object.close();
    Ok(json_response(StatusCode::OK, out))
}

/// `POST ticket/`: a ticket for one socket of `pregon.v1`, for pages that must not show their token.
pub async fn ticket(State(app): State<Arc<App>>, caller: Caller) -> Response {
    let ticket = app.tokens.issue_ticket(&caller.access, Timestamp::now());
    Json(json!({"ticket": ticket, "expires_in": limits::TICKET_SECONDS})).into_response()
}

/// `POST logout/`: ends the caller's login, and that of the refresh token in the request if it is the caller's.
pub async fn logout(State(app): State<Arc<App>>, caller: Caller, fields: Fields) -> Result<Response> {
    let token = ["refresh_token", "refresh"].iter().find_map(|name| fields.value(name)?.as_str());
    let refresh = token.and_then(|token| app.tokens.verify_refresh(token.trim(), Timestamp::now()).ok());
    let refresh = refresh.filter(|refresh| refresh.token.user == caller.id());
    app.logins.log_out(&caller.access, refresh.as_ref()).await?;
    Ok(Json(json!({"message": "Sesión cerrada exitosamente"})).into_response())
}

/// `POST change-password/` with `current_password` or `old_password`, `new_password` and, if the client asks twice,
/// `new_password_confirm`. Faults use the name that the client sent.
pub async fn change_password(
    State(app): State<Arc<App>>,
    Client(client): Client,
    caller: Caller,
    fields: Fields,
) -> Result<Response> {
    let mut faults = Faults::default();
    let is_of_old = fields.has("old_password") && !fields.has("current_password");
    let old_name = if is_of_old { "old_password" } else { "current_password" };
    let old = fields.required(old_name, up_to(PASSWORD_CHARS), &mut faults);
    let length = Length { min: 8, max: PASSWORD_CHARS, min_text: None };
    let new = fields.required("new_password", length, &mut faults);
    let again = fields.optional("new_password_confirm", up_to(PASSWORD_CHARS), &mut faults);
    faults.result()?;
    let old = old.unwrap_or_default();
    let new = new.unwrap_or_default();
    let mut faults = Faults::default();
    registration::check_strength("new_password", &new, &mut faults);
    if again.is_some_and(|again| !again.is_empty() && again != new) {
        faults.add("new_password_confirm", "Las contraseñas no coinciden.");
    }
    faults.result()?;
    let is_wrong = || Error::field(old_name, "La contraseña actual es incorrecta.");
    let old_hash = match check_password(&app, client, &caller.account.username, old).await {
        Ok(Checked { user, hash }) if user == caller.id() => hash,
        Err(error @ (Error::TooMany(_) | Error::Unavailable | Error::Internal(_))) => return Err(error),
        Ok(_) | Err(_) => return Err(is_wrong()),
    };
    let new_hash = app.hasher.make(client, new).await?;
    // If two changes run at once, the second one fails here, because its old password is no longer right.
    if !app.logins.change_password(&caller.access, old_hash, new_hash).await? {
        return Err(is_wrong());
    }
    Ok(Json(json!({"message": "Contraseña cambiada exitosamente"})).into_response())
}

/// Writes the caller's own profile under `user`.
async fn write_user(app: &App, object: &mut Object<'_>, user: UserId) -> Result<()> {
    let profile = app.store.profile(user).await?.ok_or(Unauthorized::NoUser)?;
    object.value("user", |out| app.presenter.profile(out, &profile, Some(user)));
    Ok(())
}
