//! The frames of a chat socket: each event becomes whole WebSocket frames, encoded once for all recipients.

use uuid::Uuid;

use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::Message;
use crate::domain::user::Account;
use crate::ids::UserId;
use crate::limits::frames::chars;
use crate::protocol::v0::json::{Object, within};
use crate::protocol::v0::object::Presenter;
use crate::protocol::ws::frame::begin_text;

/// Sent when a socket is admitted.
pub const GREETING: &str = r#"{"type":"connection_success","message":"Conectado exitosamente al chat"}"#;

/// Appends a text frame; `write` appends its payload.
pub fn text_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = begin_text(out);
    write(out);
    start.finish(out);
}

/// The greeting's frame.
pub fn greeting(out: &mut Vec<u8>) {
    text_frame(out, |out| out.extend_from_slice(GREETING.as_bytes()));
}

/// An error frame: the text under both keys that clients read, and the sender's own name for the refused message.
pub fn error(out: &mut Vec<u8>, text: &str, client_id: Option<&str>) {
    text_frame(out, |out| {
        error_keys(out, text, client_id);
        out.push(b'}');
    });
}

/// The same for what may come again after some milliseconds.
pub fn error_for_now(out: &mut Vec<u8>, text: &str, client_id: Option<&str>, retry_after_ms: u32) {
    text_frame(out, |out| {
        error_keys(out, text, client_id);
        out.extend_from_slice(br#","retry_after_ms":"#);
        out.extend_from_slice(retry_after_ms.to_string().as_bytes());
        out.push(b'}');
    });
}

fn error_keys(out: &mut Vec<u8>, text: &str, client_id: Option<&str>) {
    out.extend_from_slice(br#"{"type":"error","message":"#);
    json_text(out, text);
    out.extend_from_slice(br#","error":"#);
    json_text(out, text);
    client_id_key(out, client_id);
}

/// Something that the server's operator tells a client.
pub fn notice(out: &mut Vec<u8>, text: &str) {
    text_frame(out, |out| Object::open(out).text("type", "notice").text("text", text).close());
}

/// The answer to an application ping; `timestamp` is JSON.
pub fn pong(out: &mut Vec<u8>, timestamp: &str) {
    text_frame(out, |out| {
        out.extend_from_slice(br#"{"type":"pong","timestamp":"#);
        out.extend_from_slice(timestamp.as_bytes());
        out.push(b'}');
    });
}

/// `typing_status`.
pub fn typing_status(out: &mut Vec<u8>, user: &Account, is_typing: bool) {
    text_frame(out, |out| {
        out.extend_from_slice(br#"{"type":"typing_status","#);
        user_keys(out, user.id, &user.username);
        out.extend_from_slice(if is_typing { br#","is_typing":true}"# } else { br#","is_typing":false}"# });
    });
}

/// `user_status`.
pub fn user_status(out: &mut Vec<u8>, user: &Account, is_online: bool) {
    text_frame(out, |out| {
        out.extend_from_slice(br#"{"type":"user_status","#);
        user_keys(out, user.id, &user.username);
        out.extend_from_slice(if is_online { br#","status":"online"}"# } else { br#","status":"offline"}"# });
    });
}

/// `signal`; `data` is JSON.
pub fn signal(out: &mut Vec<u8>, user: &Account, data: &str) {
    text_frame(out, |out| {
        out.extend_from_slice(br#"{"type":"signal","#);
        user_keys(out, user.id, &user.username);
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(data.as_bytes());
        out.push(b'}');
    });
}

/// The frames of a committed event; none for events that only change who receives.
pub fn durable(out: &mut Vec<u8>, presenter: &Presenter, event: &ChatEvent) {
    match event {
        ChatEvent::Sent(message) => chat_message(out, presenter, message),
        ChatEvent::Edited(message) => message_frame(out, presenter, "message_edited", message),
        ChatEvent::Deleted { message, user } => text_frame(out, |out| {
            out.extend_from_slice(br#"{"type":"message_deleted","#);
            id_key(out, "message_id", message.0);
            out.push(b',');
            id_key(out, "user_id", user.0);
            out.push(b'}');
        }),
        ChatEvent::Read { messages, user, username, .. } => {
            for message in messages {
                text_frame(out, |out| {
                    out.extend_from_slice(br#"{"type":"message_read","#);
                    id_key(out, "message_id", message.0);
                    out.push(b',');
                    user_keys(out, *user, username);
                    out.push(b'}');
                });
            }
        }
        ChatEvent::Reacted { message, user, username, reaction, added } => text_frame(out, |out| {
            out.extend_from_slice(br#"{"type":"message_reaction","#);
            id_key(out, "message_id", message.0);
            out.push(b',');
            user_keys(out, *user, username);
            out.extend_from_slice(br#","reaction_type":""#);
            out.extend_from_slice(reaction.as_str().as_bytes());
            out.extend_from_slice(if *added { br#"","added":true}"# } else { br#"","added":false}"# });
        }),
        ChatEvent::Joined { .. } | ChatEvent::Left { .. } | ChatEvent::Changed { .. } => {}
    }
}

/// `chat_message`.
pub fn chat_message(out: &mut Vec<u8>, presenter: &Presenter, message: &Message) {
    message_frame(out, presenter, "chat_message", message);
}

fn message_frame(out: &mut Vec<u8>, presenter: &Presenter, kind: &str, message: &Message) {
    text_frame(out, |out| {
        out.extend_from_slice(br#"{"type":""#);
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(br#"","message":"#);
        presenter.message(out, message);
        client_id_key(out, message.client_id.as_deref());
        out.push(b'}');
    });
}

/// `,"client_id":"…"`, if there is one.
fn client_id_key(out: &mut Vec<u8>, client_id: Option<&str>) {
    if let Some(client_id) = client_id {
        out.extend_from_slice(br#","client_id":"#);
        json_text(out, client_id);
    }
}

/// `"user_id":"…","username":"…"`
fn user_keys(out: &mut Vec<u8>, user: UserId, username: &str) {
    id_key(out, "user_id", user.0);
    out.extend_from_slice(br#","username":"#);
    json_text(out, within(username, chars::USERNAME));
}

/// `"key":"…"`. Ids have only one spelling.
fn id_key(out: &mut Vec<u8>, key: &str, id: Uuid) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(br#"":""#);
    out.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    out.push(b'"');
}

/// A JSON string with its quotes.
fn json_text(out: &mut Vec<u8>, text: &str) {
    // Neither writing to memory nor serialising a str can fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::message::ReactionType;

    const ANA: &str = "c29e1460-2438-4c40-a229-7c210c701b1c";
    const MESSAGE: &str = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";

    fn account() -> Account {
        Account::active(ANA.parse().unwrap(), "ana".into())
    }

    fn payload(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut frame = Vec::new();
        write(&mut frame);
        let header = if frame[1] == 126 { 4 } else { 2 };
        String::from_utf8(frame[header..].to_vec()).unwrap()
    }

    #[test]
    fn frames_read_as_the_backend_writes_them() {
        let ana = account();
        let message = MESSAGE.parse().unwrap();
        assert_eq!(
            payload(|out| typing_status(out, &ana, true)),
            format!(r#"{{"type":"typing_status","user_id":"{ANA}","username":"ana","is_typing":true}}"#)
        );
        assert_eq!(
            payload(|out| user_status(out, &ana, false)),
            format!(r#"{{"type":"user_status","user_id":"{ANA}","username":"ana","status":"offline"}}"#)
        );
        assert_eq!(
            payload(|out| signal(out, &ana, r#"{"x":1}"#)),
            format!(r#"{{"type":"signal","user_id":"{ANA}","username":"ana","data":{{"x":1}}}}"#)
        );
        assert_eq!(payload(|out| pong(out, "null")), r#"{"type":"pong","timestamp":null}"#);
        assert_eq!(
            payload(|out| error(out, "a \"b\"", None)),
            r#"{"type":"error","message":"a \"b\"","error":"a \"b\""}"#
        );
        assert_eq!(
            payload(|out| error(out, "a", Some("\"1\""))),
            r#"{"type":"error","message":"a","error":"a","client_id":"\"1\""}"#
        );
        let presenter = Presenter::new("http://localhost", true);
        let deleted = ChatEvent::Deleted { message, user: ana.id };
        assert_eq!(
            payload(|out| durable(out, &presenter, &deleted)),
            format!(r#"{{"type":"message_deleted","message_id":"{MESSAGE}","user_id":"{ANA}"}}"#)
        );
        let reacted = ChatEvent::Reacted {
            message,
            user: ana.id,
            username: "ana".into(),
            reaction: ReactionType::Fire,
            added: false,
        };
        assert_eq!(
            payload(|out| durable(out, &presenter, &reacted)),
            format!(
                r#"{{"type":"message_reaction","message_id":"{MESSAGE}","user_id":"{ANA}","username":"ana","reaction_type":"fire","added":false}}"#
            )
        );
        let read = ChatEvent::Read { messages: vec![message], count: 1, user: ana.id, username: "ana".into() };
        assert_eq!(
            payload(|out| durable(out, &presenter, &read)),
            format!(r#"{{"type":"message_read","message_id":"{MESSAGE}","user_id":"{ANA}","username":"ana"}}"#)
        );
    }
}
