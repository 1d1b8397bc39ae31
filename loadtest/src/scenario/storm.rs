//! `storm`: all connections drop at once and reconnect as the front end's clients do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::{Display, Formatter};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Plan, Run, connect, open_links, traffic};
use crate::client::{Ending, Handler, Links};
use crate::delivery::error_text;
use crate::frames::Frame;
use crate::interrupt;
use crate::latency::Latency;
use crate::meter::{Ns, Refused, histogram};
use crate::options::{Common, Crowd};
use crate::oracle::{Layout, Violations};
use crate::pacing::{Pacing, Release};
use crate::plot::{LINES_MAX, Line, Plot};
use crate::report::{Report, Verdict, counted, write_refused, write_verdict};
use crate::round::figure;
use crate::setup::Size;
use crate::target::Seat;

/// Connections that are opened between two looks at the sockets.
const OPENS_PER_TURN: usize = 64;
const SAMPLE_EVERY_NS: u64 = 100_000_000;

#[derive(clap::Args, Clone, Debug)]
pub struct StormOptions {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub crowd: Crowd,
    /// How clients reconnect
    #[arg(long, value_enum, default_value = "chat")]
    pub back_off: BackOff,
    /// Number of storms, one after the other
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Seconds of quiet before each storm
    #[arg(long, default_value_t = 1.0)]
    pub settle: f64,
    /// A client that is not back after this many seconds counts as lost
    #[arg(long, default_value_t = 90.0)]
    pub patience: f64,
}

/// When a client whose connection ended tries again.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackOff {
    /// After 2, 4, 8, 16 and 30 s, 5 times; counted anew after a socket opened
    Chat,
    /// After 1, 2, 4, 8 and 16 s, 5 times; never after close code 1000
    Feed,
    /// Every 5 s for ever
    Notifications,
    /// At once, for ever
    None,
}

impl Display for BackOff {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Chat => "the front end's chat does",
            Self::Feed => "the front end's feed does",
            Self::Notifications => "the front end's bell does",
            Self::None => "fast as they can",
        })
    }
}

