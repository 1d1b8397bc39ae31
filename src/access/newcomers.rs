//! Counts connections: by their client's address, those of nobody, and how many are accepted in a second.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use dashmap::{DashMap, Entry};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::access::client_address::{self, Network};
use crate::engine::shard::port::Address;
use crate::limits::{ACCEPTS_CLIENT_PART, Adjustable, NOBODYS_CLIENT_PART, RATE_KEYS_MAX};
use crate::telemetry;

/// All connections of this node over all shards; `None` when they are not counted.
pub(crate) struct Newcomers(Option<Counted>);

struct Counted {
    trusted: Vec<Network>,
    /// By a hash of the address: sessions keep it, and it is a quarter as long. Two addresses of a hundred thousand may share
    /// one, and then have the bound of one.
    addresses: DashMap<NonZeroU32, Count>,
    /// Random in each process, so that nobody can choose an address whose hash another one has.
    keys: RandomState,
    address_max: u32,
    /// Connections that have brought no request, but for those of proxies and of this machine.
    silent: AtomicU32,
    /// Sockets that have not said whose they are.
    unnamed: AtomicU32,
    nobodys_max: u32,
    accepts: DefaultDirectRateLimiter,
    accepts_of_addresses: DefaultKeyedRateLimiter<IpAddr>,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct Count {
    all: u32,
    nobodys: u32,
}

/// Why a connection is closed, as metrics name the limit.
type Limit = &'static str;

const OF_AN_ADDRESS: Limit = "sockets of an address";
const NOBODYS: Limit = "unauthenticated sockets";
const NOBODYS_OF_AN_ADDRESS: Limit = "unauthenticated sockets of an address";
const ACCEPTS_OF_AN_ADDRESS: Limit = "connections' pace of an address";
const ACCEPTS: Limit = "connections' pace";

impl Newcomers {
    pub fn new(is_on: bool, limits: &Adjustable, trusted: &[Network]) -> Self {
        let counted = || {
            let per_second = NonZeroU32::new(limits.accepts_per_second).unwrap_or(NonZeroU32::MIN);
            let part = NonZeroU32::new(per_second.get() / ACCEPTS_CLIENT_PART).unwrap_or(NonZeroU32::MIN);
            Counted {
                trusted: trusted.to_vec(),
                addresses: DashMap::new(),
                keys: RandomState::new(),
                address_max: limits.sockets_per_address,
                silent: AtomicU32::new(0),
                unnamed: AtomicU32::new(0),
                nobodys_max: limits.unauthenticated_sockets,
                accepts: RateLimiter::direct(Quota::per_second(per_second)),
                // A second's worth for all, so that everybody behind one address comes back soon after a restart.
                accepts_of_addresses: RateLimiter::keyed(Quota::per_second(part).allow_burst(per_second)),
            }
        };
        Self(is_on.then(counted))
    }

    /// How long a connection that [`Self::connected`] let in must wait; `None` if it may be served now, and is counted.
    pub fn accept_after(&self) -> Option<Duration> {
        let not_until = self.0.as_ref()?.accepts.check().err()?;
        telemetry::limit_hit(ACCEPTS, "-");
        Some(not_until.wait_time_from(DefaultClock::default().now()))
    }

    /// A connection came. Nobody knows yet whose it is. `None`: it must be closed.
    pub fn connected(&self, peer: SocketAddr) -> Option<Address> {
        let Some(counted) = &self.0 else { return Some(Address::default()) };
        let client = peer.ip().to_canonical();
        let came = counted.came(client);
        came.inspect_err(|limit| telemetry::limit_hit(limit, client)).ok()
    }

    /// A request came by a connection. If that is a proxy's, its client is counted from now on; `None`: it must be refused.
    pub fn forwarded(&self, peer: SocketAddr, headers: &HeaderMap, own: Address) -> Option<Address> {
        let Some(counted) = self.0.as_ref().filter(|counted| counted.is_trusted(peer.ip())) else { return Some(own) };
        let client = client_address::client(peer, headers, &counted.trusted);
        let address = counted.address(client);
        let counts = counted.add(address);
        counts.inspect_err(|limit| telemetry::limit_hit(limit, client)).ok().map(|()| address)
    }

    /// A request has come by a connection.
    pub fn spoke(&self, address: Address) {
        if let Some(counted) = self.0.as_ref().filter(|_| address.0.is_some()) {
            counted.is_somebodys(&counted.silent, address);
        }
    }

