//! Reads the streams of a Redis Cluster, where a command may name keys of one slot only: each stream has its own slot, and
//! its own connection that waits.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cluster::bus::{BusError, Positions, Reader};
use crate::cluster::entries::{Found, ends, read};
use crate::cluster::redis::{Address, Connection};
use crate::ids::PARTITIONS;
use crate::limits::{BUS_BLOCK, BUS_READS_WAITING};

/// Slots of a cluster.
const SLOTS: usize = 16_384;

/// The hash tag of a partition's key. Its slot is near the middle of the partition's share of all slots, so servers that
/// have equal shares of the slots have equal shares of the streams.
pub(super) fn tag_of(partition: usize) -> String {
    let share = SLOTS / PARTITIONS;
    let middle = partition % PARTITIONS * share + share / 2;
    let is_near = |tag: &String| usize::from(fred::util::redis_keyslot(tag.as_bytes())).abs_diff(middle) < share / 8;
    (0_u64..).map(|number| number.to_string()).find(is_near).unwrap_or_default()
}

/// What one connection has read, or why it ended.
type Read = Result<(usize, Found), BusError>;

/// A connection for each stream. The first that fails ends all.
pub(super) struct SpreadReader {
    keys: [String; PARTITIONS],
    /// Connections that do not wait yet.
    idle: Vec<Connection>,
    found: mpsc::Receiver<Read>,
    tell: mpsc::Sender<Read>,
    waiting: JoinSet<()>,
    /// It failed behind what was returned last.
    failed: Option<BusError>,
}

impl SpreadReader {
    pub async fn connect(address: &Address, keys: [String; PARTITIONS]) -> Result<Self, BusError> {
        let connecting = keys.iter().map(|_| address.connect_to_block());
        let idle = try_join_all(connecting).await.map_err(BusError::from)?;
        let (tell, found) = mpsc::channel(BUS_READS_WAITING);
        Ok(Self { keys, idle, found, tell, waiting: JoinSet::new(), failed: None })
    }

    /// Each connection waits for its stream from here on.
    fn wait(&mut self, positions: &Positions) {
        for (partition, connection) in self.idle.drain(..).enumerate() {
            let (key, mut last) = (self.keys[partition].clone(), positions.0[partition].clone());
            let tell = self.tell.clone();
            self.waiting.spawn(async move {
                loop {
                    match read(&connection, vec![key.clone()], vec![last.clone()]).await {
                        Ok(found) => {
                            for found in found {
                                last.clone_from(&found.last);
                                if tell.send(Ok((partition, found))).await.is_err() {
                                    return;
                                }
                            }
                        }
                        Err(error) => {
                            let _ = tell.send(Err(error)).await;
                            return;
                        }
                    }
                }
            });
        }
    }
}

#[async_trait]
impl Reader for SpreadReader {
    async fn ends(&mut self) -> Result<Positions, BusError> {
        let connection = self.idle.first().ok_or_else(|| BusError("the reader waits already".into()))?;
        ends(connection, &self.keys).await
    }

    async fn read_after(&mut self, positions: &mut Positions) -> Result<Vec<Bytes>, BusError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.wait(positions);
        let mut entries = Vec::new();
        // Each connection has a deadline of its own, and tells if it fails.
        let Ok(mut next) = timeout(BUS_BLOCK, self.found.recv()).await else { return Ok(entries) };
        while let Some(read) = next {
            let (partition, found) = match read {
                Ok(read) => read,
                Err(error) if entries.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            };
            positions.0[partition] = found.last;
            entries.extend(found.entries);
            next = self.found.try_recv().ok();
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_servers_have_two_or_three_streams_each() {
        let mut shares = [0; 3];
        for partition in 0..PARTITIONS {
            let slot = usize::from(fred::util::redis_keyslot(format!("{{{}}}:x", tag_of(partition)).as_bytes()));
            shares[slot * 3 / SLOTS] += 1;
        }
        assert_eq!(shares, [3, 2, 3]);
    }
}
