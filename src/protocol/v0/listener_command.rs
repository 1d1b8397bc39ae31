//! The commands of a feed, post or notification socket; anything else is ignored.

use crate::domain::text;
use crate::ids::NotificationId;
use crate::protocol::v0::command::{Command, given_back, typing};
use crate::protocol::v0::fields::{Fields, Value};

/// A client's command.
#[derive(Debug, PartialEq, Eq)]
pub enum ListenerCommand<'a> {
    /// A ping, answered on this socket.
    Ping {
        /// JSON to send back; `null` if the client sent none.
        timestamp: &'a str,
    },
    /// Marks a notification as read. Only notification sockets accept it.
    MarkRead(NotificationId),
    /// Whether the user is writing a comment. Only sockets of posts accept it.
    Typing {
        /// True when typing began, false when it stopped.
        is_typing: bool,
    },
    /// Ignored: not JSON, not an object, unknown types, missing or malformed ids.
    Nothing,
}

/// Reads one text frame of a feed, post or notification socket.
pub fn parse(text: &str) -> ListenerCommand<'_> {
    let text = text::without_mark(text);
    let Ok(fields) = Fields::raw(text) else { return ListenerCommand::Nothing };
    if text::has_half(text) {
        return ListenerCommand::Nothing;
    }
    let kind = fields.kind.and_then(|kind| kind.text());
    match kind.as_deref() {
        Some("ping") => given_back(fields.timestamp)
            .map_or(ListenerCommand::Nothing, |timestamp| ListenerCommand::Ping { timestamp }),
        Some("mark_read") => fields
            .notification_id
            .and_then(|id| id.text())
            .and_then(|id| id.parse().ok())
            .map_or(ListenerCommand::Nothing, ListenerCommand::MarkRead),
        Some("typing") => match typing(&fields) {
            Command::Typing { is_typing } => ListenerCommand::Typing { is_typing },
            _ => ListenerCommand::Nothing,
        },
        _ => ListenerCommand::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";

    #[test]
    fn pings_reads_and_typing_are_understood_in_any_spelling() {
        for (text, timestamp) in [
            (r#"{"type":"ping"}"#, "null"),
            (r#" {"timestamp":{"a":[1, 2]},"type":"p\u0069ng","x":1}"#, r#"{"a":[1, 2]}"#),
            ("\u{feff}{\"type\":\"ping\",\"timestamp\":null}", "null"),
        ] {
            assert_eq!(parse(text), ListenerCommand::Ping { timestamp }, "{text}");
        }
        for id in [ID.to_owned(), ID.to_uppercase(), ID.replace('-', "")] {
            let frame = format!(r#"{{"type":"mark_read","notification_id":"{id}"}}"#);
            assert_eq!(parse(&frame), ListenerCommand::MarkRead(ID.parse().unwrap()), "{id}");
        }
        for (text, is_typing) in [
            (r#"{"type":"typing"}"#, false),
            (r#"{"type":"typing","is_typing":null}"#, false),
            (r#"{"is_typing":true,"type":"typing"}"#, true),
        ] {
            assert_eq!(parse(text), ListenerCommand::Typing { is_typing }, "{text}");
        }
    }

    #[test]
    fn everything_else_is_nothing() {
        let nested = format!(r#"{{"type":"ping","timestamp":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        for text in [
            "",
            "nope",
            "5",
            "null",
            r#"["ping",1,null]"#,
            r#"["ping","ping","ping"]"#,
            r#"{"type":"ping""#,
            r#"{"type":["ping"]}"#,
            r#"{"type":"mark_read"}"#,
            r#"{"type":"mark_read","notification_id":5}"#,
            r#"{"type":"mark_read","notification_id":"nonsense"}"#,
            r#"{"type":"typing","is_typing":"yes"}"#,
            r#"{"type":"unknown"}"#,
            r#"{"type":"ping","timestamp":"\ud83d"}"#,
            nested.as_str(),
        ] {
            assert_eq!(parse(text), ListenerCommand::Nothing, "{text:.40}");
        }
    }
}
