//! `churn`: clients arrive and leave at a rate, whatever the server does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::{Display, Formatter};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::drive::{self, Load};
use super::{Plan, Run, connect, progress};
use crate::client::{Ending, Handler, Links};
use crate::delivery::error_text;
use crate::frames::Frame;
use crate::latency::Latency;
use crate::meter::{Meter, Ns, Refused, Sample, histogram};
use crate::options::{Common, Crowd, Timing};
use crate::pacing::Schedule;
use crate::plot::{self, Plot};
use crate::proc;
use crate::report::{Report, Verdict, write_refused};
use crate::round::{Round, figure, median_round};
use crate::setup::Size;
use crate::target::{Seat, Target};

/// If the server has not answered a goodbye after this time, it never will.
const GOODBYE_MAX: Duration = Duration::from_secs(5);

#[derive(clap::Args, Clone, Debug)]
pub struct ChurnOptions {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub timing: Timing,
    /// Clients that arrive per second
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// Seconds that each stays
    #[arg(long, default_value_t = 5.0)]
    pub stay: f64,
    #[command(flatten)]
    pub crowd: Crowd,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Free,
    /// Holds the time at which it should have arrived.
    Connecting(u64),
    Staying,
    /// Holds the time of its goodbye.
    Leaving(u64),
}

struct Churn<'a> {
    target: &'a Target,
    run: &'a Run,
    rate: f64,
    stay_ns: u64,
    seats: usize,
    members: usize,
    phases: Vec<Phase>,
    free: Vec<usize>,
    /// The visitor that uses each link now.
    visits: Vec<u32>,
    /// The time at which each visitor leaves, with its link.
    leaves: BinaryHeap<Reverse<(u64, usize, u32)>>,
    schedule: Option<Schedule>,
    next_seat: usize,
    now: u64,
    under_way: u64,
    meter: Meter,
    goodbye_ns: Ns,
    left: u64,
    failed: BTreeMap<String, u64>,
    violations: BTreeMap<String, u64>,
    halted: Option<String>,
}

#[derive(Serialize)]
pub struct ChurnReport {
    pub scenario: &'static str,
    pub url: String,
    pub rate: f64,
    pub stay_seconds: f64,
    /// Their `deliveries` are admissions; `echo` and `delivery` are the time from a client's scheduled arrival to its
    /// admission.
    pub rounds: Vec<Round>,
    pub median: Option<Round>,
    pub left: u64,
    /// From a client's close frame to the server's.
    pub goodbye: Option<Latency>,
    pub refused: Refused,
    /// Failed connections, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Connections that ended in an unexpected way, by how they ended.
    pub violations: BTreeMap<String, u64>,
    pub rss_mib: Option<(f64, f64)>,
    pub notes: Vec<String>,
    pub series: Vec<Sample>,
}

pub fn churn(options: &ChurnOptions) -> Result<ChurnReport> {
    ensure!(options.rate > 0.0 && options.stay >= 0.0, "--rate and --stay are positive");
    let size = Size::shared(options.crowd.rooms, options.crowd.members);
    let run = Run::new(&options.common, size)?;
    run.target.check_size(options.crowd.rooms, options.crowd.members)?;
    proc::raise_file_limit((options.rate * (options.stay + 1.0)) as usize + 256)?;
    let plan = Plan { scenario: "churn", ..Plan::default() }.with_timing(options.timing)?;
    let mut links = Links::new()?;
    let bar = progress()?;
    let mut churn = Churn::new(options, &run)?;
    let rss = || run.server.and_then(|server| server.rss_kib().ok()).map(|kib| kib as f64 / 1024.0);
    let before = rss();
    let rounds = drive::rounds(&mut churn, &plan, &mut links, &bar)?;
    bar.set_prefix("all leave");
    churn.send_home(&mut links)?;
    bar.finish_and_clear();
    Ok(ChurnReport {
        scenario: "churn",
        url: run.label(),
        rate: options.rate,
        stay_seconds: options.stay,
        median: median_round(&rounds),
        rounds,
        left: churn.left,
        goodbye: Latency::of(&churn.goodbye_ns),
        refused: churn.meter.refused,
        failed: churn.failed,
        violations: churn.violations,
        rss_mib: before.zip(rss()),
        notes: churn.halted.into_iter().collect(),
        series: churn.meter.series,
    })
}

