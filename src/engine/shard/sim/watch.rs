//! Checks each call of a shard: who had to end by it, who ended, whether that was right, and that memory stays within
//! bounds.

use super::shadow::Phase;
use super::world::{Shard, World};
use crate::engine::session::endpoint::Endpoint;
use crate::engine::shard::core::Line;
use crate::engine::shard::port::ShardSet;
use crate::engine::shard::turn::TICK;
use crate::ids::{Topic, UserId};
use crate::limits::{OUTBOX_PATIENCE, READER_PATIENCE};
use crate::protocol::v0::reason::{self, Goodbye};
use crate::protocol::ws::close::CloseCode;
use crate::protocol::ws::frame;
use crate::protocol::ws::packing::Packing;

/// In how many forms a frame is appended at most: nobody here speaks `pregon.v1`. None is longer than the plain one.
const FORMS: usize = Packing::ALL.len();

/// A session's debts before a call.
#[derive(Debug, Clone, Copy, Default)]
struct Debtor {
    is_blocked: bool,
    has_recovered: bool,
    parts: usize,
    owed: usize,
    unread: usize,
}

/// What a call may do, and the state before it.
pub(super) struct Call {
    shard: usize,
    /// The sessions that have to end by it, each with its close frame.
    pub ends: Vec<(u32, Vec<u8>)>,
    /// The most bytes of frames that it may append.
    pub bytes: usize,
    /// The most ranges that it may give to one session.
    pub ranges: usize,
    pub is_tick: bool,
    /// The list of a feed will not be read, so that feed is sent away.
    pub is_sent_away: bool,
    debtors: Vec<Debtor>,
    memory: usize,
    debts: usize,
    /// Users whose feeds wait for their lists.
    loading: Vec<UserId>,
}

pub(super) fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut close = Vec::new();
    frame::encode_close(CloseCode(code), reason, &mut close);
    close
}

pub(super) fn close_of(goodbye: Goodbye) -> Vec<u8> {
    close_frame(goodbye.code, goodbye.reason)
}

impl World {
    /// The state before a call of the shard that appends at most so many bytes of frames.
    pub(super) fn before(&self, shard: usize, bytes: usize) -> Call {
        let it = &self.shards[shard];
        let debtors = it.core.lines.iter().map(|line| Debtor {
            is_blocked: line.blocked_at.is_some(),
            has_recovered: line.has_recovered,
            parts: line.outbox.parts(),
            owed: line.outbox.owed_bytes(),
            unread: line.unread_answers as usize,
        });
        let loading = self.users.iter().copied().filter(|user| it.is_loading(*user)).collect();
        let (memory, debts) = (it.core.arena.memory_bytes(), it.core.arena.debts().count);
        let debtors = debtors.collect();
        Call {
            shard,
            ends: Vec::new(),
            bytes: bytes * FORMS + 64,
            ranges: 4,
            is_tick: false,
            is_sent_away: false,
            debtors,
            memory,
            debts,
            loading,
        }
    }

    /// Checks a call that is over: every session that ended had to or might, and every session that had to end did.
    pub(super) fn after(&mut self, call: &Call) {
        let shard = call.shard;
        assert_eq!(self.shards[shard].core.stats.counts.stale, 0, "a session held a range that was gone");
        for index in 0..u32::try_from(self.shards[shard].shadows.len()).unwrap_or(u32::MAX) {
            let Some(shadow) = &self.shards[shard].shadows[index as usize] else { continue };
            if shadow.is_open() && !self.shards[shard].core.is_open(index) {
                self.has_ended(call, index);
            } else if self.is_shed(call, index) {
                self.note("shed in its goodbye", shard, index);
                self.shards[shard].shadows[index as usize].as_mut().expect("it was there").phase = Phase::Gone;
            }
        }
        for (index, _) in &call.ends {
            let shadow = self.shards[shard].shadows[*index as usize].as_ref();
            assert!(shadow.is_none_or(|shadow| !shadow.is_open()), "session {index} had to end and did not");
        }
        if self.shards[shard].core.arena.debts().count > call.debts {
            self.note("a private debt", shard, 0);
        }
        self.check_memory(call);
    }

