//! Rate limits: on attempts to log in or register, and on the requests of one user.

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::access::client_address;
use crate::ids::{Topic, UserId};
use crate::limits;
use crate::telemetry;

/// All limiters; `None` when limits are off.
pub struct Rates(Option<Limiters>);

struct Limiters {
    logins: DefaultKeyedRateLimiter<(IpAddr, Login)>,
    attempts: Addresses,
    registrations: Addresses,
    users: DefaultKeyedRateLimiter<UserId>,
    participants: DefaultKeyedRateLimiter<UserId>,
    subscriptions: DefaultKeyedRateLimiter<(UserId, Topic)>,
}

/// The key that login attempts are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Login {
    /// An account, under any of its names.
    Account(UserId),
    /// A name that belongs to no account.
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
    /// Turns all limits on, or off as on a developer's machine.
    pub fn new(on: bool) -> Self {
        let users = Quota::per_second(at_least_one(limits::USER_REQUESTS_PER_SECOND))
            .allow_burst(at_least_one(limits::USER_REQUESTS_MAX));
        let participants = Quota::per_second(at_least_one(limits::PARTICIPANTS_PER_SECOND))
            .allow_burst(at_least_one(limits::PARTICIPANTS_AT_ONCE));
        let subscriptions = Quota::per_second(at_least_one(limits::SUBSCRIPTIONS_PER_SECOND))
            .allow_burst(at_least_one(limits::SUBSCRIPTIONS_AT_ONCE));
        Self(on.then(|| Limiters {
            logins: RateLimiter::keyed(Quota::per_minute(at_least_one(limits::LOGIN_ATTEMPTS_MAX))),
            attempts: Addresses::new(limits::ADDRESS_ATTEMPTS_MAX),
            registrations: Addresses::new(limits::REGISTRATIONS_MAX),
            users: RateLimiter::keyed(users),
            participants: RateLimiter::keyed(participants),
            subscriptions: RateLimiter::keyed(subscriptions),
        }))
    }

    /// Counts an attempt to log in from an address, before the name is looked up.
    ///
    /// # Errors
    /// The rate is used up.
    pub fn attempt(&self, client: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        told(limiters.attempts.check(client, 1), "logins of an address", client)
    }

    /// Counts an attempt to log in to `login`. It is called after [`Self::attempt`], so that nobody can fill this table
    /// with invented names.
    ///
    /// # Errors
    /// The rate is used up.
    pub fn login(&self, client: Option<IpAddr>, login: Login) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        told(check(&limiters.logins, &(client_address::rate_key(client), login)), "logins of an account", client)
    }

    /// Counts an attempt to register from an address.
    ///
    /// # Errors
    /// The rate is used up.
    pub fn registration(&self, client: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        told(limiters.registrations.check(client, 1), "registrations", client)
    }

    /// Counts a registration that is told that its address or name is taken. It costs extra attempts, because it
    /// reveals who is registered.
    ///
    /// # Errors
    /// The rate is used up: the answer must not reveal it.
    pub fn taken(&self, client: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiters), Some(client)) = (&self.0, client) else { return Ok(()) };
        told(limiters.registrations.check(client, limits::TAKEN_COST), "registrations", client)
    }

    /// Counts a request of a user.
    ///
    /// # Errors
    /// The rate is used up.
    pub fn request(&self, user: UserId) -> Result<(), TooMany> {
        self.0.as_ref().map_or(Ok(()), |limiters| told(check(&limiters.users, &user), "requests", user))
    }

    /// Counts `count` users that a user adds to a room.
    ///
    /// # Errors
    /// The rate is used up.
    pub fn participants(&self, user: UserId, count: usize) -> Result<(), TooMany> {
        let Some(limiters) = &self.0 else { return Ok(()) };
        // A room of the largest size takes the whole burst.
        let cost = u32::try_from(count).unwrap_or(u32::MAX).clamp(1, limits::PARTICIPANTS_AT_ONCE);
        told(check_some(&limiters.participants, &user, cost), "participants", user)
    }

    /// Counts a subscription of a user's socket of `pregon.v1` to a topic.
    ///
    /// # Errors
    /// The rate is used up. Returns the time until one more is allowed, in milliseconds.
    pub fn subscription(&self, user: UserId, topic: Topic) -> Result<(), u32> {
        let Some(limiters) = &self.0 else { return Ok(()) };
        wait(&limiters.subscriptions, &(user, topic), 1).map_err(|wait| {
            telemetry::limit_hit("subscriptions' pace", user);
            u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).saturating_add(1)
        })
    }
}

/// A rate for each address. For IPv6 there is also a rate for each larger network that one customer may own, twice as
/// high at each step.
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
    /// The time until one more is allowed, rounded up.
    pub retry_after_seconds: u64,
}

fn check<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), TooMany> {
    check_some(limiter, key, 1)
}

fn check_some<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, cost: u32) -> Result<(), TooMany> {
    wait(limiter, key, cost).map_err(|wait| TooMany { retry_after_seconds: wait.as_secs() + 1 })
}

/// As an error the time until so many are allowed.
fn wait<K: Hash + Eq + Clone>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, cost: u32) -> Result<(), Duration> {
    if limiter.len() > limits::RATE_KEYS_MAX {
        limiter.retain_recent();
    }
    let checked = limiter.check_key_n(key, at_least_one(cost)).unwrap_or(Ok(()));
    checked.map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_login_from_one_address_waits_after_ten_attempts() {
        let rates = Rates::new(true);
        let ana = UserId::fresh();
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

    /// The number of attempts until the rate is used up, each from another address of a network.
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
        let rates = Rates::new(true);
        let client = Some("10.0.0.1".parse().unwrap());
        let told = (0..100).take_while(|_| rates.registration(client).is_ok() && rates.taken(client).is_ok()).count();
        assert!((1..=8).contains(&told), "{told}");
        let other = Some("10.0.0.2".parse().unwrap());
        let tried = (0..100).take_while(|_| rates.registration(other).is_ok()).count();
        assert!(tried >= 30, "{tried}");
    }

    #[test]
    fn people_are_put_into_rooms_at_a_rate() {
        let rates = Rates::new(true);
        let ana = UserId::fresh();
        rates.participants(ana, limits::ROOM_PARTICIPANTS_NEW_MAX).unwrap();
        assert!(rates.participants(ana, 2).is_err());
        rates.participants(UserId::fresh(), 2).unwrap();
        assert!(Rates::new(false).participants(ana, 2).is_ok());
    }

    #[test]
    fn a_topic_is_subscribed_to_at_a_rate_and_other_topics_have_their_own() {
        let rates = Rates::new(true);
        let (ana, topics) = (UserId::fresh(), [0; 2].map(|_| Topic::Room(crate::ids::RoomId::fresh())));
        for topic in topics {
            let most = (0..100).take_while(|_| rates.subscription(ana, topic).is_ok()).count();
            assert!((5..7).contains(&most), "{most}");
        }
        let wait = rates.subscription(ana, topics[0]).unwrap_err();
        assert!((1..=1001).contains(&wait), "{wait}");
        rates.subscription(UserId::fresh(), topics[0]).unwrap();
        assert!((0..100).all(|_| Rates::new(false).subscription(ana, topics[0]).is_ok()));
    }
}
