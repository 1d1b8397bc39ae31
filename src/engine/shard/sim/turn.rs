//! One round of a shard's loop, in the real loop's order: tick, mail, look, lists, walk, bury.

use std::ops::ControlFlow;

use rand::Rng;

use super::client::{Piece, Said, pieces};
use super::shadow::{Need, Phase};
use super::sockets::Reads;
use super::watch::{Call, close_frame};
use super::world::World;
use crate::engine::net::sockets::Handler;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Except, Publication};
use crate::engine::shard::turn::TICK;
use crate::limits::{CLOSE_TIMEOUT, PING_AFTER, PONG_TIMEOUT};
use crate::protocol::form::FrameSet;
use crate::protocol::v0::{event, reason};
use crate::protocol::ws::{Limits, frame};

impl World {
    pub(super) fn round(&mut self, shard: usize) {
        if self.shards[shard].is_over {
            return;
        }
        self.shards[shard].core.moment = self.now;
        if self.now - self.shards[shard].ticked >= TICK {
            self.tick(shard);
        }
        self.peers_read(shard);
        if !self.shards[shard].core.is_flooded() {
            let most = self.random.random_range(1..=16);
            self.take_mail(shard, most);
        } else {
            self.note("flooded", shard, 0);
        }
        if !self.shards[shard].core.is_flooded() {
            if self.shards[shard].core.retry_overflow() {
                self.shards[shard].core.intake = self.shards[shard].core.intake.max(1);
                self.look(shard);
            } else {
                self.note("an inbox overflows", shard, 0);
            }
        }
        let mut call = self.before(shard, self.bounds.feed_recent_max * self.bounds.publication_bytes_max);
        call.ranges = usize::MAX;
        self.shards[shard].core.work_on_feeds();
        self.after(&call);
        self.shards[shard].core.wake_the_told();
        self.walk(shard);
        self.shards[shard].core.wake_the_told();
        self.shards[shard].core.check_invariants();
        self.check_listeners();
        self.ask();
        self.shards[shard].is_over = self.shards[shard].core.is_over();
        if self.shards[shard].is_over {
            self.inboxes[shard].close();
        }
    }

    fn tick(&mut self, shard: usize) {
        self.shards[shard].ticked = self.now;
        let seconds = self.seconds();
        let mut call = self.before(shard, self.bounds.chunk_bytes);
        call.is_tick = true;
        for shadow in self.shards[shard].open_mut() {
            if u64::from(seconds - shadow.heard) >= PING_AFTER.as_secs() {
                let mut ping = Vec::new();
                frame::encode_ping(b"", &mut ping);
                shadow.expect(None, &ping, Need::May);
            }
        }
        let it = &mut self.shards[shard];
        it.core.tick(self.now, &it.sockets);
        self.after(&call);
        for shadow in self.shards[shard].open() {
            let second_ago = self.wall().plus_seconds(-1);
            assert!(shadow.token_ends.is_none_or(|ends| ends > second_ago), "a token is over and its session is not");
        }
    }

    /// Notes what peers read since the last round.
    fn peers_read(&mut self, shard: usize) {
        for socket in self.shards[shard].sockets.all.iter_mut().flatten() {
            let count = match socket.reads {
                Reads::All => socket.held,
                Reads::Some => self.random.random_range(0..=socket.held),
                Reads::Nothing => 0,
            };
            socket.read(count, self.now);
        }
    }

    fn look(&mut self, shard: usize) {
        for index in 0..u32::try_from(self.shards[shard].sockets.all.len()).unwrap_or(0) {
            let it = &mut self.shards[shard];
            let Some(socket) = it.sockets.all[index as usize].as_mut() else { continue };
            if socket.becomes_writable() {
                it.core.writable(index);
            }
            if !it.core.has_room() || !it.core.takes_input(index) {
                continue;
            }
            if let Some(piece) = socket.input.pop_front() {
                self.receive(shard, index, piece);
            } else if socket.has_ended {
                let call = self.before(shard, 0);
                self.shards[shard].core.closed(index);
                self.after(&call);
            }
        }
    }

