//! Joins the server to the other nodes on the same database.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::cluster::streams::Streams;
use crate::cluster::{Barred, Cluster, Hear, HearEphemeral, HearPresence, LoginsEnded, ProfileChanged, Ways, Work};
use crate::config::{Database, Settings};
use crate::engine::shard::port::{ToShard, home};
use crate::server::delivery::Delivery;
use crate::server::front::Front;
use crate::server::operator::Operator;
use crate::server::storage::Storage;
use crate::store::Told;

/// This server as a node, if it can have others: they share a database server, and a Redis.
pub(super) fn of(settings: &Settings) -> Option<Cluster> {
    (settings.redis.is_some() && matches!(settings.database, Database::Mysql(_))).then(Cluster::new)
}

/// The parts of the server that other nodes have to do with.
pub(super) struct Parts<'a> {
    pub storage: &'a Storage,
    pub delivery: &'a Delivery,
    pub front: &'a Front,
    pub operator: &'a Arc<Operator>,
}

/// Starts what tells others and hears them.
pub(super) async fn start(
    cluster: Option<Cluster>,
    settings: &Settings,
    parts: &Parts<'_>,
    control: &Handle,
) -> Option<Work> {
    let Parts { storage, delivery, front, operator } = parts;
    let (cluster, address) = cluster.zip(settings.redis.clone())?;
    let bus = Arc::new(Streams::new(address, &settings.bus_prefix()));
    let (store, lists, fanout) = (storage.store.clone(), delivery.lists.clone(), delivery.fanout.clone());
    let hear: Hear = Arc::new(move |events| {
        store.overtaken(&events);
        lists.committed(&events);
        fanout.tell(events, Told::new(|| ()));
    });
    let (routes, inboxes) = (delivery.routes.clone(), delivery.inboxes.clone());
    let hear_ephemeral: HearEphemeral = Arc::new(move |publication| {
        let shards = routes.shards_of(&publication.topic);
        let publication = Arc::new(publication);
        block_in_place(|| {
            shards.iter().for_each(|shard| inboxes[shard.index()].send(ToShard::Publish(publication.clone())));
        });
    });
    let shards = delivery.inboxes.clone();
    let hear_presence: HearPresence =
        Arc::new(move |message, room| shards[home(room, shards.len()).index()].send(message));
    let bell = front.logins_bell.clone();
    let logins_ended: LoginsEnded = Arc::new(move || bell.notify_one());
    let (store, fanout) = (storage.store.clone(), delivery.fanout.clone());
    let (overtaken, profiles) = (storage.store.clone(), delivery.profiles.clone());
    let profile_changed: ProfileChanged = Arc::new(move |user| {
        overtaken.profile_overtaken(user);
        profiles.changed(user);
    });
    let bad_tokens = front.bad_tokens.clone();
    let barred: Barred = Arc::new(move |key| bad_tokens.bar(key, Instant::now()));
    let (answer, about) = (operator.answers(), operator.says());
    Some(
        cluster
            .start(
                bus,
                Ways {
                    store,
                    fanout,
                    hear,
                    hear_ephemeral,
                    hear_presence,
                    logins_ended,
                    profile_changed,
                    barred,
                    answer,
                    about,
                },
                control,
            )
            .await,
    )
}
