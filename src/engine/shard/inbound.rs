//! From a socket's bytes to what they ask for.

use std::ops::ControlFlow;
use std::time::Duration;

use super::core::{Core, Then};
use super::port::{Except, ToShard};
use super::stats::{By, count_close};
use crate::clock::Timestamp;
use crate::domain::chat::write::{Action, Transport};
use crate::domain::feed;
use crate::domain::write::{AnswerTo, Intent, Refusal, Write};
use crate::engine::net::sockets::Handler;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::session::pace::Kind;
use crate::engine::session::{Effect, Entry, Seconds, Session};
use crate::engine::topics::members::{Left, Member, Seat};
use crate::ids::{EventId, RoomId, Topic};
use crate::limits::ECHO_UNFINISHED_BYTES_MAX;
use crate::protocol::form::Form;
use crate::protocol::v0::reason::{self, Goodbye};
use crate::protocol::v0::{event, feed_event};
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::request::RequestId;
use crate::protocol::ws::close::CloseCode;
use crate::protocol::ws::frame::{self, Opcode};
use crate::protocol::ws::message::{Incoming, Limits};
use crate::protocol::ws::negotiation::Negotiation;
use crate::protocol::ws::packing::Packing;
use crate::telemetry;

use super::port::Refused;

/// How a session hears what became of its write.
pub(super) enum AnswerIn {
    /// By frames of its topic; of refusals by an error.
    Frames,
    /// By a reply to its request, always.
    Request(RequestId),
}

impl Handler for Core {
    fn has_room(&self) -> bool {
        self.intake > 0
    }

    /// Answers may be many times longer than what they answer. A session with enough waiting is not read until the walk
    /// has sent it. If its socket is full, it is read all the same: it may be let go.
    fn takes_input(&self, token: u32) -> bool {
        let line = &self.lines[token as usize];
        line.blocked_at.is_some() || line.outbox.owed_bytes() <= self.bounds.shared_bytes_max
    }

    fn received(&mut self, token: u32, bytes: &mut [u8]) {
        let Some(slot) = self.slots[token as usize].as_mut() else { return };
        slot.session.heard(self.now);
        self.heard += 1;
        self.stats.counts.bytes_in += bytes.len() as u64;
        // The decoder is lent out so that what it finds can change the shard.
        let (mut decoder, most) = (std::mem::take(&mut slot.decoder), slot.session.endpoint().message_bytes_max());
        self.unfinished_bytes -= decoder.heap_bytes();
        let mut inflater = match slot.session.negotiation().packing {
            Packing::Deflated(_) => Some(self.inflater.take().unwrap_or_default()),
            Packing::Plain => None,
        };
        let limits = Limits { message_bytes_max: most, inflater: inflater.as_deref_mut() };
        let result = decoder.decode(bytes, limits, |incoming| {
            self.stats.counts.frames_in += 1;
            self.incoming(token, incoming)
        });
        if inflater.is_some() {
            self.inflater = inflater;
        }
        let unfinished = decoder.heap_bytes();
        if let Some(slot) = self.slots[token as usize].as_mut() {
            self.unfinished_bytes += unfinished;
            slot.decoder = decoder;
        }
        if unfinished > 0 {
            self.bound_the_unfinished();
        }
        if let Err(violation) = result {
            self.goodbye_with(token, violation.code, violation.reason);
            // Its answer would not be understood: FIN, as soon as the goodbye is sent (RFC 6455 §7.1.7).
            self.then(token, Then::Finish);
        }
    }

    fn writable(&mut self, token: u32) {
        self.unblock(token);
    }

    fn closed(&mut self, token: u32) {
        self.end(token, false);
    }

    fn hoards(&mut self, token: u32, can_be_told: bool) {
        metrics::counter!("pregon_shed_total", "what" => "records").increment(1);
        telemetry::session_let_go("records", self.id.0);
        if can_be_told {
            self.goodbye(token, reason::OVERLOAD);
            // Its answer would not be understood: the record's beginning is gone.
            self.then(token, Then::Finish);
        } else {
            self.end(token, true);
        }
    }
}

impl Core {
    /// Makes a socket a session of this shard, whether its handshake was accepted or refused. `wall` is the same moment as
    /// `self.moment`, by the clock that tokens go by.
    pub(super) fn begin(
        &mut self,
        index: u32,
        negotiation: Negotiation,
        admission: Result<Entry, Refused>,
        wall: Timestamp,
    ) {
        match admission {
            Ok(entry) if self.is_overloaded() => {
                metrics::counter!("pregon_shed_total", "what" => "socket").increment(1);
                self.turn_away(index, negotiation, &entry);
            }
            Ok(entry) => self.let_in(index, negotiation, &entry, wall),
            Err(refused) => {
                self.stats.counts.refused += 1;
                count_close(CloseCode(refused.goodbye.code), By::Server);
                let endpoint = Endpoint::Chat { room: RoomId(uuid::Uuid::nil()), has_presence: false };
                self.occupy(index, Session::refused(endpoint, negotiation, self.now));
                let mut frames = std::mem::take(&mut self.scratch);
                frames.clear();
                event::error(&mut frames, refused.text, None);
                frame::encode_close(CloseCode(refused.goodbye.code), refused.goodbye.reason, &mut frames);
                self.deliver(index, &frames, Class::Durable);
                self.scratch = frames;
            }
        }
    }

