//! Bars clients from the handshake that come again and again with a token that is not good.
//!
//! The app's page takes an opened socket for success, so inside the socket it is refused for ever, every two seconds. A
//! handshake that fails counts for it, and it gives up.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dashmap::DashMap;
use ring::hmac::Key;

use crate::access::{client_address, crypto};
use crate::limits::{BAD_TOKEN_BAR, BAD_TOKEN_MEMORY, BAD_TOKENS_MAX, BAD_TOKENS_REMEMBERED};
use crate::telemetry;

/// What was refused; `None` when nobody is barred.
pub(crate) struct BadTokens(Option<Refused>);

struct Refused {
    /// By a hash of the address and the token, which is not kept.
    tries: DashMap<u64, Tries>,
    /// All nodes have the same.
    marker: Key,
    /// Tells other nodes who is barred.
    tell: OnceLock<Box<dyn Fn(u64) + Send + Sync>>,
    began: Instant,
    /// In seconds since then: when what is too old may be forgotten again. That looks at all of it.
    sweep_at: AtomicU64,
}

/// Its name in metrics.
const LIMIT: &str = "bad tokens";

/// The table is looked through so often at most.
const SWEEP_SECONDS: u64 = 10;

/// How often a token was refused.
#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u8,
    last: Instant,
    /// Another node says so. It may not have a key yet that this one has.
    is_told: bool,
}

/// A client with a token, or a ticket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    key: u64,
    client: IpAddr,
}

impl BadTokens {
    /// `shared` is the same on all nodes.
    pub fn new(is_on: bool, shared: &[u8]) -> Self {
        let refused = || Refused {
            tries: DashMap::new(),
            marker: crypto::marker(shared, b"pregon: refused tokens"),
            tell: OnceLock::new(),
            began: Instant::now(),
            sweep_at: AtomicU64::new(0),
        };
        Self(is_on.then(refused))
    }

    /// A client shows a token. `None` if nobody is barred.
    pub fn shown(&self, client: IpAddr, token: &str) -> Option<Shown> {
        let refused = self.0.as_ref()?;
        let address = match client_address::rate_key(client) {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Some(Shown { key: crypto::mark(&refused.marker, [&address.octets(), token.as_bytes()]), client })
    }

    /// Has other nodes told who is barred here. Only the first call counts.
    pub fn tell(&self, tell: impl Fn(u64) + Send + Sync + 'static) {
        if let Some(refused) = &self.0 {
            let _ = refused.tell.set(Box::new(tell));
        }
    }

    /// Another node has barred a client with a token.
    pub fn bar(&self, key: u64, now: Instant) {
        if let Some(refused) = self.0.as_ref().filter(|refused| refused.has_room(now)) {
            refused.tries.insert(key, Tries { count: BAD_TOKENS_MAX, last: now, is_told: true });
            telemetry::limit_hit(LIMIT, "another node's client");
        }
    }

    /// It was refused too often a short time ago: here, or on another node and `is_good` does not find it good either.
    pub fn are_barred(&self, shown: Option<Shown>, now: Instant, is_good: impl FnOnce() -> bool) -> bool {
        let (Some(refused), Some(Shown { key, .. })) = (&self.0, shown) else { return false };
        let tries = refused.tries.get(&key).map(|tries| *tries);
        tries.is_some_and(|tries| tries.is_barred(now) && !(tries.is_told && is_good()))
    }

    /// It was refused.
    pub fn refused(&self, shown: Option<Shown>, now: Instant) {
        let (Some(refused), Some(Shown { key, client })) = (&self.0, shown) else { return };
        if !refused.has_room(now) {
            // Whoever comes is judged each time.
            return;
        }
        let count = {
            let mut tries = refused.tries.entry(key).or_insert(Tries { count: 0, last: now, is_told: false });
            let is_over = !tries.is_remembered(now) || tries.count >= BAD_TOKENS_MAX && !tries.is_barred(now);
            let count = if is_over { 1 } else { tries.count.saturating_add(1) };
            *tries = Tries { count, last: now, is_told: false };
            count
        };
        if count == BAD_TOKENS_MAX {
            telemetry::limit_hit(LIMIT, client);
            if let Some(tell) = refused.tell.get() {
                tell(key);
            }
        }
    }
}

impl Refused {
    /// Forgets what is too old, if the table is large.
    fn has_room(&self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        let due = self.sweep_at.load(Ordering::Relaxed);
        let is_mine = || {
            let next = seconds + SWEEP_SECONDS;
            self.sweep_at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if self.tries.len() >= BAD_TOKENS_REMEMBERED / 2 && seconds >= due && is_mine() {
            self.tries.retain(|_, tries| tries.is_remembered(now));
        }
        self.tries.len() < BAD_TOKENS_REMEMBERED
    }
}

impl Tries {
    fn is_barred(&self, now: Instant) -> bool {
        self.count >= BAD_TOKENS_MAX && now.saturating_duration_since(self.last) < BAD_TOKEN_BAR
    }