impl BackOff {
    /// The wait before attempt `tries` (from 0); `None` if it gives up.
    fn wait(self, tries: u32, code: Option<u16>) -> Option<Duration> {
        let doubling = |first: u64| Duration::from_secs((first << tries.min(10)).min(30));
        match self {
            Self::Chat => (tries < 5).then(|| doubling(2)),
            Self::Feed => (tries < 5 && code != Some(1000)).then(|| doubling(1)),
            Self::Notifications => Some(Duration::from_secs(5)),
            Self::None => Some(Duration::ZERO),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Waiting,
    /// Holds the time of its attempt.
    Connecting(u64),
    Live,
    GaveUp,
}

struct Client {
    phase: Phase,
    tries: u32,
}

struct Storm {
    greeting: Option<&'static [u8]>,
    back_off: BackOff,
    clients: Vec<Client>,
    /// The time and client of each next attempt.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    began: u64,
    now: u64,
    live: usize,
    gave_up: usize,
    attempts: u64,
    back_ns: Ns,
    handshake_ns: Ns,
    refused: Refused,
    failed: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StormRound {
    /// From the drop until everybody was admitted again.
    pub all_live_seconds: Option<f64>,
    /// From the drop to a client's admission, including the client's own wait.
    pub back: Option<Latency>,
    /// From a client's connect to its admission.
    pub handshake: Option<Latency>,
    pub attempts: u64,
    pub gave_up: usize,
    pub not_back: usize,
    pub server_cpu_seconds: Option<f64>,
    pub server_us_per_connection: Option<f64>,
    pub rss_mib_before: Option<f64>,
    pub rss_mib_peak: Option<f64>,
    pub refused: Refused,
    /// Attempts that failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// The run was cut off before all were back.
    pub cut_off: bool,
    pub series: Vec<StormSample>,
}

/// A tenth of a second of a storm.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StormSample {
    /// Seconds since the drop.
    pub seconds: f64,
    pub live: usize,
    /// `None`, like the memory, without `--server-pid`.
    pub server_cores: Option<f64>,
    pub server_rss_mib: Option<f64>,
}

#[derive(Serialize)]
pub struct StormReport {
    pub scenario: &'static str,
    pub url: String,
    pub connections: usize,
    pub back_off: BackOff,
    pub rounds: Vec<StormRound>,
    /// Checked deliveries of the messages sent through all rooms after the last storm.
    pub checked: u64,
    pub violations: Violations,
}

pub fn storm(options: &StormOptions) -> Result<StormReport> {
    let size = Size::shared(options.crowd.rooms, options.crowd.members);
    let run = Run::new(&options.common, size)?;
    run.target.check_size(options.crowd.rooms, options.crowd.members)?;
    let connections = options.crowd.rooms * options.crowd.members;
    let (mut links, bar) = open_links(&run, &run.wanted(options.crowd.members, connections))?;
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        bar.set_prefix(format!("storm {number}/{}", options.rounds));
        rounds.push(one(options, &run, &mut links, &bar, connections)?);
        if interrupt::is_asked() {
            break;
        }
    }
    let mut report = StormReport {
        scenario: "storm",
        url: run.label(),
        connections,
        back_off: options.back_off,
        rounds,
        checked: 0,
        violations: Violations::default(),
    };
    let is_whole = report.rounds.last().is_some_and(|round| round.all_live_seconds.is_some());
    if is_whole && !interrupt::is_asked() {
        bar.set_prefix("looking whether all rooms work");
        let mut plan = Plan {
            scenario: "storm",
            layout: Layout { rooms: options.crowd.rooms, members: options.crowd.members, senders: 1 },
            pacing: Pacing::Together { window: 16, release: Release::All },
            seconds: Duration::from_secs(1),
            ..Plan::default()
        };
        plan.fit_bytes(&run.target);
        let after = traffic::run(&plan, &run, &mut links, &bar)?;
        (report.checked, report.violations) = (after.checked, after.violations);
    }
    bar.finish_and_clear();
    links.close_all();
    Ok(report)
}

fn one(
    options: &StormOptions,
    run: &Run,
    links: &mut Links,
    bar: &ProgressBar,
    connections: usize,
) -> Result<StormRound> {
    let mut storm = Storm::new(run.target.greeting(), options.back_off, connections)?;
    let quiet = links.now() + (options.settle.max(0.0) * 1e9) as u64;
    while links.now() < quiet && !interrupt::is_asked() {
        links.turn(Duration::from_millis(100), &mut storm)?;
    }
    let rss = |run: &Run| run.server.and_then(|server| server.rss_kib().ok()).map(|kib| kib as f64 / 1024.0);
    let cpu = |run: &Run| run.server.map(|server| server.cpu_us()).transpose();
    let cpu_before = cpu(run)?;
    let rss_before = rss(run);
    let mut peak = rss_before;
    (0..connections).for_each(|link| links.drop_link(link));
    storm.begin(links.now());
    let deadline = storm.began + (options.patience * 1e9) as u64;
    let begun = StormSample { seconds: 0.0, live: 0, server_cores: None, server_rss_mib: rss_before };
    let mut series = vec![begun];
    let mut sampled_at = storm.began;
    let mut sampled_cpu = cpu_before;
    let is_over = |storm: &Storm| storm.live + storm.gave_up >= connections || interrupt::is_asked();
    while !is_over(&storm) && links.now() < deadline {
        storm.open_due(run, links, options.crowd.members)?;
        links.turn(storm.patience(links.now()), &mut storm)?;
        let now = links.now();
        // The last sample shows the result.
        if now - sampled_at >= SAMPLE_EVERY_NS || is_over(&storm) && now > sampled_at {
            let used = cpu(run)?;
            let memory = rss(run);
            peak = larger(peak, memory);
            let cores = sampled_cpu.zip(used).map(|(from, to)| (to - from) as f64 * 1e3 / (now - sampled_at) as f64);
            let seconds = (now - storm.began) as f64 / 1e9;
            series.push(StormSample { seconds, live: storm.live, server_cores: cores, server_rss_mib: memory });
            (sampled_at, sampled_cpu) = (now, used);
            bar.set_position(storm.live as u64);
            bar.set_message(format!(
                "{} attempts, {} refused, server {} cores",
                storm.attempts,
                storm.refused.total,
                figure(cores, 2)
            ));
        }
    }
    let used = cpu_before.zip(cpu(run)?).map(|(before, after)| (after - before) as f64);
    Ok(StormRound {
        all_live_seconds: (storm.live == connections).then(|| storm.back_ns.max() as f64 / 1e9),
        back: Latency::of(&storm.back_ns),
        handshake: Latency::of(&storm.handshake_ns),
        attempts: storm.attempts,
        gave_up: storm.gave_up,
        not_back: connections - storm.live,
        server_cpu_seconds: used.map(|us| us / 1e6),
        server_us_per_connection: used.map(|us| us / connections as f64),
        rss_mib_before: rss_before,
        rss_mib_peak: larger(peak, rss(run)),
        refused: storm.refused,
        failed: storm.failed,
        cut_off: storm.live < connections && interrupt::is_asked(),
        series,
    })
}

fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

impl Storm {
    fn new(greeting: Option<&'static [u8]>, back_off: BackOff, connections: usize) -> Result<Self> {
        Ok(Self {
            greeting,
            back_off,
            clients: (0..connections).map(|_| Client { phase: Phase::Live, tries: 0 }).collect(),
            due: BinaryHeap::new(),
            began: 0,
            now: 0,
            live: connections,
            gave_up: 0,
            attempts: 0,
            back_ns: histogram()?,
            handshake_ns: histogram()?,
            refused: Refused::default(),
            failed: BTreeMap::new(),
        })
    }

