//! Options that scenarios share.

use std::path::PathBuf;

use crate::pacing::PacingOptions;
use crate::target::TargetKind;
use crate::tls::TlsOptions;
use crate::v1::Protocol;

/// Options of every scenario.
#[derive(clap::Args, Clone, Debug)]
pub struct Common {
    /// The server: ws://host:port, or wss://host:port
    #[arg(long, default_value = "ws://127.0.0.1:8000")]
    pub url: String,
    /// The kind of server
    #[arg(long, value_enum, default_value = "pregon")]
    pub target: TargetKind,
    /// What the clients speak with pregon: a socket for each room, feed or post (v0), or `pregon.v1`, one socket for many
    /// topics (v1)
    #[arg(long, value_enum, default_value = "v0")]
    pub protocol: Protocol,
    /// Clients negotiate compression (permessage-deflate), and compress what they send, as browsers do
    #[arg(long)]
    pub compression: bool,
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Users, tokens and rooms, made by `pregon seed … --out FILE` [default: created over the REST API]
    #[arg(long)]
    pub fixture: Option<PathBuf>,
    /// The REST API [default: http:// or https:// of --url]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// Users to create over the REST API [default: as many as a room has members; all rooms share them]
    #[arg(long, conflicts_with = "fixture")]
    pub users: Option<usize>,
    /// Save the users and rooms of this run in FILE, for --fixture
    #[arg(long, value_name = "FILE")]
    pub save_fixture: Option<PathBuf>,
    /// The server's secret: signs fresh tokens for the fixture's users. PREGON_JWT_SECRET in the environment does so
    /// for tokens that have expired
    #[arg(long)]
    pub secret: Option<String>,
    /// The server's process id, to read its CPU time and memory (same machine); those of all nodes, which are summed
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub server_pid: Vec<u32>,
    /// Run the load on this core only
    #[arg(long)]
    pub core: Option<usize>,
    /// Write the report as JSON to FILE; `-`: to stdout, instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as one self-contained page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl Common {
    /// Where the REST API of the server under test is.
    pub fn api_url(&self) -> String {
        self.api.clone().unwrap_or_else(|| self.url.replacen("ws", "http", 1))
    }
}

/// How long to measure.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Timing {
    /// Length of a round
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of load before each round that are not counted
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Rounds to measure; the last line is the median of each column
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// After sending stops, the longest wait for missing deliveries, in seconds
    #[arg(long, default_value_t = 10.0)]
    pub drain: f64,
}

/// The options of every load with messages: server, duration, rate.
#[derive(clap::Args, Clone, Debug)]
pub struct TrafficOptions {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub timing: Timing,
    #[command(flatten)]
    pub pacing: PacingOptions,
}

/// Many rooms and their members.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Crowd {
    /// Rooms
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
}
