//! The commands of a chat socket, read from JSON into values that cannot be wrong.

use std::borrow::Cow;

use memchr::memchr2_iter;
use serde_json::value::RawValue;

use crate::domain::chat::message::{MessageType, ReactionType};
use crate::domain::chat::write::{Action, NewMessage};
use crate::domain::text;
use crate::ids::MessageId;
use crate::limits::{CONTENT_CHARS_MAX, JSON_DEPTH_MAX, SIGNAL_BYTES_MAX};
use crate::protocol::v0::fields::{Fields, Reader, Value};
use crate::protocol::v0::reason;

/// A client's command.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// A write.
    Write(Action),
    /// Passed on to the other users of the room.
    Typing {
        /// True when typing began, false when it stopped.
        is_typing: bool,
    },
    /// An application's event, passed on to the room and not stored.
    Signal {
        /// The JSON, with its original bytes.
        data: &'a str,
        /// Whether the sender's own socket receives it too.
        echo: bool,
    },
    /// A ping, answered on this socket.
    Ping {
        /// JSON to send back; `null` if the client sent none.
        timestamp: &'a str,
    },
    /// Ignored: unknown types, empty texts, missing ids.
    Nothing,
}

/// A frame that gets an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The text of the error.
    pub text: &'static str,
    /// The sender's own name for the refused message, if it is valid.
    pub client_id: Option<String>,
}

impl From<&'static str> for Refused {
    fn from(text: &'static str) -> Self {
        Self { text, client_id: None }
    }
}

/// The text for the error frame.
type Fault = &'static str;

/// Reads one text frame of a chat socket.
///
/// # Errors
/// The content of the error frame.
pub fn parse<'a>(text: &'a str, reader: &mut Reader) -> Result<Command<'a>, Refused> {
    let text = text::without_mark(text);
    if !is_passed_on(text) {
        let read = reader.read(text, |fields| match kind(fields).as_deref() {
            Some("signal" | "ping") => None,
            kind => Some(command(kind, fields).map_err(|fault| refused(fault, fields))),
        });
        if let Some(command) = read {
            return command;
        }
    }
    let fields = whole(text)?;
    let command = match kind(&fields).as_deref() {
        Some("signal") => signal(fields.data, fields.echo),
        Some("ping") => given_back(fields.timestamp).map(|timestamp| Command::Ping { timestamp }),
        kind => command(kind, &fields),
    };
    command.map_err(|fault| refused(fault, &fields))
}

/// Reads with serde_json. serde_json accepts lone surrogates, so they are looked for here: other clients must not
/// receive them.
fn whole(text: &str) -> Result<Fields<'_, RawValue>, Fault> {
    let fields = Fields::raw(text).map_err(|_| reason::BAD_JSON)?;
    if text::has_half(text) { Err(reason::HALF_CHARACTER) } else { Ok(fields) }
}

fn refused<V: Value + ?Sized>(text: Fault, fields: &Fields<'_, V>) -> Refused {
    Refused { text, client_id: client_id(fields).ok().flatten() }
}

fn kind<'f, V: Value + ?Sized>(fields: &Fields<'f, V>) -> Option<Cow<'f, str>> {
    fields.kind.and_then(Value::text)
}

/// Whether the text looks like a command whose bytes are passed on unchanged. A wrong guess only costs time.
fn is_passed_on(text: &str) -> bool {
    let kind = text.strip_prefix("{\"type\":").map(str::trim_start);
    kind.is_some_and(|kind| kind.starts_with("\"signal\"") || kind.starts_with("\"ping\""))
}

/// Reads the commands that pass nothing on unchanged.
fn command<V: Value + ?Sized>(kind: Option<&str>, fields: &Fields<'_, V>) -> Result<Command<'static>, Fault> {
    match kind {
        Some("chat_message") => chat_message(fields),
        Some("typing") => Ok(typing(fields)),
        Some("read_message") => read_message(fields),
        Some("react_message") => react_message(fields),
        Some("edit_message") => edit_message(fields),
        Some("delete_message") => delete_message(fields),
        _ => Ok(Command::Nothing),
    }
}

fn chat_message<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Result<Command<'static>, Fault> {
    let message_type = match fields.message_type.map(text) {
        None => MessageType::Text,
        Some(name) => MessageType::from_text(&name?)
            .filter(|kind| matches!(kind, MessageType::Text | MessageType::Emoji))
            .ok_or(reason::BAD_MESSAGE_TYPE)?,
    };
    let client_id = client_id(fields)?;
    let Some(content) = content(fields)? else { return Ok(Command::Nothing) };
    let mut message = NewMessage::text(content, message_type);
    message.reply_to = fields.reply_to.and_then(Value::text).and_then(|id| id.parse().ok());
    message.client_id = client_id;
    Ok(Command::Write(Action::Send(message)))
}

