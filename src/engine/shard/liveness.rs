//! What a shard does with its sessions as time passes.

use std::time::{Duration, Instant};

use super::core::{Core, Drain};
use super::port::Held;
use super::stats::{By, Levels, count_close};
use crate::engine::net::stretch::Transmit;
use crate::engine::session::{Due, Seconds};
use crate::protocol::v0::reason::RESTART;
use crate::protocol::ws::close::CloseCode;
use crate::protocol::ws::frame;
use crate::telemetry;

impl Core {
    /// Does everything that depends on the clock. Called a few times a second.
    pub(super) fn tick(&mut self, now: Instant, sockets: &impl Transmit) {
        #[cfg(any(test, debug_assertions))]
        self.check_invariants();
        self.moment = now;
        self.now = Seconds(u32::try_from(now.saturating_duration_since(self.began).as_secs()).unwrap_or(u32::MAX));
        let mut due = Vec::new();
        self.wheel.turn(self.now.0, &mut due);
        for (index, generation) in due {
            if self.generations[index as usize] == generation {
                self.look_at_session(index, generation);
            }
        }
        self.announce_gone(now);
        self.look_at_debtors(sockets);
        self.drain_some(now);
        self.ports.waiting.tell(self.id, self.held());
        self.stats.report(&Levels {
            sessions: self.live,
            kinds: self.kinds,
            feeds: self.feeds.len(),
            feed_subscriptions: self.feeds.entries(),
            rooms: self.registry.len(),
            inbox: self.ports.inboxes[self.id.index()].len(),
            chunk_bytes: self.arena.held_bytes(),
            debt_bytes: self.arena.debts().bytes,
        });
    }

    /// What this shard holds of the one sum.
    pub(super) fn held(&self) -> Held {
        Held {
            sessions: self.arena.memory_bytes(),
            unfinished: self.unfinished_bytes,
            overflow: self.overflow.carried_bytes(),
        }
    }

    fn look_at_session(&mut self, index: u32, generation: u32) {
        let Some(slot) = self.slots[index as usize].as_mut() else { return };
        let again = match slot.session.due(self.now) {
            Due::Later(at) => at,
            Due::Ping(at) => {
                self.respond(index, |out| frame::encode_ping(b"", out));
                at
            }
            Due::End(goodbye, at) => {
                let code = CloseCode(goodbye.code);
                count_close(code, By::Server);
                self.leave_topics(index);
                self.respond(index, |out| frame::encode_close(code, goodbye.reason, out));
                at
            }
            Due::Reset => {
                if self.is_open(index) {
                    telemetry::session_let_go("silent", self.id.0);
                }
                return self.end(index, true);
            }
        };
        self.wheel.set(again.0, (index, generation));
    }

    pub(super) fn begin_drain(&mut self, window: Duration) {
        if self.drain.is_none() {
            self.drain = Some(Drain { began: self.moment, window, sessions: self.live });
            self.tell_of_drain(window);
        }
        self.drain_some(self.moment);
    }

    /// Tells sessions that the server restarts: as many as should have gone by now.
    fn drain_some(&mut self, now: Instant) {
        let Some(drain) = self.drain else { return };
        let passed = now.saturating_duration_since(drain.began);
        let kept = if passed >= drain.window {
            0
        } else {
            let left = (drain.window - passed).as_millis() * drain.sessions as u128;
            usize::try_from(left / drain.window.as_millis().max(1)).unwrap_or(0)
        };
        let open = self.slots.iter().flatten().filter(|slot| slot.session.is_open()).count();
        let mut surplus = open.saturating_sub(kept);
        for index in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            if surplus == 0 {
                break;
            }
            if self.is_open(index) {
                self.goodbye(index, RESTART);
                surplus -= 1;
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
