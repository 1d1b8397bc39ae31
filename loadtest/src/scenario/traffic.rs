//! The machinery of every scenario that sends: senders with a window or a schedule, receivers under
//! the oracle's eye, and the figures of a round.

use std::time::Duration;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;

use super::flight::Flight;
use super::{Plan, Run};
use crate::client::{Handler, Links};
use crate::delivery::{Reader, Reading};
use crate::frames::{Frame, Stencil};
use crate::oracle::{Layout, Oracle};
use crate::pacing::{Pacing, Release, Schedule};
use crate::proc;
use crate::report::{Latency, Round, TrafficReport};
use crate::tag::{SENDERS_MAX, Tag};
use crate::target::Seat;

const PROGRESS: Duration = Duration::from_millis(200);
const REFUSALS_SHOWN: usize = 4;

/// A server that is this far behind an open loop will not catch up; the rest of the run is called off.
const UNDER_WAY_MAX: u64 = 200_000;

struct Sender {
    link: usize,
    stencil: Stencil,
    next: u32,
    /// Messages it may send now.
    credits: u32,
    flight: Flight,
}

struct Traffic {
    layout: Layout,
    pacing: Pacing,
    reader: Reader,
    oracle: Oracle,
    senders: Vec<Sender>,
    /// Senders with credits.
    due: Vec<u32>,
    /// The next sender when they take turns.
    turn: u32,
    schedule: Option<Schedule>,
    sending: bool,
    /// Something happened after which going on makes no sense.
    halted: Option<String>,
    /// Messages that somebody has not received yet.
    under_way: u64,
    now: u64,
    scratch: Vec<u8>,
    tally: Tally,
}

/// What is counted; latencies only while a round is measured.
struct Tally {
    deliveries: u64,
    echoes: u64,
    bytes: u64,
    checked: u64,
    refusals: u64,
    refusal_samples: Vec<String>,
    echo_ns: Histogram<u64>,
    delivery_ns: Histogram<u64>,
}

/// The counters at one moment.
struct Mark {
    at: u64,
    deliveries: u64,
    echoes: u64,
    bytes: u64,
    own_ns: u64,
    server_us: Option<u64>,
}

/// Runs a plan on connections that are already admitted.
pub fn run(plan: &Plan, run: &Run, links: &mut Links, bar: &ProgressBar) -> Result<TrafficReport> {
    let mut traffic = Traffic::new(plan, run)?;
    let mut rounds = Vec::with_capacity(plan.rounds);
    for number in 1..=plan.rounds {
        traffic.start(links);
        bar.set_prefix(format!("round {number}/{} warm-up", plan.rounds));
        traffic.pump(links, plan.warmup, bar)?;
        traffic.tally.clear_latencies();
        let begin = traffic.mark(run, links)?;
        bar.set_prefix(format!("round {number}/{}", plan.rounds));
        traffic.pump(links, plan.seconds, bar)?;
        let end = traffic.mark(run, links)?;
        rounds.push(traffic.round(&begin, &end));
        traffic.stop();
        bar.set_prefix("draining");
        traffic.drain(links, plan.drain)?;
        if traffic.halted.is_some() {
            break;
        }
    }
    let sent: Vec<u32> = traffic.senders.iter().map(|sender| sender.next).collect();
    traffic.oracle.finish(&sent);
    Ok(traffic.report(plan, run, rounds))
}

