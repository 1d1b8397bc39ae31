//! Opens and sets up connections, and classifies their errors.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::{Conn, Opts, OptsBuilder};

use crate::limits;
use crate::store::StoreError;
use crate::store::sql::Unexpected;

/// The settings of each session, whatever the server's defaults are. Zone and mode affect what a statement writes.
///
/// READ COMMITTED is enough, because a topic's lock protects everything that decides on a write in it. Each statement
/// sees what others have committed, and no gaps between rows are locked; with gap locks, lanes that insert neighbouring
/// rows would deadlock. (If the server keeps a binary log, its format must be ROW or MIXED.)
///
/// A client that loses its connection within a transaction leaves its locks until the server notices. The timeouts make
/// that happen soon.
///
/// The comments are code: `/*M!` is for MariaDB alone, whose unit is a second; `/*!80000` is for MySQL alone, whose
/// unit is a millisecond and which limits reads only. MariaDB ignores `/*!` with numbers from 50700 to 99999.
fn session_settings() -> [String; 2] {
    let lock = limits::LOCK_WAIT.as_secs();
    let statement = limits::STATEMENT_TIMEOUT;
    let idle = limits::IDLE_TIMEOUT.as_secs();
    [
        format!(
            "SET SESSION sql_mode = 'STRICT_TRANS_TABLES', time_zone = '+00:00', autocommit = 1, \
             innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}, wait_timeout = {idle}, \
             /*M!100300 max_statement_time = {}, idle_transaction_timeout = {lock}, */ \
             /*!80000 max_execution_time = {}, */ foreign_key_checks = 1",
            statement.as_secs(),
            statement.as_millis()
        ),
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
    ]
}

/// Statements that a connection keeps prepared: more than there are SQL texts.
const STATEMENTS_MAX: usize = 512;

/// The database's address and credentials. Never printed, because it holds the password.
#[derive(Clone)]
pub struct Link {
    opts: Opts,
    place: String,
}

impl Link {
    /// Reads `mysql://user:password@host:port/name` or `mariadb://…`.
    ///
    /// # Errors
    /// What is wrong with the URL, without repeating it, because it may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("mariadb://").or_else(|| url.strip_prefix("mysql://"));
        let rest = rest.ok_or("must begin with mysql:// or mariadb://")?;
        let opts = Opts::from_url(&format!("mysql://{rest}")).map_err(|error| match error {
            // The parameter is not named: after an unescaped `?` it may be the rest of the password.
            mysql_async::UrlError::UnknownParameter { .. } => {
                "has an unknown parameter (write a ? in the password as %3F)".to_owned()
            }
            mysql_async::UrlError::InvalidParamValue { param, .. } => format!("has a wrong value of {param:?}"),
            mysql_async::UrlError::FeatureRequired { param, .. } => {
                format!("has a parameter {param:?} of another build")
            }
            _ => "is no URL".to_owned(),
        })?;
        let name = opts.db_name().filter(|name| !name.is_empty()).ok_or("names no database")?;
        let place = format!("{name} on {}:{}", opts.ip_or_hostname(), opts.tcp_port());
        let opts = OptsBuilder::from_opts(opts)
            .init(session_settings().to_vec())
            .stmt_cache_size(STATEMENTS_MAX)
            .tcp_keepalive(Some(Duration::from_secs(60)))
            // A server reports its socket's path on its own machine; on this machine that path may be another server's.
            .prefer_socket(false)
            // An UPDATE reports how many rows matched, even if they already had the new values.
            .client_found_rows(true);
        Ok(Self { opts: opts.into(), place })
    }

    /// `<database> on <host>:<port>`, for logs and sentences.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        self.opts.db_name().unwrap_or_default()
    }

    /// Opens and sets up a connection.
    ///
    /// # Errors
    /// The server cannot be reached within [`limits::CONNECT_TIMEOUT`], or refuses the connection.
    pub async fn open(&self) -> Result<Conn, MysqlError> {
        timed(limits::CONNECT_TIMEOUT, Conn::new(self.opts.clone())).await
    }

    /// One sentence for the operator who starts the server, with what to do.
    pub fn opening(&self, error: &MysqlError) -> StoreError {
        let place = &self.place;
        StoreError::Unavailable(match error.code() {
            Some(1045 | 1698) => format!("{place} refuses the user or its password: correct PREGON_DATABASE_URL"),
            Some(1044) => format!("{place} denies this user access: GRANT it ALL on that database"),
            Some(1049) => format!("there is no {place}: create it with CREATE DATABASE … CHARACTER SET utf8mb4"),
            Some(1142 | 1143) => format!("{place} denies this user a right ({error}): GRANT it"),
            _ => format!("{place} cannot be used ({error}): start it, or correct PREGON_DATABASE_URL"),
        })
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// A failed query.
#[derive(Debug)]
pub enum MysqlError {
    /// The server or the connection failed.
    Driver(mysql_async::Error),
    /// No answer in time. The connection may not be used again, because the answer may still arrive.
    Late(Duration),
    /// The rows are not what the code expects.
    Unexpected(String),
}

/// How to react to an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The statement is invalid: only the write that made it fails.
    Refuse,
    /// The transaction must be repeated, and may then succeed: after a deadlock or lock timeout.
    Again,
    /// The connection is gone: it may succeed on a new one.
    Reconnect,
    /// The server takes no writes: its disk is full, or it is read-only.
    Wait,
}

