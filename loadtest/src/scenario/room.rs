//! `room` and `rooms`: ephemeral fan-out in one room, or in many at once.

use anyhow::Result;

use super::{Common, Plan, Run, Timing, run_traffic};
use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::report::TrafficReport;
use crate::target::Kind;

#[derive(clap::Args, Debug)]
pub struct RoomOptions {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub timing: Timing,
    /// Members of the room
    #[arg(long, default_value_t = 1000)]
    pub members: usize,
    /// Members that send
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Messages each sender has under way
    #[arg(long, default_value_t = 1)]
    pub window: u32,
    /// When the next message goes: the sender has its own copy, or everybody has theirs
    #[arg(long, value_enum, default_value = "all")]
    pub release_when: Release,
    /// Open loop instead of windows: messages a second, of all senders together
    #[arg(long, conflicts_with_all = ["window", "release_when"])]
    pub rate: Option<f64>,
    /// Payload of the frame that members receive
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
}

#[derive(clap::Args, Debug)]
pub struct RoomsOptions {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub timing: Timing,
    #[arg(long, default_value_t = 1000)]
    pub rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Members of each room that send
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Messages under way, of all senders together; they take turns
    #[arg(long, default_value_t = 64)]
    pub window: u32,
    /// Messages each sender has under way, instead
    #[arg(long, conflicts_with = "window")]
    pub window_each: Option<u32>,
    /// When the next message goes: the sender has its own copy, or everybody has theirs
    #[arg(long, value_enum, default_value = "all")]
    pub release_when: Release,
    /// Open loop instead of windows: messages a second, of all senders together
    #[arg(long, conflicts_with_all = ["window", "window_each", "release_when"])]
    pub rate: Option<f64>,
    /// Payload of the frame that members receive
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
}

pub fn room(options: &RoomOptions) -> Result<TrafficReport> {
    let release = options.release_when;
    let window = options.window;
    let plan = Plan {
        scenario: "room",
        kind: Kind::Ephemeral,
        layout: Layout { rooms: 1, members: options.members, senders: options.senders },
        pacing: match options.rate {
            Some(per_second) => Pacing::Rate { per_second },
            None => Pacing::Each { window, release },
        },
        bytes: options.bytes,
        ..Plan::default()
    };
    run_traffic(plan.with_timing(options.timing)?, &Run::new(&options.common)?)
}

pub fn rooms(options: &RoomsOptions) -> Result<TrafficReport> {
    let release = options.release_when;
    let plan = Plan {
        scenario: "rooms",
        kind: Kind::Ephemeral,
        layout: Layout { rooms: options.rooms, members: options.members, senders: options.senders },
        pacing: match (options.rate, options.window_each) {
            (Some(per_second), _) => Pacing::Rate { per_second },
            (None, Some(window)) => Pacing::Each { window, release },
            (None, None) => Pacing::Together { window: options.window, release },
        },
        bytes: options.bytes,
        ..Plan::default()
    };
    run_traffic(plan.with_timing(options.timing)?, &Run::new(&options.common)?)
}
