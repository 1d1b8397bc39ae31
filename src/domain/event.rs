//! A durable event after its commit: what happened, and its place in its topic's order.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::feed::event::FeedEvent;
use crate::ids::{EventId, SessionKey, Topic};

/// A place in a topic's order. Epochs grow when a log starts anew; sequences have no holes within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// Which log.
    pub epoch: u32,
    /// The event's number in it, from 1.
    pub seq: u64,
}

/// An event that is safe on disk and may be shown.
#[derive(Debug)]
pub struct Committed {
    /// What it is ordered in.
    pub topic: Topic,
    /// Its place there.
    pub cursor: Cursor,
    /// Recognises a retry. Of several events of one write the first has the write's.
    pub event_id: EventId,
    /// When, by the topic's own never-repeating clock.
    pub at: Timestamp,
    /// The session that asked for it.
    pub origin: Option<SessionKey>,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// In a chat room.
    Chat(ChatEvent),
    /// With posts, people or notifications.
    Feed(FeedEvent),
}

impl Committed {
    /// What happened in a chat room, if it did there.
    pub fn chat(&self) -> Option<&ChatEvent> {
        match &self.event {
            Event::Chat(event) => Some(event),
            Event::Feed(_) => None,
        }
    }

    /// What happened with posts, people or notifications, if it did there.
    pub fn feed(&self) -> Option<&FeedEvent> {
        match &self.event {
            Event::Feed(event) => Some(event),
            Event::Chat(_) => None,
        }
    }
}
