//! How often one may: attempts to log in, and requests of one user.

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::access::client_address;
use crate::ids::UserId;
use crate::limits;

/// All limiters, or none of them.
pub struct Rates(Option<Limiters>);

struct Limiters {
    logins: DefaultKeyedRateLimiter<(IpAddr, String)>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    users: DefaultKeyedRateLimiter<UserId>,
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Rates(on)" } else { "Rates(off)" })
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("a limit of zero would shut everybody out")
}

impl Rates {
    /// On, or off as on a machine of one's own.
    pub fn new(on: bool) -> Self {
        let users = Quota::per_second(at_least_one(limits::USER_REQUESTS_PER_SECOND))
            .allow_burst(at_least_one(limits::USER_REQUESTS_MAX));
        Self(on.then(|| Limiters {
            logins: RateLimiter::keyed(Quota::per_minute(at_least_one(limits::LOGIN_ATTEMPTS_MAX))),
            addresses: RateLimiter::keyed(Quota::per_minute(at_least_one(limits::ADDRESS_ATTEMPTS_MAX))),
            users: RateLimiter::keyed(users),
        }))
    }

    /// An attempt to log in as `login` from an address.
    ///
    /// # Errors
    /// When the rate is used up.
    pub fn login(&self, client: Option<IpAddr>, login: &str) -> Result<(), TooMany> {
        self.attempt(client)?;
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        // The address was counted first, so it cannot fill this table with names of its own making.
        let login: String = login.to_lowercase().chars().take(254).collect();
        check(&limiters.logins, &(client_address::rate_key(client), login))
    }

    /// An attempt to log in or register from an address.
    ///
    /// # Errors
    /// When the rate is used up.
    pub fn attempt(&self, client: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        check(&limiters.addresses, &client_address::rate_key(client))
    }

    /// A request of a user.
    ///
    /// # Errors
    /// When the rate is used up.
    pub fn request(&self, user: UserId) -> Result<(), TooMany> {
        self.0.as_ref().map_or(Ok(()), |limiters| check(&limiters.users, &user))
    }
}

/// The rate is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// From now until one more is allowed, rounded up.
    pub retry_after_seconds: u64,
}

fn check<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), TooMany> {
    if limiter.len() > limits::RATE_KEYS_MAX {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|not_until| {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        TooMany { retry_after_seconds: wait.as_secs() + 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_login_from_one_address_waits_after_ten_attempts() {
        let rates = Rates::new(true);
        let client = Some("10.0.0.1".parse().unwrap());
        for _ in 0..limits::LOGIN_ATTEMPTS_MAX {
            rates.login(client, "Ana").unwrap();
        }
        let Err(TooMany { retry_after_seconds: seconds }) = rates.login(client, "ana") else { panic!("not limited") };
        assert!((1..=7).contains(&seconds), "{seconds}");
        rates.login(client, "beto").unwrap();
        rates.login(Some("10.0.0.2".parse().unwrap()), "ana").unwrap();
        assert!(Rates::new(false).login(client, "ana").is_ok());
        assert!((0..limits::ADDRESS_ATTEMPTS_MAX).any(|_| rates.attempt(client).is_err()));
    }
}
