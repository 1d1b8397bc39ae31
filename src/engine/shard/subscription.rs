//! Subscriptions of sockets with many topics: judged, joined and held, told what they missed, live, ended.
//!
//! A subscription joins its topic before anything is read, and what is said from then on is held for it. What was committed
//! before is in the rows that are read afterwards. So the two meet without a hole, and places tell which frames are in both. Publishers
//! may be late: what they tell that was read already is old, so the subscription goes live with the first event that is not.

use super::core::Core;
use super::errand::{Answer, Caught, Errand, From, Identity, Seating, Ticket};
use super::many::{Asked, Held, Judged, Many, Subscription};
use super::outbound::{is_apart, is_greeted, is_of};
use super::port::{Except, ToShard};
use crate::domain::event::Cursor;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::session::{Entry, Seconds};
use crate::engine::topics::members::{Member, Seat};
use crate::ids::{SessionKey, Topic, UserId};
use crate::limits::{HELD_BYTES_MAX, REPLAY_BYTES_MAX, SHARD_HELD_BYTES_MAX, TOPICS_PER_SOCKET_MAX};
use crate::protocol::form::{Form, FrameSet};
use crate::protocol::v0::reason::{self, Goodbye};
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::reply;
use crate::protocol::v1::request::RequestId;
use crate::protocol::v1::said::{self, Mark, Naming, Said};

