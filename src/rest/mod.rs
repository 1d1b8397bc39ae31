//! REST: the handlers, one resource per file.

pub mod assets;
pub mod auth;
pub mod chat;
pub mod error;
pub mod extract;
pub mod people;
pub mod posts;
pub mod schema;
pub mod site;
pub mod system;
pub mod uploads;

mod answer;
mod app;
mod cors;
mod encoding;
pub mod fields;
pub mod form;
mod media_host;
mod notifications;
mod page;
pub mod paging;
mod push;
mod site_info;
pub mod verbs;
mod write_answer;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, routing};

pub use app::{App, PushDesk};

use crate::limits;
use crate::rest::answer::CROSS_ORIGIN_RESOURCE_POLICY;
use crate::rest::error::Error;
use crate::rest::fields::BodyDeadline;
use crate::rest::verbs::{Verbs, delete, get, patch, post};

/// All routes except those of WebSockets.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    Router::new()
        .merge(api())
        .route("/media/{*path}", routing::get(serve_media))
        .route("/healthz", routing::get(system::alive))
        .route("/readyz", routing::get(system::ready))
        .route("/health", routing::get(system::healthy))
        .route("/health/", routing::get(system::healthy))
        .route("/metrics", routing::get(system::metrics))
        .method_not_allowed_fallback(not_allowed)
        .fallback(page::serve)
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES_MAX))
        .layer(Extension(BodyDeadline(app.body_deadline)))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), media_host::complete))
        .layer(middleware::from_fn(log_and_harden))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), cors::layer))
        .with_state(app)
}

fn auth_routes() -> Table {
    let files = limits::AVATAR_BYTES_MAX + limits::COVER_BYTES_MAX + limits::BODY_BYTES_MAX;
    let upload = |bytes_max| DefaultBodyLimit::max(bytes_max + limits::BODY_BYTES_MAX);
    let changed = patch(auth::profile::edit).put(auth::profile::edit).layer(DefaultBodyLimit::max(files));
    let avatar = upload(limits::AVATAR_BYTES_MAX);
    let cover = upload(limits::COVER_BYTES_MAX);
    Table::from([
        ("/auth/login", post(auth::account::login)),
        ("/auth/register", post(auth::account::register)),
        ("/auth/refresh", post(auth::account::refresh)),
        ("/auth/profile", get(auth::profile::show).merge(changed)),
        ("/auth/upload-avatar", post(auth::profile::upload_avatar).layer(avatar)),
        ("/auth/upload-cover", post(auth::profile::upload_cover).layer(cover)),
        ("/auth/verify", get(auth::account::verify)),
        ("/auth/ticket", post(auth::account::ticket)),
        ("/auth/logout", post(auth::account::logout)),
        ("/auth/change-password", post(auth::account::change_password)),
    ])
}

fn message_routes() -> Table {
    let upload = DefaultBodyLimit::max(limits::UPLOAD_BYTES_MAX + limits::BODY_BYTES_MAX);
    let picture = DefaultBodyLimit::max(limits::AVATAR_BYTES_MAX + limits::BODY_BYTES_MAX);
    let one =
        get(chat::messages::show).patch(chat::messages::edit).put(chat::messages::edit).delete(chat::messages::delete);
    Table::from([
        ("/messaging/chats", get(chat::rooms::list).post(chat::rooms::create)),
        (
            "/messaging/chats/{room}",
            get(chat::rooms::show).merge(patch(chat::group::change).put(chat::group::change).layer(picture)),
        ),
        ("/messaging/chats/{room}/set_role", post(chat::group::set_role)),
        ("/messaging/chats/{room}/search", get(chat::search::list)),
        ("/messaging/chats/{room}/messages", get(chat::messages::list)),
        ("/messaging/chats/{room}/send_message", post(chat::messages::send).layer(upload)),
        ("/messaging/chats/{room}/mark_as_read", post(chat::messages::mark_as_read)),
        ("/messaging/chats/{room}/messages/{message}", one),
        ("/messaging/chats/{room}/messages/{message}/react", post(chat::messages::react)),
        ("/messaging/chats/{room}/mute", post(chat::rooms::mute).delete(chat::rooms::unmute)),
        ("/messaging/chats/{room}/settings", patch(chat::rooms::settings)),
        ("/messaging/chats/{room}/chat-settings", patch(chat::rooms::settings)),
        ("/messaging/chats/{room}/add_participant", post(chat::rooms::add_participant)),
        ("/messaging/chats/{room}/remove_participant", post(chat::rooms::remove_participant)),
        ("/messaging/chats/{room}/leave", post(chat::rooms::leave)),
    ])
}

