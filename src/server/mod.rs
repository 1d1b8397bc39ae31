//! The composition root: builds the parts, joins their ports, starts threads, drains and stops them in order.

mod active_check;
mod budget;
mod django;
mod ended_logins;
mod leftover;
mod memory;
mod nodes;
mod one_server;
mod people_index;
mod post_reread;
mod rest;
mod stop;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;

use crate::access::gate::{Door, Terms};
use crate::access::lifecycle::{Lifecycle, Phase};
use crate::access::logins::Logins;
use crate::access::password::Hasher;
use crate::access::rate::Rates;
use crate::access::reconnects::Reconnects;
use crate::access::sockets::Sockets;
use crate::access::token::Tokens;
use crate::config::{Database, Settings};
use crate::django::follow_sweep::Sweep;
use crate::domain::chat::event::ChatEvent;
use crate::domain::event::Committed;
use crate::domain::write::Outcome;
use crate::engine::net::send::{Io, Sender};
use crate::engine::net::{affinity, listener};
use crate::engine::shard::port::{Inbox, Kind, Ports, ShardSet, ToShard, Waiting, heard};
use crate::engine::shard::{self, Plan};
use crate::fanout::follow_lists;
use crate::fanout::publisher::Fanout;
use crate::fanout::routes::Routes;
use crate::ids::{RoomId, SessionKey, ShardId, Topic, UserId};
use crate::limits::{MEDIA_SWEEP, PARTICIPANT_SWEEP, STRETCH_VISITS_MAX, SWEEP_ROOMS_MAX};
use crate::protocol::v0::object::Presenter;
use crate::rest::App;
use crate::rest::assets::Assets;
use crate::rest::posts::edit_turns::EditTurns;
use crate::rest::uploads::orphans::{self, Litter};
use crate::rest::uploads::upload::MediaDir;
use crate::server::memory::Memory;
use crate::server::nodes::Nodes;
use crate::server::rest::UnderWay;
use crate::store::django::Beside;
use crate::store::mysql::{self, MysqlOptions, MysqlStore};
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::store::{Chats, Housekeeping, LanePort, Store, Told};
use crate::telemetry::Registry;
use crate::telemetry::alarm;

/// Threads for REST, timers and signals.
const CONTROL_THREADS: usize = 2;

