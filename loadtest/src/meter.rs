//! The measurements of a running load: counters, latencies, a time series, and how well the generator kept up.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::latency::Latency;
use crate::proc::{self, Named, OwnThread, PROCESSES_MAX, Watched};

const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// The number of different reasons; the rest are counted together.
const REASONS_MAX: usize = 16;

pub type Ns = Histogram<u64>;

/// 1 µs to 100 s with 1 % precision: small enough to stay in the cache.
pub fn histogram() -> Result<Ns> {
    Ok(Histogram::new_with_bounds(1_000, 100_000_000_000, 2)?)
}

/// Messages that the server refused because of a limit or rule: neither delivered nor lost.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Refused {
    pub total: u64,
    /// By the server's own text.
    pub reasons: BTreeMap<String, u64>,
}

impl Refused {
    pub fn count(&mut self, reason: &str) {
        self.total += 1;
        let is_room = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(reason);
        *self.reasons.entry(if is_room { reason } else { "other reasons" }.to_owned()).or_default() += 1;
    }
}

/// A quarter of a second of the run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// Since the load began.
    pub seconds: f64,
    /// False during warm-up and draining.
    pub measured: bool,
    pub deliveries_per_second: f64,
    pub messages_per_second: f64,
    pub refused_per_second: f64,
    /// The median latency of deliveries; `None` if there were none.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub server_cores: Option<f64>,
    pub server_us_per_delivery: Option<f64>,
    pub server_rss_mib: Option<f64>,
    pub load_cores: f64,
    /// The longest delay of a message behind its schedule; 0 in a closed loop.
    pub late_max_ms: f64,
}

/// How well the generator kept up in a stretch.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Generator {
    /// From the scheduled time of a message to its writing, p99; `None` in a closed loop, which has no schedule.
    pub late_p99_ms: Option<f64>,
    pub late_max_ms: Option<f64>,
    /// How long the loop handled what one wait had returned, p99: a delivery's time stamp may be late by this.
    pub away_p99_ms: f64,
    /// The share of the time in which its thread was ready to run but had no core.
    pub run_queue_share: f64,
    /// How often per second its thread was taken off its core.
    pub preemptions_per_second: f64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    pub at: u64,
    pub deliveries: u64,
    pub echoes: u64,
    pub bytes: u64,
    pub refused: u64,
    pub own: OwnThread,
    pub server_us: Option<u64>,
    /// Of each watched process.
    pub each_us: [u64; PROCESSES_MAX],
}

/// Latencies and lateness of a stretch.
struct Spread {
    echo: Ns,
    delivery: Ns,
    /// Deliveries to members on another node than the sender's.
    across: Ns,
    /// The same, counted from the sender's own copy.
    after_echo: Ns,
    late: Ns,
    away: Ns,
}

impl Spread {
    fn new() -> Result<Self> {
        let [echo, delivery, across, after_echo, late, away] = std::array::from_fn(|_| histogram());
        Ok(Self {
            echo: echo?,
            delivery: delivery?,
            across: across?,
            after_echo: after_echo?,
            late: late?,
            away: away?,
        })
    }

    fn each(&mut self) -> [&mut Ns; 6] {
        let Self { echo, delivery, across, after_echo, late, away } = self;
        [echo, delivery, across, after_echo, late, away]
    }

    /// Takes the other's values and empties it.
    fn absorb(&mut self, other: &mut Self) {
        for (mine, theirs) in self.each().into_iter().zip(other.each()) {
            // Both have the same bounds, so nothing can be out of range.
            let _ = mine.add(&*theirs);
            theirs.reset();
        }
    }

    fn reset(&mut self) {
        self.each().into_iter().for_each(Histogram::reset);
    }
}

pub struct Meter {
    pub deliveries: u64,
    pub echoes: u64,
    pub bytes: u64,
    pub checked: u64,
    pub refused: Refused,
    pub series: Vec<Sample>,
    /// Deliveries of all measured rounds, for the percentile curve.
    pub all: Ns,
    /// The running sample; it is added to the round when it ends.
    current: Spread,
    round: Spread,
    measured: bool,
    begin: Option<u64>,
    last: Mark,
    server: Option<Watched>,
    processes: Vec<Named>,
    watched: Option<Watched>,
}

