//! The trait that each database implements; [`crate::store::subjects`] builds the whole store on it.

use futures_util::future::BoxFuture;

use crate::clock::Timestamp;
use crate::domain::write::Write;
use crate::ids::IdSource;
use crate::store::StoreError;
use crate::store::caches::Caches;
use crate::store::sql::{Sql, View};

/// The result of a query over a driver `D`.
pub type Answer<'v, T, D> = BoxFuture<'v, Result<T, <D as Sql>::Error>>;

/// A database with its connections and lanes.
///
/// A query owns everything it needs, because it may run on another thread, and a copy runs again after a lost
/// connection.
pub trait Backend: Send + Sync + 'static {
    /// A connection.
    type Driver: Sql + Send;

    /// The caches that all connections share.
    fn caches(&self) -> &Caches;

    /// The current time.
    fn now(&self) -> Timestamp;

    /// Where the ids of new rows come from.
    fn ids(&self) -> &dyn IdSource;

    /// Hands a write to its topic's lane. Never blocks.
    ///
    /// # Errors
    /// The write comes back if the lane's queue is full or the store is closing.
    fn queue(&self, write: Box<Write>) -> Result<(), Box<Write>>;

    /// Runs a reading query.
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

    /// Runs a possibly slow reading query on connections of its own, so that nothing else waits for it.
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

    /// Runs a write that belongs to no topic, in a transaction of its own. It may run more than once: after a deadlock,
    /// after a key conflict, after a lost connection. It recognises the rows of an earlier run by the ids that it owns.
    ///
    /// # Errors
    /// The change failed, too many wait, or the store is closing.
    fn change<T, W>(&self, change: W) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_, Self::Driver>) -> Answer<'v, T, Self::Driver>
            + Clone
            + Send
            + Sync
            + 'static;

    /// Checks that all lanes take writes.
    ///
    /// # Errors
    /// A lane does not.
    fn probe(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes no more writes, commits those in the queue, answers their callers, and closes the database.
    fn shut(&self) -> impl Future<Output = ()> + Send;
}
