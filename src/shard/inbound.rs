//! From a socket's bytes to what they ask for.

use std::ops::ControlFlow;

use super::Core;
use super::port::{Except, ToShard};
use crate::chat::write::{Action, AnswerTo, Refusal, Transport, Write};
use crate::ids::EventId;
use crate::limits::{MESSAGE_BYTES_MAX, OUTBOX_SHARED_BYTES_MAX};
use crate::net::epoll::Handler;
use crate::session::outbox::Class;
use crate::session::{Effect, Entry, Session};
use crate::wire::event;
use crate::wire::reason::{self, Goodbye};
use crate::ws::close::CloseCode;
use crate::ws::frame;
use crate::ws::message::Incoming;

use super::port::Refused;

impl Handler for Core {
    /// Answers may be many times longer than what they answer: who has enough waiting is not read until the walk has
    /// sent it. A full socket is read on, for its owner may be let go.
    fn takes_input(&self, token: u32) -> bool {
        let line = &self.lines[token as usize];
        line.blocked_at.is_some() || line.outbox.owed_bytes() <= OUTBOX_SHARED_BYTES_MAX
    }

    fn received(&mut self, token: u32, bytes: &mut [u8]) {
        let Some(slot) = self.slots[token as usize].as_mut() else { return };
        slot.session.heard(self.now);
        self.stats.counts.bytes_in += bytes.len() as u64;
        // The decoder is lent out so that what it finds can change the shard.
        let mut decoder = std::mem::take(&mut slot.decoder);
        let result = decoder.decode(bytes, MESSAGE_BYTES_MAX, |incoming| {
            self.stats.counts.frames_in += 1;
            self.incoming(token, incoming)
        });
        if let Some(slot) = self.slots[token as usize].as_mut() {
            slot.decoder = decoder;
        }
        if let Err(violation) = result {
            self.goodbye_with(token, violation.code, violation.reason);
        }
    }

    fn writable(&mut self, token: u32) {
        self.unblock(token);
    }

    fn closed(&mut self, token: u32) {
        self.end(token, false);
    }
}

impl Core {
    /// A socket that was let in, or not, is now this shard's.
    pub(super) fn begin(&mut self, index: u32, admission: Result<Entry, (crate::ids::RoomId, Refused)>) {
        match admission {
            Ok(entry) => {
                self.stats.counts.admitted += 1;
                let unix_now = crate::clock::Timestamp::now().seconds();
                self.occupy(index, Session::admitted(&entry, self.now, unix_now));
                self.enter_room(index, &entry);
            }
            Err((room, refused)) => {
                self.stats.counts.refused += 1;
                self.occupy(index, Session::refused(room, self.now));
                let mut frames = std::mem::take(&mut self.scratch);
                frames.clear();
                event::error(&mut frames, refused.text);
                frame::encode_close(CloseCode(refused.goodbye.code), refused.goodbye.reason, &mut frames);
                self.deliver(index, &frames, Class::Durable);
                self.scratch = frames;
            }
        }
    }

    fn enter_room(&mut self, index: u32, entry: &Entry) {
        let topic = crate::ids::Topic::Room(entry.room);
        let (seat, is_first) = self.registry.join(topic, index);
        if let Some(slot) = self.slots[index as usize].as_mut() {
            slot.seat = Some(seat);
        }
        if is_first {
            self.ports.directory.join(topic, self.id);
        }
        self.respond(index, event::greeting);
        if entry.has_presence {
            let session = self.key(index);
            let arrived = ToShard::Arrived { room: entry.room, account: entry.account.clone(), session };
            self.tell(self.ports.home(entry.room), arrived);
        }
    }

