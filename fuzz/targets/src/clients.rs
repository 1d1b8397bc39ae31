//! What clients say: JSON of both protocols.

use pregon::protocol::v0::command::{self, Command};
use pregon::protocol::v0::fields::Reader;
use pregon::protocol::v0::listener_command;
use pregon::protocol::v1::request::{self, Ask};

/// A text frame of a chat, feed, post or notification socket.
///
/// # Panics
/// JSON that is passed on is not JSON, or a reader that was used before reads otherwise.
pub fn v0(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut reader = Reader::default();
    let read = command::parse(text, &mut reader);
    if let Ok(Command::Signal { data: raw, .. }) = &read {
        is_json(raw);
    }
    // Given back to whoever made it up, as below.
    if let Ok(Command::Ping { timestamp }) = &read {
        is_any_json(timestamp);
    }
    assert_eq!(read, command::parse(text, &mut reader), "a reader keeps nothing");
    // serde_json is the twin: what it takes for no JSON is an error here.
    if serde_json::from_str::<serde::de::IgnoredAny>(text.trim_start_matches('\u{feff}')).is_err() {
        assert!(!matches!(read, Ok(Command::Write(_))), "{text:?} is no JSON");
    }
    if let listener_command::ListenerCommand::Ping { timestamp } = listener_command::parse(text) {
        is_any_json(timestamp);
    }
}

/// JSON whose numbers may be beyond floating point.
fn is_any_json(text: &str) {
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text:?} is no JSON");
}

/// A text frame of a socket of `pregon.v1`.
///
/// # Panics
/// As [`v0`].
pub fn v1(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut reader = Reader::default();
    let read = request::parse(text, &mut reader);
    let id = match &read {
        Ok(request) => request.id.as_ref(),
        Err(refused) => refused.id.as_ref(),
    };
    // Given back to whoever made it up, whose parser takes its numbers or not.
    if let Some(id) = id {
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(id).is_ok(), "{id:?} is no JSON");
    }
    if let Ok(request::Request { ask: Ask::InRoom { command: Command::Signal { data: raw, .. }, .. }, .. }) = &read {
        is_json(raw);
    }
    assert_eq!(read, request::parse(text, &mut reader), "a reader keeps nothing");
    if serde_json::from_str::<serde::de::IgnoredAny>(text.trim_start_matches('\u{feff}')).is_err() {
        assert!(read.is_err(), "{text:?} is no JSON");
    }
}

/// It goes into other clients' frames as it is.
fn is_json(raw: &str) {
    assert!(serde_json::from_str::<serde_json::Value>(raw).is_ok(), "{raw:?} is passed on and is no JSON");
}
