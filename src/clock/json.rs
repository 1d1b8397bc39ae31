//! How times look in JSON: one form for the whole process.

use std::sync::OnceLock;

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

/// Set once, before the first time is written. Carrying the style in every value would cost memory in each of them.
static CURRENT: OnceLock<JsonTimes> = OnceLock::new();

impl JsonTimes {
    /// Sets this form for the process. Returns false if another one was set before.
    pub fn choose(self) -> bool {
        *CURRENT.get_or_init(|| self) == self
    }

    fn current() -> Self {
        CURRENT.get().copied().unwrap_or_default()
    }

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

    /// The moment of a naive text that a client sent; `wall` is that text read as UTC.
    fn moment(self, wall: Timestamp) -> Timestamp {
        match self {
            Self::Utc => wall,
            Self::Naive(zone) => zone.moment(wall),
        }
    }
}

impl Timestamp {
    /// Reads a time that a client sent: RFC 3339 with any offset, or a naive text in the zone in which times are shown.
    pub fn from_client_text(text: &str) -> Option<Self> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(moment) => Some(Self(moment.timestamp_micros())),
            Err(_) => Self::from_database_text(text).map(|wall| JsonTimes::current().moment(wall)),
        }
    }

    /// The form in which this process shows times to clients.
    pub fn json(self) -> JsonTime {
        JsonTimes::current().text(self)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naive_times_are_local_without_a_zone_and_without_a_zero_fraction() {
        let bogota = JsonTimes::Naive("America/Bogota".parse().unwrap());
        let moment = Timestamp::from_client_text("2026-11-21T23:02:35.916430Z").unwrap();
        assert_eq!(bogota.text(moment).as_str(), "2026-11-21T18:02:35.916430");
        assert_eq!(bogota.text(Timestamp(moment.0 - 916_430)).as_str(), "2026-11-21T18:02:35");
        assert_eq!(JsonTimes::Utc.text(moment).as_str(), "2026-11-21T23:02:35.916430Z");
        let naive = Timestamp::from_database_text("2026-11-21T18:02:35.916430").unwrap();
        assert_eq!(bogota.moment(naive), moment);
        assert_eq!(JsonTimes::Utc.moment(naive), naive);
    }
}
