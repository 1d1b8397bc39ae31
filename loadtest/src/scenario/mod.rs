//! The scenarios, and what they share: their common options, the server under test, the connections.

pub mod chat;
pub mod churn;
mod connect;
mod drive;
mod flight;
pub mod idle;
pub mod mixed;
pub mod room;
pub mod slow;
pub mod storm;
pub mod traffic;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::client::Links;
use crate::oracle::Layout;
use crate::pacing::Pacing;
use crate::proc::{self, Watched};
use crate::report::TrafficReport;
use crate::setup::{self, Size};
use crate::target::{Kind, Seat, Target, TargetKind};
use connect::Wanted;
use mixed::Mix;

/// Handshakes under way at a time.
const CONNECTING_MAX: usize = 256;

/// Options of every scenario.
#[derive(clap::Args, Clone, Debug)]
pub struct Common {
    /// The server: ws://host:port
    #[arg(long, default_value = "ws://127.0.0.1:8000")]
    pub url: String,
    /// What kind of server it is
    #[arg(long, value_enum, default_value = "pregon")]
    pub target: TargetKind,
    /// Users, tokens and rooms, made by `pregon seed … --out FILE` [default: made over the REST API]
    #[arg(long)]
    pub fixture: Option<PathBuf>,
    /// The REST API [default: http:// of --url]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// Users to make over the REST API [default: as many as a room has members; all rooms share them]
    #[arg(long, conflicts_with = "fixture")]
    pub users: Option<usize>,
    /// Keep the users and rooms of this run in FILE, for --fixture
    #[arg(long, value_name = "FILE")]
    pub save_fixture: Option<PathBuf>,
    /// The server's secret: signs fresh tokens for the fixture's users. PREGON_JWT_SECRET in the environment does so
    /// for tokens that have expired
    #[arg(long)]
    pub secret: Option<String>,
    /// The server's process, to read its CPU time and memory (same machine)
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Run the load on this core only
    #[arg(long)]
    pub core: Option<usize>,
    /// Write the report as JSON to FILE; `-`: to stdout, instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as one self-contained page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// How long to measure.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Timing {
    /// Length of a round
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Load before each round that is not counted
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Rounds to measure; the last line is the median of each column
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// After sending stops, wait at most so long for what is still missing
    #[arg(long, default_value_t = 10.0)]
    pub drain: f64,
}

/// A server under test.
pub struct Run {
    pub server_address: SocketAddr,
    pub url: String,
    pub target: Target,
    pub server: Option<Watched>,
}

/// What a scenario with traffic does.
#[derive(Clone)]
pub struct Plan {
    pub scenario: &'static str,
    pub kind: Kind,
    pub layout: Layout,
    pub pacing: Pacing,
    /// Of the payload a member receives; for `chat` of the message's text.
    pub bytes: usize,
    pub warmup: Duration,
    pub seconds: Duration,
    pub drain: Duration,
    pub rounds: usize,
    /// Members that do not send connect here instead.
    pub receivers: Option<SocketAddr>,
    /// Durable events of many kinds in place of messages alone.
    pub mix: Option<Mix>,
}

impl Run {
    /// `size`: what is made over the REST API if there is no fixture.
    pub fn new(common: &Common, size: Size) -> Result<Self> {
        if let Some(core) = common.core {
            proc::pin(core)?;
        }
        let target = match common.target {
            TargetKind::Pregon => Target::Pregon(setup::prepare(common, size)?),
            TargetKind::Plain => Target::Plain,
        };
        Ok(Self {
            server_address: resolve(&common.url)?,
            url: common.url.clone(),
            target,
            server: common.server_pid.map(Watched::new).transpose()?,
        })
    }
}

impl Run {
    /// Connections of all seats up to `total`, in rooms of `members`, to the one server.
    fn wanted(&self, members: usize, total: usize) -> Wanted {
        Wanted { server: self.server_address, elsewhere: None, members, total, under_way_max: CONNECTING_MAX }
    }
}

