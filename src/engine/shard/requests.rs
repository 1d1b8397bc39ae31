//! The requests of sockets of `pregon.v1`.

use std::net::{IpAddr, Ipv4Addr};

use super::core::Core;
use super::errand::{Asked, Errand};
use super::inbound::AnswerIn;
use super::many::{self, Many, kept_bytes_of};
use super::port::{Except, ToShard, Visitor};
use crate::domain::feed;
use crate::domain::user::Account;
use crate::domain::write::Intent;
use crate::engine::session::Session;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::session::pace::Kind;
use crate::engine::topics::members::{Member, Seat};
use crate::ids::{RoomId, Topic};
use crate::limits::{EARLY_BYTES_MAX, QUESTIONS_AT_ONCE_MAX, SHARD_HELD_BYTES_MAX, TOPICS_PER_SOCKET_MAX};
use crate::protocol::v0::command::Command;
use crate::protocol::v0::{event, reason};
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::reply;
use crate::protocol::v1::request::{self, Ask, Credential, Question, Refused, Request, RequestId};
use crate::protocol::v1::topic;
use crate::protocol::ws::close::CloseCode;
use crate::protocol::ws::frame;
use crate::protocol::ws::negotiation::Negotiation;

use super::stats::{By, count_close};

impl Core {
    /// Makes a socket a session that has to say whose it is; a credential may have come with its handshake.
    pub(super) fn begin_many(
        &mut self,
        index: u32,
        negotiation: Negotiation,
        credential: Option<Credential>,
        client: Option<IpAddr>,
    ) {
        if self.is_overloaded() || !self.ports.gate.nobody_came(self.address_of(index)) {
            metrics::counter!("pregon_shed_total", "what" => "socket").increment(1);
            self.stats.counts.refused += 1;
            count_close(CloseCode::OVERLOAD, By::Server);
            self.occupy(index, Session::turned_away(negotiation, self.now));
            return self.respond(index, |out| {
                frame::encode_close(CloseCode(reason::OVERLOAD.code), reason::OVERLOAD.reason, out);
            });
        }
        self.occupy(index, Session::awaited(negotiation, self.now));
        let mut many = Many::default();
        many.knocks_from(client);
        self.many.insert(index, many);
        if let Some(credential) = credential {
            self.identify(index, None, credential);
        }
    }

    /// Does what a text frame asks for.
    pub(super) fn many_text(&mut self, index: u32, text: &str) {
        if !self.is_open(index) || self.is_too_early(index, text) {
            return;
        }
        let request = request::parse(text, &mut self.reader);
        let kind = match &request {
            Ok(Request { ask: Ask::InRoom { command: Command::Write(_), .. } | Ask::MarkRead(_), .. }) => Kind::Durable,
            Ok(Request { ask: Ask::InRoom { .. }, .. }) => Kind::Passing,
            Ok(_) | Err(_) => Kind::Request,
        };
        if let Err(wait_ms) = self.takes(index, kind) {
            let (Ok(Request { id, .. }) | Err(Refused { id, .. })) = &request;
            // What is passing is dropped quietly.
            if kind != Kind::Passing {
                self.complain(index, id.as_deref(), None, Complaint::too_fast(wait_ms));
            }
            return;
        }
        match request {
            Ok(Request { id, ask: Ask::Auth(credential) }) => self.identify(index, id, credential),
            Ok(Request { id, ask }) => match self.account_of(index) {
                Some(account) => self.many_ask(index, id, ask, &account),
                None => self.complain(index, id.as_deref(), None, self.why_not_yet(index)),
            },
            Err(refused) => {
                self.stats.counts.faulty += 1;
                self.complain(index, refused.id.as_deref(), None, refused.why);
            }
        }
    }

    /// Who comes with a token need not wait for the welcome: what they ask for is kept until the token is judged.
    fn is_too_early(&mut self, index: u32, text: &str) -> bool {
        let Some(many) = self.many.get_mut(&index).filter(|many| many.is_identifying && !many.is_known) else {
            return false;
        };
        let early = &mut many.busy().early;
        let (kept, bytes) = (early.iter().map(|text| kept_bytes_of(text)).sum::<usize>(), kept_bytes_of(text));
        let is_kept = kept + bytes <= EARLY_BYTES_MAX && self.kept_bytes + bytes <= SHARD_HELD_BYTES_MAX;
        if is_kept {
            early.push(text.into());
            self.kept_bytes += bytes;
        } else {
            self.note_limit(index, "early requests");
        }
        is_kept
    }

    /// Why nothing is done for a socket of which nobody knows whose it is: there is no token, or too much waits for its judgement.
    fn why_not_yet(&self, index: u32) -> Complaint {
        let is_identifying = self.many.get(&index).is_some_and(|many| many.is_identifying);
        if is_identifying { complaint::BUSY } else { complaint::NOT_IDENTIFIED }
    }

    /// Does what was asked for before the token was judged.
    pub(super) fn ask_again(&mut self, index: u32) {
        let early = self.many.get_mut(&index).map(Many::take_early).unwrap_or_default();
        let bytes: usize = early.iter().map(|text| kept_bytes_of(text)).sum();
        self.kept_bytes = self.kept_bytes.saturating_sub(bytes);
        early.iter().for_each(|text| self.many_text(index, text));
    }

