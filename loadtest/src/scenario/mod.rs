//! The scenarios, and what they share: their common options, the server under test, the connections.

pub mod chat;
mod connect;
mod flight;
pub mod idle;
pub mod room;
pub mod traffic;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::client::Links;
use crate::fixture::Fixture;
use crate::oracle::Layout;
use crate::pacing::Pacing;
use crate::proc::{self, Watched};
use crate::report::TrafficReport;
use crate::target::{Kind, Seat, Target, TargetKind};
use connect::Wanted;

/// Handshakes under way at a time.
const CONNECTING_MAX: usize = 256;

/// Options of every scenario.
#[derive(clap::Args, Debug)]
pub struct Common {
    /// The server: ws://host:port
    #[arg(long, default_value = "ws://127.0.0.1:8000")]
    pub url: String,
    /// What kind of server it is
    #[arg(long, value_enum, default_value = "pregon")]
    pub target: TargetKind,
    /// Users, tokens and rooms, made by `pregon seed … --out FILE`
    #[arg(long, default_value = "fixture.json")]
    pub fixture: PathBuf,
    /// The server's process, to read its CPU time and memory (same machine)
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Run the load on this core only
    #[arg(long)]
    pub core: Option<usize>,
    /// Write the report as JSON to FILE; `-`: to stdout, instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
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
}

impl Run {
    pub fn new(common: &Common) -> Result<Self> {
        if let Some(core) = common.core {
            proc::pin(core)?;
        }
        let target = match common.target {
            TargetKind::Pregon => Target::Pregon(Fixture::load(&common.fixture)?),
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
    let Layout { rooms, members, .. } = plan.layout;
    run.target.check_size(rooms, members)?;
    let asked = plan.bytes;
    let raised = plan.fit_bytes(&run.target);
    let (mut links, bar) = open_links(run, rooms, members, plan.layout.receivers())?;
    let mut report = traffic::run(&plan, run, &mut links, &bar)?;
    bar.finish_and_clear();
    links.close_all();
    if raised {
        let note =
            format!("{asked} bytes are less than the target's envelope and the tag need: {} were used", plan.bytes);
        report.notes.push(note);
    }
    Ok(report)
}

fn open_links(run: &Run, rooms: usize, members: usize, total: usize) -> Result<(Links, ProgressBar)> {
    proc::raise_file_limit(total)?;
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{prefix} {msg} [{elapsed}] {pos}/{len} connected").context("progress line")?,
    );
    bar.set_prefix("connecting");
    let mut links = Links::new()?;
    let wanted = Wanted { server: run.server_address, rooms, members, total, under_way_max: CONNECTING_MAX };
    connect::connect(&mut links, &run.target, &wanted, &bar)?;
    bar.set_position(total as u64);
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
