//! The load tester: drives a real-time server, checks every delivery, and says what each cost.
//!
//! `scenario` decides who sends when; `client` moves the bytes of all connections on one thread;
//! `target` and `delivery` know a server's messages; `oracle` judges; `report` tells.
#![allow(clippy::print_stdout, reason = "the report is this program's output; progress goes to stderr")]

mod client;
mod compare;
mod delivery;
mod fixture;
mod frames;
mod oracle;
mod pacing;
mod proc;
mod report;
mod scenario;
mod tag;
mod target;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use report::{Report, emit};
use scenario::{chat, idle, room};

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
    fn tell(report: &impl Report, json: Option<&std::path::Path>) -> Result<bool> {
        emit(report, json)?;
        Ok(report.clean())
    }
    match scenario {
        Scenario::Room(options) => tell(&room::room(options)?, options.common.json.as_deref()),
        Scenario::Rooms(options) => tell(&room::rooms(options)?, options.common.json.as_deref()),
        Scenario::Chat(options) => tell(&chat::chat(options)?, options.common.json.as_deref()),
        Scenario::Idle(options) => tell(&idle::idle(options)?, options.common.json.as_deref()),
        Scenario::Compare(options) => tell(&compare::compare(options)?, options.json.as_deref()),
    }
}
