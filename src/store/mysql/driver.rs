//! The driver of [`Sql`] on a connection to MySQL or MariaDB: prepared statements, and statements written out in one trip.

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};

use crate::clock::{Civil, Timestamp, Zone};
use crate::domain::write::Write;
use crate::ids::Topic;
use crate::limits;
use crate::store::mysql::connection::{MysqlError, Remedy, timed};
use crate::store::mysql::deferred::Pending;
use crate::store::mysql::prefetched;
use crate::store::sql::{
    self, Cell, Cells, Columns, Dialect, Known, LaneSql, Parameter, Parameters, Sql, Table, Unexpected,
};

/// A connection, and how its database writes times.
///
/// Ids are `char(32)` or native `uuid`, and one database may mix both. They are written in one spelling, 32 lower-case
/// hexadecimal digits, and read in either, so that no statement needs to know a column's form. Tried on MariaDB 10.11:
/// a native column takes that spelling in INSERT, and in `=`, `IN` and ORs of ANDs finds it by the index (EXPLAIN: const,
/// ref and range, as a text and as a parameter). The other spelling would not do: `char(32)` = a hyphenated text finds
/// nothing. Joins of columns of the two forms give the right rows, but from a `uuid` to a `char(32)` without the index; a
/// foreign key's two columns always have one form, and pregon joins along foreign keys alone.
/// What does differ is the order of ids: `char(32)` is ordered by its digits, a native column by other bytes first where
/// an id is no UUIDv7. Nothing may depend on it but that ties come in one order.
pub struct Driver {
    /// In a transaction or not.
    pub connection: Conn,
    /// Where the clock of its `datetime(6)` columns hangs.
    pub zone: Zone,
    /// What a lane puts off.
    pending: Pending,
}

/// A connection with what is needed beside it.
pub type View<'a> = sql::View<'a, Driver>;

impl Sql for Driver {
    type Error = MysqlError;

    const DIALECT: Dialect = Dialect::Mysql;

    async fn rows<T: Send>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        mut read: impl FnMut(Columns<'_>) -> Result<T, Unexpected> + Send,
    ) -> Result<Vec<T>, MysqlError> {
        let parameters = self.parameters(parameters);
        let rows: Vec<Row> = timed(limits::ANSWER_TIMEOUT, self.connection.exec(sql, parameters)).await?;
        Ok(rows.iter().map(|row| read(Columns::new(row, self.zone))).collect::<Result<_, _>>()?)
    }

    async fn row<T: Send>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl FnOnce(Columns<'_>) -> Result<T, Unexpected> + Send,
    ) -> Result<Option<T>, MysqlError> {
        let parameters = self.parameters(parameters);
        let row: Option<Row> = timed(limits::ANSWER_TIMEOUT, self.connection.exec_first(sql, parameters)).await?;
        Ok(row.map(|row| read(Columns::new(&row, self.zone))).transpose()?)
    }

    async fn execute(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<u64, MysqlError> {
        let parameters = self.parameters(parameters);
        timed(limits::ANSWER_TIMEOUT, self.connection.exec_drop(sql, parameters)).await?;
        Ok(self.connection.affected_rows())
    }

    fn is_of_another_schema(error: &MysqlError) -> bool {
        error.is_of_another_schema()
    }

    fn is_of_characters(error: &MysqlError) -> bool {
        error.is_of_characters()
    }
}

impl LaneSql for Driver {
    async fn begin(&mut self, topics: &BTreeSet<Topic>, writes: &[Write], known: &mut Known) -> Result<(), MysqlError> {
        self.forget();
        if prefetched::open(self, topics, writes, known).await? {
            return Ok(());
        }
        // New topics get their rows outside of any transaction: within, they would be locked out of order.
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

    /// In one trip.
    async fn commit(&mut self) -> Result<(), MysqlError> {
        let sql = self.pending.take() + "COMMIT";
        self.run(&sql).await
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

    /// The connection is gone, and the server may have done it all the same.
    fn may_be_committed(&self, error: &MysqlError) -> bool {
        error.remedy() == Remedy::Reconnect
    }
}

impl Driver {
    /// On a connection that was just opened.
    pub fn new(connection: Conn, zone: Zone) -> Self {
        Self { connection, zone, pending: Pending::default() }
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
        Params::Positional(parameters.iter().map(|parameter| value(self.zone, parameter.to_column())).collect())
    }
}

impl View<'_> {
    /// Statements written out, in one trip, up to the first that fails.
    ///
    /// # Errors
    /// One of them failed.
    pub async fn run(&mut self, sql: &str) -> Result<(), MysqlError> {
        self.driver.run(sql).await
    }
}

/// A parameter as a prepared statement takes it.
fn value(zone: Zone, parameter: Parameter<'_>) -> Value {
    match parameter {
        Parameter::Null => Value::NULL,
        Parameter::Number(number) => Value::Int(number),
        Parameter::Count(number) => Value::UInt(number),
        Parameter::Text(text) => Value::Bytes(text.into()),
        Parameter::Id(digits) => Value::Bytes(digits.into()),
        Parameter::Time(moment) => datetime(zone, moment),
    }
}

/// A `datetime(6)`: what a clock in the database's zone shows.
fn datetime(zone: Zone, moment: Timestamp) -> Value {
    let Civil { year, month, day, hour, minute, second, micros } = zone.wall(moment).civil();
    let small = |number: i64| u8::try_from(number).unwrap_or(0);
    Value::Date(
        u16::try_from(year).unwrap_or(0),
        small(month),
        small(day),
        small(hour),
        small(minute),
        small(second),
        u32::try_from(micros).unwrap_or(0),
    )
}

/// Prepared statements bring numbers and times, plain ones their texts.
impl Cells for Row {
    fn cell(&self, index: usize) -> Cell<'_> {
        match self.as_ref(index) {
            None | Some(Value::NULL) => Cell::Null,
            Some(Value::Int(number)) => Cell::Number(*number),
            Some(Value::UInt(number)) => i64::try_from(*number).map_or(Cell::Other, Cell::Number),
            Some(Value::Bytes(bytes)) => Cell::Text(bytes),
            Some(Value::Date(year, month, day, hour, minute, second, micros)) => Cell::Clock(Civil {
                year: i64::from(*year),
                month: i64::from(*month),
                day: i64::from(*day),
                hour: i64::from(*hour),
                minute: i64::from(*minute),
                second: i64::from(*second),
                micros: i64::from(*micros),
            }),
            Some(Value::Float(_) | Value::Double(_) | Value::Time(..)) => Cell::Other,
        }
    }

    fn name(&self, index: usize) -> String {
        let columns = self.columns_ref();
        columns.get(index).map_or_else(|| index.to_string(), |column| column.name_str().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_the_databases_clock_shows_it() {
        let bogota: Zone = "America/Bogota".parse().unwrap();
        let moment = crate::clock::JsonTimes::Utc.read("2026-11-21T23:02:35.916430Z").unwrap();
        assert_eq!(value(bogota, Parameter::Time(moment)), Value::Date(2026, 11, 21, 18, 2, 35, 916_430));
    }
}
