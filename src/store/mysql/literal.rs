//! Statements written out with their values, so that many make one round trip to the server.
//!
//! A prepared statement has a fixed number of rows and needs a round trip of its own, while a batch has any number of
//! rows, and the round trips are its main cost. Values are quoted for the session's `sql_mode`, which never changes.

use std::fmt::Write as _;

use crate::clock::Zone;
use crate::store::sql::{Parameter, Parameters, ToColumn};

/// Appends a value as an SQL literal.
pub fn literal(sql: &mut String, zone: Zone, value: Parameter<'_>) {
    // Writing to a text cannot fail.
    let _ = match value {
        Parameter::Null => write!(sql, "NULL"),
        Parameter::Number(number) => write!(sql, "{number}"),
        Parameter::Count(number) => write!(sql, "{number}"),
        Parameter::Text(text) => {
            quoted(sql, text);
            Ok(())
        }
        Parameter::Id(digits) => {
            quoted(sql, std::str::from_utf8(&digits).unwrap_or_default());
            Ok(())
        }
        Parameter::Time(moment) => write!(sql, "'{}'", zone.wall(moment).database_text()),
    };
}

fn quoted(sql: &mut String, text: &str) {
    sql.push('\'');
    let mut rest = text;
    while let Some(place) = rest.find(['\'', '\\', '\0']) {
        sql.push_str(&rest[..place]);
        sql.push_str(match rest.as_bytes()[place] {
            b'\'' => "''",
            b'\\' => "\\\\",
            _ => "\\0",
        });
        rest = &rest[place + 1..];
    }
    sql.push_str(rest);
    sql.push('\'');
}

/// Appends `(…, …)`.
pub fn row(sql: &mut String, zone: Zone, values: Parameters<'_>) {
    let mut before = '(';
    for value in values {
        sql.push(before);
        literal(sql, zone, value.to_column());
        before = ',';
    }
    sql.push(')');
}

/// Appends `text` with a value in place of each `?`.
pub fn filled(sql: &mut String, zone: Zone, text: &str, values: Parameters<'_>) {
    let mut values = values.iter();
    for (index, part) in text.split('?').enumerate() {
        if index > 0
            && let Some(value) = values.next()
        {
            literal(sql, zone, value.to_column());
        }
        sql.push_str(part);
    }
}

/// Appends `IN (…)` with at least one key.
pub fn list<T: ToColumn>(sql: &mut String, zone: Zone, keys: impl IntoIterator<Item = T>) {
    let mut before = " IN (";
    for key in keys {
        sql.push_str(before);
        literal(sql, zone, key.to_column());
        before = ",";
    }
    sql.push(')');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn values_are_quoted_and_nothing_breaks_out() {
        let zone = Zone::Utc;
        let mut sql = String::new();
        let none: Option<String> = None;
        let text = "'; DROP TABLE users; -- \\' \0 ñ🙂\n\"";
        row(&mut sql, zone, &[&7_u32, &-1_i64, &none, &text, &Timestamp(0), &true]);
        assert_eq!(sql, "(7,-1,NULL,'''; DROP TABLE users; -- \\\\'' \\0 ñ🙂\n\"','1970-01-01 00:00:00.000000',1)");
        let mut sql = String::new();
        filled(&mut sql, zone, "UPDATE t SET a = ?, b = ? WHERE c", &[&"what?", &2_u32]);
        assert_eq!(sql, "UPDATE t SET a = 'what?', b = 2 WHERE c");
    }
}
