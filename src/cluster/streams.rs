//! The bus on Redis: one stream for each partition, and one channel for what is not kept.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::{EventInterface, KeysInterface, PubsubInterface, StreamsInterface};
use fred::types::{Message, Value};
use futures_util::future::try_join_all;
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::cluster::bus::{Bus, BusError, Listener, PARTITIONS, Positions, Reader, Writer};
use crate::cluster::redis::{Address, Connection};
use crate::cluster::spread::{SpreadReader, tag_of};
use crate::limits::{BUS_ANSWER_TIMEOUT, BUS_BLOCK, BUS_READ_MAX, BUS_STREAM_ENTRIES};

/// The name of an entry's only field.
const FIELD: &str = "e";

/// The streams of all nodes that share a database and have the same prefix.
pub struct Streams {
    address: Address,
    prefix: String,
}

impl Streams {
    /// `prefix` begins the names of all keys and channels.
    pub fn new(address: Address, prefix: &str) -> Self {
        Self { address, prefix: prefix.to_owned() }
    }

    fn keys(&self) -> [String; PARTITIONS] {
        let is_cluster = self.address.is_cluster();
        std::array::from_fn(|number| match is_cluster {
            false => format!("{}:events:{number}", self.prefix),
            true => format!("{{{}}}:{}:events:{number}", tag_of(number), self.prefix),
        })
    }

    /// Can streams be written? Leaves nothing behind.
    ///
    /// # Errors
    /// What Redis answered.
    pub async fn try_to_append(&self) -> Result<(), BusError> {
        let connection = self.address.connect().await.map_err(failed)?;
        for key in self.keys() {
            let key = format!("{key}:check:{}", uuid::Uuid::now_v7());
            let tried = in_time(BUS_ANSWER_TIMEOUT * 4, async {
                let _: Value = connection.client.xadd(&key, false, None, "*", (FIELD, "check")).await?;
                let _: Value = connection.client.del(&key).await?;
                Ok(())
            });
            tried.await?;
        }
        Ok(())
    }

    fn channel(&self) -> String {
        format!("{}:bells", self.prefix)
    }
}

#[async_trait]
impl Bus for Streams {
    async fn writer(&self) -> Result<Box<dyn Writer>, BusError> {
        let connection = self.address.connect().await.map_err(failed)?;
        Ok(Box::new(StreamWriter { connection, keys: self.keys(), channel: self.channel() }))
    }

    async fn reader(&self) -> Result<Box<dyn Reader>, BusError> {
        if self.address.is_cluster() {
            return Ok(Box::new(SpreadReader::connect(&self.address, self.keys()).await?));
        }
        let connection = self.address.connect_to_block().await.map_err(failed)?;
        Ok(Box::new(StreamReader { connection, keys: self.keys() }))
    }

    async fn listener(&self) -> Result<Box<dyn Listener>, BusError> {
        let connection = self.address.connect_to_block().await.map_err(failed)?;
        let bells = connection.client.message_rx();
        // fred issue 351: on an idle server the answer to SUBSCRIBE may never come, although the server has obeyed.
        let subscribed = timeout(BUS_ANSWER_TIMEOUT, connection.client.subscribe(self.channel())).await;
        if let Ok(Err(error)) = subscribed {
            return Err(failed(error));
        }
        Ok(Box::new(StreamListener { connection, bells }))
    }
}

struct StreamWriter {
    connection: Connection,
    keys: [String; PARTITIONS],
    channel: String,
}

#[async_trait]
impl Writer for StreamWriter {
    async fn append(&mut self, entries: &[(usize, Bytes)]) -> Result<(), BusError> {
        in_time(BUS_ANSWER_TIMEOUT, async {
            let pipeline = self.connection.client.pipeline();
            for (partition, entry) in entries {
                let key = &self.keys[partition % PARTITIONS];
                let bound = ("MAXLEN", "~", BUS_STREAM_ENTRIES);
                let _: Value = pipeline.xadd(key, false, bound, "*", (FIELD, entry.clone())).await?;
            }
            let _: Vec<Value> = pipeline.all().await?;
            Ok(())
        })
        .await
    }

    async fn ring(&mut self, bells: &[Bytes]) -> Result<(), BusError> {
        in_time(BUS_ANSWER_TIMEOUT, async {
            let pipeline = self.connection.client.pipeline();
            for bell in bells {
                let _: Value = pipeline.publish(&self.channel, bell.clone()).await?;
            }
            let _: Vec<Value> = pipeline.all().await?;
            Ok(())
        })
        .await
    }
}

struct StreamReader {
    connection: Connection,
    keys: [String; PARTITIONS],
}

#[async_trait]
impl Reader for StreamReader {
    async fn ends(&mut self) -> Result<Positions, BusError> {
        ends(&self.connection, &self.keys).await
    }

