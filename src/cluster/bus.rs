//! What a bus between nodes has to do: append to streams, read what was appended since, ring, and hear what is rung.
//!
//! It is this small so that another Redis client is one file. Every call has a deadline of its own: a client library that
//! does not notice a dead server holds nobody up.

use async_trait::async_trait;
use bytes::Bytes;

use crate::ids::PARTITIONS;

/// Why the bus did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusError(pub String);

impl std::fmt::Display for BusError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BusError {}

/// How far each stream was read: the id of the last entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions(pub [String; PARTITIONS]);

/// Opens connections.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// A connection that appends and rings.
    async fn writer(&self) -> Result<Box<dyn Writer>, BusError>;
    /// A connection that reads streams. Reading waits inside the server, so nothing else can use it.
    async fn reader(&self) -> Result<Box<dyn Reader>, BusError>;
    /// A connection that hears what is rung.
    async fn listener(&self) -> Result<Box<dyn Listener>, BusError>;
}

/// Appends and rings.
#[async_trait]
pub trait Writer: Send {
    /// Appends entries to the streams of their partitions, in order. If this fails, some may be appended.
    async fn append(&mut self, entries: &[(usize, Bytes)]) -> Result<(), BusError>;
    /// Tells everybody who listens now. Nothing is kept.
    async fn ring(&mut self, bells: &[Bytes]) -> Result<(), BusError>;
}

/// Reads streams.
#[async_trait]
pub trait Reader: Send {
    /// Where the streams end now.
    async fn ends(&mut self) -> Result<Positions, BusError>;
    /// Waits a while for entries behind `positions`, and moves these on. None came if there are none.
    async fn read_after(&mut self, positions: &mut Positions) -> Result<Vec<Bytes>, BusError>;
}

/// Hears what is rung.
#[async_trait]
pub trait Listener: Send {
    /// Waits for the next bell. It may be dropped while it waits, and no bell is lost.
    async fn heard(&mut self) -> Result<Bytes, BusError>;
}
