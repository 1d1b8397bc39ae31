//! `compare`: measures servers in turns on one core, with the load on another.

mod bars;
mod cells;
mod results;
mod servers;
mod statistics;
mod tables;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::about::About;
use crate::compression;
use crate::interrupt;
use crate::proc;
use crate::report::{Report, Verdict};
use crate::scenario::{Plan, run_traffic};
use crate::target::Target;
use crate::v1::Protocol;
use cells::Cell;
use results::{CellResults, Results, Sample};
use servers::{Home, Running, Server, Way};

#[derive(clap::Args, Debug)]
pub struct CompareOptions {
    /// The pregon binary; without it the others are compared with the first peer
    #[arg(long)]
    pub pregon: Option<PathBuf>,
    /// Network back ends of pregon, each measured as a server of its own: uring,epoll [default: pregon's own choice]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "pregon")]
    pub pregon_io: Vec<String>,
    /// What clients speak with pregon: v0,v1, each measured as a server of its own; peers take v0 [default: v0]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "pregon", default_value = "v0")]
    pub pregon_protocol: Vec<Protocol>,
    /// Whether pregon is reached by TLS: off,on, each measured as a server of its own
    #[arg(long, value_name = "WORDS", value_delimiter = ',', requires = "pregon", default_value = "off")]
    pub pregon_tls: Vec<Switch>,
    /// Other servers, by name (README) or path [default: epoll; twice without --pregon, which shows the noise]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub peer: Vec<String>,
    /// The folder into which `loadtest/peers/install` put the peers that are not built here
    #[arg(long, value_name = "FOLDER", default_value = "target/peers")]
    pub peers_dir: PathBuf,
    /// Loads, by name (README), or all [default: w1,w1-all,w16,w16-all,open]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub cells: Vec<String>,
    /// Rounds; each one measures every server once in every cell
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    pub pairs: u16,
    /// Length of one measurement
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Seconds of load before each measurement that are not counted
    #[arg(long, default_value_t = 0.5)]
    pub warmup: f64,
    /// Size of the frame that members receive, in bytes
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// Clients negotiate compression (permessage-deflate) and compress what they send: pregon compresses everything, uws has its
    /// shared compressor. Others take no part
    #[arg(long)]
    pub compression: bool,
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Check pregon against its bars; a missed bar, or an undecided one with fewer than 15 pairs, exits with 1
    #[arg(long, requires = "pregon")]
    pub check: bool,
    /// Write the table between the marks of this Markdown file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Write the report as JSON to FILE; `-`: to stdout, instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Without and with something.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub enum Switch {
    Off,
    On,
}

/// All ways in which pregon is to be measured.
fn ways(options: &CompareOptions) -> Vec<Way> {
    let mut ways = Vec::new();
    let ios = options.pregon_io.iter().cloned().map(Some);
    let ios: Vec<Option<String>> = if options.pregon_io.is_empty() { vec![None] } else { ios.collect() };
    for protocol in &options.pregon_protocol {
        for io in &ios {
            for tls in &options.pregon_tls {
                ways.push(Way { io: io.clone(), protocol: *protocol, is_encrypted: *tls == Switch::On });
            }
        }
    }
    ways
}

/// The folder of pregon's databases during the comparison; removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The comparison under way.
struct Comparison<'a> {
    options: &'a CompareOptions,
    scratch: &'a Path,
    servers: Vec<Server>,
    results: Results,
}

