//! The composition root: builds the parts, joins their ports, starts threads, drains and stops them in order.

mod active_check;
mod admin;
mod budget;
mod cluster;
mod compression;
mod delivery;
mod desk;
mod django;
mod ended_logins;
mod front;
mod leftover;
mod listen;
mod memory;
mod nodes;
mod one_server;
mod operator;
mod participants;
mod people_index;
mod post_reread;
mod push;
mod questions;
mod replay;
mod rest;
mod shards;
#[cfg(test)]
mod sim;
mod stop;
mod storage;
mod sweeps;
pub(crate) mod tls;
mod token_keys;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::access::lifecycle::Phase;
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::server::delivery::Delivery;
use crate::server::front::Front;
use crate::server::operator::{Operator, Reach};
use crate::server::storage::Storage;
use crate::server::tls::Encryption;
use crate::store::Housekeeping;
use crate::telemetry::alarm;

/// Threads for REST, timers and signals.
const CONTROL_THREADS: usize = 2;
/// How long a thread of the control runtime that has nothing to do is kept beyond those. They are woken in turns, so that a longer
/// time keeps all that ever were needed at once.
const CONTROL_IDLE: Duration = Duration::from_secs(1);

/// Serves until it is told to stop.
///
/// # Errors
/// What keeps the server from starting, in one sentence.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    listen::raise_file_limit();
    let registry = crate::telemetry::install();
    compression::measure_time();
    let (listeners, bound) = listen::open(settings)?;
    let admin = admin::open(settings)?;
    let front = Front::new(settings)?;
    let encryption = Encryption::of(settings)?;
    let control = control_runtime()?;
    stop::ignore_others(&control)?;
    let stops = stop::Stops::listen(&control)?;

    let cluster = cluster::of(settings);
    let delivery = Delivery::new(settings, bound, cluster.as_ref());
    let mut storage = Storage::open(settings, &control, delivery.lane_port(), delivery.litter.clone())?;
    let neighbour = control.block_on(django::find(settings, storage.rows()))?;
    let publishers = delivery.start(&storage.store, control.handle())?;

    let whereabouts = cluster.as_ref().map(Cluster::whereabouts);
    push::start(settings, (&storage, &delivery, &front), whereabouts, bound, &control)?;

    let redis = neighbour.as_ref().and_then(django::Neighbour::is_redis_up);
    let redis = (redis, cluster.as_ref().map(Cluster::is_up));
    let others = cluster.as_ref().map(Cluster::others);
    let operator = Arc::new(Operator::new(Reach {
        name: (*settings.node).into(),
        has_key: settings.admin_key.is_some(),
        lifecycle: front.lifecycle.clone(),
        inboxes: delivery.inboxes.clone(),
        waiting: delivery.waiting.clone(),
        others,
    }));
    let parts = cluster::Parts { storage: &storage, delivery: &delivery, front: &front, operator: &operator };
    let nodes = control.block_on(cluster::start(cluster, settings, &parts, control.handle()));
    let ports = front.ports(settings, &storage, &delivery, redis, registry.clone(), control.handle());
    let shards = shards::start(settings, listeners, encryption.as_ref(), &ports)?;
    if let Some(encryption) = encryption {
        encryption.keep(control.handle())?;
    }

    let every = |usual| django::sweep_every(neighbour.as_ref(), usual);
    sweeps::start(settings, every, &storage, &delivery, &front, control.handle());
    sweeps::start_upkeep(settings, registry, control.handle());
    if let Some(file) = &settings.jwt_keys {
        token_keys::start(file.clone(), front.tokens.clone(), control.handle())?;
    }
    let django = neighbour.map(|found| found.start(settings, &storage, &delivery, control.handle()));
    admin::start(admin, settings, operator.clone(), storage.store.clone(), control.handle())?;
    if settings.rebalance_skew > 0 && nodes.is_some() {
        control.spawn(alarm::watched("the balance of nodes", operator.keep_balance(settings.rebalance_skew)));
    }
    let beats = storage.nodes.take().map(|nodes| nodes.start(control.handle()));

    front.lifecycle.enter(Phase::Ready);
    announce(bound, settings);
    let inboxes = &delivery.inboxes;
    let stopped =
        control.block_on(stop::stop(stops, &front.lifecycle, inboxes, settings.drain, shards, &front.under_way));
    end(stopped, control, Others { django, beats, nodes }, &delivery, publishers, &*storage.store)
}

/// The parts that speak to other programs.
struct Others {
    django: Option<django::Work>,
    beats: Option<nodes::Beats>,
    nodes: Option<crate::cluster::Work>,
}

/// Ends the parts after all sessions are gone; a part ends before the parts that it needs. If the server could not go
/// on, nothing is waited for: the part that failed may never end.
fn end(
    stopped: anyhow::Result<()>,
    control: Runtime,
    others: Others,
    delivery: &Delivery,
    publishers: Vec<JoinHandle<()>>,
    store: &dyn Housekeeping,
) -> anyhow::Result<()> {
    if stopped.is_err() {
        control.shutdown_background();
        return stopped;
    }
    if let Some(django) = others.django {
        control.block_on(django.stop());
    }
    crate::telemetry::tell_left_out();
    if let Some(push) = &delivery.push {
        control.block_on(push.stop());
    }
    let fanout = &delivery.fanout;
    fanout.quiet();
    if let Some(beats) = others.beats {
        control.block_on(beats.stop());
    }
    control.block_on(store.close());
    if let Some(nodes) = others.nodes {
        // The last events are committed now.
        control.block_on(nodes.stop());
    }
    fanout.stop(publishers);
    control.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("stopped");
    Ok(())
}

fn control_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .thread_keep_alive(CONTROL_IDLE)
        .enable_all()
        .build()
}

/// Says where the server can be reached. It does not matter whether anybody reads the line.
/// What a server says that others may overhear.
pub(crate) const OPEN_TO_LISTENERS: &str = "passwords and tokens cross the network in the open: set PREGON_TLS_CERT and PREGON_TLS_KEY, or \
    have a proxy do TLS and name it in PREGON_TRUSTED_PROXIES, or listen on this machine alone (PREGON_LISTEN=127.0.0.1:8000)";

fn announce(bound: SocketAddr, settings: &Settings) {
    let address = settings.public_url(bound);
    if settings.media_base(bound).is_empty() {
        tracing::warn!(
            "PREGON_PUBLIC_URL is not set: REST names files by the host of each request, and frames by paths alone, which pages \
             of other hosts cannot resolve"
        );
    }
    if settings.is_open_to_listeners() {
        tracing::warn!("{OPEN_TO_LISTENERS}");
    }
    tracing::info!(%address, shards = settings.shards, database = %settings.database, node = %settings.node, "serving");
    drop(writeln!(io::stdout(), "pregon is ready: open {address}/ in two tabs and chat"));
}
