//! Bars clients from the handshake that come again and again with a token that is not good.
//!
//! The app's page takes an opened socket for success, so inside the socket it is refused for ever, every two seconds. A
//! handshake that fails counts for it, and it gives up.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dashmap::DashMap;

use crate::access::client_address;
use crate::limits::{BAD_TOKEN_BAR, BAD_TOKEN_MEMORY, BAD_TOKENS_MAX, BAD_TOKENS_REMEMBERED};

/// What was refused; `None` when nobody is barred.
pub(crate) struct BadTokens(Option<Refused>);

struct Refused {
    /// By a hash of the address and the token, which is not kept.
    tries: DashMap<u64, Tries>,
    /// Random in each process, so that nobody can choose a token whose hash another one has.
    keys: RandomState,
    began: Instant,
    /// In seconds since then: when what is too old may be forgotten again. That looks at all of it.
    sweep_at: AtomicU64,
}

/// The table is looked through so often at most.
const SWEEP_SECONDS: u64 = 10;

/// How often a token was refused.
#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u8,
    last: Instant,
}

/// A client with a token, or a ticket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown(u64);

impl BadTokens {
    pub fn new(is_on: bool) -> Self {
        let refused = || Refused {
            tries: DashMap::new(),
            keys: RandomState::new(),
            began: Instant::now(),
            sweep_at: AtomicU64::new(0),
        };
        Self(is_on.then(refused))
    }

    /// A client shows a token. `None` if nobody is barred.
    pub fn shown(&self, client: IpAddr, token: &str) -> Option<Shown> {
        self.0.as_ref().map(|refused| Shown(refused.keys.hash_one((client_address::rate_key(client), token))))
    }

    /// It was refused too often a short time ago.
    pub fn are_barred(&self, shown: Option<Shown>, now: Instant) -> bool {
        let (Some(refused), Some(Shown(key))) = (&self.0, shown) else { return false };
        refused.tries.get(&key).is_some_and(|tries| tries.is_barred(now))
    }

    /// It was refused.
    pub fn refused(&self, shown: Option<Shown>, now: Instant) {
        let (Some(refused), Some(Shown(key))) = (&self.0, shown) else { return };
        let seconds = now.saturating_duration_since(refused.began).as_secs();
        if refused.tries.len() >= BAD_TOKENS_REMEMBERED / 2 && seconds >= refused.sweep_at.load(Ordering::Relaxed) {
            refused.sweep_at.store(seconds + SWEEP_SECONDS, Ordering::Relaxed);
            refused.tries.retain(|_, tries| tries.is_remembered(now));
        }
        if refused.tries.len() >= BAD_TOKENS_REMEMBERED {
            // Whoever comes is judged each time.
            return;
        }
        let mut tries = refused.tries.entry(key).or_insert(Tries { count: 0, last: now });
        let is_over = !tries.is_remembered(now) || tries.count >= BAD_TOKENS_MAX && !tries.is_barred(now);
        let count = if is_over { 0 } else { tries.count };
        *tries = Tries { count: count.saturating_add(1), last: now };
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

    #[test]
    fn three_refusals_of_one_token_from_one_address_bar_it_for_a_while() {
        let (tokens, began) = (BadTokens::new(true), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let old = tokens.shown(address("2001:db8::1"), "old");
        for number in 0..BAD_TOKENS_MAX {
            assert!(!tokens.are_barred(old, began), "after {number}");
            tokens.refused(old, began);
        }
        assert!(tokens.are_barred(old, began));
        assert!(tokens.are_barred(tokens.shown(address("2001:db8::2"), "old"), began), "the same network");
        assert!(!tokens.are_barred(tokens.shown(address("2001:db8::1"), "new"), began));
        assert!(!tokens.are_barred(tokens.shown(address("203.0.113.1"), "old"), began));
        let later = began + BAD_TOKEN_BAR;
        assert!(!tokens.are_barred(old, later));
        tokens.refused(old, later);
        assert!(!tokens.are_barred(old, later), "it is counted anew");
        let off = BadTokens::new(false);
        (0..9).for_each(|_| off.refused(off.shown(address("203.0.113.1"), "old"), began));
        assert!(!off.are_barred(off.shown(address("203.0.113.1"), "old"), began));
    }

    #[test]
    fn refusals_that_lie_far_apart_bar_nobody() {
        let (tokens, began) = (BadTokens::new(true), Instant::now());
        let shown = tokens.shown("203.0.113.1".parse().unwrap(), "old");
        for number in 0..9 {
            let now = began + BAD_TOKEN_MEMORY * number;
            tokens.refused(shown, now);
            assert!(!tokens.are_barred(shown, now));
        }
    }

    #[test]
    fn a_bounded_number_is_remembered() {
        let (tokens, began) = (BadTokens::new(true), Instant::now());
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
}
