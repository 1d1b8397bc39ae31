//! Why a session hears an error or ends: close codes of our own and the texts clients know.

use crate::domain::write::Refusal;

/// A close code and its short reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goodbye {
    /// RFC 6455 §7.4; 4000–4999 are ours.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: &'static str,
}

/// A refusal: do not come back with the same request.
pub const REFUSED: Goodbye = Goodbye { code: 1000, reason: "" };
/// The session reached its longest life: come back.
pub const TOO_OLD: Goodbye = Goodbye { code: 1001, reason: "session life over, connect again" };
/// The server restarts: come back.
pub const RESTART: Goodbye = Goodbye { code: 1012, reason: "server restarts, connect again" };
/// The server cannot serve this now: come back later.
pub const OVERLOAD: Goodbye = Goodbye { code: 1013, reason: "try again later" };
/// The user has opened too many sockets on the same, and this one is the oldest.
pub const CROWDED: Goodbye = Goodbye { code: 1013, reason: "too many sockets, the oldest goes" };
/// The token has expired or was revoked: come back with a fresh one.
pub const TOKEN_OVER: Goodbye = Goodbye { code: 4001, reason: "token expired" };
/// Somebody logged out or changed the password: log in again.
pub const LOGIN_OVER: Goodbye = Goodbye { code: 4001, reason: "session ended, log in again" };
/// The user was deactivated or is gone: what the token was for is over.
pub const INACTIVE: Goodbye = Goodbye { code: 4001, reason: "user no longer active" };
/// The post became private.
pub const HIDDEN: Goodbye = Goodbye { code: 4003, reason: "post no longer visible" };
/// The user is no longer a participant.
pub const REMOVED: Goodbye = Goodbye { code: 4003, reason: "no longer a participant" };
/// The client reads too slowly: come back and refetch.
pub const TOO_SLOW: Goodbye = Goodbye { code: 4008, reason: "too slow, connect again" };

/// No token in the query.
pub const NO_TOKEN: &str = "Token no proporcionado";
/// A token that is wrong in any way.
pub const BAD_TOKEN: &str = "Token inválido";
/// Not a participant, or no such room.
pub const NOT_PARTICIPANT: &str = "No eres participante de este chat";
/// The path's id is no UUID.
pub const BAD_ROOM_ID: &str = "Error de autenticación: el identificador del chat no es un UUID válido";
/// Not JSON, not an object, or a binary frame.
pub const BAD_JSON: &str = "Formato JSON inválido";
/// A field has another JSON type than it should have.
pub const BAD_FIELD: &str = "Un campo del mensaje tiene un tipo incorrecto";
/// A text escapes half a character.
pub const HALF_CHARACTER: &str = "El mensaje contiene un carácter incompleto";
/// A text holds NUL.
pub const NUL: &str = "No se permiten caracteres nulos.";
/// The database's columns do not hold a text's characters.
pub const CHARACTERS: &str = "El texto contiene caracteres que la base de datos no admite, como los emojis: quítalos";
/// A `client_id` that cannot be one.
pub const BAD_CLIENT_ID: &str = "client_id debe ser un texto de 1 a 64 bytes";
/// Content above the limit.
pub const TOO_LONG: &str = "El mensaje no puede tener más de 2000 caracteres";
/// A message type that sockets do not take.
pub const BAD_MESSAGE_TYPE: &str = "Tipo de mensaje inválido: usa text o emoji; los archivos se envían por REST";
/// A reaction that does not exist.
pub const BAD_REACTION: &str = "Tipo de reacción inválido";
/// A `signal` above its limit.
pub const SIGNAL_TOO_LONG: &str = "El campo data de signal no puede superar 4 KiB";
/// The database could not be asked at the handshake.
pub const TRY_LATER: &str = "El servicio no está disponible en este momento, inténtalo de nuevo";

/// A `client_id` whose message its author has deleted.
pub const DELETED: &str =
    "El mensaje con este client_id ya se envió y fue eliminado: usa otro client_id para enviarlo de nuevo";

/// The text of a refused write, or `None` where the contract wants silence.
pub fn refusal_text(refusal: Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::NotParticipant => Some(NOT_PARTICIPANT),
        Refusal::NoSuchMessage => Some("El mensaje no existe en este chat"),
        Refusal::Deleted => Some(DELETED),
        Refusal::NotAuthor | Refusal::NotText => None,
        Refusal::ReplyElsewhere => Some("El mensaje de respuesta debe pertenecer al mismo chat."),
        Refusal::NotAdmin => Some("Solo el propietario o un administrador puede hacer eso"),
        Refusal::PrivateRoom => Some("No puedes salir de un chat privado"),
        Refusal::NoSuchUser => Some("Usuario no encontrado"),
        Refusal::NoSuchNotification => Some("Notificación no encontrada"),
        Refusal::Characters => Some(CHARACTERS),
        Refusal::Busy => Some("El servidor está ocupado, inténtalo de nuevo en unos segundos"),
        Refusal::Unavailable => Some("No se pudo guardar, inténtalo de nuevo"),
        // Sockets do not write about posts and people.
        Refusal::NotActive
        | Refusal::HasLeft
        | Refusal::NoSuchPost
        | Refusal::NotVisible
        | Refusal::CommentsClosed
        | Refusal::NoSuchComment
        | Refusal::ParentElsewhere
        | Refusal::NoReaction
        | Refusal::NoLike
        | Refusal::Oneself
        | Refusal::NotFollowing
        | Refusal::AlreadyFriends
        | Refusal::NotFriends
        | Refusal::AlreadyRequested
        | Refusal::NoSuchRequest => None,
    }
}
