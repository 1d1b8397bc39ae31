//! What a lane's connection does beyond queries: it reads ahead what a batch will ask, and puts off what nobody waits for.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::domain::write::Write;
use crate::ids::Topic;
use crate::store::sql::{Known, Parameters, Sql, Table};

/// A connection that a lane writes by. Each way to a server and back is what costs there; inside this process nothing is
/// read ahead and nothing waits.
pub trait LaneSql: Sql {
    /// Begins a transaction behind the locks of `topics`, and enters what `writes` will ask into `known`.
    async fn begin(&mut self, topics: &BTreeSet<Topic>, writes: &[Write], known: &mut Known)
    -> Result<(), Self::Error>;

    /// Statements without parameters, such as SAVEPOINT.
    async fn run(&mut self, sql: &str) -> Result<(), Self::Error>;

    /// One row more, which may wait.
    async fn insert(&mut self, into: Table, row: Parameters<'_>) -> Result<(), Self::Error>;

    /// A change whose outcome nobody waits for: it may wait too, and comes after the rows that wait.
    async fn put_off(&mut self, sql: &str, values: Parameters<'_>) -> Result<(), Self::Error>;

    /// Writes what waits, so that the next statement sees it.
    async fn flush(&mut self) -> Result<(), Self::Error>;

    /// Writes what waits, and commits.
    async fn commit(&mut self) -> Result<(), Self::Error>;

    /// Forgets what waits: the transaction went back to where it did not.
    fn forget(&mut self);

    /// The time of what happens `now`, after something that happened at `last`: later, and read back as it was written.
    fn time_after(&self, last: Timestamp, now: Timestamp) -> Timestamp {
        now.max(Timestamp(last.0 + 1))
    }

    /// Did the statement fail by what it was asked to do (and not by the state of database, disk or locks)?
    fn is_own_fault(error: &Self::Error) -> bool;

    /// May the transaction whose COMMIT failed so be on disk all the same?
    fn may_be_committed(&self, error: &Self::Error) -> bool;
}