impl<'a> Churn<'a> {
    fn new(options: &ChurnOptions, run: &'a Run) -> Result<Self> {
        Ok(Self {
            target: &run.target,
            run,
            rate: options.rate,
            stay_ns: (options.stay * 1e9) as u64,
            seats: options.crowd.rooms * options.crowd.members,
            members: options.crowd.members,
            phases: Vec::new(),
            free: Vec::new(),
            visits: Vec::new(),
            leaves: BinaryHeap::new(),
            schedule: None,
            next_seat: 0,
            now: 0,
            under_way: 0,
            meter: Meter::new(run.server)?,
            goodbye_ns: histogram()?,
            left: 0,
            failed: BTreeMap::new(),
            violations: BTreeMap::new(),
            halted: None,
        })
    }

    fn come(&mut self, links: &mut Links, stamp: u64) -> Result<()> {
        // Consecutive seats are in different rooms.
        let seat = self.next_seat;
        self.next_seat = (seat + 1) % self.seats;
        let rooms = self.seats / self.members;
        let seat = Seat { room: seat % rooms, member: seat / rooms };
        let server = self.run.server_address;
        let entrance = self.target.entrance(seat);
        let link = match self.free.pop() {
            Some(link) => {
                links.reopen(link, server, connect::source(server, link), entrance)?;
                link
            }
            None => {
                let link = links.open(server, connect::source(server, self.phases.len()), entrance)?;
                self.phases.push(Phase::Free);
                self.visits.push(0);
                link
            }
        };
        self.visits[link] = self.visits[link].wrapping_add(1);
        self.phases[link] = Phase::Connecting(stamp);
        self.under_way += 1;
        Ok(())
    }

    fn admit(&mut self, link: usize) {
        if let Phase::Connecting(since) = self.phases[link] {
            self.phases[link] = Phase::Staying;
            self.under_way -= 1;
            self.meter.deliveries += 1;
            self.meter.arrived(self.now.saturating_sub(since).max(1), true);
            self.leaves.push(Reverse((self.now + self.stay_ns, link, self.visits[link])));
        }
    }

    fn leave_due(&mut self, links: &mut Links) {
        while let Some(&Reverse((due, link, visit))) = self.leaves.peek() {
            if due > self.now {
                return;
            }
            self.leaves.pop();
            if self.visits[link] != visit {
                continue;
            }
            match self.phases[link] {
                Phase::Staying => {
                    links.say_goodbye(link);
                    self.phases[link] = Phase::Leaving(self.now);
                    self.under_way += 1;
                    self.leaves.push(Reverse((self.now + GOODBYE_MAX.as_nanos() as u64, link, visit)));
                }
                Phase::Leaving(since) if self.now >= since + GOODBYE_MAX.as_nanos() as u64 => {
                    *self.violations.entry("goodbyes that were not answered within 5 s".to_owned()).or_default() += 1;
                    links.drop_link(link);
                    self.set_free(link);
                }
                _ => {}
            }
        }
    }

    fn set_free(&mut self, link: usize) {
        if !matches!(self.phases[link], Phase::Free | Phase::Staying) {
            self.under_way -= 1;
        }
        self.phases[link] = Phase::Free;
        self.free.push(link);
    }

    /// Everybody leaves.
    fn send_home(&mut self, links: &mut Links) -> Result<()> {
        let deadline = links.now() + 2 * GOODBYE_MAX.as_nanos() as u64;
        for link in (0..self.phases.len()).filter(|link| self.phases[*link] == Phase::Staying) {
            self.leaves.push(Reverse((0, link, self.visits[link])));
        }
        while self.free.len() < self.phases.len() && links.now() < deadline {
            self.now = links.now();
            self.leave_due(links);
            links.turn(Duration::from_millis(50), self)?;
        }
        Ok(())
    }
}

impl Load for Churn<'_> {
    fn start(&mut self, links: &mut Links) {
        self.schedule = Some(Schedule::new(links.now(), self.rate));
    }

    fn stop(&mut self) {
        self.schedule = None;
    }

    fn due(&self) -> Option<u64> {
        let leave = self.leaves.peek().map(|Reverse((due, ..))| *due);
        let come = self.schedule.as_ref().map(Schedule::due);
        leave.into_iter().chain(come).min()
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    fn under_way(&self) -> u64 {
        self.under_way
    }

    fn violations(&self) -> u64 {
        self.violations.values().sum()
    }

    fn is_halted(&self) -> bool {
        self.halted.is_some()
    }
}

