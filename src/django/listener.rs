//! Listens to the channel layer in Redis: empties the queues of this process, joins groups and leaves them. After any
//! error it begins anew, on new connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, KeysInterface, SetsInterface, SortedSetsInterface};
use fred::types::{CustomCommand, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::cluster::redis::{Address, Connection};
use crate::django::channels::{Group, Names, channel};
use crate::django::groups::{Groups, Order};
use crate::django::groups_needed::{Changes, group_of, topic_of};
use crate::django::tail::Live;
use crate::ids::Topic;
use crate::limits;

/// Django drops memberships and sets that are older than this.
const GROUP_EXPIRY_SECONDS: i64 = 86_400;
/// Seconds that one blocking read waits.
const BLOCK_SECONDS: u32 = 5;
/// How long leaving all groups may take when the server stops.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How many queues of dead processes one heartbeat clears away.
const CLEAR_MAX: i64 = 8;

/// Whether the channel layer can be reached. Shared with `/readyz`.
#[derive(Debug, Default)]
pub struct Link {
    is_up: AtomicBool,
}

impl Link {
    /// Redis answers, and our groups are joined or being joined.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    fn set(&self, is_up: bool) -> bool {
        metrics::gauge!("pregon_django_redis").set(if is_up { 1.0 } else { 0.0 });
        self.is_up.swap(is_up, Ordering::AcqRel) != is_up
    }
}

/// Takes an element from a queue. Never blocks.
pub type Hear = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// What the listener needs from the rest of the server.
pub struct Ears {
    /// The topics whose listeners changed.
    pub changes: Arc<Changes>,
    /// Has a topic listeners?
    pub is_live: Box<dyn Fn(Topic) -> bool + Send + Sync>,
    /// All topics that have listeners and a group.
    pub live: Live,
    /// Where elements go.
    pub hear: Hear,
}

/// One process's part in the channel layer.
pub struct Listener {
    address: Address,
    names: Names,
    groups: Groups,
    ears: Ears,
    link: Arc<Link>,
}

impl Listener {
    /// A process that is in no group yet.
    pub fn new(address: Address, prefix: &str, ears: Ears, link: Arc<Link>) -> Self {
        let groups = Groups::new(limits::CHANNEL_LINGER, limits::CHANNEL_REFRESH);
        Self { address, names: Names::fresh(prefix), groups, ears, link }
    }