    fn many_ask(&mut self, index: u32, id: Option<RequestId>, ask: Ask<'_>, account: &std::sync::Arc<Account>) {
        match ask {
            // It is dealt with before the user is asked for.
            Ask::Auth(credential) => self.identify(index, id, credential),
            Ask::Subscribe { topic, cursor } => match topic::named(&topic, account.id) {
                Some(topic) => self.subscribe(index, id, topic, cursor),
                None => self.complain(index, id.as_deref(), None, complaint::BAD_TOPIC),
            },
            Ask::Unsubscribe(topic) => match topic::named(&topic, account.id) {
                Some(topic) => self.unsubscribe(index, id.as_deref(), topic),
                None => self.complain(index, id.as_deref(), None, complaint::BAD_TOPIC),
            },
            Ask::InRoom { topic, command } => match topic::named(&topic, account.id) {
                Some(topic @ Topic::Room(room)) => match command {
                    Command::Write(action) => self.request(index, id, Intent::Chat { room, action }),
                    passing => self.pass_on(index, id.as_deref(), topic, &passing, account),
                },
                Some(topic @ Topic::Post(_)) if matches!(command, Command::Typing { .. }) => {
                    self.pass_on(index, id.as_deref(), topic, &command, account);
                }
                _ => self.complain(index, id.as_deref(), None, complaint::BAD_TOPIC),
            },
            Ask::Question { topic, question } => match topic::named(&topic, account.id) {
                Some(Topic::Room(room)) => self.question(index, id, room, question),
                _ => self.complain(index, id.as_deref(), None, complaint::BAD_TOPIC),
            },
            Ask::MarkRead(notification) => {
                self.request(index, id, Intent::Feed(feed::write::Action::ReadNotification { notification }));
            }
            Ask::Ping => self.respond(index, |out| reply::pong(out, id.as_deref())),
        }
    }

    /// Has a question about a room answered.
    fn question(&mut self, index: u32, request: Option<RequestId>, room: RoomId, question: Question) {
        let session = self.key(index);
        let known = self.slots[index as usize].as_ref().map(|slot| &slot.session);
        let Some((user, family)) = known.and_then(|known| Some((known.account()?.id, known.family()))) else { return };
        let Some(many) = self.many.get_mut(&index) else { return };
        let id = request.clone();
        let is_too_much = many.busy().questions >= QUESTIONS_AT_ONCE_MAX;
        let is_taken =
            !is_too_much && (self.ports.errands)(Errand::Ask(Asked { session, request, user, family, room, question }));
        if is_taken {
            many.busy().questions += 1;
        } else {
            many.rest();
            if is_too_much {
                self.note_limit(index, "questions of a socket");
            }
            self.complain(index, id.as_deref(), Some(Topic::Room(room)), complaint::BUSY);
        }
    }

    /// Hands a write to its lane. The lane answers each.
    fn request(&mut self, index: u32, id: Option<RequestId>, intent: Intent) {
        let id = id.unwrap_or_else(|| "null".into());
        if let Err(write) = self.hand_over(index, intent, AnswerIn::Request(id.clone())) {
            self.complain(index, Some(&id), Some(write.topic()), complaint::BUSY);
        }
    }

    /// Tells a room, or who looks at a post, something that is not stored.
    fn pass_on(&mut self, index: u32, id: Option<&str>, topic: Topic, command: &Command<'_>, account: &Account) {
        let Some((_, seat)) = self.seat_of(index, topic) else {
            return self.complain(index, id, Some(topic), complaint::NOT_SUBSCRIBED);
        };
        match *command {
            Command::Typing { is_typing } => {
                let except = Except::User(account.id);
                self.ephemeral_in(index, seat.slot, except, |out| event::typing_status(out, account, is_typing));
            }
            Command::Signal { data, echo } => {
                let except = if echo { Except::Nobody } else { Except::Session(self.key(index)) };
                self.ephemeral_in(index, seat.slot, except, |out| event::signal(out, account, data));
            }
            Command::Write(_) | Command::Ping { .. } | Command::Nothing => {}
        }
    }

