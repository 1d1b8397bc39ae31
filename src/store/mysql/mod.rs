//! MySQL and MariaDB: connections that write, each a lane's, and others that read.
//!
//! The queries of `store/sql` serve both sides: REST's reads, and the lanes inside their transactions.

mod beside;
mod columns;
mod connection;
mod deferred;
mod direct;
mod driver;
mod lane;
mod literal;
mod migrate;
mod prefetched;
mod seed;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use self::connection::Link;
pub use self::migrate::{IdForm, PlanLine, Step, characters_to_change, is_anothers, migrate, plan};
pub use self::seed::seed;
pub use self::store::MysqlStore;

use self::connection::MysqlError;
use self::driver::{Driver, View};
use crate::clock::{Timestamp, Zone};
use crate::ids::{IdSource, SystemIds, UserId};
use crate::limits;
use crate::store::caches::Caches;
use crate::store::sql::people;
use crate::store::{Clock, StoreError};

/// How to open the database.
#[derive(Clone)]
pub struct MysqlOptions {
    /// Where it is.
    pub link: Link,
    /// Connections that write, each with a thread; 1 to [`limits::WRITE_LANES_MAX`].
    pub lanes: usize,
    /// Connections that read, and write what has no topic.
    pub connections: usize,
    /// Where the clock of its times hangs.
    pub zone: Zone,
    /// What the time is.
    pub clock: Clock,
    /// Where the ids of new rows come from.
    pub ids: Arc<dyn IdSource>,
    /// Reactions that a post shows, the newest.
    pub shown_reactions: u32,
}

impl MysqlOptions {
    /// The usual numbers, times in UTC, and the system's clock.
    pub fn new(link: Link) -> Self {
        Self {
            link,
            lanes: limits::WRITE_LANES,
            connections: limits::DIRECT_CONNECTIONS,
            zone: Zone::Utc,
            clock: Arc::new(Timestamp::now),
            ids: Arc::new(SystemIds),
            shown_reactions: limits::POST_REACTIONS_SHOWN,
        }
    }
}

/// What lanes and readers share.
struct Shared {
    link: Link,
    caches: Caches,
    zone: Zone,
    clock: Clock,
    ids: Arc<dyn IdSource>,
    shown_reactions: u32,
}

impl Shared {
    /// For one who works alone: migrations, seeds.
    fn alone(link: Link) -> Self {
        let MysqlOptions { link, clock, ids, shown_reactions, .. } = MysqlOptions::new(link);
        Self { link, caches: Caches::default(), zone: Zone::Utc, clock, ids, shown_reactions }
    }

    /// A new connection.
    async fn open(&self) -> Result<Driver, MysqlError> {
        Ok(Driver::new(self.link.open().await?, self.zone))
    }

    /// The same for one who starts a program, and is told what to do.
    async fn open_at_start(&self) -> Result<Driver, StoreError> {
        self.open().await.map_err(|error| self.link.opening(&error))
    }

    fn view<'a>(&'a self, driver: &'a mut Driver, now: Timestamp) -> View<'a> {
        let Self { caches, ids, shown_reactions, .. } = self;
        View { driver, caches, now, ids: &**ids, shown_reactions: *shown_reactions, changed: BTreeSet::new() }
    }
}

/// Refuses a database that lacks a step.
///
/// # Errors
/// It does, or cannot be used.
pub async fn require_migrated(link: &Link) -> Result<(), StoreError> {
    let shared = Shared::alone(link.clone());
    let mut driver = shared.open_at_start().await?;
    migrate::require(&mut shared.view(&mut driver, Timestamp::now()), link).await?;
    drop(driver.connection.disconnect().await);
    Ok(())
}

/// The user behind a username or an id, for commands.
///
/// # Errors
/// The database cannot be used or is not migrated.
pub async fn find_user(link: &Link, user: &str) -> Result<Option<UserId>, StoreError> {
    let shared = Shared::alone(link.clone());
    let mut driver = shared.open_at_start().await?;
    let mut view = shared.view(&mut driver, Timestamp::now());
    migrate::require(&mut view, link).await?;
    let found = match user.parse::<UserId>() {
        Ok(id) => view.row("SELECT id FROM users WHERE id = ?", &[&id], |row| row.id(0)).await?,
        Err(_) => people::id_of_name(&mut view, user).await?,
    };
    drop(driver.connection.disconnect().await);
    Ok(found)
}