/// The sender's own name for a message. An invalid one is an error: if it were ignored, a repetition would be stored
/// twice.
fn client_id<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Result<Option<String>, Fault> {
    let Some(value) = fields.client_id else { return Ok(None) };
    match value.text() {
        Some(id) if text::is_client_id(&id) => Ok(Some(id.into_owned())),
        _ => Err(reason::BAD_CLIENT_ID),
    }
}

/// Whether the user types; nothing if that is no boolean.
pub(super) fn typing<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Command<'static> {
    match fields.is_typing.map(Value::flag) {
        None => Command::Typing { is_typing: false },
        Some(Some(is_typing)) => Command::Typing { is_typing },
        Some(None) => Command::Nothing,
    }
}

/// Reads a signal with this data, which other clients get unchanged. If the text it is from has lone surrogates, that is the caller's
/// to say.
pub fn signal<'a>(data: Option<&'a RawValue>, echo: Option<&'a RawValue>) -> Result<Command<'a>, Fault> {
    let data = passed_on(data)?;
    if data.len() > SIGNAL_BYTES_MAX {
        return Err(reason::SIGNAL_TOO_LONG);
    }
    let echo = echo.map_or(Some(false), Value::flag).ok_or(reason::BAD_FIELD)?;
    Ok(Command::Signal { data, echo })
}

fn read_message<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Result<Command<'static>, Fault> {
    Ok(match message_id(fields)? {
        Some(message) => Command::Write(Action::Read { message }),
        None => Command::Nothing,
    })
}

fn react_message<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Result<Command<'static>, Fault> {
    let Some(message) = message_id(fields)? else { return Ok(Command::Nothing) };
    let name = match fields.reaction_type.map(text) {
        None => return Ok(Command::Nothing),
        Some(name) => name?,
    };
    if name.is_empty() {
        return Ok(Command::Nothing);
    }
    let reaction = ReactionType::from_text(&name).ok_or(reason::BAD_REACTION)?;
    Ok(Command::Write(Action::React { message, reaction }))
}

fn edit_message<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Result<Command<'static>, Fault> {
    let Some(message) = message_id(fields)? else { return Ok(Command::Nothing) };
    let Some(content) = content(fields)? else { return Ok(Command::Nothing) };
    Ok(Command::Write(Action::Edit { message, content }))
}

fn delete_message<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Result<Command<'static>, Fault> {
    Ok(match message_id(fields)? {
        Some(message) => Command::Write(Action::Delete { message }),
        None => Command::Nothing,
    })
}

/// JSON that is sent on unchanged: `null` if there is none; refused if it is nested too deeply for common parsers, or has a number
/// that is none of theirs (RFC 8259 §6): some refuse the whole frame for it.
fn passed_on(raw: Option<&RawValue>) -> Result<&str, Fault> {
    let json = given_back(raw)?;
    let is_beyond = has_long_number(json) && serde_json::from_str::<serde_json::Value>(json).is_err();
    if is_beyond { Err(reason::BAD_JSON) } else { Ok(json) }
}

/// JSON that goes back to who sent it, whose parser takes its numbers or not: `null` if there is none; refused if it is nested too
/// deeply.
pub(super) fn given_back(raw: Option<&RawValue>) -> Result<&str, Fault> {
    let json = raw.map_or("null", RawValue::get);
    // A level takes at least two bytes, so short texts need no check.
    if json.len() <= 2 * JSON_DEPTH_MAX || depth(json) <= JSON_DEPTH_MAX { Ok(json) } else { Err(reason::BAD_JSON) }
}

