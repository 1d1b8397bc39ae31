//! Deletes rows that have outlived their use, a small slice at a time.

use crate::limits;
use crate::store::sql::{Columns, Sql, View};

/// Deletes expired `client_id`s, revoked tokens and ended logins. Returns the number of rows.
pub async fn sweep_names<C: Sql>(view: &mut View<'_, C>) -> Result<u64, C::Error> {
    let now = view.now;
    let most = limits::RETENTION_ROWS_MAX;
    let before = now.plus_seconds(-limits::CLIENT_ID_HOURS * 3600);
    let sql = C::DIALECT.delete_first("pregon_client_ids", "created_at", most);
    let names = view.execute(&sql, &[&before.0]).await?;
    let sql = C::DIALECT.delete_some("pregon_revoked", "jti", "expires", most);
    let tokens = view.execute(&sql, &[&now.0]).await?;
    let sql = C::DIALECT.delete_some("pregon_ended_logins", "user_id, goes_on, family", "expires", most);
    let logins = view.execute(&sql, &[&now.0]).await?;
    Ok(names.max(tokens).max(logins))
}

/// Sweeps topics after `after` until a slice of rows is deleted. Returns where to continue; `None` after the last
/// topic.
pub async fn sweep_topics<C: Sql>(view: &mut View<'_, C>, after: &str) -> Result<Option<String>, C::Error> {
    let sql = format!(
        "SELECT topic, epoch, seq FROM pregon_topics WHERE topic > ? ORDER BY topic LIMIT {}",
        limits::RETENTION_TOPICS_MAX
    );
    let topics = view.rows(&sql, &[&after], |row| Ok((row.text(0)?, row.count(1)?, row.count(2)?))).await?;
    let mut done = None;
    for (topic, epoch, seq) in topics {
        if sweep_topic(view, &topic, epoch, seq).await? {
            // This topic may have more, so the next slice begins with it.
            return Ok(done.or_else(|| Some(after.to_owned())));
        }
        done = Some(topic);
    }
    Ok(done)
}

/// Deletes events beyond the newest [`limits::EVENTS_KEPT_MIN`] that are older than [`limits::EVENTS_KEPT_HOURS`]; true
/// if there may be more. The key has the oldest first, so a slice reads no more rows than it deletes.
async fn sweep_topic<C: Sql>(view: &mut View<'_, C>, topic: &str, epoch: u64, seq: u64) -> Result<bool, C::Error> {
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