impl Traffic {
    fn new(plan: &Plan, run: &Run) -> Result<Self> {
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
                stencil: Stencil::new(&message.sent, message.sent_hole),
                next: 0,
                credits: 0,
                flight: Flight::default(),
            });
            messages.push(message);
        }
        let one_order = plan.kind == crate::target::Kind::Durable;
        Ok(Self {
            layout,
            pacing: plan.pacing,
            reader: Reader::new(plan.kind, messages),
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
            tally: Tally::new()?,
        })
    }

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

    fn pump(&mut self, links: &mut Links, time: Duration, bar: &ProgressBar) -> Result<()> {
        let until = links.now() + time.as_nanos() as u64;
        let mut shown = (links.now(), self.tally.deliveries);
        loop {
            let now = links.now();
            if now >= until || self.halted.is_some() {
                return Ok(());
            }
            let mut timeout = PROGRESS.min(Duration::from_nanos(until - now));
            if let Some(schedule) = &self.schedule {
                timeout = timeout.min(Duration::from_nanos(schedule.due().saturating_sub(now)));
            }
            links.turn(timeout, self)?;
            self.now = links.now();
            self.after_read(links);
            if self.now - shown.0 > PROGRESS.as_nanos() as u64 {
                let seconds = (self.now - shown.0) as f64 / 1e9;
                let rate = (self.tally.deliveries - shown.1) as f64 / seconds;
                let (bad, under_way) = (self.oracle.violations.total(), self.under_way);
                bar.set_message(format!("{rate:.0} deliveries/s, {under_way} under way, {bad} violations"));
                bar.tick();
                shown = (self.now, self.tally.deliveries);
            }
        }
    }

    /// Until everybody has everything, or `time` is over.
    fn drain(&mut self, links: &mut Links, time: Duration) -> Result<()> {
        let deadline = links.now() + time.as_nanos() as u64;
        while self.under_way > 0 && links.now() < deadline && self.halted.is_none() {
            links.turn(PROGRESS, self)?;
        }
        // A second copy would come now.
        links.turn(Duration::from_millis(20), self)
    }

    fn grant(&mut self, sender: u32) {
        let entry = &mut self.senders[sender as usize];
        if entry.credits == 0 {
            self.due.push(sender);
        }
        entry.credits += 1;
    }

    /// The senders take turns, room by room.
    fn grant_next(&mut self) {
        let rooms = self.layout.rooms as u32;
        let count = self.senders.len() as u32;
        let (round, room) = (self.turn / rooms, self.turn % rooms);
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

    /// Sends as many as the sender has credits for, in one write.
    fn send(&mut self, links: &mut Links, number: u32, stamp: u64) {
        let sender = &mut self.senders[number as usize];
        self.scratch.clear();
        for _ in 0..std::mem::take(&mut sender.credits) {
            let tag = Tag { sender: number, seq: sender.next };
            sender.next += 1;
            sender.stencil.put(&tag.encode(), &mut self.scratch);
            sender.flight.depart(stamp, self.layout.members as u32);
            self.under_way += 1;
        }
        links.send(sender.link, &self.scratch);
    }

    fn send_scheduled(&mut self, links: &mut Links) {
        while let Some(stamp) = self.schedule.as_mut().and_then(|plan| plan.take(self.now)) {
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
    fn delivered(&mut self, tag: Tag, echo: bool, now: u64) {
        let Some(passage) = self.senders[tag.sender as usize].flight.arrive(tag.seq) else {
            return;
        };
        let latency = now.saturating_sub(passage.stamp).max(1);
        self.tally.delivery_ns.saturating_record(latency);
        if echo {
            self.tally.echoes += 1;
            self.tally.echo_ns.saturating_record(latency);
        }
        if passage.complete {
            self.under_way -= 1;
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

    fn mark(&self, run: &Run, links: &Links) -> Result<Mark> {
        Ok(Mark {
            at: links.now(),
            deliveries: self.tally.deliveries,
            echoes: self.tally.echoes,
            bytes: self.tally.bytes,
            own_ns: proc::own_cpu_ns(),
            server_us: run.server.map(|server| server.cpu_us()).transpose()?,
        })
    }

    fn round(&self, begin: &Mark, end: &Mark) -> Round {
        let seconds = (end.at - begin.at) as f64 / 1e9;
        let deliveries = end.deliveries - begin.deliveries;
        let per_delivery = |us: f64| us / deliveries.max(1) as f64;
        let own_us = (end.own_ns - begin.own_ns) as f64 / 1e3;
        let server_us = begin.server_us.zip(end.server_us);
        let server_us = server_us.map(|(begin, end)| (end - begin) as f64);
        Round {
            seconds,
            deliveries,
            deliveries_per_second: deliveries as f64 / seconds,
            messages_per_second: (end.echoes - begin.echoes) as f64 / seconds,
            bytes_per_delivery: per_delivery((end.bytes - begin.bytes) as f64),
            server_us_per_delivery: server_us.map(per_delivery),
            server_cores: server_us.map(|us| us / seconds / 1e6),
            load_us_per_delivery: per_delivery(own_us),
            load_cores: own_us / seconds / 1e6,
            echo: Latency::of(&self.tally.echo_ns),
            delivery: Latency::of(&self.tally.delivery_ns),
        }
    }

    fn report(self, plan: &Plan, run: &Run, rounds: Vec<Round>) -> TrafficReport {
        let mut notes = Vec::new();
        notes.extend(self.halted);
        if self.reader.slow > 0 && !matches!(plan.kind, crate::target::Kind::Durable) {
            notes.push(format!(
                "{} deliveries were spelt otherwise than expected and parsed in full: the load's own \
                 cost is higher than usual",
                self.reader.slow
            ));
        }
        TrafficReport::new(plan, run, rounds, notes)
            .with_refusals(self.tally.refusals, self.tally.refusal_samples)
            .with_verdict(self.tally.checked, self.oracle.violations)
    }
}

impl Handler for Traffic {
    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64) {
        self.now = now;
        match self.reader.read(frame.payload) {
            Reading::Delivery { tag, id } => {
                self.tally.deliveries += 1;
                self.tally.checked += 1;
                self.tally.bytes += frame.payload.len() as u64;
                let sender = &self.senders[tag.sender as usize];
                let echo = sender.link == link;
                if tag.seq >= sender.next {
                    self.oracle.damaged(link, &format!("{tag} was never sent"));
                } else if echo && id != 0 && self.reader.read_slowly(frame.payload) != (Reading::Delivery { tag, id }) {
                    self.oracle.damaged(link, &format!("{tag} names another sender or id"));
                } else if self.oracle.observe(link, tag, id) {
                    self.delivered(tag, echo, now);
                }
            }
            Reading::Other => {}
            Reading::Refusal(text) => {
                self.tally.refusals += 1;
                if self.tally.refusal_samples.len() < REFUSALS_SHOWN {
                    self.tally.refusal_samples.push(text);
                }
            }
            Reading::Damaged(what) => self.oracle.damaged(link, &what),
        }
    }

    fn closed(&mut self, link: usize, why: &str) {
        self.oracle.disconnected(link, why);
        self.halted.get_or_insert_with(|| format!("receiver {link} was lost ({why}): the run ended there"));
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

impl Tally {
    fn new() -> Result<Self> {
        // 1 µs to 100 s, to 1 %: small enough to stay in the cache.
        let histogram = || Histogram::new_with_bounds(1_000, 100_000_000_000, 2);
        Ok(Self {
            deliveries: 0,
            echoes: 0,
            bytes: 0,
            checked: 0,
            refusals: 0,
            refusal_samples: Vec::new(),
            echo_ns: histogram()?,
            delivery_ns: histogram()?,
        })
    }

    fn clear_latencies(&mut self) {
        self.echo_ns.reset();
        self.delivery_ns.reset();
    }
}
