//! Builds the way of committed events to the shards: inboxes, routes and the fan-out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::runtime::Handle;

use crate::cluster::{Cluster, Outbox};
use crate::config::{Database, Settings};
use crate::domain::chat::event::ChatEvent;
use crate::domain::event::Committed;
use crate::domain::write::{Durability, Intent, Outcome};
use crate::engine::shard::port::{Inbox, Waiting};
use crate::fanout::follow_lists::Lists;
use crate::fanout::profiles::{Profiles, Told as ToldOfProfiles};
use crate::fanout::publisher::Fanout;
use crate::fanout::push::Push;
use crate::fanout::routes::Routes;
use crate::ids::{SessionKey, UserId};
use crate::protocol::v0::object::Presenter;
use crate::rest::uploads::orphans::Litter;
use crate::server::post_reread;
use crate::store::{LanePort, Store, Told};
use crate::telemetry::alarm;

/// Everything between the lanes and the shards.
pub(super) struct Delivery {
    pub inboxes: Arc<[Arc<Inbox>]>,
    /// What waits on each shard, and how many sessions it has.
    pub waiting: Arc<Waiting>,
    pub routes: Arc<Routes>,
    pub presenter: Arc<Presenter>,
    pub fanout: Arc<Fanout>,
    pub lists: Arc<Lists>,
    /// Users of whose new names and pictures clients are told.
    pub profiles: Arc<Profiles>,
    /// Files that no message names any more.
    pub litter: Arc<Litter>,
    /// Where other nodes are told of what happens here.
    pub outbox: Option<Outbox>,
    /// Where those who have no socket are told.
    pub push: Option<Push>,
}

impl Delivery {
    /// Builds the parts; nothing is told before [`Self::start`]. `bound` is the address by which frames name files if
    /// no other is set.
    pub fn new(settings: &Settings, bound: SocketAddr, cluster: Option<&Cluster>) -> Self {
        let inboxes: Arc<[Arc<Inbox>]> = (0..settings.shards).map(|_| Arc::default()).collect();
        let routes = Arc::new(Routes::default());
        let presenter = Presenter::new(&settings.media_base(bound), settings.mask_contacts);
        let presenter = Arc::new(presenter.with_times(settings.json_times));
        // As many publishers as lanes, so that a lane which has committed finds a free one.
        let (updates, publishers) = (settings.post_updates, settings.write_lanes);
        let fanout = Arc::new(Fanout::new(routes.clone(), inboxes.clone(), presenter.clone(), updates, publishers));
        let lists = Arc::new(Lists::new(matches!(settings.database, Database::Sqlite(_))));
        if let Some(cluster) = cluster {
            let (began, read_missing) = cluster.read_missing();
            fanout.join_others(began, read_missing);
        }
        let outbox = cluster.map(Cluster::outbox);
        let waiting = Arc::new(Waiting::of_shards(settings.shards));
        Self {
            inboxes,
            waiting,
            routes,
            presenter,
            fanout,
            lists,
            profiles: Arc::default(),
            litter: Arc::default(),
            outbox,
            push: settings.push.as_ref().map(|terms| Push::new(terms.delay)),
        }
    }

    /// The port by which lanes hand over what they committed.
    pub fn lane_port(&self) -> Arc<dyn LanePort> {
        let (lists, fanout, litter) = (self.lists.clone(), self.fanout.clone(), self.litter.clone());
        Arc::new(LaneToFanout { lists, fanout, litter, outbox: self.outbox.clone(), push: self.push.clone() })
    }

    /// Starts the publishers' threads.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn start(&self, store: &Arc<dyn Store>, control: &Handle) -> anyhow::Result<Vec<JoinHandle<()>>> {
        let (routes, inboxes, presenter) = (self.routes.clone(), self.inboxes.clone(), self.presenter.clone());
        let profiles = self.profiles.clone().tell(store.clone(), ToldOfProfiles { routes, inboxes, presenter });
        control.spawn(alarm::watched("what clients are told of profiles", profiles));
        let reread = post_reread::port(store.clone(), self.fanout.clone(), control);
        self.fanout.start(reread).context("no thread for what is told: raise the limit on processes (ulimit -u)")
    }
}

/// Joins the lanes to the fan-out.
struct LaneToFanout {
    lists: Arc<Lists>,
    fanout: Arc<Fanout>,
    litter: Arc<Litter>,
    outbox: Option<Outbox>,
    push: Option<Push>,
}

impl LanePort for LaneToFanout {
    fn place(&self, events: &[Arc<Committed>]) {
        self.fanout.place(events);
    }

    fn give_back(&self, events: &[Arc<Committed>]) {
        self.fanout.give_back(events);
    }

    fn committed(&self, events: Vec<Arc<Committed>>, told: Told) {
        if let Some(outbox) = &self.outbox {
            outbox.events(&events);
        }
        if let Some(push) = &self.push {
            push.committed(&events);
        }
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

    fn replied(
        &self,
        session: SessionKey,
        request: &str,
        (actor, intent): (UserId, &Intent),
        outcome: (&Outcome, Durability),
    ) {
        self.fanout.reply(session, request, (intent.topic(actor), intent.client_id()), outcome);
    }
}