    /// Everybody was dropped just now.
    fn begin(&mut self, now: u64) {
        (self.began, self.now, self.live) = (now, now, 0);
        for link in 0..self.clients.len() {
            self.retry_later(link, None);
        }
    }

    fn retry_later(&mut self, link: usize, code: Option<u16>) {
        let client = &mut self.clients[link];
        match self.back_off.wait(client.tries, code) {
            Some(wait) => {
                client.tries += 1;
                client.phase = Phase::Waiting;
                self.due.push(Reverse((self.now + wait.as_nanos() as u64, link)));
            }
            None => {
                client.phase = Phase::GaveUp;
                self.gave_up += 1;
            }
        }
    }

    fn open_due(&mut self, run: &Run, links: &mut Links, members: usize) -> Result<()> {
        for _ in 0..OPENS_PER_TURN {
            self.now = links.now();
            let Some(&Reverse((due, link))) = self.due.peek() else { return Ok(()) };
            if due > self.now {
                return Ok(());
            }
            self.due.pop();
            self.attempts += 1;
            self.clients[link].phase = Phase::Connecting(self.now);
            let seat = Seat { room: link / members, member: link % members };
            links.reopen(
                link,
                run.server_address,
                connect::source(run.server_address, link),
                run.target.entrance(seat),
            )?;
        }
        Ok(())
    }

    /// The time until the next attempt is due.
    fn patience(&self, now: u64) -> Duration {
        let until = self.due.peek().map_or(u64::MAX, |Reverse((due, _))| due.saturating_sub(now));
        Duration::from_nanos(until).min(Duration::from_millis(50))
    }

    fn admit(&mut self, link: usize, now: u64) {
        if let Phase::Connecting(since) = self.clients[link].phase {
            self.clients[link].phase = Phase::Live;
            self.live += 1;
            self.back_ns.saturating_record((now - self.began).max(1));
            self.handshake_ns.saturating_record(now.saturating_sub(since).max(1));
        }
    }
}

impl Handler for Storm {
    fn opened(&mut self, link: usize) {
        if self.back_off == BackOff::Chat {
            self.clients[link].tries = 0;
        }
        if self.greeting.is_none() {
            self.admit(link, self.now);
        }
    }

    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64) {
        self.now = now;
        if self.greeting.is_some_and(|greeting| frame.payload.starts_with(greeting)) {
            self.admit(link, now);
        } else if self.clients[link].phase != Phase::Live && connect::is_refusal(frame.payload) {
            self.refused.count(&error_text(frame.payload));
        }
    }

