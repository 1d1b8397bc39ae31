//! The server under test, and the plan of a scenario with traffic.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::connect::Wanted;
use super::nodes::Nodes;
use super::shares::Mix;
use crate::fixture::Fixture;
use crate::options::{Common, Timing};
use crate::oracle::Layout;
use crate::pacing::Pacing;
use crate::proc::{self, Named, Watched};
use crate::setup::{self, Size};
use crate::target::{Kind, Seat, Target, TargetKind};
use crate::tls;
use crate::v1::Protocol;

/// Handshakes under way at a time.
pub const CONNECTING_MAX: usize = 256;

/// A server under test.
pub struct Run {
    pub server_address: SocketAddr,
    pub url: String,
    pub target: Target,
    pub server: Option<Watched>,
}

/// The plan of a scenario with traffic.
#[derive(Clone)]
pub struct Plan {
    pub scenario: &'static str,
    pub kind: Kind,
    pub layout: Layout,
    pub pacing: Pacing,
    /// The size of the payload that a member receives; for `chat` of the message's text.
    pub bytes: usize,
    pub warmup: Duration,
    pub seconds: Duration,
    pub drain: Duration,
    pub rounds: usize,
    /// The nodes beside the first.
    pub nodes: Nodes,
    /// Processes whose CPU time is reported one by one.
    pub processes: Vec<Named>,
    /// A mix of durable events instead of messages only.
    pub mix: Option<Mix>,
}

impl Run {
    /// `size` is what is created over the REST API if there is no fixture.
    pub fn new(common: &Common, size: Size) -> Result<Self> {
        Self::with(common, || setup::prepare(common, size))
    }

    /// For a scenario without rooms; `count` users are created over the REST API if there is no fixture.
    pub fn with_users(common: &Common, count: usize) -> Result<Self> {
        Self::with(common, || setup::prepare_users(common, count))
    }

    fn with(common: &Common, fixture: impl FnOnce() -> Result<Fixture>) -> Result<Self> {
        // Mistakes are reported before a thousand users are created.
        ensure!(
            common.target == TargetKind::Pregon || common.protocol == Protocol::V0,
            "--protocol v1: pregon.v1 is spoken with pregon alone; a plain server (the bare peers and the like) takes v0"
        );
        let server_address = resolve(&common.url)?;
        let pids = &common.server_pid;
        if let Some(core) = common.core {
            proc::pin(core)?;
        }
        let target = match common.target {
            TargetKind::Pregon => Target::Pregon(fixture()?, common.protocol),
            TargetKind::Plain => Target::Plain,
        };
        Ok(Self {
            server_address,
            url: common.url.clone(),
            target,
            server: (!pids.is_empty()).then(|| Watched::new(pids)).transpose()?,
        })
    }

    /// The connections of all seats up to `total`, in rooms of `members`, to the one server.
    pub fn wanted(&self, members: usize, total: usize) -> Wanted {
        Wanted {
            server: self.server_address,
            nodes: Nodes::default(),
            members,
            total,
            under_way_max: CONNECTING_MAX,
            further: Vec::new(),
        }
    }

    /// The server as reports name it, with the protocol if it is not the usual one.
    pub fn label(&self) -> String {
        match self.target.protocol() {
            Protocol::V0 => self.url.clone(),
            Protocol::V1 => format!("{} (pregon.v1)", self.url),
        }
    }
}

impl Default for Plan {
    /// The empty plan, which scenarios fill in.
    fn default() -> Self {
        Self {
            scenario: "",
            kind: Kind::Ephemeral,
            layout: Layout { rooms: 0, members: 0, senders: 0 },
            pacing: Pacing::Rate { per_second: 1.0 },
            bytes: 0,
            warmup: Duration::ZERO,
            seconds: Duration::ZERO,
            drain: Duration::from_secs(10),
            rounds: 1,
            nodes: Nodes::default(),
            processes: Vec::new(),
            mix: None,
        }
    }
}

impl Plan {
    pub fn with_timing(mut self, timing: Timing) -> Result<Self> {
        let duration = |seconds| Duration::try_from_secs_f64(seconds).context("a length of time");
        self.seconds = duration(timing.seconds.max(0.1))?;
        self.warmup = duration(timing.warmup)?;
        self.drain = duration(timing.drain)?;
        self.rounds = timing.rounds.into();
        Ok(self)
    }

    /// Raises `bytes` to what the target's envelope needs for every sender. Returns whether it had to.
    pub fn fit_bytes(&mut self, target: &Target) -> bool {
        let layout = self.layout;
        let seats = (0..layout.sender_count())
            .map(|sender| Seat { room: layout.room_of_sender(sender), member: sender % layout.senders });
        let least = seats.map(|seat| target.bytes_min(self.kind, seat)).max();
        let asked = self.bytes;
        self.bytes = asked.max(least.unwrap_or(0));
        self.bytes > asked
    }
}

/// The address of a `ws://` URL; or of a `wss://` URL, whose server is spoken to by TLS from now on.
pub fn resolve(url: &str) -> Result<SocketAddr> {
    let wrong = || format!("{url} is not a WebSocket address: it must look like ws://127.0.0.1:8000");
    let (rest, is_encrypted) = match url.strip_prefix("wss://") {
        Some(rest) => (rest, true),
        None => (url.strip_prefix("ws://").with_context(wrong)?, false),
    };
    let host = rest.trim_end_matches('/');
    let addresses: Vec<_> = host.to_socket_addrs().with_context(wrong)?.collect();
    let v4 = addresses.iter().find(|address| address.is_ipv4());
    let address = v4.or(addresses.first()).copied().with_context(wrong)?;
    if is_encrypted {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        tls::speak_as_told(address, name).with_context(|| url.to_owned())?;
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses() {
        assert!(resolve("ws://127.0.0.1:8000/").is_ok_and(|address| address.port() == 8000));
        for wrong in ["http://127.0.0.1:8000", "wss://127.0.0.1:1", "127.0.0.1:8000", "ws://127.0.0.1"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }
}
