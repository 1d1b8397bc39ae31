//! From an event to sockets: ranges into outboxes, then the walk, one write per session and visit.

use std::sync::Arc;

use bytes::Bytes;

use super::core::{Blocked, Core, Line, Slot, Then};
use super::debtors::SLOW;
use super::many::{Many, Subscription};
use super::port::{Except, Publication, ShardSet, ToShard};
use crate::engine::net::stretch::{Sent, Stretch, Transmit};
use crate::engine::session::outbox::{Class, Slices};
use crate::engine::topics::chunks::{Appended, OpenChunk, Stale};
use crate::engine::topics::members::Member;
use crate::ids::{SessionKey, ShardId, UserId};
use crate::limits::{
    STRETCH_BYTES_MAX, STRETCH_VISITS_BUSY, STRETCH_VISITS_MAX, STRETCH_VISITS_MIN, WALK_VISITS_SHORT,
};
use crate::protocol::form::{Also, Form, FrameSet};
use crate::protocol::ws::packing::Packing;

/// To whom of a topic frames go, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct To {
    pub class: Class,
    pub except: Except,
    /// The session that caused it. In a large topic it is visited first.
    pub origin: Option<SessionKey>,
    /// It has no place in the topic's order, so members who were caught up get it, too.
    pub is_passing: bool,
}

impl Core {
    /// Tells a session's topic something that is not stored. `write` appends the frame.
    pub(super) fn ephemeral(&mut self, index: u32, except: Except, write: impl FnOnce(&mut Vec<u8>)) {
        let seat = self.slots[index as usize].as_ref().and_then(|slot| slot.seats.all().first().copied());
        if let Some(seat) = seat {
            self.ephemeral_in(index, seat.slot, except, write);
        }
    }

    /// The same for one of a session's topics, by the topic's slot.
    pub(super) fn ephemeral_in(&mut self, index: u32, slot: u32, except: Except, write: impl FnOnce(&mut Vec<u8>)) {
        let mut frames = std::mem::take(&mut self.scratch);
        frames.clear();
        write(&mut frames);
        let topic = self.registry.live(slot).topic;
        let listeners = self.registry.live(slot).listeners.as_ref();
        let others = listeners.map_or(ShardSet::default(), |listeners| listeners.now().without(self.id));
        let origin = Some(self.key(index));
        if others.is_empty() && self.ports.elsewhere.is_none() {
            let said = FrameSet::new(&frames[..]).and(Also::Wrapped(topic));
            self.fan_out(slot, &said, Class::Ephemeral, except, origin);
        } else {
            let publication = Arc::new(Publication {
                topic,
                frames: FrameSet::new(Bytes::copy_from_slice(&frames)).and(Also::Wrapped(topic)),
                class: Class::Ephemeral,
                except,
                origin: None,
                born: self.moment,
            });
            others.iter().for_each(|shard| self.tell(shard, ToShard::Publish(publication.clone())));
            if let Some(elsewhere) = &self.ports.elsewhere {
                elsewhere.ephemeral(&publication);
            }
            // What this shard makes of it, the others need not make again.
            self.fan_out(slot, &publication.frames, Class::Ephemeral, except, origin);
        }
        self.latency.follow(Class::Ephemeral, self.moment, self.walk.len());
        self.scratch = frames;
    }

    /// Appends frames to a topic's open chunks, one for each form that members want. Each member gets the range of its form
    /// and a turn in the walk. In a large topic the session that caused the event is visited first.
    pub(super) fn fan_out(
        &mut self,
        slot: u32,
        frames: &FrameSet<impl AsRef<[u8]>>,
        class: Class,
        except: Except,
        origin: Option<SessionKey>,
    ) {
        let is_passing = frames.is_passing();
        let live = self.registry.live(slot);
        if !is_passing && (live.has_held() || live.has_caught()) {
            self.ripen(slot, frames);
        }
        let forms = self.registry.live(slot).forms(is_passing);
        self.make_memory(frames.bytes_of(forms));
        if !self.registry.contains(slot) {
            // Its last members have just been let go.
            return;
        }
        let live = self.registry.live_mut(slot);
        // Lent out: nobody comes or goes while they are given the range.
        let members = std::mem::take(&mut live.members);
        for form in forms.iter().filter(|form| !frames.of(*form).is_empty()) {
            let mut open = self.registry.live(slot).open(form);
            self.give(&members, form, &mut open, frames.of(form), To { class, except, origin, is_passing });
            self.registry.live_mut(slot).set_open(form, open);
        }
        let live = self.registry.live_mut(slot);
        live.members = members;
        if live.has_held() || !is_passing && live.has_caught() {
            self.hold(slot, frames, class, except);
        }
        self.let_the_overdue_go();
    }

