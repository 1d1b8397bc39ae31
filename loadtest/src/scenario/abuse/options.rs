//! How many attackers there are, and how many members.

use crate::options::TrafficOptions;

#[derive(clap::Args, Clone, Debug)]
pub struct AbuseOptions {
    #[command(flatten)]
    pub traffic: TrafficOptions,
    /// Rooms of members who behave
    #[arg(long, default_value_t = 500)]
    pub rooms: usize,
    /// Members of each room who behave
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Size of the frame that members receive, in bytes
    #[arg(long, default_value_t = 250)]
    pub bytes: usize,
    /// Handshakes that come one header byte a second
    #[arg(long, default_value_t = 1000)]
    pub slow_handshakes: usize,
    /// Sockets that send signals without a pause, in rooms of their own
    #[arg(long, default_value_t = 200)]
    pub flooders: usize,
    /// Sockets that send compressed messages of 64 MiB
    #[arg(long, default_value_t = 50)]
    pub bombs: usize,
    /// Sockets in the members' rooms that read nothing
    #[arg(long, default_value_t = 100)]
    pub stalled: usize,
}
