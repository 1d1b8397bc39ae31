//! Changes of a batch that wait to be written together: nobody needs to see them before the batch's end.

use crate::clock::Zone;
use crate::limits;
use crate::store::mysql::literal::{filled, row};
use crate::store::sql::{Dialect, Parameters, Table};

/// What waits, in the order in which it is written: table by table first what others refer to, then the changes.
#[derive(Debug, Default)]
pub struct Pending {
    /// Rows, written out, by [`Table`].
    rows: [String; Table::COUNT],
    /// Statements that must keep their order.
    changes: String,
}

impl Pending {
    /// One row more.
    pub fn row(&mut self, zone: Zone, into: Table, values: Parameters<'_>) {
        let rows = &mut self.rows[into as usize];
        if !rows.is_empty() {
            rows.push(',');
        }
        row(rows, zone, values);
    }

    /// A statement whose outcome nobody waits for.
    pub fn change(&mut self, zone: Zone, sql: &str, values: Parameters<'_>) {
        filled(&mut self.changes, zone, sql, values);
        self.changes.push(';');
    }

    /// Does more wait than one trip should carry?
    pub fn is_long(&self) -> bool {
        self.rows.iter().map(String::len).sum::<usize>() + self.changes.len() > limits::TRIP_BYTES_MAX
    }

    /// The statements for all that waits.
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
        let (zone, mut pending) = (Zone::Utc, Pending::default());
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
