//! `idle`: many admitted connections that do nothing; what they cost the server to make and to keep.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::{Run, open_links};
use crate::client::{Ending, Handler, Links};
use crate::frames::Frame;
use crate::options::Common;
use crate::proc;
use crate::report::Report;
use crate::setup::Size;

#[derive(clap::Args, Debug)]
pub struct IdleOptions {
    #[command(flatten)]
    pub common: Common,
    /// How many
    #[arg(long, default_value_t = 15_000)]
    pub connections: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// How long to hold them
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Wait after connecting, and after disconnecting, before memory is read (presence has a grace
    /// of some seconds)
    #[arg(long, default_value_t = 8.0)]
    pub settle: f64,
    /// At the end disconnect all and read the server's memory again
    #[arg(long)]
    pub disconnect: bool,
}

/// What idle connections cost.
#[derive(Default, Serialize)]
pub struct IdleReport {
    pub scenario: &'static str,
    pub url: String,
    pub connections: usize,
    pub members: usize,
    pub connect_seconds: f64,
    pub load_us_per_connection: f64,
    pub server_us_per_connection: Option<f64>,
    pub rss_kib_empty: Option<u64>,
    pub rss_kib_holding: Option<u64>,
    pub rss_kib_left: Option<u64>,
    /// Against the empty server.
    pub bytes_per_connection: Option<f64>,
    /// Against the server that had them and lost them again.
    pub bytes_per_connection_returned: Option<f64>,
    pub idle_server_cores: Option<f64>,
    /// Frames that came while nothing should happen.
    pub idle_frames: u64,
    pub disconnected: u64,
    pub disconnected_why: Option<String>,
}

impl IdleReport {
    pub fn with_differences(mut self) -> Self {
        let connections = self.connections as f64;
        let each = |more: Option<u64>, less: Option<u64>| {
            let (more, less) = more.zip(less)?;
            Some((more as f64 - less as f64) * 1024.0 / connections)
        };
        self.bytes_per_connection = each(self.rss_kib_holding, self.rss_kib_empty);
        self.bytes_per_connection_returned = each(self.rss_kib_holding, self.rss_kib_left);
        self
    }
}

/// Counts what idle connections are sent.
#[derive(Default)]
struct Idlers {
    frames: u64,
    lost: u64,
    why: Option<String>,
}

impl Handler for Idlers {
    fn frame(&mut self, _link: usize, _frame: Frame<'_>, _now: u64) {
        self.frames += 1;
    }

    fn closed(&mut self, _link: usize, ending: &Ending) {
        self.lost += 1;
        self.why.get_or_insert_with(|| ending.to_string());
    }
}

pub fn idle(options: &IdleOptions) -> Result<IdleReport> {
    let rooms = options.connections.div_ceil(options.members);
    let run = Run::new(&options.common, Size { rooms, members: options.members })?;
    run.target.check_size(rooms, options.members)?;
    let rss = |run: &Run| run.server.map(|server| server.rss_kib()).transpose();
    let cpu = |run: &Run| run.server.map(|server| server.cpu_us()).transpose();
    let mut report = IdleReport {
        scenario: "idle",
        url: run.url.clone(),
        connections: options.connections,
        members: options.members,
        rss_kib_empty: rss(&run)?,
        ..IdleReport::default()
    };
    let cpu_empty = cpu(&run)?;
    let own_empty = proc::own_cpu_ns();
    let start = std::time::Instant::now();
    let (mut links, bar) = open_links(&run, &run.wanted(options.members, options.connections))?;
    report.connect_seconds = start.elapsed().as_secs_f64();
    report.load_us_per_connection = (proc::own_cpu_ns() - own_empty) as f64 / 1e3 / options.connections as f64;
    let mut idlers = Idlers::default();
    bar.set_prefix("settling");
    hold(&mut links, options.settle, &mut idlers)?;
    let cpu_settled = cpu(&run)?;
    report.server_us_per_connection =
        cpu_empty.zip(cpu_settled).map(|(before, after)| (after - before) as f64 / options.connections as f64);
    idlers.frames = 0;
    bar.set_prefix("holding");
    hold(&mut links, options.seconds, &mut idlers)?;
    report.idle_frames = idlers.frames;
    report.idle_server_cores =
        cpu_settled.zip(cpu(&run)?).map(|(before, after)| (after - before) as f64 / 1e6 / options.seconds);
    report.rss_kib_holding = rss(&run)?;
    report.disconnected = idlers.lost;
    report.disconnected_why = idlers.why;
    if options.disconnect {
        bar.set_prefix("disconnecting");
        links.close_all();
        std::thread::sleep(Duration::from_secs_f64(options.settle));
        report.rss_kib_left = rss(&run)?;
    }
    bar.finish_and_clear();
    Ok(report.with_differences())
}

fn hold(links: &mut Links, seconds: f64, idlers: &mut Idlers) -> Result<()> {
    let until = links.now() + (seconds * 1e9) as u64;
    while links.now() < until {
        let left = Duration::from_nanos(until.saturating_sub(links.now()));
        links.turn(left.min(Duration::from_millis(200)), idlers)?;
    }
    Ok(())
}

impl Report for IdleReport {
    fn clean(&self) -> bool {
        self.disconnected == 0
    }
}

impl Display for IdleReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "idle on {}: {} connections in rooms of {}", self.url, self.connections, self.members)?;
        writeln!(
            out,
            "connected in {:.2} s; load {:.1} µs of CPU each",
            self.connect_seconds, self.load_us_per_connection
        )?;
        let mut line = |what: &str, value: Option<f64>| match value {
            Some(value) => writeln!(out, "{what:58}{value:>12.1}"),
            None => Ok(()),
        };
        let kib = |value: Option<u64>| value.map(|value| value as f64);
        line("server CPU per connection made, µs", self.server_us_per_connection)?;
        line("server memory empty, KiB", kib(self.rss_kib_empty))?;
        line("server memory holding them, KiB", kib(self.rss_kib_holding))?;
        line("server memory after they left, KiB", kib(self.rss_kib_left))?;
        line("bytes per connection, against empty", self.bytes_per_connection)?;
        line("bytes per connection, against after they left", self.bytes_per_connection_returned)?;
        line("server CPU while idle, % of a core", self.idle_server_cores.map(|cores| cores * 100.0))?;
        writeln!(out, "frames received while idle: {}", self.idle_frames)?;
        match &self.disconnected_why {
            None => writeln!(out, "all stayed connected"),
            Some(why) => writeln!(out, "VIOLATION: {} were disconnected: {why}", self.disconnected),
        }
    }
}