    /// It is known whose a socket is.
    pub fn known(&self, address: Address) {
        if let Some(counted) = &self.0 {
            counted.is_somebodys(&counted.unnamed, address);
        }
    }

    /// A socket came that says later whose it is. False: it must go.
    pub fn nobody_came(&self, address: Address) -> bool {
        let Some(counted) = &self.0 else { return true };
        let came = counted.nobody_came(&counted.unnamed, address);
        came.inspect_err(|limit| telemetry::limit_hit(limit, "a socket of pregon.v1")).is_ok()
    }

    /// A connection ended.
    pub fn disconnected(&self, address: Address) {
        if let Some(counted) = &self.0 {
            counted.take(address, |count| count.all = count.all.saturating_sub(1));
        }
    }
}

impl Counted {
    fn came(&self, client: IpAddr) -> Result<Address, Limit> {
        let address = self.address(client);
        if address.0.is_some() {
            if self.accepts_of_addresses.len() > RATE_KEYS_MAX {
                self.accepts_of_addresses.retain_recent();
            }
            let checked = self.accepts_of_addresses.check_key(&client_address::rate_key(client));
            checked.map_err(|_| ACCEPTS_OF_AN_ADDRESS)?;
        }
        self.add(address)?;
        if address.0.is_none() {
            // A proxy opens connections for others and keeps them.
            return Ok(address);
        }
        match self.nobody_came(&self.silent, address) {
            Ok(()) => Ok(address),
            Err(limit) => {
                self.take(address, |count| count.all = count.all.saturating_sub(1));
                Err(limit)
            }
        }
    }

    fn is_somebodys(&self, pool: &AtomicU32, address: Address) {
        pool.fetch_sub(1, Ordering::Relaxed);
        self.take(address, |count| count.nobodys = count.nobodys.saturating_sub(1));
    }

    fn nobody_came(&self, pool: &AtomicU32, address: Address) -> Result<(), Limit> {
        let part = (self.nobodys_max / NOBODYS_CLIENT_PART).max(1);
        if let Some(key) = address.0 {
            let mut count = self.addresses.entry(key).or_default();
            if count.nobodys >= part {
                return Err(NOBODYS_OF_AN_ADDRESS);
            }
            count.nobodys += 1;
        }
        if pool.fetch_add(1, Ordering::Relaxed) >= self.nobodys_max {
            pool.fetch_sub(1, Ordering::Relaxed);
            self.take(address, |count| count.nobodys = count.nobodys.saturating_sub(1));
            return Err(NOBODYS);
        }
        Ok(())
    }

    /// Counts one more connection of an address.
    fn add(&self, address: Address) -> Result<(), Limit> {
        let Some(key) = address.0 else { return Ok(()) };
        let mut count = self.addresses.entry(key).or_default();
        if count.all >= self.address_max {
            return Err(OF_AN_ADDRESS);
        }
        count.all += 1;
        Ok(())
    }