/// Whether there may be a number in it that is too large for 64 bits of floating point: one with an exponent, or with hundreds of
/// digits. A wrong guess, such as digits in a text, only costs time.
fn has_long_number(json: &str) -> bool {
    /// 10^300 is still one of those numbers.
    const DIGITS: usize = 300;
    let bytes = json.as_bytes();
    let is_digit = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_digit);
    let has_exponent = memchr2_iter(b'e', b'E', bytes).any(|place| place > 0 && is_digit(place - 1));
    // A run that is longer covers one of these places, so nothing else need be looked at.
    let run = |place: usize| {
        let before = bytes[..place].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        before + bytes[place..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    has_exponent || (0..bytes.len()).step_by(DIGITS).any(|place| is_digit(place) && run(place) > DIGITS)
}

/// The depth of nesting of valid JSON.
fn depth(json: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0;
    let mut in_text = false;
    let mut is_escaped = false;
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// The trimmed content; `None` if nothing in it is visible.
fn content<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Result<Option<String>, Fault> {
    let Some(value) = fields.content else { return Ok(None) };
    match text::taken(&text(value)?, CONTENT_CHARS_MAX) {
        Ok("") => Ok(None),
        Ok(content) => Ok(Some(content.to_owned())),
        Err(text::Fault::TooLong) => Err(reason::TOO_LONG),
        Err(text::Fault::Nul) => Err(reason::NUL),
    }
}

/// The message's id; `None` when it is missing or empty. What is no UUID names no message.
fn message_id<V: Value + ?Sized>(fields: &Fields<'_, V>) -> Result<Option<MessageId>, Fault> {
    match fields.message_id {
        None => Ok(None),
        Some(value) => match text(value)?.as_ref() {
            "" => Ok(None),
            id => Ok(Some(id.parse().unwrap_or(MessageId(uuid::Uuid::nil())))),
        },
    }
}

fn text<V: Value + ?Sized>(value: &V) -> Result<Cow<'_, str>, Fault> {
    value.text().ok_or(reason::BAD_FIELD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CLIENT_ID_BYTES_MAX;

    fn parse(text: &str) -> Result<Command<'_>, Fault> {
        super::parse(text, &mut Reader::default()).map_err(|refused| refused.text)
    }

    const ID: &str = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";

    fn sent(text: &str) -> NewMessage {
        match parse(text) {
            Ok(Command::Write(Action::Send(message))) => message,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_message_is_trimmed_and_counted_in_characters() {
        assert_eq!(sent(r#"{"type":"chat_message","content":"  hola\n"}"#).content, "hola");
        let longest = "😀".repeat(CONTENT_CHARS_MAX);
        assert_eq!(sent(&format!(r#"{{"type":"chat_message","content":" {longest} "}}"#)).content, longest);
        let longer = format!(r#"{{"type":"chat_message","content":"{longest}!"}}"#);
        assert_eq!(parse(&longer), Err(reason::TOO_LONG));
    }

    #[test]
    fn a_bad_reply_is_no_reply_and_a_bad_type_an_error() {
        for reply in ["null", "1", "\"x\"", "{}", "\"\""] {
            let frame = format!(r#"{{"type":"chat_message","content":"x","reply_to":{reply}}}"#);
            assert_eq!(sent(&frame).reply_to, None, "{reply}");
        }
        assert!(sent(&format!(r#"{{"type":"chat_message","content":"x","reply_to":"{ID}"}}"#)).reply_to.is_some());
        for kind in ["\"image\"", "\"nope\"", "\"system\""] {
            let frame = format!(r#"{{"type":"chat_message","content":"x","message_type":{kind}}}"#);
            assert_eq!(parse(&frame), Err(reason::BAD_MESSAGE_TYPE), "{kind}");
        }
        assert_eq!(parse(r#"{"type":"chat_message","content":"x","message_type":5}"#), Err(reason::BAD_FIELD));
        assert_eq!(parse(r#"{"type":"chat_message","content":["x"]}"#), Err(reason::BAD_FIELD));
    }

    #[test]
    fn silence_where_the_contract_is_silent() {
        for frame in [
            "{}",
            r#"{"type":"nope"}"#,
            r#"{"type":5}"#,
            r#"{"type":"chat_message"}"#,
            r#"{"type":"chat_message","content":"  "}"#,
            r#"{"type":"typing","is_typing":"yes"}"#,
            r#"{"type":"read_message"}"#,
            r#"{"type":"delete_message","message_id":""}"#,
            r#"{"type":"react_message","message_id":"7d17fe03-94d3-4a71-9dbe-0dbb933c1946"}"#,
        ] {
            assert_eq!(parse(frame), Ok(Command::Nothing), "{frame}");
        }
    }

    #[test]
    fn null_is_as_if_it_were_not_there() {
        let all = r#"{"type":"chat_message","content":"a","message_type":null,"reply_to":null,"client_id":null,"message_id":null}"#;
        assert_eq!(sent(all), NewMessage::text("a".into(), MessageType::Text));
        assert_eq!(sent(r#"{"type":"chat_message","content":"a","reply_to":1,"reply_to":null}"#).reply_to, None);
        assert_eq!(parse(r#"{"type":"typing","is_typing":null}"#), Ok(Command::Typing { is_typing: false }));
        assert_eq!(
            parse(r#"{"type":"signal","data":null,"echo":null}"#),
            Ok(Command::Signal { data: "null", echo: false })
        );
        assert_eq!(parse(r#"{"type":"ping","timestamp":null}"#), Ok(Command::Ping { timestamp: "null" }));
        for kind in ["edit_message", "delete_message", "read_message", "react_message", "no_such"] {
            let frame = format!(r#"{{"type":"{kind}","message_id":null,"client_id":null}}"#);
            assert_eq!(parse(&frame), Ok(Command::Nothing), "{frame}");
        }
        assert_eq!(parse(r#"{"type":null,"content":"a"}"#), Ok(Command::Nothing));
        // A required field may not be null.
        let reaction = format!(r#"{{"type":"react_message","message_id":"{ID}","reaction_type":null}}"#);
        assert_eq!(parse(&reaction), Err(reason::BAD_FIELD));
        assert_eq!(parse(r#"{"type":"chat_message","content":null}"#), Err(reason::BAD_FIELD));
    }

    #[test]
    fn a_client_id_that_is_none_is_an_error_and_a_right_one_is_in_errors() {
        let frame =
            |id: &str, content: &str| format!(r#"{{"type":"chat_message","content":"{content}","client_id":{id}}}"#);
        let longest = format!("\"{}ñ\"", "x".repeat(CLIENT_ID_BYTES_MAX - 2));
        assert_eq!(sent(&frame(&longest, "a")).client_id.as_deref(), Some(longest.trim_matches('"')));
        let longer = format!("\"{}ñ\"", "x".repeat(CLIENT_ID_BYTES_MAX - 1));
        for bad in ["5", "true", "{}", "[\"a\"]", "\"\"", r#""a\u0000""#, longer.as_str()] {
            assert_eq!(parse(&frame(bad, "a")), Err(reason::BAD_CLIENT_ID), "{bad}");
        }
        let refused = |id: &str| {
            let text = frame(id, &"x".repeat(CONTENT_CHARS_MAX + 1));
            super::parse(&text, &mut Reader::default()).unwrap_err()
        };
        assert_eq!(refused("\"c1\""), Refused { text: reason::TOO_LONG, client_id: Some("c1".into()) });
        assert_eq!(refused("null"), Refused { text: reason::TOO_LONG, client_id: None });
        assert_eq!(refused("5"), Refused { text: reason::BAD_CLIENT_ID, client_id: None });
    }

    #[test]
    fn half_a_character_is_an_error_wherever_it_stands() {
        for frame in [
            r#"{"type":"signal","data":"\ud83d"}"#,
            r#"{"type":"signal","data":{"a":["\ude00"]}}"#,
            r#"{"type":"signal","data":{"\ud83d":1}}"#,
            r#"{"type":"ping","timestamp":"\ud83d\ud83d"}"#,
            r#"{"type":"chat_message","content":"a\ud83d"}"#,
            r#"{"type":"chat_message","content":"a","client_id":"\ud83d"}"#,
            r#"{"type":"typing","is_typing":true,"more":"\udfff"}"#,
        ] {
            assert_eq!(parse(frame), Err(reason::HALF_CHARACTER), "{frame}");
        }
        let whole = r#"{"type":"signal","data":"\ud83d\ude00 \\ud83d"}"#;
        assert_eq!(parse(whole), Ok(Command::Signal { data: r#""\ud83d\ude00 \\ud83d""#, echo: false }));
    }

    #[test]
    fn a_content_without_anything_to_see_is_empty_and_one_with_nul_is_refused() {
        for content in ["\u{200b}", "\u{feff} \u{feff}", "\u{2060}\u{fe0f}", r"\u200d\u00ad"] {
            let frame = format!(r#"{{"type":"chat_message","content":"{content}"}}"#);
            assert_eq!(parse(&frame), Ok(Command::Nothing), "{content:?}");
        }
        assert_eq!(parse(r#"{"type":"chat_message","content":"a\u0000b"}"#), Err(reason::NUL));
        let edit = format!(r#"{{"type":"edit_message","message_id":"{ID}","content":"\u0000"}}"#);
        assert_eq!(parse(&edit), Err(reason::NUL));
    }

    #[test]
    fn a_mark_before_json_is_passed_over() {
        assert_eq!(sent("\u{feff}{\"type\":\"chat_message\",\"content\":\"a\"}").content, "a");
        assert_eq!(parse("\u{feff}{\"type\":\"ping\"}"), Ok(Command::Ping { timestamp: "null" }));
        assert_eq!(parse("\u{feff}\u{feff}{}"), Err(reason::BAD_JSON));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        let nested = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
        for frame in ["", "nope", "[]", "5", "\"x\"", "null", "{", r#"{"type":"typing"} x"#, nested.as_str()] {
            assert_eq!(parse(frame), Err(reason::BAD_JSON), "{frame:.20}");
        }
        let signal = |levels: usize| {
            let open = "[".repeat(levels);
            let close = "]".repeat(levels);
            format!(r#"{{"type":"signal","data":{open}"]\"["{close}}}"#)
        };
        assert_eq!(parse(&signal(JSON_DEPTH_MAX + 1)), Err(reason::BAD_JSON));
        assert!(parse(&signal(JSON_DEPTH_MAX)).is_ok());
    }

    #[test]
    fn every_other_command() {
        let id = ID.parse().unwrap();
        assert_eq!(parse(r#"{"type":"typing"}"#), Ok(Command::Typing { is_typing: false }));
        assert_eq!(parse(r#"{"type":"typing","is_typing":true}"#), Ok(Command::Typing { is_typing: true }));
        assert_eq!(
            parse(r#"{"type":"signal","data":{"a":[1, 2]},"echo":true}"#),
            Ok(Command::Signal { data: r#"{"a":[1, 2]}"#, echo: true })
        );
        assert_eq!(parse(r#"{"type":"ping"}"#), Ok(Command::Ping { timestamp: "null" }));
        assert_eq!(parse(r#"{"type":"ping","timestamp":17}"#), Ok(Command::Ping { timestamp: "17" }));
        let read = format!(r#"{{"type":"read_message","message_id":"{ID}"}}"#);
        assert_eq!(parse(&read), Ok(Command::Write(Action::Read { message: id })));
        let react = format!(r#"{{"type":"react_message","message_id":"{ID}","reaction_type":"fire"}}"#);
        assert_eq!(parse(&react), Ok(Command::Write(Action::React { message: id, reaction: ReactionType::Fire })));
        assert_eq!(parse(&react.replace("fire", "bogus")), Err(reason::BAD_REACTION));
        let edit = format!(r#"{{"type":"edit_message","message_id":"{ID}","content":" b "}}"#);
        assert_eq!(parse(&edit), Ok(Command::Write(Action::Edit { message: id, content: "b".into() })));
        let delete = format!(r#"{{"type":"delete_message","message_id":"{ID}"}}"#);
        assert_eq!(parse(&delete), Ok(Command::Write(Action::Delete { message: id })));
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        assert_eq!(sent(r#"{"type":"x","type":"chat_message","content":"a","content":"b"}"#).content, "b");
    }

    /// Some parsers refuse a whole frame for one such number, so one client could silence others.
    #[test]
    fn numbers_that_are_none_of_common_parsers_are_not_passed_on() {
        let digits = "9".repeat(400);
        for (data, is_passed_on) in [
            ("1e308".to_owned(), true),
            ("-1.5E+3".to_owned(), true),
            ("1e-400".to_owned(), true),
            ("123456789012345678901234567890".to_owned(), true),
            ("\"7e400 8E999\"".to_owned(), true),
            (format!("\"{digits}\""), true),
            ("1e309".to_owned(), false),
            ("-1E400".to_owned(), false),
            ("{\"a\":[true,{\"b\":1.5e999}]}".to_owned(), false),
            (digits.clone(), false),
            (format!("[\"e\",{digits}]"), false),
        ] {
            let signal = format!("{{\"type\":\"signal\",\"data\":{data}}}");
            let read = parse(&signal);
            assert_eq!(matches!(read, Ok(Command::Signal { .. })), is_passed_on, "{data:.40}");
            assert!(is_passed_on || read == Err(reason::BAD_JSON), "{data:.40}");
        }
    }

    #[test]
    fn a_signal_has_a_limit() {
        let frame = |bytes: usize| format!(r#"{{"type":"signal","data":"{}"}}"#, "x".repeat(bytes - 2));
        assert!(parse(&frame(SIGNAL_BYTES_MAX)).is_ok());
        assert_eq!(parse(&frame(SIGNAL_BYTES_MAX + 1)), Err(reason::SIGNAL_TOO_LONG));
    }
}
