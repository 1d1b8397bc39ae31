//! Housekeeping in the lane's idle moments: what may be forgotten goes, a small slice at a time.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::limits;
use crate::store::StoreError;
use crate::store::batch::UnreadRest;
use crate::store::sql::at_once;
use crate::store::sqlite::lane::SqliteLane;
use crate::store::sqlite::rows::insert_unread;

/// From the end of one sweep over everything to the start of the next.
const SWEEP_INTERVAL_SECONDS: i64 = 600;
/// From one slice to the next within a sweep.
const SLICE_PAUSE: Duration = Duration::from_millis(20);
/// A lane with nothing to sweep looks again after this long.
const QUIET_PAUSE: Duration = Duration::from_secs(1);

/// How far the sweep under way has come.
#[derive(Debug, Default)]
pub struct Retention {
    /// Every topic up to here is swept; `None`: no sweep is under way.
    topic: Option<String>,
    /// No sweep before this.
    next_sweep: Timestamp,
}

impl SqliteLane {
    /// One slice: first what users wait for, then what may go.
    pub(super) fn keep_house(&mut self) -> Result<Duration, StoreError> {
        let now = (self.clock)();
        if !self.rests.is_empty() {
            self.finish_a_rest()?;
            return Ok(SLICE_PAUSE);
        }
        if now < self.retention.next_sweep {
            return Ok(QUIET_PAUSE);
        }
        self.sweep_slice(now)
    }

    /// The next rows of a long `mark_as_read`.
    pub(super) fn finish_a_rest(&mut self) -> Result<(), StoreError> {
        let Some(rest) = self.rests.front().copied() else { return Ok(()) };
        let oldest = self.change(|view| {
            let (rows, oldest) = at_once(insert_unread(view, rest))?;
            Ok(oldest.filter(|_| rows.len() == limits::READ_ALL_ROWS_MAX))
        })?;
        self.rests.pop_front();
        if let Some(before) = oldest {
            self.rests.push_back(UnreadRest { before, ..rest });
        }
        Ok(())
    }

    fn sweep_slice(&mut self, now: Timestamp) -> Result<Duration, StoreError> {
        let Some(after) = self.retention.topic.clone() else {
            let deleted = self.transaction(|connection| Ok(sweep_names(connection, now)?))?;
            if deleted < limits::RETENTION_ROWS_MAX {
                self.retention.topic = Some(String::new());
            }
            return Ok(SLICE_PAUSE);
        };
        match self.transaction(|connection| Ok(sweep_topics(connection, &after, now)?))? {
            Some(topic) => self.retention.topic = Some(topic),
            None => {
                self.retention.topic = None;
                self.retention.next_sweep = now.plus_seconds(SWEEP_INTERVAL_SECONDS);
            }
        }
        Ok(SLICE_PAUSE)
    }
}

/// `client_id`s, revoked tokens and ended logins whose time is over; how many rows went.
fn sweep_names(connection: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    // Rows came in the order of their rowid: the scan ends at the first that is young.
    let before = now.plus_seconds(-limits::CLIENT_ID_HOURS * 3600);
    let names = connection
        .prepare_cached(
            "DELETE FROM pregon_client_ids WHERE rowid IN (SELECT rowid FROM \
             (SELECT rowid, created_at FROM pregon_client_ids ORDER BY rowid LIMIT ?2) WHERE created_at <= ?1)",
        )?
        .execute(params![before.0, limits::RETENTION_ROWS_MAX])?;
    let tokens = connection
        .prepare_cached(
            "DELETE FROM pregon_revoked WHERE jti IN (SELECT jti FROM pregon_revoked WHERE expires <= ?1 LIMIT ?2)",
        )?
        .execute(params![now.0, limits::RETENTION_ROWS_MAX])?;
    let logins = connection
        .prepare_cached(
            "DELETE FROM pregon_ended_logins WHERE (user_id, goes_on, family) IN \
             (SELECT user_id, goes_on, family FROM pregon_ended_logins WHERE expires <= ?1 LIMIT ?2)",
        )?
        .execute(params![now.0, limits::RETENTION_ROWS_MAX])?;
    Ok(names.max(tokens).max(logins))
}

