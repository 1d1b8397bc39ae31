//! From an event to sockets: ranges into outboxes, then the walk, one write per session and visit.

use std::sync::Arc;

use bytes::Bytes;

use super::Core;
use super::port::{Except, Publication, ToShard};
use crate::ids::{SessionKey, ShardId, UserId};
use crate::limits::{
    CHUNKS_BYTES_MAX, OUTBOX_OWED_BYTES_MAX, OUTBOX_SHARED_BYTES_MAX, OUTBOX_STALL, SHARD_OWED_BYTES_MAX,
    STRETCH_VISITS_BUSY, STRETCH_VISITS_MAX, STRETCH_VISITS_MIN, WALK_VISITS_SHORT,
};
use crate::net::sockets::Sockets;
use crate::net::stretch::{Sent, Stretch};
use crate::room::chunks::Span;
use crate::session::outbox::{Class, Slices};
use crate::wire::reason::TOO_SLOW;
use crate::ws::close::CloseCode;
use crate::ws::frame;

impl Core {
    /// Tells a session's room something that is not stored. `write` appends the frame.
    pub(super) fn ephemeral(&mut self, index: u32, except: Except, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(slot) = self.slots[index as usize].as_ref() else { return };
        let (Some(seat), Some(topic)) = (slot.seat, slot.session.topic()) else { return };
        let mut frames = std::mem::take(&mut self.scratch);
        frames.clear();
        write(&mut frames);
        if self.ports.inboxes.len() > 1 {
            let others = self.ports.directory.shards_of(&topic).without(self.id);
            if !others.is_empty() {
                let publication = Arc::new(Publication {
                    topic,
                    frames: Bytes::copy_from_slice(&frames),
                    class: Class::Ephemeral,
                    except,
                    origin: None,
                });
                others.iter().for_each(|shard| self.tell(shard, ToShard::Publish(publication.clone())));
            }
        }
        let origin = Some(self.key(index));
        self.fan_out(seat.room, &frames, Class::Ephemeral, except, origin);
        self.scratch = frames;
    }

    /// Appends frames to a live room's chunk, gives each member the range, and sets the members' turns in the walk.
    /// In a large room the session that caused the event is visited first.
    pub(super) fn fan_out(
        &mut self,
        room: u32,
        frames: &[u8],
        class: Class,
        except: Except,
        origin: Option<SessionKey>,
    ) {
        let live = self.registry.room_mut(room);
        let span = self.arena.append(&mut live.open, frames);
        // Lent out: nobody comes or goes while they are given the range.
        let members = std::mem::take(&mut live.members);
        self.give(&members, span, class, except, origin);
        self.registry.room_mut(room).members = members;
    }

    /// Gives sessions a range that was just appended, and sets their turns in the walk.
    pub(super) fn give(
        &mut self,
        members: &[u32],
        span: Span,
        class: Class,
        except: Except,
        origin: Option<SessionKey>,
    ) {
        // What the sender answers can join the walk through a large room. A small one's walk is over before that.
        let served_first = origin
            .filter(|key| key.shard == self.id && members.len() > STRETCH_VISITS_MIN)
            .map_or(u32::MAX, |key| key.index);
        let (mut reached, mut added) = (0, 0);
        for &member in members {
            let is_excepted = match except {
                Except::Nobody => false,
                Except::Session(key) => key.index == member && key.shard == self.id,
                Except::User(user) => self.is_of(member, user),
                Except::AllBut(user) => !self.is_of(member, user),
            };
            if is_excepted {
                continue;
            }
            let line = &mut self.lines[member as usize];
            line.outbox.push(&mut self.arena, span, class);
            reached += 1;
            if line.blocked_at.is_none() && !line.is_queued {
                line.is_queued = true;
                added += 1;
                if member == served_first { self.walk.push_front(member) } else { self.walk.push_back(member) }
            } else if line.blocked_at.is_some() && line.outbox.owed_bytes() > OUTBOX_SHARED_BYTES_MAX {
                line.outbox.fall_behind(&mut self.arena);
            }
        }
        self.stats.counts.frames_out += reached;
        self.intake -= added;
        self.arena.settle(span);
    }

