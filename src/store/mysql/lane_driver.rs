//! The [`LaneSql`] of a MySQL connection: a batch is read ahead in one round trip, and written in another.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};

use mysql_async::prelude::Queryable;

use crate::clock::Timestamp;
use crate::domain::write::{Durability, Write};
use crate::ids::Topic;
use crate::limits;
use crate::store::mysql::connection::{MysqlError, Remedy, timed};
use crate::store::mysql::deferred::Pending;
use crate::store::mysql::driver::Driver;
use crate::store::mysql::prefetched;
use crate::store::mysql::replication::Replication;
use crate::store::sql::{Known, LaneSql, Parameters, Table};

/// Whether the last commit of any connection reached a replica, for the log: 0 before the first.
static SAID: AtomicU8 = AtomicU8::new(0);

impl Driver {
    async fn before_commit(&mut self) {
        if let Some(mut known) = self.replication.filter(Replication::is_new) {
            known.begin(self.semi_sync().await.ok());
            self.replication = Some(known);
        }
    }

    async fn after_commit(&mut self) {
        let Some(mut known) = self.replication else { return };
        known.commit(self.semi_sync().await.ok());
        self.replication = Some(known);
        let is_confirmed = known.last() == Durability::Replicated;
        match (SAID.swap(1 + u8::from(is_confirmed), Ordering::Relaxed), is_confirmed) {
            (0 | 2, false) => {
                tracing::warn!("no replica acknowledges what is committed: senders are told that it is stored alone");
            }
            (1, true) => tracing::info!("a replica acknowledges what is committed again"),
            _ => {}
        }
    }
}

impl LaneSql for Driver {
    async fn begin(&mut self, topics: &BTreeSet<Topic>, writes: &[Write], known: &mut Known) -> Result<(), MysqlError> {
        self.forget();
        if prefetched::open(self, topics, writes, known).await? {
            return Ok(());
        }
        // Rows for new topics are inserted outside of any transaction. Inside one, they would be locked out of order.
        self.run("ROLLBACK").await?;
        prefetched::make(self, topics).await?;
        match prefetched::open(self, topics, writes, known).await? {
            true => Ok(()),
            false => Err(MysqlError::Unexpected("a topic's row is gone that was just made".into())),
        }
    }

    async fn run(&mut self, sql: &str) -> Result<(), MysqlError> {
        timed(limits::ANSWER_TIMEOUT, self.connection.query_drop(sql)).await
    }

    async fn insert(&mut self, into: Table, row: Parameters<'_>) -> Result<(), MysqlError> {
        self.pending.row(self.zone, into, row);
        if self.pending.is_long() { self.flush().await } else { Ok(()) }
    }

    async fn put_off(&mut self, sql: &str, values: Parameters<'_>) -> Result<(), MysqlError> {
        self.pending.change(self.zone, sql, values);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), MysqlError> {
        let sql = self.pending.take();
        if sql.is_empty() { Ok(()) } else { self.run(&sql).await }
    }

    /// Sends the deferred changes and COMMIT in one round trip. Whether a replica has them is asked in another.
    async fn commit(&mut self) -> Result<(), MysqlError> {
        self.before_commit().await;
        let sql = self.pending.take() + "COMMIT";
        self.run(&sql).await?;
        self.after_commit().await;
        Ok(())
    }

    fn durability(&self) -> Durability {
        self.replication.map_or(Durability::Stored, |known| known.last())
    }

    fn forget(&mut self) {
        self.pending = Pending::default();
    }

    fn time_after(&self, last: Timestamp, now: Timestamp) -> Timestamp {
        self.zone.next(last, now)
    }

    fn is_own_fault(error: &MysqlError) -> bool {
        error.remedy() == Remedy::Refuse
    }

    /// The connection is gone, but the server may have committed.
    fn may_be_committed(&self, error: &MysqlError) -> bool {
        error.remedy() == Remedy::Reconnect
    }
}
