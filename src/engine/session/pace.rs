//! How often clients may speak: rates of one socket and of a user's sockets together, by the kind of frame.
//!
//! Each rate is a "generic cell rate algorithm" (ITU-T I.371): one number, the time at which what was taken is paid for. A
//! socket's numbers are its shard's alone. A user's are shared by all shards, without locks, and without memory for each user:
//! a user has two places in a table of fixed size, and a rate is used up when it is at both. Whoever shares both with somebody
//! has one rate with them. Frames that two shards take at the same moment may count as one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::ids::UserId;
use crate::limits::{
    DURABLE_BURST_SECONDS, EXCESS_FRAMES_MAX, EXCESS_FRAMES_PER_SECOND, FRAME_PLACES, FRAMES_PER_SECOND_MAX,
    FrameRates, PASSING_BURST_SECONDS, REQUEST_BURST_MIN, REQUEST_BURST_SECONDS, SESSION_LIFE, USER_FRAMES_FACTOR,
};

/// Kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Passed on and not stored: typing and signals.
    Passing,
    /// To be stored.
    Durable,
    /// All others, and what is no request.
    Request,
}

impl Kind {
    /// All of them, as metrics name them.
    pub const NAMES: [&'static str; 3] = ["ephemeral", "durable", "request"];
}

/// A socket's numbers count ticks of so many microseconds, as a power of two: 64 µs.
const TICK_BITS: u32 = 6;
const TICK_MICROS: u32 = 1 << TICK_BITS;

// They wrap around, and are told apart from the time by half of their range.
const _: () = assert!(SESSION_LIFE.as_micros() >> TICK_BITS < (u32::MAX / 2) as u128);
// The fastest rate is still some ticks for each frame.
const _: () = assert!(FRAMES_PER_SECOND_MAX <= 1_000_000 / TICK_MICROS / 8);

/// A rate and how many may come at once.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// The time that one frame pays for.
    each: u32,
    /// The time that may be taken ahead.
    ahead: u32,
}

impl Rate {
    /// In units of so many microseconds.
    fn new(unit_micros: u32, per_second: u32, at_once: u32) -> Self {
        let each = (1_000_000 / unit_micros / per_second.max(1)).max(1);
        Self { each, ahead: each.saturating_mul(at_once) }
    }

    /// How far ahead the next frame brings who is so far ahead, or how long it has to wait.
    fn next(self, ahead: u32) -> Result<u32, u32> {
        let next = ahead.saturating_add(self.each);
        if next <= self.ahead { Ok(next) } else { Err(next - self.ahead) }
    }
}

/// Why a frame is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFast {
    /// When one more is, in milliseconds.
    pub wait_ms: u32,
    /// The user's sockets together said too much, not this one alone.
    pub is_users: bool,
    /// The socket goes on beyond its rates, so it has to go.
    pub is_over: bool,
}

/// What one socket has said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    kinds: [u32; 3],
    excess: u32,
}

// Every session has one.
const _: () = assert!(size_of::<Said>() == 16);

/// The rates, and what users have said.
pub struct Paces {
    /// From here on ticks are counted, on all shards.
    began: Instant,
    sockets: [Rate; 3],
    users: [Rate; 3],
    excess: Rate,
    /// Two tables for each kind, side by side.
    places: Box<[AtomicU64]>,
    /// Random in each process, so that nobody can choose who shares places.
    keys: [u64; 2],
}

impl std::fmt::Debug for Paces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Paces").field("sockets", &self.sockets).field("users", &self.users).finish_non_exhaustive()
    }
}

impl Paces {
    /// Nobody has said anything. The time is counted from `began`; `keys` are random.
    pub fn new(rates: FrameRates, began: Instant, keys: [u64; 2]) -> Self {
        let FrameRates { passing, durable, requests } = rates;
        let of = |unit_micros: u32, factor: u32| {
            let rate = |per_second: u32, seconds: u32, least: u32| {
                let at_once = (per_second * seconds).max(least);
                Rate::new(unit_micros, per_second * factor, at_once * factor)
            };
            [
                rate(passing, PASSING_BURST_SECONDS, 1),
                rate(durable, DURABLE_BURST_SECONDS, 1),
                rate(requests, REQUEST_BURST_SECONDS, REQUEST_BURST_MIN),
            ]
        };
        Self {
            began,
            sockets: of(TICK_MICROS, 1),
            users: of(1, USER_FRAMES_FACTOR),
            excess: Rate::new(TICK_MICROS, EXCESS_FRAMES_PER_SECOND, EXCESS_FRAMES_MAX),
            places: (0..2 * 3 * FRAME_PLACES).map(|_| AtomicU64::new(0)).collect(),
            keys,
        }
    }

