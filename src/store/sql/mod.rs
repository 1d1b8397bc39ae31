//! The SQL queries, each written once over a small driver trait that each database implements.
//!
//! A query takes a [`View`] of any driver and is async. MySQL's futures wait for a server; SQLite's are ready at once,
//! and [`at_once`] takes their value. Differences in SQL are in [`Dialect`]; differences in behaviour (reading ahead,
//! deferring) are in the driver.
//!
//! A statement may be a round trip to a server, so a page's rows are completed by one query for all of them.

pub mod accounts;
pub mod chat_rows;
mod columns;
pub mod comments;
pub mod comments_tree;
mod dialect;
pub mod events;
mod known;
mod lane_sql;
pub mod logins;
pub mod member;
pub mod message_search;
pub mod messages;
pub mod new_rooms;
pub mod notifications;
mod parameters;
pub mod people;
pub mod posts;
pub mod pushes;
pub mod rebuild;
pub mod retention;
pub mod rooms;
pub mod roster;
pub mod rows;
pub mod search;
mod tables;
pub mod told;
pub mod topics;
pub mod twins;
mod view;

use std::fmt::Display;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

pub use self::columns::{Cell, Cells, Columns, Unexpected};
pub use self::dialect::{Dialect, Text};
pub use self::known::{Known, Name, Named};
pub use self::lane_sql::LaneSql;
pub use self::parameters::{BRANCHES_MAX, Id, KEYS_MAX, Parameter, Parameters, ToColumn, each, marks, padded};
pub use self::tables::Table;
pub use self::view::View;

use crate::clock::Timestamp;
use crate::store::{PageRequest, StoreError};

/// A connection to a database, in a transaction or not.
///
/// A connection prepares each statement once, so there should be few different texts. Each `?` stands for the next
/// parameter.
pub trait Sql {
    /// How a statement fails; also if a row is not what its reader expects.
    type Error: From<Unexpected> + Into<StoreError> + Display + Send;

    /// This database's dialect.
    const DIALECT: Dialect;

    /// All rows, each converted by `read`.
    fn rows<T: Send>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl FnMut(Columns<'_>) -> Result<T, Unexpected> + Send,
    ) -> impl Future<Output = Result<Vec<T>, Self::Error>> + Send;

    /// The first row, if there is one.
    fn row<T: Send>(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl FnOnce(Columns<'_>) -> Result<T, Unexpected> + Send,
    ) -> impl Future<Output = Result<Option<T>, Self::Error>> + Send;

    /// Runs a change, and returns how many rows matched (an UPDATE also counts rows that already had the new values).
    fn execute(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Whether the error says that a table or column that pregon asks for does not exist. Tables that belong to another
    /// program are then treated as empty.
    fn is_of_another_schema(error: &Self::Error) -> bool;

    /// Whether the error says that a column cannot store a text's characters, or be compared with them.
    fn is_of_characters(error: &Self::Error) -> bool {
        let _ = error;
        false
    }
}

/// The rows of an optional table.
///
/// # Errors
/// The statement failed in another way.
pub fn or_none<C: Sql, T>(rows: Result<Vec<T>, C::Error>) -> Result<Vec<T>, C::Error> {
    match rows {
        Err(error) if C::is_of_another_schema(&error) => Ok(Vec::new()),
        rows => rows,
    }
}

/// The number of rows before a page. If the page has a position, [`behind`] skips them instead.
pub fn offset(page: PageRequest) -> u64 {
    if page.after.is_some() { 0 } else { u64::from(page.number.saturating_sub(1)) * u64::from(page.size) }
}

/// The end of a WHERE that selects the rows after a position in a list by time, newest first. `ties` orders rows with
/// the same time. Its parameters are those of [`Behind`].
pub fn behind(page: PageRequest, of: &str, ties: &str) -> String {
    let than = if ties.ends_with("DESC") { '<' } else { '>' };
    match page.after {
        None => String::new(),
        Some(_) => {
            format!(" AND {of}created_at <= ? AND ({of}created_at < ? OR {of}id {than} ?)")
        }
    }
}

/// The parameters of [`behind`].
pub struct Behind(Option<(Timestamp, Id)>);

impl Behind {
    /// The parameters for a page.
    pub fn of(page: PageRequest) -> Self {
        Self(page.after.map(|after| (after.at, Id(after.id))))
    }

    /// Three parameters, or none if the page has no position.
    pub fn parameters(&self) -> Vec<&dyn ToColumn> {
        self.0.iter().flat_map(|(at, id)| [at as &dyn ToColumn, at, id]).collect()
    }
}

/// The value of a future that never waits.
///
/// # Panics
/// The future waits, because its driver is not that of a database inside this process.
pub fn at_once<F: Future>(work: F) -> F::Output {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a database inside this process never waits"),
    }
}
