//! A shard's thread: its runtime, its listeners, and the loop that turns until it is drained.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use rustls::ServerConfig;

use super::connection::{self, Entrance};
use super::core::Core;
use super::encryption::{Doorway, Holding, Terms};
use super::port::Ports;
use super::turn::{Shard, Shared, TICK};
use crate::engine::net::readiness::Readiness;
use crate::engine::net::send::{Io, Sender};
use crate::engine::net::sockets::Sockets;
use crate::ids::ShardId;
use crate::limits::{
    LOOK_EVENTS_MAX, RECEIVE_BUFFER_BYTES, STRETCH_VISITS_MAX, TLS_HURRIED, shard_tls_handshakes, shard_tls_http_bytes,
    shard_tls_records_bytes,
};
use crate::telemetry::alarm;

/// What a shard needs to start.
pub struct Plan {
    /// Its number.
    pub id: ShardId,
    /// The core on which it runs, if any.
    pub core: Option<usize>,
    /// True if other shards run on the same core.
    pub shares_core: bool,
    /// Its own listeners, one for each address.
    pub listeners: Vec<TcpListener>,
    /// How its connections are encrypted, if they are.
    pub tls: Option<Arc<ServerConfig>>,
    /// What browsers are told about encryption: a value of `Strict-Transport-Security`.
    pub transport_security: Option<HeaderValue>,
    /// The way in which it sends frames.
    pub io: Io,
    /// The rest of the server.
    pub ports: Ports,
}

/// Starts a shard's thread. It ends after [`Drain`](super::port::ToShard::Drain), when its last session and its last
/// connection are gone. If it ends for any other reason, it raises the alarm.
///
/// # Errors
/// When the kernel gives no thread.
pub fn start(plan: Plan) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(format!("shard-{}", plan.id.0)).spawn(move || {
        if let Some(core) = plan.core
            && !crate::engine::net::affinity::pin_to(core)
        {
            tracing::warn!(shard = plan.id.0, core, "the kernel does not pin this shard to its core");
        }
        if plan.shares_core && !crate::engine::net::affinity::let_others_finish() {
            tracing::warn!(shard = plan.id.0, "the kernel lets the shards of a core interrupt each other");
        }
        // Without one shard, the others and the lanes would wait for room in its inbox for ever: no server at all is
        // better.
        let id = plan.id.0;
        alarm::guard(&format!("shard {id}"), || {
            if let Err(error) = run(plan) {
                alarm::raise(&format!("shard {id} cannot run: {error}. Raise the open-file limit (ulimit -n)"));
            }
        });
    })
}

/// Runs a shard on the calling thread until it is drained.
fn run(plan: Plan) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let sender = Sender::new(plan.io, STRETCH_VISITS_MAX)?;
        let shards = plan.ports.inboxes.len();
        let records_max = shard_tls_records_bytes(shards);
        let sockets = Sockets::new(RECEIVE_BUFFER_BYTES, LOOK_EVENTS_MAX, records_max, sender)?;
        let readiness = Readiness::of(&sockets)?;
        let ports = plan.ports.clone();
        let inbox = ports.inboxes[plan.id.index()].clone();
        let core = Core::new(plan.id, plan.ports, Instant::now());
        let shard = Shard::new(sockets, core);
        let shared = Rc::new(Shared::new(shard));
        let terms = Terms {
            most: shard_tls_handshakes(shards),
            patience: ports.allowance.limits.handshake,
            hurried: TLS_HURRIED,
        };
        let (id, waiting) = (plan.id, ports.waiting.clone());
        let holding = Holding::new(shard_tls_http_bytes(shards), move |bytes| waiting.tell_http_records(id, bytes));
        let doorway = plan.tls.map(|config| Rc::new(Doorway::new(config, terms, holding)));
        let entrance = Rc::new(Entrance { doorway, transport_security: plan.transport_security });
        for listener in plan.listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::task::spawn_local(connection::accept(listener, entrance.clone(), shared.clone(), ports.clone()));
        }
        let mut ticks = tokio::time::interval(TICK);
        loop {
            if shared.is_broken() {
                return Err(io::Error::other("it panicked over a socket"));
            }
            let (has_more, is_over) = shared.turn();
            if is_over {
                inbox.close();
                return Ok(());
            }
            if has_more {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                ready = readiness.ready() => ready?,
                () = std::future::poll_fn(|context| inbox.poll_ready(context.waker())) => {}
                () = shared.woken() => {}
                _ = ticks.tick() => {}
            }
        }
    })
}
