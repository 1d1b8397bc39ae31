//! How sessions leave a shard in order: each gets a turn, in which its client opens another socket before this one ends.

use std::time::{Duration, Instant};

use super::core::{Core, Drain};
use super::port::{GiveAway, Given};
use crate::limits::{MOVE_GRACE, MOVE_TURN_MAX};
use crate::protocol::v0::reason::{MOVED, RESTART};
use crate::protocol::v1::reply;

/// When a session's client moves, from the beginning of the window on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    after: Duration,
    within: Duration,
}

impl Turn {
    /// The turn of one of `count` sessions. Turns begin evenly, each lasts as long as all others, and the last ends with the window.
    fn of(rank: usize, count: usize, window: Duration) -> Self {
        let length = (window / 2).min(MOVE_TURN_MAX);
        let after = part(rank, count, window - length);
        Self { after, within: after + length }
    }
}

/// Where the window's part of this rank begins.
fn part(rank: usize, count: usize, window: Duration) -> Duration {
    let nanos = window.as_nanos() * rank.min(count) as u128 / count.max(1) as u128;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Core {
    pub(super) fn begin_drain(&mut self, window: Duration) {
        if self.drain.is_none() {
            self.drain = Some(Drain { began: self.moment, window });
            // Who was told to move before is told the new time.
            self.turns.clear();
            let is_open = |index: &u32| self.is_open(*index);
            let open: Vec<u32> = (0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX)).filter(is_open).collect();
            for (rank, index) in open.iter().enumerate() {
                if self.many.contains_key(index) {
                    let turn = Turn::of(rank, open.len(), window);
                    self.give_turn(*index, turn, Duration::ZERO);
                } else {
                    self.end_at(*index, part(rank, open.len(), window));
                }
            }
        }
        self.end_turns(self.moment);
    }

    /// Gives turns to some sessions of `pregon.v1`, so that their clients go elsewhere.
    pub(super) fn give_away(&mut self, give: &GiveAway) -> Given {
        let (slots, next) = self.some_slots(give.from);
        let slots = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let mut count = 0;
        for index in give.from..give.from.saturating_add(slots) {
            if give.rank + count >= give.of {
                return Given { count, next: None };
            }
            if self.may_move(index, give.age_min) {
                self.give_turn(index, Turn::of(give.rank + count, give.of, give.window), MOVE_GRACE);
                count += 1;
            }
        }
        Given { count, next }
    }

    fn may_move(&self, index: u32, age_min: Duration) -> bool {
        let Some(session) = self.slots[index as usize].as_ref().map(|slot| &slot.session) else { return false };
        let is_free = |many: &super::many::Many| many.is_known && !many.is_moving;
        session.is_open()
            && self.many.get(&index).is_some_and(is_free)
            && session.began_at().plus(age_min) <= self.now
            && self.drain.is_none()
    }

    /// Tells a session's client when to move. The socket goes on until then, and a grace longer.
    fn give_turn(&mut self, index: u32, turn: Turn, grace: Duration) {
        self.end_at(index, turn.within + grace);
        if let Some(many) = self.many.get_mut(&index)
            && !std::mem::replace(&mut many.is_moving, true)
        {
            self.moving += 1;
        }
        self.respond(index, |out| reply::drain(out, millis(turn.after), millis(turn.within)));
    }

    fn end_at(&mut self, index: u32, after: Duration) {
        self.turns.insert((self.moment + after, index, self.generations[index as usize]));
    }

    /// Ends the sessions whose turn is over.
    pub(super) fn end_turns(&mut self, now: Instant) {
        let goodbye = if self.drain.is_some() { RESTART } else { MOVED };
        while let Some(&(end, index, generation)) = self.turns.first()
            && end <= now
        {
            self.turns.pop_first();
            if self.generations[index as usize] == generation && self.is_open(index) {
                self.goodbye(index, goodbye);
            }
        }
        if self.drain.is_some_and(|drain| now.saturating_duration_since(drain.began) >= drain.window) {
            // Who came when the turns were given out already.
            for index in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
                if self.is_open(index) {
                    self.goodbye(index, RESTART);
                }
            }
        }
    }

    /// True if the shards are drained: no shard has a session left. Until then all of them listen, so that a client who
    /// comes is told to come again.
    pub(super) fn is_last_call(&self) -> bool {
        if self.is_over() {
            self.ports.inboxes[self.id.index()].desert();
        }
        self.drain.is_some() && self.ports.inboxes.iter().all(|inbox| inbox.is_deserted())
    }

    /// True if this shard is drained: it has no session left.
    pub(super) fn is_over(&self) -> bool {
        self.drain.is_some() && self.live == 0
    }
}

#[cfg(test)]
pub(super) mod tests;
