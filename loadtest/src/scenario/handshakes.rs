//! `handshakes`: what a TLS handshake costs the server, full and resumed, beside a connection without TLS.

use std::fmt::{Display, Formatter};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{connect, progress, resolve};
use crate::client::{Ending, Handler, Links};
use crate::frames::Frame;
use crate::http::Answer;
use crate::interrupt;
use crate::latency::{Latency, median};
use crate::meter::{Ns, histogram};
use crate::options::Common;
use crate::proc::{self, Watched};
use crate::report::{Report, Verdict};
use crate::tls;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(clap::Args, Clone, Debug)]
pub struct HandshakesOptions {
    #[command(flatten)]
    pub common: Common,
    /// Clients that connect in each round, full and resumed
    #[arg(long, default_value_t = 10_000)]
    pub clients: usize,
    /// Connections at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub at_once: u16,
    /// Rounds; the kinds take turns within each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// A server without TLS, for comparison: ws://host:port
    #[arg(long, value_name = "URL", requires = "plain_pid")]
    pub plain_url: Option<String>,
    /// Its process id
    #[arg(long, value_name = "PID", requires = "plain_url")]
    pub plain_pid: Option<u32>,
}

/// How a client comes in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Plain,
    Full,
    Resumed,
}

/// The clients of one kind in one round.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub kind: Kind,
    pub round: usize,
    pub seconds: f64,
    /// CPU of the server for each client: connection, handshake, one request, end.
    pub server_us: Option<f64>,
    pub load_us: f64,
    /// From the connect to the answer.
    pub latency: Option<Latency>,
    /// Handshakes of this kind that were of the other.
    pub others: u64,
}

#[derive(Serialize)]
pub struct HandshakesReport {
    pub scenario: &'static str,
    pub url: String,
    pub clients: usize,
    pub at_once: u16,
    pub costs: Vec<Cost>,
}

/// Clients that ask once and go.
struct Visitors {
    begun: Vec<u64>,
    done: Vec<usize>,
    latency: Ns,
    failure: Option<String>,
}

impl Handler for Visitors {
    fn frame(&mut self, _link: usize, _frame: Frame<'_>, _now: u64) {}

    fn answer(&mut self, link: usize, answer: Answer<'_>, now: u64) {
        if answer.status != 200 {
            self.failure.get_or_insert(format!("/healthz was answered with {}", answer.status));
        }
        self.latency.saturating_record(now.saturating_sub(self.begun[link]).max(1));
        self.done.push(link);
    }

    fn closed(&mut self, _link: usize, ending: &Ending) {
        self.failure.get_or_insert_with(|| ending.to_string());
    }
}

pub fn handshakes(options: &HandshakesOptions) -> Result<HandshakesReport> {
    let common = &options.common;
    ensure!(common.url.starts_with("wss://"), "handshakes: --url must be a wss:// server");
    let encrypted = resolve(&common.url)?;
    let watch = |pids: &[u32]| (!pids.is_empty()).then(|| Watched::new(pids)).transpose();
    let server = watch(&common.server_pid)?;
    let plain = options.plain_url.as_deref().map(resolve).transpose()?;
    let plain_server = watch(options.plain_pid.as_slice())?;
    if let Some(core) = common.core {
        proc::pin(core)?;
    }
    let bar = progress()?;
    let mut costs = Vec::new();
    'rounds: for round in 1..=usize::from(options.rounds) {
        for kind in [Kind::Plain, Kind::Full, Kind::Resumed] {
            let (address, watched) = match (kind, plain) {
                (Kind::Plain, None) => continue,
                (Kind::Plain, Some(plain)) => (plain, plain_server.as_ref()),
                _ => (encrypted, server.as_ref()),
            };
            if interrupt::is_asked() {
                break 'rounds;
            }
            // The tickets of the full ones are used by the resumed ones.
            tls::shake_in_full(encrypted, kind == Kind::Full);
            bar.set_prefix(format!("round {round}, {kind:?}"));
            costs.push(visit(options, (kind, round), address, watched, &bar)?);
        }
    }
    bar.finish_and_clear();
    let (clients, at_once) = (options.clients, options.at_once);
    Ok(HandshakesReport { scenario: "handshakes", url: common.url.clone(), clients, at_once, costs })
}

