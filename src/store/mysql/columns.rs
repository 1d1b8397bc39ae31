//! Compares another program's tables with the columns that pregon knows: which are missing, and which it cannot fill.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::View;

/// The columns of each table; true if an INSERT must name the column.
pub type Columns = BTreeMap<String, BTreeMap<String, bool>>;

/// The columns of every existing table.
pub async fn of_database(view: &mut View<'_>) -> Result<Columns, MysqlError> {
    let sql = "SELECT table_name, column_name, is_nullable = 'NO' AND column_default IS NULL \
        AND extra NOT LIKE '%auto_increment%' AND extra NOT LIKE '%GENERATED%' \
        FROM information_schema.columns WHERE table_schema = database()";
    let rows = view.rows(sql, &[], |row| Ok((row.text(0)?, row.str(1)?.to_ascii_lowercase(), row.flag(2)?))).await?;
    let mut columns = Columns::new();
    for (table, column, must_be_named) in rows {
        columns.entry(table).or_default().insert(column, must_be_named);
    }
    Ok(columns)
}

/// The columns of the tables that `migrations` make: one per line, indented by four spaces.
fn known(migrations: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    const NO_COLUMNS: [&str; 6] = ["KEY", "UNIQUE", "CONSTRAINT", "PRIMARY", "FOREIGN", "CHECK"];
    let mut tables: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut table = "";
    for line in migrations.lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE IF NOT EXISTS ") {
            table = rest.split_whitespace().next().unwrap_or_default();
        }
        let Some(column) = line.strip_prefix("    ").and_then(|line| line.split(' ').next()) else { continue };
        if !column.is_empty() && !NO_COLUMNS.contains(&column) {
            tables.entry(table).or_default().insert(column);
        }
    }
    tables
}

/// Says in words how `tables` differ from `migrations` so that pregon cannot work with them; empty if they do not.
/// Tables that do not exist are ignored.
pub fn complaint(found: &Columns, tables: &[&str], migrations: &str) -> String {
    let known = known(migrations);
    let mut missing = Vec::new();
    let mut unknown = Vec::new();
    for table in tables {
        let (Some(found), Some(known)) = (found.get(*table), known.get(table)) else { continue };
        let lacks = known.iter().filter(|column| !found.contains_key(**column));
        missing.extend(lacks.map(|column| format!("{table}.{column}")));
        let strange =
            found.iter().filter(|(column, must_be_named)| **must_be_named && !known.contains(column.as_str()));
        unknown.extend(strange.map(|(column, _)| format!("{table}.{column}")));
    }
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("lacks {}", missing.join(", ")));
    }
    if !unknown.is_empty() {
        parts.push(format!("has {} (NOT NULL, no default), which pregon does not know", unknown.join(", ")));
    }
    parts.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_must_be_filled_is_named() {
        let made = "-- t\nCREATE TABLE IF NOT EXISTS posts (\n    id {uuid} NOT NULL PRIMARY KEY,\n    title text NULL,\n\
            \x20   KEY some_idx (title),\n    CONSTRAINT one\n        FOREIGN KEY (title) REFERENCES x (id)\n){table};\n";
        assert_eq!(known(made), BTreeMap::from([("posts", BTreeSet::from(["id", "title"]))]));
        let found = |columns: &[(&str, bool)]| {
            let columns = columns.iter().map(|(column, must)| ((*column).to_owned(), *must)).collect();
            Columns::from([("posts".to_owned(), columns)])
        };
        let said = |columns| complaint(&found(columns), &["posts", "users"], made);
        assert_eq!(said(&[("id", true), ("title", true), ("theme", false)]), "");
        assert_eq!(
            said(&[("id", true), ("theme", true)]),
            "lacks posts.title and has posts.theme (NOT NULL, no default), which pregon does not know"
        );
    }
}
