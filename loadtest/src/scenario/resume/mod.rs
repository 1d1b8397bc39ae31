//! `resume`: a node is lost, its clients come back to others with their cursors, and each must get what it missed.

mod ledger;
mod load;

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::{CONNECTING_MAX, Run, progress, resolve};
use crate::about;
use crate::client::Links;
use crate::interrupt;
use crate::latency::Latency;
use crate::meter::Refused;
use crate::options::Common;
use crate::oracle::{Layout, Violations};
use crate::plot::{Line, Plot};
use crate::proc;
use crate::report::{Report, Verdict, counted, write_refused, write_verdict};
use crate::round::figure;
use crate::setup::Size;
use crate::target::TargetKind;
use crate::v1::Protocol;
use load::{Resume, Setting};

/// Points of the curve.
const SAMPLE_EVERY_NS: u64 = 100_000_000;
/// The most lines of the curve that the table shows.
const CURVE_LINES_MAX: usize = 30;

#[derive(clap::Args, Clone, Debug)]
pub struct ResumeOptions {
    /// `--url` is the node that is lost.
    #[command(flatten)]
    pub common: Common,
    /// The nodes to which its clients come back. Several: repeat it, or separate them by commas. The address of `--url` again:
    /// one server whose clients lose their connections
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',')]
    pub other_url: Vec<String>,
    /// End this process (SIGKILL) instead of dropping the connections to `--url`
    #[arg(long, value_name = "PID")]
    pub kill_pid: Option<u32>,
    /// Rooms, each with users of its own
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Members of each room who lose their node
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Members of each room on nodes that stay; the first of them sends
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub stay: u16,
    /// Messages a second over all rooms, before, while and after the clients come back
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// Text of a message
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Seconds of messages before the node is lost
    #[arg(long, default_value_t = 3.0)]
    pub before: f64,
    /// Seconds of messages after the last client is back
    #[arg(long, default_value_t = 2.0)]
    pub after: f64,
    /// Clients come back within so many seconds, each at a moment of its own
    #[arg(long, default_value_t = 1.0)]
    pub spread: f64,
    /// A client that is not back after this many seconds counts as lost
    #[arg(long, default_value_t = 60.0)]
    pub patience: f64,
    /// After sending stops, the longest wait for missing deliveries, in seconds
    #[arg(long, default_value_t = 10.0)]
    pub drain: f64,
}

/// A tenth of a second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Since the node was lost.
    pub seconds: f64,
    /// Of the clients that were on it.
    pub live_again: f64,
}

#[derive(Serialize)]
pub struct ResumeReport {
    pub scenario: &'static str,
    pub url: String,
    pub other_urls: Vec<String>,
    pub rooms: usize,
    pub members: usize,
    pub rate: f64,
    /// Clients that lost their node.
    pub clients: usize,
    pub all_live_seconds: Option<f64>,
    /// From the loss of the node to a client's `subscribed`, its own wait included.
    pub back: Option<Latency>,
    /// From a client's connect to its `subscribed`.
    pub handshake: Option<Latency>,
    pub attempts: u64,
    pub not_back: usize,
    /// Clients that went on where they were, and those that were told of a gap.
    pub resumed: u64,
    pub gaps_told: u64,
    /// The database's queries for those who came back, as the other nodes count them; `None` if they do not.
    pub queries_per_resume: Option<f64>,
    /// The same by what was asked.
    pub queries: BTreeMap<String, f64>,
    pub messages: u64,
    pub refused: Refused,
    /// Attempts that failed, by reason.
    pub failed: BTreeMap<String, u64>,
    pub checked: u64,
    pub violations: Violations,
    pub notes: Vec<String>,
    pub curve: Vec<Point>,
}

impl ResumeOptions {
    /// The common options: this scenario has one protocol.
    pub fn common(&self) -> Common {
        Common { protocol: Protocol::V1, ..self.common.clone() }
    }
}

