//! Connections: how they are opened and set up, and what their errors mean.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::{Conn, Opts, OptsBuilder};

use crate::limits;
use crate::store::StoreError;
use crate::store::sql::Unexpected;

/// What a session is set to, whatever the server's defaults are. Zone and mode decide what a statement writes.
///
/// READ COMMITTED: what a write is decided by is behind the lock of its topic, so nothing more need stand still; each
/// statement sees what others have committed, and no gap between rows is locked, in which lanes that add neighbouring
/// rows would wait for each other in circles. (Where a binary log is kept, its format must be ROW or MIXED for it.)
///
/// Who is cut off from the server within a transaction leaves its locks behind until the server notices: soon, therefore.
///
/// The comments are code: `/*M!` for MariaDB alone, whose unit is a second, `/*!80000` for MySQL alone, whose unit is a
/// millisecond and which limits reads only. MariaDB passes over `/*!` of the numbers from 50700 to 99999.
fn session_settings() -> [String; 2] {
    let (lock, statement) = (limits::LOCK_WAIT.as_secs(), limits::STATEMENT_TIMEOUT);
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

/// Statements that a connection keeps prepared: more than there are texts of SQL.
const STATEMENTS_MAX: usize = 512;

/// Where the database is, and how to come in. Never printed: the password is in it.
#[derive(Clone)]
pub struct Link {
    opts: Opts,
    place: String,
}

impl Link {
    /// Reads `mysql://user:password@host:port/name` or `mariadb://…`.
    ///
    /// # Errors
    /// What is wrong with it; the URL is not repeated, since a password may be in it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("mariadb://").or_else(|| url.strip_prefix("mysql://"));
        let rest = rest.ok_or("must begin with mysql:// or mariadb://")?;
        let opts = Opts::from_url(&format!("mysql://{rest}")).map_err(|error| match error {
            // Not by its name: behind a `?` in a password stands the rest of it.
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
            // The path that a server names its socket by is of its own machine: on this one, it may be another server's.
            .prefer_socket(false)
            // An UPDATE tells how many rows it met, also those that already were so.
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

    /// A new connection, set up.
    ///
    /// # Errors
    /// The server cannot be reached within [`limits::CONNECT_TIMEOUT`], or does not let us in.
    pub async fn open(&self) -> Result<Conn, MysqlError> {
        timed(limits::CONNECT_TIMEOUT, Conn::new(self.opts.clone())).await
    }

    /// One sentence for whoever starts the server, with what to do.
    pub fn opening(&self, error: &MysqlError) -> StoreError {
        let place = &self.place;
        StoreError::Unavailable(match error.code() {
            Some(1045 | 1698) => format!("{place} refuses the user or its password: mend PREGON_DATABASE_URL"),
            Some(1044) => format!("{place} does not let this user in: GRANT it ALL on that database"),
            Some(1049) => format!("there is no {place}: make it with CREATE DATABASE … CHARACTER SET utf8mb4"),
            Some(1142 | 1143) => format!("{place} does not allow this user enough ({error}): GRANT it the right"),
            _ => format!("{place} cannot be used ({error}): start it, or mend PREGON_DATABASE_URL"),
        })
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// A query did not do what it should.
#[derive(Debug)]
pub enum MysqlError {
    /// The server or the way to it.
    Driver(mysql_async::Error),
    /// No answer in time. The connection may not be used again: the answer may still come.
    Late(Duration),
    /// Rows are not what the code expects.
    Unexpected(String),
}

/// What an error calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The statement asked for what cannot be: only the write that asked fails.
    Refuse,
    /// The transaction must begin anew, and then may succeed: a deadlock, a lock that did not come free.
    Again,
    /// The connection is gone: on a new one it may succeed.
    Reconnect,
    /// The server takes no writes: its disk is full, or it is read-only.
    Wait,
}

impl MysqlError {
    /// The server's number of the error.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Driver(mysql_async::Error::Server(error)) => Some(error.code),
            Self::Driver(_) | Self::Late(_) | Self::Unexpected(_) => None,
        }
    }

    /// No such table: databases need not have those that pregon only reads.
    pub fn is_no_table(&self) -> bool {
        self.code() == Some(1146)
    }

    /// No such table, or not with the columns that pregon asks for. For those that are another program's own affair: they are
    /// as good as empty, and a line in the log says so once.
    pub fn is_of_another_schema(&self) -> bool {
        const NO_COLUMN: u16 = 1054;
        static IS_TOLD: AtomicBool = AtomicBool::new(false);
        let is_other = self.code() == Some(NO_COLUMN);
        if is_other && !IS_TOLD.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %self, "a table of another program has other columns: it is passed over (said once)");
        }
        is_other || self.is_no_table()
    }

    /// The columns are in a character set that lacks what a text holds: `utf8mb3` has no emoji.
    pub fn is_of_characters(&self) -> bool {
        match self {
            // "Incorrect string value": other values that do not fit have the same number.
            Self::Driver(mysql_async::Error::Server(error)) if error.code == 1366 => {
                error.message.contains("string value")
            }
            // An illegal mix of collations, and a conversion that is not possible.
            _ => matches!(self.code(), Some(1267 | 1270 | 1271 | 3854 | 3988)),
        }
    }

    /// Is the connection of no more use? Also to a server that has become read-only: after a failover, the one that takes
    /// writes is found by connecting anew.
    pub fn ends_connection(&self) -> bool {
        const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
        self.remedy() == Remedy::Reconnect || self.code().is_some_and(|code| READ_ONLY.contains(&code))
    }

    /// What is to be done about it.
    pub fn remedy(&self) -> Remedy {
        let Some(code) = self.code() else {
            return if matches!(self, Self::Unexpected(_)) { Remedy::Refuse } else { Remedy::Reconnect };
        };
        match code {
            // Deadlock, lock wait timeout, row changed since read, statement must be prepared anew, statement killed or
            // too slow, lock wait that was not to wait.
            1213 | 1205 | 1020 | 1615 | 1317 | 1969 | 3024 | 3058 | 3572 => Remedy::Again,
            // Too many connections, server shutdown, aborted or killed connection, no rights (yet), unknown host's limits.
            1040 | 1053 | 1077 | 1079 | 1152 | 1158..=1161 | 1184 | 1203 | 1226 | 1927 | 2006 | 2013 | 4031 => {
                Remedy::Reconnect
            }
            // Disk full, error from the engine, table read-only or full, server or transaction read-only, no memory, log full.
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

/// What `work` answers, or [`MysqlError::Late`].
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