/// All clients of one kind, so many at a time.
fn visit(
    options: &HandshakesOptions,
    (kind, round): (Kind, usize),
    address: SocketAddr,
    server: Option<&Watched>,
    bar: &ProgressBar,
) -> Result<Cost> {
    let (mut links, at_once) = (Links::new()?, usize::from(options.at_once));
    let mut visitors = Visitors { begun: vec![0; at_once], done: Vec::new(), latency: histogram()?, failure: None };
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let cpu = || server.map(Watched::cpu_us).transpose();
    let (before, cpu_before, own_before) = (tls::handshakes(), cpu()?, proc::own_thread());
    let began = links.now();
    bar.set_length(options.clients as u64);
    let (mut begun, mut done, mut heard_at) = (0, 0, began);
    while done < options.clients {
        interrupt::check("shaking hands")?;
        for link in 0..at_once {
            let is_free = begun < at_once && link == begun || visitors.done.contains(&link);
            if !is_free || begun >= options.clients {
                continue;
            }
            visitors.done.retain(|done| *done != link);
            let source = connect::source(address, begun);
            if begun < at_once {
                links.open_http(address, source)?;
            } else {
                links.reopen_http(link, address, source)?;
            }
            visitors.begun[link] = links.now();
            links.send(link, request.as_bytes());
            begun += 1;
        }
        let known = visitors.done.len();
        links.turn(Duration::from_millis(100), &mut visitors)?;
        if let Some(failure) = &visitors.failure {
            bail!("{failure} (after {done} of {} {kind:?})", options.clients);
        }
        for link in &visitors.done[known..] {
            links.close_http(*link);
        }
        let came = visitors.done.len() - known;
        done += came;
        bar.inc(came as u64);
        if came > 0 {
            heard_at = links.now();
        }
        ensure!(links.now() - heard_at < PATIENCE.as_nanos() as u64, "nobody was answered for 20 s");
    }
    // The server's part of the last connections' end.
    let until = links.now() + 300_000_000;
    while links.now() < until {
        links.turn(Duration::from_millis(50), &mut visitors)?;
    }
    let clients = options.clients as f64;
    let used = cpu_before.zip(cpu()?).map(|(before, after)| (after - before) as f64 / clients);
    let [full, resumed] = tls::handshakes();
    let others = match kind {
        Kind::Plain => full - before[0] + resumed - before[1],
        Kind::Full => resumed - before[1],
        Kind::Resumed => full - before[0],
    };
    Ok(Cost {
        kind,
        round,
        seconds: (heard_at - began) as f64 / 1e9,
        server_us: used,
        load_us: (proc::own_thread().cpu_ns - own_before.cpu_ns) as f64 / 1e3 / clients,
        latency: Latency::of(&visitors.latency),
        others,
    })
}

impl HandshakesReport {
    fn median(&self, kind: Kind) -> Option<f64> {
        median(self.costs.iter().filter(|cost| cost.kind == kind).filter_map(|cost| cost.server_us).collect())
    }
}

impl Report for HandshakesReport {
    fn verdict(&self) -> Verdict {
        // A ticket or two may be missing at the end of a round, and no more.
        let is_wrong = self.costs.iter().any(|cost| cost.others * 100 > self.clients as u64);
        Verdict::of(is_wrong, self.costs.len() as u64)
    }

    fn answer(&self) -> String {
        match (self.median(Kind::Full), self.median(Kind::Resumed), self.median(Kind::Plain)) {
            (Some(full), Some(resumed), Some(plain)) => format!(
                "A client costs the server {plain:.0} µs without TLS, {:.0} more with a full handshake and {:.0} more with a resumed one.",
                full - plain,
                resumed - plain
            ),
            (Some(full), Some(resumed), None) => {
                format!(
                    "A client costs the server {full:.0} µs with a full handshake and {resumed:.0} with a resumed one."
                )
            }
            _ => "What handshakes cost is seen with --server-pid.".to_owned(),
        }
    }
}

impl Display for HandshakesReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { url, clients, at_once, .. } = self;
        writeln!(
            out,
            "handshakes with {url}: {clients} clients of each kind in each round, {at_once} at a time; each asks for /healthz and goes"
        )?;
        writeln!(
            out,
            "round kind     seconds  server µs  load µs  ms from connect to answer: p50      p90      p99      max"
        )?;
        for Cost { kind, round, seconds, server_us, load_us, latency, others } in &self.costs {
            let kind = format!("{kind:?}").to_lowercase();
            let server_us = server_us.map_or("-".to_owned(), |us| format!("{us:.1}"));
            let latency = Latency::columns(latency.as_ref());
            writeln!(
                out,
                "{round:5} {kind:8} {seconds:7.2} {server_us:>10} {load_us:>8.1}                          {latency}"
            )?;
            if *others > 0 {
                writeln!(out, "      {others} of them were of the other kind")?;
            }
        }
        Ok(())
    }
}
