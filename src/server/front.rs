//! Builds what clients meet: the gate in front of sockets, and the REST API.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::access::bad_tokens::BadTokens;
use crate::access::gate::{Door, Judge, Terms};
use crate::access::lifecycle::Lifecycle;
use crate::access::logins::{self, Logins};
use crate::access::newcomers::Newcomers;
use crate::access::password::Hasher;
use crate::access::rate::Rates;
use crate::access::reconnects::Reconnects;
use crate::access::signature_checks::SignatureChecks;
use crate::access::sockets::Sockets;
use crate::access::token::Tokens;
use crate::config::Settings;
use crate::engine::session::pace::Paces;
use crate::engine::shard::port::{Allowance, Elsewhere, Errands, Ports};
use crate::fanout::follow_lists;
use crate::ids::UserId;
use crate::rest::assets::Assets;
use crate::rest::posts::edit_turns::EditTurns;
use crate::rest::{App, PushDesk};
use crate::server::compression;
use crate::server::delivery::Delivery;
use crate::server::desk::{self, Desk, WaitingErrands};
use crate::server::memory::Memory;
use crate::server::replay::Replay;
use crate::server::rest::{self, UnderWay};
use crate::server::storage::Storage;
use crate::telemetry::Registry;

/// Tells whether Redis answers.
pub(super) type IsRedisUp = Arc<dyn Fn() -> bool + Send + Sync>;

/// Django's channel layer, and the bus between nodes; each if it is there.
type Links = (Option<IsRedisUp>, Option<IsRedisUp>);

/// What the gate and the REST API share.
pub(super) struct Front {
    pub tokens: Arc<Tokens>,
    pub bad_tokens: Arc<BadTokens>,
    rates: Arc<Rates>,
    /// Who has sockets here.
    pub sockets: Arc<Sockets>,
    /// What browsers have to know to subscribe to pushes.
    pub push_key: OnceLock<String>,
    pub lifecycle: Arc<Lifecycle>,
    /// Rings when a login has ended on this node.
    pub logins_bell: Arc<Notify>,
    /// Counts the answers that are being made.
    pub under_way: UnderWay,
}

