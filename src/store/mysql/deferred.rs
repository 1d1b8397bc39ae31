//! Changes of a batch that are written together at its end, because no one needs to see them earlier.

use crate::clock::Zone;
use crate::limits;
use crate::store::mysql::literal::{filled, row};
use crate::store::sql::{Dialect, Parameters, Table};

/// The deferred changes in the order in which they are written: first the rows, referenced tables before their
/// referrers, then the changes.
#[derive(Debug, Default)]
pub struct Pending {
    /// Rows as SQL text, by [`Table`].
    rows: [String; Table::COUNT],
    /// Statements that keep their order.
    changes: String,
}

impl Pending {
    /// Adds a row.
    pub fn row(&mut self, zone: Zone, into: Table, values: Parameters<'_>) {
        let rows = &mut self.rows[into as usize];
        if !rows.is_empty() {
            rows.push(',');
        }
        row(rows, zone, values);
    }

    /// Adds a statement whose result is not needed.
    pub fn change(&mut self, zone: Zone, sql: &str, values: Parameters<'_>) {
        filled(&mut self.changes, zone, sql, values);
        self.changes.push(';');
    }

    /// Whether this is more than one round trip should carry.
    pub fn is_long(&self) -> bool {
        self.rows.iter().map(String::len).sum::<usize>() + self.changes.len() > limits::TRIP_BYTES_MAX
    }

    /// The statements for everything deferred.
    pub fn take(&mut self) -> String {
        let Self { rows, changes } = std::mem::take(self);
        let mut sql = String::new();
        for (table, rows) in Table::ALL.into_iter().zip(rows).filter(|(_, rows)| !rows.is_empty()) {
            sql.push_str(table.head(Dialect::Mysql));
            sql.push_str(&rows);
            sql.push_str(table.tail(Dialect::Mysql));
            sql.push(';');
        }
        sql.push_str(&changes);
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_table_are_one_statement_and_written_once() {
        let zone = Zone::Utc;
        let mut pending = Pending::default();
        assert_eq!(pending.take(), "");
        pending.change(zone, "UPDATE t SET a = ?", &[&1_u32]);
        pending.row(zone, Table::Topics, &[&1_u32]);
        pending.row(zone, Table::Reads, &[&2_u32]);
        pending.row(zone, Table::Reads, &[&3_u32]);
        let [reads, topics] = [Table::Reads, Table::Topics].map(|table| table.head(Dialect::Mysql));
        let again = Table::Topics.tail(Dialect::Mysql);
        assert_eq!(pending.take(), format!("{reads}(2),(3);{topics}(1){again};UPDATE t SET a = 1;"));
        assert_eq!(pending.take(), "");
    }
}
