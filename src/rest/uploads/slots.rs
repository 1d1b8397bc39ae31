//! The form fields that may hold files: the kinds and types they accept, and the folders of their files.

use axum::http::StatusCode;

use crate::domain::chat::message::MessageType;
use crate::limits;
use crate::rest::error::{Error, Result};
use crate::rest::uploads::{documents, sound};

/// The answer to pictures that phones take but most browsers cannot show.
const HEIC: &str = "Los navegadores no muestran fotos HEIC: conviértela a JPEG y envíala de nuevo (en el iPhone: Ajustes, \
    Cámara, Formatos, Más compatible).";

/// The answer to documents of other kinds.
const DOCUMENT: &str = "Este tipo de archivo no se puede enviar, o su contenido no corresponde a su nombre. Ponlo en un archivo ZIP y \
    envía ese.";

/// The kinds of files that may be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A picture.
    Image,
    /// A picture of a person or profile, in the types that every program can show.
    Portrait,
    /// A film.
    Video,
    /// A recording.
    Audio,
    /// Any other file that may be sent: PDF, text, office files, archives.
    Document,
}

impl Kind {
    /// The kind that a type of message needs.
    pub fn of_message(message_type: MessageType) -> Option<Self> {
        match message_type {
            MessageType::Image => Some(Self::Image),
            MessageType::Video => Some(Self::Video),
            MessageType::Audio => Some(Self::Audio),
            MessageType::File => Some(Self::Document),
            _ => None,
        }
    }

    /// The type of message that it makes.
    pub fn message_type(self) -> MessageType {
        match self {
            Self::Image | Self::Portrait => MessageType::Image,
            Self::Video => MessageType::Video,
            Self::Audio => MessageType::Audio,
            Self::Document => MessageType::File,
        }
    }

    /// The answer to a message of this kind without its file.
    pub fn missing(self) -> &'static str {
        match self {
            Self::Image | Self::Portrait => "Los mensajes de imagen requieren un archivo de imagen.",
            Self::Video => "Los mensajes de video requieren un archivo de video.",
            Self::Audio => "Los mensajes de audio requieren un archivo de audio.",
            Self::Document => "Los mensajes de archivo requieren una URL.",
        }
    }

    /// The extension of a file that begins with `head`, if it is of this kind. The clean name counts for documents only.
    ///
    /// Only types that browsers show and that cannot carry a script: no SVG, no HTML. Browsers record sound into WebM
    /// and MP4, whose first bytes do not tell it from film.
    fn extension(self, name: &str, head: &[u8]) -> Option<&'static str> {
        if self == Self::Document {
            return documents::extension(name, head);
        }
        if self == Self::Audio
            && let Some(extension) = sound::extension(head)
        {
            return Some(extension);
        }
        let found = infer::get(head)?.mime_type();
        let known: &[(&str, &str)] = match self {
            Self::Image => &[
                ("image/jpeg", "jpg"),
                ("image/png", "png"),
                ("image/gif", "gif"),
                ("image/webp", "webp"),
                ("image/avif", "avif"),
            ],
            Self::Portrait => &[("image/jpeg", "jpg"), ("image/png", "png"), ("image/webp", "webp")],
            Self::Video => &[
                ("video/mp4", "mp4"),
                ("video/x-m4v", "m4v"),
                ("video/webm", "webm"),
                ("video/quicktime", "mov"),
                ("video/x-matroska", "mkv"),
            ],
            Self::Audio => &[
                ("audio/mpeg", "mp3"),
                ("audio/m4a", "m4a"),
                ("audio/aac", "aac"),
                ("audio/ogg", "ogg"),
                ("audio/x-flac", "flac"),
                ("audio/x-wav", "wav"),
                ("audio/amr", "amr"),
                ("video/webm", "weba"),
                ("video/mp4", "m4a"),
                ("video/x-matroska", "weba"),
            ],
            Self::Document => &[],
        };
        known.iter().find(|(mime, _)| *mime == found).map(|(_, extension)| *extension)
    }
}

/// A form field that may hold a file, and the folder of such files.
#[derive(Debug, PartialEq, Eq)]
pub struct Slot {
    /// The field's name.
    pub field: &'static str,
    /// The required kind.
    pub kind: Kind,
    /// The folder below the media root.
    folder: &'static str,
    /// The maximum size in bytes.
    pub bytes_max: usize,
}

