//! What clients of `pregon.v1` ask for, read from JSON into values that cannot be wrong.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::event::Cursor;
use crate::domain::text;
use crate::ids::{MessageId, NotificationId, UserId};
use crate::limits::{CREDENTIAL_BYTES_MAX, REQUEST_ID_BYTES_MAX, ROSTER_PAGE, ROSTER_PAGE_MAX};
use crate::protocol::v0::command::{self, Command};
use crate::protocol::v0::fields::{Reader, Text};
use crate::protocol::v0::reason::HALF_CHARACTER;
use crate::protocol::v1::complaint::{self, Complaint, Retry};

/// The name that a client gave its request: JSON, given back with the reply.
pub type RequestId = Box<str>;

/// What says whose socket it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// An access token.
    Token(Box<str>),
    /// A ticket that is good for one socket.
    Ticket(Box<str>),
}

impl Credential {
    /// As the client wrote it.
    pub fn text(&self) -> &str {
        let (Self::Token(text) | Self::Ticket(text)) = self;
        text
    }

    /// Of the values of `Sec-WebSocket-Protocol` the first that is one: `token.<token>` or `ticket.<ticket>`.
    pub fn among<'a>(mut offers: impl Iterator<Item = &'a str>) -> Option<Self> {
        offers.find_map(|offer| match offer.split_once('.')? {
            ("token", token) => Some(Self::Token(token.into())),
            ("ticket", ticket) => Some(Self::Ticket(ticket.into())),
            _ => None,
        })
    }
}

/// One frame of a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Given back with the reply.
    pub id: Option<RequestId>,
    /// What is asked for.
    pub ask: Ask<'a>,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// Says whose socket it is, or brings a newer token.
    Auth(Credential),
    /// Listen to a topic, from a place on or from now on.
    Subscribe {
        /// As the client names it.
        topic: Cow<'a, str>,
        /// What was heard last.
        cursor: Option<Cursor>,
    },
    /// Listen no more.
    Unsubscribe(Cow<'a, str>),
    /// A command in a room.
    InRoom {
        /// As the client names it.
        topic: Cow<'a, str>,
        /// What.
        command: Command<'a>,
    },
    /// Something about a room.
    Question {
        /// As the client names it.
        topic: Cow<'a, str>,
        /// What.
        question: Question,
    },
    /// The user has seen a notification.
    MarkRead(NotificationId),
    /// Answer this.
    Ping,
}

/// What a participant wants to know of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// How many there are.
    RoomInfo,
    /// Who.
    Roster(Page),
    /// What the user has not read.
    Unread,
    /// Who has read a message.
    Readers {
        /// Which.
        message: MessageId,
        /// Who of them.
        page: Page,
    },
}

/// A page of users, in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// It begins behind this one.
    pub after: UserId,
    /// It has so many at most.
    pub limit: u32,
}

/// A frame that gets an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The request's name, if it has a valid one.
    pub id: Option<RequestId>,
    /// Why.
    pub why: Complaint,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    topic: Option<Text<'a>>,
    #[serde(borrow)]
    cursor: Option<Text<'a>>,
    token: Option<Box<str>>,
    ticket: Option<Box<str>>,
    #[serde(borrow)]
    notification_id: Option<Text<'a>>,
    /// A signal's, so that its frame is read once.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    echo: Option<&'a RawValue>,
}

