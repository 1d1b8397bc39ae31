//! Starts the shards' threads.

use std::thread::JoinHandle;

use anyhow::Context;
use http::HeaderValue;

use crate::config::Settings;
use crate::engine::net::affinity;
use crate::engine::net::send::{Io, Sender};
use crate::engine::shard::port::Ports;
use crate::engine::shard::{self, Plan};
use crate::ids::ShardId;
use crate::limits::STRETCH_VISITS_MAX;
use crate::server::listen::Listeners;
use crate::server::tls::Encryption;

/// Starts one thread for each shard, each on a core of its own if there are enough cores.
///
/// # Errors
/// When io_uring is demanded and not available, or when the kernel gives no thread.
pub(super) fn start(
    settings: &Settings,
    mut listeners: Listeners,
    encryption: Option<&Encryption>,
    ports: &Ports,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    choose_io(settings.io)?;
    let (count, cores) = (settings.shards, affinity::allowed_cores());
    let start = |number: usize| {
        let plan = Plan {
            id: ShardId(u8::try_from(number)?),
            core: cores.get(number % cores.len().max(1)).copied(),
            shares_core: shares_core(number, count, cores.len()),
            listeners: listeners.iter_mut().filter_map(|(_, listeners)| listeners.pop()).collect(),
            tls: encryption.map(Encryption::config),
            transport_security: transport_security(settings),
            io: settings.io,
            ports: ports.clone(),
        };
        shard::start(plan).context("a shard's thread does not start: raise the limit on processes (ulimit -u)")
    };
    (0..count).map(start).collect()
}

/// What browsers are told about TLS, if they are (RFC 6797 §6.1).
fn transport_security(settings: &Settings) -> Option<HeaderValue> {
    let seconds = settings.hsts.as_secs();
    (seconds > 0).then(|| HeaderValue::from_str(&format!("max-age={seconds}")).ok()).flatten()
}

/// Shards are given to cores in turns: does another of the `count` shards get the same core as this one?
fn shares_core(number: usize, count: usize, cores: usize) -> bool {
    cores > 0 && (number >= cores || number + cores < count)
}

/// Finds out what `auto` means on this machine. Fails if io_uring is demanded and not available.
fn choose_io(wanted: Io) -> anyhow::Result<()> {
    let chosen = Sender::new(wanted, STRETCH_VISITS_MAX).map(|sender| sender.io()).context(
        "PREGON_IO is \"uring\", but this kernel or container gives no io_uring (6.0 or newer is needed, and its system \
         calls must be allowed): set PREGON_IO=auto",
    )?;
    metrics::gauge!("pregon_io", "back_end" => chosen.to_string()).set(1.0);
    tracing::info!(io = %chosen, "frames leave by");
    Ok(())
}
