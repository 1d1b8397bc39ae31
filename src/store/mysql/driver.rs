//! The [`Sql`] driver for MySQL and MariaDB: prepared statements, and several plain statements in one round trip.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};

use crate::clock::{Civil, Timestamp, Zone};
use crate::limits;
use crate::store::mysql::connection::{MysqlError, timed};
use crate::store::mysql::deferred::Pending;
use crate::store::mysql::replication::{Replication, STATUS, SemiSync};
use crate::store::sql::{self, Cell, Cells, Columns, Dialect, LaneSql, Parameter, Parameters, Sql, Unexpected};

/// A connection, with the zone of its times.
///
/// Ids are `char(32)` or native `uuid`, and one database may mix both. They are written in one spelling, 32 lower-case
/// hexadecimal digits, and read in either, so that no statement needs to know a column's form. Tried on MariaDB 10.11:
/// a native column takes that spelling in INSERT, and `=`, `IN` and ORs of ANDs find it by the index (EXPLAIN: const,
/// ref and range, as a text and as a parameter). The other spelling does not work: `char(32)` = a hyphenated text finds
/// nothing. Joins of columns of the two forms give the right rows, but from a `uuid` to a `char(32)` they do not use
/// the index; the two columns of a foreign key always have one form, and pregon joins only along foreign keys. The
/// order of ids does differ: `char(32)` is ordered by its digits, and a native column compares other bytes first if an
/// id is not a UUIDv7. Nothing may depend on that order except that ties have a fixed one.
pub struct Driver {
    /// The connection, in a transaction or not.
    pub connection: Conn,
    /// The zone of its `datetime(6)` columns.
    pub zone: Zone,
    /// The changes that a lane deferred.
    pub(super) pending: Pending,
    /// What is known of replicas, if that is wanted.
    pub(super) replication: Option<Replication>,
}

/// A connection with its caches and settings.
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

impl Driver {
    /// Wraps a connection that was just opened.
    pub fn new(connection: Conn, zone: Zone) -> Self {
        Self { connection, zone, pending: Pending::default(), replication: None }
    }

    /// Runs plain statements in one round trip, and returns the rows of each.
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

    /// What the server says of its replication.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn semi_sync(&mut self) -> Result<SemiSync, MysqlError> {
        let rows: Vec<(String, String)> = timed(limits::ANSWER_TIMEOUT, self.connection.query(STATUS)).await?;
        Ok(SemiSync::of(&rows))
    }

    fn parameters(&self, parameters: Parameters<'_>) -> Params {
        if parameters.is_empty() {
            return Params::Empty;
        }
        Params::Positional(parameters.iter().map(|parameter| value(self.zone, parameter.to_column())).collect())
    }
}

impl View<'_> {
    /// Runs plain statements in one round trip, up to the first that fails.
    ///
    /// # Errors
    /// One of them failed.
    pub async fn run(&mut self, sql: &str) -> Result<(), MysqlError> {
        self.driver.run(sql).await
    }
}

/// A parameter of a prepared statement.
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

/// A `datetime(6)`: the wall time in the database's zone.
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

/// Prepared statements return numbers and times, plain ones return their texts.
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
