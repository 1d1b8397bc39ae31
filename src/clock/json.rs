//! How times look in JSON: one form for the whole process.

use std::fmt;

use chrono::DateTime;

use super::{Timestamp, Zone};

/// The form of every time in frames and REST answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JsonTimes {
    /// RFC 3339 in UTC with six digits and `Z`: `2026-02-01T10:30:00.000000Z`.
    #[default]
    Utc,
    /// The wall clock of a zone, without the zone's name, and without a fraction if it is zero: `2026-02-01T05:30:00`.
    /// Django writes this with `USE_TZ = False`.
    Naive(Zone),
}

impl JsonTimes {
    /// The text of a moment.
    pub fn text(self, moment: Timestamp) -> JsonTime {
        match self {
            Self::Utc => JsonTime { text: moment.rfc3339(), length: 27 },
            Self::Naive(zone) => {
                let text = zone.wall(moment).rfc3339();
                JsonTime { text, length: if text.ends_with(b".000000Z") { 19 } else { 26 } }
            }
        }
    }

    /// Reads a time that a client sent: RFC 3339 with any offset, or naive and then of the zone in which times are shown.
    pub fn read(self, text: &str) -> Option<Timestamp> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(moment) => Some(Timestamp(moment.timestamp_micros())),
            Err(_) => Timestamp::from_database_text(text).map(|wall| self.moment(wall)),
        }
    }

    /// The moment of a naive text, read as if it were of UTC.
    fn moment(self, wall: Timestamp) -> Timestamp {
        match self {
            Self::Utc => wall,
            Self::Naive(zone) => zone.moment(wall),
        }
    }
}

/// A time's text, kept on the stack.
#[derive(Debug, Clone, Copy)]
pub struct JsonTime {
    text: [u8; 27],
    length: usize,
}

impl JsonTime {
    /// The text, which is ASCII.
    pub fn as_str(&self) -> &str {
        self.text.get(..self.length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl fmt::Display for JsonTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naive_times_are_local_without_a_zone_and_without_a_zero_fraction() {
        let bogota = JsonTimes::Naive("America/Bogota".parse().unwrap());
        let moment = JsonTimes::Utc.read("2026-11-21T23:02:35.916430Z").unwrap();
        assert_eq!(bogota.text(moment).as_str(), "2026-11-21T18:02:35.916430");
        assert_eq!(bogota.text(Timestamp(moment.0 - 916_430)).as_str(), "2026-11-21T18:02:35");
        assert_eq!(JsonTimes::Utc.text(moment).as_str(), "2026-11-21T23:02:35.916430Z");
        let naive = Timestamp::from_database_text("2026-11-21T18:02:35.916430").unwrap();
        assert_eq!(bogota.moment(naive), moment);
        assert_eq!(bogota.read("2026-11-21T18:02:35.916430"), Some(moment), "two forms beside each other");
        assert_eq!(bogota.read("2026-11-21T23:02:35.916430Z"), Some(moment));
        assert_eq!(JsonTimes::Utc.read("yesterday"), None);
        assert_eq!(JsonTimes::Utc.moment(naive), naive);
    }
}