impl Default for Plan {
    /// The empty plan that scenarios fill in.
    fn default() -> Self {
        Self {
            scenario: "",
            kind: Kind::Ephemeral,
            layout: Layout { rooms: 0, members: 0, senders: 0 },
            pacing: Pacing::Rate { per_second: 1.0 },
            bytes: 0,
            warmup: Duration::ZERO,
            seconds: Duration::ZERO,
            drain: Duration::from_secs(10),
            rounds: 1,
            receivers: None,
            mix: None,
        }
    }
}

impl Plan {
    pub fn with_timing(mut self, timing: Timing) -> Result<Self> {
        let duration = |seconds| Duration::try_from_secs_f64(seconds).context("a length of time");
        self.seconds = duration(timing.seconds.max(0.1))?;
        self.warmup = duration(timing.warmup)?;
        self.drain = duration(timing.drain)?;
        self.rounds = timing.rounds.into();
        Ok(self)
    }

    /// Raises `bytes` to what the target's envelope needs for every sender; whether it had to.
    pub fn fit_bytes(&mut self, target: &Target) -> bool {
        let layout = self.layout;
        let seats = (0..layout.sender_count())
            .map(|sender| Seat { room: layout.room_of_sender(sender), member: sender % layout.senders });
        let least = seats.map(|seat| target.bytes_min(self.kind, seat)).max();
        let asked = self.bytes;
        self.bytes = asked.max(least.unwrap_or(0));
        self.bytes > asked
    }
}

/// Connects everybody and runs the plan.
pub fn run_traffic(mut plan: Plan, run: &Run) -> Result<TrafficReport> {
    let Layout { rooms, members, senders } = plan.layout;
    run.target.check_size(rooms, members)?;
    let asked = plan.bytes;
    let raised = plan.fit_bytes(&run.target);
    let elsewhere = plan.receivers.map(|server| (senders, server));
    let (mut links, bar) = open_links(run, &Wanted { elsewhere, ..run.wanted(members, plan.layout.receivers()) })?;
    let mut report = match plan.mix {
        Some(mix) => mixed::run(&plan, mix, run, &mut links, &bar)?,
        None => traffic::run(&plan, run, &mut links, &bar)?,
    };
    bar.finish_and_clear();
    links.close_all();
    if raised {
        let note =
            format!("{asked} bytes are less than the target's envelope and the tag need: {} were used", plan.bytes);
        report.notes.push(note);
    }
    Ok(report)
}

fn progress() -> Result<ProgressBar> {
    let style =
        ProgressStyle::with_template("{prefix} {msg} [{elapsed}] {pos}/{len} connected").context("progress line")?;
    Ok(ProgressBar::new(0).with_style(style))
}

fn open_links(run: &Run, wanted: &Wanted) -> Result<(Links, ProgressBar)> {
    proc::raise_file_limit(wanted.total)?;
    let bar = progress()?;
    bar.set_prefix("connecting");
    let mut links = Links::new()?;
    connect::connect(&mut links, &run.target, wanted, &bar)?;
    bar.set_position(wanted.total as u64);
    Ok((links, bar))
}

fn resolve(url: &str) -> Result<SocketAddr> {
    let wrong = || format!("--url {url}: wanted is something like ws://127.0.0.1:8000");
    let host = url.strip_prefix("ws://").with_context(wrong)?;
    let host = host.trim_end_matches('/');
    let addresses: Vec<_> = host.to_socket_addrs().with_context(wrong)?.collect();
    let v4 = addresses.iter().find(|address| address.is_ipv4());
    v4.or(addresses.first()).copied().with_context(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses() {
        assert!(resolve("ws://127.0.0.1:8000/").is_ok_and(|address| address.port() == 8000));
        for wrong in ["wss://127.0.0.1:1", "127.0.0.1:8000", "ws://127.0.0.1"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }
}
