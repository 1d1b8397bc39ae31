//! Runs the scenarios that send one kind of message: senders with a window or schedule, and receivers that the oracle
//! checks.

use anyhow::{Result, ensure};
use indicatif::ProgressBar;

use super::drive::{self, Load};
use super::flight::Flight;
use super::traffic_report::TrafficReport;
use super::{Plan, Run};
use crate::client::{Ending, Handler, Links};
use crate::delivery::{Reader, Reading};
use crate::digest::{digest, excerpt};
use crate::frames::{Frame, Stencil};
use crate::meter::Meter;
use crate::oracle::{Layout, Oracle};
use crate::pacing::{Pacing, Release, Schedule};
use crate::round::Round;
use crate::tag::{SENDERS_MAX, Tag};
use crate::target::{Kind, Seat};
use crate::v1::Protocol;
use crate::v1::names::Names;
use crate::v1::read::{self, Heard, Message};

/// A server this far behind an open loop will not catch up, so the run is aborted.
const UNDER_WAY_MAX: u64 = 200_000;

struct Sender {
    link: usize,
    stencil: Stencil,
    next: u32,
    /// Messages that it may send now.
    credits: u32,
    flight: Flight,
    refused: u32,
}

pub struct Traffic {
    layout: Layout,
    pacing: Pacing,
    reader: Reader,
    oracle: Oracle,
    senders: Vec<Sender>,
    /// Senders with credits.
    due: Vec<u32>,
    /// The next sender if they take turns.
    turn: u32,
    schedule: Option<Schedule>,
    sending: bool,
    /// Why going on would be pointless.
    halted: Option<String>,
    /// Messages that not everybody has received yet.
    under_way: u64,
    now: u64,
    scratch: Vec<u8>,
    meter: Meter,
    /// Receivers from which nothing is expected now, because they do not read.
    excused: Vec<bool>,
    /// The node of each receiver.
    node_of: Vec<usize>,
    excused_of_room: Vec<u32>,
    /// Stored messages over `pregon.v1`: what their senders are told, and the places of all.
    names: Option<Names>,
    /// How they ended.
    pub endings: Vec<(usize, Ending)>,
}

/// Runs a plan on connections that are already admitted.
pub fn run(plan: &Plan, run: &Run, links: &mut Links, bar: &ProgressBar) -> Result<TrafficReport> {
    let mut traffic = Traffic::new(plan, run)?;
    let rounds = drive::rounds(&mut traffic, plan, links, bar)?;
    Ok(traffic.report(plan, run, rounds))
}

impl Traffic {
    pub fn new(plan: &Plan, run: &Run) -> Result<Self> {
        let layout = plan.layout;
        ensure!(
            layout.senders <= layout.members && layout.sender_count() < SENDERS_MAX as usize,
            "a room of {} members cannot have {} senders",
            layout.members,
            layout.senders
        );
        let mut messages = Vec::with_capacity(layout.sender_count());
        let mut senders = Vec::with_capacity(layout.sender_count());
        for sender in 0..layout.sender_count() {
            let seat = Seat { room: layout.room_of_sender(sender), member: sender % layout.senders };
            let message = run.target.message(plan.kind, seat, plan.bytes)?;
            senders.push(Sender {
                link: layout.receiver_of_sender(sender),
                stencil: Stencil::new(&message.sent, &message.sent_holes),
                next: 0,
                credits: 0,
                flight: Flight::default(),
                refused: 0,
            });
            messages.push(message);
        }
        let mut meter = Meter::new(run.server)?;
        meter.watch(&plan.processes)?;
        let seat = |link| Seat { room: layout.room_of_receiver(link), member: link % layout.members };
        let one_order = plan.kind == Kind::Durable;
        let protocol = run.target.protocol();
        let has_acks = one_order && protocol == Protocol::V1;
        Ok(Self {
            layout,
            pacing: plan.pacing,
            reader: Reader::new(plan.kind, protocol, messages),
            oracle: Oracle::new(layout, one_order),
            senders,
            due: Vec::new(),
            turn: 0,
            schedule: None,
            sending: false,
            halted: None,
            under_way: 0,
            now: 0,
            scratch: Vec::new(),
            meter,
            excused: vec![false; layout.receivers()],
            node_of: (0..layout.receivers()).map(|link| plan.nodes.of(seat(link))).collect(),
            excused_of_room: vec![0; layout.rooms],
            names: has_acks.then(|| Names::new(layout.receivers())),
            endings: Vec::new(),
        })
    }

