//! What every query needs, and the few ways to ask: one connection, in a transaction or not.

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};

use crate::clock::Timestamp;
use crate::ids::UserId;
use crate::limits;
use crate::store::caches::Caches;
use crate::store::mysql::connection::{MysqlError, timed};
use crate::store::mysql::dialect::Dialect;
use crate::store::mysql::values::{Columns, Parameters};

/// A connection with what is needed beside it.
pub struct View<'a> {
    /// Any connection; inside a transaction it sees that.
    pub connection: &'a mut Conn,
    /// Shared by all connections.
    pub caches: &'a Caches,
    /// How this database writes ids and times.
    pub dialect: &'a Dialect,
    /// Now.
    pub now: Timestamp,
    /// How many reactions a post shows.
    pub shown_reactions: u32,
    /// Users whose rows the transaction has changed: what it sees of them is nobody else's to see yet.
    pub changed: BTreeSet<UserId>,
}

impl View<'_> {
    /// Every row, read by `read`. The statement is prepared once a connection: its text must be one of a few.
    ///
    /// # Errors
    /// The statement failed, or a row is not what `read` expects.
    pub async fn rows<T>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        mut read: impl FnMut(Columns<'_>) -> Result<T, MysqlError>,
    ) -> Result<Vec<T>, MysqlError> {
        let parameters = self.parameters(parameters);
        let rows: Vec<Row> = timed(limits::ANSWER_TIMEOUT, self.connection.exec(sql, parameters)).await?;
        rows.iter().map(|row| read(Columns::new(row, self.dialect))).collect()
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn row<T>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl FnOnce(Columns<'_>) -> Result<T, MysqlError>,
    ) -> Result<Option<T>, MysqlError> {
        let parameters = self.parameters(parameters);
        let row: Option<Row> = timed(limits::ANSWER_TIMEOUT, self.connection.exec_first(sql, parameters)).await?;
        row.map(|row| read(Columns::new(&row, self.dialect))).transpose()
    }

    /// The first column of the only row, as of `SELECT count(*)`.
    ///
    /// # Errors
    /// As [`Self::rows`]; also when there is no row.
    pub async fn count(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<u64, MysqlError> {
        let count = self.row(sql, parameters, |row| row.count(0)).await?;
        count.ok_or_else(|| MysqlError::Unexpected("a count without a row".into()))
    }

    /// Has `sql` a row?
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn is_there(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<bool, MysqlError> {
        Ok(self.row(sql, parameters, |_| Ok(())).await?.is_some())
    }

    /// A change: how many rows it met (an UPDATE also counts those that already were so).
    ///
    /// # Errors
    /// The statement failed.
    pub async fn execute(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<u64, MysqlError> {
        let parameters = self.parameters(parameters);
        timed(limits::ANSWER_TIMEOUT, self.connection.exec_drop(sql, parameters)).await?;
        Ok(self.connection.affected_rows())
    }

    /// Statements written out, in one trip, up to the first that fails.
    ///
    /// # Errors
    /// One of them failed.
    pub async fn run(&mut self, sql: &str) -> Result<(), MysqlError> {
        timed(limits::ANSWER_TIMEOUT, self.connection.query_drop(sql)).await
    }

    /// The rows of statements written out, statement by statement, in one trip.
    ///
    /// # Errors
    /// One of them failed.
    pub async fn sets(&mut self, sql: &str) -> Result<Vec<Vec<Row>>, MysqlError> {
        let work = async {
            let mut result = self.connection.query_iter(sql).await?;
            let mut sets = Vec::new();
            while !result.is_empty() {
                sets.push(result.collect::<Row>().await?);
            }
            result.drop_result().await?;
            Ok::<_, mysql_async::Error>(sets)
        };
        timed(limits::ANSWER_TIMEOUT, work).await
    }

    fn parameters(&self, parameters: Parameters<'_>) -> Params {
        if parameters.is_empty() {
            return Params::Empty;
        }
        let values: Vec<Value> = parameters.iter().map(|parameter| parameter.to_column(self.dialect)).collect();
        Params::Positional(values)
    }
}
