//! The store on MySQL and MariaDB: one connection per lane for writing, and others for reading.
//!
//! The queries of `store/sql` serve both: REST's reads, and the lanes inside their transactions.

mod beside;
mod columns;
mod connection;
mod deferred;
mod direct;
mod driver;
mod lane;
mod lane_driver;
mod literal;
mod migrate;
mod nodes;
mod prefetched;
mod replication;
mod seed;
mod shared;
mod store;

pub use self::connection::Link;
pub use self::migrate::{IdForm, PlanLine, Step, characters_to_change, is_anothers, migrate, plan};
pub use self::nodes::{Node, SeenNode, nodes};
pub use self::replication::SemiSync;
pub use self::seed::seed;
pub use self::shared::MysqlOptions;
pub use self::store::MysqlStore;

use self::shared::Shared;
use crate::clock::Timestamp;
use crate::ids::UserId;
use crate::store::StoreError;
use crate::store::sql::people;

/// What the server of a database says of its replication.
///
/// # Errors
/// The server does not answer.
pub async fn semi_sync(link: &Link) -> Result<SemiSync, StoreError> {
    let shared = Shared::alone(link.clone());
    let mut driver = shared.open_at_start().await?;
    let found = driver.semi_sync().await.map_err(|error| link.opening(&error));
    drop(driver.connection.disconnect().await);
    found
}

/// Refuses a database that lacks a migration.
///
/// # Errors
/// A migration is missing, or the database cannot be used.
pub async fn require_migrated(link: &Link) -> Result<(), StoreError> {
    let shared = Shared::alone(link.clone());
    let mut driver = shared.open_at_start().await?;
    migrate::require(&mut shared.view(&mut driver, Timestamp::now()), link).await?;
    drop(driver.connection.disconnect().await);
    Ok(())
}

/// The user with this username or id, for commands.
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
