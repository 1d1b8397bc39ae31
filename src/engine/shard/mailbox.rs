//! Takes the messages that other threads send to a shard.

use std::time::Duration;

use super::core::{Core, Slot};
use super::many::Subscription;
use super::port::{Except, Heard, Kind, LoginEnds, Readers, ShardSet, ToShard};
use super::round::Round;
use crate::domain::user::Account;
use crate::engine::session::Seconds;
use crate::engine::session::outbox::Class;
use crate::ids::{RoomId, SessionKey, Topic, UserId};
use crate::limits::{ACTIVE_CHECK_SESSIONS_MAX, LOOK_MESSAGES_MAX, TOPICS_ASKED_MAX};
use crate::protocol::form::{Also, FrameSet};
use crate::protocol::v0::event;
use crate::protocol::v0::reason::{Goodbye, LOGIN_OVER, REMOVED};
use crate::protocol::v1;
use crate::protocol::v1::said::Said;
use crate::telemetry;

impl Core {
    /// Takes up to `LOOK_MESSAGES_MAX` (64) messages out of the inbox, fewer if they fill the round. True if more wait.
    pub(super) fn take_mail(&mut self) -> bool {
        let inbox = self.ports.inboxes[self.id.index()].clone();
        self.begin_round();
        for _ in 0..LOOK_MESSAGES_MAX {
            if self.has_mail_enough() {
                break;
            }
            let Some(message) = inbox.pop() else { return false };
            self.heard += 1;
            self.take(message);
        }
        !inbox.is_empty()
    }

    /// Begins a look at the messages. A round goes on over several looks while sessions still wait for a visit: so what
    /// is appended before the walk has delivered it stays bounded.
    pub(super) fn begin_round(&mut self) {
        if self.walk.is_empty() {
            // Nobody waits for a visit, so the last round is over. Each look is bounded all the same.
            self.round = Round::new(self.bounds.publication_bytes_max);
        }
    }

    /// True if the shard takes no further message now: the walk goes first, or feeds first get what they were promised
    /// before.
    pub(super) fn has_mail_enough(&self) -> bool {
        self.round.is_full() || !self.due.is_empty()
    }

