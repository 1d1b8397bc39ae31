//! The operations of a lane's connection beyond queries: it reads ahead for a batch, and defers changes whose result is
//! not needed.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::domain::write::{Durability, Write};
use crate::ids::Topic;
use crate::store::sql::{Known, Parameters, Sql, Table};

/// A connection that a lane writes on. Over a network the round trips are the main cost; a database in this process
/// neither reads ahead nor defers.
pub trait LaneSql: Sql {
    /// Begins a transaction, locks `topics`, and enters into `known` what `writes` will need.
    async fn begin(&mut self, topics: &BTreeSet<Topic>, writes: &[Write], known: &mut Known)
    -> Result<(), Self::Error>;

    /// Runs statements without parameters, such as SAVEPOINT.
    async fn run(&mut self, sql: &str) -> Result<(), Self::Error>;

    /// Inserts a row; may be deferred.
    async fn insert(&mut self, into: Table, row: Parameters<'_>) -> Result<(), Self::Error>;

    /// A change whose result is not needed. It may be deferred, and then runs after the deferred rows.
    async fn put_off(&mut self, sql: &str, values: Parameters<'_>) -> Result<(), Self::Error>;

    /// Writes everything deferred, so that the next statement sees it.
    async fn flush(&mut self) -> Result<(), Self::Error>;

    /// Writes everything deferred, and commits.
    async fn commit(&mut self) -> Result<(), Self::Error>;

    /// Where what was committed last is.
    fn durability(&self) -> Durability {
        Durability::Stored
    }

    /// Drops everything deferred, because the transaction was rolled back.
    fn forget(&mut self);

    /// The time of an event at `now`, after an event at `last`: it is later, and reads back as it was written.
    fn time_after(&self, last: Timestamp, now: Timestamp) -> Timestamp {
        now.max(Timestamp(last.0 + 1))
    }

    /// Whether the statement failed because of its own content (and not because of database, disk or locks).
    fn is_own_fault(error: &Self::Error) -> bool;

    /// Whether the transaction may be on disk although its COMMIT failed.
    fn may_be_committed(&self, error: &Self::Error) -> bool;
}
