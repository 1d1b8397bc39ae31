//! The database of a test's server: an SQLite file or, with `PREGON_TEST_DATABASE=mariadb`, a database of the private
//! MariaDB.

use std::path::{Path, PathBuf};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Value};

use super::private::MariaDb;
use super::{PATIENCE, Server};

/// A test server's database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file in the server's folder.
    File(PathBuf),
    /// The database of this name on the server that the tests of this process share.
    Mariadb(String),
}

impl Database {
    /// A folder's database: created, but empty.
    pub async fn of(folder: &Path) -> Self {
        match std::env::var("PREGON_TEST_DATABASE").as_deref() {
            Ok("mariadb") => Self::mariadb().await,
            Ok("sqlite") | Err(_) => Self::file(folder),
            Ok(other) => panic!("PREGON_TEST_DATABASE={other}: sqlite or mariadb"),
        }
    }

    /// An empty database on MariaDB, whatever the run asks for.
    pub async fn mariadb() -> Self {
        Self::Mariadb(MariaDb::shared().new_database().await)
    }

    /// SQLite, whatever the run asks for.
    pub fn file(folder: &Path) -> Self {
        Self::File(folder.join("pregon.db"))
    }

    /// The URL for the server's settings.
    pub fn url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::Mariadb(name) => MariaDb::shared().url(name),
        }
    }

    /// Runs statements beside the server, as another program would. Returns the number of rows that the last one
    /// matched. Each `?` is a text.
    pub async fn execute(&self, sql: &str, parameters: &[&str]) -> u64 {
        match self {
            Self::File(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.busy_timeout(PATIENCE).unwrap();
                connection.execute(sql, rusqlite::params_from_iter(parameters)).unwrap() as u64
            }
            Self::Mariadb(name) => {
                let mut connection: Conn = MariaDb::shared().connect(name).await;
                let values: Vec<Value> = parameters.iter().map(|text| Value::from(*text)).collect();
                let values = if values.is_empty() { Params::Empty } else { Params::Positional(values) };
                connection.exec_drop(sql, values).await.unwrap();
                let met = connection.affected_rows();
                connection.disconnect().await.unwrap();
                met
            }
        }
    }

    /// The first column of the first row.
    pub async fn number(&self, query: &str) -> i64 {
        match self {
            Self::File(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.busy_timeout(PATIENCE).unwrap();
                connection.query_row(query, [], |row| row.get(0)).unwrap()
            }
            Self::Mariadb(name) => {
                let mut connection = MariaDb::shared().connect(name).await;
                let number: Option<i64> = connection.query_first(query).await.unwrap();
                connection.disconnect().await.unwrap();
                number.unwrap()
            }
        }
    }
}

impl Server {
    /// Runs a statement beside the server, as another program would. Returns the number of rows that it matched. Each
    /// `?` is a text.
    pub async fn execute(&self, sql: &str, parameters: &[&str]) -> u64 {
        self.database.execute(sql, parameters).await
    }

    /// The first column of the first row.
    pub async fn number(&self, query: &str) -> i64 {
        self.database.number(query).await
    }
}