fn people_routes() -> Table {
    // `auth::registration` reserves the first words of these paths, so that no username collides with them.
    Table::from([
        ("/users", get(people::profiles::search)),
        ("/users/search", get(people::profiles::search)),
        ("/users/suggested", get(people::profiles::suggested)),
        ("/users/friends", get(people::friends::list)),
        ("/users/friends/{name}", get(people::friends::list_of).delete(people::friends::remove)),
        ("/users/friend-requests", get(people::friends::requests)),
        ("/users/friend-requests/send/{name}", post(people::friends::request)),
        ("/users/friend-requests/{request}", delete(people::friends::cancel)),
        ("/users/friend-requests/{request}/respond", post(people::friends::respond)),
        ("/users/blocked", get(people::blocks::list)),
        ("/users/block/{name}", post(people::blocks::block).delete(people::blocks::unblock)),
        ("/users/follow/{name}", post(people::follows::follow)),
        ("/users/{name}/follow", post(people::follows::follow)),
        ("/users/unfollow/{name}", delete(people::follows::unfollow)),
        ("/users/followers/{name}", get(people::follows::followers)),
        ("/users/following/{name}", get(people::follows::following)),
        ("/users/{name}/posts", get(posts::post::list_of)),
        ("/users/{name}/posts/stats", get(posts::stats::of_author)),
        ("/users/profile", get(auth::profile::show)),
        ("/users/profile/{name}", get(people::profiles::profile)),
        ("/users/chat/{name}", post(people::profiles::open_chat)),
    ])
}

fn post_routes() -> Table {
    let upload = DefaultBodyLimit::max(limits::UPLOAD_BYTES_MAX + limits::BODY_BYTES_MAX);
    // Room for a film and its thumbnail, or a picture.
    let uploads = DefaultBodyLimit::max(3 * limits::UPLOAD_BYTES_MAX + limits::BODY_BYTES_MAX);
    let one = get(posts::post::show).delete(posts::post::delete);
    let one = one.merge(patch(posts::post::edit).put(posts::post::edit).layer(uploads));
    let comment = get(posts::comments::show)
        .patch(posts::comments::edit)
        .put(posts::comments::edit)
        .delete(posts::comments::delete);
    Table::from([
        ("/posts", get(posts::post::list).merge(post(posts::post::create).layer(uploads))),
        ("/posts/{post}", one),
        ("/posts/short/{short_id}", get(posts::post::show_short)),
        ("/posts/{post}/react", post(posts::reactions::react).delete(posts::reactions::unreact)),
        ("/posts/{post}/share", post(posts::reactions::share)),
        ("/posts/{post}/bookmark", post(posts::bookmarks::add).delete(posts::bookmarks::remove)),
        ("/posts/my-reactions-count", get(posts::stats::given)),
        ("/posts/{post}/comments", get(posts::comments::list).merge(post(posts::comments::create).layer(upload))),
        ("/posts/comments/{comment}", comment),
        ("/posts/comments/{comment}/replies", get(posts::comments::replies)),
        (
            "/posts/comments/{comment}/like",
            post(posts::reactions::like_comment).delete(posts::reactions::unlike_comment),
        ),
    ])
}

fn notification_routes() -> Table {
    Table::from([
        ("/notifications", get(notifications::list)),
        ("/notifications/unread-count", get(notifications::unread_count)),
        ("/notifications/mark-all-read", post(notifications::mark_all_read)),
        ("/notifications/clear-all", delete(notifications::clear_all)),
        ("/notifications/{notification}/read", post(notifications::mark_read)),
        ("/notifications/{notification}/delete", delete(notifications::delete)),
    ])
}

