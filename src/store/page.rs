//! Pages of lists.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::event::{Committed, Cursor};
use crate::domain::event_record::EventRecord;
use crate::ids::Topic;

/// One page of a list: `number` counts from 1, each page has `size` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// The page's number, from 1.
    pub number: u32,
    /// Rows per page.
    pub size: u32,
    /// If set, the page starts after this row instead of at `number`, so that new rows do not shift the next page.
    /// Lists of people and rooms, whose order changes, use the number.
    pub after: Option<Position>,
}

/// The position of a row in a list ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The row's time.
    pub at: Timestamp,
    /// Its id.
    pub id: uuid::Uuid,
}

impl PageRequest {
    /// A page by its number, from 1.
    pub const fn numbered(number: u32, size: u32) -> Self {
        Self { number, size, after: None }
    }
}

/// The rows of one page, and the number of rows in the whole list.
#[derive(Debug, Clone)]
pub struct PageOf<T> {
    /// Rows in all pages.
    pub count: u64,
    /// This page's rows; empty if the page is after the end.
    pub rows: Vec<T>,
}

/// What happened behind a place in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsAfter {
    /// These, in the order of their places, without holes.
    Next {
        /// None: nothing has happened since.
        events: Vec<EventRecord>,
        /// There were more when the page was read.
        has_more: bool,
    },
    /// It is not known any more: the place is older than what is kept, or none of this log. Whoever asks begins anew.
    NotKept,
}

/// What a client is told that comes to a topic.
#[derive(Debug, Clone)]
pub struct News {
    /// Where the topic is.
    pub now: Cursor,
    /// What happened since the client heard of it last.
    pub since: Since,
}

/// What happened behind the place that a client names.
#[derive(Debug, Clone)]
pub enum Since {
    /// It names none.
    NotAsked,
    /// These, in the order of their places, without holes.
    Next {
        /// None: nothing has happened since.
        events: Vec<Arc<Committed>>,
        /// There were more when they were read.
        has_more: bool,
    },
    /// It is not known any more, as in [`EventsAfter::NotKept`].
    NotKept,
}

/// Events of a topic that are wanted from the log: those behind `after` and before `before`, not older than `since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The topic.
    pub topic: Topic,
    /// The log's epoch.
    pub epoch: u32,
    /// The last number that is not wanted.
    pub after: u64,
    /// The first number that is not wanted any more.
    pub before: u64,
    /// Older ones are nobody's news here.
    pub since: Timestamp,
}

/// The newest event of a topic in some stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The topic.
    pub topic: Topic,
    /// The event's place.
    pub cursor: Cursor,
}
