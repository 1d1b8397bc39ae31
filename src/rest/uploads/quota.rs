//! Limits how much one user may upload: bytes, a day's quota at once, which refills over a day; and files in an hour.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota as Rate, RateLimiter};

use crate::ids::UserId;
use crate::limits::RATE_KEYS_MAX;
use crate::rest::error::{Error, Result};
use crate::telemetry;

/// The bytes of one unit of the quota.
const UNIT: usize = 64 * 1024;
const UNITS_PER_MEGABYTE: u32 = 16;

/// The users' quotas; `None` if there is no quota.
#[derive(Default)]
pub struct Quota(Option<DefaultKeyedRateLimiter<UserId>>);

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Quota(some)" } else { "Quota(none)" })
    }
}

/// The bytes that one upload has used.
pub struct Bill<'a> {
    quota: &'a Quota,
    user: UserId,
    units: usize,
}

impl Quota {
    /// A quota in MiB per day; 0 means no quota.
    pub fn of(megabytes: u32) -> Self {
        let units = NonZeroU32::new(megabytes.saturating_mul(UNITS_PER_MEGABYTE));
        let rate = units.and_then(|units| {
            let every = Duration::from_secs(24 * 3600).checked_div(units.get())?;
            Rate::with_period(every).map(|rate| rate.allow_burst(units))
        });
        Self(rate.map(RateLimiter::keyed))
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// 429 if nothing of the quota is left.
    pub fn bill(&self, user: UserId) -> Result<Bill<'_>> {
        let mut bill = Bill { quota: self, user, units: 0 };
        bill.charge(0)?;
        Ok(bill)
    }
}

impl Bill<'_> {
    /// Counts received bytes.
    ///
    /// # Errors
    /// 429 if the quota is used up.
    pub fn charge(&mut self, bytes: usize) -> Result<()> {
        let Some(limiter) = &self.quota.0 else { return Ok(()) };
        let units = 1 + bytes / UNIT;
        let more = u32::try_from(units - self.units).unwrap_or(u32::MAX);
        let Some(more) = NonZeroU32::new(more) else { return Ok(()) };
        if limiter.len() > RATE_KEYS_MAX {
            limiter.retain_recent();
        }
        self.units = units;
        match limiter.check_key_n(&self.user, more) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                telemetry::limit_hit("upload quota", self.user);
                Err(Error::TooMany(not_until.wait_time_from(DefaultClock::default().now()).as_secs() + 1))
            }
            // A single piece larger than a whole day's quota.
            Err(_) => Err(Error::TooMany(24 * 3600)),
        }
    }
}

/// How many files each user may upload in an hour; `None` if there is no limit.
#[derive(Default)]
pub struct Hourly(Option<DefaultKeyedRateLimiter<UserId>>);

impl fmt::Debug for Hourly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hourly(some)" } else { "Hourly(none)" })
    }
}

impl Hourly {
    /// So many files an hour, which may come at once; 0 means without limit.
    pub fn of(uploads: u32) -> Self {
        Self(NonZeroU32::new(uploads).map(|uploads| RateLimiter::keyed(Rate::per_hour(uploads))))
    }

    /// Counts a file of a user.
    ///
    /// # Errors
    /// 429 if the hour's files are used up.
    pub fn count(&self, user: UserId) -> Result<()> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        if limiter.len() > RATE_KEYS_MAX {
            limiter.retain_recent();
        }
        limiter.check_key(&user).map_err(|not_until| {
            telemetry::limit_hit("uploads of an hour", user);
            Error::TooMany(not_until.wait_time_from(DefaultClock::default().now()).as_secs() + 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_worth_is_used_up_by_any_number_of_files() {
        let quota = Quota::of(1);
        let ana = UserId::fresh();
        let mut bill = quota.bill(ana).unwrap();
        for bytes in (0..=8 * UNIT).step_by(1000) {
            bill.charge(bytes).unwrap();
        }
        let small = (0..100).take_while(|_| quota.bill(ana).is_ok()).count();
        assert!((6..=9).contains(&small), "{small}");
        let Err(Error::TooMany(seconds)) = bill.charge(10 * UNIT) else { panic!("not refused") };
        assert!((2..=3 * 5400 + 1).contains(&seconds), "{seconds}");
        quota.bill(UserId::fresh()).unwrap().charge(8 * UNIT).unwrap();
        assert!(Quota::of(0).bill(ana).unwrap().charge(usize::MAX / 2).is_ok());
    }

    #[test]
    fn so_many_files_come_in_an_hour() {
        let (hourly, ana) = (Hourly::of(60), UserId::fresh());
        let at_once = (0..100).take_while(|_| hourly.count(ana).is_ok()).count();
        assert_eq!(at_once, 60);
        let Err(Error::TooMany(seconds)) = hourly.count(ana) else { panic!("not refused") };
        assert!((1..=61).contains(&seconds), "{seconds}");
        hourly.count(UserId::fresh()).unwrap();
        assert!((0..1000).all(|_| Hourly::of(0).count(ana).is_ok()));
    }
}
