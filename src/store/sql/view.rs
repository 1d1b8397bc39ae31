//! A connection with its caches, and the few ways to query it.

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::ids::{IdSource, UserId};
use crate::store::caches::Caches;
use crate::store::sql::{Columns, Parameters, Sql, Unexpected};

/// A connection with everything that queries need.
pub struct View<'a, C> {
    /// Any connection. Inside a transaction, queries see its changes.
    pub driver: &'a mut C,
    /// The caches, shared by all connections.
    pub caches: &'a Caches,
    /// The current time.
    pub now: Timestamp,
    /// Where the ids of new rows come from.
    pub ids: &'a dyn IdSource,
    /// How many reactions a post shows.
    pub shown_reactions: u32,
    /// Users whose rows the transaction has changed. Their profiles must not reach the cache before the commit.
    pub changed: BTreeSet<UserId>,
    /// Statements so far.
    pub asked: u32,
}

impl<C: Sql> View<'_, C> {
    /// All rows, each converted by `read`.
    ///
    /// # Errors
    /// The statement failed, or a row is not what `read` expects.
    pub async fn rows<T: Send>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl FnMut(Columns<'_>) -> Result<T, Unexpected> + Send,
    ) -> Result<Vec<T>, C::Error> {
        self.asked += 1;
        self.driver.rows(sql, parameters, read).await
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn row<T: Send>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl FnOnce(Columns<'_>) -> Result<T, Unexpected> + Send,
    ) -> Result<Option<T>, C::Error> {
        self.asked += 1;
        self.driver.row(sql, parameters, read).await
    }

    /// The first column of the only row, such as `SELECT count(*)`.
    ///
    /// # Errors
    /// As [`Self::rows`]; also if there is no row.
    pub async fn count(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<u64, C::Error> {
        self.asked += 1;
        let count = self.driver.row(sql, parameters, |row| row.count(0)).await?;
        count.ok_or_else(|| Unexpected("a count returned no row".into()).into())
    }

    /// Whether `sql` returns a row.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn is_there(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<bool, C::Error> {
        self.asked += 1;
        Ok(self.driver.row(sql, parameters, |_| Ok(())).await?.is_some())
    }

    /// Runs a change, and returns how many rows matched (an UPDATE also counts rows that already had the new values).
    ///
    /// # Errors
    /// The statement failed.
    pub async fn execute(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<u64, C::Error> {
        self.asked += 1;
        self.driver.execute(sql, parameters).await
    }
}
