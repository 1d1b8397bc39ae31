//! `abuse`: attackers of four kinds beside members who behave; shows what the members notice, and what becomes of the attackers.

mod crowds;
mod options;

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

use anyhow::{Result, ensure};
use serde::Serialize;

use self::crowds::{Attack, Crowds};
pub use self::options::AbuseOptions;
use super::drive::{self, Load};
use super::traffic::Traffic;
use super::traffic_report::TrafficReport;
use super::{Plan, Run, open_links};
use crate::interrupt;
use crate::latency::Latency;
use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::plot::Plot;
use crate::proc;
use crate::report::{Report, Verdict};
use crate::round::{Round, median_round};
use crate::setup::Size;
use crate::target::{Kind, Target};

#[derive(Serialize)]
pub struct AbuseReport {
    /// What members waited in the rounds without attackers.
    pub before: Option<Latency>,
    /// … in the rounds with them.
    pub during: Option<Latency>,
    /// The server's resident memory at the end of each round without and with attackers, the most, in MiB.
    pub memory_before_mib: Option<f64>,
    pub memory_during_mib: Option<f64>,
    /// What each kind of attackers did, and how the server answered.
    pub attackers: BTreeMap<&'static str, BTreeMap<String, u64>>,
    pub traffic: TrafficReport,
}

/// Rooms of the attackers, behind those of the members.
fn rooms_of_attackers(options: &AbuseOptions) -> usize {
    (options.flooders + options.bombs).div_ceil(options.members + 1)
}

pub fn abuse(options: &AbuseOptions) -> Result<AbuseReport> {
    let AbuseOptions { rooms, members, .. } = *options;
    ensure!(options.stalled <= rooms, "--stalled {}: at most one in each of the {rooms} rooms", options.stalled);
    let (all, seats) = (rooms + rooms_of_attackers(options), members + 1);
    let run = Run::new(&options.traffic.common, Size::shared(all, seats))?;
    let Target::Pregon(fixture, _) = &run.target else {
        anyhow::bail!("abuse is made for pregon alone: its attackers carry tokens");
    };
    fixture.check_size(all, seats)?;
    let plan = Plan {
        scenario: "abuse",
        kind: Kind::Ephemeral,
        layout: Layout { rooms, members, senders: 1 },
        pacing: options.traffic.pacing.pacing(members, Pacing::Together { window: 64, release: Release::All })?,
        bytes: options.bytes,
        ..Plan::default()
    };
    let mut plan = plan.with_timing(options.traffic.timing)?;
    plan.fit_bytes(&run.target);
    let attackers = options.slow_handshakes + options.flooders + options.bombs + options.stalled;
    proc::raise_file_limit(rooms * members + attackers)?;
    let (mut links, bar) = open_links(&run, &run.wanted(members, rooms * members))?;
    let mut traffic = Traffic::new(&plan, &run)?;
    let (mut before, mut during) = (Vec::new(), Vec::new());
    let (mut memory_before, mut memory_during) = (Vec::new(), Vec::new());
    let memory = || run.server.and_then(|server| server.rss_kib().ok().map(|kib| kib as f64 / 1024.0));
    let mut told = BTreeMap::new();
    for pair in 1..=plan.rounds {
        before.extend(drive::round(&mut traffic, &plan, &mut links, &bar, &format!("pair {pair}, nobody attacks"))?);
        memory_before.extend(memory());
        if traffic.is_halted() || interrupt::is_asked() {
            break;
        }
        let crowds = Crowds::begin(Attack::new(options, fixture, run.server_address));
        during.extend(drive::round(&mut traffic, &plan, &mut links, &bar, &format!("pair {pair}, attack"))?);
        memory_during.extend(memory());
        for (kind, counts) in crowds.end() {
            let all: &mut BTreeMap<String, u64> = told.entry(kind).or_default();
            counts.into_iter().for_each(|(what, count)| *all.entry(what).or_default() += count);
        }
        if traffic.is_halted() || interrupt::is_asked() {
            break;
        }
    }
    bar.finish_and_clear();
    links.close_all();
    let median = |rounds: &[Round]| median_round(rounds).and_then(|round| round.delivery);
    let most = |figures: Vec<f64>| figures.into_iter().reduce(f64::max);
    Ok(AbuseReport {
        before: median(&before),
        during: median(&during),
        memory_before_mib: most(memory_before),
        memory_during_mib: most(memory_during),
        attackers: told,
        traffic: {
            let mut during = during.into_iter();
            let rounds = before.into_iter().flat_map(|quiet| [Some(quiet), during.next()]).flatten().collect();
            traffic.report(&plan, &run, rounds)
        },
    })
}

impl Report for AbuseReport {
    fn verdict(&self) -> Verdict {
        self.traffic.verdict()
    }

    fn answer(&self) -> String {
        match self.before.zip(self.during) {
            Some((before, during)) => format!(
                "Members waited {:.2} ms (p99) before the attack and {:.2} ms during it: {:.2} times.",
                before.p99,
                during.p99,
                during.p99 / before.p99
            ),
            None => self.traffic.answer(),
        }
    }

    fn plots(&self) -> Vec<Plot> {
        self.traffic.plots()
    }
}

impl Display for AbuseReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "{} (rounds in turns: nobody attacks, all attackers do)", self.traffic.to_string().trim_end())?;
        if let Some((before, during)) = self.before.zip(self.during) {
            writeln!(out, "what members waited, ms:         p50      p90      p99      max")?;
            writeln!(out, "  while nobody attacked    {before}")?;
            writeln!(out, "  during the attack        {during}")?;
        }
        if let Some((before, during)) = self.memory_before_mib.zip(self.memory_during_mib) {
            writeln!(out, "server memory, at most: {before:.0} MiB without attackers, {during:.0} MiB with them")?;
        }
        for (kind, counts) in &self.attackers {
            writeln!(out, "{kind}:")?;
            for (what, count) in counts {
                writeln!(out, "  {count:>9} × {what}")?;
            }
        }
        Ok(())
    }
}
