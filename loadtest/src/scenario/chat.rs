//! `chat`: durable messages and related actions in many rooms. A message that comes back to its sender has been stored.

use anyhow::Result;

use super::shares::Mix;
use super::traffic_report::TrafficReport;
use super::{Plan, Run, run_traffic};
use crate::options::{Crowd, TrafficOptions};
use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::setup::Size;
use crate::target::{Kind, TargetKind};

#[derive(clap::Args, Clone, Debug)]
pub struct ChatOptions {
    #[command(flatten)]
    pub traffic: TrafficOptions,
    #[command(flatten)]
    pub crowd: Crowd,
    /// Members of each room that send
    #[arg(long, default_value_t = 1)]
    pub senders: usize,
    /// Size of a message's text in bytes (the frame around it is larger)
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Shares of all actions: messages, replies, typing, reads, reactions, edits, deletes
    /// [default: messages=20,replies=3,typing=40,reads=30,reactions=5,edits=1.5,deletes=0.5; a plain server:
    /// messages=100]
    #[arg(long)]
    pub mix: Option<Mix>,
}

/// Each sender waits for its own copy, which shows that the message is stored.
const CLOSED: Pacing = Pacing::Each { window: 1, release: Release::Sender };

pub fn chat(options: &ChatOptions) -> Result<TrafficReport> {
    let usual = match options.traffic.common.target {
        TargetKind::Pregon => Mix::default(),
        TargetKind::Plain => Mix::MESSAGES,
    };
    let mix = options.mix.unwrap_or(usual);
    let plan = Plan {
        scenario: "chat",
        kind: Kind::Durable,
        layout: Layout { rooms: options.crowd.rooms, members: options.crowd.members, senders: options.senders },
        pacing: options.traffic.pacing.pacing(options.crowd.members, CLOSED)?,
        bytes: options.bytes,
        mix: Some(mix).filter(|mix| !mix.is_messages_only()),
        ..Plan::default()
    };
    let size = Size::shared(options.crowd.rooms, options.crowd.members);
    run_traffic(plan.with_timing(options.traffic.timing)?, &Run::new(&options.traffic.common, size)?)
}
