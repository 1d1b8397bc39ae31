//! `room`, `rooms` and `cluster`: fan-out in one room, in many at once, and between two addresses.

use anyhow::Result;

use super::nodes::{Nodes, SendersOn};
use super::traffic_report::TrafficReport;
use super::{Plan, Run, resolve, run_traffic};
use crate::options::{Crowd, TrafficOptions};
use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::proc::Named;
use crate::setup::Size;
use crate::target::Kind;

#[derive(clap::Args, Clone, Debug)]
pub struct RoomOptions {
    #[command(flatten)]
    pub traffic: TrafficOptions,
    /// Members of the room
    #[arg(long, default_value_t = 1000)]
    pub members: usize,
    /// Members that send
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Size of the frame that members receive, in bytes
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
}

#[derive(clap::Args, Clone, Debug)]
pub struct RoomsOptions {
    #[command(flatten)]
    pub traffic: TrafficOptions,
    #[arg(long, default_value_t = 1000)]
    pub rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Members of each room that send
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Size of the frame that members receive, in bytes
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
}

#[derive(clap::Args, Clone, Debug)]
pub struct ClusterOptions {
    #[command(flatten)]
    pub traffic: TrafficOptions,
    /// The address for members that do not send: another node, or another address of the same server. Several nodes:
    /// repeat it, or separate them by commas
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',')]
    pub receiver_url: Vec<String>,
    /// The nodes whose members send
    #[arg(long, value_enum, default_value = "first")]
    pub senders_on: SendersOn,
    /// Also report the CPU time of another process, such as the database; may be repeated
    #[arg(long, value_name = "NAME=PID")]
    pub beside: Vec<Named>,
    #[command(flatten)]
    pub crowd: Crowd,
    /// Members of each room that send
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Stored chat messages instead of ephemeral ones
    #[arg(long)]
    pub durable: bool,
    /// Size of the frame that members receive, in bytes; with --durable of the text in it
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
}

/// One message at a time; the next one when all have it.
const CLOSED: Pacing = Pacing::Each { window: 1, release: Release::All };
/// The rooms share a window, so that the server always has work.
const CLOSED_TOGETHER: Pacing = Pacing::Together { window: 64, release: Release::All };

pub fn room(options: &RoomOptions) -> Result<TrafficReport> {
    let plan = Plan {
        scenario: "room",
        kind: Kind::Ephemeral,
        layout: Layout { rooms: 1, members: options.members, senders: options.senders },
        pacing: options.traffic.pacing.pacing(options.members, CLOSED)?,
        bytes: options.bytes,
        ..Plan::default()
    };
    let size = Size::shared(1, options.members);
    run_traffic(plan.with_timing(options.traffic.timing)?, &Run::new(&options.traffic.common, size)?)
}

pub fn rooms(options: &RoomsOptions) -> Result<TrafficReport> {
    let plan = Plan {
        scenario: "rooms",
        kind: Kind::Ephemeral,
        layout: Layout { rooms: options.rooms, members: options.members, senders: options.senders },
        pacing: options.traffic.pacing.pacing(options.members, CLOSED_TOGETHER)?,
        bytes: options.bytes,
        ..Plan::default()
    };
    let size = Size::shared(options.rooms, options.members);
    run_traffic(plan.with_timing(options.traffic.timing)?, &Run::new(&options.traffic.common, size)?)
}

pub fn cluster(options: &ClusterOptions) -> Result<TrafficReport> {
    let nodes = Nodes {
        others: options.receiver_url.iter().map(|url| resolve(url)).collect::<Result<_>>()?,
        at_home: (options.senders_on == SendersOn::First).then_some(options.senders),
    };
    let pids = options.traffic.common.server_pid.iter().enumerate();
    let mut processes: Vec<_> = pids.map(|(at, pid)| Named { name: format!("node {}", at + 1), pid: *pid }).collect();
    processes.extend(options.beside.iter().cloned());
    let plan = Plan {
        scenario: "cluster",
        kind: if options.durable { Kind::Durable } else { Kind::Ephemeral },
        layout: Layout { rooms: options.crowd.rooms, members: options.crowd.members, senders: options.senders },
        pacing: options.traffic.pacing.pacing(options.crowd.members, CLOSED_TOGETHER)?,
        bytes: options.bytes,
        nodes,
        processes,
        ..Plan::default()
    };
    let size = Size::shared(options.crowd.rooms, options.crowd.members);
    let mut report = run_traffic(plan.with_timing(options.traffic.timing)?, &Run::new(&options.traffic.common, size)?)?;
    report.url = format!("{} (receivers on {})", report.url, options.receiver_url.join(", "));
    Ok(report)
}