impl MysqlError {
    /// The server's error number.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Driver(mysql_async::Error::Server(error)) => Some(error.code),
            Self::Driver(_) | Self::Late(_) | Self::Unexpected(_) => None,
        }
    }

    /// The table does not exist. Tables that pregon only reads are optional.
    pub fn is_no_table(&self) -> bool {
        self.code() == Some(1146)
    }

    /// The table, or a column of it, does not exist. If the table belongs to another program it is treated as empty,
    /// and the log says so once.
    pub fn is_of_another_schema(&self) -> bool {
        const NO_COLUMN: u16 = 1054;
        static IS_TOLD: AtomicBool = AtomicBool::new(false);
        let is_other = self.code() == Some(NO_COLUMN);
        if is_other && !IS_TOLD.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %self, "a table of another program has other columns: it is ignored (logged once)");
        }
        is_other || self.is_no_table()
    }

    /// A column's character set cannot store a text: `utf8mb3` has no emoji.
    pub fn is_of_characters(&self) -> bool {
        match self {
            // "Incorrect string value". Other values that do not fit have the same error number.
            Self::Driver(mysql_async::Error::Server(error)) if error.code == 1366 => {
                error.message.contains("string value")
            }
            // An illegal mix of collations, or an impossible conversion.
            _ => matches!(self.code(), Some(1267 | 1270 | 1271 | 3854 | 3988)),
        }
    }

    /// Whether the connection must be replaced. That includes a server that has become read-only: after a failover, a
    /// new connection reaches the server that takes writes.
    pub fn ends_connection(&self) -> bool {
        const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
        self.remedy() == Remedy::Reconnect || self.code().is_some_and(|code| READ_ONLY.contains(&code))
    }

    /// How to react to the error.
    pub fn remedy(&self) -> Remedy {
        let Some(code) = self.code() else {
            return if matches!(self, Self::Unexpected(_)) { Remedy::Refuse } else { Remedy::Reconnect };
        };
        match code {
            // Deadlock, lock wait timeout, row changed since read, statement must be prepared anew, statement killed or
            // too slow, NOWAIT lock taken.
            1213 | 1205 | 1020 | 1615 | 1317 | 1969 | 3024 | 3058 | 3572 => Remedy::Again,
            // Too many connections, server shutdown, aborted or killed connection, no rights (yet), limits for an
            // unknown host.
            1040 | 1053 | 1077 | 1079 | 1152 | 1158..=1161 | 1184 | 1203 | 1226 | 1927 | 2006 | 2013 | 4031 => {
                Remedy::Reconnect
            }
            // Disk full, engine error, table read-only or full, server or transaction read-only, no memory, log full.
            1021 | 1026 | 1030 | 1036 | 1037 | 1041 | 1114 | 1206 | 1290 | 1792 | 1836 => Remedy::Wait,
            _ => Remedy::Refuse,
        }
    }
}

impl fmt::Display for MysqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(mysql_async::Error::Server(error)) => write!(f, "error {}: {}", error.code, error.message),
            Self::Driver(error) => error.fmt(f),
            Self::Late(wait) => write!(f, "no answer within {} s", wait.as_secs()),
            Self::Unexpected(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for MysqlError {}

impl From<mysql_async::Error> for MysqlError {
    fn from(error: mysql_async::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Unexpected> for MysqlError {
    fn from(error: Unexpected) -> Self {
        Self::Unexpected(error.0)
    }
}

impl From<MysqlError> for StoreError {
    fn from(error: MysqlError) -> Self {
        match error.remedy() {
            Remedy::Refuse if error.is_of_characters() => Self::Characters(error.to_string()),
            Remedy::Refuse => Self::Broken(error.to_string()),
            Remedy::Again | Remedy::Reconnect | Remedy::Wait => Self::Unavailable(error.to_string()),
        }
    }
}

/// The result of `work`, or [`MysqlError::Late`].
pub async fn timed<T, E: Into<MysqlError>>(
    wait: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, MysqlError> {
    match tokio::time::timeout(wait, work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(MysqlError::Late(wait)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_or_refused_without_its_password() {
        let link = Link::parse("mariadb://ana:hunter2@db.example:3307/social").unwrap();
        assert_eq!((link.place(), link.database()), ("social on db.example:3307", "social"));
        assert_eq!(format!("{link:?}"), "social on db.example:3307");
        assert!(!link.opts.prefer_socket(), "a server's own socket is not on this machine");
        for (url, part) in [
            ("mysql://ana:hunter2@db", "names no database"),
            ("mysql://ana:hunter2@db/", "names no database"),
            ("mysql://ana:hunter2@db/x?hunter2=2", "unknown parameter"),
            ("mysql://ana:hunter2@db:port/x", "is no URL"),
            ("postgres://ana:hunter2@db/x", "must begin with"),
        ] {
            let error = Link::parse(url).unwrap_err();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }
}
