//! What a shard keeps for sessions whose sockets are full, and which of them it lets go when it is too much.
//!
//! What waits for a session are ranges of chunks, which it shares with all other sessions of its topic: a hundred slow
//! readers of a room cost hardly more than one. If a session takes nothing for a second and owes little, it gets a
//! copy, so that a few bytes do not keep a whole chunk in memory. A session that owes much keeps its ranges: copies for
//! 150 stalled readers of a room were 150 MB and took 80 ms of a turn, where the shared range is 1 MB.

use std::cmp::Reverse;

use super::core::{Blocked, Core};
use super::stats::By;
use crate::engine::net::stretch::Transmit;
use crate::engine::topics::chunks::Stale;
use crate::limits::{OUTBOX_PATIENCE, OUTBOX_STALL, READER_PATIENCE};
use crate::protocol::v0::reason::TOO_SLOW;
use crate::protocol::ws::close::CloseCode;
use crate::protocol::ws::frame;
use crate::telemetry;

/// Let go because the session took nothing, or too little, and owed too much.
pub(super) const SLOW: &str = "slow";
/// Let go because all sessions together owed too much.
pub(super) const OVERLOAD: &str = "overload";

/// A session whose socket is full.
struct Debtor {
    is_open: bool,
    /// What it owes, with what was sealed for it.
    bytes: usize,
    sealed_bytes: usize,
    index: u32,
}

impl Core {
    /// Makes room for frames before they are appended or copied: if the shard's share would be exceeded, the largest
    /// debtors go first.
    pub(super) fn make_memory(&mut self, bytes: usize) {
        let needed = |core: &Self| core.waiting_bytes() + bytes;
        // What is freed may be kept for the next chunks, but within the share.
        if needed(self) + self.arena.spare_bytes() > self.bounds.waiting_bytes_max {
            self.arena.forget_spare();
        }
        if needed(self) <= self.bounds.waiting_bytes_max || self.blocked.is_empty() {
            return;
        }
        self.forget_the_recovered();
        // Those who were told goodbye already go first: with them goes all that they hold.
        let owes = |one: &Blocked| Debtor {
            is_open: self.is_open(one.index),
            bytes: self.owed(one.index) + one.sealed_bytes,
            sealed_bytes: one.sealed_bytes,
            index: one.index,
        };
        let mut debtors: Vec<Debtor> = self.blocked.iter().map(owes).collect();
        debtors.sort_unstable_by_key(|one| (one.is_open, Reverse(one.bytes), one.index));
        // Frees more than is needed now, so that the next publication need not sort all debtors again.
        let wanted = self.bounds.waiting_bytes_max / 8 * 7;
        // What is sealed for a session goes when the session has gone. If more is needed before, it is the first to go then.
        let mut going_bytes = 0;
        for Debtor { is_open, bytes, sealed_bytes, index } in debtors {
            if needed(self).saturating_sub(going_bytes) <= wanted {
                break;
            }
            if bytes == 0 {
                continue;
            }
            let what = if is_open { "debtor" } else { "goodbye" };
            metrics::counter!("pregon_shed_total", "what" => what).increment(1);
            if is_open {
                self.let_go(index, OVERLOAD);
                if !self.is_open(index) {
                    going_bytes += sealed_bytes;
                }
            } else {
                // It was told goodbye, and does not read that.
                self.lines[index as usize].outbox.clear(&mut self.arena);
                self.sealed_bytes = self.sealed_bytes.saturating_sub(sealed_bytes);
                self.end(index, true);
            }
        }
    }