    /// Does what a message says.
    pub(super) fn take(&mut self, message: ToShard) {
        match message {
            ToShard::Publish(publication) => {
                let bytes = publication.frames.given_bytes();
                if let Topic::Author(author) = publication.topic {
                    self.fan_out_by(author, &publication);
                } else if let Some(slot) = self.registry.slot(&publication.topic) {
                    let (class, except, origin) = (publication.class, publication.except, publication.origin);
                    self.fan_out(slot, &publication.frames, class, except, origin);
                }
                self.round.appended(bytes, self.walk.len());
                self.latency.follow(publication.class, publication.born, self.walk.len());
            }
            ToShard::Deliver { session, frames, class } => {
                if let Some(index) = self.find_open(session) {
                    self.deliver(index, &frames, class);
                    self.round.appended(frames.len(), self.walk.len());
                }
            }
            ToShard::Greet { session, room, frames, count } => {
                // One with many topics may have left the room meanwhile.
                if let Some(index) = self.find_open(session).filter(|index| self.mark_greeted(*index, room)) {
                    if !frames.is_empty() {
                        self.deliver_of(index, Topic::Room(room), &frames, Class::Ephemeral);
                    }
                    if let Some(present) = count.filter(|_| self.many.contains_key(&index)) {
                        let mut told = Vec::new();
                        v1::event::presence_count(&mut told, room, present);
                        self.deliver(index, &told, Class::Ephemeral);
                    }
                    self.round.appended(frames.len(), self.walk.len());
                }
            }
            ToShard::Answer(answer) => {
                let bytes = answer.bytes();
                self.answered(*answer);
                self.round.appended(bytes, self.walk.len());
            }
            ToShard::Attendance { room, users, answer } => drop(answer.send(self.presence.attendance(room, &users))),
            ToShard::Arrived { room, account, is_told, session, listeners } => {
                let mut arrival = self.presence.arrive(room, &account, &listeners, is_told, self.moment);
                arrival.others.retain(|other| !account.apart.contains(other.id));
                self.greet(session, room, &arrival.others, arrival.count);
                if arrival.is_new {
                    self.announce(room, &account, arrival.listeners.now(), true);
                }
                if arrival.is_first_here
                    && let Some(elsewhere) = &self.ports.elsewhere
                {
                    elsewhere.came(room, &account, is_told);
                }
            }
            ToShard::Departed { room, user } => {
                if self.presence.leave(room, user, self.moment)
                    && let Some(elsewhere) = &self.ports.elsewhere
                {
                    elsewhere.went(room, user);
                }
            }
            ToShard::ArrivedElsewhere { room, account, is_told } => {
                if let Some(listeners) = self.presence.arrive_elsewhere(room, &account, is_told, self.moment) {
                    self.announce(room, &account, listeners.now(), true);
                }
            }
            ToShard::DepartedElsewhere { room, user } => self.presence.leave_elsewhere(room, user, self.moment),
            ToShard::Evict { topic: Topic::Author(user), goodbye, .. } => self.evict_many(user, goodbye),
            ToShard::Evict { topic, whom, goodbye } => self.evict(topic, goodbye, |_, member| whom.is(member)),
            ToShard::EndLogins { ends, from, answer } => drop(answer.send(self.end_logins(&ends, from))),
            ToShard::Readers { from, answer } => drop(answer.send(self.readers(from))),
            ToShard::Heard { kind, from, answer } => drop(answer.send(self.heard_topics(kind, from))),
            ToShard::Follows { feed, follows } => self.follows(feed, follows),
            ToShard::Refollow { user, follows } => self.refollow(user, follows),
            ToShard::Apart { user, other } => self.keep_apart(user, other),
            ToShard::Relation { user, other, hears } => self.relation(user, other, hears),
            ToShard::Participants { room, users, asked_at } => {
                let asked =
                    Seconds(u32::try_from(asked_at.saturating_duration_since(self.began).as_secs()).unwrap_or(0));
                // The shard's clock is late by a turn at most. A session that came within that second is left to the
                // next look.
                self.evict(Topic::Room(room), REMOVED, |began, member| {
                    began.plus(Duration::from_secs(1)) < asked && users.binary_search(&member).is_err()
                });
            }
            ToShard::Order(asked) => self.asked.push(*asked),
            ToShard::GiveAway(give, answer) => drop(answer.send(self.give_away(&give))),
            ToShard::LetGo(session, goodbye) => {
                if let Some(index) = self.find_open(session) {
                    telemetry::session_let_go("crowded", self.id.0);
                    self.goodbye(index, goodbye);
                }
            }
            ToShard::Drain(within) => self.begin_drain(within),
        }
    }

    /// Tells the rooms of users whose grace has ended.
    pub(super) fn announce_gone(&mut self, now: std::time::Instant) {
        for gone in self.presence.gone(now) {
            self.announce(gone.room, &gone.account, gone.listeners.now(), false);
        }
        for counted in self.presence.counted(now) {
            let mut said = Said::default();
            said.add(None, |out| v1::event::presence_count(out, counted.room, counted.present));
            let frames = FrameSet::new(bytes::Bytes::new()).and(Also::Said(Box::new(said)));
            self.tell_room(counted.room, frames, Except::Nobody, counted.listeners.now());
        }
    }

    /// One of two has blocked the other: their sessions here do not see the other any more. Taking the block back is seen by later sessions.
    fn keep_apart(&mut self, one: UserId, other: UserId) {
        // Their sessions go on sharing an account.
        let mut known: Vec<(std::sync::Arc<Account>, std::sync::Arc<Account>)> = Vec::new();
        for slot in self.slots.iter_mut().flatten() {
            let Some(account) = slot.session.account() else { continue };
            let whom = if account.id == one { other } else { one };
            if ![one, other].contains(&account.id) || account.apart.contains(whom) {
                continue;
            }
            let changed = known.iter().find(|(before, _)| before == account).map(|(_, after)| after.clone());
            let after = changed.unwrap_or_else(|| {
                let after = Account { apart: account.apart.and(whom), ..Account::clone(account) };
                known.push((account.clone(), std::sync::Arc::new(after)));
                known[known.len() - 1].1.clone()
            });
            slot.session.set_account(after);
        }
    }

    /// Notes that a session is told who is present in a room. False if it does not listen there any more.
    fn mark_greeted(&mut self, index: u32, room: RoomId) -> bool {
        let Some((number, _)) = self.seat_of(index, Topic::Room(room)) else { return false };
        match self.many.get_mut(&index) {
            Some(many) => many.seats.get_mut(number).map(Subscription::set_greeted).is_some(),
            None => self.slots[index as usize].as_mut().map(|slot| slot.session.set_greeted()).is_some(),
        }
    }

