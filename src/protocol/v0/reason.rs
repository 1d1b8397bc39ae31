//! Why a session gets an error or ends: our close codes, and the texts that clients know.

use crate::domain::write::Refusal;

/// A close code and its short reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goodbye {
    /// RFC 6455 §7.4; 4000–4999 are ours.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: &'static str,
}

/// Refused: the client should not repeat the same request.
pub const REFUSED: Goodbye = Goodbye { code: 1000, reason: "" };
/// The session reached its maximum age: the client should reconnect.
pub const TOO_OLD: Goodbye = Goodbye { code: 1001, reason: "session life over, connect again" };
/// The server restarts: the client should reconnect.
pub const RESTART: Goodbye = Goodbye { code: 1012, reason: "server restarts, connect again" };
/// Another node shall serve this client: it should reconnect.
pub const MOVED: Goodbye = Goodbye { code: 1012, reason: "too many on this node, connect again" };
/// The server cannot serve this now: the client should reconnect later.
pub const OVERLOAD: Goodbye = Goodbye { code: 1013, reason: "try again later" };
/// The user has too many sockets on this topic, and this one is the oldest.
pub const CROWDED: Goodbye = Goodbye { code: 1013, reason: "too many sockets, the oldest goes" };
/// The token has expired or was revoked: the client should reconnect with a fresh one.
pub const TOKEN_OVER: Goodbye = Goodbye { code: 4001, reason: "token expired" };
/// The user logged out or changed the password: the client should log in again.
pub const LOGIN_OVER: Goodbye = Goodbye { code: 4001, reason: "session ended, log in again" };
/// The user was deactivated or deleted.
pub const INACTIVE: Goodbye = Goodbye { code: 4001, reason: "user no longer active" };
/// The post became private.
pub const HIDDEN: Goodbye = Goodbye { code: 4003, reason: "post no longer visible" };
/// The user is no longer a participant.
pub const REMOVED: Goodbye = Goodbye { code: 4003, reason: "no longer a participant" };
/// An operator ended the connection: the client should reconnect.
pub const CUT: Goodbye = Goodbye { code: 1012, reason: "closed by an operator, connect again" };
/// An operator ended the connection: the client should not come again by itself.
pub const CUT_OFF: Goodbye = Goodbye { code: 4003, reason: "closed by an operator" };
/// The client reads too slowly: it should reconnect and refetch.
pub const TOO_SLOW: Goodbye = Goodbye { code: 4008, reason: "too slow, connect again" };

/// The client says too much, whatever it is told: it should reconnect after a while, and say less.
pub const TOO_FAST: Goodbye = Goodbye { code: 4029, reason: "too many messages, connect again later" };

/// No token in the query.
pub const NO_TOKEN: &str = "Token no proporcionado";
/// The token is invalid for whatever reason.
pub const BAD_TOKEN: &str = "Token inválido";
/// The user is not a participant, or there is no such room.
pub const NOT_PARTICIPANT: &str = "No eres participante de este chat";
/// The path's id is not a UUID.
pub const BAD_ROOM_ID: &str = "Error de autenticación: el identificador del chat no es un UUID válido";
/// The frame is not JSON, not an object, or binary.
pub const BAD_JSON: &str = "Formato JSON inválido";
/// A field has the wrong JSON type.
pub const BAD_FIELD: &str = "Un campo del mensaje tiene un tipo incorrecto";
/// A text escapes a lone surrogate.
pub const HALF_CHARACTER: &str = "El mensaje contiene un carácter incompleto";
/// A text holds NUL.
pub const NUL: &str = "No se permiten caracteres nulos.";
/// The database's columns cannot store the text's characters.
pub const CHARACTERS: &str = "El texto contiene caracteres que la base de datos no admite, como los emojis: quítalos";
/// A `client_id` that is not valid.
pub const BAD_CLIENT_ID: &str = "client_id debe ser un texto de 1 a 64 bytes";
/// Content above the limit.
pub const TOO_LONG: &str = "El mensaje no puede tener más de 2000 caracteres";
/// A message type that sockets do not accept.
pub const BAD_MESSAGE_TYPE: &str = "Tipo de mensaje inválido: usa text o emoji; los archivos se envían por REST";
/// A reaction that does not exist.
pub const BAD_REACTION: &str = "Tipo de reacción inválido";
/// The data of a `signal` is too long.
pub const SIGNAL_TOO_LONG: &str = "El campo data de signal no puede superar 4 KiB";
/// The client sends faster than it may.
pub const TOO_MANY: &str = "Envías demasiado rápido: espera un momento y vuelve a intentarlo";
/// The database did not answer at the handshake.
pub const TRY_LATER: &str = "El servicio no está disponible en este momento, inténtalo de nuevo";

/// The author has deleted the message of this `client_id`.
pub const DELETED: &str =
    "El mensaje con este client_id ya se envió y fue eliminado: usa otro client_id para enviarlo de nuevo";

/// One of the two has blocked the other.
pub const BLOCKED: &str = "No puedes hacer esto: uno de los dos ha bloqueado al otro";

/// The text of a refused write, or `None` where the contract demands silence.
pub fn refusal_text(refusal: Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::NotParticipant => Some(NOT_PARTICIPANT),
        Refusal::NoSuchMessage => Some("El mensaje no existe en este chat"),
        Refusal::Deleted => Some(DELETED),
        Refusal::NotAuthor | Refusal::NotText => None,
        Refusal::ReplyElsewhere => Some("El mensaje de respuesta debe pertenecer al mismo chat."),
        Refusal::NotAdmin => Some("Solo el propietario o un administrador puede hacer eso"),
        Refusal::PrivateRoom => Some("No puedes salir de un chat privado"),
        Refusal::Blocked => Some(BLOCKED),
        Refusal::NoSuchUser => Some("Usuario no encontrado"),
        Refusal::NoSuchNotification => Some("Notificación no encontrada"),
        Refusal::Characters => Some(CHARACTERS),
        Refusal::Busy => Some("El servidor está ocupado, inténtalo de nuevo en unos segundos"),
        Refusal::Unavailable => Some("No se pudo guardar, inténtalo de nuevo"),
        // Sockets cannot write about posts and people.
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
        | Refusal::NotBlocked
        | Refusal::NotOwner
        | Refusal::OwnRole
        | Refusal::NoSuchRequest => None,
    }
}