    /// Looks at sessions whose sockets are full, a few times a second. A session that takes nothing and owes less than
    /// a chunk gets a copy of its own; one that takes nothing and owes too much is let go.
    pub(super) fn look_at_debtors(&mut self, sockets: &impl Transmit) {
        self.forget_the_recovered();
        let mut blocked = std::mem::take(&mut self.blocked);
        let mut stale = Vec::new();
        for one in &mut blocked {
            let unacknowledged = sockets.unacknowledged_bytes(one.index).unwrap_or(one.unacknowledged);
            if unacknowledged == 0 {
                // Its peer has everything. The kernel's word that there is room waits: while another shard takes no mail, this
                // one looks at no sockets.
                self.unblock(one.index);
                continue;
            }
            let line = &mut self.lines[one.index as usize];
            // The socket takes more only when a third of its buffer is free; its peer may read all the same. Patience begins with
            // the first look: what the peer read before it, on a machine that let this shard wait, nobody knows.
            if unacknowledged < one.unacknowledged {
                line.blocked_at = Some(self.now);
            }
            one.unacknowledged = unacknowledged;
            one.sealed_bytes = sockets.sealed_bytes_of(one.index);
            let Some(since) = line.blocked_at else { continue };
            // What is passing is old by the time it is read, and is the first to go.
            let is_behind =
                line.outbox.owed_bytes() > self.bounds.shared_bytes_max || self.now > since.plus(OUTBOX_STALL);
            if is_behind && line.outbox.has_passing() {
                match line.outbox.forget_passing(&mut self.arena) {
                    Ok(0) => {}
                    Ok(dropped) => {
                        line.has_skipped = true;
                        self.stats.counts.skipped += dropped as u64;
                    }
                    Err(Stale) => stale.push(one.index),
                }
            }
            let owed = line.outbox.owed_bytes();
            self.stats.counts.outbox_high_bytes = self.stats.counts.outbox_high_bytes.max(owed);
            // The clock has whole seconds, so "longer than" needs one more.
            if owed > self.bounds.owed_bytes_max {
                let patience = if line.has_recovered { READER_PATIENCE } else { OUTBOX_PATIENCE };
                if self.now > since.plus(patience) {
                    self.overdue.push(one.index);
                }
            } else if owed <= self.bounds.chunk_bytes && self.now > since.plus(OUTBOX_STALL) {
                self.stalled.push(one.index);
            }
        }
        self.blocked = blocked;
        stale.into_iter().for_each(|index| self.end_stale(index));
        self.let_the_overdue_go();
        while let Some(index) = self.stalled.pop() {
            // A copy that grows takes a whole step.
            self.make_memory(self.owed(index) + self.bounds.debt_step_bytes);
            if self.is_open(index) && self.lines[index as usize].outbox.fall_behind(&mut self.arena).is_err() {
                self.end_stale(index);
            }
        }
    }

    /// Ends the sessions that could not take what they were told.
    pub(super) fn let_the_overdue_go(&mut self) {
        while let Some(index) = self.overdue.pop() {
            self.let_go(index, SLOW);
        }
    }

    /// Ends a session that is too slow. What it owes is dropped, except the frame under way; then it is told 4008. One with many
    /// topics loses those first.
    pub(super) fn let_go(&mut self, index: u32, why: &'static str) {
        if !self.is_open(index) || self.relieve(index) {
            return;
        }
        telemetry::session_let_go(why, self.id.0);
        self.begin_closing(index, CloseCode(TOO_SLOW.code), By::Server);
        let mut close = Vec::new();
        frame::encode_close(CloseCode(TOO_SLOW.code), TOO_SLOW.reason, &mut close);
        self.stats.counts.too_slow += 1;
        self.cut(index, &close);
    }

    /// Drops what waits for a session, except the frame under way; a close frame follows.
    pub(super) fn cut(&mut self, index: u32, close: &[u8]) {
        if self.lines[index as usize].outbox.cut(&mut self.arena, close) == Err(Stale) {
            self.end_stale(index);
        }
    }

    /// Ends a session that holds a range of a chunk that was freed: the bytes there may be meant for others.
    pub(super) fn end_stale(&mut self, index: u32) {
        tracing::error!(shard = self.id.0, index, "a session waited for frames that are gone: its connection is reset");
        self.stats.counts.stale += 1;
        telemetry::session_let_go("stale", self.id.0);
        self.lines[index as usize].outbox.clear(&mut self.arena);
        self.end(index, true);
    }

    fn owed(&self, index: u32) -> usize {
        self.lines[index as usize].outbox.owed_bytes()
    }

    fn forget_the_recovered(&mut self) {
        let mut blocked = std::mem::take(&mut self.blocked);
        // The sort is stable, so the oldest of a session's entries stays. It knows what the peer had not acknowledged
        // at first.
        blocked.sort_by_key(|one| one.index);
        blocked.dedup_by_key(|one| one.index);
        blocked.retain(|one| {
            self.lines[one.index as usize].blocked_at.is_some() && self.slots[one.index as usize].is_some()
        });
        self.blocked = blocked;
    }
}

#[cfg(test)]
pub(super) mod tests;