/// What [`Question`]s have beside.
#[derive(Deserialize)]
struct Asked {
    message_id: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

impl Asked {
    fn question(self, kind: &str) -> Option<Question> {
        let after = match self.after {
            None => UserId(uuid::Uuid::nil()),
            Some(after) => after.parse().ok()?,
        };
        let limit = self.limit.unwrap_or(ROSTER_PAGE);
        let page = Page { after, limit: limit.clamp(1, ROSTER_PAGE_MAX) };
        Some(match kind {
            "room_info" => Question::RoomInfo,
            "roster" => Question::Roster(page),
            "unread" => Question::Unread,
            _ => Question::Readers { message: self.message_id?.parse().ok()?, page },
        })
    }
}

/// Reads one text frame.
///
/// # Errors
/// What the client is told.
pub fn parse<'a>(frame: &'a str, reader: &mut Reader) -> Result<Request<'a>, Refused> {
    let frame = text::without_mark(frame);
    let fault = |why| Refused { id: None, why };
    if !frame.trim_start().starts_with('{') {
        return Err(fault(complaint::BAD_JSON));
    }
    let fields: Fields<'_> = serde_json::from_str(frame).map_err(|error| match error.is_data() {
        true => Refused { id: id_alone(frame), why: complaint::BAD_FIELDS },
        false => fault(complaint::BAD_JSON),
    })?;
    let id = fields.id.map(|id| id.get()).filter(|id| *id != "null");
    if id.is_some_and(|id| !is_request_id(id)) {
        return Err(fault(complaint::BAD_ID));
    }
    let id: Option<RequestId> = id.map(Into::into);
    match ask(frame, fields, reader) {
        Ok(ask) => Ok(Request { id, ask }),
        Err(why) => Err(Refused { id, why }),
    }
}

/// The name of a request that has another field in a wrong type.
fn id_alone(frame: &str) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    let named: Named<'_> = serde_json::from_str(frame).ok()?;
    named.id.map(RawValue::get).filter(|id| is_request_id(id)).map(Into::into)
}

fn ask<'a>(frame: &'a str, fields: Fields<'a>, reader: &mut Reader) -> Result<Ask<'a>, Complaint> {
    let topic = fields.topic.map(|topic| topic.0).ok_or(complaint::BAD_TOPIC);
    match fields.kind.as_ref().map_or("", |kind| &*kind.0) {
        "auth" => match (fields.token, fields.ticket) {
            (Some(long), None) | (None, Some(long)) if long.len() > CREDENTIAL_BYTES_MAX => Err(complaint::BAD_FIELDS),
            (Some(token), None) => Ok(Ask::Auth(Credential::Token(token))),
            (None, Some(ticket)) => Ok(Ask::Auth(Credential::Ticket(ticket))),
            _ => Err(complaint::BAD_FIELDS),
        },
        "subscribe" => {
            let cursor = fields.cursor.map(|cursor| cursor.0.parse().map_err(|_| complaint::BAD_CURSOR));
            Ok(Ask::Subscribe { topic: topic?, cursor: cursor.transpose()? })
        }
        "unsubscribe" => topic.map(Ask::Unsubscribe),
        "mark_read" => {
            let notification = fields.notification_id.and_then(|id| id.0.parse().ok());
            notification.map(Ask::MarkRead).ok_or(complaint::BAD_FIELDS)
        }
        "ping" => Ok(Ask::Ping),
        kind @ ("room_info" | "roster" | "unread" | "readers") => {
            let topic = topic?;
            let asked: Asked = serde_json::from_str(frame).map_err(|_| complaint::BAD_FIELDS)?;
            let question = asked.question(kind).ok_or(complaint::BAD_FIELDS)?;
            Ok(Ask::Question { topic, question })
        }
        "signal" => {
            let is_half = text::has_half(frame);
            let command = if is_half { Err(HALF_CHARACTER) } else { command::signal(fields.data, fields.echo) };
            Ok(Ask::InRoom { topic: topic?, command: command.map_err(bad_fields)? })
        }
        "chat_message" | "edit_message" | "delete_message" | "react_message" | "read_message" | "typing" => {
            let topic = topic?;
            match command::parse(frame, reader) {
                Ok(Command::Nothing | Command::Ping { .. }) => Err(complaint::BAD_FIELDS),
                Ok(command) => Ok(Ask::InRoom { topic, command }),
                Err(refused) => Err(bad_fields(refused.text)),
            }
        }
        _ => Err(complaint::UNKNOWN_TYPE),
    }
}

fn bad_fields(text: &'static str) -> Complaint {
    Complaint { code: "bad_fields", text, retry: Retry::Fix }
}

