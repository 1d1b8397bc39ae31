//! Limits how often a user may open sockets on one room or post. Clients that reconnect in a loop are delayed, not
//! refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dashmap::DashMap;
use tokio::sync::Mutex;
use tokio::time::{sleep_until, timeout};

use crate::ids::{Topic, UserId};
use crate::limits::{
    HANDSHAKE_EVERY, HANDSHAKE_HELD_MAX, HANDSHAKE_KEYS_MAX, HANDSHAKES_HELD_KEY_MAX, HANDSHAKES_HELD_USER_MAX,
};

/// The rate of handshakes; `None` when it is unlimited.
#[derive(Clone)]
pub(crate) struct Reconnects(Option<Arc<Turnstiles>>);

struct Turnstiles {
    of_keys: DashMap<(UserId, Topic), Arc<Turnstile>>,
    /// The number of waiting handshakes of each user.
    held: DashMap<UserId, usize>,
    /// When the table reaches this size, keys that nobody has used for a while are dropped.
    sweep_at: AtomicUsize,
}

#[derive(Default)]
struct Turnstile {
    /// When the last handshake passed. The lock serves its waiters in the order of arrival.
    passed: Mutex<Option<Instant>>,
    held: AtomicUsize,
}

/// The decision about a handshake.
pub(crate) enum Pass {
    /// It may go on at once.
    Now,
    /// It must wait for its turn.
    Later(Held),
    /// Too many are waiting already.
    Never,
}

/// A handshake that waits. Dropping it gives up its place.
pub(crate) struct Held {
    turnstiles: Arc<Turnstiles>,
    turnstile: Arc<Turnstile>,
    user: UserId,
}

impl Reconnects {
    pub fn new(is_on: bool) -> Self {
        let turnstiles = || Turnstiles {
            of_keys: DashMap::new(),
            held: DashMap::new(),
            sweep_at: AtomicUsize::new(HANDSHAKE_KEYS_MAX),
        };
        Self(is_on.then(|| Arc::new(turnstiles())))
    }

    /// A user opens a socket on a room or post.
    pub fn pass(&self, user: UserId, topic: Topic) -> Pass {
        let Some(turnstiles) = &self.0 else { return Pass::Now };
        turnstiles.sweep();
        let turnstile = turnstiles.of_keys.entry((user, topic)).or_default().clone();
        if let Ok(mut passed) = turnstile.passed.try_lock()
            && passed.is_none_or(|passed| passed.elapsed() >= HANDSHAKE_EVERY)
        {
            *passed = Some(Instant::now());
            return Pass::Now;
        }
        let is_crowded = |before: usize, most| before >= most;
        // Both counters are raised before either is checked, and lowered together.
        let of_key = turnstile.held.fetch_add(1, Ordering::Relaxed);
        let of_user = {
            let mut held = turnstiles.held.entry(user).or_default();
            *held += 1;
            *held - 1
        };
        let held = Held { turnstiles: turnstiles.clone(), turnstile, user };
        if is_crowded(of_key, HANDSHAKES_HELD_KEY_MAX) || is_crowded(of_user, HANDSHAKES_HELD_USER_MAX) {
            return Pass::Never;
        }
        Pass::Later(held)
    }
}

impl Turnstiles {
    fn sweep(&self) {
        if self.of_keys.len() <= self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        self.of_keys.retain(|_, turnstile| {
            let is_recent = |passed: Option<Instant>| passed.is_some_and(|passed| passed.elapsed() < HANDSHAKE_EVERY);
            Arc::strong_count(turnstile) > 1 || turnstile.passed.try_lock().is_ok_and(|passed| is_recent(*passed))
        });
        self.sweep_at.store(HANDSHAKE_KEYS_MAX.max(self.of_keys.len() * 2), Ordering::Relaxed);
    }
}

impl Held {
    /// Waits for its turn. Returns false if that takes too long.
    pub async fn turn(self) -> bool {
        let turn = async {
            let mut passed = self.turnstile.passed.lock().await;
            if let Some(passed) = *passed {
                sleep_until((passed + HANDSHAKE_EVERY).into()).await;
            }
            *passed = Some(Instant::now());
        };
        timeout(HANDSHAKE_HELD_MAX, turn).await.is_ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.turnstile.held.fetch_sub(1, Ordering::Relaxed);
        if let dashmap::Entry::Occupied(mut held) = self.turnstiles.held.entry(self.user) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PostId, RoomId};

    #[tokio::test]
    async fn one_a_second_for_each_user_and_room_and_the_rest_in_their_order() {
        let reconnects = Reconnects::new(true);
        let [ana, beto] = [UserId::fresh(), UserId::fresh()];
        let room = Topic::Room(RoomId::fresh());
        let post = Topic::Post(PostId::fresh());
        for (user, topic) in [(ana, room), (beto, room), (ana, post)] {
            assert!(matches!(reconnects.pass(user, topic), Pass::Now));
        }
        let began = Instant::now();
        let mut held = Vec::new();
        for _ in 0..HANDSHAKES_HELD_KEY_MAX {
            let Pass::Later(one) = reconnects.pass(ana, room) else { panic!("after {}", held.len()) };
            held.push(one);
        }
        assert!(matches!(reconnects.pass(ana, room), Pass::Never));
        // The ones in between give up.
        let first = held.remove(0);
        let last = held.pop().unwrap();
        drop(held);
        assert!(first.turn().await && began.elapsed() >= HANDSHAKE_EVERY);
        assert!(last.turn().await && began.elapsed() >= HANDSHAKE_EVERY * 2);
        assert!(began.elapsed() < HANDSHAKE_EVERY * 10, "{:?}", began.elapsed());
        let turnstiles = reconnects.0.as_ref().unwrap();
        assert!(turnstiles.held.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_user_waits_at_a_bounded_number_of_doors_and_old_keys_go() {
        let reconnects = Reconnects::new(true);
        let ana = UserId::fresh();
        let mut held = Vec::new();
        'rooms: loop {
            let room = Topic::Room(RoomId::fresh());
            assert!(matches!(reconnects.pass(ana, room), Pass::Now));
            for _ in 0..HANDSHAKES_HELD_KEY_MAX {
                match reconnects.pass(ana, room) {
                    Pass::Later(one) => held.push(one),
                    Pass::Never => break 'rooms,
                    Pass::Now => panic!("not held"),
                }
            }
        }
        assert_eq!(held.len(), HANDSHAKES_HELD_USER_MAX);
        assert!(matches!(Reconnects::new(false).pass(ana, Topic::Feed(ana)), Pass::Now));
    }
}
