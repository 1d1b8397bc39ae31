//! A durable event after its commit, and its place in its topic's order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::feed::event::FeedEvent;
use crate::ids::{EventId, SessionKey, Topic};

/// A place in a topic's order. The epoch grows when a log starts anew; the sequence has no gaps within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// The log.
    pub epoch: u32,
    /// The event's number in this epoch, from 1.
    pub seq: u64,
}

impl fmt::Display for Cursor {
    /// As clients of `pregon.v1` give it back: epoch, full stop, number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotACursor;

impl FromStr for Cursor {
    type Err = NotACursor;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (epoch, seq) = text.split_once('.').ok_or(NotACursor)?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(epoch) || !is_number(seq) {
            return Err(NotACursor);
        }
        Ok(Self { epoch: epoch.parse().map_err(|_| NotACursor)?, seq: seq.parse().map_err(|_| NotACursor)? })
    }
}

/// An event that is stored on disk and may be shown.
#[derive(Debug, Serialize, Deserialize)]
pub struct Committed {
    /// The topic that orders it.
    pub topic: Topic,
    /// Its place in the topic.
    pub cursor: Cursor,
    /// Recognises a retry. If one write makes several events, the first one has the write's id.
    pub event_id: EventId,
    /// The time of the event. Within a topic no two events have the same time.
    pub at: Timestamp,
    /// The time of the event before it in the topic; `None` if there was none or nobody knows.
    pub previous: Option<Timestamp>,
    /// The session that asked for it, if it is one of this node.
    #[serde(skip)]
    pub origin: Option<SessionKey>,
    /// The event itself.
    pub event: Event,
}

/// The events of all topics.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// In a chat room.
    Chat(ChatEvent),
    /// About posts, people or notifications.
    Feed(FeedEvent),
}

impl Committed {
    /// The event, if it happened in a chat room.
    pub fn chat(&self) -> Option<&ChatEvent> {
        match &self.event {
            Event::Chat(event) => Some(event),
            Event::Feed(_) => None,
        }
    }

    /// The event, if it is about posts, people or notifications.
    pub fn feed(&self) -> Option<&FeedEvent> {
        match &self.event {
            Event::Feed(event) => Some(event),
            Event::Chat(_) => None,
        }
    }
}
