//! The load tester: drives a real-time server, checks every delivery, and reports what each one cost.
//!
//! `scenario` decides who sends when; `client` moves the bytes of all connections on one thread; `target` and
//! `delivery` know a server's messages; `oracle` judges; `report` presents.
#![allow(clippy::print_stdout, reason = "the report is this program's output; progress goes to stderr")]

mod about;
mod api;
mod client;
mod compare;
mod compression;
mod conformance;
mod delivery;
mod digest;
mod find_max;
mod fixture;
mod frames;
mod html;
mod http;
mod interrupt;
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
mod tls;
mod v1;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use about::About;
use options::Common;
use output::Output;
use report::{Report, Verdict};
use scenario::{abuse, chat, churn, feed, handshakes, idle, reactions, resume, room, slow, storm};

/// Drives a real-time server, checks every delivery, and reports what each one cost.
///
/// Exits with 0 if every delivery was right, 1 if one was not, 2 if the run could not be made or measured nothing, 3 if
/// it was cut off (Ctrl-C, SIGTERM): then the report covers what was measured until then.
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
    /// Reactions of many users to one post that many watch
    Reactions(reactions::ReactionsOptions),
    /// Fan-out from senders on one address to receivers on another
    Cluster(room::ClusterOptions),
    /// Clients arrive and leave at a rate
    Churn(churn::ChurnOptions),
    /// All connections drop at once and reconnect
    Storm(storm::StormOptions),
    /// A node is lost, and its clients come back to others with their cursors (`pregon.v1`)
    Resume(resume::ResumeOptions),
    /// Some readers stall
    Slow(slow::SlowOptions),
    /// Attackers of four kinds beside members who behave
    Abuse(abuse::AbuseOptions),
    /// Raises the rate of a scenario until an objective breaks
    FindMax(find_max::FindMaxOptions),
    /// Many connections that do nothing
    Idle(idle::IdleOptions),
    /// TLS handshakes, full and with tickets: CPU of the server for each
    Handshakes(handshakes::HandshakesOptions),
    /// A client of another library checks all that the protocol offers, frame by frame against its schema
    Conformance(conformance::ConformanceOptions),
    /// Servers in turns under the same load: pregon, the bare loops, others
    Compare(compare::CompareOptions),
}

fn main() -> ExitCode {
    match interrupt::listen().and_then(|()| run(&Arguments::parse().scenario)) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            if interrupt::is_asked() { interrupt::EXIT_CUT_OFF.into() } else { ExitCode::from(2) }
        }
    }
}

fn run(scenario: &Scenario) -> Result<u8> {
    match scenario {
        Scenario::Room(options) => told(&options.traffic.common, || room::room(options)),
        Scenario::Rooms(options) => told(&options.traffic.common, || room::rooms(options)),
        Scenario::Chat(options) => told(&options.traffic.common, || chat::chat(options)),
        Scenario::Feed(options) => told(&options.traffic.common, || feed::feed(options)),
        Scenario::Reactions(options) => told(&options.common, || reactions::reactions(options)),
        Scenario::Cluster(options) => told(&options.traffic.common, || room::cluster(options)),
        Scenario::Churn(options) => told(&options.common, || churn::churn(options)),
        Scenario::Storm(options) => told(&options.common, || storm::storm(options)),
        Scenario::Resume(options) => told(&options.common(), || resume::resume(options)),
        Scenario::Slow(options) => told(&options.traffic.common, || slow::slow(options)),
        Scenario::Abuse(options) => told(&options.traffic.common, || abuse::abuse(options)),
        Scenario::FindMax(options) => told(options.scenario.common(), || find_max::find_max(options)),
        Scenario::Idle(options) => told(&options.common, || idle::idle(options)),
        Scenario::Handshakes(options) => told(&options.common, || handshakes::handshakes(options)),
        Scenario::Conformance(options) => told(&options.common, || conformance::conformance(options)),
        Scenario::Compare(options) => {
            let output = Output::open(options.json.as_deref(), None)?;
            let about = About::now();
            finish(output, &compare::compare(options)?, &about)
        }
    }
}

/// Makes a report and prints it. Its files are opened first.
fn told<R: Report>(common: &Common, make: impl FnOnce() -> Result<R>) -> Result<u8> {
    let output = Output::open(common.json.as_deref(), common.html.as_deref())?;
    let about = About::now();
    tls::take(&common.tls);
    if common.compression {
        compression::switch_on();
    }
    let report = make()?;
    finish(output, &report, &about.with_server(common))
}

/// The exit code for the report.
fn finish(output: Output, report: &impl Report, about: &About) -> Result<u8> {
    let is_cut_off = interrupt::is_asked();
    output.tell(report, about, is_cut_off)?;
    Ok(match report.verdict() {
        Verdict::Wrong => 1,
        _ if is_cut_off => interrupt::EXIT_CUT_OFF,
        Verdict::Nothing => 2,
        Verdict::Right => 0,
    })
}
