//! `chat`: durable messages in many rooms; what a sender gets back has been stored.

use anyhow::Result;

use super::{Common, Plan, Run, Timing, run_traffic};
use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::report::TrafficReport;
use crate::target::Kind;

#[derive(clap::Args, Debug)]
pub struct ChatOptions {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub timing: Timing,
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Members of each room that send
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Messages each sender has under way
    #[arg(long, default_value_t = 1)]
    pub window: u32,
    /// When the next message goes: the sender has its own copy, or everybody has theirs
    #[arg(long, value_enum, default_value = "sender")]
    pub release_when: Release,
    /// Open loop instead of windows: messages a second, of all senders together
    #[arg(long, conflicts_with_all = ["window", "release_when"])]
    pub rate: Option<f64>,
    /// Text of a message (the frame around it is larger)
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
}

pub fn chat(options: &ChatOptions) -> Result<TrafficReport> {
    let plan = Plan {
        scenario: "chat",
        kind: Kind::Durable,
        layout: Layout { rooms: options.rooms, members: options.members, senders: options.senders },
        pacing: match options.rate {
            Some(per_second) => Pacing::Rate { per_second },
            None => Pacing::Each { window: options.window, release: options.release_when },
        },
        bytes: options.bytes,
        ..Plan::default()
    };
    run_traffic(plan.with_timing(options.timing)?, &Run::new(&options.common)?)
}
