//! The [`Sql`] driver for SQLite: its futures are always ready.

use std::collections::BTreeSet;
use std::future::ready;

use rusqlite::types::{ToSql, ToSqlOutput, Type, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, Row};

use crate::clock::{Timestamp, Zone};
use crate::domain::write::Write;
use crate::ids::Topic;
use crate::store::sql::{
    self, Cell, Cells, Columns, Dialect, Known, LaneSql, Parameter, Parameters, Sql, Table, Unexpected,
};
use crate::store::sqlite::connection;

/// A connection with its caches and settings, in a transaction or not.
pub type View<'a> = sql::View<'a, Connection>;

impl Sql for Connection {
    type Error = rusqlite::Error;

    const DIALECT: Dialect = Dialect::Sqlite;

    fn rows<T: Send>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        mut read: impl FnMut(Columns<'_>) -> Result<T, Unexpected> + Send,
    ) -> impl Future<Output = rusqlite::Result<Vec<T>>> + Send {
        let mut rows = || {
            let mut statement = bound(self, sql, parameters)?;
            let mut rows = statement.raw_query();
            let mut values = Vec::new();
            while let Some(row) = rows.next()? {
                values.push(read(Columns::new(row, Zone::Utc))?);
            }
            Ok(values)
        };
        ready(rows())
    }

    fn row<T: Send>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl FnOnce(Columns<'_>) -> Result<T, Unexpected> + Send,
    ) -> impl Future<Output = rusqlite::Result<Option<T>>> + Send {
        let row = || {
            let mut statement = bound(self, sql, parameters)?;
            let mut rows = statement.raw_query();
            Ok(rows.next()?.map(|row| read(Columns::new(row, Zone::Utc))).transpose()?)
        };
        ready(row())
    }

    fn execute(&mut self, sql: &str, parameters: Parameters<'_>) -> impl Future<Output = rusqlite::Result<u64>> + Send {
        let execute = || Ok(bound(self, sql, parameters)?.raw_execute()? as u64);
        ready(execute())
    }

    /// Every table is pregon's own.
    fn is_of_another_schema(_: &rusqlite::Error) -> bool {
        false
    }
}

impl LaneSql for Connection {
    /// There is no other writer, so nothing is locked, and every query is answered at once. Known rows stay valid until
    /// another program writes to the file.
    async fn begin(&mut self, _: &BTreeSet<Topic>, _: &[Write], known: &mut Known) -> rusqlite::Result<()> {
        statement(self, "BEGIN IMMEDIATE")?;
        let version = self.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if version != known.version {
            known.clear();
            known.version = version;
        }
        known.forget_messages();
        known.stay_bounded();
        Ok(())
    }

    async fn run(&mut self, sql: &str) -> rusqlite::Result<()> {
        statement(self, sql)
    }

    async fn insert(&mut self, into: Table, row: Parameters<'_>) -> rusqlite::Result<()> {
        bound(self, into.one_row(Dialect::Sqlite, row.len()), row)?.raw_execute().map(drop)
    }

    async fn put_off(&mut self, sql: &str, values: Parameters<'_>) -> rusqlite::Result<()> {
        bound(self, sql, values)?.raw_execute().map(drop)
    }

    async fn flush(&mut self) -> rusqlite::Result<()> {
        Ok(())
    }

    async fn commit(&mut self) -> rusqlite::Result<()> {
        statement(self, "COMMIT")
    }

    fn forget(&mut self) {}

    fn is_own_fault(error: &rusqlite::Error) -> bool {
        connection::is_own_fault(error)
    }

    fn may_be_committed(&self, _: &rusqlite::Error) -> bool {
        self.is_autocommit()
    }
}

/// Runs a statement without parameters or rows.
pub fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn bound<'a>(
    connection: &'a Connection,
    sql: &str,
    parameters: Parameters<'_>,
) -> rusqlite::Result<CachedStatement<'a>> {
    let mut statement = connection.prepare_cached(sql)?;
    for (index, parameter) in parameters.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, parameter.to_column())?;
    }
    Ok(statement)
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Number(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Count(number) => ToSqlOutput::Owned(Value::Integer(i64::try_from(*number).unwrap_or(i64::MAX))),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Id(digits) => ToSqlOutput::Borrowed(ValueRef::Text(digits)),
            // No time after the year 9999 is written. The greatest one ("before everything to come") has no calendar
            // text.
            Self::Time(Timestamp(i64::MAX)) => ToSqlOutput::Borrowed(ValueRef::Text(b"9999")),
            Self::Time(moment) => ToSqlOutput::Owned(Value::Text(moment.database_text())),
        })
    }
}

impl Cells for Row<'_> {
    fn cell(&self, index: usize) -> Cell<'_> {
        match self.get_ref(index) {
            Ok(ValueRef::Integer(number)) => Cell::Number(number),
            Ok(ValueRef::Text(text)) => Cell::Text(text),
            Ok(ValueRef::Real(_) | ValueRef::Blob(_)) => Cell::Other,
            Ok(ValueRef::Null) | Err(_) => Cell::Null,
        }
    }

    fn name(&self, index: usize) -> String {
        self.as_ref().column_name(index).map_or_else(|_| index.to_string(), str::to_owned)
    }
}

impl From<Unexpected> for rusqlite::Error {
    fn from(error: Unexpected) -> Self {
        Self::FromSqlConversionFailure(0, Type::Text, Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::ids::UserId;
    use crate::store::sql::messages;
    use crate::store::sqlite::migrate;

    #[tokio::test]
    async fn a_statement_is_prepared_once_whatever_its_parameters_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.db");
        migrate::apply(&path, &mut connection::create(&path).unwrap()).unwrap();
        let mut reader = connection::open(&path, connection::Role::Reader).unwrap();
        // One with a limit, and one with a condition beside the index.
        let page = "SELECT id FROM messages WHERE chat_room_id = ? AND sender_id = ? ORDER BY created_at LIMIT ?";
        let known = "SELECT u.username FROM (SELECT 1) one LEFT JOIN users u ON u.id = ? AND u.is_active = ?";
        for limit in 1..4_i64 {
            let (user, is_active) = (UserId::fresh(), limit % 2 == 0);
            reader.rows(page, &[&user, &user, &limit], |row| row.text(0)).await.unwrap();
            reader.row(known, &[&user, &is_active], |row| row.optional_text(0)).await.unwrap();
        }
        for sql in [page, known] {
            let statement = reader.prepare_cached(sql).unwrap();
            let (runs, anew) = (StatementStatus::Run, StatementStatus::RePrepare);
            assert_eq!((statement.get_status(runs), statement.get_status(anew)), (3, 0), "{sql}");
        }
    }

    #[test]
    fn the_newest_reactions_are_read_from_their_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::apply(std::path::Path::new("memory"), &mut connection).unwrap();
        for count in [1, 4] {
            let sql = messages::newest_reactions_of(Dialect::Sqlite, count);
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan = explain.query_map(rusqlite::params_from_iter(vec![1; count * 2]), |row| row.get::<_, String>(3));
            let plan: Vec<_> = plan.unwrap().map(Result::unwrap).collect();
            let (found, read) =
                plan.iter().filter(|line| line.contains("message_reactions")).fold((0, 0), |(found, read), line| {
                    (found + usize::from(line.contains("message_reactions_newest_idx")), read + 1)
                });
            assert!(found == count && read == count, "{plan:?}");
        }
    }
}