    /// Has a shard read what a client sent.
    pub(super) fn receive(&mut self, shard: usize, index: u32, piece: Piece) {
        let Piece { mut bytes, said } = piece;
        let mut call = self.before(shard, 2048);
        let now = self.shards[shard].core.now.0;
        if let Some(shadow) = self.shards[shard].shadows[index as usize].as_mut() {
            shadow.heard = now;
        }
        call.ranges += said.len();
        for said in said {
            self.foresee_said(shard, index, said, &mut call);
        }
        self.shards[shard].core.received(index, &mut bytes);
        self.after(&call);
    }

    fn foresee_said(&mut self, shard: usize, index: u32, said: Said, call: &mut Call) {
        let Some(shadow) = self.shards[shard].shadows[index as usize].as_mut() else { return };
        shadow.is_garbled |= matches!(said, Said::Violation(_));
        let is_first_close = matches!(said, Said::Close(_)) && !shadow.peer_has_closed;
        if !shadow.is_open() || shadow.peer_has_closed || call.ends.iter().any(|(end, _)| *end == index) {
            shadow.peer_has_closed |= is_first_close;
            return;
        }
        let is_chat = shadow.endpoint.is_chat();
        let is_post = matches!(shadow.endpoint, Endpoint::Post(_));
        let mut answer = Vec::new();
        match said {
            Said::ProtocolPing(payload) => frame::encode_pong(&payload, &mut answer),
            Said::Ping(timestamp) => event::pong(&mut answer, &timestamp),
            Said::Nonsense | Said::Binary if is_chat => event::error(&mut answer, reason::BAD_JSON, None),
            Said::Write if is_chat && self.asked.lanes_are_full.load(std::sync::atomic::Ordering::Relaxed) => {
                let text = reason::refusal_text(crate::domain::write::Refusal::Busy).expect("the contract has a text");
                event::error(&mut answer, text, None);
            }
            Said::Close(code) => {
                shadow.peer_has_closed = true;
                call.ends.push((index, close_frame(code, "")));
            }
            Said::Violation(close) => call.ends.push((index, close)),
            Said::Signal { number, data, echo } if is_chat => {
                self.truth.tells(number, shard);
                return self.foresee_told(shard, index, echo, |out, account| {
                    event::signal(out, account, &data);
                });
            }
            Said::Typing(is_typing) if is_chat || is_post => return self.foresee_typing(shard, index, is_typing),
            _ => {}
        }
        if !answer.is_empty() {
            shadow.expect(None, &answer, Need::Must);
        }
    }

    fn foresee_typing(&mut self, shard: usize, index: u32, is_typing: bool) {
        let shadow = self.shards[shard].shadows[index as usize].as_ref().expect("it speaks");
        let account = shadow.account.clone().expect("who is open was let in");
        let mut frames = Vec::new();
        event::typing_status(&mut frames, &account, is_typing);
        self.tell_room(shard, index, frames, Except::User(account.id));
    }

    fn foresee_told(
        &mut self,
        shard: usize,
        index: u32,
        echo: bool,
        write: impl FnOnce(&mut Vec<u8>, &crate::domain::user::Account),
    ) {
        let shadow = self.shards[shard].shadows[index as usize].as_ref().expect("it speaks");
        let (account, key) = (shadow.account.clone().expect("who is open was let in"), shadow.key);
        let mut frames = Vec::new();
        write(&mut frames, &account);
        self.tell_room(shard, index, frames, if echo { Except::Nobody } else { Except::Session(key) });
    }

    fn tell_room(&mut self, shard: usize, index: u32, frames: Vec<u8>, except: Except) {
        let topic = self.shards[shard].shadows[index as usize].as_ref().and_then(|shadow| shadow.topic());
        let topic = topic.expect("who is open is in a topic");
        let (class, born) = (Class::Ephemeral, std::time::Instant::now());
        let publication =
            Publication { topic, frames: FrameSet::new(frames.into()), class, except, origin: None, born };
        self.tell_listeners(shard, &publication);
    }