    async fn read_after(&mut self, positions: &mut Positions) -> Result<Vec<Bytes>, BusError> {
        let found = read(&self.connection, self.keys.to_vec(), positions.0.to_vec()).await?;
        let mut entries = Vec::new();
        for Found { key, last, entries: some } in found {
            let Some(partition) = self.keys.iter().position(|known| *known == key) else { continue };
            positions.0[partition] = last;
            entries.extend(some);
        }
        Ok(entries)
    }
}

/// The last entry of each stream.
pub(super) async fn ends(connection: &Connection, keys: &[String; PARTITIONS]) -> Result<Positions, BusError> {
    let asked = keys
        .iter()
        .map(|key| in_time(BUS_ANSWER_TIMEOUT, connection.client.xrevrange::<Value, _, _, _>(key, "+", "-", Some(1))));
    let found = try_join_all(asked).await?;
    let mut ends = Positions(std::array::from_fn(|_| "0-0".to_owned()));
    for (last, end) in found.into_iter().zip(&mut ends.0) {
        let entry = last.into_array().into_iter().next().map(Value::into_array);
        if let Some(id) = entry.and_then(|entry| entry.first().and_then(Value::as_string)) {
            *end = id;
        }
    }
    Ok(ends)
}

/// New entries of one stream.
pub(super) struct Found {
    key: String,
    pub last: String,
    pub entries: Vec<Bytes>,
}

/// Waits a while for entries of these streams behind these ids.
pub(super) async fn read(connection: &Connection, keys: Vec<String>, ids: Vec<String>) -> Result<Vec<Found>, BusError> {
    let block = u64::try_from(BUS_BLOCK.as_millis()).ok();
    let asked = connection.client.xread::<Value, _, _>(Some(BUS_READ_MAX), block, keys, ids);
    // fred does not notice that a server is dead while a command of ours waits inside it.
    let read = match timeout(BUS_BLOCK + BUS_ANSWER_TIMEOUT, asked).await {
        Ok(Ok(read)) => read,
        // The client reports an empty wait this way, too.
        Ok(Err(error)) if *error.kind() == fred::error::ErrorKind::Timeout => Value::Null,
        Ok(Err(error)) => return Err(failed(error)),
        Err(_) => return Err(late()),
    };
    let streams = pairs(read).into_iter().filter_map(|(key, found)| {
        let mut stream = Found { key: key.as_string()?, last: String::new(), entries: Vec::new() };
        for entry in found.into_array() {
            let mut entry = entry.into_array().into_iter();
            let Some(id) = entry.next().and_then(|id| id.as_string()) else { continue };
            stream.last = id;
            let fields = entry.next().map(pairs).unwrap_or_default();
            stream.entries.extend(fields.into_iter().filter_map(|(_, value)| value.into_bytes()));
        }
        (!stream.last.is_empty()).then_some(stream)
    });
    Ok(streams.collect())
}

struct StreamListener {
    connection: Connection,
    bells: broadcast::Receiver<Message>,
}

#[async_trait]
impl Listener for StreamListener {
    async fn heard(&mut self) -> Result<Bytes, BusError> {
        loop {
            match self.bells.recv().await {
                Ok(message) => {
                    if let Some(bell) = message.value.into_bytes() {
                        return Ok(bell);
                    }
                }
                // What is rung may be lost.
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    metrics::counter!("pregon_bus_dropped_total", "what" => "unheard").increment(count);
                }
                Err(broadcast::error::RecvError::Closed) => {
                    let _ = &self.connection;
                    return Err(BusError("the connection has ended".into()));
                }
            }
        }
    }
}

/// A map, or an array of keys and values that alternate or come as pairs.
fn pairs(value: Value) -> Vec<(Value, Value)> {
    match value {
        Value::Map(map) => {
            map.inner().into_iter().map(|(key, value)| (Value::Bytes(key.into_bytes()), value)).collect()
        }
        Value::Array(values) if values.first().is_some_and(Value::is_array) => {
            let pair = |value: Value| {
                let mut pair = value.into_array().into_iter();
                Some((pair.next()?, pair.next()?))
            };
            values.into_iter().filter_map(pair).collect()
        }
        Value::Array(values) => {
            let mut values = values.into_iter();
            std::iter::from_fn(|| Some((values.next()?, values.next()?))).collect()
        }
        _ => Vec::new(),
    }
}

async fn in_time<T>(limit: Duration, asked: impl Future<Output = Result<T, Error>>) -> Result<T, BusError> {
    timeout(limit, asked)
        .await
        .unwrap_or_else(|_| Err(Error::new(fred::error::ErrorKind::Timeout, "no answer in time")))
        .map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn failed(error: Error) -> BusError {
    BusError(error.to_string())
}

fn late() -> BusError {
    BusError("no answer in time".into())
}
