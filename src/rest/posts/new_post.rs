//! Reads a message sent by REST, its fields and file, until it is ready to be written.

use axum::extract::Request;

use crate::domain::chat::message::MessageType;
use crate::domain::chat::write::NewMessage;
use crate::domain::text;
use crate::ids::UserId;
use crate::limits;
use crate::limits::frames::chars;
use crate::protocol::v0::object::Presenter;
use crate::rest::auth::registration::address;
use crate::rest::error::{Error, Result};
use crate::rest::fields::{Faults, Fields, up_to};
use crate::rest::form::Form;
use crate::rest::uploads::slots::{self, Kind};
use crate::rest::uploads::upload::{MediaDir, Stored};

/// The body of `send_message/`.
#[derive(Debug)]
pub struct Draft(Form);

impl Draft {
    /// Reads a user's body; files go to the media folder's waiting room.
    ///
    /// # Errors
    /// 400, 408, 413 or 415 for a bad body; 503 if too many uploads are running.
    pub async fn read(media: &MediaDir, user: UserId, request: Request) -> Result<Self> {
        Form::read(media, user, slots::MESSAGE, request).await.map(Self)
    }

    /// Checks the fields and moves the file to its place. The file is deleted again unless it is kept.
    ///
    /// # Errors
    /// 400 with every fault; 503 if the file cannot be stored.
    pub async fn finish(self, media: &MediaDir, presenter: &Presenter) -> Result<(NewMessage, Option<Stored>)> {
        let Self(Form { fields, mut files }) = self;
        let mut message = check(&fields, files.first().map(|file| file.slot().kind))?;
        let Some(kind) = Kind::of_message(message.message_type) else { return Ok((message, None)) };
        let Some(place) = files.iter().position(|file| file.slot().kind == kind) else {
            let is_elsewhere = kind == Kind::Document && !message.file_url.is_empty();
            return if is_elsewhere { Ok((message, None)) } else { Err(Error::whole(kind.missing())) };
        };
        let stored = media.store(files.swap_remove(place)).await?;
        match stored.document() {
            Some(document) => {
                message.file_url = file_url(presenter, stored.path());
                message.file_name.clone_from(&document.name);
                message.file_size = u32::try_from(document.bytes).ok();
            }
            None => message.attachment = Some(stored.path().to_owned()),
        }
        Ok((message, Some(stored)))
    }
}

/// The address of a stored document, as the column keeps it: whole, because Django shows it as it stands. Behind an address
/// that is too long for the column, only the path is kept.
fn file_url(presenter: &Presenter, path: &str) -> String {
    let whole = presenter.media(path).filter(|address| address.chars().count() <= chars::URL);
    whole.unwrap_or_else(|| format!("/media/{path}"))
}

/// The message that the fields describe, without a file.
fn check(fields: &Fields, attached: Option<Kind>) -> Result<NewMessage> {
    let mut faults = Faults::default();
    let message_type = message_type(fields, attached, &mut faults);
    let length = up_to(limits::CONTENT_CHARS_MAX);
    let needs_text = matches!(message_type, MessageType::Text | MessageType::Emoji);
    let content = match needs_text {
        true => fields.required("content", length, &mut faults),
        false => fields.optional("content", length, &mut faults),
    };
    let mut message = NewMessage::text(content.unwrap_or_default(), message_type);
    message.reply_is_strict = true;
    let reply = fields.optional("reply_to", up_to(64), &mut faults);
    if let Some(text) = reply.filter(|text| !text.is_empty()) {
        match text.parse() {
            Ok(reply) => message.reply_to = Some(reply),
            Err(_) => faults.add("reply_to", format!("“{text}” no es un UUID válido.")),
        }
    }
    message.file_url = address(fields, "file_url", &mut faults);
    message.file_name = fields.optional("file_name", up_to(255), &mut faults).unwrap_or_default();
    message.file_size = fields.count("file_size", &mut faults);
    message.client_id = client_id(fields, &mut faults);
    faults.result()?;
    Ok(message)
}

