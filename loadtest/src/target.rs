//! The differences between servers: a socket's path, the form of a sent message, and what members must receive.

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use crate::fixture::{Fixture, User};
use crate::tag::TAG_BYTES;

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
    Pregon(Fixture),
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
    pub sent_hole: usize,
    /// What a member receives: the whole payload for `Ephemeral`, the text (`content`) for `Durable`.
    pub received: Vec<u8>,
    pub received_hole: usize,
    /// The sender that members must be told, if the server names it.
    pub user_id: String,
    pub username: String,
}

const HOLE: &str = "--------";

impl Target {
    /// Checks that the target can have this many rooms and members.
    pub fn check_size(&self, rooms: usize, members: usize) -> Result<()> {
        match self {
            Self::Pregon(fixture) => fixture.check_size(rooms, members),
            Self::Plain => Ok(()),
        }
    }

    /// The request path of a seat's socket.
    pub fn path(&self, seat: Seat) -> String {
        match self {
            Self::Pregon(fixture) => {
                let token = &fixture.user(seat.room, seat.member).token;
                format!("/ws/chat/{}/?token={token}", fixture.rooms[seat.room].id)
            }
            Self::Plain => format!("/{}", seat.room),
        }
    }

    /// The start of the frame that admits a new socket; `None`: the 101 admits it.
    pub fn greeting(&self) -> Option<&'static [u8]> {
        match self {
            Self::Pregon(_) => Some(b"{\"type\":\"connection_success\""),
            Self::Plain => None,
        }
    }

    /// The smallest payload a member of this sender's room can receive.
    pub fn bytes_min(&self, kind: Kind, seat: Seat) -> usize {
        match (self, kind) {
            (Self::Pregon(fixture), Kind::Ephemeral) => signal_received(fixture.user(seat.room, seat.member), "").len(),
            (Self::Pregon(_), Kind::Durable) => TAG_BYTES,
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
            (Self::Pregon(fixture), Kind::Ephemeral) => {
                let user = fixture.user(seat.room, seat.member);
                let sent = format!("{{\"type\":\"signal\",\"data\":{},\"echo\":true}}", signal_data(&pad));
                Message::new(sent, signal_received(user, &pad), user)
            }
            (Self::Pregon(fixture), Kind::Durable) => {
                if bytes > CONTENT_BYTES_MAX {
                    bail!("--bytes {bytes}: a chat message has at most {CONTENT_BYTES_MAX}");
                }
                let user = fixture.user(seat.room, seat.member);
                let content = format!("{pad}{HOLE}");
                let sent = format!("{{\"type\":\"chat_message\",\"content\":\"{content}\",\"message_type\":\"text\"}}");
                Message::new(sent, content, user)
            }
            (Self::Plain, _) => {
                let nobody = User { id: String::new(), username: String::new(), token: String::new() };
                Message::new(plain(&pad), plain(&pad), &nobody)
            }
        })
    }
}

impl Message {
    fn new(sent: String, received: String, user: &User) -> Self {
        // The hole is the last run of dashes; ids before it contain single dashes.
        let hole = |text: &str| text.rfind(HOLE).unwrap_or_default();
        Self {
            sent_hole: hole(&sent),
            received_hole: hole(&received),
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

fn signal_received(user: &User, pad: &str) -> String {
    format!(
        "{{\"type\":\"signal\",\"user_id\":{},\"username\":{},\"data\":{}}}",
        serde_json::Value::from(user.id.as_str()),
        serde_json::Value::from(user.username.as_str()),
        signal_data(pad)
    )
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
        for target in [Target::Pregon(test_fixture()), Target::Plain] {
            let message = target.message(Kind::Ephemeral, FIRST, 150).expect("fits");
            assert_eq!(message.received.len(), 150);
            let hole = message.received_hole;
            assert_eq!(&message.received[hole..], b"--------\"}}");
            assert_eq!(&message.sent[message.sent_hole..][..8], b"--------");
            assert!(target.message(Kind::Ephemeral, FIRST, 20).is_err());
        }
    }

    #[test]
    fn a_seat_connects_as_the_rooms_member() {
        let target = Target::Pregon(test_fixture());
        assert_eq!(target.path(FIRST), "/ws/chat/0a0b9502-c454-481e-8985-e9e7f96c1dcb/?token=t1");
        assert!(target.check_size(1, 3).is_err());
        assert_eq!(Target::Plain.path(Seat { room: 7, member: 1 }), "/7");
    }
}