    /// From the next message on nothing is expected from this receiver, and its end is not a fault.
    pub fn excuse(&mut self, receiver: usize) {
        if !std::mem::replace(&mut self.excused[receiver], true) {
            self.excused_of_room[self.layout.room_of_receiver(receiver)] += 1;
        }
    }

    /// It reads again on a new connection; messages sent from now on are expected.
    pub fn rejoin(&mut self, receiver: usize) {
        let room = self.layout.room_of_receiver(receiver);
        if std::mem::replace(&mut self.excused[receiver], false) {
            self.excused_of_room[room] -= 1;
        }
        let senders = &self.senders[room * self.layout.senders..][..self.layout.senders];
        self.oracle.rejoin(receiver, senders.iter().map(|sender| sender.next));
    }

    fn grant(&mut self, sender: u32) {
        let entry = &mut self.senders[sender as usize];
        if entry.credits == 0 {
            self.due.push(sender);
        }
        entry.credits += 1;
    }

    /// Gives the next sender a credit, room by room.
    fn grant_next(&mut self) {
        let rooms = self.layout.rooms as u32;
        let count = self.senders.len() as u32;
        let round = self.turn / rooms;
        let room = self.turn % rooms;
        self.turn = (self.turn + 1) % count;
        self.grant(room * self.layout.senders as u32 + round);
    }

    fn release(&mut self, sender: u32) {
        if !self.sending {
            return;
        }
        match self.pacing {
            Pacing::Each { .. } => self.grant(sender),
            Pacing::Together { .. } => self.grant_next(),
            Pacing::Rate { .. } => {}
        }
    }

    /// Sends as many messages as the sender has credits for, in one write.
    fn send(&mut self, links: &mut Links, number: u32, stamp: u64) {
        let sender = &mut self.senders[number as usize];
        let room = self.layout.room_of_sender(number as usize);
        let receivers = self.layout.members as u32 - self.excused_of_room[room];
        self.scratch.clear();
        for _ in 0..std::mem::take(&mut sender.credits) {
            let tag = Tag { sender: number, seq: sender.next };
            sender.next += 1;
            sender.stencil.put(&tag.encode(), &mut self.scratch);
            sender.flight.depart(stamp, receivers);
            self.under_way += 1;
            if let Some(names) = &mut self.names {
                names.sent(tag);
            }
        }
        links.send(sender.link, &self.scratch);
    }

    fn send_scheduled(&mut self, links: &mut Links) {
        self.now = links.now();
        while let Some(stamp) = self.schedule.as_mut().and_then(|plan| plan.take(self.now)) {
            self.meter.late(self.now - stamp);
            self.grant_next();
            let sender = self.due.pop().unwrap_or_default();
            self.send(links, sender, stamp);
            if self.under_way > UNDER_WAY_MAX {
                self.halted =
                    Some(format!("the server fell {UNDER_WAY_MAX} messages behind the rate: the run was called off"));
                self.stop();
            }
        }
    }

    /// The first copy of a message for this receiver.
    fn delivered(&mut self, tag: Tag, link: usize, now: u64) {
        let sender = &mut self.senders[tag.sender as usize];
        let echo = sender.link == link;
        if echo {
            sender.flight.echo(tag.seq, now);
        }
        let Some(passage) = sender.flight.arrive(tag.seq) else {
            return;
        };
        let latency = now.saturating_sub(passage.stamp).max(1);
        self.meter.arrived(latency, echo);
        if self.node_of[link] != self.node_of[sender.link] {
            self.meter.crossed(latency, passage.echoed.map_or(0, |echoed| now.saturating_sub(echoed)));
        }
        if passage.complete {
            self.under_way = self.under_way.saturating_sub(1);
        }
        let released = match self.pacing {
            Pacing::Each { release, .. } | Pacing::Together { release, .. } => match release {
                Release::Sender => echo,
                Release::All => passage.complete,
            },
            Pacing::Rate { .. } => false,
        };
        if released {
            self.release(tag.sender);
        }
    }

