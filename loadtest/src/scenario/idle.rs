//! `idle`: many admitted connections that do nothing, and their cost to the server.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::ArgAction;
use serde::Serialize;

use super::connect::Wanted;
use super::watch::{self, Look, Watch};
use super::{Run, open_watched, progress};
use crate::client::{Ending, Handler, Links};
use crate::frames::Frame;
use crate::interrupt;
use crate::options::Common;
use crate::plot::Plot;
use crate::proc;
use crate::report::{Report, Verdict, counted};
use crate::setup::Size;
use crate::target::Target;
use crate::v1::{self, Protocol};

/// The longest time between two looks at the clock.
const LOOK: Duration = Duration::from_millis(100);
/// A shorter hold says nothing about the cost of holding.
const HELD_SECONDS_MIN: f64 = 0.05;

#[derive(clap::Args, Debug)]
pub struct IdleOptions {
    #[command(flatten)]
    pub common: Common,
    /// Number of connections
    #[arg(long, default_value_t = 15_000)]
    pub connections: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Each connection belongs to a different user; `false`: rooms share users, as far as the fixture's rooms do
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub distinct_users: bool,
    /// Topics of each connection, with --protocol v1: its room, and further rooms of its user
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub topics: u16,
    /// Seconds to hold them
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds to wait after connecting, and after disconnecting, before memory is read (presence has a grace of some
    /// seconds)
    #[arg(long, default_value_t = 8.0)]
    pub settle: f64,
    /// Disconnect all at the end, and read the server's memory again
    #[arg(long)]
    pub disconnect: bool,
}

/// The cost of idle connections.
#[derive(Default, Serialize)]
pub struct IdleReport {
    pub scenario: &'static str,
    pub url: String,
    pub connections: usize,
    pub members: usize,
    /// `None` if the server has no users.
    pub distinct_users: Option<bool>,
    /// Topics of each connection; always 1 without `pregon.v1`.
    pub topics: u16,
    pub connect_seconds: f64,
    pub load_us_per_connection: f64,
    pub server_us_per_connection: Option<f64>,
    pub rss_kib_empty: Option<u64>,
    pub rss_kib_holding: Option<u64>,
    pub rss_kib_left: Option<u64>,
    /// Compared with the empty server.
    pub bytes_per_connection: Option<f64>,
    /// Compared with the server after it lost them again.
    pub bytes_per_connection_returned: Option<f64>,
    pub idle_server_cores: Option<f64>,
    /// Frames that arrived although nothing should have happened; `None` if they were not held.
    pub idle_frames: Option<u64>,
    pub disconnected: u64,
    pub disconnected_why: Option<String>,
    pub notes: Vec<String>,
    pub series: Vec<Look>,
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

/// Counts the frames that idle connections receive.
#[derive(Default)]
struct Idlers {
    total: usize,
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
    let size = Size { rooms, members: options.members, is_distinct: options.distinct_users };
    let run = Run::new(&options.common, size)?;
    run.target.check_size(rooms, options.members)?;
    let rss = || run.server.map(|server| server.rss_kib()).transpose();
    let cpu = || run.server.map(|server| server.cpu_us()).transpose();
    let mut report = IdleReport {
        scenario: "idle",
        url: run.label(),
        topics: options.topics,
        connections: options.connections,
        members: options.members,
        distinct_users: matches!(run.target, Target::Pregon(..)).then_some(options.distinct_users),
        rss_kib_empty: rss()?,
        ..IdleReport::default()
    };
    let cpu_empty = cpu()?;
    let own_empty = proc::own_cpu_ns();
    let mut links = Links::new()?;
    let bar = progress()?;
    let began = links.now();
    let mut watch = Watch::new(run.server, began);
    let further = further(options, &run.target)?;
    let wanted = Wanted { further, ..run.wanted(options.members, options.connections) };
    open_watched(&run, &wanted, &mut links, &bar, &mut |now, count| watch.look(now, count))?;
    report.connect_seconds = (links.now() - began) as f64 / 1e9;
    report.load_us_per_connection = (proc::own_cpu_ns() - own_empty) as f64 / 1e3 / options.connections as f64;
    let mut idlers = Idlers { total: options.connections, ..Idlers::default() };
    bar.set_prefix("settling");
    hold(&mut links, options.settle, &mut idlers, &mut watch)?;
    let cpu_settled = cpu()?;
    report.server_us_per_connection =
        cpu_empty.zip(cpu_settled).map(|(before, after)| (after - before) as f64 / options.connections as f64);
    idlers.frames = 0;
    bar.set_prefix("holding");
    watch.is_held = true;
    let seconds = hold(&mut links, options.seconds, &mut idlers, &mut watch)?;
    watch.is_held = false;
    if seconds >= HELD_SECONDS_MIN {
        report.idle_frames = Some(idlers.frames);
        report.idle_server_cores =
            cpu_settled.zip(cpu()?).map(|(before, after)| (after - before) as f64 / 1e6 / seconds);
        report.rss_kib_holding = rss()?;
    } else {
        report.notes.push("they were not held, so their cost is not known".to_owned());
    }
    report.disconnected = idlers.lost;
    report.disconnected_why = idlers.why.take();
    if options.disconnect && !interrupt::is_asked() {
        bar.set_prefix("disconnecting");
        links.close_all();
        idlers.total = 0;
        hold(&mut links, options.settle, &mut idlers, &mut watch)?;
        report.rss_kib_left = rss()?;
    }
    bar.finish_and_clear();
    report.series = watch.looks;
    Ok(report.with_differences())
}

/// The topics of each connection beside its room: rooms of its user.
fn further(options: &IdleOptions, target: &Target) -> Result<Vec<Vec<String>>> {
    let count = usize::from(options.topics) - 1;
    if count == 0 {
        return Ok(Vec::new());
    }
    let Target::Pregon(fixture, Protocol::V1) = target else {
        bail!("--topics {}: only with --protocol v1 has a connection more than one topic", options.topics);
    };
    let mut rooms: Vec<Vec<usize>> = vec![Vec::new(); fixture.users.len()];
    for (room, found) in fixture.rooms.iter().enumerate() {
        found.members.iter().for_each(|member| rooms[*member].push(room));
    }
    let of = |link: usize| {
        let room = link / options.members;
        let user = fixture.rooms[room].members[link % options.members];
        let others = rooms[user].iter().filter(|other| **other != room);
        let topics: Vec<String> = others.take(count).map(|other| v1::room(&fixture.rooms[*other].id)).collect();
        ensure!(
            topics.len() == count,
            "--topics {}: a user of the fixture is in {} rooms; make one with more rooms than users need",
            options.topics,
            rooms[user].len()
        );
        Ok(topics)
    };
    (0..options.connections).map(of).collect()
}

/// Waits this long, or until the run is cut off. Returns how long it was.
fn hold(links: &mut Links, seconds: f64, idlers: &mut Idlers, watch: &mut Watch) -> Result<f64> {
    let began = links.now();
    let until = began + (seconds.max(0.0) * 1e9) as u64;
    while links.now() < until && !interrupt::is_asked() {
        let left = Duration::from_nanos(until.saturating_sub(links.now()));
        links.turn(left.min(LOOK), idlers)?;
        watch.look(links.now(), idlers.total.saturating_sub(idlers.lost as usize))?;
    }
    Ok((links.now() - began) as f64 / 1e9)
}

impl Report for IdleReport {
    fn verdict(&self) -> Verdict {
        let held = if self.idle_frames.is_some() { self.connections as u64 } else { 0 };
        Verdict::of(self.disconnected > 0, held)
    }

