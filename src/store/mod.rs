//! The durable store: the only interface to the database that the rest of the server sees.

mod backend;
mod batch;
mod caches;
mod credentials;
pub mod django;
mod error;
mod event_log;
mod files;
mod lane;
pub mod mysql;
mod page;
mod port;
mod queue;
mod rules;
mod seed;
mod sql;
pub mod sqlite;
mod subjects;
mod writer;

pub use self::credentials::{Credentials, PasswordChange};
pub use self::error::StoreError;
pub use self::files::{FileTable, NamedFiles};
pub use self::page::{EventsAfter, Head, Missing, News, PageOf, PageRequest, Position, Since};
pub use self::port::{Clock, LanePort, Told};
pub use self::subjects::{
    Accounts, Chats, Events, Housekeeping, NewRoomError, Notifications, People, Posts, Pushes, RegisterError, Writes,
};
pub use crate::domain::write::Durability;

/// Reads and writes, by subject. Reads never block the caller's thread; writes go through the lanes.
pub trait Store: Writes + Accounts + Chats + Posts + People + Notifications + Pushes + Events + Housekeeping {}

impl<S: Writes + Accounts + Chats + Posts + People + Notifications + Pushes + Events + Housekeeping> Store for S {}
