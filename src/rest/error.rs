//! Every way a request can fail, with its status and the text that clients know. The detail goes to the log.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::access::password::Busy;
use crate::access::rate::TooMany;
use crate::access::token::TokenError;
use crate::domain::write::Refusal;
use crate::protocol::v0::reason;
use crate::protocol::v0::reason::CHARACTERS;
use crate::store::StoreError;

/// A handler's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The variants say who acts next.
#[derive(Debug)]
pub enum Error {
    /// Fix the fields: 400, texts by field.
    Fields(Map<String, Value>),
    /// Fix the request: `{"error": text}`.
    Hand(StatusCode, Cow<'static, str>),
    /// Fix the request: `{"detail": text}`.
    Detail(StatusCode, Cow<'static, str>),
    /// Log in or refresh: 401.
    Unauthorized(Unauthorized),
    /// Wait for this many seconds: 429.
    TooMany(u64),
    /// Retry in a second: 503.
    Unavailable,
    /// A defect of the server: 500. The detail goes to the log.
    Internal(String),
}

/// The caller could not be authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthorized {
    /// No header, or a different scheme.
    Missing,
    /// `Bearer` without a value, or with several.
    Malformed,
    /// The access token is not valid.
    Access(TokenError),
    /// The refresh token is not valid.
    Refresh(TokenError),
    /// The token's user does not exist any more.
    NoUser,
    /// The token's user was deactivated.
    Inactive,
}

/// The answer to adding somebody to a group that they have left more than once.
const HAS_LEFT: &str =
    "Esta persona salió del grupo y ya se la volvió a agregar hoy: espera un día o pídele que hable contigo";
/// 404 in REST Framework's words.
pub const NOT_FOUND: Error = Error::Detail(StatusCode::NOT_FOUND, Cow::Borrowed("No encontrado."));
/// 403 in REST Framework's words.
pub const FORBIDDEN: Error =
    Error::Detail(StatusCode::FORBIDDEN, Cow::Borrowed("Usted no tiene permiso para realizar esta acción."));

impl Error {
    /// `{"error": text}` with this status.
    pub fn hand(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self::Hand(status, text.into())
    }

    /// 400 with one text for one field.
    pub fn field(name: &str, text: impl Into<String>) -> Self {
        Self::Fields(Map::from_iter([(name.to_owned(), json!([text.into()]))]))
    }

    /// 400 for the request as a whole.
    pub fn whole(text: &str) -> Self {
        Self::field("non_field_errors", text)
    }
}

/// The default answer to a refused write, for endpoints without a text of their own.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OwnRole => Self::hand(
                StatusCode::BAD_REQUEST,
                "No puedes cambiar tu propio rol: haz propietario a otro participante",
            ),
            Refusal::NotParticipant
            | Refusal::NotAdmin
            | Refusal::NotOwner
            | Refusal::NotAuthor
            | Refusal::NotVisible => FORBIDDEN,
            // The user was deactivated after the token was checked.
            Refusal::NotActive => Unauthorized::Inactive.into(),
            Refusal::NoSuchMessage | Refusal::NoSuchPost | Refusal::NoSuchComment => NOT_FOUND,
            Refusal::Blocked => Self::hand(StatusCode::FORBIDDEN, reason::BLOCKED),
            Refusal::NotBlocked => Self::hand(StatusCode::BAD_REQUEST, "No has bloqueado a este usuario"),
            Refusal::HasLeft => Self::hand(StatusCode::CONFLICT, HAS_LEFT),
            Refusal::Deleted => Self::hand(StatusCode::CONFLICT, reason::DELETED),
            Refusal::NotText => Self::hand(StatusCode::BAD_REQUEST, "Solo los mensajes de texto pueden editarse"),
            Refusal::ReplyElsewhere => {
                Self::field("reply_to", "El mensaje de respuesta debe pertenecer al mismo chat.")
            }
            Refusal::PrivateRoom => Self::hand(StatusCode::BAD_REQUEST, "No puedes salir de un chat privado"),
            Refusal::NoSuchUser => Self::hand(StatusCode::NOT_FOUND, "Usuario no encontrado"),
            Refusal::CommentsClosed => {
                Self::Detail(StatusCode::FORBIDDEN, "Esta publicación no permite comentarios.".into())
            }
            Refusal::ParentElsewhere => {
                Self::field("parent", "El comentario padre debe pertenecer a la misma publicación.")
            }
            Refusal::NoReaction => Self::hand(StatusCode::NOT_FOUND, "No tienes reacciones en este post"),
            Refusal::NoLike => Self::hand(StatusCode::NOT_FOUND, "No has dado like a este comentario"),
            Refusal::Oneself => {
                Self::hand(StatusCode::BAD_REQUEST, "No puedes enviarte una solicitud de amistad a ti mismo")
            }
            Refusal::NotFollowing => Self::hand(StatusCode::BAD_REQUEST, "No sigues a este usuario"),
            Refusal::AlreadyFriends => Self::hand(StatusCode::BAD_REQUEST, "Ya son amigos"),
            Refusal::NotFriends => Self::hand(StatusCode::BAD_REQUEST, "No son amigos"),
            Refusal::AlreadyRequested => {
                Self::hand(StatusCode::BAD_REQUEST, "Ya existe una solicitud de amistad pendiente")
            }
            Refusal::NoSuchRequest => Self::hand(StatusCode::NOT_FOUND, "Solicitud de amistad no encontrada"),
            Refusal::NoSuchNotification => Self::hand(StatusCode::NOT_FOUND, "Notificación no encontrada"),
            Refusal::Characters => Self::hand(StatusCode::BAD_REQUEST, CHARACTERS),
            Refusal::Busy | Refusal::Unavailable => Self::Unavailable,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(detail) => {
                tracing::warn!(%detail, "database unavailable");
                Self::Unavailable
            }
            StoreError::Characters(detail) => {
                tracing::warn!(%detail, "the database cannot store a text's characters: pregon check names the tables");
                Refusal::Characters.into()
            }
            StoreError::Broken(detail) => Self::Internal(detail),
        }
    }
}

