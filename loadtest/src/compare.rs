//! `compare`: the bare peer and pregon, taking turns on one core, the load on another.

use std::fmt::{Display, Formatter};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::fixture::Fixture;
use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::proc::{self, Watched};
use crate::report::{Report, median};
use crate::scenario::{Plan, Run, run_traffic};
use crate::target::{Kind, Target};

#[derive(clap::Args, Debug)]
pub struct CompareOptions {
    /// The pregon binary; without it the peer is compared with itself, which shows the noise
    #[arg(long)]
    pub pregon: Option<PathBuf>,
    /// The peer binary [default: peer-epoll beside this program]
    #[arg(long)]
    pub peer: Option<PathBuf>,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Length of one measurement
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Load before each measurement that is not counted
    #[arg(long, default_value_t = 0.5)]
    pub warmup: f64,
    /// Members of the room
    #[arg(long, default_value_t = 1000)]
    pub members: usize,
    /// Payload of the frame that members receive
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Write the report as JSON to FILE; `-`: to stdout, instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One row: a window and a release mode.
#[derive(Serialize)]
struct Cell {
    window: u32,
    release: Release,
    pairs: Vec<Pair>,
}

impl Cell {
    fn all() -> Vec<Self> {
        let modes = [1, 16].map(|window| [(window, Release::Sender), (window, Release::All)]);
        let cell = |(window, release)| Self { window, release, pairs: Vec::new() };
        modes.into_iter().flatten().map(cell).collect()
    }
}

/// Measured one right after the other; server CPU µs per delivery.
#[derive(Clone, Copy, Serialize)]
struct Pair {
    peer: f64,
    other: f64,
    peer_load_cores: f64,
    other_load_cores: f64,
}

#[derive(Serialize)]
pub struct CompareReport {
    other: &'static str,
    members: usize,
    bytes: usize,
    cells: Vec<Cell>,
    violations: u64,
}

/// A server process of ours, ended with its value.
struct Server {
    child: Child,
    run: Run,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where pregon lives during the comparison; removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn compare(options: &CompareOptions) -> Result<CompareReport> {
    let scratch = Scratch(std::env::temp_dir().join(format!("loadtest-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0).context("a scratch folder")?;
    let peer = match &options.peer {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("peer-epoll"),
    };
    if let Some(pregon) = &options.pregon {
        seed(pregon, &scratch.0, options.members)?;
    }
    let mut cells = Cell::all();
    let mut violations = 0;
    let mut bytes = options.bytes;
    for round in 1..=options.rounds {
        // Fresh processes each round: a lucky or unlucky memory layout is not carried through.
        proc::pin(options.server_core)?;
        let peer_server = start_peer(&peer)?;
        let other_server = match &options.pregon {
            Some(pregon) => start_pregon(pregon, &scratch.0)?,
            None => start_peer(&peer)?,
        };
        proc::pin(options.load_core)?;
        for cell in &mut cells {
            let plan = plan(options, cell);
            bytes = bytes.max(fitted(&plan, &other_server.run.target));
            let plan = Plan { bytes, ..plan };
            eprintln!("round {round}/{}: window {}, {:?}", options.rounds, cell.window, cell.release);
            let (peer, peer_load_cores, bad) = measure(&plan, &peer_server.run)?;
            violations += bad;
            let (other, other_load_cores, bad) = measure(&plan, &other_server.run)?;
            violations += bad;
            cell.pairs.push(Pair { peer, other, peer_load_cores, other_load_cores });
        }
    }
    Ok(CompareReport {
        other: options.pregon.as_ref().map_or("peer", |_| "pregon"),
        members: options.members,
        bytes,
        cells,
        violations,
    })
}

fn plan(options: &CompareOptions, cell: &Cell) -> Plan {
    Plan {
        scenario: "room",
        kind: Kind::Ephemeral,
        layout: Layout { rooms: 1, members: options.members, senders: 1 },
        pacing: Pacing::Each { window: cell.window, release: cell.release },
        bytes: options.bytes,
        warmup: Duration::from_secs_f64(options.warmup),
        seconds: Duration::from_secs_f64(options.seconds),
        ..Plan::default()
    }
}

/// Both send frames of the size that the larger envelope needs.
fn fitted(plan: &Plan, target: &Target) -> usize {
    let mut plan = plan.clone();
    plan.fit_bytes(target);
    plan.bytes
}

/// Server CPU µs per delivery, the load's cores, violations.
fn measure(plan: &Plan, run: &Run) -> Result<(f64, f64, u64)> {
    let report = run_traffic(plan.clone(), run)?;
    if !report.clean() {
        eprintln!("{report}");
    }
    let round = report.median.context("a measured round")?;
    let server = round.server_us_per_delivery.context("the server's CPU time")?;
    Ok((server, round.load_cores, report.violations.total()))
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn start_peer(peer: &Path) -> Result<Server> {
    let address = free_address()?;
    let mut command = Command::new(peer);
    command.arg(address.to_string());
    start(command, address, Target::Plain)
}

fn pregon_command(pregon: &Path, scratch: &Path) -> Command {
    let database = scratch.join("p.db");
    let mut command = Command::new(pregon);
    command
        .current_dir(scratch)
        .env("PREGON_DATABASE_URL", format!("sqlite://{}", database.display()))
        .env("PREGON_JWT_SECRET", "a secret for load tests on this machine only")
        .env("PREGON_SHARDS", "1")
        .env("PREGON_RATE_LIMITS", "off");
    command
}

fn seed(pregon: &Path, scratch: &Path, members: usize) -> Result<()> {
    let members = members.to_string();
    let mut command = pregon_command(pregon, scratch);
    command.args(["seed", "--users", &members, "--rooms", "1", "--members", &members]);
    let done = command
        .arg("--out")
        .arg(scratch.join("fixture.json"))
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", pregon.display()))?;
    ensure!(done.success(), "`pregon seed` failed: {done}");
    Ok(())
}

fn start_pregon(pregon: &Path, scratch: &Path) -> Result<Server> {
    let fixture = Fixture::load(&scratch.join("fixture.json"))?;
    let address = free_address()?;
    let mut command = pregon_command(pregon, scratch);
    command.arg("serve").env("PREGON_LISTEN", address.to_string());
    start(command, address, Target::Pregon(fixture))
}

/// Starts a server on the core this thread is pinned to and waits until it accepts.
fn start(mut command: Command, address: SocketAddr, target: Target) -> Result<Server> {
    let child = command
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let watched = Watched::new(child.id());
    let mut server = Server {
        child,
        run: Run { server_address: address, url: format!("ws://{address}"), target, server: Some(watched?) },
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        if let Some(status) = server.child.try_wait()? {
            bail!("{} ended at once: {status}", command.get_program().display());
        }
        ensure!(Instant::now() < deadline, "nothing listens on {address} after 20 s");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

impl Report for CompareReport {
    fn clean(&self) -> bool {
        self.violations == 0
    }
}

impl Display for CompareReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let other = self.other;
        writeln!(
            out,
            "1 room × {} members, 1 sender, {} bytes; server CPU µs per delivery, medians of {} pairs",
            self.members,
            self.bytes,
            self.cells.first().map_or(0, |cell| cell.pairs.len())
        )?;
        writeln!(
            out,
            "{:26}{:>10}{:>10}{:>14}{:>18}{:>20}",
            "", "bare peer", other, "ratio", "min–max", "load busy (cores)"
        )?;
        for cell in &self.cells {
            let of = |value: fn(&Pair) -> f64| median(cell.pairs.iter().map(value).collect()).unwrap_or_default();
            let ratios = cell.pairs.iter().map(|pair| pair.other / pair.peer);
            let (least, most) =
                ratios.clone().fold((f64::MAX, f64::MIN), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
            let name = match cell.release {
                Release::Sender => format!("window {}, sender has it", cell.window),
                Release::All => format!("window {}, all have it", cell.window),
            };
            writeln!(
                out,
                "{name:26}{:>10.3}{:>10.3}{:>14.3}{:>18}{:>12.2} {:>7.2}",
                of(|pair| pair.peer),
                of(|pair| pair.other),
                median(ratios.collect()).unwrap_or_default(),
                format!("{least:.3}–{most:.3}"),
                of(|pair| pair.peer_load_cores),
                of(|pair| pair.other_load_cores),
            )?;
        }
        match self.violations {
            0 => writeln!(out, "oracle: no violation"),
            count => writeln!(out, "oracle: {count} VIOLATIONS, see above"),
        }
    }
}
