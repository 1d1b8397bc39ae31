//! The load tester: drives a real-time server, checks every delivery, and says what each cost.
//!
//! `scenario` decides who sends when; `client` moves the bytes of all connections on one thread;
//! `target` and `delivery` know a server's messages; `oracle` judges; `report` tells.
#![allow(clippy::print_stdout, reason = "the report is this program's output; progress goes to stderr")]

mod api;
mod client;
mod compare;
mod delivery;
mod find_max;
mod fixture;
mod frames;
mod html;
mod http;
mod latency;
mod meter;
mod options;
mod oracle;
mod output;
mod pacing;
mod plot;
mod proc;
mod report;
mod round;
mod scenario;
mod setup;
mod tag;
mod target;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use options::Common;
use output::{emit, emit_html};
use report::Report;
use scenario::{chat, churn, feed, idle, reactions, room, slow, storm};

/// Drives a real-time server, checks every delivery, and says what each cost.
///
/// Ends with 0 when every delivery was right, 1 when one was not, 2 when the run could not be made.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Ephemeral fan-out: one room, many members
    Room(room::RoomOptions),
    /// Ephemeral fan-out: many rooms at once
    Rooms(room::RoomsOptions),
    /// Durable chat messages in many rooms
    Chat(chat::ChatOptions),
    /// Posts of one author to the feeds of all followers
    Feed(feed::FeedOptions),
    /// Many react to one post that many watch
    Reactions(reactions::ReactionsOptions),
    /// Fan-out from senders on one address to receivers on another
    Cluster(room::ClusterOptions),
    /// Clients come and leave at a rate
    Churn(churn::ChurnOptions),
    /// All connections drop at once and come back
    Storm(storm::StormOptions),
    /// Some readers stall
    Slow(slow::SlowOptions),
    /// Raises the rate of a scenario until an objective breaks
    FindMax(find_max::FindMaxOptions),
    /// Many connections that do nothing
    Idle(idle::IdleOptions),
    /// Servers in turns, the same load on all: pregon, the bare loops, others
    Compare(compare::CompareOptions),
}

fn main() -> ExitCode {
    match run(&Arguments::parse().scenario) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything arrived as it should.
fn run(scenario: &Scenario) -> Result<bool> {
    fn tell(report: &impl Report, common: &Common) -> Result<bool> {
        emit_html(report, common.html.as_deref())?;
        emit(report, common.json.as_deref())?;
        Ok(report.clean())
    }
    match scenario {
        Scenario::Room(options) => tell(&room::room(options)?, &options.common),
        Scenario::Rooms(options) => tell(&room::rooms(options)?, &options.common),
        Scenario::Chat(options) => tell(&chat::chat(options)?, &options.common),
        Scenario::Feed(options) => tell(&feed::feed(options)?, &options.common),
        Scenario::Reactions(options) => tell(&reactions::reactions(options)?, &options.common),
        Scenario::Cluster(options) => tell(&room::cluster(options)?, &options.common),
        Scenario::Churn(options) => tell(&churn::churn(options)?, &options.common),
        Scenario::Storm(options) => tell(&storm::storm(options)?, &options.common),
        Scenario::Slow(options) => tell(&slow::slow(options)?, &options.common),
        Scenario::FindMax(options) => tell(&find_max::find_max(options)?, options.scenario.common()),
        Scenario::Idle(options) => tell(&idle::idle(options)?, &options.common),
        Scenario::Compare(options) => {
            let report = compare::compare(options)?;
            emit(&report, options.json.as_deref())?;
            Ok(report.clean())
        }
    }
}
