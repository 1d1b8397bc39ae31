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

    /// So many times a query with its own ORDER BY and LIMIT, as a table that still wants a name. UNION makes one row
    /// of what a repeated key brings twice.
    pub fn union_of(self, branch: &str, count: usize) -> String {
        let branch = match self {
            Self::Sqlite => format!("SELECT * FROM ({branch})"),
            Self::Mysql => format!("({branch})"),
        };
        format!("({})", vec![branch; count].join(" UNION "))
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
