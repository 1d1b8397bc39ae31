//! Time as a value: microseconds since 1970, passed to those who need it.

mod json;
mod zone;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

pub use json::{JsonTime, JsonTimes};
pub use zone::{UnknownZone, Zone};

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The current time of the system's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whole seconds since 1970, as tokens count them.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment plus `seconds`, which may be negative.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// The moment `by` before this one.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// `YYYY-MM-DD HH:MM:SS.ffffff` in UTC, always 26 characters, so that texts sort like times. Each stored message
    /// has three of these; chrono's formatter spent 13,000 instructions on them, a ninth of the write lane's work.
    pub fn database_text(self) -> String {
        let mut text = self.rfc3339();
        text[10] = b' ';
        std::str::from_utf8(&text[..26]).unwrap_or_default().to_owned()
    }

    /// Reads [`Self::database_text`], with or without a fraction, with a blank or a `T` in the middle.
    pub fn from_database_text(text: &str) -> Option<Self> {
        Self::parse(text, "%Y-%m-%d %H:%M:%S%.f").or_else(|| Self::parse(text, "%Y-%m-%dT%H:%M:%S%.f"))
    }

    /// RFC 3339 in UTC with six digits and `Z`. Written by hand because each message has two of these.
    fn rfc3339(self) -> [u8; 27] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let Civil { year, month, day, hour, minute, second, micros } = self.civil();
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], hour);
        digits(&mut text[14..16], minute);
        digits(&mut text[17..19], second);
        digits(&mut text[20..26], micros);
        text
    }

    /// Calendar and clock in UTC, for years of four digits; the server never makes other times.
    pub fn civil(self) -> Civil {
        const DAY_MICROS: i64 = 86_400_000_000;
        let moment = self.0.clamp(-62_167_219_200_000_000, 253_402_300_799_999_999);
        let days = moment.div_euclid(DAY_MICROS);
        let rest = moment.rem_euclid(DAY_MICROS);
        let (year, month, day) = civil(days);
        let seconds = rest / 1_000_000;
        let hour = seconds / 3600;
        let minute = seconds / 60 % 60;
        let second = seconds % 60;
        Civil { year, month, day, hour, minute, second, micros: rest % 1_000_000 }
    }

    /// The moment of a calendar and clock in UTC; `None` if there is no such day or time, as in `0000-00-00`.
    pub fn from_civil(civil: Civil) -> Option<Self> {
        let narrow = |number: i64| u32::try_from(number).ok();
        let year = i32::try_from(civil.year).ok()?;
        let date = chrono::NaiveDate::from_ymd_opt(year, narrow(civil.month)?, narrow(civil.day)?)?;
        let hour = narrow(civil.hour)?;
        let minute = narrow(civil.minute)?;
        let second = narrow(civil.second)?;
        let moment = date.and_hms_micro_opt(hour, minute, second, narrow(civil.micros)?)?;
        Some(Self(moment.and_utc().timestamp_micros()))
    }

    fn parse(text: &str, format: &str) -> Option<Self> {
        NaiveDateTime::parse_from_str(text, format).ok().map(|naive| Self(naive.and_utc().timestamp_micros()))
    }

    fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// Calendar and clock, as in a `datetime(6)` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// 0 to 9999.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
    /// 0 to 999,999.
    pub micros: i64,
}

/// Year, month and day of a day counted from 1970-01-01. The year is shifted to begin in March, so that the leap day
/// comes last; 719,468 days lie between 0000-03-01 and 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Fills all of `place` with `number`, with leading zeros.
fn digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with six digits and `Z`, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.rfc3339()).unwrap_or_default())
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
        assert_eq!(JsonTimes::Utc.read("2026-02-01T05:30:00-05:00"), Some(moment));
        assert_eq!(JsonTimes::Utc.read("yesterday"), None);
    }

    /// The plain twin: chrono's formatter.
    #[test]
    fn the_fast_text_is_chronos() {
        let ends =
            [Timestamp(-62_167_219_200_000_000), Timestamp(253_402_300_799_999_999), Timestamp(0), Timestamp(-1)];
        // Steps of a little more than 11 days meet every day of the year and every hour.
        let steps = (-200_000..200_000_i64).map(|step| Timestamp(step * 987_654_321_013));
        for moment in ends.into_iter().chain(steps) {
            // Texts have years of four digits.
            if (ends[0]..=ends[1]).contains(&moment) {
                assert_eq!(Timestamp::from_civil(moment.civil()), Some(moment));
            }
            let plain = moment.utc().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            assert!(plain.len() != 27 || moment.to_string() == plain, "{plain}");
            let plain = moment.utc().format("%Y-%m-%d %H:%M:%S%.6f").to_string();
            assert!(plain.len() != 26 || moment.database_text() == plain, "{plain}");
        }
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
    }
}