    /// A socket that begins.
    pub fn beginning(&self, now: Instant) -> Said {
        let now = ticks(self.micros(now));
        Said { kinds: [now; 3], excess: now }
    }

    /// Takes one frame of a socket, and of its user if it is known.
    ///
    /// # Errors
    /// It comes too fast, and counts as excess of the socket.
    #[inline]
    pub fn take(&self, said: &mut Said, user: Option<UserId>, kind: Kind, now: Instant) -> Result<(), TooFast> {
        let (micros, place) = (self.micros(now), kind as usize);
        let now = ticks(micros);
        let (wait_micros, is_users) = match take(&mut said.kinds[place], self.sockets[place], now) {
            Err(wait) => (wait.saturating_mul(TICK_MICROS), false),
            Ok(()) => match user.map_or(Ok(()), |user| self.take_of(user, kind, micros)) {
                Ok(()) => return Ok(()),
                Err(wait) => (wait, true),
            },
        };
        let is_over = take(&mut said.excess, self.excess, now).is_err();
        Err(TooFast { wait_ms: wait_micros / 1000 + 1, is_users, is_over })
    }

    fn take_of(&self, user: UserId, kind: Kind, micros: u64) -> Result<(), u32> {
        let places = self.places_of(user, kind);
        // Whoever shares one place with others has said as much as the other place says.
        let paid = places[0].load(Ordering::Relaxed).min(places[1].load(Ordering::Relaxed));
        let ahead = u32::try_from(paid.saturating_sub(micros)).unwrap_or(u32::MAX);
        let paid = micros + u64::from(self.users[kind as usize].next(ahead)?);
        for place in places {
            place.fetch_max(paid, Ordering::Relaxed);
        }
        Ok(())
    }

    fn places_of(&self, user: UserId, kind: Kind) -> [&AtomicU64; 2] {
        let (high, low) = user.0.as_u64_pair();
        let product = u128::from(high ^ self.keys[0]) * u128::from(low ^ self.keys[1]);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
        let mixed = (product as u64) ^ ((product >> 64) as u64);
        let table = 2 * kind as usize * FRAME_PLACES;
        #[expect(clippy::cast_possible_truncation, reason = "some bits are wanted")]
        let [one, other] = [mixed as usize, (mixed >> 32) as usize].map(|bits| bits % FRAME_PLACES);
        [&self.places[table + one], &self.places[table + FRAME_PLACES + other]]
    }

    fn micros(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.began);
        passed.as_secs() * 1_000_000 + u64::from(passed.subsec_micros())
    }
}