pub fn resume(options: &ResumeOptions) -> Result<ResumeReport> {
    ensure!(
        options.common.target == TargetKind::Pregon,
        "resume: a plain server has no cursors to go on from; only pregon.v1 has"
    );
    ensure!(options.rate.is_finite() && options.rate > 0.0, "--rate {} is not a rate", options.rate);
    let common = options.common();
    let stay = usize::from(options.stay);
    let members = options.members + stay;
    let layout = Layout { rooms: options.rooms, members, senders: 1 };
    let mut nodes = vec![resolve(&common.url)?];
    for url in &options.other_url {
        nodes.push(resolve(url)?);
    }
    let run = Run::new(&common, Size { rooms: options.rooms, members, is_distinct: true })?;
    run.target.check_size(options.rooms, members)?;
    proc::raise_file_limit(layout.receivers())?;
    let spread = length("--spread", options.spread)?;
    let setting = Setting { target: &run.target, layout, nodes: &nodes, stay, bytes: options.bytes, spread };
    let mut resume = Resume::new(setting)?;
    let (mut links, bar) = (Links::new()?, progress()?);
    bar.set_prefix("connecting");
    if !resume.come(&mut links, CONNECTING_MAX)? {
        let samples = resume.ledger.violations.samples.join("; ");
        bail!(
            "{} of {} clients were let in: {:?} {samples}",
            resume.live(),
            layout.receivers(),
            resume.refused.reasons
        );
    }
    resume.start(links.now(), options.rate);
    bar.set_prefix("before");
    pump(&mut resume, &mut links, length("--before", options.before)?, |_| false)?;
    let before = queries(options);
    bar.set_prefix("coming back");
    let curve = lose(options, &mut resume, &mut links, &bar)?;
    let queries = difference(before.as_ref(), queries(options).as_ref(), resume.back);
    pump(&mut resume, &mut links, length("--after", options.after)?, |_| false)?;
    resume.stop();
    bar.set_prefix("draining");
    pump(&mut resume, &mut links, length("--drain", options.drain)?, |resume| resume.is_complete())?;
    // A second copy of the last messages, and the last acks, would arrive within this time.
    pump(&mut resume, &mut links, Duration::from_millis(100), |_| false)?;
    bar.finish_and_clear();
    links.close_all();
    resume.finish();
    Ok(report(options, &run, resume, curve, queries))
}

fn length(name: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).with_context(|| format!("{name} {seconds}"))
}

/// Lets the load run for this long, or until it is `over`.
fn pump(resume: &mut Resume<'_>, links: &mut Links, time: Duration, over: impl Fn(&Resume<'_>) -> bool) -> Result<()> {
    let until = links.now() + time.as_nanos() as u64;
    while links.now() < until && !over(resume) && !interrupt::is_asked() {
        resume.act(links)?;
        let left = Duration::from_nanos(until.saturating_sub(links.now()));
        links.turn(resume.patience(links.now()).min(left), resume)?;
    }
    Ok(())
}

/// The node is lost; returns how many were back when.
fn lose(options: &ResumeOptions, resume: &mut Resume<'_>, links: &mut Links, bar: &ProgressBar) -> Result<Vec<Point>> {
    if let Some(pid) = options.kill_pid {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("--kill-pid names no process")?;
        kill_process(pid, Signal::KILL).context("--kill-pid: the process cannot be ended")?;
    }
    resume.lose(links, options.kill_pid.is_none());
    let began = resume.lost_at.unwrap_or_default();
    let mut curve = vec![Point { seconds: 0.0, live_again: 0.0 }];
    let mut sampled = began;
    bar.set_length(resume.lost as u64);
    while resume.back < resume.lost && links.now() < began + length("--patience", options.patience)?.as_nanos() as u64 {
        pump(resume, links, Duration::from_millis(20), |resume| resume.back >= resume.lost)?;
        let now = links.now();
        if now - sampled >= SAMPLE_EVERY_NS || resume.back >= resume.lost {
            sampled = now;
            curve.push(Point {
                seconds: (now - began) as f64 / 1e9,
                live_again: resume.back as f64 / resume.lost.max(1) as f64,
            });
            bar.set_position(resume.back as u64);
        }
        if interrupt::is_asked() {
            break;
        }
    }
    Ok(curve)
}

/// The queries for sockets of `pregon.v1` so far, on all nodes that stay, by what was asked.
fn queries(options: &ResumeOptions) -> Option<BTreeMap<String, f64>> {
    let mut sums = BTreeMap::new();
    for url in &options.other_url {
        let metrics = about::metrics(&format!("{}/metrics", url.replacen("ws://", "http://", 1)))?;
        for line in metrics.lines() {
            let Some(rest) = line.strip_prefix("pregon_errand_queries_total{errand=\"") else { continue };
            let (errand, rest) = rest.split_once('"')?;
            *sums.entry(errand.to_owned()).or_insert(0.0) += rest.rsplit(' ').next()?.parse::<f64>().ok()?;
        }
    }
    Some(sums)
}

