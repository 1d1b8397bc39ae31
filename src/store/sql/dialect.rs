//! The parts of SQL that the databases write differently.

use std::sync::OnceLock;

use crate::limits;

/// The database's dialect. All of them read the rest of the SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, inside this process; only pregon writes to it.
    Sqlite,
    /// MySQL and MariaDB, to which another program may write.
    Mysql,
}

impl Dialect {
    /// Whether several connections write at once. If so, a topic's row is locked before a place in it is taken.
    pub fn has_many_writers(self) -> bool {
        self == Self::Mysql
    }

    /// The number of some rows. If only pregon writes, that is the column, because every write that adds or deletes a
    /// row changes it in the same transaction. If another program writes too, the rows are counted, unless the column
    /// says that there are too many to count each time.
    pub fn live(self, column: &str, rows: &str) -> String {
        let believed = limits::LIVE_COUNT_MAX;
        match self {
            Self::Sqlite => column.to_owned(),
            Self::Mysql => format!("IF({column} > {believed}, {column}, (SELECT count(*) FROM {rows}))"),
        }
    }

    /// The same for a column that another program never updates.
    pub fn counted(self, column: &str, rows: &str) -> String {
        match self {
            Self::Sqlite => column.to_owned(),
            Self::Mysql => format!("(SELECT count(*) FROM {rows})"),
        }
    }

    /// The order of rows with the same time, newest first: that of the index by which they are read.
    pub fn ties(self, id: &str) -> String {
        match self {
            Self::Sqlite => format!("{id} DESC"),
            Self::Mysql => id.to_owned(),
        }
    }

    /// The end of a SELECT whose rows stay locked until the transaction ends. SQLite has a single writer and needs
    /// none.
    pub fn locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Mysql => "FOR UPDATE",
        }
    }

    /// A count changed by a parameter in an UPDATE, never below zero. MySQL's counts may be unsigned.
    pub fn moved(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} = max({column} + ?, 0)"),
            Self::Mysql => format!("{column} = greatest(CAST({column} AS SIGNED) + ?, 0)"),
        }
    }

    /// Equal, or both NULL.
    pub fn is(self) -> &'static str {
        match self {
            Self::Sqlite => "IS",
            Self::Mysql => "<=>",
        }
    }

    /// The end of an INSERT that keeps the greater `column` of two rows with the same `key`.
    pub fn keep_greatest(self, key: &str, column: &str) -> String {
        match self {
            Self::Sqlite => format!("ON CONFLICT ({key}) DO UPDATE SET {column} = max({column}, excluded.{column})"),
            Self::Mysql => format!("ON DUPLICATE KEY UPDATE {column} = greatest({column}, VALUES({column}))"),
        }
    }

    /// The start of an INSERT of clients' names. SQLite deletes the oldest rows by rowid, so there a name that is given
    /// again gets a new row.
    pub fn replacing_names(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "INSERT OR REPLACE INTO pregon_client_ids (user_id, room_id, client_id, message_id, created_at, epoch, seq) \
                 VALUES "
            }
            Self::Mysql => {
                "INSERT INTO pregon_client_ids (user_id, room_id, client_id, message_id, created_at, epoch, seq) VALUES "
            }
        }
    }

    /// The end of an INSERT of clients' names.
    pub fn names_again(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Mysql => {
                " ON DUPLICATE KEY UPDATE message_id = VALUES(message_id), created_at = VALUES(created_at), \
                 epoch = VALUES(epoch), seq = VALUES(seq)"
            }
        }
    }

    /// The end of an INSERT of topics' places.
    pub fn places_again(self) -> &'static str {
        match self {
            Self::Sqlite => " ON CONFLICT (topic) DO UPDATE SET seq = excluded.seq, last_at = excluded.last_at",
            Self::Mysql => {
                " ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), seq = VALUES(seq), last_at = VALUES(last_at)"
            }
        }
    }

    /// Deletes up to `most` of the oldest rows whose `column`, a time, is no later than the parameter. SQLite has no
    /// index on it: its rows were inserted in the order of their rowid, and the scan ends at `most`.
    pub fn delete_first(self, table: &str, column: &str, most: usize) -> String {
        match self {
            Self::Sqlite => format!(
                "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM (SELECT rowid, {column} FROM {table} \
                 ORDER BY rowid LIMIT {most}) WHERE {column} <= ?)"
            ),
            Self::Mysql => self.delete_some(table, "", column, most),
        }
    }

    /// The same for a small table, in which SQLite finds the rows by `key`.
    pub fn delete_some(self, table: &str, key: &str, column: &str, most: usize) -> String {
        match self {
            Self::Sqlite => format!(
                "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {column} <= ? LIMIT {most})"
            ),
            Self::Mysql => format!("DELETE FROM {table} WHERE {column} <= ? ORDER BY {column} LIMIT {most}"),
        }
    }

    /// `count` copies of a query with its own ORDER BY and LIMIT, as a table that still needs a name. UNION removes the
    /// duplicates that a repeated key brings.
    pub fn union_of(self, branch: &str, count: usize) -> String {
        match count {
            1 => format!("({branch})"),
            _ => format!("({})", self.branches(branch, count).join(" UNION ")),
        }
    }

    /// `count` copies of a query with its own ORDER BY and LIMIT, with all rows of each.
    pub fn union_all(self, branch: &str, count: usize) -> String {
        self.branches(branch, count).join(" UNION ALL ")
    }

    fn branches(self, branch: &str, count: usize) -> Vec<String> {
        let branch = match self {
            Self::Sqlite => format!("SELECT * FROM ({branch})"),
            Self::Mysql => format!("({branch})"),
        };
        vec![branch; count]
    }
}

/// An SQL text that is built once for each dialect.
pub struct Text {
    make: fn(Dialect) -> String,
    made: [OnceLock<String>; 2],
}

impl Text {
    /// A text that `make` builds.
    pub const fn new(make: fn(Dialect) -> String) -> Self {
        Self { make, made: [const { OnceLock::new() }; 2] }
    }

    /// The text for a dialect.
    pub fn of(&self, dialect: Dialect) -> &str {
        self.made[dialect as usize].get_or_init(|| (self.make)(dialect))
    }
}