/// Serves until it is told to stop.
///
/// # Errors
/// What keeps it from starting, in one sentence.
pub fn run(settings: &Settings) -> anyhow::Result<()> {
    raise_file_limit();
    let prometheus = crate::telemetry::install();
    metrics::gauge!("pregon_rate_limits").set(if settings.rate_limits { 1.0 } else { 0.0 });
    let listeners = bind(&settings.listen, settings.shards)?;
    let bound = listeners[0].1[0].local_addr()?;
    let secret = settings.secret()?;
    let control = control_runtime()?;
    stop::ignore_others(&control)?;
    let stops = stop::Stops::listen(&control)?;
    let inboxes: Arc<[Arc<Inbox>]> = (0..settings.shards).map(|_| Arc::default()).collect();
    let routes = Arc::new(Routes::default());
    let presenter = Presenter::new(&settings.media_base(bound), settings.mask_contacts);
    let presenter = Arc::new(presenter.with_times(settings.json_times));
    // As many publishers as lanes: what one lane tells after another's COMMIT, some publisher is free for.
    let (updates, publishers) = (settings.post_updates, settings.write_lanes);
    let fanout = Arc::new(Fanout::new(routes.clone(), inboxes.clone(), presenter.clone(), updates, publishers));
    let lists = Arc::new(follow_lists::Lists::new(matches!(settings.database, Database::Sqlite(_))));
    let litter = Arc::new(Litter::default());
    let port = LaneToFanout { lists: lists.clone(), fanout: fanout.clone(), litter: litter.clone() };
    let _served_here = settings.database.file().map(one_server::lock).transpose()?;
    let Opened { store, mysql } = open_store(settings, &control, Arc::new(port))?;
    let nodes = mysql.clone().map(|store| control.block_on(Nodes::enter(store, &settings.node)));
    let rows = mysql.map(|store| -> Arc<dyn Beside> { store });
    let neighbour = control.block_on(django::find(settings, rows))?;
    let publishers = fanout
        .start(post_reread::port(store.clone(), fanout.clone(), control.handle()))
        .context("no thread for what is told: raise the limit on processes (ulimit -u)")?;
    let media = Arc::new(open_media(settings, litter)?);
    let tokens = Arc::new(Tokens::new(secret.bytes()));
    let (lifecycle, render) = (Arc::new(Lifecycle::new()), prometheus.clone());
    let waiting = Arc::new(Waiting::of_shards(settings.shards));
    let memory = Arc::new(Memory::new(settings.sizes(), waiting.clone(), inboxes.clone()));
    let measured_memory = memory.clone();
    let logins_bell = Arc::new(Notify::new());
    let router = crate::rest::router(App {
        store: store.clone(),
        tokens: tokens.clone(),
        logins: Logins::new(store.clone(), settings.logins, logins_bell.clone()),
        hasher: Hasher::default(),
        presenter,
        media: media.clone(),
        site: settings.site.clone(),
        page: settings.web_dir.clone().map_or(Assets::Embedded, Assets::Folder),
        lifecycle: lifecycle.clone(),
        origins: settings.origins.clone(),
        trusted_proxies: settings.trusted_proxies.clone(),
        rates: Rates::new(settings.rate_limits),
        edit_turns: EditTurns::default(),
        metrics_public: settings.metrics_public,
        render_metrics: Arc::new(move || {
            measured_memory.measure();
            render.render()
        }),
        redis: neighbour.as_ref().and_then(django::Neighbour::is_redis_up),
    });
    let door = door(settings, store.clone(), tokens, lifecycle.clone());
    let (submit, closing, under_way) = (store.clone(), store.clone(), UnderWay::new());
    let ports = Ports {
        waiting,
        inboxes: inboxes.clone(),
        directory: routes.clone(),
        gate: Arc::new(door),
        rest: rest::port(router, control.handle().clone(), under_way.clone(), settings.trusted_proxies.clone(), memory),
        submit: Arc::new(move |write| submit.submit(write)),
        load_follows: follow_lists::port(store.clone(), inboxes.clone(), lists.clone(), control.handle()),
    };
    choose_io(settings.io)?;
    let shards = start_shards(settings.shards, settings.io, listeners, &ports)?;
    let every = |usual| django::sweep_every(neighbour.as_ref(), usual);
    let sweeps = Sweeps {
        active_every: every(settings.active_check),
        participants_every: every(PARTICIPANT_SWEEP),
        logins_bell,
        media: matches!(settings.database, Database::Sqlite(_)).then_some(media),
        media_every: settings.media_sweep.then_some(MEDIA_SWEEP),
    };
    sweeps.start(control.handle(), &store, &routes, &inboxes);
    control.spawn(people_index::keep(store.clone()));
    let beside = neighbour.map(|found| {
        let sweep = Sweep { store, rows: found.rows.clone(), routes, inboxes: inboxes.clone(), lists };
        found.start(settings, sweep, &fanout, control.handle())
    });
    let measured = upkeep(prometheus, settings.database.file().map(Path::to_owned));
    control.spawn(alarm::watched("the upkeep of metrics", measured));
    let beats = nodes.map(|nodes| nodes.start(control.handle()));
    lifecycle.enter(Phase::Ready);
    announce(bound, settings);
    let stopped = control.block_on(stop::stop(stops, &lifecycle, &inboxes, settings.drain, shards, &under_way));
    end(stopped, control, Others { django: beside, beats }, &fanout, publishers, &*closing)
}

/// What looks again and again at what others may have changed.
struct Sweeps {
    active_every: Duration,
    participants_every: Duration,
    /// Rings when a login has ended.
    logins_bell: Arc<Notify>,
    /// What another program's database names, it may also name where pregon does not look: then `None`.
    media: Option<Arc<MediaDir>>,
    media_every: Option<Duration>,
}

impl Sweeps {
    fn start(self, control: &Handle, store: &Arc<dyn Store>, routes: &Arc<Routes>, inboxes: &Arc<[Arc<Inbox>]>) {
        let sweep = active_check::sweep(store.clone(), routes.clone(), inboxes.clone(), self.active_every);
        control.spawn(alarm::watched("the look at active users", sweep));
        let sweep = ended_logins::sweep(store.clone(), inboxes.clone(), self.logins_bell, self.active_every);
        control.spawn(alarm::watched("the look at logins that have ended", sweep));
        let sweep = sweep_participants(store.clone(), inboxes.clone(), self.participants_every);
        control.spawn(alarm::watched("the look at participants", sweep));
        if let Some(media) = self.media {
            let sweep = orphans::collect(store.clone(), media, self.media_every);
            control.spawn(alarm::watched("the look at unnamed uploads", sweep));
        }
    }
}

/// What speaks to other programs.
struct Others {
    django: Option<django::Work>,
    beats: Option<nodes::Beats>,
}

/// All sessions are gone: what served them ends, each before what it needs. Unless the server could not go on: whoever
/// keeps it from that may never end, and nobody waits for it.
fn end(
    stopped: anyhow::Result<()>,
    control: Runtime,
    others: Others,
    fanout: &Fanout,
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
    fanout.quiet();
    if let Some(beats) = others.beats {
        control.block_on(beats.stop());
    }
    control.block_on(store.close());
    fanout.stop(publishers);
    control.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("stopped");
    Ok(())
}