/// The queries for each who came back.
fn difference(
    before: Option<&BTreeMap<String, f64>>,
    after: Option<&BTreeMap<String, f64>>,
    back: usize,
) -> BTreeMap<String, f64> {
    let (Some(before), Some(after)) = (before, after) else { return BTreeMap::new() };
    let each = |(errand, sum): (&String, &f64)| {
        let more = sum - before.get(errand).copied().unwrap_or(0.0);
        (errand.clone(), more / back.max(1) as f64)
    };
    after.iter().map(each).collect()
}

fn report(
    options: &ResumeOptions,
    run: &Run,
    resume: Resume<'_>,
    curve: Vec<Point>,
    queries: BTreeMap<String, f64>,
) -> ResumeReport {
    let (lost, back) = (resume.lost, resume.back);
    let mut notes = Vec::new();
    if queries.is_empty() {
        notes.push("the other nodes do not say how many queries they made".to_owned());
    }
    ResumeReport {
        scenario: "resume",
        url: run.label(),
        other_urls: options.other_url.clone(),
        rooms: options.rooms,
        members: options.members,
        rate: options.rate,
        clients: lost,
        all_live_seconds: (back == lost && lost > 0).then(|| resume.back_ns.max() as f64 / 1e9),
        back: Latency::of(&resume.back_ns),
        handshake: Latency::of(&resume.handshake_ns),
        attempts: resume.attempts,
        not_back: lost - back,
        resumed: resume.resumed,
        gaps_told: resume.ledger.gaps,
        queries_per_resume: (!queries.is_empty()).then(|| queries.values().sum()),
        queries,
        messages: resume.sent(),
        refused: resume.refused,
        failed: resume.failed,
        checked: resume.checked,
        violations: resume.ledger.violations,
        notes,
        curve,
    }
}

impl Report for ResumeReport {
    fn verdict(&self) -> Verdict {
        let is_missing = self.not_back > 0 && !interrupt::is_asked();
        Verdict::of(self.violations.total() > 0 || is_missing, self.checked)
    }

    fn answer(&self) -> String {
        let all = counted(self.clients, "client");
        match self.all_live_seconds {
            Some(seconds) => format!("All of {all} were live again {seconds:.2} s after their node was lost."),
            None => format!("{} of {all} did not come back.", self.not_back),
        }
    }

    fn plots(&self) -> Vec<Plot> {
        let points = self.curve.iter().map(|point| (point.seconds, point.live_again * 100.0)).collect();
        vec![Plot {
            title: "Clients live again".to_owned(),
            unit: "%",
            x_name: "seconds since the node was lost",
            lines: vec![Line::new("", points)],
            ..Plot::default()
        }]
    }
}

impl Display for ResumeReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { url, rooms, members, rate, .. } = self;
        let clients = counted(self.clients, "client");
        writeln!(
            out,
            "resume: {url} is lost with {clients} ({members} in each of {rooms} rooms), {rate} messages a second"
        )?;
        let live = self.all_live_seconds.map_or_else(
            || format!("{} NOT BACK", self.not_back),
            |seconds| format!("all live again after {seconds:.2} s"),
        );
        writeln!(
            out,
            "{live}, {} attempts, {} went on where they were, {} gaps told",
            self.attempts, self.resumed, self.gaps_told
        )?;
        writeln!(out, "  ms:                    p50      p90      p99      max")?;
        writeln!(out, "  back after the loss {}", Latency::columns(self.back.as_ref()))?;
        writeln!(out, "  handshake to reply  {}", Latency::columns(self.handshake.as_ref()))?;
        writeln!(out, "live again, %, by seconds since the loss:")?;
        let step = self.curve.len().div_ceil(CURVE_LINES_MAX).max(1);
        for (at, point) in self.curve.iter().enumerate() {
            if at % step == 0 || at + 1 == self.curve.len() {
                writeln!(out, "  {:>6.2} {:>6.1}", point.seconds, point.live_again * 100.0)?;
            }
        }
        let each: Vec<String> = self.queries.iter().map(|(errand, each)| format!("{errand} {each:.3}")).collect();
        writeln!(out, "database queries for each: {} ({})", figure(self.queries_per_resume, 3), each.join(", "))?;
        write_refused(out, &self.refused)?;
        for (how, count) in &self.failed {
            writeln!(out, "  {count:>6} attempts failed: {how}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
        write_verdict(out, self.checked, &self.violations)
    }
}
