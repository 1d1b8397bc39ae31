//! A durable chat load of many kinds: messages, replies, typing, reads, reactions, edits, deletes.
//!
//! All durable actions of a member share one numbering, and each event names its actor, so the oracle of plain messages
//! can judge them: every member gets each actor's actions in order, and all durable events of a room in one order.
//! Typing has a numbering of its own, and is not sent to the typist.

mod events;
mod events_v1;
mod known_v1;
mod of_v1;
mod rooms;

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use indicatif::ProgressBar;

use self::events::{Event, Events, Key, REACTIONS, What};
use self::events_v1::Numbers;
use self::known_v1::OfV1;
use self::rooms::{Chosen, Room};
use super::drive::{self, Load};
use super::flight::{Flight, Passage};
use super::shares::{ACTS, Act, Mix};
use super::traffic_report::{KindLine, TrafficReport};
use super::{Plan, Run};
use crate::client::{Ending, Handler, Links};
use crate::digest::digest;
use crate::frames::{self, Frame};
use crate::latency::Latency;
use crate::meter::{Meter, Ns, histogram};
use crate::oracle::{Layout, Oracle, Violations};
use crate::pacing::{Pacing, Release, Schedule};
use crate::round::Round;
use crate::tag::{SENDERS_MAX, Tag};
use crate::target::{Seat, Target};
use crate::v1::Protocol;
use crate::v1::names::Names;
use crate::v1::read;

/// A server this far behind an open loop will not catch up.
const UNDER_WAY_MAX: u64 = 200_000;

/// A member in its role as actor.
#[derive(Default)]
struct Actor {
    next: u32,
    flight: Flight,
    typing_next: u32,
    typing_flight: Flight,
    /// Actions that it may do now, or let others in its room do.
    credits: u32,
    refused: u32,
}

/// A durable action under way.
struct Record {
    act: Act,
    /// The actor whose credit it used.
    owner: usize,
    target: Option<[u8; 36]>,
    key: Option<Key>,
}

/// Figures of one kind in the measured rounds.
struct KindStats {
    sent: u64,
    deliveries: u64,
    latency: Ns,
}

struct Mixed {
    layout: Layout,
    /// How many first members of a room write.
    writers: usize,
    pacing: Pacing,
    mix: Mix,
    random: fastrand::Rng,
    events: Events,
    /// A link and its actor have the same number.
    actors: Vec<Actor>,
    users: Vec<u64>,
    seats: HashMap<(usize, u64), usize>,
    rooms: Vec<Room>,
    records: HashMap<Tag, Record>,
    changes: HashMap<Key, Tag>,
    oracle: Oracle,
    typing: Oracle,
    kinds: Vec<KindStats>,
    /// Writers with credits.
    due: Vec<usize>,
    turn: usize,
    schedule: Option<Schedule>,
    sending: bool,
    halted: Option<String>,
    under_way: u64,
    now: u64,
    meter: Meter,
    /// What a load over `pregon.v1` has beside that.
    v1: Option<OfV1>,
}

/// Runs a plan on connections that are already admitted.
pub fn run(plan: &Plan, mix: Mix, run: &Run, links: &mut Links, bar: &ProgressBar) -> Result<TrafficReport> {
    let mut mixed = Mixed::new(plan, mix, run)?;
    let rounds = drive::rounds(&mut mixed, plan, links, bar)?;
    Ok(mixed.report(plan, run, rounds))
}