impl Front {
    /// # Errors
    /// When the keys or the secret of tokens cannot be read or made.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        metrics::gauge!("pregon_rate_limits").set(if settings.rate_limits { 1.0 } else { 0.0 });
        Ok(Self {
            tokens: Arc::new(settings.tokens()?),
            bad_tokens: Arc::new(BadTokens::new(settings.rate_limits, &settings.bytes_of_all_nodes()?)),
            rates: Arc::new(Rates::new(settings.rate_limits)),
            sockets: Arc::new(Sockets::new(
                settings.rate_limits,
                settings.push.is_some(),
                settings.limits.sockets_per_user,
            )),
            push_key: OnceLock::new(),
            lifecycle: Arc::new(Lifecycle::new()),
            logins_bell: Arc::new(Notify::new()),
            under_way: UnderWay::new(),
        })
    }

    /// All that shards ask of the rest of the server.
    pub fn ports(
        &self,
        settings: &Settings,
        storage: &Storage,
        delivery: &Delivery,
        redis: Links,
        registry: Registry,
        control: &Handle,
    ) -> Ports {
        let waiting = delivery.waiting.clone();
        if let Some(outbox) = delivery.outbox.clone() {
            self.bad_tokens.tell(move |key| outbox.barred(key));
        }
        let memory = Arc::new(Memory::new(settings.sizes(), waiting.clone(), delivery.inboxes.clone()));
        let app = self.app(settings, storage, delivery, redis, (registry, memory.clone()));
        let (store, inboxes) = (storage.store.clone(), delivery.inboxes.clone());
        let (trusted, submit) = (settings.trusted_proxies.clone(), store.clone());
        Ports {
            waiting,
            inboxes: inboxes.clone(),
            directory: delivery.routes.clone(),
            gate: Arc::new(self.door(settings, storage, control)),
            errands: self.desk(settings, storage, delivery, &memory.errands, control),
            rest: rest::port(crate::rest::router(app), control.clone(), self.under_way.clone(), trusted, memory),
            submit: Arc::new(move |write| submit.submit(write)),
            load_follows: follow_lists::port(store, inboxes, delivery.lists.clone(), control),
            elsewhere: delivery.outbox.clone().map(|outbox| -> Arc<dyn Elsewhere> { Arc::new(outbox) }),
            allowance: allowance(settings),
        }
    }

    /// Wakes the task that closes the sockets of ended logins, here and on other nodes.
    fn bell(&self, delivery: &Delivery) -> logins::Bell {
        let (bell, outbox) = (self.logins_bell.clone(), delivery.outbox.clone());
        Box::new(move || {
            bell.notify_one();
            if let Some(outbox) = &outbox {
                outbox.logins_ended();
            }
        })
    }

    fn app(
        &self,
        settings: &Settings,
        storage: &Storage,
        delivery: &Delivery,
        redis: Links,
        (registry, memory): (Registry, Arc<Memory>),
    ) -> App {
        App {
            store: storage.store.clone(),
            tokens: self.tokens.clone(),
            logins: Logins::new(storage.store.clone(), settings.logins, self.bell(delivery)),
            hasher: Hasher::default(),
            presenter: delivery.presenter.clone(),
            media: storage.media.clone(),
            site: settings.site.clone(),
            page: settings.web_dir.clone().map_or(Assets::Embedded, Assets::Folder),
            lifecycle: self.lifecycle.clone(),
            origins: settings.origins.clone(),
            is_encrypted: settings.tls.is_some(),
            trusted_proxies: settings.trusted_proxies.clone(),
            rates: self.rates.clone(),
            push: settings
                .push
                .as_ref()
                .zip(self.push_key.get())
                .map(|(terms, public_key)| PushDesk { public_key: public_key.clone(), hosts: terms.hosts.clone() }),
            body_deadline: settings.limits.body,
            edit_turns: EditTurns::default(),
            metrics_public: settings.metrics_public,
            profile_changed: profile_changed(delivery),
            node: settings.node.clone(),
            render_metrics: Arc::new(move || {
                memory.measure();
                compression::measure();
                registry.render()
            }),
            redis: redis.0,
            bus: redis.1,
        }
    }

    /// Who does what sockets with many topics need.
    fn desk(
        &self,
        settings: &Settings,
        storage: &Storage,
        delivery: &Delivery,
        waiting: &WaitingErrands,
        control: &Handle,
    ) -> Errands {
        let judge = Judge { store: storage.store.clone(), terms: terms(settings) };
        let replay = Replay {
            log: storage.store.clone(),
            presenter: delivery.presenter.clone(),
            routes: delivery.routes.clone(),
        };
        let (tokens, bad_tokens, rates) = (self.tokens.clone(), self.bad_tokens.clone(), self.rates.clone());
        let desk = Desk { judge, tokens, bad_tokens, rates, replay, inboxes: delivery.inboxes.clone() };
        desk::port(desk, waiting, control)
    }

    /// Who may open a socket.
    fn door(&self, settings: &Settings, storage: &Storage, control: &Handle) -> Door {
        Door {
            store: storage.store.clone(),
            tokens: self.tokens.clone(),
            origins: settings.origins.clone(),
            hosts: settings.hosts(),
            lifecycle: self.lifecycle.clone(),
            terms: terms(settings),
            reconnects: Reconnects::new(settings.rate_limits),
            sockets: self.sockets.clone(),
            newcomers: Newcomers::new(settings.rate_limits, &settings.limits, &settings.trusted_proxies),
            bad_tokens: self.bad_tokens.clone(),
            signature_checks: SignatureChecks::new(self.tokens.clone(), control.clone()),
            trusted_proxies: settings.trusted_proxies.clone(),
            echo: settings.echo,
            compression: settings.compression,
        }
    }
}

/// Tells clients here and other nodes of a new name or picture.
fn profile_changed(delivery: &Delivery) -> Arc<dyn Fn(UserId) + Send + Sync> {
    let (profiles, outbox) = (delivery.profiles.clone(), delivery.outbox.clone());
    Arc::new(move |user| {
        profiles.changed(user);
        if let Some(outbox) = &outbox {
            outbox.profile_changed(user);
        }
    })
}

/// What clients may do.
fn allowance(settings: &Settings) -> Allowance {
    let keys = [rand::random(), rand::random()];
    let paces = || Arc::new(Paces::new(settings.limits.frames, Instant::now(), keys));
    Allowance { paces: settings.rate_limits.then(paces), limits: settings.limits }
}

fn terms(settings: &Settings) -> Terms {
    Terms {
        token_grace: settings.token_grace,
        presence_room_max: settings.presence_room_max,
        strict_tokens: settings.strict_tokens,
    }
}
