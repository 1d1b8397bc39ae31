//! What a shard does with its sessions as time passes.

use std::time::Instant;

use super::core::Core;
use super::port::{Held, Open};
use super::stats::{By, Levels, count_close};
use crate::engine::net::stretch::Transmit;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::{Due, Seconds};
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
        self.look_at_subscriptions();
        self.end_turns(now);
        let movable = self.kinds[Endpoint::Many.kind()].saturating_sub(self.moving);
        self.sealed_bytes = sockets.sealed_bytes();
        let held = Held { records: sockets.unopened_bytes(), ..self.held() };
        self.ports.waiting.tell(self.id, held, Open { all: self.live, movable, moving: self.moving });
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

    /// What this shard holds of the one sum, without what its sockets hold.
    pub(super) fn held(&self) -> Held {
        Held {
            sessions: self.waiting_bytes(),
            unfinished: self.unfinished_bytes,
            overflow: self.overflow.carried_bytes(),
            subscriptions: self.kept_bytes,
            ..Held::default()
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
}