    fn identify(&mut self, index: u32, request: Option<RequestId>, credential: Credential) {
        let session = self.key(index);
        let user = self.account_of(index).map(|account| account.id);
        let Some(many) = self.many.get_mut(&index) else { return };
        let visitor = match (user, many.client()) {
            (Some(user), _) => Visitor::User(user),
            (None, client) => Visitor::Address(client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
        };
        if std::mem::replace(&mut many.is_identifying, true) {
            return self.complain(index, request.as_deref(), None, complaint::BUSY);
        }
        let id = request.clone();
        if (self.ports.errands)(Errand::Identify { session, request, credential, visitor }) {
            return;
        }
        if let Some(many) = self.many.get_mut(&index) {
            many.is_identifying = false;
        }
        self.complain(index, id.as_deref(), None, complaint::BUSY);
    }

    /// How many topics a socket has or asked for.
    pub(super) fn topics_of(&self, index: u32) -> usize {
        self.many.get(&index).map_or(0, |many| many.seats.len() + many.judged().len())
    }

    pub(super) fn has_room_for_a_topic(&self, index: u32) -> bool {
        self.topics_of(index) < TOPICS_PER_SOCKET_MAX
    }

    /// The number of a session's seat in a topic, and the seat.
    pub(super) fn seat_of(&self, index: u32, topic: Topic) -> Option<(usize, Seat)> {
        let seats = self.slots[index as usize].as_ref()?.seats.all();
        seats.iter().copied().enumerate().find(|(_, seat)| self.registry.live(seat.slot).topic == topic)
    }

    pub(super) fn account_of(&self, index: u32) -> Option<std::sync::Arc<Account>> {
        self.slots[index as usize].as_ref().and_then(|slot| slot.session.account()).cloned()
    }

    pub(super) fn complain(&mut self, index: u32, id: Option<&str>, topic: Option<Topic>, why: Complaint) {
        self.respond(index, |out| reply::error(out, id, topic, why));
    }

    /// Frames for one topic of one session, said as clients hear them that name no subprotocol.
    pub(super) fn deliver_of(&mut self, index: u32, topic: Topic, frames: &[u8], class: Class) {
        if self.many.contains_key(&index) {
            let frames = crate::protocol::v1::said::wrapped(topic, frames);
            self.deliver(index, &frames, class);
        } else {
            self.deliver(index, frames, class);
        }
    }

    /// Takes all its topics from a session that is too slow, instead of ending it. What waits is dropped, and the client is told to
    /// subscribe again, with its cursors. False if that did not help before.
    pub(super) fn relieve(&mut self, index: u32) -> bool {
        let Some(many) = self.many.get_mut(&index).filter(|many| many.is_known && !many.is_relieved) else {
            return false;
        };
        many.is_relieved = true;
        let judged = std::mem::take(&mut many.busy().judged).into_iter().map(|judged| (judged.request, judged.topic));
        let held = many.held().iter().filter_map(|held| match &held.request {
            many::Asked::Waits(request) => Some((request.clone(), held.topic)),
            many::Asked::Answered => None,
        });
        let unanswered: Vec<(Option<RequestId>, Topic)> = judged.chain(held).collect();
        metrics::counter!("pregon_shed_total", "what" => "subscriptions").increment(1);
        let last = |core: &Self| {
            let seat = core.slots[index as usize].as_ref()?.seats.all().last().copied()?;
            Some(core.registry.live(seat.slot).topic)
        };
        while let Some(topic) = last(self) {
            self.drop_seat(index, topic);
        }
        let mut told = Vec::new();
        reply::slow(&mut told);
        for (request, topic) in unanswered {
            reply::error(&mut told, request.as_deref(), Some(topic), complaint::SLOW);
        }
        self.cut(index, &told);
        let line = &mut self.lines[index as usize];
        line.unread_answers = 0;
        if line.blocked_at.is_none() && !line.is_queued && !line.outbox.is_empty() {
            line.is_queued = true;
            self.walk.push_back(index);
        }
        true
    }

    /// It was too slow and lost its topics, and its socket has taken nothing since.
    pub(super) fn is_relieved(&self, index: u32) -> bool {
        self.many.get(&index).is_some_and(|many| many.is_relieved)
    }

    /// True unless the member's session has lost its topics since.
    pub(super) fn still_sits(&self, member: Member) -> bool {
        self.many.get(&member.session).is_none_or(|many| usize::from(member.seat) < many.seats.len())
    }

    /// A session's socket takes bytes again.
    pub(super) fn recovered(&mut self, index: u32, has_skipped: bool) {
        let Some(many) = self.many.get_mut(&index) else { return };
        many.is_relieved = false;
        if has_skipped {
            self.respond(index, reply::skipped);
        }
    }

    /// Takes a session out of everything that it sits in.
    pub(super) fn leave_many(&mut self, index: u32, many: &Many) {
        let user = self.account_of(index).map(|account| account.id);
        if !many.is_known {
            self.ports.gate.known(self.address_of(index));
        }
        self.moving -= usize::from(many.is_moving);
        while let Some(seat) = self.slots[index as usize].as_mut().and_then(|slot| slot.seats.pop()) {
            let number = self.slots[index as usize].as_ref().map_or(0, |slot| slot.seats.all().len());
            let topic = self.registry.live(seat.slot).topic;
            self.leave_seat(seat);
            let is_present = many.seats.get(number).is_some_and(|subscription| subscription.is_present());
            if let (Topic::Room(room), true, Some(user)) = (topic, is_present, user) {
                self.tell(self.ports.home(room), ToShard::Departed { room, user });
            }
        }
        if let Some(user) = user.filter(|_| many.is_known) {
            self.kinds[Endpoint::Many.kind()] -= 1;
            self.ports.gate.went(user, Endpoint::Many.topic(user), self.key(index));
        }
    }
}

#[cfg(test)]
mod tests;