    fn answer(&self) -> String {
        let all = counted(self.connections, "connection");
        match (self.bytes_per_connection, self.idle_server_cores) {
            _ if self.disconnected > 0 => format!("{} of {all} were disconnected.", self.disconnected),
            (Some(bytes), Some(cores)) => format!(
                "{all} cost the server {:.1} KiB each, and {:.2} % of a core while they do nothing.",
                bytes / 1024.0,
                cores * 100.0
            ),
            _ => format!("{all} stayed connected (what they cost is seen with --server-pid)."),
        }
    }

    fn plots(&self) -> Vec<Plot> {
        watch::plots(&self.series)
    }
}

impl Display for IdleReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let users = match self.distinct_users {
            Some(true) => ", each of a user of its own",
            Some(false) => ", of users who may have several",
            None => "",
        };
        let all = counted(self.connections, "connection");
        let room = self.members;
        let topics = if self.topics > 1 { format!(", {} topics each", self.topics) } else { String::new() };
        writeln!(out, "idle on {}: {all} in rooms of {room}{users}{topics}", self.url)?;
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
        if let Some(frames) = self.idle_frames {
            writeln!(out, "frames received while idle: {frames}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
        match &self.disconnected_why {
            None => writeln!(out, "all stayed connected"),
            Some(why) => writeln!(out, "VIOLATION: {} were disconnected: {why}", self.disconnected),
        }
    }
}