    /// A frame of a load of stored messages over `pregon.v1`.
    fn frame_of_v1(&mut self, link: usize, text: &[u8], now: u64) {
        let heard = read::heard(text);
        if self.excused[link] {
            // It reads again, and is told what its stalling cost it.
            match heard {
                Heard::Unsubscribed { text, .. } => self.endings.push((link, Ending::told(text))),
                Heard::Broken(what) => self.oracle.damaged(link, &what),
                _ => {}
            }
            return;
        }
        match heard {
            Heard::Message(message) => self.message(link, text, &message, now),
            Heard::Ack(ack) => {
                let acked = Tag::named(&ack.id).zip(self.names.as_mut()).map(|(tag, names)| names.acked(tag, &ack));
                match acked {
                    Some(Ok(())) => {}
                    Some(Err(fault)) => self.oracle.damaged(link, &fault),
                    None => self.oracle.damaged(link, "an ack for a request that nobody made"),
                }
            }
            Heard::Error { id, text } => {
                if let Some((tag, names)) = id.and_then(|id| Tag::named(&id)).zip(self.names.as_mut()) {
                    names.refused(tag);
                }
                self.refused(link, &text);
            }
            Heard::Users(users) => {
                let node = self.node_of[link];
                if let Some(Err(fault)) = self.names.as_mut().map(|names| names.learn(node, &users)) {
                    self.oracle.damaged(link, &fault);
                }
            }
            Heard::Unsubscribed { text, .. } => {
                self.oracle.disconnected(link, &format!("it lost its topic: {text}"));
                self.halted
                    .get_or_insert_with(|| format!("receiver {link} lost its topic ({text}): the run ended there"));
            }
            Heard::Broken(what) => self.oracle.damaged(link, &what),
            Heard::Change { .. }
            | Heard::Passing { .. }
            | Heard::Subscribed { .. }
            | Heard::Gap { .. }
            | Heard::Other => {}
        }
    }

    fn message(&mut self, link: usize, text: &[u8], message: &Message<'_>, now: u64) {
        self.meter.deliveries += 1;
        self.meter.checked += 1;
        self.meter.bytes += text.len() as u64;
        let Some(tag) = self.reader.message_of_v1(message) else {
            return self.oracle.damaged(link, &format!("not what its sender sent: {}", excerpt(text)));
        };
        let Some(names) = &mut self.names else { return };
        let sender = &self.senders[tag.sender as usize];
        if tag.seq >= sender.next {
            return self.oracle.damaged(link, &format!("{tag} was never sent"));
        }
        if names.user(self.node_of[link], message.user) != Some(digest(self.reader.sender(tag.sender).as_bytes())) {
            return self.oracle.damaged(link, &format!("{tag} names another sender, or one who was never named"));
        }
        let id = digest(message.id);
        let told = if sender.link == link { names.heard(tag, Some(id), message.cursor) } else { Ok(()) };
        let rises = names.rises(link, message.cursor);
        if let Err(fault) = told {
            self.oracle.damaged(link, &fault);
        }
        // All members see a message under one id and in one place.
        let counts = self.oracle.observe(link, tag, id ^ message.cursor.0.rotate_left(20));
        if counts && !rises {
            self.oracle.damaged(link, &format!("{tag} has a place before the one that was heard last"));
        }
        if counts {
            self.delivered(tag, link, now);
        }
    }

    /// The server refused a message of this link, so the next one may be sent.
    fn refused(&mut self, link: usize, reason: &str) {
        self.meter.refused.count(reason);
        let room = link / self.layout.members;
        let member = link % self.layout.members;
        if member < self.layout.senders {
            let sender = room * self.layout.senders + member;
            self.senders[sender].refused += 1;
            self.under_way = self.under_way.saturating_sub(1);
            self.release(sender as u32);
        }
    }