    fn incoming(&mut self, token: u32, incoming: Incoming<'_>) -> ControlFlow<()> {
        match incoming {
            Incoming::Text(text) => self.text(token, text),
            Incoming::Binary(_) => {
                let effect = self.slots[token as usize].as_ref().map(|slot| slot.session.binary());
                if let Some(Effect::Error(text)) = effect {
                    self.respond(token, |out| event::error(out, text));
                }
            }
            // After the goodbye nothing is told: a peer that pings without reading must not make its debt grow.
            Incoming::Ping(payload) if self.is_open(token) => {
                self.respond(token, |out| frame::encode_pong(payload, out));
            }
            Incoming::Ping(_) | Incoming::Pong(_) => {}
            Incoming::Close(code, _) => {
                self.peer_closes(token, code);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn text(&mut self, token: u32, text: &str) {
        let Some(slot) = self.slots[token as usize].as_ref() else { return };
        match slot.session.text(text, &mut self.reader) {
            Effect::Nothing => {}
            Effect::Write(action) => self.submit(token, action),
            Effect::Typing(is_typing) => {
                let Some(account) = slot.session.account().cloned() else { return };
                self.ephemeral(token, Except::User(account.id), |out| event::typing_status(out, &account, is_typing));
            }
            Effect::Signal { data, echo } => {
                let Some(account) = slot.session.account().cloned() else { return };
                let except = if echo { Except::Nobody } else { Except::Session(self.key(token)) };
                self.ephemeral(token, except, |out| event::signal(out, &account, data));
            }
            Effect::Pong { timestamp } => self.respond(token, |out| event::pong(out, timestamp)),
            Effect::Error(text) => self.respond(token, |out| event::error(out, text)),
        }
    }

    fn submit(&mut self, token: u32, action: Action) {
        let Some(session) = self.slots[token as usize].as_ref().map(|slot| &slot.session) else { return };
        let Some(account) = session.account() else { return };
        let write = Box::new(Write {
            event_id: EventId::fresh(),
            actor: account.id,
            room: session.room(),
            transport: Transport::Socket,
            action,
            answer: AnswerTo::Session(self.key(token)),
        });
        if (self.ports.submit)(write).is_err()
            && let Some(text) = reason::refusal_text(Refusal::Busy)
        {
            self.respond(token, |out| event::error(out, text));
        }
    }

    /// The peer said goodbye, or answers ours: it gets the same code back once, then the socket closes.
    fn peer_closes(&mut self, token: u32, code: Option<CloseCode>) {
        if self.is_open(token) {
            self.begin_closing(token);
            let code = code.unwrap_or(CloseCode::NORMAL);
            self.respond(token, |out| frame::encode_close(code, "", out));
        }
        let line = &mut self.lines[token as usize];
        line.is_last = true;
        if line.outbox.is_empty() {
            self.end(token, false);
        }
    }

    /// Says goodbye to a session: it leaves its room at once and its socket closes when the peer has answered.
    pub(super) fn goodbye(&mut self, index: u32, goodbye: Goodbye) {
        self.goodbye_with(index, CloseCode(goodbye.code), goodbye.reason);
    }

    fn goodbye_with(&mut self, index: u32, code: CloseCode, reason: &str) {
        if self.is_open(index) {
            self.begin_closing(index);
            self.respond(index, |out| frame::encode_close(code, reason, out));
        }
    }

    /// Nothing more is heard from a session nor told to it, save what is queued next; its time to close runs.
    pub(super) fn begin_closing(&mut self, index: u32) {
        let Some(slot) = self.slots[index as usize].as_mut() else { return };
        slot.session.said_goodbye(self.now);
        let due = slot.session.first_due();
        self.wheel.set(due.0, (index, self.generations[index as usize]));
        self.leave_room(index);
    }

    /// Takes a session out of its room, if it is in one.
    pub(super) fn leave_room(&mut self, index: u32) {
        let Some(slot) = self.slots[index as usize].as_mut() else { return };
        let Some(seat) = slot.seat.take() else { return };
        let (room, topic) = (slot.session.room(), slot.session.topic());
        let present = slot.session.account().filter(|_| slot.session.has_presence()).map(|account| account.id);
        match self.registry.leave(seat) {
            crate::room::members::Left::Moved { session } => {
                if let Some(moved) = self.slots[session as usize].as_mut() {
                    moved.seat = Some(seat);
                }
            }
            crate::room::members::Left::Quietly => {}
            crate::room::members::Left::Last => self.ports.directory.leave(topic, self.id),
        }
        if let Some(user) = present {
            self.tell(self.ports.home(room), ToShard::Departed { room, user });
        }
    }

    /// The session is over: its socket closes when the look is over.
    pub(super) fn end(&mut self, index: u32, with_reset: bool) {
        if let Some(slot) = self.slots[index as usize].as_mut() {
            slot.session.said_goodbye(self.now);
            self.leave_room(index);
            self.over.push((index, with_reset));
        }
    }
}
