//! Asks Redis for the entries of streams, each time with a deadline, and makes sense of what it answers.

use std::time::Duration;

use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::StreamsInterface;
use fred::types::Value;
use futures_util::future::try_join_all;
use tokio::time::timeout;

use crate::cluster::bus::{BusError, Positions};
use crate::cluster::redis::Connection;
use crate::ids::PARTITIONS;
use crate::limits::{BUS_ANSWER_TIMEOUT, BUS_BLOCK, BUS_READ_MAX};

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
    pub key: String,
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
        Ok(Err(error)) => return Err(BusError::from(error)),
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

pub(super) async fn in_time<T>(limit: Duration, asked: impl Future<Output = Result<T, Error>>) -> Result<T, BusError> {
    timeout(limit, asked)
        .await
        .unwrap_or_else(|_| Err(Error::new(fred::error::ErrorKind::Timeout, "no answer in time")))
        .map_err(BusError::from)
}

impl From<Error> for BusError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

fn late() -> BusError {
    BusError("no answer in time".into())
}