    /// Listens until `stop` is true, then leaves its groups.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut pause = limits::CHANNEL_PAUSE_MIN;
        self.link.set(false);
        let mut has_failed = false;
        loop {
            let Err(error) = self.live(&mut stop).await else { return };
            if self.link.set(false) {
                pause = limits::CHANNEL_PAUSE_MIN;
                has_failed = false;
            }
            if !std::mem::replace(&mut has_failed, true) {
                tracing::error!(%error, "Redis is away: what Django announces is not heard until it is back");
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = stopped(&mut stop) => return,
            }
            pause = (pause * 2).min(limits::CHANNEL_PAUSE_MAX);
        }
    }

    /// One life, from new connections to their end. `Ok` means that the server stops and that the groups were left if
    /// possible.
    async fn live(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Error> {
        let Connection { client, .. } = &self.address.connect().await?;
        let blocked = self.address.connect_to_block().await?;
        let keys: Vec<String> = self.names.queue_keys().collect();
        let mut reader = Reader(tokio::spawn(read(blocked.client.clone(), keys, Arc::clone(&self.ears.hear))));
        let ended = self.serve(client, &mut reader.0, stop).await;
        drop((reader, blocked));
        if ended.is_ok() {
            match timeout(LEAVE_TIMEOUT, self.leave_all(client)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "groups could not be left: others clear them away"),
                Err(_) => tracing::warn!("groups could not be left in time: others clear them away"),
            }
        }
        ended
    }

    async fn serve(
        &mut self,
        client: &Client,
        reader: &mut JoinHandle<Error>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Error> {
        self.beat(client).await?;
        self.groups.join_anew(Instant::now());
        self.ears.changes.forget();
        self.look_through().await;
        let mut beats = interval(limits::CHANNEL_HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.tick().await;
        loop {
            self.obey(client).await?;
            if self.link.set(true) {
                tracing::info!(groups = self.groups.wanted(), "listening to what Django announces");
            }
            let due = self.groups.next_due().unwrap_or_else(|| Instant::now() + limits::CHANNEL_HEARTBEAT);
            tokio::select! {
                error = &mut *reader => {
                    let gone = || Error::new(ErrorKind::Unknown, "the reader ended");
                    return Err(error.unwrap_or_else(|_| gone()));
                }
                () = self.ears.changes.wait() => self.look_through().await,
                () = sleep_until(due.into()) => {}
                _ = beats.tick() => {
                    if self.beat(client).await? {
                        tracing::warn!("Redis had forgotten this process: joining its groups anew");
                        self.groups.join_anew(Instant::now());
                    }
                }
                () = stopped(stop) => return Ok(()),
            }
        }
    }

    /// Asks which of the changed topics have listeners now, and notes it for their groups.
    async fn look_through(&mut self) {
        let now = Instant::now();
        match self.ears.changes.take() {
            Some(changed) => {
                for topic in changed {
                    if let Some(group) = group_of(topic) {
                        self.groups.want(group, (self.ears.is_live)(topic), now);
                    }
                }
            }
            None => {
                for group in (self.ears.live)().await.into_iter().filter_map(group_of) {
                    self.groups.want(group, true, now);
                }
                for group in self.groups.all_wanted() {
                    self.groups.want(group, (self.ears.is_live)(topic_of(group)), now);
                }
            }
        }
        metrics::gauge!("pregon_django_groups").set(u32::try_from(self.groups.wanted()).unwrap_or(u32::MAX));
    }

    /// Joins and leaves the groups that are due.
    async fn obey(&mut self, client: &Client) -> Result<(), Error> {
        loop {
            let orders = self.groups.take_due(Instant::now(), limits::CHANNEL_ORDERS_MAX);
            if orders.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.carry_out(client, &orders).await {
                self.groups.not_done(&orders, Instant::now());
                return Err(error);
            }
        }
    }

    async fn carry_out(&self, client: &Client, orders: &[Order]) -> Result<(), Error> {
        let pipeline = client.pipeline();
        let score = seconds(Timestamp::now().0) / 1e6;
        for order in orders {
            match *order {
                Order::Join(group) => {
                    let (name, queue) = (group.to_string(), self.names.queues()[group.queue()]);
                    let (set, ledger) = (self.names.group_key(&name), self.names.groups_key(queue));
                    let member = (score, channel(queue, &name));
                    // The ledger first: if this process is killed in between, other processes know of the group and
                    // can clear it away.
                    let _: Value = pipeline.sadd(&ledger, name).await?;
                    let _: Value = pipeline.expire(&ledger, GROUP_EXPIRY_SECONDS, None).await?;
                    let _: Value = pipeline.zadd(&set, None, None, false, false, member).await?;
                    let _: Value = pipeline.expire(&set, GROUP_EXPIRY_SECONDS, None).await?;
                }
                Order::Leave(group) => self.leave(&pipeline, group).await?,
            }
        }
        let _: Value = pipeline.all().await?;
        Ok(())
    }

    async fn leave<C>(&self, client: &C, group: Group) -> Result<(), Error>
    where
        C: SortedSetsInterface + SetsInterface + Sync,
    {
        let (name, queue) = (group.to_string(), self.names.queues()[group.queue()]);
        let _: Value = client.zrem(self.names.group_key(&name), channel(queue, &name)).await?;
        let _: Value = client.srem(self.names.groups_key(queue), name).await?;
        Ok(())
    }

    /// Removes everything of this process from Redis, because the server stops.
    async fn leave_all(&mut self, client: &Client) -> Result<(), Error> {
        for groups in self.groups.joined().chunks(limits::CHANNEL_ORDERS_MAX) {
            let pipeline = client.pipeline();
            for group in groups {
                self.leave(&pipeline, *group).await?;
            }
            let _: Value = pipeline.all().await?;
        }
        let pipeline = client.pipeline();
        for (queue, key) in self.names.queues().iter().zip(self.names.queue_keys()) {
            let _: Value = pipeline.del(key).await?;
            let _: Value = pipeline.del(self.names.groups_key(*queue)).await?;
            let _: Value = pipeline.zrem(self.names.ledger_key(), queue.simple().to_string()).await?;
        }
        let _: Value = pipeline.all().await?;
        Ok(())
    }

    /// Tells other processes that this one lives, and clears away what dead processes left behind. True if Redis did
    /// not know this process any more.
    async fn beat(&self, client: &Client) -> Result<bool, Error> {
        let time: Vec<String> =
            client.custom(CustomCommand::new_static("TIME", None, false), Vec::<Value>::new()).await?;
        let now = time.first().and_then(|seconds| seconds.parse::<i64>().ok());
        // With a wrong time others would take this process for dead.
        let now = now.ok_or_else(|| Error::new(ErrorKind::Parse, "Redis' TIME is no number"))?;
        let ledger = self.names.ledger_key();
        let mine: Vec<(f64, String)> =
            self.names.queues().iter().map(|queue| (seconds(now), queue.simple().to_string())).collect();
        let added: i64 = client.zadd(&ledger, None, None, false, false, mine).await?;
        let until = now - i64::try_from(limits::CHANNEL_DEAD_AFTER.as_secs()).unwrap_or(i64::MAX);
        let dead: Vec<String> = client.zrangebyscore(&ledger, 0.0, seconds(until), false, Some((0, CLEAR_MAX))).await?;
        for queue in dead {
            let Ok(id) = Uuid::try_parse(&queue) else {
                let _: Value = client.zrem(&ledger, queue).await?;
                continue;
            };
            self.clear(client, id).await?;
        }
        Ok(added > 0)
    }

    /// Takes the queue of a dead process out of its groups: otherwise every sender would go on writing to it.
    async fn clear(&self, client: &Client, queue: Uuid) -> Result<(), Error> {
        let groups_key = self.names.groups_key(queue);
        let mut cleared = 0;
        loop {
            let names: Vec<String> = client.spop(&groups_key, Some(limits::CHANNEL_ORDERS_MAX)).await?;
            if names.is_empty() {
                break;
            }
            cleared += names.len();
            let pipeline = client.pipeline();
            for name in names {
                let _: Value = pipeline.zrem(self.names.group_key(&name), channel(queue, &name)).await?;
            }
            let _: Value = pipeline.all().await?;
        }
        let _: Value = client.zrem(self.names.ledger_key(), queue.simple().to_string()).await?;
        tracing::info!(groups = cleared, "left the groups of a process that ended without doing so");
        Ok(())
    }
}

/// Ready when the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    while !*stop.borrow_and_update() {
        if stop.changed().await.is_err() {
            return;
        }
    }
}