    fn take(&self, address: Address, less: impl FnOnce(&mut Count)) {
        let Some(key) = address.0 else { return };
        if let Entry::Occupied(mut count) = self.addresses.entry(key) {
            less(count.get_mut());
            if count.get().all == 0 && count.get().nobodys == 0 {
                count.remove();
            }
        }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The hash of a client's address. Proxies that are believed have none, and this machine has none: what comes from it
    /// without the word of such a proxy may be a proxy that no setting names.
    fn address(&self, client: IpAddr) -> Address {
        if client.is_loopback() || self.is_trusted(client) {
            return Address::default();
        }
        let hash = self.keys.hash_one(client_address::rate_key(client));
        #[expect(clippy::cast_possible_truncation, reason = "some of its bits are enough")]
        Address(NonZeroU32::new(hash as u32).or(Some(NonZeroU32::MIN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcomers(limits: Adjustable) -> Newcomers {
        Newcomers::new(true, &limits, &["10.0.0.0/8".parse().unwrap()])
    }

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 40_000)
    }

    fn is_empty(newcomers: &Newcomers) -> bool {
        let counted = newcomers.0.as_ref().unwrap();
        let pools = [&counted.silent, &counted.unnamed].map(|pool| pool.load(Ordering::Relaxed));
        counted.addresses.is_empty() && pools == [0, 0]
    }

    #[test]
    fn an_address_has_so_many_and_a_network_of_ipv6_is_one() {
        let newcomers = newcomers(Adjustable { sockets_per_address: 3, ..Adjustable::default() });
        let open = |address: &str| newcomers.connected(peer(address)).inspect(|address| newcomers.spoke(*address));
        for network in [["203.0.113.7"; 4], ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"]] {
            let open: Vec<_> = network.iter().map(|address| open(address)).collect();
            assert!(open[..3].iter().all(Option::is_some) && open[3].is_none(), "{network:?}");
            assert!(newcomers.connected(peer("203.0.113.8")).is_some_and(|other| {
                newcomers.spoke(other);
                newcomers.disconnected(other);
                true
            }));
            open.into_iter().flatten().for_each(|address| newcomers.disconnected(address));
        }
        assert!(is_empty(&newcomers));
        let near: Vec<_> = ["127.0.0.1", "::1", "10.1.2.3"].iter().flat_map(|address| [open(address); 5]).collect();
        assert!(near.iter().all(|address| *address == Some(Address::default())), "this machine, and who is believed");
        assert!(is_empty(&newcomers));
    }

    #[test]
    fn behind_a_proxy_that_is_believed_each_client_has_its_own() {
        let newcomers = newcomers(Adjustable { sockets_per_address: 2, ..Adjustable::default() });
        let forwarded = |by: &str, client: &str| {
            let headers = HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), client.parse().unwrap())]);
            newcomers.forwarded(peer(by), &headers, Address::default())
        };
        let open = [0; 2].map(|_| forwarded("10.0.0.1", "203.0.113.7").unwrap());
        assert_eq!(forwarded("10.0.0.1", "203.0.113.7"), None);
        assert!(open[0].0.is_some() && forwarded("10.0.0.1", "203.0.113.8").is_some_and(|other| other != open[0]));
        assert_eq!(forwarded("192.0.2.1", "203.0.113.7"), Some(Address::default()), "nobody believes this one");
        newcomers.disconnected(open[0]);
        assert!(forwarded("10.0.0.1", "203.0.113.7").is_some());
    }

    #[test]
    fn those_of_nobody_are_few_and_one_address_has_a_part_of_them() {
        let newcomers = newcomers(Adjustable { unauthenticated_sockets: 32, ..Adjustable::default() });
        let mut open: Vec<Address> = (0..2).map(|_| newcomers.connected(peer("203.0.113.1")).unwrap()).collect();
        assert_eq!(newcomers.connected(peer("203.0.113.1")), None, "a sixteenth");
        assert!(!newcomers.nobody_came(open[0]), "nor inside");
        open.extend((2..32).map(|last| newcomers.connected(peer(&format!("203.0.113.{last}"))).unwrap()));
        assert_eq!(newcomers.connected(peer("203.0.113.99")), None);
        let machine = newcomers.connected(peer("127.0.0.1")).expect("a proxy on this machine comes in all the same");
        newcomers.spoke(machine);
        newcomers.disconnected(machine);
        newcomers.spoke(open[0]);
        assert!(newcomers.nobody_came(open[0]), "what has come in is counted apart from what is at the door");
        newcomers.known(open[0]);
        newcomers.disconnected(open[0]);
        open[1..].iter().for_each(|address| (newcomers.spoke(*address), newcomers.disconnected(*address)).0);
        assert!(is_empty(&newcomers));
    }

    #[test]
    fn connections_are_accepted_at_a_rate_and_one_address_has_a_part_of_it() {
        let newcomers = newcomers(Adjustable { accepts_per_second: 20, ..Adjustable::default() });
        let at_once = (0..1000).take_while(|_| newcomers.accept_after().is_none()).count();
        assert!((20..30).contains(&at_once), "{at_once}");
        assert!(newcomers.accept_after().is_some_and(|wait| wait <= Duration::from_millis(50)));
        let of_one = (0..1000).take_while(|_| newcomers.connected(peer("203.0.113.1")).is_some()).count();
        assert!((20..30).contains(&of_one), "{of_one}");
        assert!(newcomers.connected(peer("203.0.113.2")).is_some());
        let off = Newcomers::new(false, &Adjustable { accepts_per_second: 1, ..Adjustable::default() }, &[]);
        assert!((0..1000).all(|_| off.accept_after().is_none() && off.connected(peer("203.0.113.1")).is_some()));
    }
}