    pub fn report(mut self, plan: &Plan, run: &Run, rounds: Vec<Round>) -> TrafficReport {
        let sent: Vec<u32> = self.senders.iter().map(|sender| sender.next).collect();
        let refused: Vec<Vec<u32>> = self.senders.iter().map(refused_of).collect();
        if let Some(names) = &self.names {
            self.oracle.unanswered(names.unanswered());
        }
        let excused = &self.excused;
        self.oracle.finish(&sent, &refused, |receiver| excused[receiver]);
        let mut notes = Vec::new();
        notes.extend(self.halted);
        if self.reader.slow > 0 && plan.kind == Kind::Ephemeral {
            notes.push(format!(
                "{} deliveries were spelt otherwise than expected and parsed in full: the load's own \
                 cost is higher than usual",
                self.reader.slow
            ));
        }
        TrafficReport::new(plan, run, rounds, notes, self.meter).with_verdict(self.oracle.violations)
    }
}

/// The sender's messages that count as refused: those that nobody got, as many as there were refusals. Any beyond that
/// are lost.
fn refused_of(sender: &Sender) -> Vec<u32> {
    if sender.refused == 0 {
        return Vec::new();
    }
    let mut unheard = sender.flight.unheard();
    unheard.truncate(sender.refused as usize);
    unheard
}

impl Load for Traffic {
    fn start(&mut self, links: &mut Links) {
        self.sending = true;
        self.now = links.now();
        match self.pacing {
            Pacing::Each { window, .. } => {
                for sender in 0..self.senders.len() as u32 {
                    (0..window).for_each(|_| self.grant(sender));
                }
            }
            Pacing::Together { window, .. } => (0..window).for_each(|_| self.grant_next()),
            Pacing::Rate { per_second } => {
                self.schedule = Some(Schedule::new(self.now, per_second));
            }
        }
        self.after_read(links);
    }

    fn stop(&mut self) {
        self.sending = false;
        self.schedule = None;
        self.due.clear();
        for sender in &mut self.senders {
            sender.credits = 0;
        }
    }

    fn due(&self) -> Option<u64> {
        self.schedule.as_ref().map(Schedule::due)
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    fn under_way(&self) -> u64 {
        // An ack may be behind the last copy.
        self.under_way.max(self.names.as_ref().map_or(0, |names| names.open() as u64))
    }

    fn violations(&self) -> u64 {
        self.oracle.violations.total()
    }

    fn is_halted(&self) -> bool {
        self.halted.is_some()
    }
}

impl Handler for Traffic {
    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64) {
        self.now = now;
        if self.names.is_some() {
            return self.frame_of_v1(link, frame.payload, now);
        }
        let reading = self.reader.read(frame.payload);
        if self.excused[link] && !matches!(reading, Reading::Damaged(_)) {
            return;
        }
        match reading {
            Reading::Delivery { tag, id } => {
                self.meter.deliveries += 1;
                self.meter.checked += 1;
                self.meter.bytes += frame.payload.len() as u64;
                let sender = &self.senders[tag.sender as usize];
                let echo = sender.link == link;
                if tag.seq >= sender.next {
                    self.oracle.damaged(link, &format!("{tag} was never sent"));
                } else if echo && id != 0 && self.reader.read_slowly(frame.payload) != (Reading::Delivery { tag, id }) {
                    self.oracle.damaged(link, &format!("{tag} names another sender or id"));
                } else if self.oracle.observe(link, tag, id) {
                    self.delivered(tag, link, now);
                }
            }
            Reading::Other => {}
            Reading::Refusal(reason) => self.refused(link, &reason),
            Reading::Damaged(what) => self.oracle.damaged(link, &what),
        }
    }

    fn closed(&mut self, link: usize, ending: &Ending) {
        if self.excused[link] {
            self.endings.push((link, ending.clone()));
            return;
        }
        if ending.is_limit() {
            // What it did not receive afterwards is due to the limit.
            self.meter.refused.count(&ending.text);
            self.excuse(link);
        } else {
            self.oracle.disconnected(link, &ending.text);
        }
        self.halted.get_or_insert_with(|| format!("receiver {link} was lost ({ending}): the run ended there"));
    }

    fn after_read(&mut self, links: &mut Links) {
        if self.schedule.is_some() {
            self.send_scheduled(links);
        } else if !self.due.is_empty() {
            let stamp = links.now();
            while let Some(sender) = self.due.pop() {
                self.send(links, sender, stamp);
            }
        }
    }
}