impl Handler for Churn<'_> {
    fn opened(&mut self, link: usize) {
        if self.target.greeting().is_none() {
            self.admit(link);
        }
    }

    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64) {
        self.now = now;
        if !matches!(self.phases[link], Phase::Connecting(_)) {
            return;
        }
        if self.target.greeting().is_some_and(|greeting| frame.payload.starts_with(greeting)) {
            self.admit(link);
        } else if connect::is_refusal(frame.payload) {
            self.meter.refused.count(&error_text(frame.payload));
        }
    }

    fn closed(&mut self, link: usize, ending: &Ending) {
        match self.phases[link] {
            Phase::Leaving(since) if ending.code == Some(1000) => {
                self.left += 1;
                self.goodbye_ns.saturating_record(self.now.saturating_sub(since).max(1));
            }
            Phase::Leaving(_) => *self.violations.entry(format!("left, and {ending}")).or_default() += 1,
            _ if ending.is_limit() => self.meter.refused.count(&ending.text),
            Phase::Connecting(_) => *self.failed.entry(ending.text.clone()).or_default() += 1,
            Phase::Staying => *self.violations.entry(format!("stayed, and {ending}")).or_default() += 1,
            Phase::Free => return,
        }
        self.set_free(link);
    }

    fn after_read(&mut self, links: &mut Links) {
        self.now = links.now();
        self.leave_due(links);
        while let Some(stamp) = self.schedule.as_mut().and_then(|plan| plan.take(self.now)) {
            self.meter.late(self.now - stamp);
            if let Err(error) = self.come(links, stamp) {
                self.halted = Some(format!("{error:#}"));
                self.stop();
            }
        }
    }
}

impl Report for ChurnReport {
    fn verdict(&self) -> Verdict {
        let admitted = self.rounds.iter().map(|round| round.deliveries).sum::<u64>() + self.left;
        Verdict::of(!self.violations.is_empty() || !self.failed.is_empty(), admitted)
    }

    fn answer(&self) -> String {
        let round = self.median.as_ref().and_then(|round| Some((round, round.delivery?)));
        round.map_or("Nobody was admitted, so nothing was measured.".to_owned(), |(round, admission)| {
            format!(
                "{:.1} clients a second were admitted, each {:.2} ms after it should have come (p50), {:.2} ms (p99).",
                round.deliveries_per_second, admission.p50, admission.p99
            )
        })
    }

    fn plots(&self) -> Vec<Plot> {
        let mut plots = plot::series_plots(&self.series);
        plots[0].title = "Admissions".to_owned();
        plots[0].lines.truncate(1);
        plots[1].title = "From when a client should have come to its admission".to_owned();
        plots[3].title = "Server CPU per admission".to_owned();
        plots[5].title = "Clients sent late by the load itself".to_owned();
        plots
    }
}

impl Display for ChurnReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { url, rate, stay_seconds, .. } = self;
        writeln!(out, "churn on {url}: {rate} clients a second come and stay {stay_seconds} s")?;
        writeln!(
            out,
            "            admitted/s |  server µs each  cores |  load cores | ms: p50      p90      p99      max"
        )?;
        for (number, round) in self.rounds.iter().enumerate() {
            writeln!(
                out,
                "round {:<3}{:>13.1} |{:>16}{:>7} |{:>12.2} | {}",
                number + 1,
                round.deliveries_per_second,
                figure(round.server_us_per_delivery, 1),
                figure(round.server_cores, 2),
                round.load_cores,
                Latency::columns(round.delivery.as_ref())
            )?;
        }
        writeln!(out, "{} left and were answered, ms: {}", self.left, Latency::columns(self.goodbye.as_ref()))?;
        if let Some((before, after)) = self.rss_mib {
            writeln!(out, "server memory {before:.1} MiB before, {after:.1} MiB when all had left")?;
        }
        write_refused(out, &self.refused)?;
        for (why, count) in &self.failed {
            writeln!(out, "VIOLATION: {count} were not admitted: {why}")?;
        }
        for (how, count) in &self.violations {
            writeln!(out, "VIOLATION: {count} × {how}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
    }
}