/// Files of messages.
pub const MESSAGE: &[Slot] = &[
    Slot::new("image", Kind::Image, "messages/images"),
    Slot::new("video", Kind::Video, "messages/videos"),
    Slot::new("audio", Kind::Audio, "messages/audios"),
    Slot::new("file", Kind::Document, DOCUMENTS),
];
/// The folder of messages' documents. What is in it is saved and never shown, whatever its type.
pub const DOCUMENTS: &str = "messages/files";
/// Files of posts.
pub const POST: &[Slot] = &[
    Slot::new("image", Kind::Image, "posts/images"),
    Slot::new("video", Kind::Video, "posts/videos"),
    Slot::new("thumbnail", Kind::Image, "posts/thumbnails"),
];
/// Files of comments.
pub const COMMENT: &[Slot] = &[Slot::new("image", Kind::Image, "comments/images")];
/// A user's picture.
pub const AVATAR: Slot = Slot::new("avatar", Kind::Portrait, "avatars").up_to(limits::AVATAR_BYTES_MAX);
/// The picture at the top of a user's profile.
pub const COVER: Slot = Slot::new("cover_photo", Kind::Portrait, "covers").up_to(limits::COVER_BYTES_MAX);
/// Files of users.
pub const PROFILE: &[Slot] = &[AVATAR, COVER];

/// A group's picture.
pub const ROOM: &[Slot] = &[Slot::new("avatar", Kind::Portrait, "chats/avatars").up_to(limits::AVATAR_BYTES_MAX)];

/// Folders from which files are removed when no row names them.
pub fn swept_folders() -> impl Iterator<Item = &'static str> {
    POST.iter().chain(COMMENT).chain(PROFILE).chain(ROOM).map(|slot| slot.folder)
}

impl Slot {
    const fn new(field: &'static str, kind: Kind, folder: &'static str) -> Self {
        Self { field, kind, folder, bytes_max: limits::UPLOAD_BYTES_MAX }
    }

    const fn up_to(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// The folder of its files, below the media root.
    pub fn folder(&self) -> &'static str {
        self.folder
    }

    /// The answer to a file that is too large.
    pub fn too_large(&self) -> Error {
        let megabytes = self.bytes_max / (1024 * 1024);
        Error::hand(StatusCode::PAYLOAD_TOO_LARGE, format!("El archivo supera el máximo de {megabytes} MB."))
    }

    /// The extension of a file with this clean name that begins with `head`.
    ///
    /// # Errors
    /// 400 for a file of another type.
    pub fn extension(&self, name: &str, head: &[u8]) -> Result<&'static str> {
        let found = self.kind.extension(name, head);
        if found.is_none()
            && matches!(self.kind, Kind::Image | Kind::Portrait)
            && infer::get(head).is_some_and(|of| of.mime_type() == "image/heif")
        {
            return Err(Error::field(self.field, HEIC));
        }
        found.ok_or_else(|| self.wrong())
    }

    /// The answer to a file of another type.
    fn wrong(&self) -> Error {
        let text = match self.kind {
            Kind::Image => "Cargue una imagen válida. El archivo que ha cargado o no es una imagen o está dañado.",
            Kind::Portrait => "Tipo de archivo no permitido. Usa JPG, PNG o WebP.",
            Kind::Video => "El archivo no es un video válido.",
            Kind::Audio => "El archivo no es un audio válido.",
            Kind::Document => DOCUMENT,
        };
        Error::field(self.field, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn a_type_is_told_by_content() {
        assert_eq!(Kind::Image.extension("a.pdf", PNG), Some("png"));
        assert_eq!(Kind::Video.extension("a.pdf", PNG), None);
        assert_eq!(Kind::Image.extension("a.pdf", b"\xff\xd8\xff\xe0\0\x10JFIF"), Some("jpg"));
        assert_eq!(Kind::Image.extension("a.pdf", b"GIF89a\x01\0"), Some("gif"));
        assert_eq!(Kind::Portrait.extension("a.pdf", PNG), Some("png"));
        assert_eq!(Kind::Portrait.extension("a.pdf", b"GIF89a\x01\0"), None);
        assert_eq!(Kind::Audio.extension("a.pdf", b"OggS\0\x02\0\0"), Some("ogg"));
        assert_eq!(Kind::Audio.extension("a.pdf", b"ID3\x04\0\0"), Some("mp3"));
        for bad in [
            &b"<svg xmlns=\"http://www.w3.org/2000/svg\">"[..],
            b"<?xml version=\"1.0\"?><svg>",
            b"<!DOCTYPE html><script>",
            b"%PDF-1.7",
            b"MZ\x90\0",
            b"PK\x03\x04",
            b"hola",
            b"",
        ] {
            for kind in [Kind::Image, Kind::Portrait, Kind::Video, Kind::Audio] {
                assert_eq!(kind.extension("a.pdf", bad), None, "{bad:?}");
            }
        }
    }
}
