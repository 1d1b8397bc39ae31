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
use crate::telemetry;

/// All limiters, or none of them.
pub struct Rates(Option<Limiters>);

struct Limiters {
    logins: DefaultKeyedRateLimiter<(IpAddr, Login)>,
    attempts: Addresses,
    registrations: Addresses,
    users: DefaultKeyedRateLimiter<UserId>,
    participants: DefaultKeyedRateLimiter<UserId>,
}

/// What attempts to log in are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Login {
    /// An account, by whichever of its names.
    Account(UserId),
    /// A name that is nobody's.
    Name(String),
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
        let participants = Quota::per_second(at_least_one(limits::PARTICIPANTS_PER_SECOND))
            .allow_burst(at_least_one(limits::PARTICIPANTS_AT_ONCE));
        Self(on.then(|| Limiters {
            logins: RateLimiter::keyed(Quota::per_minute(at_least_one(limits::LOGIN_ATTEMPTS_MAX))),
            attempts: Addresses::new(limits::ADDRESS_ATTEMPTS_MAX),
            registrations: Addresses::new(limits::REGISTRATIONS_MAX),
            users: RateLimiter::keyed(users),
            participants: RateLimiter::keyed(participants),
        }))
    }

    /// An attempt to log in from an address, before it is known as whom.
    ///
    /// # Errors
    /// When the rate is used up.
    pub fn attempt(&self, client: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        told(limiters.attempts.check(client, 1), "logins of an address", client)
    }

    /// An attempt to log in with this login, after [`Self::attempt`]: so nobody can fill this table with names of their own
    /// making.
    ///
    /// # Errors
    /// When the rate is used up.
    pub fn login(&self, client: Option<IpAddr>, login: Login) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        told(check(&limiters.logins, &(client_address::rate_key(client), login)), "logins of an account", client)
    }

    /// An attempt to register from an address.
    ///
    /// # Errors
    /// When the rate is used up.
    pub fn registration(&self, client: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        told(limiters.registrations.check(client, 1), "registrations", client)
    }

    /// Whoever tries to register is to hear that an address or a name is taken, which costs some attempts more.
    ///
    /// # Errors
    /// When the rate is used up: then nothing is to be said.
    pub fn taken(&self, client: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        told(limiters.registrations.check(client, limits::TAKEN_COST), "registrations", client)
    }

    /// A request of a user.
    ///
    /// # Errors
    /// When the rate is used up.
    pub fn request(&self, user: UserId) -> Result<(), TooMany> {
        self.0.as_ref().map_or(Ok(()), |limiters| told(check(&limiters.users, &user), "requests", user))
    }

    /// A user puts so many others into a room.
    ///
    /// # Errors
    /// When the rate is used up.
    pub fn participants(&self, user: UserId, count: usize) -> Result<(), TooMany> {
        let Some(limiters) = &self.0 else { return Ok(()) };
        // The largest room takes the whole burst.
        let cost = u32::try_from(count).unwrap_or(u32::MAX).clamp(1, limits::PARTICIPANTS_AT_ONCE);
        told(check_some(&limiters.participants, &user, cost), "participants", user)
    }
}

/// A rate for each address; of IPv6 also for the networks that one customer may have all of, each twice as high.
struct Addresses {
    narrow: DefaultKeyedRateLimiter<IpAddr>,
    wide: Vec<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Addresses {
    fn new(per_minute: u32) -> Self {
        let keyed = |number: u32| RateLimiter::keyed(Quota::per_minute(at_least_one(number)));
        Self { narrow: keyed(per_minute), wide: vec![keyed(per_minute * 2), keyed(per_minute * 4)] }
    }

    fn check(&self, client: IpAddr, cost: u32) -> Result<(), TooMany> {
        check_some(&self.narrow, &client_address::rate_key(client), cost)?;
        for (bits, limiter) in client_address::wider_networks(client).iter().zip(&self.wide) {
            check_some(limiter, &client_address::shortened(client, *bits), cost)?;
        }
        Ok(())
    }
}

/// Says in log and metrics that a limit was hit, if it was.
fn told(checked: Result<(), TooMany>, limit: &'static str, whose: impl fmt::Display) -> Result<(), TooMany> {
    checked.inspect_err(|_| telemetry::limit_hit(limit, whose))
}

/// The rate is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// From now until one more is allowed, rounded up.
    pub retry_after_seconds: u64,
}