    /// Appends frames in one form. Members that want this form get the range and a turn in the walk. Those that owe too
    /// much to take it are noted in `overdue`.
    ///
    /// [`Self::let_the_overdue_go`] must follow.
    pub(super) fn give(
        &mut self,
        members: &[Member],
        form: Form,
        open: &mut OpenChunk,
        frames: &[u8],
        To { class, except, origin, is_passing }: To,
    ) {
        let shard = self.id;
        // What the sender answers can join the walk through a large room. A small one's walk is over before that.
        let served_first = origin
            .filter(|key| key.shard == shard && members.len() > STRETCH_VISITS_MIN)
            .map_or(u32::MAX, |key| key.index);
        let (mut reached, mut skipped, mut added) = (0, 0, 0);
        let caught = if is_passing && form.is_v1() { form.caught() } else { form };
        let Self { arena, slots, many, lines, walk, overdue, .. } = self;
        let mut appended = arena.append(open, frames);
        for &Member { session: member, seat, form: wanted } in members {
            if wanted != form && wanted != caught {
                continue;
            }
            let is_excepted = match except {
                Except::Nobody => false,
                Except::Session(key) => key.index == member && key.shard == shard,
                Except::User(user) => is_of(&slots[member as usize], user),
                Except::UserAndNewcomers(user) => {
                    let slot = &slots[member as usize];
                    is_apart(slot, user) || !is_greeted(slot, many.get(&member), usize::from(seat))
                }
                Except::AllBut(user) => !is_of(&slots[member as usize], user),
            };
            if is_excepted {
                continue;
            }
            let line = &mut lines[member as usize];
            match line.put(&mut appended, class) {
                Put::Taken => reached += 1,
                Put::Skipped => skipped += 1,
                Put::TooMuch => {
                    overdue.push(member);
                    continue;
                }
            }
            if line.blocked_at.is_none() && !line.is_queued {
                line.is_queued = true;
                added += 1;
                if member == served_first { walk.push_front(member) } else { walk.push_back(member) }
            }
        }
        drop(appended);
        self.stats.counts.frames_out += reached;
        self.stats.counts.skipped += skipped;
        self.intake -= added;
    }

    /// Queues frames for one session. They say what the session understands, and are packed as it wants them.
    pub(super) fn deliver(&mut self, index: u32, frames: &[u8], class: Class) {
        let slot = self.slots[index as usize].as_ref();
        let packing = slot.map_or(Packing::Plain, |slot| slot.session.negotiation().packing);
        self.deliver_as_is(index, &packing.pack_for_one(frames), class);
    }

    pub(super) fn form_of(&self, index: u32) -> Form {
        let slot = self.slots[index as usize].as_ref();
        slot.map(|slot| Form::of(slot.session.negotiation())).unwrap_or_default()
    }