    fn is_remembered(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < BAD_TOKEN_MEMORY
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECRET: &[u8] = b"a secret of the tests, long enough";

    #[test]
    fn three_refusals_of_one_token_from_one_address_bar_it_for_a_while() {
        let (tokens, began) = (BadTokens::new(true, SECRET), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let old = tokens.shown(address("2001:db8::1"), "old");
        for number in 0..BAD_TOKENS_MAX {
            assert!(!tokens.are_barred(old, began, || false), "after {number}");
            tokens.refused(old, began);
        }
        assert!(tokens.are_barred(old, began, || false));
        assert!(tokens.are_barred(tokens.shown(address("2001:db8::2"), "old"), began, || false), "the same network");
        assert!(!tokens.are_barred(tokens.shown(address("2001:db8::1"), "new"), began, || false));
        assert!(!tokens.are_barred(tokens.shown(address("203.0.113.1"), "old"), began, || false));
        let later = began + BAD_TOKEN_BAR;
        assert!(!tokens.are_barred(old, later, || false));
        tokens.refused(old, later);
        assert!(!tokens.are_barred(old, later, || false), "it is counted anew");
        let off = BadTokens::new(false, SECRET);
        (0..9).for_each(|_| off.refused(off.shown(address("203.0.113.1"), "old"), began));
        assert!(!off.are_barred(off.shown(address("203.0.113.1"), "old"), began, || false));
    }

    #[test]
    fn refusals_that_lie_far_apart_bar_nobody() {
        let (tokens, began) = (BadTokens::new(true, SECRET), Instant::now());
        let shown = tokens.shown("203.0.113.1".parse().unwrap(), "old");
        for number in 0..9 {
            let now = began + BAD_TOKEN_MEMORY * number;
            tokens.refused(shown, now);
            assert!(!tokens.are_barred(shown, now, || false));
        }
    }

    #[test]
    fn a_bounded_number_is_remembered() {
        let (tokens, began) = (BadTokens::new(true, SECRET), Instant::now());
        let refuse = |from: usize, now| {
            for number in from..from + 2 * BAD_TOKENS_REMEMBERED {
                tokens.refused(tokens.shown("203.0.113.1".parse().unwrap(), &number.to_string()), now);
            }
            tokens.0.as_ref().unwrap().tries.len()
        };
        assert_eq!(refuse(0, began), BAD_TOKENS_REMEMBERED);
        let later = began + BAD_TOKEN_MEMORY + Duration::from_secs(1);
        assert_eq!(refuse(1_000_000, later), BAD_TOKENS_REMEMBERED, "what is old is forgotten for it");
    }

    #[test]
    fn other_nodes_are_told_once_and_bar_the_same() {
        let (here, there, now) = (BadTokens::new(true, SECRET), BadTokens::new(true, SECRET), Instant::now());
        let told = std::sync::Arc::<std::sync::Mutex<Vec<u64>>>::default();
        let heard = told.clone();
        here.tell(move |key| heard.lock().unwrap().push(key));
        let shown = |tokens: &BadTokens| tokens.shown("203.0.113.1".parse().unwrap(), "old");
        (0..5).for_each(|_| here.refused(shown(&here), now));
        let [key] = told.lock().unwrap()[..] else { panic!("{told:?}") };
        there.bar(key, now);
        assert!(there.are_barred(shown(&there), now, || false));
        assert!(!there.are_barred(shown(&there), now, || true), "that node may not have the key yet");
        let elsewhere = BadTokens::new(true, b"another secret, just as long as it");
        elsewhere.bar(key, now);
        assert!(!elsewhere.are_barred(shown(&elsewhere), now, || false), "a cluster with another secret");
    }
}