/// The latencies of a round, and how well the generator kept up.
pub struct Measured {
    pub echo: Option<Latency>,
    pub delivery: Option<Latency>,
    pub across: Option<Latency>,
    pub after_echo: Option<Latency>,
    pub generator: Generator,
    pub processes: Vec<Cost>,
}

/// What one process used in a round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    pub name: String,
    pub cores: f64,
    /// `None` if no message came back to its sender.
    pub us_per_message: Option<f64>,
}

impl Meter {
    pub fn new(server: Option<Watched>) -> Result<Self> {
        Ok(Self {
            deliveries: 0,
            echoes: 0,
            bytes: 0,
            checked: 0,
            refused: Refused::default(),
            series: Vec::new(),
            all: histogram()?,
            current: Spread::new()?,
            round: Spread::new()?,
            measured: false,
            begin: None,
            last: Mark::default(),
            server,
            processes: Vec::new(),
            watched: None,
        })
    }

    /// Reports the CPU time of these, too, each by its name.
    pub fn watch(&mut self, processes: &[Named]) -> Result<()> {
        let pids: Vec<u32> = processes.iter().map(|process| process.pid).collect();
        self.watched = Some(Watched::new(&pids)?);
        self.processes = processes.to_vec();
        Ok(())
    }

    /// A copy arrived on another node than its sender's, `latency` ns after the message was sent or scheduled and
    /// `after_echo` ns after the sender's own copy: 0 if it was there before that.
    pub fn crossed(&mut self, latency: u64, after_echo: u64) {
        self.current.across.saturating_record(latency);
        self.current.after_echo.saturating_record(after_echo.max(1));
    }

    /// A copy arrived, `latency` ns after its message was sent or scheduled.
    pub fn arrived(&mut self, latency: u64, echo: bool) {
        self.current.delivery.saturating_record(latency);
        if echo {
            self.echoes += 1;
            self.current.echo.saturating_record(latency);
        }
    }

    /// The server answered a request `latency` ns after it was sent or scheduled.
    pub fn answered(&mut self, latency: u64) {
        self.echoes += 1;
        self.current.echo.saturating_record(latency.max(1));
    }

    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// A message was written `ns` after its scheduled time.
    pub fn late(&mut self, ns: u64) {
        self.current.late.saturating_record(ns.max(1));
    }

    /// The loop did not look at its sockets for `ns`.
    pub fn away(&mut self, ns: u64) {
        self.current.away.saturating_record(ns.max(1));
    }

    pub fn mark(&self, now: u64) -> Result<Mark> {
        Ok(Mark {
            at: now,
            deliveries: self.deliveries,
            echoes: self.echoes,
            bytes: self.bytes,
            refused: self.refused.total,
            own: proc::own_thread(),
            server_us: self.server.map(|server| server.cpu_us()).transpose()?,
            each_us: self.watched.map(|watched| watched.each_cpu_us()).transpose()?.unwrap_or_default(),
        })
    }

    /// Starts to count latencies.
    pub fn begin_round(&mut self, now: u64) -> Result<Mark> {
        self.sample(now)?;
        self.round.reset();
        self.measured = true;
        self.mark(now)
    }

    /// The round's latencies, and how well the generator has kept up since `begin`.
    pub fn end_round(&mut self, begin: &Mark, end: &Mark) -> Result<Measured> {
        self.sample(end.at)?;
        self.measured = false;
        let _ = self.all.add(&self.round.delivery);
        let seconds = (end.at - begin.at) as f64 / 1e9;
        let ms = |ns: u64| ns as f64 / 1e6;
        let late = &self.round.late;
        let generator = Generator {
            late_p99_ms: (!late.is_empty()).then(|| ms(late.value_at_quantile(0.99))),
            late_max_ms: (!late.is_empty()).then(|| ms(late.max())),
            away_p99_ms: ms(self.round.away.value_at_quantile(0.99)),
            run_queue_share: (end.own.waited_ns - begin.own.waited_ns) as f64 / 1e9 / seconds,
            preemptions_per_second: (end.own.preemptions - begin.own.preemptions) as f64 / seconds,
        };
        let Spread { echo, delivery, across, after_echo, .. } = &self.round;
        Ok(Measured {
            echo: Latency::of(echo),
            delivery: Latency::of(delivery),
            across: Latency::of(across),
            after_echo: Latency::of(after_echo),
            generator,
            processes: self.costs(begin, end),
        })
    }

