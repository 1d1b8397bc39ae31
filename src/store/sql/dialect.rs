//! What the databases write differently.

use std::sync::OnceLock;

use crate::limits;

/// Whose SQL it is. The rest of the SQL is read by all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, inside this process and written by pregon alone.
    Sqlite,
    /// MySQL and MariaDB, which another program may write beside pregon.
    Mysql,
}

impl Dialect {
    /// May several connections write at one time? Then a topic's row is locked before a place is taken in it.
    pub fn has_many_writers(self) -> bool {
        self == Self::Mysql
    }

    /// The number of some rows. Where pregon alone writes, the column says it: every write that adds or takes away a row
    /// moves it in its transaction. Where another program writes too, the rows are counted, unless the column says that
    /// they are more than can be counted at each look.
    pub fn live(self, column: &str, rows: &str) -> String {
        let believed = limits::LIVE_COUNT_MAX;
        match self {
            Self::Sqlite => column.to_owned(),
            Self::Mysql => format!("IF({column} > {believed}, {column}, (SELECT count(*) FROM {rows}))"),
        }
    }

    /// The same for a column that another program does not move at all.
    pub fn counted(self, column: &str, rows: &str) -> String {
        match self {
            Self::Sqlite => column.to_owned(),
            Self::Mysql => format!("(SELECT count(*) FROM {rows})"),
        }
    }

    /// In which order rows of one moment come, newest first: as in the index that they are read by.
    pub fn ties(self, id: &str) -> String {
        match self {
            Self::Sqlite => format!("{id} DESC"),
            Self::Mysql => id.to_owned(),
        }
    }

    /// The end of a SELECT whose rows nobody else may change before the transaction ends. SQLite has one who writes.
    pub fn locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Mysql => "FOR UPDATE",
        }
    }

    /// A count moved by a parameter, in an UPDATE; never below none. MySQL's counts may be unsigned.
    pub fn moved(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} = max({column} + ?, 0)"),
            Self::Mysql => format!("{column} = greatest(CAST({column} AS SIGNED) + ?, 0)"),
        }
    }

    /// Equal, or both without a value.
    pub fn is(self) -> &'static str {
        match self {
            Self::Sqlite => "IS",
            Self::Mysql => "<=>",
        }
    }

    /// The end of an INSERT: of two rows of one `key`, the greater `column` stays.
    pub fn keep_greatest(self, key: &str, column: &str) -> String {
        match self {
            Self::Sqlite => format!("ON CONFLICT ({key}) DO UPDATE SET {column} = max({column}, excluded.{column})"),
            Self::Mysql => format!("ON DUPLICATE KEY UPDATE {column} = greatest({column}, VALUES({column}))"),
        }
    }

    /// The beginning of an INSERT of clients' names. SQLite's rows leave in the order in which they came: a name that is
    /// given again gets a new row there.
    pub fn replacing_names(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "INSERT OR REPLACE INTO pregon_client_ids (user_id, room_id, client_id, message_id, created_at) VALUES "
            }
            Self::Mysql => {
                "INSERT INTO pregon_client_ids (user_id, room_id, client_id, message_id, created_at) VALUES "
            }
        }
    }

    /// Its end.
    pub fn names_again(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Mysql => " ON DUPLICATE KEY UPDATE message_id = VALUES(message_id), created_at = VALUES(created_at)",
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

    /// Deletes the oldest rows of a table whose `column`, a time, is no later than the parameter, at most `most` of them.
    /// SQLite has no index of it: its rows came in the order of their rowid, and the scan ends at `most`.
    pub fn delete_first(self, table: &str, column: &str, most: usize) -> String {
        match self {
            Self::Sqlite => format!(
                "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM (SELECT rowid, {column} FROM {table} \
                 ORDER BY rowid LIMIT {most}) WHERE {column} <= ?)"
            ),
            Self::Mysql => self.delete_some(table, "", column, most),
        }
    }

    /// The same for a table of a few rows, whose `key` SQLite finds them by.
    pub fn delete_some(self, table: &str, key: &str, column: &str, most: usize) -> String {
        match self {
            Self::Sqlite => format!(
                "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {column} <= ? LIMIT {most})"
            ),
            Self::Mysql => format!("DELETE FROM {table} WHERE {column} <= ? ORDER BY {column} LIMIT {most}"),
        }
    }

    /// So many times a query with its own ORDER BY and LIMIT, as a table that still wants a name. UNION makes one row
    /// of what a repeated key brings twice.
    pub fn union_of(self, branch: &str, count: usize) -> String {
        match count {
            1 => format!("({branch})"),
            _ => format!("({})", self.branches(branch, count).join(" UNION ")),
        }
    }

    /// So many times a query with its own ORDER BY and LIMIT, with all rows of each.
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

/// A text of SQL that is put together once for each dialect.
pub struct Text {
    make: fn(Dialect) -> String,
    made: [OnceLock<String>; 2],
}

impl Text {
    /// A text as `make` puts it together.
    pub const fn new(make: fn(Dialect) -> String) -> Self {
        Self { make, made: [const { OnceLock::new() }; 2] }
    }

    /// As a dialect has it.
    pub fn of(&self, dialect: Dialect) -> &str {
        self.made[dialect as usize].get_or_init(|| (self.make)(dialect))
    }
}