    /// The same, never compressed.
    pub(super) fn deliver_as_is(&mut self, index: u32, frames: &[u8], class: Class) {
        if frames.is_empty() {
            // Nothing would ever take an empty range out of its outbox.
            return;
        }
        let (was_open, was_relieved) = (self.is_open(index), self.is_relieved(index));
        self.make_memory(frames.len());
        if was_open && !self.is_open(index) || !was_relieved && self.is_relieved(index) {
            // It has just been let go, and its goodbye is the last that it hears; or it has lost its topics, and with them all that
            // was on its way.
            return;
        }
        let line = &mut self.lines[index as usize];
        let put = line.put(&mut self.arena.append(&mut self.single, frames), class);
        let has_taken = put != Put::TooMuch;
        if line.blocked_at.is_some() {
            line.unread_answers = line.unread_answers.saturating_add(u32::try_from(frames.len()).unwrap_or(u32::MAX));
        } else if !line.is_queued {
            line.is_queued = true;
            self.walk.push_back(index);
        }
        match put {
            Put::Skipped => self.stats.counts.skipped += 1,
            Put::Taken | Put::TooMuch => self.stats.counts.frames_out += 1,
        }
        // Who asks without reading the answers makes them as fast as the shard reads: no tick would come in time.
        if was_open && (!has_taken || line.unread_answers as usize > self.bounds.owed_bytes_max) {
            self.let_go(index, SLOW);
        } else if !has_taken {
            // Its goodbye, behind more than it may owe.
            self.cut(index, frames);
        }
    }

    /// Queues a frame for one session; `write` appends it.
    pub(super) fn respond(&mut self, index: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let mut frames = std::mem::take(&mut self.scratch);
        frames.clear();
        write(&mut frames);
        self.deliver(index, &frames, Class::Durable);
        self.scratch = frames;
    }

    /// The same, never compressed: it answers a secret.
    pub(super) fn respond_plainly(&mut self, index: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let mut frames = std::mem::take(&mut self.scratch);
        frames.clear();
        write(&mut frames);
        self.deliver_as_is(index, &frames, Class::Durable);
        self.scratch = frames;
    }

    /// True if more waits than a shard should hold and some session can be visited. The shard walks then before it takes in
    /// more.
    pub(super) fn is_flooded(&self) -> bool {
        self.arena.held_bytes() > self.bounds.waiting_bytes_max / 2 && !self.walk.is_empty()
    }

    /// Walks one stretch, as long as the last look suggests. Returns the number of visits.
    pub(super) fn walk_a_stretch(&mut self, sockets: &mut impl Transmit, outcomes: &mut Vec<Sent>) -> usize {
        self.stretch_visits = stretch_visits(self.stretch_visits, std::mem::take(&mut self.heard));
        let visits_max = self.stretch_visits.min(self.walk.len());
        let mut visited: Vec<(u32, usize)> = Vec::with_capacity(visits_max);
        let (mut bytes, waiting) = (0, self.walk.len());
        while visited.len() < visits_max
            && bytes < STRETCH_BYTES_MAX
            && let Some(index) = self.walk.pop_front()
        {
            let line = &mut self.lines[index as usize];
            line.is_queued = false;
            self.round.passed();
            if !line.outbox.is_empty() && line.blocked_at.is_none() {
                bytes += line.outbox.owed_bytes().min(self.bounds.write_bytes_max);
                visited.push((index, 0));
            }
        }
        let (count, passed) = (visited.len(), waiting - self.walk.len());
        self.intake = intake(self.intake, count, self.walk.len());
        if count == 0 {
            self.latency.visited(passed);
            return 0;
        }
        let mut stretch = Stretch::with_capacity(count);
        let mut stale = Vec::new();
        visited.retain_mut(|(index, wanted)| {
            let mut slices = Slices::new();
            match self.lines[*index as usize].outbox.slices(&self.arena, &mut slices) {
                Ok(bytes) => {
                    *wanted = bytes;
                    stretch.visit(*index, &slices);
                    true
                }
                Err(Stale) => {
                    stale.push(*index);
                    false
                }
            }
        });
        sockets.send(&stretch, outcomes);
        drop(stretch);
        stale.into_iter().for_each(|index| self.end_stale(index));
        self.stats.counts.visits += visited.len() as u64;
        self.sealed_bytes = sockets.sealed_bytes();
        for ((index, wanted), outcome) in visited.into_iter().zip(outcomes.iter()) {
            self.settle_visit(index, wanted, *outcome, sockets);
        }
        self.latency.visited(passed);
        count
    }

