//! The connector of SQLite's lane: the one connection that writes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::clock::Timestamp;
use crate::ids::{IdSource, RoomId};
use crate::store::StoreError;
use crate::store::caches::Caches;
use crate::store::lane::{Connector, SqlLane};
use crate::store::sql::at_once;
use crate::store::sqlite::Clock;
use crate::store::sqlite::checkpoint::Wal;
use crate::store::sqlite::connection::{self, Role};
use crate::store::sqlite::driver::{View, statement};

/// The lane's side of the store.
pub type SqliteLane = SqlLane<File>;

/// The file as the lane writes it.
pub struct File {
    path: PathBuf,
    pub connection: Connection,
    wal: Arc<Wal>,
    around: Surroundings,
}

/// What a lane is given beside its file.
pub struct Surroundings {
    pub caches: Arc<Caches>,
    pub clock: Clock,
    pub ids: Arc<dyn IdSource>,
    pub shown_reactions: u32,
}

/// A lane on a migrated file.
pub fn open(path: PathBuf, wal: Arc<Wal>, around: Surroundings) -> Result<SqliteLane, StoreError> {
    let connection = connect(&path, &wal)?;
    let mut lane = SqlLane::new(File { path, connection, wal, around }, true);
    lane.recall()?;
    Ok(lane)
}

fn connect(path: &Path, wal: &Arc<Wal>) -> Result<Connection, StoreError> {
    let mut connection = connection::open(path, Role::Writer)?;
    wal.watch(&mut connection)?;
    Ok(connection)
}

impl File {
    fn in_transaction<T>(&mut self, work: impl FnOnce(&mut View<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        self.wal.stand_still();
        statement(&self.connection, "BEGIN IMMEDIATE")?;
        let now = self.now();
        let result = work(&mut self.view(now)).and_then(|value| {
            statement(&self.connection, "COMMIT")?;
            Ok(value)
        });
        if result.is_err() {
            self.give_up(None);
        }
        result
    }

    fn view(&mut self, now: Timestamp) -> View<'_> {
        let Self { connection: driver, around, .. } = self;
        let Surroundings { caches, ids, shown_reactions, .. } = around;
        View { driver, caches, now, ids: &**ids, shown_reactions: *shown_reactions, changed: BTreeSet::new(), asked: 0 }
    }
}

impl Connector for File {
    type Driver = Connection;

    const PATIENCE: Duration = Duration::ZERO;

    fn caches(&self) -> &Caches {
        &self.around.caches
    }

    fn now(&self) -> Timestamp {
        (self.around.clock)()
    }

    fn ours(&self) -> impl Fn(RoomId) -> bool + 'static {
        |_| true
    }

    fn wait<T>(&mut self, now: Timestamp, work: impl AsyncFnOnce(View<'_>) -> T) -> rusqlite::Result<T> {
        self.wal.stand_still();
        Ok(at_once(work(self.view(now))))
    }

    fn transaction<T>(&mut self, work: impl AsyncFnOnce(&mut View<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        self.in_transaction(|view| at_once(work(view)))
    }

    fn give_up(&mut self, _: Option<&rusqlite::Error>) {
        if !self.connection.is_autocommit()
            && let Err(error) = statement(&self.connection, "ROLLBACK")
        {
            tracing::error!(%error, "cannot roll back: opening the database anew");
            self.reset();
        }
    }

    /// Another program holds the file's lock.
    fn may_succeed(error: &rusqlite::Error) -> bool {
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// After a failure only a real write can tell, one that needs new pages.
    fn probe(&mut self, is_failing: bool) -> rusqlite::Result<()> {
        self.in_transaction(|view| {
            if is_failing {
                view.driver.execute_batch(
                    "INSERT INTO pregon_revoked (jti, expires) VALUES (hex(zeroblob(32768)), 0); \
                     DELETE FROM pregon_revoked WHERE expires = 0",
                )?;
            }
            Ok(())
        })
    }

    fn reset(&mut self) {
        match connect(&self.path, &self.wal) {
            Ok(connection) => self.connection = connection,
            Err(error) => tracing::error!(%error, "cannot open the database anew"),
        }
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests;