    /// True while more waits here than the bound allows, although debtors were let go. New sessions are turned away then.
    pub(super) fn is_overloaded(&self) -> bool {
        self.waiting_bytes() > self.bounds.waiting_bytes_max || self.overflow.is_full()
    }

    /// Opens the socket only to close it with 1013: the client should try again.
    fn turn_away(&mut self, index: u32, negotiation: Negotiation, entry: &Entry) {
        self.stats.counts.refused += 1;
        count_close(CloseCode::OVERLOAD, By::Server);
        self.occupy(index, Session::refused(entry.endpoint, negotiation, self.now));
        self.respond(index, |out| {
            frame::encode_close(CloseCode(reason::OVERLOAD.code), reason::OVERLOAD.reason, out);
        });
    }

    fn let_in(&mut self, index: u32, negotiation: Negotiation, entry: &Entry, wall: Timestamp) {
        let topic = entry.endpoint.topic(entry.account.id);
        let (seat, is_first) = self.join(topic, Member::first_of(index, Form::of(negotiation)));
        // From here on this shard is told of evictions. Whoever was evicted before, while they were judged, is not let in.
        if !self.ports.gate.still_admits(entry) {
            self.leave_seat(seat);
            self.turn_away(index, negotiation, entry);
            return;
        }
        self.stats.counts.admitted += 1;
        // Both clocks are read to the microsecond: in whole seconds, a session could end a second before its token.
        let token_left = entry.token_ends.saturating_mul(1_000_000).saturating_sub(wall.0);
        let since_began = self.moment.saturating_duration_since(self.began);
        let token_left = Duration::from_micros(u64::try_from(token_left).unwrap_or(0));
        let token_ends = Seconds::not_before(since_began + token_left);
        self.occupy(index, Session::admitted(entry, negotiation, self.now, token_ends));
        if let Some(slot) = self.slots[index as usize].as_mut() {
            slot.seats.push(seat);
        }
        self.kinds[entry.endpoint.kind()] += 1;
        self.welcome(index, (seat, is_first), entry);
    }

    /// Seats a member, and tells the directory of the topic's first and of the form's first. Returns whether it is the topic's.
    pub(super) fn join(&mut self, topic: Topic, member: Member) -> (Seat, bool) {
        let (seat, is_first) = self.registry.join(topic, member);
        if is_first {
            self.registry.live_mut(seat.slot).listeners = self.ports.directory.join(topic, self.id);
        }
        if let Some((topic, form)) = self.registry.only_one_of_its_form(seat) {
            self.ports.directory.form_came(topic, form);
        }
        (seat, is_first)
    }

    fn welcome(&mut self, index: u32, (seat, is_first): (Seat, bool), entry: &Entry) {
        let user = entry.account.id;
        let topic = entry.endpoint.topic(user);
        match entry.endpoint {
            Endpoint::Chat { .. } => self.respond(index, event::greeting),
            Endpoint::Feed => {
                self.respond(index, |out| feed_event::greeting(out, feed_event::FEED_GREETING));
                if is_first {
                    self.open_feed(user, seat.slot);
                }
            }
            Endpoint::Post(_) | Endpoint::Many | Endpoint::Echo => {}
            Endpoint::Notifications => {
                self.respond(index, |out| feed_event::greeting(out, feed_event::NOTIFICATIONS_GREETING));
            }
        }
        if let Some(room) = entry.endpoint.presence_room()
            && let Some(listeners) = self.registry.live(seat.slot).listeners.clone()
        {
            let session = self.key(index);
            let (account, is_told) = (entry.account.clone(), entry.endpoint.tells_presence());
            let arrived = ToShard::Arrived { room, account, is_told, session, listeners };
            self.tell(self.ports.home(room), arrived);
        }
        if let Some(oldest) = self.ports.gate.came(user, topic, self.key(index)) {
            self.tell(oldest.shard, ToShard::LetGo(oldest, reason::CROWDED));
        }
    }

