//! Joins the parts that work beside Django (they hear its announcements and find its rows) to the store, the fan-out
//! and the shards.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::django::Mode;
use crate::django::doorbell::Ringer;
use crate::django::follow_sweep::Sweep;
use crate::django::groups_needed::Changes;
use crate::django::listener::{Ears, Link, Listener};
use crate::django::tail::{self, Live, Tail};
use crate::engine::shard::port::{self, Inbox, Kind};
use crate::fanout::routes::Routes;
use crate::ids::Topic;
use crate::limits::BESIDE_SWEEP;
use crate::server::delivery::Delivery;
use crate::server::storage::Storage;
use crate::store::django::Beside;
use crate::telemetry::alarm;

/// The prefix that channels-redis gives its keys unless told otherwise.
const PREFIX: &str = "asgi";

/// The database that Django shares with pregon, and the link to its Redis.
#[derive(Clone)]
pub(super) struct Neighbour {
    pub rows: Arc<dyn Beside>,
    /// Whether Redis answers; `None` if no Redis is set.
    pub link: Option<Arc<Link>>,
}

/// Finds out whether there is a Django, and warns of what pregon will not see of it.
pub(super) async fn find(settings: &Settings, rows: Option<Arc<dyn Beside>>) -> anyhow::Result<Option<Neighbour>> {
    let Some(rows) = rows else { return Ok(None) };
    let is_there = match settings.django {
        Mode::On => true,
        Mode::Off => false,
        Mode::Auto => rows.has_django().await.context("whether Django made this database could not be found out")?,
    };
    if !is_there {
        return Ok(None);
    }
    if let Some(address) = settings.redis.as_ref().filter(|address| !address.is_one_server()) {
        anyhow::bail!(
            "Django's channel layer is on one Redis server, but PREGON_REDIS_URL is {address}: set it to the redis:// of Django's \
             CHANNEL_LAYERS, or set PREGON_DJANGO=off if no Django runs beside pregon"
        );
    }
    if settings.redis.is_none() {
        tracing::warn!(
            "PREGON_REDIS_URL is not set: posts, reactions and comments that Django writes are not seen until a page is \
             loaded anew; set it to the Redis of Django's CHANNEL_LAYERS"
        );
    }
    tracing::info!(redis = ?settings.redis, "beside Django");
    Ok(Some(Neighbour { rows, link: settings.redis.is_some().then(Arc::default) }))
}

/// How often a sweep runs: more often where Django changes rows without announcing it.
pub(super) fn sweep_every(neighbour: Option<&Neighbour>, otherwise: Duration) -> Duration {
    if neighbour.is_some() { otherwise.min(BESIDE_SWEEP) } else { otherwise }
}

/// Everything that works beside Django, while it runs.
pub(super) struct Work {
    stop: watch::Sender<bool>,
    listener: Option<JoinHandle<()>>,
    tail: JoinHandle<()>,
}

impl Neighbour {
    /// Tells `/readyz` whether Redis answers.
    pub(super) fn is_redis_up(&self) -> Option<Arc<dyn Fn() -> bool + Send + Sync>> {
        let link = self.link.clone()?;
        Some(Arc::new(move || link.is_up()))
    }

    /// Starts everything that works beside Django on the control runtime.
    pub(super) fn start(self, settings: &Settings, storage: &Storage, delivery: &Delivery, control: &Handle) -> Work {
        let (stop, stopped) = watch::channel(false);
        let fanout = &delivery.fanout;
        let sweep = Sweep {
            store: storage.store.clone(),
            rows: self.rows.clone(),
            routes: delivery.routes.clone(),
            inboxes: delivery.inboxes.clone(),
            lists: delivery.lists.clone(),
        };
        let (store, routes) = (&sweep.store.clone(), &sweep.routes.clone());
        let told = Arc::clone(fanout);
        let groups = live(&sweep.inboxes, &[Kind::Authors, Kind::Posts]);
        let tail = Tail::new(tail::Ways {
            store: Arc::clone(store),
            rows: Arc::clone(&self.rows),
            live: live(&sweep.inboxes, &[Kind::Rooms, Kind::Notifications]),
            publish: Box::new(move |events| told.publish(events)),
        });
        let tail = control.spawn(alarm::watched("the look at rows that Django adds", tail.run()));
        control.spawn(alarm::watched("the look at whom users follow", sweep.run()));
        let redis = settings.redis.clone().zip(self.link);
        let listener = redis.map(|(address, link)| {
            let rows = Arc::clone(&self.rows);
            let ringer = Ringer::new(rows, Arc::clone(fanout), is_live(routes));
            ringer.start(control);
            let changes = Arc::new(Changes::default());
            let noted = Arc::clone(&changes);
            routes.watch(Box::new(move |topic| noted.note(topic)));
            let ears = Ears {
                changes,
                is_live: is_live(routes),
                live: groups,
                hear: Arc::new(move |element| ringer.hear(element)),
            };
            let listener = Listener::new(address, PREFIX, ears, link).run(stopped);
            control.spawn(alarm::watched("the listener of Django's channel layer", listener))
        });
        Work { stop, listener, tail }
    }
}

/// A function that asks the shards which topics of these kinds have listeners.
fn live(inboxes: &Arc<[Arc<Inbox>]>, kinds: &'static [Kind]) -> Live {
    let inboxes = Arc::clone(inboxes);
    Box::new(move || {
        let inboxes = Arc::clone(&inboxes);
        Box::pin(async move { port::heard(&inboxes, kinds).await.into_iter().map(|(topic, _)| topic).collect() })
    })
}

fn is_live(routes: &Arc<Routes>) -> Box<dyn Fn(Topic) -> bool + Send + Sync> {
    let routes = Arc::clone(routes);
    Box::new(move |topic: Topic| !routes.shards_of(&topic).is_empty())
}

impl Work {
    /// Leaves the groups of the channel layer. Returns when they are left.
    pub(super) async fn stop(self) {
        self.tail.abort();
        let _ = self.stop.send(true);
        if let Some(listener) = self.listener {
            let _ = listener.await;
        }
    }
}