impl Core {
    /// An errand is done.
    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Identified { session, request, outcome } => self.identified(session, request.as_deref(), outcome),
            Answer::Judged { session, ticket, outcome } => self.judged(session, ticket, outcome),
            Answer::Caught { session, ticket, outcome } => self.caught(session, ticket, outcome),
            Answer::Replied { session, frames } => {
                let Some(index) = self.find_open(session) else { return };
                if let Some(many) = self.many.get_mut(&index) {
                    many.busy().questions = many.busy().questions.saturating_sub(1);
                    many.rest();
                }
                self.respond(index, |out| out.extend_from_slice(&frames));
            }
        }
    }

    fn identified(&mut self, key: SessionKey, request: Option<&str>, outcome: Result<Identity, Complaint>) {
        let Some(index) = self.find_open(key) else { return };
        let Some(many) = self.many.get_mut(&index) else { return };
        many.is_identifying = false;
        let was_known = many.is_known;
        let identity = match outcome {
            Ok(identity) => identity,
            Err(why) => {
                // It may try again with another token, as long as its time is not over.
                self.complain(index, request, None, why);
                return self.ask_again(index);
            }
        };
        let Identity { account, family, mark, token_left, token_expires } = identity;
        let user = account.id;
        if self.account_of(index).is_some_and(|known| known.id != user) {
            return self.complain(index, request, None, complaint::OTHER_USER);
        }
        let entry = Entry { account, endpoint: Endpoint::Many, family, token_ends: token_expires, mark };
        if !self.ports.gate.still_admits(&entry) {
            self.complain(index, request, None, complaint::ASK_AGAIN);
            return self.ask_again(index);
        }
        let since_began = self.moment.saturating_duration_since(self.began);
        let token_ends = Seconds::not_before(since_began.saturating_add(token_left));
        let now = self.now;
        let Some(slot) = self.slots[index as usize].as_mut() else { return };
        slot.session.identified(&entry, now, token_ends);
        if was_known {
            return self.respond_plainly(index, |out| reply::refreshed(out, request, token_expires));
        }
        if let Some(many) = self.many.get_mut(&index) {
            many.is_known = true;
            many.knocks_from(None);
            self.ports.gate.known(self.address_of(index));
        }
        self.stats.counts.admitted += 1;
        self.kinds[Endpoint::Many.kind()] += 1;
        self.respond_plainly(index, |out| reply::welcome(out, request, &entry.account, token_expires));
        let oldest = self.ports.gate.came(user, Endpoint::Many.topic(user), self.key(index));
        if let Some(oldest) = oldest {
            self.tell(oldest.shard, ToShard::LetGo(oldest, reason::CROWDED));
        }
        self.ask_again(index);
    }

    pub(super) fn subscribe(&mut self, index: u32, id: Option<RequestId>, topic: Topic, cursor: Option<Cursor>) {
        let is_asked = |many: &Many| many.judged().iter().any(|judged| judged.topic == topic);
        if self.seat_of(index, topic).is_some() || self.many.get(&index).is_some_and(is_asked) {
            return self.complain(index, id.as_deref(), Some(topic), complaint::SUBSCRIBED_ALREADY);
        }
        if !self.has_room_for_a_topic(index) {
            self.note_limit(index, "topics of a socket");
            return self.complain(index, id.as_deref(), Some(topic), complaint::TOO_MANY_TOPICS);
        }
        if self.many.get(&index).is_some_and(|many| many.errands() >= TOPICS_PER_SOCKET_MAX) {
            // It has given up many that are being looked up all the same.
            return self.complain(index, id.as_deref(), Some(topic), complaint::BUSY);
        }
        let session = self.key(index);
        let Some(slot) = self.slots[index as usize].as_ref() else { return };
        let (Some(account), family) = (slot.session.account().cloned(), slot.session.family()) else { return };
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = self.tickets;
        let asked = Errand::Judge { session, ticket, user: account.id, family, topic };
        if !(self.ports.errands)(asked) {
            return self.complain(index, id.as_deref(), Some(topic), complaint::BUSY);
        }
        if let Some(many) = self.many.get_mut(&index) {
            let errand = cursor.map_or(From::Now, From::Cursor);
            many.busy().errands += 1;
            many.busy().judged.push(Judged { ticket, topic, request: id, errand });
        }
    }

    fn judged(&mut self, key: SessionKey, ticket: Ticket, outcome: Result<Seating, Complaint>) {
        let Some(index) = self.find_open(key) else { return };
        let Some(many) = self.many.get_mut(&index) else { return };
        many.errand_done();
        // The client may have changed its mind meanwhile.
        let Some(place) = many.judged().iter().position(|judged| judged.ticket == ticket) else { return };
        let Judged { topic, request, errand, .. } = many.busy().judged.swap_remove(place);
        let Seating { endpoint, mark } = match outcome {
            Ok(seating) => seating,
            Err(why) => return self.complain(index, request.as_deref(), Some(topic), why),
        };
        let known = self.slots[index as usize].as_ref().map(|slot| &slot.session);
        let known = known.and_then(|session| Some((session.account()?.clone(), session.family())));
        let Some((account, family)) = known else { return };
        let is_feed = endpoint == Endpoint::Feed;
        let form = if is_feed { self.form_of(index) } else { Form::HELD };
        let Some((seat, is_first)) = self.join_as_next(index, topic, form) else { return };
        let entry = Entry { account, endpoint, family, token_ends: i64::MAX, mark };
        // From here on this shard is told of evictions. Whoever was evicted before, while they were judged, is not let in.
        if !self.ports.gate.still_admits(&entry) {
            self.drop_seat(index, topic);
            return self.complain(index, request.as_deref(), Some(topic), complaint::ASK_AGAIN);
        }
        if is_feed {
            let is_resumed = false;
            self.respond(index, |out| {
                reply::subscribed(out, request.as_deref(), topic, None, is_resumed);
                if matches!(errand, From::Cursor(_)) {
                    reply::gap(out, topic, None);
                }
            });
            if is_first {
                self.open_feed(entry.account.id, seat.slot);
            }
            return;
        }
        if let Some(many) = self.many.get_mut(&index) {
            many.busy().held.push(Held {
                ticket,
                topic,
                request: Asked::Waits(request.clone()),
                entry,
                said: Said::default(),
                seen: None,
                is_cut: false,
            });
        }
        self.catch_up(index, ticket, topic, errand, Some(request));
    }

    /// Has the events read that the subscription missed. `subscribing` is the request that is answered with them.
    fn catch_up(
        &mut self,
        index: u32,
        ticket: Ticket,
        topic: Topic,
        from: From,
        subscribing: Option<Option<RequestId>>,
    ) {
        let session = self.key(index);
        let Some(user) = self.account_of(index).map(|account| account.id) else { return };
        if !(self.ports.errands)(Errand::Catch { session, ticket, user, topic, from, subscribing }) {
            self.lose(index, topic, complaint::BUSY);
        } else if let Some(many) = self.many.get_mut(&index) {
            many.busy().errands += 1;
        }
    }

    /// Has the next page read of what a subscription missed, once its socket has room for it.
    fn catch_up_further(&mut self, index: u32, ticket: Ticket, cursor: Cursor) {
        let held = self.many.get(&index).and_then(|many| many.held().iter().find(|held| held.ticket == ticket));
        let Some(topic) = held.map(|held| held.topic) else { return };
        let line = &self.lines[index as usize];
        if line.blocked_at.is_some() || line.outbox.owed_bytes() > 2 * REPLAY_BYTES_MAX {
            self.postponed.push((self.key(index), ticket, cursor));
        } else {
            self.catch_up(index, ticket, topic, From::Cursor(cursor), None);
        }
    }

    /// Goes on with subscriptions whose sockets were full, and counts what is kept for all of them.
    pub(super) fn look_at_subscriptions(&mut self) {
        for (key, ticket, cursor) in std::mem::take(&mut self.postponed) {
            if let Some(index) = self.find_open(key) {
                self.catch_up_further(index, ticket, cursor);
            }
        }
        if self.kept_bytes > 0 {
            self.kept_bytes = self.many.values().map(Many::kept_bytes).sum();
        }
    }

    /// Ends a session's place in a topic and says why: to the request, if it was not answered yet. False if it was not there.
    fn lose(&mut self, index: u32, topic: Topic, why: Complaint) -> bool {
        let asked = self.asked_for(index, topic);
        if !self.drop_seat(index, topic) {
            return false;
        }
        match asked {
            Asked::Waits(id) => self.complain(index, id.as_deref(), Some(topic), why),
            Asked::Answered => self.respond(index, |out| reply::unsubscribed(out, None, topic, Some(why))),
        }
        true
    }

    /// The request for a session's place in a topic.
    fn asked_for(&self, index: u32, topic: Topic) -> Asked {
        let held = self.many.get(&index).and_then(|many| many.held().iter().find(|held| held.topic == topic));
        held.map_or(Asked::Answered, |held| held.request.clone())
    }

    fn caught(&mut self, key: SessionKey, ticket: Ticket, outcome: Result<Caught, Complaint>) {
        let Some(index) = self.find_open(key) else { return };
        let Some(many) = self.many.get_mut(&index) else { return };
        many.errand_done();
        let Some(place) = many.held().iter().position(|held| held.ticket == ticket) else { return };
        let held = &mut many.busy().held[place];
        let topic = held.topic;
        // What was read is not for whoever has lost the right to it meanwhile.
        if !self.ports.gate.still_admits(&held.entry) {
            self.lose(index, topic, complaint::ASK_AGAIN);
            return;
        }
        let Caught { frames, cursor, has_more, naming } = match outcome {
            Ok(caught) => caught,
            Err(why) => {
                self.lose(index, topic, why);
                return;
            }
        };
        // What was read begins with the answer.
        held.request = Asked::Answered;
        if has_more || held.is_cut {
            // What is held was committed before it came here: the next reading finds it.
            (held.said, held.is_cut) = (Said::default(), false);
            self.make_memory(frames.len());
            if !self.is_held(index, ticket) {
                return;
            }
            self.deliver(index, &frames, Class::Durable);
            return self.catch_up_further(index, ticket, cursor);
        }
        let rest = held.said.behind(cursor);
        // Room is made before, because whoever is let go for it may be this one.
        self.make_memory(frames.len() + rest.len());
        if !self.is_held(index, ticket) {
            return;
        }
        self.deliver(index, &frames, Class::Durable);
        if !rest.is_empty() && self.is_held(index, ticket) {
            self.deliver_as_is(index, &rest, Class::Durable);
        }
        self.go_on(index, ticket, cursor, naming);
    }

    /// The subscription is not live yet, and it was not ended.
    fn is_held(&self, index: u32, ticket: Ticket) -> bool {
        self.many.get(&index).is_some_and(|many| many.held().iter().any(|held| held.ticket == ticket))
    }

    /// The subscription has everything up to here.
    fn go_on(&mut self, index: u32, ticket: Ticket, cursor: Cursor, naming: Naming) {
        let session = self.key(index);
        let Some(many) = self.many.get_mut(&index) else { return };
        let Some(place) = many.held().iter().position(|held| held.ticket == ticket) else { return };
        let Held { topic, entry, seen, .. } = many.busy().held.swap_remove(place);
        many.rest();
        let Some((number, seat)) = self.seat_of(index, topic) else { return };
        self.set_until(index, number, Some(cursor));
        if let Some(many) = self.many.get_mut(&index).filter(|many| naming.is_behind(many.naming)) {
            many.naming = naming;
        }
        if seen.is_some_and(|(seen, naming)| seen >= cursor && self.knows(index, naming)) {
            self.go_live(index, number, seat);
        } else {
            self.change_form(seat, self.form_of(index).caught());
        }
        let (Topic::Room(room), Some(account)) = (topic, self.account_of(index)) else { return };
        if let Some(listeners) = self.registry.live(seat.slot).listeners.clone() {
            if let Some(subscription) = self.many.get_mut(&index).and_then(|many| many.seats.get_mut(number)) {
                subscription.set_present();
            }
            let arrived =
                ToShard::Arrived { room, account, is_told: entry.endpoint.tells_presence(), session, listeners };
            self.tell(self.ports.home(room), arrived);
        }
    }

    /// What comes from now on goes to the session as to any member.
    fn go_live(&mut self, index: u32, number: usize, seat: Seat) {
        self.set_until(index, number, None);
        self.change_form(seat, self.form_of(index));
    }

    fn set_until(&mut self, index: u32, number: usize, until: Option<Cursor>) {
        if let Some(subscription) = self.many.get_mut(&index).and_then(|many| many.seats.get_mut(number)) {
            subscription.set_until(until);
        }
    }

    fn until_of(&self, index: u32, number: usize) -> Option<Cursor> {
        self.many.get(&index)?.seats.get(number)?.until()
    }

    /// The session knows whom frames name that were made then.
    fn knows(&self, index: u32, naming: Naming) -> bool {
        self.many.get(&index).is_some_and(|many| naming.is_behind(many.naming))
    }

    /// Sessions that are held in a topic, and those that were caught up.
    fn held_in(&self, slot: u32) -> Vec<u32> {
        self.members_of(slot, |form| form == Form::HELD || form.is_caught())
    }

    fn members_of(&self, slot: u32, is_meant: impl Fn(Form) -> bool) -> Vec<u32> {
        let members = self.registry.live(slot).members.iter().filter(|member| is_meant(member.form));
        members.map(|member| member.session).collect()
    }

    /// Members who have everything before these frames are live from here on.
    pub(super) fn ripen(&mut self, slot: u32, frames: &FrameSet<impl AsRef<[u8]>>) {
        let Some(said) = frames.said() else { return };
        let Some(first) = said.marks.iter().find_map(|mark| mark.cursor) else { return };
        let topic = self.registry.live(slot).topic;
        for index in self.held_in(slot) {
            let Some((number, seat)) = self.seat_of(index, topic) else { continue };
            if self.until_of(index, number).is_some_and(|until| until < first) && self.knows(index, said.naming) {
                self.go_live(index, number, seat);
            }
        }
    }

    /// Keeps frames for the members who are being caught up. Those who have been are given what they have not.
    pub(super) fn hold(&mut self, slot: u32, frames: &FrameSet<impl AsRef<[u8]>>, class: Class, except: Except) {
        let topic = self.registry.live(slot).topic;
        let bytes = frames.of(Form::V1);
        let whole = [Mark { end: u32::try_from(bytes.len()).unwrap_or(u32::MAX), cursor: None }];
        let marks = frames.said().map_or(&whole[..], |said| &said.marks);
        let last = marks.iter().rev().find_map(|mark| mark.cursor);
        let naming = frames.said().map_or(Naming::default(), |said| said.naming);
        // Whoever is not live yet may have missed when they were named.
        let names = frames.said().map(|said| said.names(topic)).unwrap_or_default();
        // Those who were caught up have got what is passing.
        let is_held = |form| form == Form::HELD;
        let members = if frames.is_passing() { self.members_of(slot, is_held) } else { self.held_in(slot) };
        for index in members {
            // Memory that is made for one may cost another its seat.
            let Some((number, seat)) = self.seat_of(index, topic) else { continue };
            let slot = &self.slots[index as usize];
            let is_excepted = match except {
                Except::Nobody => false,
                Except::Session(key) => key.index == index && key.shard == self.id,
                Except::User(user) => is_of(slot, user),
                Except::UserAndNewcomers(user) => {
                    is_apart(slot, user) || !is_greeted(slot, self.many.get(&index), number)
                }
                Except::AllBut(user) => !is_of(slot, user),
            };
            if is_excepted {
                continue;
            }
            if let Some(until) = self.until_of(index, number) {
                let rest = said::behind(bytes, marks, until);
                if last.is_some_and(|last| last >= until) && self.knows(index, naming) {
                    self.go_live(index, number, seat);
                }
                if !rest.is_empty() {
                    // Many may be given a rest of their own at once: nothing is compressed for each of them.
                    self.deliver_as_is(index, &[&names[..], &rest].concat(), class);
                }
            } else if class == Class::Durable {
                let last = last.map(|last| (last, naming));
                self.keep(index, topic, (&names, bytes), marks, last);
            }
        }
    }

    fn keep(
        &mut self,
        index: u32,
        topic: Topic,
        (names, bytes): (&[u8], &[u8]),
        marks: &[Mark],
        last: Option<(Cursor, Naming)>,
    ) {
        let many = self.many.get_mut(&index);
        let Some(held) = many.and_then(|many| many.busy().held.iter_mut().find(|held| held.topic == topic)) else {
            return;
        };
        held.seen = last.or(held.seen);
        let more = names.len() + bytes.len();
        let is_full = held.said.frames.len() + more > HELD_BYTES_MAX || self.kept_bytes + more > SHARD_HELD_BYTES_MAX;
        if held.is_cut || is_full {
            (held.said, held.is_cut) = (Said::default(), true);
        } else {
            self.kept_bytes += more;
            held.said.add(None, |out| out.extend_from_slice(names));
            held.said.extend(bytes, marks);
        }
    }

    /// The client wants to hear no more of a topic.
    pub(super) fn unsubscribe(&mut self, index: u32, id: Option<&str>, topic: Topic) {
        let judged = self.many.get_mut(&index).and_then(|many| {
            let place = many.judged().iter().position(|judged| judged.topic == topic)?;
            Some(Asked::Waits(many.busy().judged.swap_remove(place).request))
        });
        let asked = judged.clone().unwrap_or_else(|| self.asked_for(index, topic));
        if self.drop_seat(index, topic) || judged.is_some() {
            if let Asked::Waits(request) = asked {
                self.complain(index, request.as_deref(), Some(topic), complaint::CANCELLED);
            }
            self.respond(index, |out| reply::unsubscribed(out, id, topic, None));
        } else {
            self.complain(index, id, Some(topic), complaint::NOT_SUBSCRIBED);
        }
    }

    /// Ends a session's place in a topic: the subscription, or the session where it has no other.
    pub(super) fn turn_out(&mut self, index: u32, topic: Topic, goodbye: Goodbye) {
        if !self.many.contains_key(&index) {
            return self.goodbye(index, goodbye);
        }
        self.lose(index, topic, Complaint::of_goodbye(goodbye));
    }

    /// Ends the sockets of a user that have many topics, on this shard.
    pub(super) fn evict_many(&mut self, user: UserId, goodbye: Goodbye) {
        let is_theirs = |index: &u32| is_of(&self.slots[*index as usize], user);
        let theirs: Vec<u32> = self.many.keys().filter(is_theirs).collect();
        theirs.into_iter().for_each(|index| self.goodbye(index, goodbye));
    }

    /// Seats a session in one more topic.
    fn join_as_next(&mut self, index: u32, topic: Topic, form: Form) -> Option<(Seat, bool)> {
        let now = self.now;
        let number = self.slots[index as usize].as_ref()?.seats.all().len();
        let member = Member { session: index, seat: u16::try_from(number).ok()?, form };
        let (seat, is_first) = self.join(topic, member);
        self.slots[index as usize].as_mut()?.seats.push(seat);
        self.many.get_mut(&index)?.seats.push(Subscription::joined(now));
        Some((seat, is_first))
    }

    /// Takes a session out of one of its topics. False if it was not there.
    pub(super) fn drop_seat(&mut self, index: u32, topic: Topic) -> bool {
        let Some((number, seat)) = self.seat_of(index, topic) else { return false };
        let Some(slot) = self.slots[index as usize].as_mut() else { return false };
        if let Some(moved) = slot.seats.take(number) {
            self.registry.renumber(moved, u16::try_from(number).unwrap_or(u16::MAX));
        }
        let user = slot.session.account().map(|account| account.id);
        let mut is_present = false;
        if let Some(many) = self.many.get_mut(&index) {
            many.busy().held.retain(|held| held.topic != topic);
            many.rest();
            is_present = many.seats.take(number).is_some_and(|subscription| subscription.is_present());
        }
        self.leave_seat(seat);
        if let (Topic::Room(room), true, Some(user)) = (topic, is_present, user) {
            self.tell(self.ports.home(room), ToShard::Departed { room, user });
        }
        true
    }

    fn change_form(&mut self, seat: Seat, form: Form) {
        let gone = self.registry.only_one_of_its_form(seat);
        self.registry.change_form(seat, form);
        // The new form comes before the old one goes, so that publishers make it all the time.
        if let Some((topic, form)) = self.registry.only_one_of_its_form(seat) {
            self.ports.directory.form_came(topic, form);
        }
        if let Some((topic, form)) = gone {
            self.ports.directory.form_went(topic, form);
        }
    }

    /// When a member of a topic came to it.
    pub(super) fn came_at(&self, member: Member) -> Option<Seconds> {
        let session = &self.slots[member.session as usize].as_ref()?.session;
        let subscription = self.many.get(&member.session).and_then(|many| many.seats.get(usize::from(member.seat)));
        Some(subscription.map_or(session.began_at(), Subscription::since))
    }
}

#[cfg(test)]
mod tests;
