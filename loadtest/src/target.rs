//! The differences between servers: a socket's path, the form of a sent message, and what members must receive.

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::client::Entrance;
use crate::fixture::{Fixture, User};
use crate::tag::TAG_BYTES;
use crate::v1::{self, Protocol};

/// The most characters of a chat message.
const CONTENT_BYTES_MAX: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// pregon: sockets carry a token, messages are JSON events.
    Pregon,
    /// A plain room server: any text goes to all members of the path's room, including the sender.
    Plain,
}

/// The server under test.
pub enum Target {
    Pregon(Fixture, Protocol),
    Plain,
}

/// What a scenario sends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `signal` with `echo`: never stored.
    Ephemeral,
    /// `chat_message`: stored before anybody sees it.
    Durable,
}

/// A connection's place: its room and member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seat {
    pub room: usize,
    pub member: usize,
}

/// One sender's message, with a hole of eight bytes for the tag.
pub struct Message {
    /// What the client sends.
    pub sent: Vec<u8>,
    /// Where the tag goes: each time the same.
    pub sent_holes: Vec<usize>,
    /// What a member receives: the whole payload for `Ephemeral`, the text (`content`) for `Durable`.
    pub received: Vec<u8>,
    pub received_hole: usize,
    /// The sender that members must be told, if the server names it.
    pub user_id: String,
    pub username: String,
    /// The topic as `pregon.v1` names it; empty where nobody does.
    pub topic: String,
}

const HOLE: &str = "--------";

impl Target {
    /// Checks that the target can have this many rooms and members.
    pub fn check_size(&self, rooms: usize, members: usize) -> Result<()> {
        match self {
            Self::Pregon(fixture, _) => fixture.check_size(rooms, members),
            Self::Plain => Ok(()),
        }
    }

    /// How a seat's client comes in.
    pub fn entrance(&self, seat: Seat) -> Entrance {
        self.entrance_to(seat, &[])
    }

    /// The same, with further topics (of `pregon.v1`).
    pub fn entrance_to(&self, seat: Seat, further: &[String]) -> Entrance {
        match self {
            Self::Pregon(fixture, protocol) => {
                let token = &fixture.user(seat.room, seat.member).token;
                let room = &fixture.rooms[seat.room].id;
                if *protocol == Protocol::V0 {
                    return Entrance::at(format!("/ws/chat/{room}/?token={token}"));
                }
                let room = v1::room(room);
                let topics = std::iter::once(&room).chain(further);
                v1::entrance(token, topics.map(|topic| (topic.as_str(), None)))
            }
            Self::Plain => Entrance::at(format!("/{}", seat.room)),
        }
    }

    /// What clients speak with the server.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Pregon(_, protocol) => *protocol,
            Self::Plain => Protocol::V0,
        }
    }

    /// The start of the frame that admits a new socket; `None`: the 101 admits it.
    pub fn greeting(&self) -> Option<&'static [u8]> {
        match self {
            Self::Pregon(_, Protocol::V0) => Some(b"{\"type\":\"connection_success\""),
            Self::Pregon(_, Protocol::V1) => Some(v1::SUBSCRIBED),
            Self::Plain => None,
        }
    }

    /// The smallest payload a member of this sender's room can receive.
    pub fn bytes_min(&self, kind: Kind, seat: Seat) -> usize {
        match (self, kind) {
            (Self::Pregon(fixture, protocol), Kind::Ephemeral) => signal_received(fixture, seat, "", *protocol).len(),
            (Self::Pregon(..), Kind::Durable) => TAG_BYTES,
            (Self::Plain, _) => plain("").len(),
        }
    }

    /// This sender's message; `bytes` is the size of the payload that members receive (`Durable` on pregon: of the text
    /// inside it).
    pub fn message(&self, kind: Kind, seat: Seat, bytes: usize) -> Result<Message> {
        let least = self.bytes_min(kind, seat);
        if bytes < least {
            bail!("--bytes {bytes} is too small for this target and sender: at least {least}");
        }
        let pad = "x".repeat(bytes - least);
        Ok(match (self, kind) {
            (Self::Pregon(fixture, protocol), Kind::Ephemeral) => {
                let user = fixture.user(seat.room, seat.member);
                let topic = self.topic(seat);
                let to = if topic.is_empty() { String::new() } else { format!(",\"topic\":\"{topic}\"") };
                let sent = format!("{{\"type\":\"signal\"{to},\"data\":{},\"echo\":true}}", signal_data(&pad));
                Message::new(sent, signal_received(fixture, seat, &pad, *protocol), user, topic)
            }
            (Self::Pregon(fixture, _), Kind::Durable) => {
                if bytes > CONTENT_BYTES_MAX {
                    bail!("--bytes {bytes}: a chat message has at most {CONTENT_BYTES_MAX}");
                }
                let user = fixture.user(seat.room, seat.member);
                let content = format!("{pad}{HOLE}");
                let topic = self.topic(seat);
                let named = match topic.as_str() {
                    "" => String::new(),
                    topic => v1::named(topic, HOLE),
                };
                let sent =
                    format!("{{\"type\":\"chat_message\"{named},\"content\":\"{content}\",\"message_type\":\"text\"}}");
                Message::new(sent, content, user, topic)
            }
            (Self::Plain, _) => {
                let nobody = User { id: String::new(), username: String::new(), token: String::new() };
                Message::new(plain(&pad), plain(&pad), &nobody, String::new())
            }
        })
    }

    /// The room's topic in `pregon.v1`; empty in other protocols.
    pub fn topic(&self, seat: Seat) -> String {
        match self {
            Self::Pregon(fixture, Protocol::V1) => v1::room(&fixture.rooms[seat.room].id),
            Self::Pregon(_, Protocol::V0) | Self::Plain => String::new(),
        }
    }
}