    /// True if a session did not read its goodbye, and what waited for it was too much for the shard.
    fn is_shed(&self, call: &Call, index: u32) -> bool {
        let it = &self.shards[call.shard];
        let is_closing = it.shadows[index as usize]
            .as_ref()
            .is_some_and(|shadow| matches!(shadow.phase, Phase::Closing { .. } | Phase::Told { .. }));
        let ends = it.core.over.iter().find(|(over, _)| *over == index);
        is_closing
            && ends.is_some_and(|(_, with_reset)| *with_reset)
            && it.core.lines[index as usize].blocked_at.is_some()
            && it.core.lines[index as usize].outbox.is_empty()
            && call.debtors.get(index as usize).is_some_and(|before| before.owed > 0)
            && self.is_too_much(call)
    }

    fn has_ended(&mut self, call: &Call, index: u32) {
        let began_at = self.shards[call.shard].core.now.0;
        let it = &self.shards[call.shard];
        let shadow = it.shadows[index as usize].as_ref().expect("who ended was there");
        if it.core.over.iter().any(|(over, _)| *over == index) {
            self.shards[call.shard].shadows[index as usize].as_mut().expect("it was there").phase = Phase::Gone;
            return;
        }
        let expected = call.ends.iter().find(|(end, _)| *end == index).map(|(_, close)| close);
        let tail = it.core.lines[index as usize].outbox.tail(&it.core.arena);
        let is = |goodbye: Goodbye| tail.ends_with(&close_of(goodbye));
        let is_too_slow = is(reason::TOO_SLOW);
        // If too much waits before a goodbye, the goodbye replaces it: then it is in no range.
        let is_cut = it.core.lines[index as usize].outbox.parts() == 0;
        let before = call.debtors.get(index as usize).copied().unwrap_or_default();
        assert!(!is_cut || is_too_slow || self.has_too_many_ranges(call, before), "session {index} is cut for nothing");
        let close = if let Some(close) = expected.filter(|close| tail.ends_with(close)) {
            close.clone()
        } else if is_too_slow {
            let why = self.why_too_slow(call, index);
            self.note(why, call.shard, index);
            close_of(reason::TOO_SLOW)
        } else if is(reason::OVERLOAD) {
            let is_feed = shadow.endpoint == Endpoint::Feed;
            let is_loading = shadow.user().is_some_and(|user| call.loading.contains(&user));
            assert!(is_feed && (is_loading || call.is_sent_away), "sent away for nothing");
            close_of(reason::OVERLOAD)
        } else if is(reason::RESTART) {
            assert!(it.is_draining, "nothing restarts");
            close_of(reason::RESTART)
        } else if is(reason::TOKEN_OVER) {
            assert!(shadow.token_ends.is_some_and(|ends| ends <= self.wall()), "the token is still good");
            close_of(reason::TOKEN_OVER)
        } else {
            panic!("session {index} has ended and is not told why; expected {expected:?}, it waits for {tail:?}");
        };
        let it = &mut self.shards[call.shard];
        it.shadows[index as usize].as_mut().expect("it was there").closes(began_at, close, is_cut);
    }

    /// True if the call may use up the shard's share.
    fn is_too_much(&self, call: &Call) -> bool {
        let sessions = self.shards[call.shard].shadows.iter().flatten().count();
        call.memory + call.bytes * (1 + sessions) > self.bounds.waiting_bytes_max
    }

    /// The session may have, by the call, more ranges than it can keep and more bytes than it may copy, or
    /// than the share has room for.
    fn has_too_many_ranges(&self, call: &Call, before: Debtor) -> bool {
        let has_many = |debtor: &Debtor| debtor.parts.saturating_add(call.ranges) >= self.bounds.parts_max;
        // Copies of all who may copy, beside the chunks that they leave.
        let copied = |debtor: &Debtor| debtor.owed + call.bytes + self.bounds.debt_step_bytes;
        let copies: usize = call.debtors.iter().filter(|debtor| has_many(debtor)).map(copied).sum();
        has_many(&before)
            && (before.owed + call.bytes > self.bounds.owed_bytes_max
                || call.memory + call.bytes + copies > self.bounds.waiting_bytes_max)
    }

