//! What operators ask of a shard's sessions: a list, a word to them, or their end.

use super::core::{Core, Slot};
use super::outbound::{To, is_of};
use super::port::{Except, Meant, Order};
use crate::clock::Timestamp;
use crate::domain::operator::{Place, Row, Verb, Whose};
use crate::engine::net::stretch::Transmit;
use crate::engine::session::Seconds;
use crate::engine::session::outbox::Class;
use crate::engine::topics::members::Member;
use crate::ids::Topic;
use crate::limits::frames::chars;
use crate::protocol::form::Form;
use crate::protocol::v0;
use crate::protocol::v0::json::within;
use crate::protocol::v0::reason::{CUT, CUT_OFF, Goodbye};
use crate::protocol::v1::reply;

impl Core {
    /// Answers what came by mail, each time for a bounded number of slots.
    pub(super) fn answer_asked(&mut self, sockets: &impl Transmit) {
        for asked in std::mem::take(&mut self.asked) {
            let Order { whose, verb, from, rows_from, rows_max, answer } = asked;
            let meant = self.meant(whose, from);
            let next = self.some_slots(from).1;
            let (mut rows, mut left_out) = (Vec::new(), None);
            match &*verb {
                Verb::List(_) => {
                    let mut listed = meant.iter().copied().filter(|index| *index >= rows_from);
                    rows = listed.by_ref().take(rows_max).filter_map(|index| self.row(index, sockets)).collect();
                    left_out = listed.next();
                }
                Verb::Tell(text) => self.tell_notice(&meant, whose, text),
                Verb::Cut { stay_away } => {
                    let goodbye = if *stay_away { CUT_OFF } else { CUT };
                    meant.iter().for_each(|index| self.cut_off(*index, whose, goodbye));
                }
            }
            let _ = answer.send(Meant { count: meant.len() as u64, rows, left_out, next });
        }
    }

    /// The open sessions among some slots that are meant.
    fn meant(&self, whose: Whose, from: u32) -> Vec<u32> {
        let room = if let Whose::Room(room) = whose { self.registry.slot(&Topic::Room(room)) } else { None };
        let is_meant = |slot: &Option<Slot>| {
            slot.as_ref().is_some_and(|it| it.session.is_open())
                && match whose {
                    Whose::User(user) => is_of(slot, user),
                    Whose::Room(_) => {
                        slot.as_ref().is_some_and(|it| it.seats.all().iter().any(|seat| Some(seat.slot) == room))
                    }
                    Whose::All => true,
                }
        };
        let (slots, _) = self.some_slots(from);
        (from..).zip(slots).filter(|(_, slot)| is_meant(slot)).map(|(index, _)| index).collect()
    }

    /// Appends the notice once for each form, however many are told.
    fn tell_notice(&mut self, meant: &[u32], whose: Whose, text: &str) {
        let topic = if let Whose::Room(room) = whose { Some(Topic::Room(room)) } else { None };
        for form in Form::all() {
            let mut frames = Vec::with_capacity(text.len() + 128);
            if form.is_v1() {
                reply::notice(&mut frames, topic, text);
            } else {
                v0::event::notice(&mut frames, text);
            }
            let is_told = |index: &&u32| self.is_open(**index) && self.form_of(**index) == form;
            if !meant.iter().any(|index| is_told(&index)) {
                continue;
            }
            let frames = form.pack(&frames);
            // Memory that is made may cost some their sessions.
            self.make_memory(frames.len());
            let is_told = |index: &&u32| self.is_open(**index) && self.form_of(**index) == form;
            let members: Vec<Member> =
                meant.iter().filter(is_told).map(|index| Member::first_of(*index, form)).collect();
            let mut open = self.single;
            let to = To { class: Class::Durable, except: Except::Nobody, origin: None, is_passing: false };
            self.give(&members, form, &mut open, &frames, to);
            self.single = open;
            self.let_the_overdue_go();
        }
    }

    fn cut_off(&mut self, index: u32, whose: Whose, goodbye: Goodbye) {
        match whose {
            Whose::Room(room) => self.turn_out(index, Topic::Room(room), goodbye),
            Whose::User(_) | Whose::All => self.goodbye(index, goodbye),
        }
    }

    fn row(&self, index: u32, sockets: &impl Transmit) -> Option<Row> {
        let session = &self.slots[index as usize].as_ref()?.session;
        let (account, endpoint) = (session.account(), session.endpoint());
        let passed = |since: Seconds| self.now.0.saturating_sub(since.0);
        let many = self.many.get(&index);
        let topic = account.filter(|_| many.is_none()).map(|account| endpoint.topic(account.id));
        Some(Row {
            place: Place { shard: self.id.0, slot: index },
            user: account.map(|account| account.id),
            username: account.map(|account| within(&account.username, chars::USERNAME).into()),
            kind: endpoint.name().into(),
            topic,
            topics: many.map(|many| u32::try_from(many.seats.len()).unwrap_or(u32::MAX)),
            since: Timestamp::now().seconds() - i64::from(passed(session.began_at())),
            idle_seconds: passed(session.heard_at()),
            owed_bytes: self.lines[index as usize].outbox.owed_bytes() as u64,
            address: sockets.peer(index).map(|peer| peer.to_string().into()),
        })
    }
}

#[cfg(test)]
mod tests;