/// The sender's own name for a message. An invalid one is a fault: if it were ignored, a repetition would be stored
/// twice.
fn client_id(fields: &Fields, faults: &mut Faults) -> Option<String> {
    let value = fields.value("client_id")?;
    let name = value.as_str().filter(|name| text::is_client_id(name));
    if name.is_none() {
        let most = limits::CLIENT_ID_BYTES_MAX;
        faults.add("client_id", format!("client_id debe ser un texto de 1 a {most} bytes."));
    }
    name.map(str::to_owned)
}

/// The type that the client sent, or else the type of the file. Some types only the backend may write.
fn message_type(fields: &Fields, attached: Option<Kind>, faults: &mut Faults) -> MessageType {
    let text = fields.optional("message_type", up_to(15), faults).unwrap_or_default();
    match MessageType::from_text(if text.is_empty() { "text" } else { &text }) {
        Some(MessageType::Text) => attached.map_or(MessageType::Text, Kind::message_type),
        Some(MessageType::System | MessageType::StoryReply) | None => {
            faults.add("message_type", format!("\"{text}\" no es una elección válida."));
            MessageType::Text
        }
        Some(other) => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(fields: &serde_json::Value, attached: Option<Kind>) -> Result<NewMessage, String> {
        check(&Fields(fields.as_object().unwrap().clone()), attached).map_err(|error| match error {
            Error::Fields(fields) => serde_json::to_string(&fields).unwrap(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn a_text_needs_content_and_a_file_does_not() {
        assert_eq!(checked(&json!({"content": " hola "}), None).unwrap().content, "hola");
        for empty in [json!({}), json!({"message_type": "emoji"})] {
            assert_eq!(checked(&empty, None).unwrap_err(), r#"{"content":["Este campo es requerido."]}"#);
        }
        let blank = checked(&json!({"content": "  "}), None).unwrap_err();
        assert_eq!(blank, r#"{"content":["Este campo no puede estar en blanco."]}"#);
        assert!(checked(&json!({"content": "🎉".repeat(2000)}), None).is_ok());
        let long = checked(&json!({"content": "🎉".repeat(2001)}), None).unwrap_err();
        assert_eq!(long, r#"{"content":["Asegúrese de que este campo no tenga más de 2000 caracteres."]}"#);
        let image = checked(&json!({}), Some(Kind::Image)).unwrap();
        assert_eq!((image.message_type, image.content.as_str()), (MessageType::Image, ""));
    }

    #[test]
    fn each_kind_has_its_needs() {
        let file = checked(&json!({"message_type": "file", "file_url": "https://a.b/c", "file_size": "7"}), None);
        assert_eq!(file.unwrap().file_size, Some(7));
        for (fields, expected) in [
            (json!({"content": "x", "message_type": "system"}), "\\\"system\\\" no es una elección válida."),
            (json!({"content": "x", "message_type": "zz"}), "\\\"zz\\\" no es una elección válida."),
            (json!({"content": "x", "reply_to": "xx"}), "“xx” no es un UUID válido."),
            (json!({"content": "x", "file_url": "javascript://x"}), "Introduzca una URL válida."),
            (json!({"content": "x", "file_size": -1}), "mayor o igual a 0"),
            (json!({"content": ["x"]}), "No es una cadena válida."),
            (json!({"content": null}), "Este campo no puede ser nulo."),
            (json!({"content": "a\u{0}b"}), "No se permiten caracteres nulos."),
            (json!({"content": "x", "client_id": "ñ".repeat(33)}), "de 1 a 64 bytes"),
            (json!({"content": "x", "client_id": 5}), "de 1 a 64 bytes"),
            (json!({"content": "\u{200b}\u{feff}"}), "Este campo no puede estar en blanco."),
        ] {
            let error = checked(&fields, None).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let nulls = json!({"content": "x", "message_type": null, "reply_to": null, "client_id": null, "file_url": null,
            "file_name": null, "file_size": null});
        assert_eq!(checked(&nulls, None).unwrap(), checked(&json!({"content": "x"}), None).unwrap());
    }
}
