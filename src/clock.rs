//! Time as a value: microseconds since 1970, handed to whoever needs it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Serialize, Serializer};

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment of the call by the system's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whole seconds since 1970, as tokens count them.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment moved by `seconds`, which may be negative.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// `YYYY-MM-DD HH:MM:SS.ffffff` in UTC, always 26 characters: sorts as text as it does in time.
    pub fn database_text(self) -> String {
        self.utc().format("%Y-%m-%d %H:%M:%S%.6f").to_string()
    }

    /// Reads [`Self::database_text`], with or without a fraction, with a blank or a `T` between.
    pub fn from_database_text(text: &str) -> Option<Self> {
        Self::parse(text, "%Y-%m-%d %H:%M:%S%.f").or_else(|| Self::parse(text, "%Y-%m-%dT%H:%M:%S%.f"))
    }

    /// Reads a time a client sent: RFC 3339 with any offset, or naive and then taken as UTC.
    pub fn from_client_text(text: &str) -> Option<Self> {
        match DateTime::parse_from_rfc3339(text) {
            Ok(moment) => Some(Self(moment.timestamp_micros())),
            Err(_) => Self::from_database_text(text),
        }
    }

    fn parse(text: &str, format: &str) -> Option<Self> {
        NaiveDateTime::parse_from_str(text, format).ok().map(|naive| Self(naive.and_utc().timestamp_micros()))
    }

    fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with six digits and `Z`, the form of every JSON text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.utc().format("%Y-%m-%dT%H:%M:%S%.6fZ").fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_six_digits_and_read_back() {
        let moment = Timestamp(1_769_941_800_000_000);
        assert_eq!(moment.to_string(), "2026-02-01T10:30:00.000000Z");
        assert_eq!(moment.database_text(), "2026-02-01 10:30:00.000000");
        assert_eq!(Timestamp::from_database_text("2026-02-01 10:30:00"), Some(moment));
        assert_eq!(Timestamp::from_client_text("2026-02-01T05:30:00-05:00"), Some(moment));
        assert_eq!(Timestamp::from_client_text("yesterday"), None);
    }
}