/// Each connection is an open file, and many systems begin with a limit of 1024 below a far higher one.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the open-file limit stays as it is (ulimit -n)");
    }
}

/// What `auto` means on this machine; and no start where io_uring is demanded and not there.
fn choose_io(wanted: Io) -> anyhow::Result<()> {
    let chosen = Sender::new(wanted, STRETCH_VISITS_MAX).map(|sender| sender.io()).context(
        "PREGON_IO is \"uring\", but this kernel or container gives no io_uring (6.0 or newer is needed, and its system \
         calls must be allowed): set PREGON_IO=auto",
    )?;
    metrics::gauge!("pregon_io", "back_end" => chosen.to_string()).set(1.0);
    tracing::info!(io = %chosen, "frames leave by");
    Ok(())
}

fn open_media(settings: &Settings, litter: Arc<Litter>) -> anyhow::Result<MediaDir> {
    let path = &settings.media_dir;
    let media = MediaDir::open(path.clone()).with_context(|| {
        format!("{} cannot be made or written: make it writable, or set PREGON_MEDIA_DIR", path.display())
    })?;
    let media = media.with_grace(settings.upload_grace).with_quota(settings.upload_quota_mb).with_litter(litter);
    Ok(media.with_location_kept(settings.keep_location))
}

/// Who may come in.
fn door(settings: &Settings, store: Arc<dyn Store>, tokens: Arc<Tokens>, lifecycle: Arc<Lifecycle>) -> Door {
    let terms = Terms {
        token_grace: settings.token_grace,
        presence_room_max: settings.presence_room_max,
        strict_tokens: settings.strict_tokens,
    };
    let (reconnects, sockets) = (Reconnects::new(settings.rate_limits), Sockets::new(settings.rate_limits));
    let (origins, hosts) = (settings.origins.clone(), settings.hosts());
    let trusted_proxies = settings.trusted_proxies.clone();
    Door { store, tokens, origins, hosts, lifecycle, terms, reconnects, sockets, trusted_proxies }
}

/// A store, and the same once more if it is on a server that others may use, too.
struct Opened {
    store: Arc<dyn Store>,
    mysql: Option<Arc<MysqlStore>>,
}

fn open_store(settings: &Settings, control: &Runtime, port: Arc<dyn LanePort>) -> anyhow::Result<Opened> {
    let shown_reactions = settings.post_reactions_shown;
    Ok(match &settings.database {
        Database::Sqlite(file) => {
            let options = SqliteOptions { shown_reactions, ..SqliteOptions::new(file.clone()) };
            Opened { store: SqliteStore::open(options, port)?, mysql: None }
        }
        Database::Mysql(link) => {
            let (lanes, zone) = (settings.write_lanes, settings.zone);
            let options = MysqlOptions { lanes, zone, shown_reactions, ..MysqlOptions::new(link.clone()) };
            let plan = control.block_on(mysql::plan(link))?;
            if let Some(sentence) = settings.zone_to_set(&plan) {
                anyhow::bail!(sentence);
            }
            let store = control.block_on(MysqlStore::open(options, port))?;
            Opened { store: store.clone(), mysql: Some(store) }
        }
    })
}

/// Joins the lanes to the fan-out.
struct LaneToFanout {
    lists: Arc<follow_lists::Lists>,
    fanout: Arc<Fanout>,
    litter: Arc<Litter>,
}

impl LanePort for LaneToFanout {
    fn place(&self, events: &[Arc<Committed>]) {
        self.fanout.place(events);
    }

    fn give_back(&self, events: &[Arc<Committed>]) {
        self.fanout.give_back(events);
    }

    fn committed(&self, events: Vec<Arc<Committed>>, told: Told) {
        self.lists.committed(&events);
        for event in &events {
            if let Some(ChatEvent::Deleted { message, .. }) = event.chat() {
                self.litter.leave_of(*message);
            }
        }
        self.fanout.tell(events, told);
    }

    fn answered(&self, session: SessionKey, client_id: Option<&str>, outcome: &Outcome) {
        self.fanout.answer(session, client_id, outcome);
    }
}

/// One listener a shard for each address. The system's choice of a port is the same for all shards.
fn bind(addresses: &[SocketAddr], shards: usize) -> anyhow::Result<Vec<(SocketAddr, Vec<TcpListener>)>> {
    let mut bound = Vec::new();
    for address in addresses {
        match bind_one(*address, shards) {
            Ok(listeners) => bound.push((*address, listeners)),
            // A machine without IPv6 serves the addresses it has.
            Err(error) if address.is_ipv6() && addresses.len() > 1 && is_without(&error) => {
                tracing::warn!(%address, "this machine has no such address: not listening there");
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot listen on {address}: choose another with PREGON_LISTEN, for example 127.0.0.1:8001")
                });
            }
        }
    }
    anyhow::ensure!(!bound.is_empty(), "none of PREGON_LISTEN's addresses exists on this machine");
    Ok(bound)
}

