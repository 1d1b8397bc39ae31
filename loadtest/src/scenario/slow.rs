//! `slow`: some readers stall; shows the effect on the others, and how the stalled ones end.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::drive::{self, Load};
use super::traffic::Traffic;
use super::traffic_report::TrafficReport;
use super::{Plan, Run, connect, open_links};
use crate::interrupt;
use crate::latency::Latency;
use crate::options::TrafficOptions;
use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::plot::Plot;
use crate::report::{Report, Verdict};
use crate::round::{Round, median_round};
use crate::setup::Size;
use crate::target::Kind;

/// The receive buffer of a stalled reader: a small, distant machine.
const RECEIVE_BYTES: usize = 4096;
/// How long the stalled ones read again at the end of a round, to learn what the server sent.
const HEARING: Duration = Duration::from_secs(3);

#[derive(clap::Args, Clone, Debug)]
pub struct SlowOptions {
    #[command(flatten)]
    pub traffic: TrafficOptions,
    /// Members of the room
    #[arg(long, default_value_t = 100)]
    pub members: usize,
    /// Share of the members that stop reading in every second round
    #[arg(long, default_value_t = 0.1)]
    pub stalled: f64,
    /// Ephemeral messages (a server may drop them for stalled readers) instead of stored ones
    #[arg(long)]
    pub ephemeral: bool,
    /// Text of a message
    #[arg(long, default_value_t = 1900)]
    pub bytes: usize,
}

#[derive(Serialize)]
pub struct SlowReport {
    pub stalled: usize,
    /// All members except the stalled ones, in the rounds in which everybody reads.
    pub without: Option<Latency>,
    /// … in the rounds with stalled readers.
    pub with: Option<Latency>,
    /// How often a stalled reader ended in each way, over all rounds.
    pub endings: BTreeMap<String, u64>,
    pub traffic: TrafficReport,
}

pub fn slow(options: &SlowOptions) -> Result<SlowReport> {
    let stalled = (options.members as f64 * options.stalled).ceil() as usize;
    ensure!(stalled > 0 && stalled < options.members, "--stalled {}: some, not all, stall", options.stalled);
    let members = options.members;
    let run = Run::new(&options.traffic.common, Size::shared(1, members))?;
    let plan = Plan {
        scenario: "slow",
        kind: if options.ephemeral { Kind::Ephemeral } else { Kind::Durable },
        layout: Layout { rooms: 1, members, senders: 1 },
        pacing: options.traffic.pacing.pacing(members, Pacing::Each { window: 1, release: Release::All })?,
        bytes: options.bytes,
        ..Plan::default()
    };
    let mut plan = plan.with_timing(options.traffic.timing)?;
    plan.fit_bytes(&run.target);
    let wanted = run.wanted(members, members);
    let (mut links, bar) = open_links(&run, &wanted)?;
    let mut traffic = Traffic::new(&plan, &run)?;
    let last: Vec<usize> = (members - stalled..members).collect();
    let mut without = Vec::new();
    let mut with = Vec::new();
    let mut endings = BTreeMap::new();
    for pair in 1..=plan.rounds {
        without.extend(drive::round(&mut traffic, &plan, &mut links, &bar, &format!("pair {pair}, all read"))?);
        if interrupt::is_asked() {
            break;
        }
        for link in &last {
            traffic.excuse(*link);
            links.pause(*link, RECEIVE_BYTES)?;
        }
        with.extend(drive::round(&mut traffic, &plan, &mut links, &bar, &format!("pair {pair}, {stalled} stall"))?);
        bar.set_prefix("hearing the stalled");
        hear(&mut traffic, &mut links, &last)?;
        for (_, ending) in &traffic.endings {
            *endings.entry(ending.to_string()).or_default() += 1;
        }
        let kept = stalled.saturating_sub(traffic.endings.len()) as u64;
        if kept > 0 {
            *endings.entry("kept by the server".to_owned()).or_default() += kept;
        }
        traffic.endings.clear();
        if traffic.is_halted() || interrupt::is_asked() {
            break;
        }
        connect::reconnect(&mut links, &run.target, &wanted, &last)?;
        last.iter().for_each(|link| traffic.rejoin(*link));
    }
    bar.finish_and_clear();
    links.close_all();
    let median = |rounds: &[Round]| median_round(rounds).and_then(|round| round.delivery);
    let quiet = median(&without);
    let noisy = median(&with);
    let mut stalled_rounds = with.into_iter();
    let rounds = without.into_iter().flat_map(|all_read| [Some(all_read), stalled_rounds.next()]).flatten().collect();
    Ok(SlowReport { stalled, without: quiet, with: noisy, endings, traffic: traffic.report(&plan, &run, rounds) })
}

/// Lets the stalled ones read what has gathered, and notes how the server ended them, if it did.
fn hear(traffic: &mut Traffic, links: &mut crate::client::Links, stalled: &[usize]) -> Result<()> {
    for link in stalled {
        links.resume(*link, traffic);
    }
    let until = links.now() + HEARING.as_nanos() as u64;
    while links.now() < until && traffic.endings.len() < stalled.len() {
        links.turn(Duration::from_millis(50), traffic)?;
    }
    Ok(())
}

impl Report for SlowReport {
    fn verdict(&self) -> Verdict {
        self.traffic.verdict()
    }

    fn answer(&self) -> String {
        match self.without.zip(self.with) {
            Some((without, with)) => format!(
                "Those who read waited {:.2} ms (p99) while all did, {:.2} ms while {} did not.",
                without.p99, with.p99, self.stalled
            ),
            None => self.traffic.answer(),
        }
    }

    fn plots(&self) -> Vec<Plot> {
        self.traffic.plots()
    }
}

impl Display for SlowReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "{} (rounds in turns: all read, {} do not)", self.traffic.to_string().trim_end(), self.stalled)?;
        if let Some((without, with)) = self.without.zip(self.with) {
            writeln!(out, "what the others waited, ms:      p50      p90      p99      max")?;
            writeln!(out, "  while everybody read     {without}")?;
            writeln!(out, "  with {:>4} stalled        {with}", self.stalled)?;
        }
        writeln!(out, "what became of the stalled:")?;
        for (ending, count) in &self.endings {
            writeln!(out, "  {count:>6} × {ending}")?;
        }
        Ok(())
    }
}