impl From<Busy> for Error {
    fn from(_: Busy) -> Self {
        Self::Unavailable
    }
}

impl From<Unauthorized> for Error {
    fn from(reason: Unauthorized) -> Self {
        Self::Unauthorized(reason)
    }
}

impl Unauthorized {
    fn body(self) -> Value {
        match self {
            Self::Missing => json!({"detail": "Las credenciales de autenticación no se proveyeron."}),
            Self::Malformed => json!({
                "detail": "El encabezado 'Authorization' debe contener valores delimitados por espacios",
                "code": "bad_authorization_header",
            }),
            Self::Access(error @ TokenError::NoUser) => {
                json!({"detail": error.message(), "code": "token_not_valid"})
            }
            Self::Access(error) => json!({
                "detail": "El token dado no es valido para ningun tipo de token",
                "code": "token_not_valid",
                "messages": [{"token_class": "AccessToken", "token_type": "access", "message": error.message()}],
            }),
            Self::Refresh(error) => json!({"detail": error.message(), "code": "token_not_valid"}),
            Self::NoUser => json!({"detail": "Usuario no encontrado", "code": "user_not_found"}),
            Self::Inactive => json!({"detail": "El usuario está inactivo", "code": "user_inactive"}),
        }
    }
}

impl From<TooMany> for Error {
    fn from(too_many: TooMany) -> Self {
        Self::TooMany(too_many.retry_after_seconds)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let with = |status, name: HeaderName, value: HeaderValue, body: Value| {
            (status, [(name, value)], Json(body)).into_response()
        };
        match self {
            Self::Fields(fields) => (StatusCode::BAD_REQUEST, Json(fields)).into_response(),
            Self::Hand(status, text) => (status, Json(json!({"error": text}))).into_response(),
            Self::Detail(status, text) => (status, Json(json!({"detail": text}))).into_response(),
            Self::Unauthorized(reason) => {
                let scheme = HeaderValue::from_static("Bearer realm=\"api\"");
                with(StatusCode::UNAUTHORIZED, header::WWW_AUTHENTICATE, scheme, reason.body())
            }
            Self::TooMany(seconds) => {
                let text =
                    format!("Solicitud fue regulada (throttled). Se espera que esté disponible en {seconds} segundos.");
                let body = json!({"detail": text});
                with(StatusCode::TOO_MANY_REQUESTS, header::RETRY_AFTER, seconds.into(), body)
            }
            Self::Unavailable => {
                let body = json!({"error": "El servidor está ocupado. Inténtalo de nuevo en un momento."});
                with(StatusCode::SERVICE_UNAVAILABLE, header::RETRY_AFTER, 1.into(), body)
            }
            Self::Internal(detail) => {
                tracing::error!(%detail, "a request failed");
                let body = json!({"error": "Error interno del servidor"});
                (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(error: Error) -> (u16, Option<String>, String) {
        let response = error.into_response();
        let wait = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        (status, wait, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn trouble_says_when_to_come_back_and_nothing_of_itself() {
        for error in [Refusal::Busy.into(), Refusal::Unavailable.into(), Busy.into()] {
            let (status, wait, body) = answer(error).await;
            assert_eq!((status, wait.as_deref()), (503, Some("1")));
            assert!(body.starts_with("{\"error\":\"El servidor está ocupado."), "{body}");
        }
        assert_eq!(answer(Refusal::NotActive.into()).await.0, 401);
        let unavailable = answer(StoreError::Unavailable("disk /secret is full".into()).into()).await;
        let broken = answer(StoreError::Broken("no such column: password".into()).into()).await;
        assert_eq!((unavailable.0, broken.0), (503, 500));
        assert!(!unavailable.2.contains("secret") && !broken.2.contains("password"));
        let (status, wait, body) = answer(Error::TooMany(7)).await;
        assert_eq!((status, wait.as_deref()), (429, Some("7")));
        assert!(body.contains("en 7 segundos"));
    }
}