impl Message {
    fn new(sent: String, received: String, user: &User, topic: String) -> Self {
        // The holes are runs of dashes; ids contain single dashes.
        let hole = |text: &str| text.rfind(HOLE).unwrap_or_default();
        Self {
            sent_holes: sent.match_indices(HOLE).map(|(at, _)| at).collect(),
            received_hole: hole(&received),
            topic,
            sent: sent.into_bytes(),
            received: received.into_bytes(),
            user_id: user.id.clone(),
            username: user.username.clone(),
        }
    }
}

fn signal_data(pad: &str) -> String {
    format!("{{\"n\":\"{pad}{HOLE}\"}}")
}

fn signal_received(fixture: &Fixture, seat: Seat, pad: &str, protocol: Protocol) -> String {
    let user = fixture.user(seat.room, seat.member);
    let signal = format!(
        "{{\"type\":\"signal\",\"user_id\":{},\"username\":{},\"data\":{}}}",
        serde_json::Value::from(user.id.as_str()),
        serde_json::Value::from(user.username.as_str()),
        signal_data(pad)
    );
    match protocol {
        Protocol::V0 => signal,
        Protocol::V1 => {
            let topic = v1::room(&fixture.rooms[seat.room].id);
            format!("{{\"type\":\"event\",\"topic\":\"{topic}\",\"event\":{signal}}}")
        }
    }
}

/// Ends like a `signal`, so that the same code reads both.
fn plain(pad: &str) -> String {
    format!("{{\"data\":{}}}", signal_data(pad))
}

#[cfg(test)]
pub fn test_fixture() -> Fixture {
    serde_json::from_str(
        r#"{"users":[{"id":"c29e1460-2438-4c40-a229-7c210c701b1c","username":"ana","token":"t0"},
            {"id":"a309761f-1711-4671-b12e-422be0c990ec","username":"beto","token":"t1"}],
            "rooms":[{"id":"0a0b9502-c454-481e-8985-e9e7f96c1dcb","members":[1,0]}]}"#,
    )
    .expect("a fixture")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Seat = Seat { room: 0, member: 0 };

    #[test]
    fn messages_have_the_size_that_was_asked_for() {
        let pregon = |protocol| Target::Pregon(test_fixture(), protocol);
        for target in [pregon(Protocol::V0), pregon(Protocol::V1), Target::Plain] {
            let message = target.message(Kind::Ephemeral, FIRST, 250).expect("fits");
            assert_eq!(message.received.len(), 250);
            let hole = message.received_hole;
            assert!(message.received[hole..].starts_with(b"--------\"}}"));
            assert_eq!(&message.sent[message.sent_holes[0]..][..8], b"--------");
            assert!(target.message(Kind::Ephemeral, FIRST, 20).is_err());
        }
    }

    #[test]
    fn a_seat_connects_as_the_rooms_member() {
        let target = Target::Pregon(test_fixture(), Protocol::V0);
        assert_eq!(target.entrance(FIRST).path, "/ws/chat/0a0b9502-c454-481e-8985-e9e7f96c1dcb/?token=t1");
        assert!(target.check_size(1, 3).is_err());
        assert_eq!(Target::Plain.entrance(Seat { room: 7, member: 1 }).path, "/7");
        let entrance = Target::Pregon(test_fixture(), Protocol::V1).entrance(FIRST);
        assert_eq!((entrance.path.as_str(), entrance.offer.as_deref()), ("/ws/", Some("pregon.v1, token.t1")));
    }

    #[test]
    fn a_stored_message_of_v1_is_named_three_times() {
        let target = Target::Pregon(test_fixture(), Protocol::V1);
        let message = target.message(Kind::Durable, FIRST, 20).expect("fits");
        assert_eq!(message.sent_holes.len(), 3, "its id, its client_id and its text");
        assert_eq!(message.received, b"xxxxxxxxxxxx--------");
    }
}
