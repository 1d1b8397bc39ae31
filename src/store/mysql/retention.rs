//! Housekeeping in the first lane's idle moments: what may be forgotten goes, a small slice at a time.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::View;
use crate::store::mysql::lane::MysqlLane;
use crate::store::sql::Columns;

/// From the end of one sweep over everything to the start of the next.
const SWEEP_INTERVAL_SECONDS: i64 = 600;
/// From one slice to the next within a sweep.
pub const SLICE_PAUSE: Duration = Duration::from_millis(20);
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

impl MysqlLane {
    /// One slice; the first lane does it for all.
    pub(super) fn sweep(&mut self) -> Result<Duration, MysqlError> {
        let now = (self.shared.clock)();
        if self.number.lane > 0 || now < self.retention.next_sweep {
            return Ok(QUIET_PAUSE);
        }
        let Some(after) = self.retention.topic.clone() else {
            let deleted = self.transaction(async |view| sweep_names(view).await)?;
            if deleted < limits::RETENTION_ROWS_MAX as u64 {
                self.retention.topic = Some(String::new());
            }
            return Ok(SLICE_PAUSE);
        };
        self.retention.topic = self.transaction(async |view| sweep_topics(view, &after).await)?;
        if self.retention.topic.is_none() {
            self.retention.next_sweep = now.plus_seconds(SWEEP_INTERVAL_SECONDS);
        }
        Ok(SLICE_PAUSE)
    }
}

/// `client_id`s, revoked tokens and ended logins whose time is over; how many rows went.
async fn sweep_names(view: &mut View<'_>) -> Result<u64, MysqlError> {
    let (now, most) = (view.now, limits::RETENTION_ROWS_MAX);
    let before = now.plus_seconds(-limits::CLIENT_ID_HOURS * 3600);
    let sql = format!("DELETE FROM pregon_client_ids WHERE created_at <= ? ORDER BY created_at LIMIT {most}");
    let names = view.execute(&sql, &[&before.0]).await?;
    let sql = format!("DELETE FROM pregon_revoked WHERE expires <= ? ORDER BY expires LIMIT {most}");
    let tokens = view.execute(&sql, &[&now.0]).await?;
    let sql = format!("DELETE FROM pregon_ended_logins WHERE expires <= ? ORDER BY expires LIMIT {most}");
    let logins = view.execute(&sql, &[&now.0]).await?;
    Ok(names.max(tokens).max(logins))
}

/// Sweeps some topics after `after`, until a slice's rows are deleted. Where to go on; `None` after the last topic.
async fn sweep_topics(view: &mut View<'_>, after: &str) -> Result<Option<String>, MysqlError> {
    let sql = format!(
        "SELECT topic, epoch, seq FROM pregon_topics WHERE topic > ? ORDER BY topic LIMIT {}",
        limits::RETENTION_TOPICS_MAX
    );
    let topics = view.rows(&sql, &[&after], |row| Ok((row.text(0)?, row.count(1)?, row.count(2)?))).await?;
    let mut done = None;
    for (topic, epoch, seq) in topics {
        if sweep_topic(view, &topic, epoch, seq).await? {
            // Perhaps not all: the next slice begins with this topic.
            return Ok(done.or_else(|| Some(after.to_owned())));
        }
        done = Some(topic);
    }
    Ok(done)
}

/// Events beyond the newest [`limits::EVENTS_KEPT_MIN`] and older than [`limits::EVENTS_KEPT_HOURS`]; true when there may
/// be more. The oldest come first in the key, and no more rows are looked at than a slice deletes.
async fn sweep_topic(view: &mut View<'_>, topic: &str, epoch: u64, seq: u64) -> Result<bool, MysqlError> {
    let before = view.now.plus_seconds(-limits::EVENTS_KEPT_HOURS * 3600);
    let last_to_go = seq.saturating_sub(limits::EVENTS_KEPT_MIN);
    let sql = format!(
        "SELECT epoch, seq FROM (SELECT epoch, seq, created_at FROM pregon_events WHERE topic = ? \
         ORDER BY epoch, seq LIMIT {}) AS oldest WHERE created_at <= ? AND (epoch < ? OR seq <= ?) \
         ORDER BY epoch DESC, seq DESC LIMIT 1",
        limits::RETENTION_ROWS_MAX
    );
    let read = |row: Columns<'_>| Ok((row.count(0)?, row.count(1)?));
    let Some((to_epoch, to_seq)) = view.row(&sql, &[&topic, &before.0, &epoch, &last_to_go], read).await? else {
        return Ok(false);
    };
    let sql = "DELETE FROM pregon_events WHERE topic = ? AND (epoch < ? OR (epoch = ? AND seq <= ?))";
    let gone = view.execute(sql, &[&topic, &to_epoch, &to_epoch, &to_seq]).await?;
    Ok(gone >= limits::RETENTION_ROWS_MAX as u64)
}
