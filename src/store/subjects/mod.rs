//! The store's methods by subject, each implemented once over any [`Backend`].

mod accounts;
mod chats;
mod events;
mod housekeeping;
mod notifications;
mod people;
mod posts;
mod pushes;
mod writes;

pub use self::accounts::{Accounts, RegisterError};
pub use self::chats::{Chats, NewRoomError};
pub use self::events::Events;
pub use self::housekeeping::Housekeeping;
pub use self::notifications::Notifications;
pub use self::people::People;
pub use self::posts::Posts;
pub use self::pushes::Pushes;
pub use self::writes::Writes;

#[cfg(doc)]
use crate::store::backend::Backend;