    fn is_of(&self, index: u32, user: UserId) -> bool {
        let account = self.slots[index as usize].as_ref().and_then(|slot| slot.session.account());
        account.is_some_and(|account| account.id == user)
    }

    /// Frames for one session.
    pub(super) fn deliver(&mut self, index: u32, frames: &[u8], class: Class) {
        let span = self.arena.append(&mut self.single, frames);
        let line = &mut self.lines[index as usize];
        line.outbox.push(&mut self.arena, span, class);
        let is_blocked = line.blocked_at.is_some();
        if !is_blocked && !line.is_queued {
            line.is_queued = true;
            self.walk.push_back(index);
        } else if is_blocked && line.outbox.owed_bytes() > OUTBOX_SHARED_BYTES_MAX {
            line.outbox.fall_behind(&mut self.arena);
        }
        let owes = line.outbox.owed_bytes();
        self.stats.counts.frames_out += 1;
        self.arena.settle(span);
        // Who asks without reading the answers makes them as fast as the shard reads: no tick would come in time.
        if is_blocked && owes > OUTBOX_OWED_BYTES_MAX {
            self.let_go(index);
        }
    }

    /// A frame for one session, appended by `write`.
    pub(super) fn respond(&mut self, index: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let mut frames = std::mem::take(&mut self.scratch);
        frames.clear();
        write(&mut frames);
        self.deliver(index, &frames, Class::Durable);
        self.scratch = frames;
    }

    /// More waits than a shard should hold, and somebody can be visited: no more is taken in before that.
    pub(super) fn is_flooded(&self) -> bool {
        self.arena.held_bytes() > CHUNKS_BYTES_MAX && !self.walk.is_empty()
    }

    /// One stretch of the walk, as long as the last look suggests. Says how many were visited.
    pub(super) fn walk_a_stretch(&mut self, sockets: &mut Sockets, outcomes: &mut Vec<Sent>) -> usize {
        self.stretch_visits = stretch_visits(self.stretch_visits, std::mem::take(&mut self.heard));
        let visits_max = self.stretch_visits.min(self.walk.len());
        let mut visited: Vec<(u32, usize)> = Vec::with_capacity(visits_max);
        while visited.len() < visits_max
            && let Some(index) = self.walk.pop_front()
        {
            let line = &mut self.lines[index as usize];
            line.is_queued = false;
            if !line.outbox.is_empty() && line.blocked_at.is_none() {
                visited.push((index, 0));
            }
        }
        let count = visited.len();
        self.intake = intake(self.intake, count, self.walk.len());
        if count == 0 {
            return 0;
        }
        let mut stretch = Stretch::with_capacity(count);
        for (index, wanted) in &mut visited {
            let mut slices = Slices::new();
            self.lines[*index as usize].outbox.slices(&self.arena, &mut slices);
            *wanted = slices.iter().map(|slice| slice.len()).sum();
            stretch.visit(*index, &slices);
        }
        sockets.send(&stretch, outcomes);
        drop(stretch);
        self.stats.counts.visits += count as u64;
        for ((index, wanted), outcome) in visited.into_iter().zip(outcomes.iter()) {
            self.settle_visit(index, wanted, *outcome);
        }
        count
    }

    fn settle_visit(&mut self, index: u32, wanted: usize, outcome: Sent) {
        let line = &mut self.lines[index as usize];
        match outcome {
            Sent::All => {
                self.stats.counts.bytes_out += wanted as u64;
                line.outbox.took(&mut self.arena, wanted);
                if !line.outbox.is_empty() {
                    line.is_queued = true;
                    self.walk.push_back(index);
                } else if line.is_last {
                    self.end(index, false);
                }
            }
            Sent::Part(count) => {
                self.stats.counts.bytes_out += count as u64;
                line.outbox.took(&mut self.arena, count);
                line.blocked_at = Some(self.now);
                self.blocked.push(index);
                let owed = line.outbox.owed_bytes();
                self.stats.counts.outbox_high_bytes = self.stats.counts.outbox_high_bytes.max(owed);
                if owed > OUTBOX_SHARED_BYTES_MAX {
                    line.outbox.fall_behind(&mut self.arena);
                }
            }
            Sent::Broken => self.end(index, false),
        }
    }