    /// Tells a newcomer's socket who is present: nobody, perhaps.
    fn greet(&mut self, session: SessionKey, room: RoomId, others: &[std::sync::Arc<Account>], count: Option<u32>) {
        let mut frames = Vec::with_capacity(others.len() * 128);
        others.iter().for_each(|other| event::user_status(&mut frames, other, true));
        self.tell(session.shard, ToShard::Greet { session, room, frames: frames.into(), count });
    }

    /// Tells a room's sockets that the user came or went, except the user's own and those whose greeting is still to come: it says
    /// the same.
    fn announce(&mut self, room: RoomId, account: &Account, listeners: ShardSet, is_online: bool) {
        let topic = Topic::Room(room);
        let mut frames = Vec::with_capacity(128);
        event::user_status(&mut frames, account, is_online);
        let frames = FrameSet::new(bytes::Bytes::from(frames)).and(Also::Wrapped(topic));
        self.tell_room(room, frames, Except::UserAndNewcomers(account.id), listeners);
    }

    fn tell_room(&mut self, room: RoomId, frames: FrameSet<bytes::Bytes>, except: Except, listeners: ShardSet) {
        let publication = std::sync::Arc::new(super::port::Publication {
            topic: Topic::Room(room),
            frames,
            class: Class::Ephemeral,
            except,
            origin: None,
            born: self.moment,
        });
        for shard in listeners.iter() {
            self.tell(shard, ToShard::Publish(publication.clone()));
        }
    }

    fn evict(&mut self, topic: Topic, goodbye: Goodbye, is_meant: impl Fn(Seconds, UserId) -> bool) {
        let Some(slot) = self.registry.slot(&topic) else { return };
        let mut meant = self.registry.live(slot).members.clone();
        meant.retain(|member| {
            let account = self.slots[member.session as usize].as_ref().and_then(|slot| slot.session.account());
            account.zip(self.came_at(*member)).is_some_and(|(user, came)| is_meant(came, user.id))
        });
        meant.into_iter().for_each(|member| self.turn_out(member.session, topic, goodbye));
    }

    /// The topics of a kind with listeners here, from a bounded number of slots.
    fn heard_topics(&self, kind: Kind, from: u32) -> Heard {
        if kind == Kind::Authors {
            let (authors, next) = self.feeds.some_authors(from, TOPICS_ASKED_MAX);
            return Heard { topics: authors.map(Topic::Author).collect(), next };
        }
        let (topics, next) = self.registry.some(from, TOPICS_ASKED_MAX);
        Heard { topics: topics.filter(|topic| kind.has(*topic)).collect(), next }
    }

    /// Sessions that do not chat, from a bounded number of slots.
    fn readers(&self, from: u32) -> Readers {
        let (slots, next) = self.some_slots(from);
        let of = |slot: &Slot| {
            let (user, endpoint) = (slot.session.account()?.id, slot.session.endpoint());
            (!endpoint.is_chat() && slot.session.is_open()).then(|| (user, endpoint.topic(user)))
        };
        let users = slots.iter().flatten().filter_map(of).collect();
        Readers { users, next }
    }

    /// Says goodbye to the sessions of ended logins in a bounded number of slots. Returns the slot to go on from.
    fn end_logins(&mut self, ends: &LoginEnds, from: u32) -> Option<u32> {
        let (slots, next) = self.some_slots(from);
        let is_over = |slot: &Slot| {
            let ends = slot.session.account().and_then(|account| ends.get(&account.id));
            ends.is_some_and(|ends| ends.iter().any(|end| end.ends(slot.session.family())))
        };
        let over = (from..).zip(slots).filter(|(_, slot)| slot.as_ref().is_some_and(is_over));
        let over: Vec<u32> = over.map(|(index, _)| index).collect();
        over.into_iter().for_each(|index| self.goodbye(index, LOGIN_OVER));
        next
    }

    /// A bounded number of slots, and the slot to go on from; `None` if these were the last.
    pub(super) fn some_slots(&self, from: u32) -> (&[Option<Slot>], Option<u32>) {
        let all = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let to = from.saturating_add(ACTIVE_CHECK_SESSIONS_MAX).min(all);
        let slots = self.slots.get(from as usize..to as usize).unwrap_or_default();
        (slots, Some(to).filter(|to| *to < all))
    }

    pub(super) fn find_open(&self, key: SessionKey) -> Option<u32> {
        self.find(key).filter(|index| self.is_open(*index))
    }
}