fn check<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), TooMany> {
    check_some(limiter, key, 1)
}

fn check_some<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, cost: u32) -> Result<(), TooMany> {
    if limiter.len() > limits::RATE_KEYS_MAX {
        limiter.retain_recent();
    }
    let checked = limiter.check_key_n(key, at_least_one(cost)).unwrap_or(Ok(()));
    checked.map_err(|not_until| {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        TooMany { retry_after_seconds: wait.as_secs() + 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_login_from_one_address_waits_after_ten_attempts() {
        let (rates, ana) = (Rates::new(true), UserId::fresh());
        let client = Some("10.0.0.1".parse().unwrap());
        for _ in 0..limits::LOGIN_ATTEMPTS_MAX {
            rates.login(client, Login::Account(ana)).unwrap();
        }
        let Err(TooMany { retry_after_seconds: seconds }) = rates.login(client, Login::Account(ana)) else {
            panic!("not limited")
        };
        assert!((1..=7).contains(&seconds), "{seconds}");
        rates.login(client, Login::Name("beto".into())).unwrap();
        rates.login(Some("10.0.0.2".parse().unwrap()), Login::Account(ana)).unwrap();
        assert!(Rates::new(false).login(client, Login::Account(ana)).is_ok());
        assert!((0..=limits::ADDRESS_ATTEMPTS_MAX).any(|_| rates.attempt(client).is_err()));
    }

    /// Attempts until the rate is used up, each from another place of a network.
    fn attempts(place: impl Fn(u16) -> String) -> u32 {
        let rates = Rates::new(true);
        let is_taken = |number: &u16| rates.attempt(Some(place(*number).parse().unwrap())).is_ok();
        u32::try_from((0..2000).take_while(is_taken).count()).unwrap()
    }

    #[test]
    fn a_customers_whole_network_has_a_rate() {
        let most = limits::ADDRESS_ATTEMPTS_MAX;
        let about = |found: u32, expected: u32| (expected..expected + 8).contains(&found);
        assert!(about(attempts(|number| format!("2001:db8:1:2::{number:x}")), most), "/64");
        assert!(about(attempts(|number| format!("2001:db8:1:2{:02x}::1", number % 256)), 2 * most), "/56");
        assert!(about(attempts(|number| format!("2001:db8:1:{number:x}00::1")), 4 * most), "/48");
        assert_eq!(attempts(|number| format!("2001:db8:{number:x}::1")), 2000, "many customers");
    }

    #[test]
    fn to_hear_that_a_name_is_taken_costs_more() {
        let (rates, client) = (Rates::new(true), Some("10.0.0.1".parse().unwrap()));
        let told = (0..100).take_while(|_| rates.registration(client).is_ok() && rates.taken(client).is_ok()).count();
        assert!((1..=8).contains(&told), "{told}");
        let other = Some("10.0.0.2".parse().unwrap());
        let tried = (0..100).take_while(|_| rates.registration(other).is_ok()).count();
        assert!(tried >= 30, "{tried}");
    }

    #[test]
    fn people_are_put_into_rooms_at_a_rate() {
        let (rates, ana) = (Rates::new(true), UserId::fresh());
        rates.participants(ana, limits::ROOM_PARTICIPANTS_NEW_MAX).unwrap();
        assert!(rates.participants(ana, 2).is_err());
        rates.participants(UserId::fresh(), 2).unwrap();
        assert!(Rates::new(false).participants(ana, 2).is_ok());
    }
}