/// A task that is aborted when its handle is dropped.
struct Reader(JoinHandle<Error>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Empties the queues. It has a connection of its own, because a blocking read holds up every command behind it.
async fn read(client: Client, keys: Vec<String>, hear: Hear) -> Error {
    loop {
        let asked = client.bzpopmin::<Value, _>(keys.clone(), f64::from(BLOCK_SECONDS));
        let wait = Duration::from_secs(u64::from(BLOCK_SECONDS)) + limits::CHANNEL_ANSWER_TIMEOUT;
        match timeout(wait, asked).await {
            Ok(Ok(Value::Null)) => continue,
            // The client reports an empty wait this way too: nothing came while Redis waited. The client's own timeouts
            // are off here.
            Ok(Err(error)) if *error.kind() == ErrorKind::Timeout => continue,
            // An array of key, element and score.
            Ok(Ok(popped)) => {
                if let Some(element) = popped.into_array().get(1).and_then(Value::as_bytes) {
                    hear(element);
                }
            }
            Ok(Err(error)) => return error,
            Err(_) => return Error::new(ErrorKind::Timeout, "no answer in time"),
        }
        if let Err(error) = drain(&client, &keys, &*hear).await {
            return error;
        }
    }
}

/// Takes everything that came meanwhile, many elements at a time.
async fn drain(client: &Client, keys: &[String], hear: &(dyn Fn(&[u8]) + Send + Sync)) -> Result<(), Error> {
    loop {
        let pipeline = client.pipeline();
        for key in keys {
            let _: Value = pipeline.zpopmin(key, Some(limits::CHANNEL_POPS_MAX)).await?;
        }
        let popped: Vec<Value> = pipeline.all().await?;
        let mut heard = 0;
        for queue in popped {
            heard += elements(queue, hear);
        }
        if heard == 0 {
            return Ok(());
        }
    }
}

/// Hears the elements of a reply, in which elements and scores alternate or come as pairs; returns how many there were.
fn elements(popped: Value, hear: &(dyn Fn(&[u8]) + Send + Sync)) -> usize {
    let mut heard = 0;
    let mut tell = |element: Option<&[u8]>| {
        if let Some(element) = element {
            heard += 1;
            hear(element);
        }
    };
    let values = match popped {
        Value::Array(values) => values,
        _ => return 0,
    };
    if values.iter().any(Value::is_array) {
        for pair in values {
            tell(pair.into_array().first().and_then(Value::as_bytes));
        }
    } else {
        values.iter().step_by(2).for_each(|element| tell(element.as_bytes()));
    }
    heard
}

#[expect(clippy::cast_precision_loss, reason = "even microseconds since 1970 are below 2^53")]
fn seconds(seconds: i64) -> f64 {
    seconds as f64
}
