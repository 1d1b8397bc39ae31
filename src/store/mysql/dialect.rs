//! How one database writes ids and times.

use mysql_async::Value;

use crate::clock::{Civil, Timestamp, Zone};

/// What must be known of a database to write its columns and to read them.
///
/// Ids are `char(32)` or native `uuid`, and one database may mix both. They are written in one spelling, 32 lower-case
/// hexadecimal digits, and read in either, so that no statement needs to know a column's form. Tried on MariaDB 10.11:
/// a native column takes that spelling in INSERT, and in `=`, `IN` and ORs of ANDs finds it by the index (EXPLAIN: const,
/// ref and range, as a text and as a parameter). The other spelling would not do: `char(32)` = a hyphenated text finds
/// nothing. Joins of columns of the two forms give the right rows, but from a `uuid` to a `char(32)` without the index; a
/// foreign key's two columns always have one form, and pregon joins along foreign keys alone.
/// What does differ is the order of ids: `char(32)` is ordered by its digits, a native column by other bytes first where
/// an id is no UUIDv7. Nothing may depend on it but that ties come in one order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dialect {
    /// Where the clock of its `datetime(6)` columns hangs.
    pub zone: Zone,
}

impl Dialect {
    /// A `datetime(6)`: what a clock in the database's zone shows.
    pub fn datetime(&self, moment: Timestamp) -> Value {
        let Civil { year, month, day, hour, minute, second, micros } = self.zone.wall(moment).civil();
        let small = |number: i64| u8::try_from(number).unwrap_or(0);
        Value::Date(
            u16::try_from(year).unwrap_or(0),
            small(month),
            small(day),
            small(hour),
            small(minute),
            small(second),
            u32::try_from(micros).unwrap_or(0),
        )
    }

    /// The same as text, for statements that are written out: `2026-02-01 10:30:00.000000`.
    pub fn datetime_text(&self, moment: Timestamp) -> String {
        self.zone.wall(moment).database_text()
    }

    /// The moment of a `datetime(6)`; `None` for what is no time, such as the year zero of old databases.
    pub fn moment(&self, value: &Value) -> Option<Timestamp> {
        let wall = match value {
            Value::Date(year, month, day, hour, minute, second, micros) => Timestamp::from_civil(Civil {
                year: i64::from(*year),
                month: i64::from(*month),
                day: i64::from(*day),
                hour: i64::from(*hour),
                minute: i64::from(*minute),
                second: i64::from(*second),
                micros: i64::from(*micros),
            }),
            Value::Bytes(text) => Timestamp::from_database_text(std::str::from_utf8(text).ok()?),
            _ => None,
        }?;
        Some(self.zone.moment(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_the_databases_clock_shows_it_and_read_back() {
        let bogota = Dialect { zone: "America/Bogota".parse().unwrap() };
        let moment = Timestamp::from_client_text("2026-11-21T23:02:35.916430Z").unwrap();
        let written = bogota.datetime(moment);
        assert_eq!(written, Value::Date(2026, 11, 21, 18, 2, 35, 916_430));
        assert_eq!(bogota.moment(&written), Some(moment));
        assert_eq!(bogota.datetime_text(moment), "2026-11-21 18:02:35.916430");
        assert_eq!(bogota.moment(&Value::Bytes(bogota.datetime_text(moment).into())), Some(moment));
        assert_eq!(bogota.moment(&Value::Date(0, 0, 0, 0, 0, 0, 0)), None);
        assert_eq!(bogota.moment(&Value::NULL), None);
    }
}