    fn closed(&mut self, link: usize, ending: &Ending) {
        match self.clients[link].phase {
            Phase::Live => self.live -= 1,
            Phase::Connecting(_) => {}
            Phase::Waiting | Phase::GaveUp => return,
        }
        if ending.is_limit() {
            self.refused.count(&ending.text);
        } else {
            *self.failed.entry(ending.text.clone()).or_default() += 1;
        }
        self.retry_later(link, ending.code);
    }
}

impl Report for StormReport {
    fn verdict(&self) -> Verdict {
        let is_missing = |round: &StormRound| round.not_back > 0 && !round.cut_off;
        Verdict::of(self.violations.total() > 0 || self.rounds.iter().any(is_missing), self.checked)
    }

    fn answer(&self) -> String {
        let all = counted(self.connections, "connection");
        match self.rounds.last() {
            None => "There was no storm, so nothing was measured.".to_owned(),
            Some(StormRound { all_live_seconds: Some(seconds), .. }) => {
                format!("All of {all} were live again {seconds:.2} s after they had dropped.")
            }
            Some(round) => format!("{} of {all} did not come back.", round.not_back),
        }
    }

    fn plots(&self) -> Vec<Plot> {
        let plot = |title: &str, unit, value: fn(&StormSample) -> Option<f64>| {
            let line = |(number, round): (usize, &StormRound)| {
                let name = if self.rounds.len() > 1 { format!("storm {}", number + 1) } else { String::new() };
                let points = round.series.iter().filter_map(|sample| Some((sample.seconds, value(sample)?)));
                Line::new(name, points.collect())
            };
            let lines = self.rounds.iter().enumerate().take(LINES_MAX).map(line).collect();
            Plot { title: title.to_owned(), unit, x_name: "seconds since the drop", lines, ..Plot::default() }
        };
        vec![
            plot("Connections live", "connections", |sample| Some(sample.live as f64)),
            plot("Server CPU", "cores", |sample| sample.server_cores),
            plot("Server memory", "MiB", |sample| sample.server_rss_mib),
        ]
    }
}

impl Display for StormReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { url, connections, back_off, .. } = self;
        let connections = counted(*connections, "connection");
        writeln!(out, "storm on {url}: {connections} drop at once, clients come back as {back_off}")?;
        for (number, round) in self.rounds.iter().enumerate() {
            let live = match round.all_live_seconds {
                Some(seconds) => format!("all live again after {seconds:.2} s"),
                None if round.cut_off => format!("{} not back yet when it was cut off", round.not_back),
                None => format!("{} NOT BACK ({} gave up)", round.not_back, round.gave_up),
            };
            writeln!(out, "storm {}: {live}, {} attempts", number + 1, round.attempts)?;
            writeln!(out, "  ms:                    p50      p90      p99      max")?;
            writeln!(out, "  back after the drop {}", Latency::columns(round.back.as_ref()))?;
            writeln!(out, "  handshake           {}", Latency::columns(round.handshake.as_ref()))?;
            if let Some((cpu, each)) = round.server_cpu_seconds.zip(round.server_us_per_connection) {
                writeln!(out, "  server CPU {cpu:.2} s, {each:.0} µs for each connection lost and made")?;
            }
            if let Some((before, peak)) = round.rss_mib_before.zip(round.rss_mib_peak) {
                writeln!(out, "  server memory {before:.1} MiB before, {peak:.1} MiB at most")?;
            }
            write_refused(out, &round.refused)?;
            for (how, count) in &round.failed {
                writeln!(out, "  {count:>6} attempts failed: {how}")?;
            }
        }
        write_verdict(out, self.checked, &self.violations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_wait_as_the_front_end_does() {
        let waits = |back_off: BackOff, code| -> Vec<u64> {
            (0..7).map_while(|tries| back_off.wait(tries, code)).map(|wait| wait.as_secs()).collect()
        };
        assert_eq!(waits(BackOff::Chat, Some(1000)), [2, 4, 8, 16, 30]);
        assert_eq!(waits(BackOff::Feed, None), [1, 2, 4, 8, 16]);
        assert!(waits(BackOff::Feed, Some(1000)).is_empty(), "1000 says: do not come back");
        assert_eq!(waits(BackOff::Notifications, None), [5; 7]);
    }
}