/// Takes one frame by a number that wraps around, or says how many ticks it has to wait.
fn take(paid: &mut u32, rate: Rate, now: u32) -> Result<(), u32> {
    let ahead = paid.wrapping_sub(now);
    // What seems far ahead was paid for long ago.
    let ahead = if ahead > u32::MAX / 2 { 0 } else { ahead };
    *paid = now.wrapping_add(rate.next(ahead)?);
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a socket's numbers wrap around")]
fn ticks(micros: u64) -> u32 {
    (micros >> TICK_BITS) as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATES: FrameRates = FrameRates { passing: 10, durable: 4, requests: 1 };

    /// How many of the next frames are taken at a moment.
    fn taken(paces: &Paces, said: &mut Said, user: UserId, kind: Kind, now: Instant) -> u32 {
        (0..100_000).take_while(|_| paces.take(said, Some(user), kind, now).is_ok()).count() as u32
    }

    #[test]
    fn a_socket_has_a_burst_of_each_kind_and_then_its_rate() {
        let began = Instant::now();
        let paces = Paces::new(RATES, began, [7, 11]);
        // The number has wrapped around more than once since the server began.
        for hours in [0, 23, 100, 1000] {
            let now = began + Duration::from_secs(hours * 3600);
            let ana = UserId::fresh();
            let mut said = paces.beginning(now);
            assert_eq!(taken(&paces, &mut said, ana, Kind::Passing, now), 10 * PASSING_BURST_SECONDS, "{hours}");
            assert_eq!(taken(&paces, &mut said, ana, Kind::Durable, now), 4 * DURABLE_BURST_SECONDS, "apart");
            assert_eq!(taken(&paces, &mut said, ana, Kind::Request, now), REQUEST_BURST_MIN);
            let later = now + Duration::from_secs(2);
            assert_eq!(taken(&paces, &mut said, ana, Kind::Durable, later), 8);
            let much_later = now + SESSION_LIFE;
            assert_eq!(taken(&paces, &mut said, ana, Kind::Durable, much_later), 4 * DURABLE_BURST_SECONDS);
        }
    }

    #[test]
    fn whoever_is_refused_is_told_when_to_come_again_and_then_is_taken() {
        let began = Instant::now();
        let paces = Paces::new(RATES, began, [7, 11]);
        let (mut said, ana, now) = (paces.beginning(began), UserId::fresh(), began + Duration::from_millis(70));
        taken(&paces, &mut said, ana, Kind::Durable, now);
        let refused = paces.take(&mut said, Some(ana), Kind::Durable, now).unwrap_err();
        assert!((200..=251).contains(&refused.wait_ms) && !refused.is_users && !refused.is_over, "{refused:?}");
        let then = now + Duration::from_millis(refused.wait_ms.into());
        assert!(paces.take(&mut said, Some(ana), Kind::Durable, then).is_ok());
    }

    #[test]
    fn a_users_sockets_have_a_rate_together_and_other_users_have_their_own() {
        let now = Instant::now();
        let paces = Paces::new(RATES, now, [7, 11]);
        let ana = UserId::fresh();
        let mut sockets = [paces.beginning(now); 6];
        let all: u32 = sockets.iter_mut().map(|said| taken(&paces, said, ana, Kind::Durable, now)).sum();
        assert_eq!(all, 4 * DURABLE_BURST_SECONDS * USER_FRAMES_FACTOR);
        assert!(paces.take(&mut sockets[5], Some(ana), Kind::Durable, now).unwrap_err().is_users);
        assert!(paces.take(&mut sockets[5], Some(ana), Kind::Passing, now).is_ok(), "kinds are apart");
        let mut free = 0;
        for _ in 0..100 {
            free += u32::from(paces.take(&mut paces.beginning(now), Some(UserId::fresh()), Kind::Durable, now).is_ok());
        }
        assert_eq!(free, 100);
    }

    #[test]
    fn many_users_who_speak_as_they_may_do_not_use_up_each_others_rates() {
        let now = Instant::now();
        let rates = FrameRates { durable: 20, ..RATES };
        let paces = Paces::new(rates, now, [0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03]);
        // More users than places, each with a page of messages to mark as read.
        for _ in 0..2 * FRAME_PLACES {
            let user = UserId(uuid::Uuid::new_v4());
            let mut said = paces.beginning(now);
            assert!((0..50).all(|_| paces.take(&mut said, Some(user), Kind::Durable, now).is_ok()));
        }
    }

    #[test]
    fn whoever_goes_on_is_over_and_whoever_is_refused_now_and_then_is_not() {
        let began = Instant::now();
        let paces = Paces::new(RATES, began, [7, 11]);
        let mut said = paces.beginning(began);
        assert!((0..4 * DURABLE_BURST_SECONDS).all(|_| paces.take(&mut said, None, Kind::Durable, began).is_ok()));
        let refused =
            (0..10_000).take_while(|_| !paces.take(&mut said, None, Kind::Durable, began).unwrap_err().is_over);
        assert_eq!(refused.count() as u32, EXCESS_FRAMES_MAX);
        // Twice its rate, for an hour.
        let (mut said, mut refused) = (paces.beginning(began), 0);
        for number in 0..8 * 3600 {
            let now = began + Duration::from_millis(125 * number);
            if let Err(too_fast) = paces.take(&mut said, None, Kind::Durable, now) {
                assert!(!too_fast.is_over, "after {refused}");
                refused += 1;
            }
        }
        assert!(refused > 3 * 3600, "{refused}");
    }
}
