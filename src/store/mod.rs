//! Durable truth: the one interface to the database that everything else sees.

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

use std::sync::{Arc, Mutex, PoisonError};

pub use self::subjects::{
    Accounts, Chats, Credentials, Events, EventsAfter, FileTable, Housekeeping, NamedFiles, NewRoomError,
    Notifications, PasswordChange, People, Posts, RegisterError, Writes,
};
use crate::clock::Timestamp;
use crate::domain::event::Committed;
use crate::domain::write::Outcome;
use crate::ids::SessionKey;

/// Runs what must follow once a batch's events are told: at its drop, whatever happened before.
pub struct Told(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Told {
    /// `then` follows.
    pub fn new(then: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(then))))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(then) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            then();
        }
    }
}

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

/// What a lane calls before and after a batch is safe on disk, and for writes that were refused. `server` joins it to the
/// fan-out.
pub trait LanePort: Send + Sync + 'static {
    /// These events are about to be committed, and the lane holds the locks of their topics: whoever commits in one of them
    /// later is told of later. Called where several lanes write. Must not block: others wait for the locks.
    fn place(&self, _events: &[Arc<Committed>]) {}
    /// Events that were [placed](Self::place) were not committed.
    fn give_back(&self, _events: &[Arc<Committed>]) {}
    /// Events of one batch, each topic's in its order. The callers of the batch get their answers when `told` is dropped,
    /// and the lane hands over no other batch before. May block: that is the lane's back-pressure.
    fn committed(&self, events: Vec<Arc<Committed>>, told: Told);
    /// A session's write that produced no event: refused, or a repetition of a `client_id`. The sender's own name for it
    /// comes along.
    fn answered(&self, session: SessionKey, client_id: Option<&str>, outcome: &Outcome);
}

/// What the time is. Tests bring their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One page of a list: `number` from 1, `size` rows a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1.
    pub number: u32,
    /// Rows a page.
    pub size: u32,
    /// The rows behind this one, whatever the number: so no row that comes meanwhile moves the others to the next page.
    /// Lists of people and rooms, whose order changes, go by the number.
    pub after: Option<Position>,
}

/// Where a row is in a list that goes by time.
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

/// Rows of one page and how many there are in all.
#[derive(Debug, Clone)]
pub struct PageOf<T> {
    /// Rows in all pages.
    pub count: u64,
    /// This page's rows; empty when the page is beyond the end.
    pub rows: Vec<T>,
}

/// The database did not do what was asked. The detail is for the log, never for a client.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// Retry later: busy, full, read-only, away, or shutting down.
    Unavailable(String),
    /// Fix the request: the database's columns do not hold its characters.
    Characters(String),
    /// A defect: the rows or the query are not what the code expects.
    Broken(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(f, "database unavailable: {detail}"),
            Self::Characters(detail) => write!(f, "characters that the database does not hold: {detail}"),
            Self::Broken(detail) => write!(f, "unexpected answer from the database: {detail}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Reads and writes, by subject. Reads never block the caller's thread; writes go through the lanes.
pub trait Store: Writes + Accounts + Chats + Posts + People + Notifications + Events + Housekeeping {}

impl<S: Writes + Accounts + Chats + Posts + People + Notifications + Events + Housekeeping> Store for S {}
