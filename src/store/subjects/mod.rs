//! What everything else asks of the store, by subject: each question with its one answer over any [`Backend`].

mod accounts;
mod chats;
mod events;
mod housekeeping;
mod notifications;
mod people;
mod posts;
mod writes;

pub use self::accounts::{Accounts, Credentials, PasswordChange, RegisterError};
pub use self::chats::{Chats, NewRoomError};
pub use self::events::{Events, EventsAfter};
pub use self::housekeeping::{FileTable, Housekeeping, NamedFiles};
pub use self::notifications::Notifications;
pub use self::people::People;
pub use self::posts::Posts;
pub use self::writes::Writes;

#[cfg(doc)]
use crate::store::backend::Backend;
