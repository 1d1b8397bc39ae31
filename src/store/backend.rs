//! What a database brings to be a store. What is asked and changed through it stands once, in [`crate::store::subjects`].

use futures_util::future::BoxFuture;

use crate::clock::Timestamp;
use crate::domain::write::Write;
use crate::ids::IdSource;
use crate::store::StoreError;
use crate::store::caches::Caches;
use crate::store::sql::{Sql, View};

/// What a query over a driver `D` gives.
pub type Answer<'v, T, D> = BoxFuture<'v, Result<T, <D as Sql>::Error>>;

/// A database with its connections and lanes.
///
/// A query that is handed over owns what it needs: it may run on another thread, and a copy of it runs again when a
/// connection was lost.
pub trait Backend: Send + Sync + 'static {
    /// A connection.
    type Driver: Sql + Send;

    /// What all connections remember.
    fn caches(&self) -> &Caches;

    /// What the time is.
    fn now(&self) -> Timestamp;

    /// Where the ids of new rows come from.
    fn ids(&self) -> &dyn IdSource;

    /// Hands a write to its topic's lane. Never blocks.
    ///
    /// # Errors
    /// The write comes back when the lane's queue is full or the store is closing.
    fn queue(&self, write: Box<Write>) -> Result<(), Box<Write>>;

    /// Reads.
    ///
    /// # Errors
    /// The query failed, too many reads wait, or the store is closing.
    fn read<T, W>(&self, query: W) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_, Self::Driver>) -> Answer<'v, T, Self::Driver>
            + Clone
            + Send
            + Sync
            + 'static;

    /// Reads what may be slow, by connections of its own: nothing else waits for it.
    ///
    /// # Errors
    /// As for [`Self::read`].
    fn search<T, W>(&self, query: W) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_, Self::Driver>) -> Answer<'v, T, Self::Driver>
            + Clone
            + Send
            + Sync
            + 'static;

    /// Writes what has no topic, in a transaction of its own. It may run more than once: after a deadlock, after another's
    /// row took its key, after a lost connection. By the ids that it owns it finds what an earlier run has written.
    ///
    /// # Errors
    /// The change failed, too much waits, or the store is closing.
    fn change<T, W>(&self, change: W) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_, Self::Driver>) -> Answer<'v, T, Self::Driver>
            + Clone
            + Send
            + Sync
            + 'static;

    /// Do all lanes take writes?
    ///
    /// # Errors
    /// One does not.
    fn probe(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes no more writes, commits what is queued, answers everybody, closes.
    fn shut(&self) -> impl Future<Output = ()> + Send;
}
