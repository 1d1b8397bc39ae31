//! What the queries that are still SQLite's own need of people.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;

use crate::clock::Timestamp;
use crate::domain::user::{Account, UserProfile};
use crate::ids::UserId;
use crate::store::caches::Caches;
use crate::store::sql::{at_once, people};
use crate::store::sqlite::driver;

pub use crate::store::sql::offset;

/// What reading people needs: a connection, the caches beside it, and the time that ages them.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Any connection; inside a transaction it sees that.
    pub connection: &'a Connection,
    /// Shared by all connections.
    pub caches: &'a Caches,
    /// Now.
    pub now: Timestamp,
    /// How many reactions a post shows.
    pub shown_reactions: u32,
    /// Users whose rows the transaction has changed: what it sees of them is nobody else's to see yet.
    pub changed: &'a BTreeSet<UserId>,
}

impl<'a> View<'a> {
    /// As those queries take it that are not SQLite's own.
    pub fn of(view: &'a driver::View<'_>) -> Self {
        let driver::View { driver, caches, now, shown_reactions, ref changed } = *view;
        Self { connection: driver, caches, now, shown_reactions, changed }
    }

    fn shared(self) -> driver::View<'a> {
        let Self { connection, caches, now, shown_reactions, changed } = self;
        driver::View { driver: connection, caches, now, shown_reactions, changed: changed.clone() }
    }
}

/// The profile of a user to whom a row refers: the reference says that there is one.
pub fn known_profile(view: View<'_>, user: UserId) -> rusqlite::Result<Arc<UserProfile>> {
    at_once(people::known_profile(&mut view.shared(), user))
}

/// A user's account, remembered whether it exists or not.
pub fn account(view: View<'_>, user: UserId) -> rusqlite::Result<Option<Arc<Account>>> {
    at_once(people::account(&mut view.shared(), user))
}