fn push_routes() -> Table {
    let subscriptions = get(push::list).post(push::subscribe).delete(push::unsubscribe);
    Table::from([("/push/key", get(push::key)), ("/push/subscriptions", subscriptions)])
}

/// The routes that pages need beside people, posts and rooms.
fn site_routes() -> Table {
    Table::from([
        ("", get(site_info::root)),
        ("/site-settings", get(site_info::flags)),
        ("/site-settings/menu/enabled", get(site_info::menu)),
        ("/media/albums", get(uploads::albums::list)),
        ("/media/albums/{*path}", get(uploads::albums::show)),
        ("/schema", get(schema::show)),
    ])
}

/// Paths below `/api` with their handlers.
type Table = Vec<(&'static str, Verbs)>;

/// All paths below `/api`.
pub fn table() -> Table {
    [
        auth_routes(),
        message_routes(),
        people_routes(),
        post_routes(),
        notification_routes(),
        push_routes(),
        site_routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Each path below `/api`, with and without a slash at the end. They are not nested, because nesting would hide `/api`
/// from the handlers, which write their own address in `next` and `previous`.
fn api() -> Router<Arc<App>> {
    table().into_iter().fold(Router::new(), |router, (path, Verbs { handlers, .. })| {
        let router = router.route(&format!("/api{path}"), handlers.clone());
        // What a wildcard takes has a slash at its end, or not.
        if path.contains('*') { router } else { router.route(&format!("/api{path}/"), handlers) }
    })
}

async fn serve_media(State(app): State<Arc<App>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let below = parts.uri.path().strip_prefix("/media").unwrap_or_default().parse();
    match below {
        Ok(uri) => {
            parts.uri = uri;
            uploads::media::serve(&app.media, Request::from_parts(parts, body)).await
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn not_allowed(request: Request) -> Error {
    let text = format!("Método \"{}\" no permitido.", request.method());
    Error::Detail(StatusCode::METHOD_NOT_ALLOWED, text.into())
}

/// Counts and logs route and status, never the contents of the request or answer, and sets the headers of every answer.
async fn log_and_harden(request: Request, next: Next) -> Response {
    let start = std::time::Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("-", |path| path.as_str().trim_end_matches('/'));
    let route = route.to_owned();
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    harden(response.headers_mut(), is_api);
    let status = response.status().as_u16();
    let took = start.elapsed();
    tracing::debug!(%method, route, status, micros = took.as_micros(), "request");
    metrics::histogram!("pregon_http_request_seconds", "route" => route.clone()).record(took.as_secs_f64());
    let labels = [("method", method_label(&method).to_owned()), ("route", route), ("status", status.to_string())];
    metrics::counter!("pregon_http_requests_total", &labels).increment(1);
    response
}

/// What browsers must not do with answers. The page and uploads have rules of their own, which stay.
fn harden(headers: &mut HeaderMap, is_api: bool) {
    /// Of answers that are no documents: nothing is loaded, and nothing shows them in a frame.
    const POLICY: HeaderValue =
        HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_api {
        // Private, whatever a handler says.
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, NO_STORE),
        // Pages of other origins read answers by CORS or not at all.
        (CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    ] {
        headers.entry(name).or_insert(value);
    }
}

/// The method as a metric's label. Unknown methods share one label, because each label makes a series of its own.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    /// Compares the words that may stand in place of a username in the routes below `/users` with the reserved names.
    #[test]
    fn words_of_routes_are_no_users_names() {
        let routes =
            include_str!("mod.rs").split("fn people_routes").nth(1).and_then(|text| text.split("\n}\n").next());
        let words = routes.unwrap().split("(\"/users/").skip(1).filter_map(|route| route.split(['/', '"']).next());
        let words: Vec<&str> = words.filter(|word| !word.starts_with('{')).collect();
        assert!(words.len() > 8, "{words:?}");
        for word in words.into_iter().filter(|word| !word.contains('-')) {
            assert!(super::auth::registration::is_reserved(word), "{word}");
        }
    }
}