/// Measures every server in every cell, round by round. Fails if pregon itself cannot be measured; a peer that cannot
/// is left out and noted.
pub fn compare(options: &CompareOptions) -> Result<Results> {
    let cells = cells::chosen(&options.cells).map_err(anyhow::Error::msg)?;
    // Checked before the hours of measuring, not after.
    if let Some(file) = &options.write {
        tables::marks(file)?;
    }
    if options.compression {
        compression::switch_on();
    }
    let scratch = Scratch(std::env::temp_dir().join(format!("loadtest-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0).context("a scratch folder")?;
    let mut comparison = Comparison::new(options, &scratch.0)?;
    let servers: Vec<&str> = comparison.servers.iter().map(|server| server.contender.name.as_str()).collect();
    let has_bar = bars::BARS.iter().any(|bar| bar.can_be_judged(&cells, &servers));
    ensure!(!options.check || has_bar, "--check: these loads and servers meet no bar; try --cells all --peer epoll");
    comparison.prepare(&cells)?;
    'rounds: for round in 0..usize::from(options.pairs) {
        for group in cells.chunk_by(Cell::has_same_rooms) {
            comparison.measure_group(round, group)?;
            if interrupt::is_asked() {
                break 'rounds;
            }
        }
    }
    let mut results = comparison.results;
    if options.check {
        results.judge();
    }
    // Only a complete run replaces a table that others read.
    if let Some(file) = options.write.as_ref().filter(|_| !interrupt::is_asked()) {
        let about = About::now();
        let machine = format!("{}, {}", about.machine, about.kernel);
        tables::write_between_marks(file, &tables::markdown(&results, &about.command, &machine))?;
    }
    Ok(results)
}

impl<'a> Comparison<'a> {
    fn new(options: &'a CompareOptions, scratch: &'a Path) -> Result<Self> {
        let mut results = Results { pairs: options.pairs, seconds: options.seconds, ..Results::default() };
        let mut servers = Vec::new();
        if let Some(pregon) = &options.pregon {
            for way in ways(options) {
                servers.push(Server::pregon(pregon, way)?);
            }
        }
        let default: &[&str] = if options.pregon.is_some() { &["epoll"] } else { &["epoll", "epoll"] };
        let default: Vec<String> = default.iter().map(ToString::to_string).collect();
        for name in if options.peer.is_empty() { &default } else { &options.peer } {
            servers::check_name(name)?;
            match Server::peer(name, &options.peers_dir) {
                Ok(server) => servers.push(server),
                Err(error) if options.peer.len() > 1 => {
                    eprintln!("left out: {error:#}");
                    results.notes.push(format!("left out: {error:#}"));
                }
                Err(error) => return Err(error),
            }
        }
        name_apart(&mut servers);
        if servers.len() < 2 {
            bail!("nothing to compare: {}", results.notes.join("; "));
        }
        results.contenders = servers.iter().map(|server| server.contender.clone()).collect();
        Ok(Self { options, scratch, servers, results })
    }

    /// Seeds pregon's databases and finds a frame size that fits all servers of a cell.
    fn prepare(&mut self, cells: &[Cell]) -> Result<()> {
        for group in cells.chunk_by(Cell::has_same_rooms) {
            let mut targets = vec![Target::Plain];
            for server in self.servers.iter().filter(|server| server.contender.is_pregon) {
                let home = Home::of(server, &group[0], self.scratch);
                home.seed(server, &group[0])?;
                targets.push(Target::Pregon(home.fixture()?, server.protocol()));
            }
            for cell in group {
                let mut plan = cell.plan(self.options.bytes);
                for target in &targets {
                    plan.fit_bytes(target);
                }
                let samples = vec![Vec::new(); self.servers.len()];
                self.results.cells.push(CellResults { cell: *cell, bytes: plan.bytes, samples });
            }
        }
        Ok(())
    }

    /// One round of the cells that share their rooms. It uses fresh processes, so that a lucky or unlucky memory layout
    /// does not affect all rounds.
    fn measure_group(&mut self, round: usize, group: &[Cell]) -> Result<()> {
        let mut running: Vec<Option<Running>> = Vec::new();
        proc::pin(self.options.server_core)?;
        for server in 0..self.servers.len() {
            running.push(self.start(server, group)?);
        }
        proc::pin(self.options.load_core)?;
        for (turn, cell) in group.iter().enumerate() {
            eprintln!("round {}/{}: {}", round + 1, self.options.pairs, cell.name);
            // Rotated, because otherwise the same server would always meet the machine in the same state.
            let count = self.servers.len();
            for server in (0..count).map(|place| (place + round + turn) % count) {
                let is_wanted = self.servers[server].can(cell) && !interrupt::is_asked();
                let running = running[server].as_ref().filter(|_| is_wanted);
                let sample = match running {
                    Some(running) => self.sample(server, cell, running)?,
                    None => None,
                };
                let results = self.results.cells.iter_mut().find(|results| results.cell.name == cell.name);
                results.context("the cell")?.samples[server].push(sample);
            }
        }
        Ok(())
    }

    /// `None` for a peer that cannot take part.
    fn start(&mut self, server: usize, group: &[Cell]) -> Result<Option<Running>> {
        let server = &self.servers[server];
        if !group.iter().any(|cell| server.can(cell)) {
            return Ok(None);
        }
        let started = server.start(&group[0], self.scratch);
        let is_pregon = server.contender.is_pregon;
        let name = server.contender.name.clone();
        self.unless_pregon(is_pregon, &format!("{name} did not start"), started)
    }

    fn sample(&mut self, server: usize, cell: &Cell, running: &Running) -> Result<Option<Sample>> {
        let contender = &self.results.contenders[server];
        let is_pregon = contender.is_pregon;
        let what = format!("{} in {}", contender.name, cell.name);
        let bytes = self.results.cells.iter().find(|results| results.cell.name == cell.name);
        let bytes = bytes.map_or(self.options.bytes, |results| results.bytes);
        let measured = measure(&self.plan(cell, bytes)?, running);
        let Some((sample, violations)) = self.unless_pregon(is_pregon, &what, measured)? else {
            return Ok(None);
        };
        self.results.violations += violations;
        if violations > 0 {
            self.note(format!("{what}: {violations} violations; the figure is left out"));
        }
        Ok((violations == 0 && !interrupt::is_asked()).then_some(sample))
    }

    fn plan(&self, cell: &Cell, bytes: usize) -> Result<Plan> {
        let length = |name, seconds| Duration::try_from_secs_f64(seconds).with_context(|| format!("{name} {seconds}"));
        Ok(Plan {
            warmup: length("--warmup", self.options.warmup)?,
            seconds: length("--seconds", self.options.seconds.max(0.1))?,
            ..cell.plan(bytes)
        })
    }

    /// A failure of pregon ends the comparison; one of a peer is noted.
    fn unless_pregon<T>(&mut self, is_pregon: bool, what: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_pregon => Err(error.context(what.to_owned())),
            Err(error) => {
                self.note(format!("{what}: {error:#}"));
                Ok(None)
            }
        }
    }

    /// Notes each text once, even if a peer fails in every round.
    fn note(&mut self, note: String) {
        eprintln!("{note}");
        if !self.results.notes.contains(&note) {
            self.results.notes.push(note);
        }
    }
}

/// The figures and the violations.
fn measure(plan: &Plan, running: &Running) -> Result<(Sample, u64)> {
    let report = run_traffic(plan.clone(), &running.run)?;
    if report.verdict() == Verdict::Wrong {
        eprintln!("{report}");
    }
    let round = report.median.context("a measured round")?;
    let delivery = round.delivery.context("a delivery")?;
    let sample = Sample {
        server_us: round.server_us_per_delivery.context("the server's CPU time")?,
        load_cores: round.load_cores,
        deliveries_per_second: round.deliveries_per_second,
        p50_ms: delivery.p50,
        p99_ms: delivery.p99,
    };
    Ok((sample, report.violations.total()))
}

/// The same server twice: `epoll`, `epoll-2`.
fn name_apart(servers: &mut [Server]) {
    for at in 1..servers.len() {
        let (before, rest) = servers.split_at_mut(at);
        let contender = &mut rest[0].contender;
        let again = before.iter().filter(|server| server.contender.title == contender.title).count();
        if again > 0 {
            contender.name = format!("{}-{}", contender.name, again + 1);
        }
    }
}
