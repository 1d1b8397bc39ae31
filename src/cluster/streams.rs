//! The bus on Redis: one stream for each partition, and one channel for what is not kept.

use async_trait::async_trait;
use bytes::Bytes;
use fred::interfaces::{EventInterface, KeysInterface, PubsubInterface, StreamsInterface};
use fred::types::{Message, Value};
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::cluster::bus::{Bus, BusError, Listener, Positions, Reader, Writer};
use crate::cluster::entries::{Found, ends, in_time, read};
use crate::cluster::redis::{Address, Connection};
use crate::cluster::spread::{SpreadReader, tag_of};
use crate::ids::PARTITIONS;
use crate::limits::{BUS_ANSWER_TIMEOUT, BUS_STREAM_ENTRIES};

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
        let connection = self.address.connect().await.map_err(BusError::from)?;
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
        let connection = self.address.connect().await.map_err(BusError::from)?;
        Ok(Box::new(StreamWriter { connection, keys: self.keys(), channel: self.channel() }))
    }

    async fn reader(&self) -> Result<Box<dyn Reader>, BusError> {
        if self.address.is_cluster() {
            return Ok(Box::new(SpreadReader::connect(&self.address, self.keys()).await?));
        }
        let connection = self.address.connect_to_block().await.map_err(BusError::from)?;
        Ok(Box::new(StreamReader { connection, keys: self.keys() }))
    }

    async fn listener(&self) -> Result<Box<dyn Listener>, BusError> {
        let connection = self.address.connect_to_listen().await.map_err(BusError::from)?;
        let bells = connection.client.message_rx();
        // fred issue 351: on an idle server the answer to SUBSCRIBE may never come, although the server has obeyed.
        let subscribed = timeout(BUS_ANSWER_TIMEOUT, connection.client.subscribe(self.channel())).await;
        if let Ok(Err(error)) = subscribed {
            return Err(BusError::from(error));
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

struct StreamListener {
    connection: Connection,
    bells: broadcast::Receiver<Message>,
}

#[async_trait]
impl Listener for StreamListener {
    async fn heard(&mut self) -> Result<Bytes, BusError> {
        loop {
            let heard = tokio::select! {
                heard = self.bells.recv() => heard,
                // A Redis that starts again at once must not be listened for on the connection that ended.
                () = self.connection.ended() => Err(broadcast::error::RecvError::Closed),
            };
            match heard {
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
                    return Err(BusError("the connection has ended".into()));
                }
            }
        }
    }
}