    fn costs(&self, begin: &Mark, end: &Mark) -> Vec<Cost> {
        let messages = end.echoes - begin.echoes;
        let used = self.processes.iter().zip(begin.each_us.iter().zip(end.each_us));
        let cost = |(process, (before, after)): (&Named, (&u64, u64))| {
            let us = after.saturating_sub(*before) as f64;
            Cost {
                name: process.name.clone(),
                cores: us * 1e3 / (end.at - begin.at) as f64,
                us_per_message: (messages > 0).then(|| us / messages as f64),
            }
        };
        used.map(cost).collect()
    }

    /// Ends the sample if its time is over, and returns it.
    pub fn tick(&mut self, now: u64) -> Result<Option<&Sample>> {
        if now < self.last.at + SAMPLE_EVERY.as_nanos() as u64 && self.begin.is_some() {
            return Ok(None);
        }
        self.sample(now)
    }

    fn sample(&mut self, now: u64) -> Result<Option<&Sample>> {
        let mark = self.mark(now)?;
        let last = std::mem::replace(&mut self.last, mark);
        let Some(begin) = self.begin else {
            self.begin = Some(now);
            return Ok(None);
        };
        let seconds = (now - last.at) as f64 / 1e9;
        if seconds < 0.02 {
            self.last = last;
            return Ok(None);
        }
        let delivery = &self.current.delivery;
        let quantile = |of| (!delivery.is_empty()).then(|| delivery.value_at_quantile(of) as f64 / 1e6);
        let server_us = last.server_us.zip(mark.server_us).map(|(from, to)| (to - from) as f64);
        let deliveries = (mark.deliveries - last.deliveries) as f64;
        self.series.push(Sample {
            seconds: (now - begin) as f64 / 1e9,
            measured: self.measured,
            deliveries_per_second: deliveries / seconds,
            messages_per_second: (mark.echoes - last.echoes) as f64 / seconds,
            refused_per_second: (mark.refused - last.refused) as f64 / seconds,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            server_cores: server_us.map(|us| us / 1e6 / seconds),
            server_us_per_delivery: server_us.filter(|_| deliveries > 0.0).map(|us| us / deliveries),
            server_rss_mib: self.server.and_then(|server| server.rss_kib().ok()).map(|kib| kib as f64 / 1024.0),
            load_cores: (mark.own.cpu_ns - last.own.cpu_ns) as f64 / 1e9 / seconds,
            late_max_ms: self.current.late.max() as f64 / 1e6,
        });
        self.round.absorb(&mut self.current);
        Ok(self.series.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_and_bounded() {
        let mut refused = Refused::default();
        for number in 0..40 {
            refused.count(&format!("reason {number}"));
            refused.count("reason 0");
        }
        assert_eq!(refused.total, 80);
        assert_eq!(refused.reasons["reason 0"], 41);
        assert!(refused.reasons.len() <= REASONS_MAX + 1);
        assert_eq!(refused.reasons.values().sum::<u64>(), 80);
    }

    #[test]
    fn only_what_arrives_in_the_round_is_in_its_latencies() {
        let mut meter = Meter::new(None).expect("a meter");
        let at = |ms: u64| ms * 1_000_000;
        meter.tick(at(0)).expect("a tick");
        meter.arrived(at(900), false);
        let begin = meter.begin_round(at(300)).expect("a mark");
        for _ in 0..10 {
            meter.arrived(at(5), true);
        }
        assert!(meter.tick(at(400)).expect("a tick").is_none(), "too early");
        let sample = meter.tick(at(600)).expect("a tick").expect("a sample");
        assert!(sample.measured && sample.p50_ms.is_some_and(|p50| (4.9..5.1).contains(&p50)), "{sample:?}");
        meter.late(at(7));
        let end = meter.mark(at(1300)).expect("a mark");
        let Measured { echo, delivery, across, generator, .. } = meter.end_round(&begin, &end).expect("a round");
        assert!(across.is_none());
        let is_five = |latency: Option<Latency>| latency.is_some_and(|latency| (4.9..5.1).contains(&latency.max));
        assert!(is_five(delivery) && is_five(echo), "{delivery:?}");
        assert!(generator.late_max_ms.is_some_and(|late| (6.9..7.1).contains(&late)), "{generator:?}");
    }
}
