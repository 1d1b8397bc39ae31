//! The zone of wall clocks: databases that Django made may hold local times without naming the zone.

use std::fmt;
use std::str::FromStr;

use chrono::{MappedLocalTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::Timestamp;

/// The zone of a wall clock.
///
/// A wall time is a [`Timestamp`], too: the moment at which a clock in UTC shows the same digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zone {
    /// UTC itself.
    #[default]
    Utc,
    /// A place of the time-zone database, such as `America/Bogota`.
    Named(Tz),
}

impl Zone {
    /// The wall time at `moment`.
    pub fn wall(self, moment: Timestamp) -> Timestamp {
        match self {
            Self::Utc => moment,
            Self::Named(zone) => moment.plus_seconds(offset_seconds(zone, moment)),
        }
    }

    /// The moment at which the wall clock shows `wall`. An hour that comes twice (end of summer time) means its first
    /// pass; a skipped hour (start of summer time) is read as if the clock had not been put forward. So two hours a
    /// year are ambiguous.
    pub fn moment(self, wall: Timestamp) -> Timestamp {
        let Self::Named(zone) = self else { return wall };
        let seconds = match zone.from_local_datetime(&wall.utc().naive_utc()) {
            MappedLocalTime::Single(local) | MappedLocalTime::Ambiguous(local, _) => local.offset().fix(),
            // A few hours earlier the clock had not been put forward yet.
            MappedLocalTime::None => {
                zone.offset_from_utc_datetime(&wall.plus_seconds(-26 * 3600).utc().naive_utc()).fix()
            }
        }
        .local_minus_utc();
        wall.plus_seconds(-i64::from(seconds))
    }

    /// The moment to store for an event at `now`, after an event at `last`. It is later by the wall clock, and reads
    /// back as it was written. During the second pass of an hour it is a moment of the first pass.
    pub fn next(self, last: Timestamp, now: Timestamp) -> Timestamp {
        match self {
            Self::Utc => now.max(Timestamp(last.0 + 1)),
            Self::Named(_) => self.moment(self.wall(now).max(Timestamp(self.wall(last).0 + 1))),
        }
    }
}

fn offset_seconds(zone: Tz, moment: Timestamp) -> i64 {
    i64::from(zone.offset_from_utc_datetime(&moment.utc().naive_utc()).fix().local_minus_utc())
}

/// There is no zone of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownZone;

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a name of the time-zone database")
    }
}

impl std::error::Error for UnknownZone {}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        match text.parse::<Tz>() {
            Ok(Tz::UTC | Tz::Etc__UTC) => Ok(Self::Utc),
            Ok(zone) => Ok(Self::Named(zone)),
            Err(_) => Err(UnknownZone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::from_database_text(text).unwrap()
    }

    #[test]
    fn a_zone_without_summer_time_shifts_and_shifts_back() {
        let bogota: Zone = "America/Bogota".parse().unwrap();
        let moment = time("2026-11-21 23:02:35.916430");
        assert_eq!(bogota.wall(moment), time("2026-11-21 18:02:35.916430"));
        assert_eq!(bogota.moment(bogota.wall(moment)), moment);
        assert_eq!("UTC".parse(), Ok(Zone::Utc));
        assert_eq!("Etc/UTC".parse(), Ok(Zone::Utc));
        assert_eq!(Zone::Utc.moment(Zone::Utc.wall(moment)), moment);
        assert_eq!("Bogota".parse::<Zone>(), Err(UnknownZone));
    }

    #[test]
    fn what_comes_later_is_later_on_the_wall_and_reads_back() {
        for zone in ["Europe/Madrid", "America/Bogota", "UTC", "Australia/Lord_Howe"] {
            let zone: Zone = zone.parse().unwrap();
            // Every hour of a year, and in between some events that follow each other at once.
            let mut last = time("2026-01-01 00:00:00");
            let start = time("2026-01-01 00:30:00");
            for hour in 0..24 * 365 {
                for micros in [0, 0, 1, 1_799_999_999] {
                    let now = Timestamp(start.plus_seconds(hour * 3600).0 + micros);
                    let at = zone.next(last, now);
                    assert!(zone.wall(at) > zone.wall(last) && at > last, "{zone:?} {now}");
                    assert_eq!(zone.moment(zone.wall(at)), at, "{zone:?} {now}");
                    assert!((now.0 - at.0).abs() <= 3_600_000_000, "{zone:?} {now}: {at}");
                    last = at;
                }
            }
        }
        let madrid: Zone = "Europe/Madrid".parse().unwrap();
        // The last moment of the hour that comes twice: no moment of the second pass comes after it on the wall clock.
        let last = time("2026-10-25 00:59:59.999999");
        assert_eq!(madrid.next(last, time("2026-10-25 01:10:00")), time("2026-10-25 02:00:00"));
    }

    #[test]
    fn hours_that_come_twice_or_never_have_a_moment() {
        let madrid: Zone = "Europe/Madrid".parse().unwrap();
        assert_eq!(madrid.moment(time("2026-03-29 02:30:00")), time("2026-03-29 01:30:00"), "left out");
        assert_eq!(madrid.moment(time("2026-10-25 02:30:00")), time("2026-10-25 00:30:00"), "twice");
        for hour in 0..24 * 365 {
            let moment = time("2026-01-01 00:30:00").plus_seconds(hour * 3600);
            let back = madrid.moment(madrid.wall(moment));
            let second_time = moment == time("2026-10-25 01:30:00");
            assert_eq!(back == moment, !second_time, "{moment}");
        }
    }
}
