//! Runs a load: warm-up, measured rounds, draining; the same for every kind of traffic.

use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;

use super::Plan;
use crate::client::{Handler, Links};
use crate::interrupt;
use crate::meter::{Mark, Meter};
use crate::round::Round;

/// The longest time between two looks at the clock.
const LOOK: Duration = Duration::from_millis(100);
/// A shorter round in which nothing arrived has no result.
const MEASURED_MIN: Duration = Duration::from_millis(50);
/// A second copy of the last messages would arrive within this time.
const AFTER_DRAIN: Duration = Duration::from_millis(20);
/// The longest wait of a halted load for deliveries to the remaining receivers.
const HALTED_DRAIN: Duration = Duration::from_secs(1);

/// Traffic that can be started and stopped.
pub trait Load: Handler {
    /// Starts to send.
    fn start(&mut self, links: &mut Links);
    /// Stops sending.
    fn stop(&mut self);
    /// When the next message must be sent, in an open loop.
    fn due(&self) -> Option<u64>;
    fn meter(&mut self) -> &mut Meter;
    /// Messages that not everybody has received yet.
    fn under_way(&self) -> u64;
    fn violations(&self) -> u64;
    /// Whether something happened that makes going on pointless.
    fn is_halted(&self) -> bool;
}

/// All rounds of a plan.
pub fn rounds(load: &mut impl Load, plan: &Plan, links: &mut Links, bar: &ProgressBar) -> Result<Vec<Round>> {
    let mut rounds = Vec::with_capacity(plan.rounds);
    for number in 1..=plan.rounds {
        let name = format!("round {number}/{}", plan.rounds);
        rounds.extend(round(load, plan, links, bar, &name)?);
        if load.is_halted() || interrupt::is_asked() {
            break;
        }
    }
    Ok(rounds)
}

/// One round with its warm-up. At its end every delivery has arrived or is given up. `None` if it ended before it
/// began.
pub fn round(
    load: &mut impl Load,
    plan: &Plan,
    links: &mut Links,
    bar: &ProgressBar,
    name: &str,
) -> Result<Option<Round>> {
    load.start(links);
    bar.set_prefix(format!("{name} warm-up"));
    pump(load, links, plan.warmup, bar)?;
    let begin = load.meter().begin_round(links.now())?;
    bar.set_prefix(name.to_owned());
    pump(load, links, plan.seconds, bar)?;
    let end = load.meter().mark(links.now())?;
    let round = figures(load.meter(), &begin, &end)?;
    load.stop();
    bar.set_prefix(format!("{name} draining"));
    drain(load, links, plan.drain)?;
    let is_measured = round.deliveries > 0 || end.at - begin.at >= MEASURED_MIN.as_nanos() as u64;
    Ok(is_measured.then_some(round))
}

fn pump(load: &mut impl Load, links: &mut Links, time: Duration, bar: &ProgressBar) -> Result<()> {
    let until = links.now() + time.as_nanos() as u64;
    loop {
        let now = links.now();
        if now >= until || load.is_halted() || interrupt::is_asked() {
            return Ok(());
        }
        let mut timeout = LOOK.min(Duration::from_nanos(until - now));
        if let Some(due) = load.due() {
            timeout = timeout.min(Duration::from_nanos(due.saturating_sub(now)));
        }
        links.turn(timeout, load)?;
        load.after_read(links);
        let (now, busy) = links.now_and_busy();
        load.meter().away(busy);
        let under_way = load.under_way();
        let bad = load.violations();
        if let Some(sample) = load.meter().tick(now)? {
            let p99 = sample.p99_ms.map_or(String::new(), |p99| format!(", p99 {p99:.1} ms"));
            let server = sample.server_cores.zip(sample.server_rss_mib);
            let server = server.map_or(String::new(), |(cores, mib)| format!(", server {cores:.2} cores {mib:.0} MiB"));
            let rate = sample.deliveries_per_second;
            let load_cores = sample.load_cores;
            bar.set_message(format!(
                "{rate:.0} deliveries/s{p99}{server}, load {load_cores:.2} cores, {under_way} under way, \
                 {bad} violations"
            ));
            bar.tick();
        }
    }
}

/// Runs until everybody has everything, or `time` is over.
fn drain(load: &mut impl Load, links: &mut Links, time: Duration) -> Result<()> {
    let time = if load.is_halted() { time.min(HALTED_DRAIN) } else { time };
    let deadline = links.now() + time.as_nanos() as u64;
    while load.under_way() > 0 && links.now() < deadline {
        links.turn(LOOK, load)?;
    }
    links.turn(AFTER_DRAIN, load)
}

fn figures(meter: &mut Meter, begin: &Mark, end: &Mark) -> Result<Round> {
    let measured = meter.end_round(begin, end)?;
    let seconds = (end.at - begin.at) as f64 / 1e9;
    let deliveries = end.deliveries - begin.deliveries;
    let per_delivery = |us: f64| (deliveries > 0).then(|| us / deliveries as f64);
    let own_us = (end.own.cpu_ns - begin.own.cpu_ns) as f64 / 1e3;
    let server_us = begin.server_us.zip(end.server_us);
    let server_us = server_us.map(|(begin, end)| (end - begin) as f64);
    Ok(Round {
        seconds,
        deliveries,
        deliveries_per_second: deliveries as f64 / seconds,
        messages_per_second: (end.echoes - begin.echoes) as f64 / seconds,
        refused: end.refused - begin.refused,
        bytes_per_delivery: per_delivery((end.bytes - begin.bytes) as f64),
        server_us_per_delivery: server_us.and_then(per_delivery),
        server_cores: server_us.map(|us| us / seconds / 1e6),
        load_us_per_delivery: per_delivery(own_us),
        load_cores: own_us / seconds / 1e6,
        echo: measured.echo,
        delivery: measured.delivery,
        across: measured.across,
        after_echo: measured.after_echo,
        generator: measured.generator,
        processes: measured.processes,
    })
}