    /// Walks one stretch, then closes the sockets of sessions that are over.
    pub(super) fn walk(&mut self, shard: usize) {
        let call = self.before(shard, 0);
        let it = &mut self.shards[shard];
        let mut outcomes = std::mem::take(&mut it.outcomes);
        it.core.walk_a_stretch(&mut it.sockets, &mut outcomes);
        it.outcomes = outcomes;
        for index in 0..it.sockets.all.len() {
            let Some(socket) = it.sockets.all[index].as_mut().filter(|socket| !socket.taken.is_empty()) else {
                continue;
            };
            let taken = std::mem::take(&mut socket.taken);
            let shadow = it.shadows[index].as_mut().expect("a socket has a session");
            let noticed = shadow.took(&taken, &self.truth);
            *self.seen.entry("compressed").or_default() += noticed.deflated as u64;
            let mut said = vec![Said::ProtocolPong; noticed.pings];
            if noticed.is_closed && self.random.random_bool(0.8) {
                said.push(Said::Close(1000));
            }
            if !said.is_empty() && socket.reads != Reads::Nothing {
                socket.input.extend(pieces(&mut self.random, said, false));
            }
        }
        self.after(&call);
        self.bury(shard);
    }

    /// The server sends no more: most peers answer by ending, too.
    fn finish_socket(&mut self, shard: usize, index: u32) {
        let it = &mut self.shards[shard];
        let shadow = it.shadows[index as usize].as_ref().expect("who has said all was there");
        assert!(shadow.is_garbled && !shadow.is_open(), "session {index} is understood, and is not heard to its end");
        assert!(it.core.lines[index as usize].outbox.is_empty(), "session {index} has not said all");
        let socket = it.sockets.all[index as usize].as_mut().expect("a session has a socket");
        assert!(!std::mem::replace(&mut socket.is_finished, true), "a socket is finished twice");
        socket.has_ended |= self.random.random_bool(0.8);
        self.note("finished", shard, index);
    }

    fn bury(&mut self, shard: usize) {
        for index in std::mem::take(&mut self.shards[shard].core.finished) {
            self.finish_socket(shard, index);
        }
        for (index, with_reset) in std::mem::take(&mut self.shards[shard].core.over) {
            let now = self.shards[shard].core.now.0;
            let it = &mut self.shards[shard];
            if it.core.slots[index as usize].is_none() {
                continue;
            }
            let socket = it.sockets.all[index as usize].take().expect("a session has a socket");
            let shadow = it.shadows[index as usize].take().expect("a session has a shadow");
            let is_closed = matches!(shadow.phase, Phase::Told { .. }) && shadow.peer_has_closed;
            if with_reset {
                let silent = u64::from(now - shadow.heard) >= (PING_AFTER + PONG_TIMEOUT).as_secs();
                let is_late = match shadow.phase {
                    Phase::Closing { since, .. } | Phase::Told { since } => {
                        u64::from(now - since) >= CLOSE_TIMEOUT.as_secs()
                    }
                    // It had ended already, and its timer came before its socket was closed.
                    Phase::Gone => true,
                    Phase::Open => false,
                };
                assert!(silent || is_late, "session {index} is reset too early: {:?}", shadow.phase);
            } else {
                assert!(
                    socket.is_broken || socket.has_ended || is_closed,
                    "session {index} ends for nothing: {:?}, its peer has closed: {}, garbled: {}",
                    shadow.phase,
                    shadow.peer_has_closed,
                    shadow.is_garbled
                );
            }
            if !socket.is_broken && is_closed {
                assert!(!shadow.has_partial(), "the last frame is torn");
            }
            it.core.vacate(index);
            assert!(it.core.lines[index as usize].outbox.is_empty());
            self.note(if with_reset { "reset" } else { "closed" }, shard, index);
        }
    }
}

/// Bytes that are no frame, with the close frame that the decoder itself asks for.
pub(super) fn violation() -> Said {
    let mut decoder = crate::protocol::ws::message::Decoder::new();
    let broken = decoder.decode(&mut [0x81, 1, b'x'], Limits::plain(1024), |_| ControlFlow::Continue(()));
    let violation = broken.expect_err("a frame that is not masked is refused");
    Said::Violation(close_frame(violation.code.0, violation.reason))
}