    /// Checks that a session was let go for a reason, and returns it: it owed too much, or it owed most while all that
    /// waits was too much.
    fn why_too_slow(&self, call: &Call, index: u32) -> &'static str {
        let (it, before) = (&self.shards[call.shard], call.debtors.get(index as usize).copied().unwrap_or_default());
        let Self { bounds, .. } = self;
        let is_too_much = self.is_too_much(call);
        let owes_tick = call.is_tick && before.owed + call.bytes > bounds.owed_bytes_max;
        let owes_alone = owes_tick || self.has_too_many_ranges(call, before);
        let is_unread = before.unread + call.bytes > bounds.owed_bytes_max;
        assert!(before.is_blocked, "session {index} reads, and is let go: {before:?}");
        assert!(is_too_much || owes_alone || is_unread, "session {index} is let go and owes little: {before:?}");
        if call.is_tick && !is_too_much {
            let socket = it.sockets.all[index as usize].as_ref().expect("who is let go has a socket");
            let silent = self.now - socket.read_at;
            let patience = if before.has_recovered { READER_PATIENCE } else { OUTBOX_PATIENCE };
            // The shard looks at its clock a few times a second.
            assert!(silent + TICK > patience, "session {index} reads, and is let go after {silent:?}");
        }
        match (is_too_much, is_unread, call.is_tick) {
            (true, ..) => "let go: the share",
            (_, true, _) => "let go: unread answers",
            (.., true) => "let go: patience",
            _ => "let go: ranges",
        }
    }

    /// What waits keeps to its bounds. Nothing is appended while a debtor could be let go for it: only what a call brings may
    /// go beyond the shard's share then, and what its chunks grow by doubling in each form. Where nobody is blocked, nobody is let
    /// go, and a round that began below half of the share may bring what a round may bring.
    fn check_memory(&mut self, call: &Call) {
        let shard = call.shard;
        let brought = call.bytes.min(FORMS * self.bounds.publication_bytes_max) + FORMS * self.bounds.chunk_bytes;
        let it = &mut self.shards[shard];
        let memory = it.core.arena.memory_bytes();
        // It stays until there is less again: a call that appends nothing makes no room either.
        let is_within = memory <= self.bounds.waiting_bytes_max;
        let round = FORMS * (self.bounds.publication_bytes_max + self.bounds.chunk_bytes);
        it.slack = if is_within { 0 } else { it.slack.max(brought + round) };
        let it = &self.shards[shard];
        let ended = it.shadows.iter().flatten().filter(|shadow| !shadow.is_open());
        let held = ended.map(|shadow| &it.core.lines[shadow.key.index as usize].outbox);
        let closing: usize = held.map(|outbox| outbox.debt_bytes().unwrap_or_else(|| outbox.owed_bytes())).sum();
        let allowed = self.bounds.waiting_bytes_max + closing + it.slack;
        assert!(memory <= allowed, "{memory} bytes wait, {allowed} may");
        let still_owes = |(line, before): (&Line, &Debtor)| {
            line.blocked_at.is_some() && before.is_blocked && before.owed > 0 && !line.outbox.is_empty()
        };
        if memory > call.memory && it.core.lines.iter().zip(&call.debtors).any(still_owes) {
            let allowed = self.bounds.waiting_bytes_max + closing + brought;
            assert!(memory <= allowed, "{memory} bytes wait, {allowed} may, and a debtor was spared");
        }
        let overflow = &it.core.overflow;
        let coming_and_going = 3 * it.shadows.len().max(16);
        assert!(overflow.carried_bytes() <= self.bounds.overflow_bytes_max, "too many bytes wait for inboxes");
        assert!(overflow.len() <= self.bounds.overflow_messages_max + coming_and_going, "too much waits for inboxes");
        let inbox = &self.inboxes[shard];
        assert!(inbox.waiting_bytes() <= self.inbox_bytes_max || inbox.len() == 1, "an inbox is too full");
    }

    /// Checks that a message between shards reaches every shard that has somebody in the room, at once.
    pub(super) fn check_listeners(&self) {
        for (room, _) in &self.rooms {
            let topic = Topic::Room(*room);
            let has = |shard: &&Shard| shard.core.registry.slot(&topic).is_some();
            let there = self.shards.iter().filter(has).fold(ShardSet::default(), |set, shard| set.with(shard.core.id));
            for shard in self.shards.iter().filter(has) {
                let slot = shard.core.registry.slot(&topic).expect("it has the room");
                let known = shard.core.registry.live(slot).listeners.as_ref().expect("rooms have one");
                assert_eq!(known.now(), there, "shard {} does not know who listens", shard.core.id.0);
            }
        }
    }
}
