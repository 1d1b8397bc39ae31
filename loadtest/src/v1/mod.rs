//! `pregon.v1` as the tester's clients speak it: how they come in, and how they name topics and messages.

pub mod names;
pub mod read;

use std::fmt::{Display, Formatter};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use crate::client::Entrance;
use crate::frames::{self, TEXT};

/// What clients speak with pregon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A socket for each room, feed or post, without a subprotocol.
    #[default]
    V0,
    /// `pregon.v1`: one socket for many topics, with replies and cursors.
    V1,
}

/// The start of the reply that admits a client to a topic.
pub const SUBSCRIBED: &[u8] = b"{\"type\":\"subscribed\"";
/// What frames of the tester's feeds begin with; the frame of the older sockets follows, and one brace.
pub const FEED_EVENT: &[u8] = b"{\"type\":\"event\",\"topic\":\"feed\",\"event\":";

/// A place in a topic: its epoch above, its number below, so that later places are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub u64);

const SEQ_BITS: u32 = 40;

impl Cursor {
    /// `<epoch>.<number>`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let dot = memchr::memchr(b'.', text)?;
        let (epoch, seq) = (number(&text[..dot])?, number(&text[dot + 1..])?);
        (epoch < 1 << (64 - SEQ_BITS) && seq < 1 << SEQ_BITS).then_some(Self(epoch << SEQ_BITS | seq))
    }
}

impl Display for Cursor {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.0 >> SEQ_BITS, self.0 & ((1 << SEQ_BITS) - 1))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A number in digits alone.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

/// A room as the server names it: without hyphens.
pub fn room(id: &str) -> String {
    format!("room:{}", id.replace('-', ""))
}

/// Comes in as the token's user and asks for these topics, each behind its cursor or from now on.
pub fn entrance<'a>(token: &str, topics: impl IntoIterator<Item = (&'a str, Option<Cursor>)>) -> Entrance {
    let mut first = Vec::new();
    for (topic, cursor) in topics {
        let cursor = cursor.map_or(String::new(), |cursor| format!(",\"cursor\":\"{cursor}\""));
        let subscribe = format!("{{\"type\":\"subscribe\",\"topic\":\"{topic}\"{cursor}}}");
        first.extend_from_slice(&frames::masked(TEXT, subscribe.as_bytes()));
    }
    Entrance { path: "/ws/".to_owned(), offer: Some(format!("pregon.v1, token.{token}")), first }
}

/// The fields that name a stored message: its topic, the request and the message; `name` is the tag.
pub fn named(topic: &str, name: &str) -> String {
    format!(",\"topic\":\"{topic}\",\"id\":\"{name}\",\"client_id\":\"{}{name}\"", run_name())
}

/// What the `client_id`s of this run begin with: no other run of the same users within a day may use the same.
pub fn run_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{:x}.", since.as_micros(), std::process::id())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_ordered_by_epoch_and_number_and_come_back_as_they_went() {
        let cursor = |text: &str| Cursor::parse(text.as_bytes());
        assert!(cursor("1.57") < cursor("1.58") && cursor("1.99") < cursor("2.0"));
        for text in ["1.0", "3.1099511627775"] {
            assert_eq!(cursor(text).map(|cursor| cursor.to_string()).as_deref(), Some(text));
        }
        for wrong in ["", "1", "1.", ".5", "1.-5", "1.x", "1.1099511627776", "99999999.1", "1.5 "] {
            assert_eq!(cursor(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_client_offers_its_token_and_asks_for_its_topics_at_once() {
        let room = room("0a0b9502-c454-481e-8985-e9e7f96c1dcb");
        assert_eq!(room, "room:0a0b9502c454481e8985e9e7f96c1dcb");
        let one = entrance("t.o.k", [(room.as_str(), None)]);
        assert_eq!(one.offer.as_deref(), Some("pregon.v1, token.t.o.k"));
        let again = entrance("t", [(room.as_str(), Cursor::parse(b"1.5")), ("feed", None)]);
        assert!(again.first.len() > one.first.len() + 20);
    }
}