/// Sweeps the topics after `after` until a slice's rows are deleted or its topics visited; where to go on.
fn sweep_topics(connection: &Connection, after: &str, now: Timestamp) -> rusqlite::Result<Option<String>> {
    let mut after = after.to_owned();
    for _ in 0..limits::RETENTION_ROWS_MAX {
        let next: Option<(String, u32, i64)> = connection
            .prepare_cached("SELECT topic, epoch, seq FROM pregon_topics WHERE topic > ?1 ORDER BY topic LIMIT 1")?
            .query_row([&after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((topic, epoch, seq)) = next else { return Ok(None) };
        if sweep_topic(connection, &topic, epoch, seq, now)? == limits::RETENTION_ROWS_MAX {
            // Perhaps not all: the next slice begins with this topic.
            return Ok(Some(after));
        }
        after = topic;
    }
    Ok(Some(after))
}

/// Events beyond the newest [`limits::EVENTS_KEPT_MIN`] and older than [`limits::EVENTS_KEPT_HOURS`].
fn sweep_topic(connection: &Connection, topic: &str, epoch: u32, seq: i64, now: Timestamp) -> rusqlite::Result<usize> {
    let before = now.plus_seconds(-limits::EVENTS_KEPT_HOURS * 3600);
    let kept_min = i64::try_from(limits::EVENTS_KEPT_MIN).unwrap_or(i64::MAX);
    // The oldest rows of the topic come first in the key; the scan is no longer than the slice.
    connection
        .prepare_cached(
            "DELETE FROM pregon_events WHERE (topic, epoch, seq) IN (SELECT topic, epoch, seq FROM \
             (SELECT topic, epoch, seq, created_at FROM pregon_events WHERE topic = ?1 ORDER BY epoch, seq LIMIT ?5) \
             WHERE created_at <= ?2 AND (epoch < ?3 OR seq <= ?4))",
        )?
        .execute(params![topic, before.0, epoch, seq - kept_min, limits::RETENTION_ROWS_MAX])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::caches::Caches;
    use crate::store::sqlite::checkpoint::Wal;
    use crate::store::sqlite::migrate::migrate;

    const DAY: i64 = 24 * 3600 * 1_000_000;

    fn lane(folder: &std::path::Path, now: Timestamp) -> SqliteLane {
        let path = folder.join("pregon.db");
        migrate(&path, false).unwrap();
        SqliteLane::open(path, Arc::new(Caches::default()), Arc::new(move || now), Arc::new(Wal::default()), 0).unwrap()
    }

    fn number(lane: &SqliteLane, query: &str) -> i64 {
        lane.connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn log(lane: &SqliteLane, topic: &str, epoch: u32, events: i64, created_at: impl Fn(i64) -> i64) {
        for seq in 1..=events {
            lane.connection
                .prepare_cached(
                    "INSERT INTO pregon_events (topic, epoch, seq, event_id, kind, transport, user_id, created_at) \
                     VALUES (?1, ?2, ?3, '', 'left', 'rest', '', ?4)",
                )
                .unwrap()
                .execute(params![topic, epoch, seq, created_at(seq)])
                .unwrap();
        }
        lane.connection
            .execute("INSERT OR REPLACE INTO pregon_topics VALUES (?1, ?2, ?3, 0)", params![topic, epoch, events])
            .unwrap();
    }

    /// Slices until the sweep is over.
    fn sweep(lane: &mut SqliteLane) {
        let slices = (0..200).position(|_| lane.keep_house().unwrap() == QUIET_PAUSE);
        assert!(slices.is_some_and(|slices| slices > 3), "{slices:?}");
    }

    #[test]
    fn a_sweep_takes_what_is_old_and_beyond_the_newest_thousand() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp(100 * DAY);
        let mut lane = lane(folder.path(), now);
        lane.connection.execute_batch("BEGIN").unwrap();
        let old = now.0 - DAY - 1;
        log(&lane, "all old", 1, 2600, |_| old);
        log(&lane, "all young", 1, 2600, |_| now.0);
        log(&lane, "few", 1, 900, |_| old);
        log(&lane, "old, then young", 1, 2600, |seq| if seq <= 700 { old } else { now.0 });
        log(&lane, "two epochs", 1, 1200, |_| old);
        log(&lane, "two epochs", 2, 30, |_| old);
        for number in 0..1310 {
            let created_at = if number < 1300 { old } else { now.0 };
            lane.connection
                .execute("INSERT INTO pregon_client_ids VALUES ('u', 'r', ?1, 'm', ?2)", params![number, created_at])
                .unwrap();
        }
        lane.connection
            .execute("INSERT INTO pregon_revoked VALUES ('gone', ?1), ('kept', ?2)", params![now.0, now.0 + 1])
            .unwrap();
        lane.connection.execute_batch("COMMIT").unwrap();

        sweep(&mut lane);
        let left = |topic: &str| {
            let of = format!("FROM pregon_events WHERE topic = '{topic}'");
            (number(&lane, &format!("SELECT count(*) {of}")), number(&lane, &format!("SELECT min(seq) {of}")))
        };
        assert_eq!(left("all old"), (1000, 1601));
        assert_eq!(left("all young"), (2600, 1));
        assert_eq!(left("few"), (900, 1));
        assert_eq!(left("old, then young"), (1900, 701));
        assert_eq!(left("two epochs"), (30, 1));
        assert_eq!(number(&lane, "SELECT count(*) FROM pregon_client_ids"), 10);
        assert_eq!(number(&lane, "SELECT count(*) FROM pregon_revoked WHERE jti = 'kept'"), 1);
        assert_eq!(number(&lane, "SELECT count(*) FROM pregon_revoked"), 1);
        assert_eq!(
            number(&lane, "SELECT seq FROM pregon_topics WHERE topic = 'all old'"),
            2600,
            "places are not reused"
        );
    }
}
