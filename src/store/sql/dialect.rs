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
