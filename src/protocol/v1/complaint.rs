//! Why a request is not done: a code for programs, a text for people, and what to do next.

use crate::domain::write::Refusal;
use crate::limits::LATER_MS;
use crate::protocol::v0::reason::{self, Goodbye};

/// What a client does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: the same request will never be done.
    Never,
    /// The request has a fault.
    Fix,
    /// The same request, after a while.
    Later,
    /// The same request, after so many milliseconds.
    After(u32),
}

impl Retry {
    /// The word in frames.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Fix => "fix",
            Self::Later | Self::After(_) => "later",
        }
    }

    /// When the same request may come again, in milliseconds.
    pub fn after_ms(self) -> Option<u64> {
        match self {
            Self::Later => Some(LATER_MS),
            Self::After(milliseconds) => Some(milliseconds.into()),
            Self::Never | Self::Fix => None,
        }
    }
}

/// Why a request is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complaint {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub text: &'static str,
    /// What helps.
    pub retry: Retry,
}

const fn complaint(code: &'static str, retry: Retry, text: &'static str) -> Complaint {
    Complaint { code, text, retry }
}

/// The frame is no JSON object.
pub const BAD_JSON: Complaint = complaint("bad_json", Retry::Fix, reason::BAD_JSON);
/// No request has this type.
pub const UNKNOWN_TYPE: Complaint =
    complaint("unknown_type", Retry::Fix, "Tipo de mensaje desconocido: consulta la documentación de pregon.v1");
/// The name that the client gave its request is neither a number nor a short text.
pub const BAD_ID: Complaint =
    complaint("bad_id", Retry::Fix, "id debe ser un número o un texto de hasta 64 bytes: corrígelo");
/// There is no such topic.
pub const BAD_TOPIC: Complaint =
    complaint("bad_topic", Retry::Fix, "topic debe ser room:<id>, post:<id>, feed o notifications: corrígelo");
/// A cursor that is none.
pub const BAD_CURSOR: Complaint =
    complaint("bad_cursor", Retry::Fix, "cursor debe tener la forma época.número: corrígelo");
/// The request lacks something, or has it in a wrong type.
pub const BAD_FIELDS: Complaint =
    complaint("bad_fields", Retry::Fix, "Falta un campo o tiene un valor incorrecto: corrígelo");
/// Nobody has said yet whose socket it is.
pub const NOT_IDENTIFIED: Complaint =
    complaint("not_authenticated", Retry::Fix, "Identifícate primero con un mensaje auth que lleve tu token");
/// The token or ticket is not valid.
pub const BAD_TOKEN: Complaint = complaint("bad_token", Retry::Fix, reason::BAD_TOKEN);
/// The ticket was used before.
pub const USED_TICKET: Complaint =
    complaint("used_ticket", Retry::Fix, "Este ticket ya se usó o ha caducado: pide otro");
/// The socket is another user's.
pub const OTHER_USER: Complaint =
    complaint("other_user", Retry::Fix, "El token es de otro usuario: abre otra conexión");
/// The socket has as many topics as it may have.
pub const TOO_MANY_TOPICS: Complaint =
    complaint("too_many_topics", Retry::Fix, "Demasiadas suscripciones en esta conexión: cancela alguna o abre otra");
/// The socket listens to the topic already.
pub const SUBSCRIBED_ALREADY: Complaint =
    complaint("already_subscribed", Retry::Never, "Ya estás suscrito a este tema");
/// The socket does not listen to the topic.
pub const NOT_SUBSCRIBED: Complaint =
    complaint("not_subscribed", Retry::Fix, "No estás suscrito a este tema: suscríbete primero");
/// The user is no participant, or there is no such room.
pub const NOT_PARTICIPANT: Complaint = complaint("not_participant", Retry::Never, reason::NOT_PARTICIPANT);
/// There is no such post, or the user may not see it.
pub const HIDDEN: Complaint = complaint("hidden", Retry::Never, "No puedes ver esta publicación");
/// A right was taken away while the request was judged.
pub const ASK_AGAIN: Complaint =
    complaint("ask_again", Retry::Later, "Tus permisos acaban de cambiar: inténtalo de nuevo");
/// The client took its request back before it was done.
pub const CANCELLED: Complaint =
    complaint("cancelled", Retry::Never, "Cancelaste la suscripción antes de que empezara");
/// The client reads too slowly.
pub const SLOW: Complaint = complaint(
    "slow",
    Retry::Later,
    "La conexión lee demasiado despacio: suscríbete de nuevo con tus cursores y repite lo que no tuvo respuesta",
);
/// One of the two of a private room has blocked the other.
pub const BLOCKED: Complaint = complaint("blocked", Retry::Never, reason::BLOCKED);
/// There is no such message.
pub const NO_SUCH_MESSAGE: Complaint = complaint("no_such_message", Retry::Fix, "El mensaje no existe en este chat");
/// Too many requests wait.
pub const BUSY: Complaint =
    complaint("busy", Retry::Later, "El servidor está ocupado, inténtalo de nuevo en unos segundos");
/// The database does not answer.
pub const UNAVAILABLE: Complaint = complaint("unavailable", Retry::Later, reason::TRY_LATER);

impl Complaint {
    /// The client asks faster than it may. It may go on after so many milliseconds.
    pub fn too_fast(retry_after_ms: u32) -> Self {
        complaint("rate_limited", Retry::After(retry_after_ms), reason::TOO_MANY)
    }

    /// Why a write was refused.
    pub fn of(refusal: Refusal) -> Self {
        use Refusal as R;
        let (code, retry, text) = match refusal {
            R::NotParticipant => return NOT_PARTICIPANT,
            R::Blocked => return BLOCKED,
            R::Busy => return BUSY,
            R::Unavailable => ("unavailable", Retry::Later, "No se pudo guardar, inténtalo de nuevo"),
            R::Characters => ("characters", Retry::Fix, reason::CHARACTERS),
            R::NoSuchMessage => return NO_SUCH_MESSAGE,
            R::Deleted => ("deleted", Retry::Never, reason::DELETED),
            R::NotAuthor => ("not_author", Retry::Never, "Solo el autor puede hacer eso"),
            R::NotText => ("not_text", Retry::Never, "Solo se pueden editar los mensajes de texto"),
            R::ReplyElsewhere => {
                ("reply_elsewhere", Retry::Fix, "El mensaje de respuesta debe pertenecer al mismo chat.")
            }
            R::NoSuchNotification => ("no_such_notification", Retry::Fix, "Notificación no encontrada"),
            R::NotActive => ("not_active", Retry::Never, "Tu cuenta no está activa"),
            // Sockets cannot ask for the other writes.
            _ => ("refused", Retry::Never, "No se puede hacer eso"),
        };
        Self { code, text, retry }
    }

    /// Why a subscription ends that the client did not end.
    pub fn of_goodbye(goodbye: Goodbye) -> Self {
        let (code, retry, text) = match goodbye {
            reason::REMOVED => ("removed", Retry::Never, "Ya no eres participante de este chat"),
            reason::HIDDEN => ("hidden", Retry::Never, "La publicación ya no es visible para ti"),
            reason::OVERLOAD => return BUSY,
            reason::CUT => ("cut", Retry::Later, "Un administrador cerró esta suscripción: suscríbete de nuevo"),
            reason::CUT_OFF => ("cut", Retry::Never, "Un administrador cerró esta suscripción"),
            _ => ("ended", Retry::Later, "La suscripción terminó: suscríbete de nuevo"),
        };
        Self { code, text, retry }
    }
}