impl Mixed {
    fn new(plan: &Plan, mix: Mix, run: &Run) -> Result<Self> {
        let Target::Pregon(fixture, protocol) = &run.target else {
            bail!("this server knows messages only: use --mix messages=100");
        };
        let Layout { rooms, members, senders: writers } = plan.layout;
        let layout = Layout { rooms, members, senders: members };
        ensure!(
            writers <= members && layout.receivers() < SENDERS_MAX as usize,
            "{rooms} rooms of {members} members with {writers} senders are too many"
        );
        let seats = || (0..layout.receivers()).map(|link| (link / members, link % members));
        let users: Vec<u64> = seats().map(|(room, member)| digest(fixture.user(room, member).id.as_bytes())).collect();
        let seat_of: HashMap<_, _> =
            users.iter().enumerate().map(|(link, user)| ((link / members, *user), link)).collect();
        ensure!(seat_of.len() == users.len(), "a room has a user twice: each member must be somebody else");
        let kind = || Ok(KindStats { sent: 0, deliveries: 0, latency: histogram()? });
        Ok(Self {
            layout,
            writers,
            pacing: plan.pacing,
            mix,
            random: fastrand::Rng::with_seed(1),
            events: Events::new(plan.bytes),
            actors: (0..layout.receivers()).map(|_| Actor::default()).collect(),
            users,
            seats: seat_of,
            rooms: (0..rooms).map(|_| Room::default()).collect(),
            records: HashMap::new(),
            changes: HashMap::new(),
            oracle: Oracle::new(layout, true),
            typing: Oracle::new(layout, false),
            kinds: ACTS.iter().map(|_| kind()).collect::<Result<_>>()?,
            due: Vec::new(),
            turn: 0,
            schedule: None,
            sending: false,
            halted: None,
            under_way: 0,
            now: 0,
            meter: Meter::new(run.server)?,
            v1: (*protocol == Protocol::V1).then(|| OfV1 {
                topics: (0..rooms).map(|room| run.target.topic(Seat { room, member: 0 })).collect(),
                numbers: Numbers::new(),
                names: Names::new(layout.receivers()),
            }),
        })
    }

    fn grant(&mut self, writer: usize) {
        let actor = &mut self.actors[writer];
        if actor.credits == 0 {
            self.due.push(writer);
        }
        actor.credits += 1;
    }

    /// The writers take turns, room by room.
    fn next_writer(&mut self) -> usize {
        let rooms = self.layout.rooms;
        let member = self.turn / rooms;
        let room = self.turn % rooms;
        self.turn = (self.turn + 1) % (rooms * self.writers);
        room * self.layout.members + member
    }

    fn release(&mut self, owner: usize) {
        if !self.sending {
            return;
        }
        match self.pacing {
            Pacing::Each { .. } => self.grant(owner),
            Pacing::Together { .. } => {
                let writer = self.next_writer();
                self.grant(writer);
            }
            Pacing::Rate { .. } => {}
        }
    }

    /// Performs one action of the mix, on the credit of `writer`.
    fn act(&mut self, links: &mut Links, writer: usize, stamp: u64) {
        let act = self.mix.at(self.random.f64());
        let room = writer / self.layout.members;
        let members = self.layout.members;
        let chosen = self.rooms[room].choose(act, writer % members, members, &mut self.random);
        let actor = room * members + chosen.member;
        if self.meter.is_measured() {
            self.kinds[chosen.act as usize].sent += 1;
        }
        self.under_way += 1;
        let payload = if chosen.act == Act::Typing {
            self.begin_typing(actor, stamp)
        } else {
            self.begin(actor, writer, &chosen, stamp)
        };
        links.send(actor, &frames::masked(frames::TEXT, payload.as_bytes()));
    }

