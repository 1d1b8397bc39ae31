//! The SQL once: each query has one body, over a small driver that each database brings.
//!
//! A body takes a [`View`] of any driver and is async. MySQL's futures wait for a server; SQLite's are ready when they
//! are made, and [`at_once`] takes their value where they stand. What the databases write differently is in [`Dialect`],
//! and what they do differently (read ahead, put off) is a property of the driver.
//!
//! A statement may be a way to a server and back: what a page needs is asked for all its rows at once.

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
pub mod messages;
pub mod new_rooms;
pub mod notifications;
mod parameters;
pub mod people;
pub mod posts;
pub mod retention;
pub mod rooms;
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
pub use self::known::{Known, Name};
pub use self::lane_sql::LaneSql;
pub use self::parameters::{BRANCHES_MAX, Id, KEYS_MAX, Parameter, Parameters, ToColumn, each, marks, padded};
pub use self::tables::Table;
pub use self::view::View;

use crate::clock::Timestamp;
use crate::store::{PageRequest, StoreError};

/// One connection to a database, in a transaction or not.
///
/// Statements are prepared once a connection: their texts must be a few. A `?` stands for the next parameter.
pub trait Sql {
    /// How a statement fails; also when a row is not what its reader expects.
    type Error: From<Unexpected> + Into<StoreError> + Display + Send;

    /// What this database writes its own way.
    const DIALECT: Dialect;

    /// Every row, read by `read`.
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

    /// A change: how many rows it met (an UPDATE also counts those that already were so).
    fn execute(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Does the error say that a table is not there, or not with the columns that pregon asks for? Those that are
    /// another program's own affair are then as good as empty.
    fn is_of_another_schema(error: &Self::Error) -> bool;

    /// Does the error say that a column cannot hold, nor be compared with, the characters of a text?
    fn is_of_characters(error: &Self::Error) -> bool {
        let _ = error;
        false
    }
}

/// The rows of a table that need not be there.
///
/// # Errors
/// The statement failed in another way.
pub fn or_none<C: Sql, T>(rows: Result<Vec<T>, C::Error>) -> Result<Vec<T>, C::Error> {
    match rows {
        Err(error) if C::is_of_another_schema(&error) => Ok(Vec::new()),
        rows => rows,
    }
}

/// Rows before a page. Those before a position are left out by [`behind`].
pub fn offset(page: PageRequest) -> u64 {
    if page.after.is_some() { 0 } else { u64::from(page.number.saturating_sub(1)) * u64::from(page.size) }
}

/// The end of a WHERE: of a list by time, the newest first, the rows behind a position. `ties` orders those of one moment.
/// Its parameters are [`Behind`]'s.
pub fn behind(page: PageRequest, of: &str, ties: &str) -> String {
    let than = if ties.ends_with("DESC") { '<' } else { '>' };
    match page.after {
        None => String::new(),
        Some(_) => {
            format!(" AND {of}created_at <= ? AND ({of}created_at < ? OR {of}id {than} ?)")
        }
    }
}

/// What stands for the `?` of [`behind`].
pub struct Behind(Option<(Timestamp, Id)>);

impl Behind {
    /// Those of a page.
    pub fn of(page: PageRequest) -> Self {
        Self(page.after.map(|after| (after.at, Id(after.id))))
    }

    /// Three, or none.
    pub fn parameters(&self) -> Vec<&dyn ToColumn> {
        self.0.iter().flat_map(|(at, id)| [at as &dyn ToColumn, at, id]).collect()
    }
}

/// The value of a future that waits for nothing.
///
/// # Panics
/// It does wait: its driver is not one of a database inside this process.
pub fn at_once<F: Future>(work: F) -> F::Output {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a database inside this process lets nobody wait"),
    }
}
