//! `chat`: durable messages in many rooms and what goes with them; what a sender gets back has been stored.

use anyhow::Result;

use super::mixed::Mix;
use super::traffic_report::TrafficReport;
use super::{Plan, Run, run_traffic};
use crate::options::{Common, Timing};
use crate::oracle::Layout;
use crate::pacing::{Pacing, PacingOptions, Release};
use crate::setup::Size;
use crate::target::{Kind, TargetKind};

#[derive(clap::Args, Clone, Debug)]
pub struct ChatOptions {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub timing: Timing,
    #[command(flatten)]
    pub pacing: PacingOptions,
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Members of each room that send
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Text of a message (the frame around it is larger)
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Shares of all actions: messages, replies, typing, reads, reactions, edits, deletes
    /// [default: messages=20,replies=3,typing=40,reads=30,reactions=5,edits=1.5,deletes=0.5; a plain server:
    /// messages=100]
    #[arg(long)]
    pub mix: Option<Mix>,
}

/// Each sender waits for its own copy, which says that the message is stored.
const CLOSED: Pacing = Pacing::Each { window: 1, release: Release::Sender };

pub fn chat(options: &ChatOptions) -> Result<TrafficReport> {
    let usual = match options.common.target {
        TargetKind::Pregon => Mix::default(),
        TargetKind::Plain => Mix::MESSAGES,
    };
    let mix = options.mix.unwrap_or(usual);
    let plan = Plan {
        scenario: "chat",
        kind: Kind::Durable,
        layout: Layout { rooms: options.rooms, members: options.members, senders: options.senders },
        pacing: options.pacing.pacing(options.members, CLOSED)?,
        bytes: options.bytes,
        mix: Some(mix).filter(|mix| !mix.is_messages_only()),
        ..Plan::default()
    };
    let size = Size { rooms: options.rooms, members: options.members };
    run_traffic(plan.with_timing(options.timing)?, &Run::new(&options.common, size)?)
}