    /// An actor's first typing frame begins it, the second stops it, and so on.
    fn begin_typing(&mut self, actor: usize, stamp: u64) -> String {
        let others = self.layout.members as u32 - 1;
        let entry = &mut self.actors[actor];
        let tag = Tag { sender: actor as u32, seq: entry.typing_next };
        entry.typing_next += 1;
        entry.typing_flight.depart(stamp, others);
        self.typing.skip(actor, tag);
        let to = self.topic_field(actor);
        format!(r#"{{"type":"typing"{to},"is_typing":{}}}"#, begins(tag.seq))
    }

    fn begin(&mut self, actor: usize, owner: usize, chosen: &Chosen, stamp: u64) -> String {
        let entry = &mut self.actors[actor];
        let tag = Tag { sender: actor as u32, seq: entry.next };
        entry.next += 1;
        entry.flight.depart(stamp, self.layout.members as u32);
        let Chosen { act, target, what, .. } = *chosen;
        let message = target.map(|id| digest(&id)).unwrap_or_default();
        let key = what.map(|what| Key { message, user: self.users[actor], what });
        if let Some(key) = key {
            self.changes.insert(key, tag);
        }
        self.records.insert(tag, Record { act, owner, target, key });
        let id = target.map(|id| String::from_utf8_lossy(&id).into_owned()).unwrap_or_default();
        let text = self.events.text(tag);
        let to = self.name_fields(actor, tag, act);
        match act {
            Act::Message | Act::Typing => {
                format!(r#"{{"type":"chat_message"{to},"content":"{text}","message_type":"text"}}"#)
            }
            Act::Reply => {
                format!(r#"{{"type":"chat_message"{to},"content":"{text}","message_type":"text","reply_to":"{id}"}}"#)
            }
            Act::Read => format!(r#"{{"type":"read_message"{to},"message_id":"{id}"}}"#),
            Act::React => {
                let reaction = match what {
                    Some(What::Reacted(reaction, _)) => REACTIONS[usize::from(reaction)],
                    _ => REACTIONS[0],
                };
                format!(r#"{{"type":"react_message"{to},"message_id":"{id}","reaction_type":"{reaction}"}}"#)
            }
            Act::Edit => format!(r#"{{"type":"edit_message"{to},"message_id":"{id}","content":"{text}"}}"#),
            Act::Delete => format!(r#"{{"type":"delete_message"{to},"message_id":"{id}"}}"#),
        }
    }

    fn text(&mut self, link: usize, payload: &[u8], tag: Tag, edited: bool, id: [u8; 36], user: u64) {
        let sender = tag.sender as usize;
        if self.actors.get(sender).is_none_or(|actor| tag.seq >= actor.next) {
            return self.oracle.damaged(link, &format!("{tag} was never sent"));
        }
        if self.users[sender] != user {
            return self.oracle.damaged(link, &format!("{tag} names another sender"));
        }
        if !self.oracle.observe(link, tag, digest(&id) ^ u64::from(edited) << 1) {
            return;
        }
        let Some(record) = self.records.get(&tag) else { return };
        let is_edit = record.act == Act::Edit;
        let target = record.target;
        if is_edit != edited || edited && target != Some(id) {
            return self.oracle.damaged(link, &format!("{tag} came as another message's text"));
        }
        if link == sender {
            let reply_to = target.filter(|_| !edited);
            let fault = match &self.v1 {
                None => self.events.fault(payload, tag, edited, reply_to),
                Some(_) => events_v1::fault(&self.events, payload, tag, edited, reply_to),
            };
            if let Some(fault) = fault {
                self.oracle.damaged(link, &format!("{tag} {fault}"));
            }
        }
        self.arrived(link, tag, Some(id).filter(|_| !edited));
    }

    fn changed(&mut self, link: usize, key: Key) {
        let Some(tag) = self.changes.get(&key).copied() else {
            return self.oracle.damaged(link, &format!("{:?} that nobody did, or everybody knows already", key.what));
        };
        let Key { message, what, .. } = key;
        let kind = match what {
            What::Read => 2,
            What::Deleted => 4,
            What::Reacted(reaction, added) => 8 | u64::from(reaction) << 4 | u64::from(added) << 8,
        };
        if self.oracle.observe(link, tag, message ^ kind) {
            self.arrived(link, tag, None);
        }
    }

    /// The first copy of a durable event for this receiver; `new` is a message that can be acted on from now on.
    fn arrived(&mut self, link: usize, tag: Tag, new: Option<[u8; 36]>) {
        let sender = tag.sender as usize;
        let Some(passage) = self.actors[sender].flight.arrive(tag.seq) else { return };
        let Some(Record { act, owner, target, key }) = self.records.get(&tag) else { return };
        let act = *act;
        let owner = *owner;
        let target = *target;
        let key = *key;
        let room = &mut self.rooms[sender / self.layout.members];
        if let Some(id) = new.filter(|_| passage.first) {
            room.learn(id, sender % self.layout.members);
        }
        if passage.complete {
            self.records.remove(&tag);
            if let Some(key) = key {
                self.changes.remove(&key);
            }
            if let Some(target) = target {
                room.over(digest(&target));
            }
        }
        let echo = link == sender;
        self.count(act, &passage, echo && matches!(act, Act::Message | Act::Reply));
        self.maybe_release(owner, &passage, echo);
    }

    fn count(&mut self, act: Act, passage: &Passage, echo: bool) {
        let latency = self.now.saturating_sub(passage.stamp).max(1);
        self.meter.arrived(latency, echo);
        if self.meter.is_measured() {
            let kind = &mut self.kinds[act as usize];
            kind.deliveries += 1;
            kind.latency.saturating_record(latency);
        }
        if passage.complete {
            self.under_way = self.under_way.saturating_sub(1);
        }
    }

    fn maybe_release(&mut self, owner: usize, passage: &Passage, echo: bool) {
        let released = match self.pacing {
            Pacing::Each { release, .. } | Pacing::Together { release, .. } => match release {
                Release::Sender => echo,
                Release::All => passage.complete,
            },
            Pacing::Rate { .. } => false,
        };
        if released {
            self.release(owner);
        }
    }

    fn typing(&mut self, link: usize, user: u64, is_typing: bool) {
        let Some(&sender) = self.seats.get(&(link / self.layout.members, user)) else {
            return self.typing.damaged(link, "typing of somebody who is not in the room");
        };
        if sender == link {
            return self.typing.misdirected(link, "was told that it is typing itself");
        }
        // These frames carry no number. If one was lost, doubled or out of order, the value is not the expected one.
        let expected = self.typing.expected(link, sender);
        let seq = expected + u32::from(is_typing != begins(expected));
        let tag = Tag { sender: sender as u32, seq };
        if seq >= self.actors[sender].typing_next {
            return self.typing.damaged(link, &format!("typing of {sender} that was never sent, or came twice"));
        }
        if self.typing.observe(link, tag, 0)
            && let Some(passage) = self.actors[sender].typing_flight.arrive(seq)
        {
            self.count(Act::Typing, &passage, false);
            // The typist receives nothing; the first of the others stands for it.
            self.maybe_release(sender, &passage, passage.first);
        }
    }

    fn refused(&mut self, link: usize, reason: &str) {
        self.meter.refused.count(reason);
        self.actors[link].refused += 1;
        self.under_way = self.under_way.saturating_sub(1);
        let room = link / self.layout.members;
        let member = link % self.layout.members;
        self.release(room * self.layout.members + member % self.writers);
    }

    fn report(mut self, plan: &Plan, run: &Run, rounds: Vec<Round>) -> TrafficReport {
        let sent: Vec<u32> = self.actors.iter().map(|actor| actor.next).collect();
        let typed: Vec<u32> = self.actors.iter().map(|actor| actor.typing_next).collect();
        let refused = self.actors.iter().map(|actor| {
            let unheard = if actor.refused > 0 { actor.flight.unheard() } else { Vec::new() };
            unheard.into_iter().take(actor.refused as usize).collect()
        });
        let refused: Vec<Vec<u32>> = refused.collect();
        if let Some(of_v1) = &self.v1 {
            self.oracle.unanswered(of_v1.names.unanswered());
        }
        self.oracle.finish(&sent, &refused, |_| false);
        self.typing.finish(&typed, &vec![Vec::new(); typed.len()], |_| false);
        let seconds: f64 = rounds.iter().map(|round| round.seconds).sum();
        let lines = ACTS.into_iter().zip(&self.kinds).filter(|(_, kind)| kind.sent > 0).map(|(act, kind)| KindLine {
            kind: act.name(),
            sent_per_second: kind.sent as f64 / seconds,
            deliveries: kind.deliveries,
            delivery: Latency::of(&kind.latency),
        });
        let kinds = lines.collect();
        let mut violations: Violations = self.oracle.violations;
        violations.add(self.typing.violations);
        let notes = self.halted.into_iter().collect();
        let mut report = TrafficReport::new(plan, run, rounds, notes, self.meter).with_verdict(violations);
        report.kinds = kinds;
        report
    }
}

/// Whether the typing frame with this number says "begins".
fn begins(seq: u32) -> bool {
    seq.is_multiple_of(2)
}

impl Load for Mixed {
    fn start(&mut self, links: &mut Links) {
        self.sending = true;
        self.now = links.now();
        match self.pacing {
            Pacing::Each { window, .. } => {
                for number in 0..self.layout.rooms * self.writers {
                    let room = number / self.writers;
                    let member = number % self.writers;
                    (0..window).for_each(|_| self.grant(room * self.layout.members + member));
                }
            }
            Pacing::Together { window, .. } => {
                for _ in 0..window {
                    let writer = self.next_writer();
                    self.grant(writer);
                }
            }
            Pacing::Rate { per_second } => self.schedule = Some(Schedule::new(self.now, per_second)),
        }
        self.after_read(links);
    }

    fn stop(&mut self) {
        self.sending = false;
        self.schedule = None;
        self.due.clear();
        self.actors.iter_mut().for_each(|actor| actor.credits = 0);
    }

    fn due(&self) -> Option<u64> {
        self.schedule.as_ref().map(Schedule::due)
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    fn under_way(&self) -> u64 {
        self.under_way.max(self.v1.as_ref().map_or(0, |of_v1| of_v1.names.open() as u64))
    }

    fn violations(&self) -> u64 {
        self.oracle.violations.total() + self.typing.violations.total()
    }

    fn is_halted(&self) -> bool {
        self.halted.is_some()
    }
}

impl Handler for Mixed {
    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64) {
        self.now = now;
        let (event, cursor) = match &mut self.v1 {
            None => (self.events.read(frame.payload), None),
            Some(of_v1) => {
                let heard = read::heard(frame.payload);
                match events_v1::event(&self.events, &of_v1.numbers, &heard, frame.payload) {
                    Some(placed) => (placed.event, placed.cursor),
                    None => return self.reply(link, &heard),
                }
            }
        };
        self.place(link, &event, cursor);
        if matches!(event, Event::Text { .. } | Event::Changed(_) | Event::Typing { .. }) {
            self.meter.deliveries += 1;
            self.meter.checked += 1;
            self.meter.bytes += frame.payload.len() as u64;
        }
        match event {
            Event::Text { tag, edited, id, user } => self.text(link, frame.payload, tag, edited, id, user),
            Event::Changed(key) => self.changed(link, key),
            Event::Typing { user, is_typing } => self.typing(link, user, is_typing),
            Event::Refusal(reason) => self.refused(link, &reason),
            Event::Other => {}
            Event::Damaged(what) => self.oracle.damaged(link, &what),
        }
    }

    fn closed(&mut self, link: usize, ending: &Ending) {
        if ending.is_limit() {
            self.meter.refused.count(&ending.text);
        } else {
            self.oracle.disconnected(link, &ending.text);
        }
        self.halted.get_or_insert_with(|| format!("receiver {link} was lost ({ending}): the run ended there"));
    }

    fn after_read(&mut self, links: &mut Links) {
        if self.schedule.is_some() {
            self.now = links.now();
            while let Some(stamp) = self.schedule.as_mut().and_then(|plan| plan.take(self.now)) {
                self.meter.late(self.now - stamp);
                let writer = self.next_writer();
                self.act(links, writer, stamp);
                if self.under_way > UNDER_WAY_MAX {
                    self.halted = Some(format!(
                        "the server fell {UNDER_WAY_MAX} actions behind the rate: the run was called off"
                    ));
                    self.stop();
                }
            }
        } else if !self.due.is_empty() {
            let stamp = links.now();
            while let Some(writer) = self.due.pop() {
                for _ in 0..std::mem::take(&mut self.actors[writer].credits) {
                    self.act(links, writer, stamp);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::test_fixture;

    const BETO: &str = "a309761f-1711-4671-b12e-422be0c990ec";

    fn mixed() -> Mixed {
        let layout = Layout { rooms: 1, members: 2, senders: 1 };
        let plan = Plan { layout, bytes: 20, ..Plan::default() };
        let run = Run {
            server_address: "127.0.0.1:1".parse().expect("an address"),
            url: String::new(),
            target: Target::Pregon(test_fixture(), Protocol::V0),
            server: None,
        };
        Mixed::new(&plan, Mix::default(), &run).expect("a load")
    }

    fn hear(mixed: &mut Mixed, link: usize, rest: &str) {
        let payload = format!(r#"{{"user_id":"{BETO}","username":"beto",{rest}}}"#);
        mixed.frame(link, Frame { opcode: frames::TEXT, is_compressed: false, payload: payload.as_bytes() }, 1_000);
    }

    #[test]
    fn typing_is_told_to_the_others_once_each_and_never_to_the_typist() {
        let mut mixed = mixed();
        mixed.begin_typing(0, 500);
        let typing = r#""type":"typing_status","is_typing":true"#;
        hear(&mut mixed, 1, typing);
        assert_eq!(mixed.violations(), 0, "beto sits on link 0, ana on link 1");
        hear(&mut mixed, 0, typing);
        assert_eq!(mixed.typing.violations.misdirected, 1);
        hear(&mut mixed, 1, typing);
        assert_eq!(mixed.typing.violations.damaged, 1, "a second copy");
        mixed.begin_typing(0, 600);
        mixed.typing.finish(&[2, 0], &vec![Vec::new(); 2], |_| false);
        assert_eq!(
            mixed.typing.violations.lost, 1,
            "that it stopped was told to nobody: {:?}",
            mixed.typing.violations
        );
    }

    #[test]
    fn a_change_that_nobody_made_is_a_violation() {
        let mut mixed = mixed();
        let message = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";
        hear(&mut mixed, 1, &format!(r#""type":"message_read","message_id":"{message}""#));
        assert_eq!(mixed.oracle.violations.damaged, 1);
    }
}