/// A number or a short text: it is given back as it came.
fn is_request_id(json: &str) -> bool {
    let is_scalar = json.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
    is_scalar && json.len() <= REQUEST_ID_BYTES_MAX && !text::has_half(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frame: &str) -> Result<Request<'_>, Refused> {
        parse(frame, &mut Reader::default())
    }

    #[test]
    fn requests_are_read_with_their_names() {
        let subscribe = read(r#"{"type":"subscribe","id":7,"topic":"feed","cursor":"1.55"}"#).unwrap();
        let cursor = Some(Cursor { epoch: 1, seq: 55 });
        assert_eq!(subscribe, Request { id: Some("7".into()), ask: Ask::Subscribe { topic: "feed".into(), cursor } });
        let auth = read(r#"{"type":"auth","id":"a","token":"x.y.z"}"#).unwrap();
        assert_eq!(auth, Request { id: Some(r#""a""#.into()), ask: Ask::Auth(Credential::Token("x.y.z".into())) });
        let ping = read(r#"{"type":"ping","id":null}"#).unwrap();
        assert_eq!(ping, Request { id: None, ask: Ask::Ping });
        let sent = read(r#"{"type":"chat_message","id":1,"topic":"room:a","content":" hola "}"#).unwrap();
        assert!(matches!(sent.ask, Ask::InRoom { command: Command::Write(_), .. }));
    }

    #[test]
    fn every_fault_has_its_complaint_and_keeps_the_requests_name() {
        let seven = || Some(RequestId::from("7"));
        for (frame, id, why) in [
            ("nope", None, complaint::BAD_JSON),
            ("[]", None, complaint::BAD_JSON),
            (r#"{"type":"ping","id":{}}"#, None, complaint::BAD_ID),
            (r#"{"type":"ping","id":true}"#, None, complaint::BAD_ID),
            (r#"{"type":5}"#, None, complaint::BAD_FIELDS),
            (r#"{"type":5,"id":7}"#, seven(), complaint::BAD_FIELDS),
            (r#"{"type":"subscribe","topic":{"room":1},"id":7}"#, seven(), complaint::BAD_FIELDS),
            (r#"{"type":"auth","token":1,"id":{}}"#, None, complaint::BAD_FIELDS),
            (r#"{"type":"ping","id":7,"id":8}"#, None, complaint::BAD_FIELDS),
            (r#"{"id":7}"#, seven(), complaint::UNKNOWN_TYPE),
            (r#"{"type":"subscribe","id":7}"#, seven(), complaint::BAD_TOPIC),
            (r#"{"type":"subscribe","id":7,"topic":"feed","cursor":"1"}"#, seven(), complaint::BAD_CURSOR),
            (r#"{"type":"auth","id":7}"#, seven(), complaint::BAD_FIELDS),
            (r#"{"type":"chat_message","id":7,"topic":"room:a","content":" "}"#, seven(), complaint::BAD_FIELDS),
            (r#"{"type":"roster","id":7,"topic":"room:a","after":"x"}"#, seven(), complaint::BAD_FIELDS),
            (r#"{"type":"roster","id":7,"topic":"room:a","limit":-1}"#, seven(), complaint::BAD_FIELDS),
            (r#"{"type":"readers","id":7,"topic":"room:a"}"#, seven(), complaint::BAD_FIELDS),
            (r#"{"type":"unread","id":7}"#, seven(), complaint::BAD_TOPIC),
        ] {
            assert_eq!(read(frame), Err(Refused { id, why }), "{frame}");
        }
        let long = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(REQUEST_ID_BYTES_MAX));
        assert_eq!(read(&long), Err(Refused { id: None, why: complaint::BAD_ID }));
    }

    #[test]
    fn a_credential_is_found_among_subprotocols() {
        let among = |offers: &[&'static str]| Credential::among(offers.iter().copied());
        assert_eq!(among(&["pregon.v1", "token.a.b.c"]), Some(Credential::Token("a.b.c".into())));
        assert_eq!(among(&["ticket.a.b.c", "pregon.v1"]), Some(Credential::Ticket("a.b.c".into())));
        assert_eq!(among(&["pregon.v1", "token"]), None);
    }
}