    fn settle_visit(&mut self, index: u32, wanted: usize, outcome: Sent, sockets: &impl Transmit) {
        let line = &mut self.lines[index as usize];
        match outcome {
            Sent::All | Sent::First(_) => {
                let count = if let Sent::First(count) = outcome { count } else { wanted };
                self.stats.counts.bytes_out += count as u64;
                line.outbox.took(&mut self.arena, count);
                if !line.outbox.is_empty() {
                    line.is_queued = true;
                    self.walk.push_back(index);
                } else if line.then != Then::Open {
                    self.has_said_all(index);
                }
            }
            Sent::Part(count) => {
                self.stats.counts.bytes_out += count as u64;
                line.outbox.took(&mut self.arena, count);
                line.blocked_at = Some(self.now);
                line.unread_answers = 0;
                let sealed_bytes = sockets.sealed_bytes_of(index);
                self.blocked.push(Blocked { index, unacknowledged: usize::MAX, sealed_bytes });
                let owed = line.outbox.owed_bytes();
                self.stats.counts.outbox_high_bytes = self.stats.counts.outbox_high_bytes.max(owed);
            }
            Sent::Broken => self.end(index, false),
        }
    }

    /// The session's socket takes bytes again.
    pub(super) fn unblock(&mut self, index: u32) {
        let line = &mut self.lines[index as usize];
        if line.blocked_at.take().is_none() {
            return;
        }
        line.has_recovered = true;
        let has_skipped = std::mem::take(&mut line.has_skipped);
        if line.outbox.is_empty() {
            // With TLS, the last of what it was told was taken before the socket had room for it.
            self.has_said_all(index);
        } else if !line.is_queued {
            line.is_queued = true;
            self.walk.push_back(index);
        }
        self.recovered(index, has_skipped);
    }

    /// Sends a message to a shard. This shard takes it at once; another gets it in its inbox. What an inbox has no room for
    /// waits in the overflow, in order.
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

    /// Tries again to send what did not fit. True when nothing waits any more.
    pub(super) fn retry_overflow(&mut self) -> bool {
        self.overflow.retry(&self.ports.inboxes)
    }
}

/// What became of a range that was meant for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Taken,
    /// It is passing, and the session is behind.
    Skipped,
    /// The session has too many ranges and owes too much to take it.
    TooMuch,
}

impl Line {
    /// Puts a range into the outbox. If the socket is full and enough waits, an ephemeral range is dropped.
    fn put(&mut self, appended: &mut Appended<'_>, class: Class) -> Put {
        if self.blocked_at.is_none() {
            self.outbox.push(appended, class);
            return Put::Taken;
        }
        if class == Class::Ephemeral && self.outbox.owed_bytes() > appended.arena().bounds().shared_bytes_max {
            self.has_skipped = true;
            return Put::Skipped;
        }
        let bounds = *appended.arena().bounds();
        if self.outbox.parts() >= bounds.parts_max {
            // Where many copy at once, the chunks that they all leave are not free before the last has left.
            let copied = self.outbox.owed_bytes() + bounds.debt_step_bytes;
            let has_room = appended.arena().memory_bytes() + copied <= bounds.waiting_bytes_max;
            let may_copy = has_room && self.outbox.owed_bytes() <= bounds.owed_bytes_max;
            self.has_skipped |= self.outbox.has_passing();
            if !may_copy || self.outbox.fall_behind(appended.arena()).is_err() {
                return Put::TooMuch;
            }
        }
        self.outbox.push(appended, class);
        Put::Taken
    }
}

pub(super) fn is_of(slot: &Option<Slot>, user: UserId) -> bool {
    slot.as_ref().and_then(|slot| slot.session.account()).is_some_and(|account| account.id == user)
}

/// Is it a session of this user, or of somebody whom the user is kept apart from?
pub(super) fn is_apart(slot: &Option<Slot>, user: UserId) -> bool {
    let account = slot.as_ref().and_then(|slot| slot.session.account());
    account.is_some_and(|account| account.id == user || account.apart.contains(user))
}

/// Has the session been told who is present in the room of its seat of this number?
pub(super) fn is_greeted(slot: &Option<Slot>, many: Option<&Many>, seat: usize) -> bool {
    match many {
        Some(many) => many.seats.get(seat).is_some_and(Subscription::is_greeted),
        None => slot.as_ref().is_some_and(|slot| slot.session.is_greeted()),
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

#[cfg(test)]
mod tests;