/// The machine has no such address, or its kernel no such family.
fn is_without(error: &io::Error) -> bool {
    let family = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(family)
}

fn bind_one(address: SocketAddr, shards: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // Listeners share a port with whoever also wants to share it: another server there must be found out first.
        drop(TcpListener::bind(address)?);
    }
    let first = listener::listen(address)?;
    let address = first.local_addr()?;
    let others = (1..shards).map(|_| listener::listen(address));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn control_runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
}

fn start_shards(
    count: usize,
    io: Io,
    mut listeners: Vec<(SocketAddr, Vec<TcpListener>)>,
    ports: &Ports,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let cores = affinity::allowed_cores();
    let start = |number: usize| {
        let plan = Plan {
            id: ShardId(u8::try_from(number)?),
            core: cores.get(number % cores.len().max(1)).copied(),
            shares_core: shares_core(number, count, cores.len()),
            listeners: listeners.iter_mut().filter_map(|(_, listeners)| listeners.pop()).collect(),
            io,
            ports: ports.clone(),
        };
        shard::start(plan).context("a shard's thread does not start: raise the limit on processes (ulimit -u)")
    };
    (0..count).map(start).collect()
}

/// Does another of `count` shards, handed out to `cores` in turns, get the core of this one?
fn shares_core(number: usize, count: usize, cores: usize) -> bool {
    cores > 0 && (number >= cores || number + cores < count)
}

/// The one line that says where to go. Nobody need be there to read it.
fn announce(bound: SocketAddr, settings: &Settings) {
    let address = settings.public_url(bound);
    if settings.media_base(bound).is_empty() {
        tracing::warn!(
            "PREGON_PUBLIC_URL is not set: REST names files by the host of each request, and frames by paths alone, which pages \
             of other hosts cannot resolve"
        );
    }
    tracing::info!(%address, shards = settings.shards, database = %settings.database, node = %settings.node, "serving");
    drop(writeln!(io::stdout(), "pregon is ready: open {address}/ in two tabs and chat"));
}

/// Finds participant rows that others have deleted: the sessions of those users leave.
async fn sweep_participants(store: Arc<dyn Chats>, inboxes: Arc<[Arc<Inbox>]>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let live = heard(&inboxes, &[Kind::Rooms]).await;
        let room = |(topic, shards)| if let Topic::Room(room) = topic { Some((room, shards)) } else { None };
        let rooms: Vec<(RoomId, ShardSet)> = live.into_iter().filter_map(room).collect();
        for rooms in rooms.chunks(SWEEP_ROOMS_MAX) {
            let ids: Vec<RoomId> = rooms.iter().map(|(room, _)| *room).collect();
            let asked_at = Instant::now();
            match store.participants(&ids).await {
                Ok(mut rows) => {
                    rows.sort_unstable();
                    rooms.iter().for_each(|room| tell_participants(&inboxes, *room, &rows, asked_at));
                }
                Err(error) => tracing::warn!(%error, "participants could not be looked at"),
            }
        }
    }
}

fn tell_participants(
    inboxes: &[Arc<Inbox>],
    (room, shards): (RoomId, ShardSet),
    rows: &[(RoomId, UserId)],
    asked_at: Instant,
) {
    let from = rows.partition_point(|(of, _)| *of < room);
    let users: Arc<[UserId]> = rows[from..].iter().take_while(|(of, _)| *of == room).map(|(_, user)| *user).collect();
    for shard in shards.iter() {
        // A full inbox has more urgent mail; the next sweep comes.
        let _ = inboxes[shard.index()].try_send(ToShard::Participants { room, users: users.clone(), asked_at });
    }
}

/// Keeps histograms from growing, and measures the database's files.
async fn upkeep(registry: Registry, database: Option<PathBuf>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        registry.upkeep();
        crate::telemetry::tell_left_out();
        let Some(database) = &database else { continue };
        let mut log = database.clone().into_os_string();
        log.push("-wal");
        for (name, path) in [("pregon_database_bytes", database.as_path()), ("pregon_wal_bytes", Path::new(&log))] {
            let bytes = tokio::fs::metadata(path).await.map_or(0, |file| file.len());
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
            metrics::gauge!(name).set(bytes as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_is_told_from_a_port_that_is_taken() {
        use rustix::io::Errno;
        let is_without = |errno: Errno| is_without(&io::Error::from_raw_os_error(errno.raw_os_error()));
        assert!(is_without(Errno::AFNOSUPPORT) && is_without(Errno::ADDRNOTAVAIL));
        assert!(!is_without(Errno::ADDRINUSE) && !is_without(Errno::ACCESS));
    }
}
