//! The scenarios, and running one that sends messages.

pub mod abuse;
pub mod chat;
pub mod churn;
mod connect;
mod drive;
pub mod feed;
mod flight;
pub mod handshakes;
pub mod idle;
mod links;
pub mod mixed;
pub mod nodes;
pub mod reactions;
mod requests;
pub mod resume;
pub mod room;
mod run;
mod shares;
pub mod slow;
pub mod storm;
pub mod traffic;
pub mod traffic_report;
mod watch;

use anyhow::Result;

use crate::oracle::Layout;
use connect::Wanted;
use traffic_report::TrafficReport;

pub use links::{open_links, open_watched, progress};
pub use run::{CONNECTING_MAX, Plan, Run, resolve};

/// Connects everybody and runs the plan.
pub fn run_traffic(mut plan: Plan, run: &Run) -> Result<TrafficReport> {
    let Layout { rooms, members, .. } = plan.layout;
    run.target.check_size(rooms, members)?;
    let asked = plan.bytes;
    let raised = plan.fit_bytes(&run.target);
    let wanted = Wanted { nodes: plan.nodes.clone(), ..run.wanted(members, plan.layout.receivers()) };
    let (mut links, bar) = open_links(run, &wanted)?;
    let mut report = match plan.mix {
        Some(mix) => mixed::run(&plan, mix, run, &mut links, &bar)?,
        None => traffic::run(&plan, run, &mut links, &bar)?,
    };
    bar.finish_and_clear();
    links.close_all();
    if raised {
        let note =
            format!("{asked} bytes are less than the target's envelope and the tag need: {} were used", plan.bytes);
        report.notes.push(note);
    }
    Ok(report)
}
