//! The servers on this database: each says that it runs, and sees who else does.

use std::fmt;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::limits::{NODE_FORGOTTEN, NODE_SILENT};
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::mysql::connection::{Link, MysqlError};
use crate::store::mysql::driver::View;
use crate::store::mysql::{MysqlStore, Shared};
use crate::store::sql::{Columns, Id};

/// The database's own clock: those of the servers' machines may differ.
const NOW: &str = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";

/// One run of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Of this run alone.
    pub id: Uuid,
    /// As `PREGON_NODE` says.
    pub name: String,
    /// Its machine.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Its program's.
    pub version: String,
}

/// A server as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenNode {
    /// Which.
    pub node: Node,
    /// When it began.
    pub started: Timestamp,
    /// When it last said that it runs.
    pub seen: Timestamp,
}

impl fmt::Display for SeenNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Node { name, host, pid, version, .. } = &self.node;
        write!(f, "{name} on {host} (process {pid}, version {version}, since {})", self.started)
    }
}

impl MysqlStore {
    /// Says that this server runs. Who else said so a moment ago.
    ///
    /// # Errors
    /// The table is not there, may not be written, or the database is away.
    pub async fn beat(&self, node: &Node) -> Result<Vec<SeenNode>, StoreError> {
        let (me, own) = (node.clone(), node.id);
        let mut seen = self.read(move |view| Box::pin(async move { beat(view, &me).await })).await?;
        seen.retain(|other| other.node.id != own);
        Ok(seen)
    }

    /// Says that this server runs no more.
    ///
    /// # Errors
    /// As [`Self::beat`].
    pub async fn leave(&self, node: &Node) -> Result<(), StoreError> {
        let id = Id(node.id);
        let sql = "DELETE FROM pregon_nodes WHERE id = ?";
        self.read(move |view| Box::pin(async move { view.execute(sql, &[&id]).await.map(drop) })).await
    }
}

/// Who said a moment ago that they run, for commands.
///
/// # Errors
/// The table is not there, may not be read, or the database cannot be used.
pub async fn nodes(link: &Link) -> Result<Vec<SeenNode>, StoreError> {
    let shared = Shared::alone(link.clone());
    let mut driver = shared.open_at_start().await?;
    let found = look(&mut shared.view(&mut driver, Timestamp::now())).await;
    drop(driver.connection.disconnect().await);
    Ok(found?)
}

async fn beat(view: &mut View<'_>, me: &Node) -> Result<Vec<SeenNode>, MysqlError> {
    let sql = format!(
        "INSERT INTO pregon_nodes (id, name, host, pid, version, started_at, seen_at) VALUES (?, ?, ?, ?, ?, {NOW}, {NOW}) \
         ON DUPLICATE KEY UPDATE seen_at = {NOW}"
    );
    let Node { id, name, host, pid, version } = me;
    view.execute(&sql, &[&Id(*id), &name.as_str(), &host.as_str(), pid, &version.as_str()]).await?;
    let sql = format!("DELETE FROM pregon_nodes WHERE seen_at < {NOW} - ?");
    view.execute(&sql, &[&micros(NODE_FORGOTTEN)]).await?;
    look(view).await
}

async fn look(view: &mut View<'_>) -> Result<Vec<SeenNode>, MysqlError> {
    let sql = format!(
        "SELECT id, name, host, pid, version, started_at, seen_at FROM pregon_nodes WHERE seen_at >= {NOW} - ? \
         ORDER BY started_at"
    );
    let read = |row: Columns<'_>| {
        let node = Node {
            id: row.id::<Id>(0)?.0,
            name: row.text(1)?,
            host: row.text(2)?,
            pid: u32::try_from(row.number(3)?).unwrap_or(0),
            version: row.text(4)?,
        };
        Ok(SeenNode { node, started: Timestamp(row.number(5)?), seen: Timestamp(row.number(6)?) })
    };
    view.rows(&sql, &[&micros(NODE_SILENT)], read).await
}

fn micros(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
