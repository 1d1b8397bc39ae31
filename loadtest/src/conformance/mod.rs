//! `conformance`: a client on tokio-tungstenite goes through all that `pregon.v1` and the older sockets offer, and holds what
//! comes against the protocol's JSON Schema.

mod check;
mod client;
mod entering;
mod events;
mod expect;
mod older;
mod replay;
mod requests;
mod rooms;
mod schema;
mod socket;
mod topics;
mod wire;
mod world;

use std::fmt::{Display, Formatter};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use crate::interrupt;
use crate::options::Common;
use crate::report::{Report, Verdict};
use check::Check;
use world::World;

/// A check that needs longer has failed.
const CHECK_WITHIN: Duration = Duration::from_secs(90);

#[derive(clap::Args, Clone, Debug)]
pub struct ConformanceOptions {
    #[command(flatten)]
    pub common: Common,
    /// The JSON Schema of all frames [default: that of this repository, docs/protocol/pregon.v1.schema.json]
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Only the checks whose name has this in it; several, separated by commas
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    pub only: Vec<String>,
}

/// The checks in the order in which they are done.
const ALL: [(&str, &[Check]); 7] = [
    ("coming in", entering::CHECKS),
    ("topics", topics::CHECKS),
    ("requests", requests::CHECKS),
    ("rooms", rooms::CHECKS),
    ("coming back", replay::CHECKS),
    ("the wire", wire::CHECKS),
    ("older sockets", older::CHECKS),
];

/// What became of one check.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// What it is about.
    pub about: &'static str,
    pub check: &'static str,
    pub ok: bool,
    /// What was expected, and what came; `None` if it is right.
    pub failure: Option<String>,
    pub seconds: f64,
}

/// All that was checked.
#[derive(Debug, Serialize)]
pub struct ConformanceReport {
    pub checks: Vec<Outcome>,
    pub passed: usize,
    pub failed: usize,
    /// Frames of `pregon.v1` that were held against the schema.
    pub frames: usize,
}

/// Goes through the checks, one after the other.
pub fn conformance(options: &ConformanceOptions) -> Result<ConformanceReport> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
    let world = World::make(&options.common, options.schema.as_deref())?;
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|part| name.contains(part.as_str()));
    let mut checks = Vec::new();
    for (about, some) in ALL {
        for &(check, run) in some.iter().filter(|(name, _)| wanted(name)) {
            if interrupt::is_asked() {
                break;
            }
            let began = Instant::now();
            let result = runtime.block_on(async {
                let late = |_| Err(anyhow!("expected an end within {CHECK_WITHIN:?}, none came"));
                tokio::time::timeout(CHECK_WITHIN, run(&world)).await.unwrap_or_else(late)
            });
            let failure = result.err().map(|error| format!("{error:#}"));
            eprintln!("{check}: {}", failure.as_deref().map_or("ok", |_| "FAILED"));
            let seconds = began.elapsed().as_secs_f64();
            checks.push(Outcome { about, check, ok: failure.is_none(), failure, seconds });
        }
    }
    let passed = checks.iter().filter(|outcome| outcome.ok).count();
    Ok(ConformanceReport { passed, failed: checks.len() - passed, checks, frames: world.frames() })
}

impl Display for ConformanceReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let mut about = "";
        for outcome in &self.checks {
            if outcome.about != about {
                about = outcome.about;
                writeln!(out, "{about}")?;
            }
            match &outcome.failure {
                None => writeln!(out, "  ok      {}", outcome.check)?,
                Some(failure) => writeln!(out, "  FAILED  {}: {failure}", outcome.check)?,
            }
        }
        writeln!(out, "{}", self.answer())
    }
}

impl Report for ConformanceReport {
    fn verdict(&self) -> Verdict {
        Verdict::of(self.failed > 0, self.checks.len() as u64)
    }

    fn answer(&self) -> String {
        let Self { passed, failed, frames, .. } = self;
        format!("conformance: {passed} passed, {failed} failed; {frames} frames were held against the schema")
    }
}