    /// A socket takes bytes again.
    pub(super) fn unblock(&mut self, index: u32) {
        let line = &mut self.lines[index as usize];
        if line.blocked_at.take().is_some() && !line.is_queued && !line.outbox.is_empty() {
            line.is_queued = true;
            self.walk.push_back(index);
        }
    }

    /// Looks at sessions whose sockets are full: who stalls owes from a buffer of its own, who owes too much is let go.
    pub(super) fn look_at_debtors(&mut self) {
        let mut blocked = std::mem::take(&mut self.blocked);
        blocked.sort_unstable();
        blocked.dedup();
        blocked
            .retain(|index| self.lines[*index as usize].blocked_at.is_some() && self.slots[*index as usize].is_some());
        let mut owed = 0;
        for &index in &blocked {
            let line = &mut self.lines[index as usize];
            // Whole seconds: "longer than" needs one more.
            if line.blocked_at.is_some_and(|since| self.now > since.plus(OUTBOX_STALL)) {
                line.outbox.fall_behind(&mut self.arena);
            }
            let owes = line.outbox.owed_bytes();
            self.stats.counts.outbox_high_bytes = self.stats.counts.outbox_high_bytes.max(owes);
            owed += owes;
        }
        blocked.sort_unstable_by_key(|index| std::cmp::Reverse(self.lines[*index as usize].outbox.owed_bytes()));
        for &index in &blocked {
            let owes = self.lines[index as usize].outbox.owed_bytes();
            if owes <= OUTBOX_OWED_BYTES_MAX && owed <= SHARD_OWED_BYTES_MAX {
                break;
            }
            owed -= owes;
            self.let_go(index);
        }
        self.blocked.extend(blocked);
    }

    /// Ends a session that is too slow: what it owes is dropped after the frame under way, then 4008.
    fn let_go(&mut self, index: u32) {
        if !self.is_open(index) {
            return;
        }
        self.begin_closing(index);
        let mut close = Vec::new();
        frame::encode_close(CloseCode(TOO_SLOW.code), TOO_SLOW.reason, &mut close);
        self.lines[index as usize].outbox.cut(&mut self.arena, &close);
        self.stats.counts.too_slow += 1;
    }

    /// Tells a shard something: this one at once, another by its inbox, once it is woken. What does not fit waits here, in order.
    pub(super) fn tell(&mut self, shard: ShardId, message: ToShard) {
        if shard == self.id {
            return self.take(message);
        }
        self.overflow.send(&self.ports.inboxes, shard, message);
    }

    /// Wakes the shards that were told something.
    pub(super) fn wake_the_told(&mut self) {
        self.overflow.wake(&self.ports.inboxes);
    }

    /// Tries again what did not fit. True when nothing waits any more.
    pub(super) fn retry_overflow(&mut self) -> bool {
        self.overflow.retry(&self.ports.inboxes)
    }
}

/// How many visits may be added before the next stretch, after one that made `made` and left `waiting`: about as many as
/// were made, fewer while many wait. What the last look took too much is taken off, but never all: who sends to a large
/// room adds a thousand visits once, and then few, since what comes next joins them.
fn intake(last: isize, made: usize, waiting: usize) -> isize {
    let allowed = if waiting > WALK_VISITS_SHORT { made - made / 4 } else { made + WALK_VISITS_SHORT - waiting };
    let signed = |count: usize| isize::try_from(count).unwrap_or(isize::MAX);
    signed(allowed) + last.clamp(-signed(made / 4), 0)
}

/// How many visits the next stretch makes. While one peer goes on sending, what it sends should join the walk soon; where
/// many do, or nobody does, a longer stretch costs less: every look interrupts it, and lets receivers fall asleep.
fn stretch_visits(last: usize, heard: usize) -> usize {
    match heard {
        0 => (last * 2).clamp(STRETCH_VISITS_MIN, STRETCH_VISITS_MAX),
        some => (some * STRETCH_VISITS_MIN).min(STRETCH_VISITS_BUSY),
    }
}
