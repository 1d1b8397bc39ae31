//! The options of the store, and the state that its lanes and readers share.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::{Timestamp, Zone};
use crate::domain::write::Durability;
use crate::ids::{IdSource, SystemIds};
use crate::limits;
use crate::store::caches::Caches;
use crate::store::mysql::connection::{Link, MysqlError};
use crate::store::mysql::driver::{Driver, View};
use crate::store::mysql::replication::Replication;
use crate::store::{Clock, StoreError};

/// The options for opening the database.
#[derive(Clone)]
pub struct MysqlOptions {
    /// The database's address.
    pub link: Link,
    /// Connections that write, each with a thread; 1 to [`limits::WRITE_LANES_MAX`].
    pub lanes: usize,
    /// Connections that read, and that write what belongs to no topic.
    pub connections: usize,
    /// The zone of the database's times.
    pub zone: Zone,
    /// Returns the current time.
    pub clock: Clock,
    /// The source of new rows' ids.
    pub ids: Arc<dyn IdSource>,
    /// How many of its newest reactions a post shows.
    pub shown_reactions: u32,
    /// What acknowledgements say at best.
    pub durability: Durability,
}

impl MysqlOptions {
    /// Default numbers, times in UTC, and the system's clock.
    pub fn new(link: Link) -> Self {
        Self {
            link,
            lanes: limits::WRITE_LANES,
            connections: limits::DIRECT_CONNECTIONS,
            zone: Zone::Utc,
            clock: Arc::new(Timestamp::now),
            ids: Arc::new(SystemIds),
            shown_reactions: limits::POST_REACTIONS_SHOWN,
            durability: Durability::Stored,
        }
    }
}

/// State shared by lanes and readers.
pub struct Shared {
    /// The database's address.
    pub link: Link,
    /// The caches of all connections.
    pub caches: Caches,
    /// The zone of the database's times.
    pub zone: Zone,
    /// Returns the current time.
    pub clock: Clock,
    /// The source of new rows' ids.
    pub ids: Arc<dyn IdSource>,
    /// How many of its newest reactions a post shows.
    pub shown_reactions: u32,
    /// What acknowledgements say at best.
    pub durability: Durability,
}

impl Shared {
    /// For a caller without lanes: migrations, seeds.
    pub fn alone(link: Link) -> Self {
        let MysqlOptions { link, clock, ids, shown_reactions, durability, .. } = MysqlOptions::new(link);
        Self { link, caches: Caches::default(), zone: Zone::Utc, clock, ids, shown_reactions, durability }
    }

    /// Opens a connection.
    pub async fn open(&self) -> Result<Driver, MysqlError> {
        let mut driver = Driver::new(self.link.open().await?, self.zone);
        driver.replication = (self.durability == Durability::Replicated).then(Replication::default);
        Ok(driver)
    }

    /// The same at a program's start, where the error tells the operator what to do.
    pub async fn open_at_start(&self) -> Result<Driver, StoreError> {
        self.open().await.map_err(|error| self.link.opening(&error))
    }

    /// A connection with the caches, for queries at `now`.
    pub fn view<'a>(&'a self, driver: &'a mut Driver, now: Timestamp) -> View<'a> {
        let Self { caches, ids, shown_reactions, .. } = self;
        View { driver, caches, now, ids: &**ids, shown_reactions: *shown_reactions, changed: BTreeSet::new(), asked: 0 }
    }
}