    fn incoming(&mut self, token: u32, incoming: Incoming<'_>) -> ControlFlow<()> {
        match incoming {
            Incoming::Text(text) => self.text(token, text),
            Incoming::Binary(bytes) => self.binary(token, bytes),
            // After the goodbye nothing is told: a peer that pings without reading must not make its debt grow. One that pings
            // too fast gets its pong later: only the newest ping wants one (RFC 6455 §5.5.3).
            Incoming::Ping(payload) if self.is_open(token) && self.takes(token, Kind::Request).is_ok() => {
                self.respond(token, |out| frame::encode_pong(payload, out));
            }
            Incoming::Pong(_) if self.is_open(token) => drop(self.takes(token, Kind::Request)),
            Incoming::Ping(_) | Incoming::Pong(_) => {}
            Incoming::Close(code, _) => {
                self.peer_closes(token, code);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn binary(&mut self, token: u32, bytes: &[u8]) {
        if !self.is_open(token) {
            return;
        }
        let is_taken = self.takes(token, Kind::Request);
        let Some(slot) = self.slots[token as usize].as_ref() else { return };
        match (slot.session.endpoint(), is_taken) {
            (Endpoint::Echo, _) => self.echo(token, Opcode::Binary, bytes),
            (Endpoint::Many, Err(wait_ms)) => self.complain(token, None, None, Complaint::too_fast(wait_ms)),
            (_, Err(_)) => {}
            // No request is binary, so there is none whose name could be given back.
            (Endpoint::Many, _) => self.complain(token, None, None, complaint::BAD_JSON),
            _ => {
                if let Effect::Error(refused) = slot.session.binary() {
                    self.stats.counts.faulty += 1;
                    self.respond(token, |out| event::error(out, refused.text, None));
                }
            }
        }
    }

    /// Sends back what came. The frame's memory is not kept: it may be of any size.
    fn echo(&mut self, token: u32, opcode: Opcode, payload: &[u8]) {
        let mut frame = Vec::new();
        frame::encode(opcode, payload, &mut frame);
        self.deliver(token, &frame, Class::Durable);
    }

    /// Makes a socket a session that sends back what comes.
    pub(super) fn begin_echo(&mut self, index: u32, negotiation: Negotiation) {
        self.bounds.unfinished_bytes_max = self.bounds.unfinished_bytes_max.max(ECHO_UNFINISHED_BYTES_MAX);
        self.occupy(index, Session::echo(negotiation, self.now));
    }

    fn text(&mut self, token: u32, text: &str) {
        let Some(slot) = self.slots[token as usize].as_ref().filter(|slot| slot.session.is_open()) else { return };
        match slot.session.endpoint() {
            Endpoint::Many => return self.many_text(token, text),
            Endpoint::Echo => return self.echo(token, Opcode::Text, text.as_bytes()),
            _ => {}
        }
        let effect = slot.session.text(text, &mut self.reader);
        let kind = match effect {
            Effect::Write(_) | Effect::MarkRead(_) => Kind::Durable,
            Effect::Typing(_) | Effect::Signal { .. } => Kind::Passing,
            Effect::Pong { .. } | Effect::Error(_) | Effect::Nothing => Kind::Request,
        };
        match self.takes(token, kind) {
            Ok(()) => self.take_effect(token, effect),
            Err(wait_ms) if kind == Kind::Durable => self.write_later(token, &effect, wait_ms),
            // What is passing is dropped quietly.
            Err(_) => {}
        }
    }

    /// A write comes too fast: its sender keeps it.
    fn write_later(&mut self, token: u32, effect: &Effect<'_>, wait_ms: u32) {
        let client_id = match effect {
            Effect::Write(Action::Send(message)) => message.client_id.as_deref(),
            _ => None,
        };
        self.respond(token, |out| event::error_for_now(out, reason::TOO_MANY, client_id, wait_ms));
    }

    fn take_effect(&mut self, token: u32, effect: Effect<'_>) {
        let Some(slot) = self.slots[token as usize].as_ref() else { return };
        match effect {
            Effect::Nothing => {}
            Effect::Write(action) => {
                if let Endpoint::Chat { room, .. } = slot.session.endpoint() {
                    self.submit(token, Intent::Chat { room, action });
                }
            }
            Effect::MarkRead(notification) => {
                self.submit(token, Intent::Feed(feed::write::Action::ReadNotification { notification }));
            }
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
            Effect::Error(refused) => {
                self.stats.counts.faulty += 1;
                self.respond(token, |out| event::error(out, refused.text, refused.client_id.as_deref()));
            }
        }
    }

    fn submit(&mut self, token: u32, intent: Intent) {
        if let Err(write) = self.hand_over(token, intent, AnswerIn::Frames)
            && let Some(text) = reason::refusal_text(Refusal::Busy)
        {
            self.respond(token, |out| event::error(out, text, write.intent.client_id()));
        }
    }

    /// Hands a write to its lane, or gives it back if the lane is full.
    pub(super) fn hand_over(&mut self, token: u32, intent: Intent, answer: AnswerIn) -> Result<(), Box<Write>> {
        let account = self.slots[token as usize].as_ref().and_then(|slot| slot.session.account());
        let Some(account) = account else { return Ok(()) };
        let answer = match answer {
            AnswerIn::Frames => AnswerTo::Session(self.key(token)),
            AnswerIn::Request(id) => AnswerTo::Request(self.key(token), id),
        };
        let event_id = EventId::fresh();
        let write = Write { event_id, actor: account.id, transport: Transport::Socket, intent, answer };
        (self.ports.submit)(Box::new(write))
    }

    /// The peer sent a close frame. If it was the first, it gets the same code back. Then the socket closes.
    fn peer_closes(&mut self, token: u32, code: Option<CloseCode>) {
        if self.is_open(token) {
            self.begin_closing(token, code.unwrap_or(CloseCode::NONE), By::Client);
            let code = code.unwrap_or(CloseCode::NORMAL);
            self.respond(token, |out| frame::encode_close(code, "", out));
        }
        self.then(token, Then::Close);
    }

    /// Notes what to do with the socket when all that waits for the session is sent.
    pub(super) fn then(&mut self, token: u32, then: Then) {
        let line = &mut self.lines[token as usize];
        line.then = then;
        // While the socket is full, what was sealed for it may still wait, though nothing waits here.
        if line.outbox.is_empty() && line.blocked_at.is_none() {
            self.has_said_all(token);
        }
    }

    /// Drops what waits for a session that has ended or is about to end.
    pub(super) fn has_said_all(&mut self, index: u32) {
        match self.lines[index as usize].then {
            Then::Open => {}
            Then::Finish => self.finished.push(index),
            Then::Close => self.end(index, false),
        }
    }

    /// Says goodbye to a session: it leaves its topics at once and its socket closes when the peer has answered.
    pub(super) fn goodbye(&mut self, index: u32, goodbye: Goodbye) {
        self.goodbye_with(index, CloseCode(goodbye.code), goodbye.reason);
    }

    fn goodbye_with(&mut self, index: u32, code: CloseCode, reason: &str) {
        if self.is_open(index) {
            self.begin_closing(index, code, By::Server);
            self.respond(index, |out| frame::encode_close(code, reason, out));
        }
    }

    /// From here on the session is told nothing more, except what is queued next, and what it sends is ignored. It has
    /// `CLOSE_TIMEOUT` to close.
    pub(super) fn begin_closing(&mut self, index: u32, code: CloseCode, by: By) {
        let Some(slot) = self.slots[index as usize].as_mut() else { return };
        count_close(code, by);
        slot.session.said_goodbye(self.now);
        let due = slot.session.first_due();
        self.wheel.set(due.0, (index, self.generations[index as usize]));
        self.leave_topics(index);
    }

    /// Takes a session out of all topics that it sits in.
    pub(super) fn leave_topics(&mut self, index: u32) {
        if let Some(many) = self.many.remove(&index) {
            return self.leave_many(index, &many);
        }
        let mut has_left = false;
        while let Some(seat) = self.slots[index as usize].as_mut().and_then(|slot| slot.seats.pop()) {
            self.leave_seat(seat);
            has_left = true;
        }
        let Some(slot) = self.slots[index as usize].as_ref().filter(|_| has_left) else { return };
        let (endpoint, user) = (slot.session.endpoint(), slot.session.account().map(|account| account.id));
        self.kinds[endpoint.kind()] -= 1;
        if let Some(user) = user {
            self.ports.gate.went(user, endpoint.topic(user), self.key(index));
        }
        if let (Some(room), Some(user)) = (endpoint.presence_room(), user) {
            self.tell(self.ports.home(room), ToShard::Departed { room, user });
        }
    }

    pub(super) fn leave_seat(&mut self, seat: Seat) {
        if let Some((topic, form)) = self.registry.only_one_of_its_form(seat) {
            self.ports.directory.form_went(topic, form);
        }
        match self.registry.leave(seat) {
            Left::Moved(member) => {
                if let Some(moved) = self.slots[member.session as usize].as_mut() {
                    moved.seats.moved(member.seat, seat);
                }
            }
            Left::Quietly => {}
            Left::Last(topic) => {
                self.ports.directory.leave(topic, self.id);
                if let Topic::Feed(user) = topic {
                    self.close_feed(user);
                }
            }
        }
    }

    /// Ends a session. Its socket is closed at the end of the look.
    pub(super) fn end(&mut self, index: u32, with_reset: bool) {
        if let Some(slot) = self.slots[index as usize].as_mut() {
            if slot.session.is_open() {
                count_close(CloseCode::ABNORMAL, if with_reset { By::Server } else { By::Client });
            }
            slot.session.said_goodbye(self.now);
            self.leave_topics(index);
            self.over.push((index, with_reset));
        }
    }
}
