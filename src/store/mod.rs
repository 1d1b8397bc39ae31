//! The durable store: the only interface to the database that the rest of the server sees.

mod backend;
mod batch;
mod caches;
pub mod django;
mod event_log;
mod lane;
pub mod mysql;
mod queue;
mod rules;
mod seed;
mod sql;
pub mod sqlite;
mod subjects;
mod writer;

use std::sync::Arc;

pub use self::subjects::{
    Accounts, Chats, Credentials, FileTable, Housekeeping, NamedFiles, NewRoomError, Notifications, PasswordChange,
    People, Posts, RegisterError, Writes,
};
use crate::clock::Timestamp;
use crate::domain::event::Committed;
use crate::domain::write::Outcome;
use crate::ids::SessionKey;

/// The calls that a lane makes after a batch is stored, and for refused writes. `server` connects it to the fan-out.
///
/// Both calls may block while a shard's inbox is full: that is the lane's back-pressure.
pub trait LanePort: Send + Sync + 'static {
    /// Events of one batch, in order within each topic. Called before the callers of the batch get their answers.
    fn committed(&self, events: &[Arc<Committed>]);
    /// A session's write made no event: it was refused, or it repeated a `client_id`. `client_id` is the sender's own
    /// name for the write.
    fn answered(&self, session: SessionKey, client_id: Option<&str>, outcome: &Outcome);
}

/// Returns the current time. Tests pass their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One page of a list: `number` counts from 1, each page has `size` rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1.
    pub number: u32,
    /// Rows a page.
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

/// The database failed. The detail goes to the log, never to a client.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// Retry later: busy, full, read-only, unreachable, or shutting down.
    Unavailable(String),
    /// Fix the request: the database's columns cannot store its characters.
    Characters(String),
    /// A defect: the rows or the query are not what the code expects.
    Broken(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(f, "database unavailable: {detail}"),
            Self::Characters(detail) => write!(f, "characters that the database cannot store: {detail}"),
            Self::Broken(detail) => write!(f, "unexpected answer from the database: {detail}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Reads and writes, by subject. Reads never block the caller's thread; writes go through the lanes.
pub trait Store: Writes + Accounts + Chats + Posts + People + Notifications + Housekeeping {}

impl<S: Writes + Accounts + Chats + Posts + People + Notifications + Housekeeping> Store for S {}
