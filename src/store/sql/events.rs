//! The event log read again: what happened in a topic behind a place.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::write::Transport;
use crate::domain::event::{Committed, Cursor};
use crate::domain::event_record::EventRecord;
use crate::ids::Topic;
use crate::limits::{EVENTS_PAGE_MAX, FILL_EVENTS_MAX, NEWS_EVENTS_MAX, REPLAY_EVENTS_MAX};
use crate::store::event_log::happening;
use crate::store::page::{EventsAfter, Head, Missing, News, Since};
use crate::store::sql::rebuild;
use crate::store::sql::topics::state_of_row;
use crate::store::sql::{Columns, Id, KEYS_MAX, Sql, ToColumn, Unexpected, View, each, marks, padded};

/// How often a list is read again because its topic moved meanwhile.
pub const PLACE_READS_MAX: usize = 4;

/// What `$read` finds, and the place in `$topic` that it shows: everything up to there, and nothing behind it. `None` if the topic
/// moved each time. Where all statements of a read see one state, the first time is enough.
macro_rules! with_place {
    ($view:ident, $topic:expr, $read:expr) => {{
        let topic = $topic;
        let mut place = None;
        let mut before = $crate::store::sql::events::cursor_of($view, topic).await?;
        let mut found = $read.await?;
        for left in (0..$crate::store::sql::events::PLACE_READS_MAX).rev() {
            let after = $crate::store::sql::events::cursor_of($view, topic).await?;
            if after == before {
                place = Some(before);
                break;
            }
            if left > 0 {
                before = after;
                found = $read.await?;
            }
        }
        Ok((found, place))
    }};
}
pub(crate) use with_place;

/// The next events, at most `limit` and [`EVENTS_PAGE_MAX`].
pub async fn after<C: Sql>(
    view: &mut View<'_, C>,
    topic: Topic,
    cursor: Cursor,
    limit: usize,
) -> Result<EventsAfter, C::Error> {
    let name = topic.to_string();
    let Cursor { epoch, seq: last } = cursor_of(view, topic).await?;
    if cursor.epoch != epoch || cursor.seq > last {
        return Ok(EventsAfter::NotKept);
    }
    if cursor.seq == last {
        return Ok(EventsAfter::Next { events: Vec::new(), has_more: false });
    }
    let most = u64::try_from(limit.clamp(1, EVENTS_PAGE_MAX)).unwrap_or(1);
    let sql = "SELECT seq, event_id, kind, transport, message_id, user_id, detail, created_at FROM pregon_events \
        WHERE topic = ? AND epoch = ? AND seq > ? ORDER BY seq LIMIT ?";
    let values: [&dyn ToColumn; 4] = [&name, &cursor.epoch, &cursor.seq, &most];
    let events = view.rows(sql, &values, |row| record_of_row(topic, epoch, row)).await?;
    // What is kept has no holes: the oldest go first.
    let is_next = |(event, seq): (&EventRecord, u64)| event.cursor.seq == seq;
    if events.is_empty() || !events.iter().zip(cursor.seq + 1..).all(is_next) {
        return Ok(EventsAfter::NotKept);
    }
    let has_more = events.last().is_some_and(|event| event.cursor.seq < last);
    Ok(EventsAfter::Next { events, has_more })
}

/// Where topics are, and the whole events behind places in them: a handful of queries for all. What would be more than
/// [`NEWS_EVENTS_MAX`] together is left for the next time.
pub async fn news<C: Sql>(view: &mut View<'_, C>, wanted: &[(Topic, Option<Cursor>)]) -> Result<Vec<News>, C::Error> {
    let now = cursors_of(view, wanted.iter().map(|(topic, _)| *topic)).await?;
    let mut left = NEWS_EVENTS_MAX;
    let mut stretches: BTreeSet<(String, u32, u64, u64)> = BTreeSet::new();
    // What is asked of each, once it is known where its topic is.
    let mut asked = Vec::with_capacity(wanted.len());
    for (topic, since) in wanted {
        let at = now.get(topic).copied().unwrap_or(Cursor { epoch: 1, seq: 0 });
        let stretch = since.filter(|since| since.epoch == at.epoch && since.seq <= at.seq).map(|since| {
            let most = u64::try_from(REPLAY_EVENTS_MAX.min(left).max(1)).unwrap_or(1);
            (since.seq, at.seq.min(since.seq + most))
        });
        if let Some((after, end)) = stretch.filter(|(after, end)| after < end)
            && stretches.insert((topic.to_string(), at.epoch, after, end))
        {
            left = left.saturating_sub(usize::try_from(end - after).unwrap_or(usize::MAX));
        }
        asked.push((*topic, since.is_some(), at, stretch));
    }
    let records = stretches_of(view, &Vec::from_iter(stretches)).await?;
    let events = rebuild::committed(view, &records).await?;
    let mut by_topic: HashMap<Topic, Vec<Arc<Committed>>> = HashMap::new();
    for event in events {
        by_topic.entry(event.topic).or_default().push(event);
    }
    let told = |(topic, is_asked, at, stretch): (Topic, bool, Cursor, Option<(u64, u64)>)| {
        let Some((after, end)) = stretch else {
            return News { now: at, since: if is_asked { Since::NotKept } else { Since::NotAsked } };
        };
        let all = by_topic.get(&topic).map_or(&[][..], Vec::as_slice);
        let is_meant = |event: &&Arc<Committed>| event.cursor.seq > after && event.cursor.seq <= end;
        let events: Vec<_> = all.iter().filter(is_meant).cloned().collect();
        // What is kept has no holes: the oldest go first.
        let is_whole = events.iter().map(|event| event.cursor.seq).eq(after + 1..=end);
        let since = if is_whole { Since::Next { events, has_more: end < at.seq } } else { Since::NotKept };
        News { now: at, since }
    };
    Ok(asked.into_iter().map(told).collect())
}

/// The records of some stretches of topics, in the order of their places: those behind the first number and up to the second.
async fn stretches_of<C: Sql>(
    view: &mut View<'_, C>,
    stretches: &[(String, u32, u64, u64)],
) -> Result<Vec<EventRecord>, C::Error> {
    let mut records = Vec::new();
    for stretches in stretches.chunks(STRETCHES_MAX) {
        let mut stretches = stretches.to_vec();
        if let Some(last) = stretches.last().cloned() {
            stretches.resize(stretches.len().next_power_of_two(), last);
        }
        let branch = "(topic = ? AND epoch = ? AND seq > ? AND seq <= ?)";
        let sql = format!(
            "SELECT seq, event_id, kind, transport, message_id, user_id, detail, created_at, topic, epoch \
             FROM pregon_events WHERE {} ORDER BY topic, epoch, seq",
            vec![branch; stretches.len()].join(" OR ")
        );
        let mut values: Vec<&dyn ToColumn> = Vec::with_capacity(4 * stretches.len());
        for (topic, epoch, after, end) in &stretches {
            values.extend([topic as &dyn ToColumn, epoch, after, end]);
        }
        let read = |row: Columns<'_>| record_of_row(topic_of(row, 8)?, epoch_of(row, 9)?, row);
        records.extend(view.rows(&sql, &values, read).await?);
    }
    // Stretches of one topic that lie in different queries may overlap.
    records.sort_by_key(|record| (record.topic.to_string(), record.cursor));
    records.dedup_by_key(|record| (record.topic, record.cursor));
    Ok(records)
}

/// The most stretches of one query.
const STRETCHES_MAX: usize = 128;

/// Records that are missing somewhere: one query for many topics.
pub async fn missing<C: Sql>(view: &mut View<'_, C>, missing: &[Missing]) -> Result<Vec<EventRecord>, C::Error> {
    let names: Vec<String> = missing.iter().map(|missing| missing.topic.to_string()).collect();
    let branch = "(topic = ? AND epoch = ? AND seq > ? AND seq < ? AND created_at >= ?)";
    let branches = vec![branch; missing.len()].join(" OR ");
    let sql = format!(
        "SELECT seq, event_id, kind, transport, message_id, user_id, detail, created_at, topic, epoch FROM pregon_events \
         WHERE {branches} ORDER BY topic, epoch, seq LIMIT {FILL_EVENTS_MAX}"
    );
    let micros: Vec<i64> = missing.iter().map(|missing| missing.since.0).collect();
    let of_one = |((missing, name), since)| -> [&dyn ToColumn; 5] {
        let (missing, name, since): (&Missing, &String, &i64) = (missing, name, since);
        [name, &missing.epoch, &missing.after, &missing.before, since]
    };
    let values: Vec<_> = missing.iter().zip(&names).zip(&micros).flat_map(of_one).collect();
    view.rows(&sql, &values, |row| record_of_row(topic_of(row, 8)?, epoch_of(row, 9)?, row)).await
}

/// The newest place in each topic in which something happened since `since`.
pub async fn heads_since<C: Sql>(view: &mut View<'_, C>, since: Timestamp) -> Result<Vec<Head>, C::Error> {
    let sql = "SELECT topic, epoch, max(seq) FROM pregon_events WHERE created_at >= ? GROUP BY topic, epoch";
    let head = |row: Columns<'_>| {
        Ok(Head { topic: topic_of(row, 0)?, cursor: Cursor { epoch: epoch_of(row, 1)?, seq: row.count(2)? } })
    };
    view.rows(sql, &[&since.0], head).await
}

fn topic_of(row: Columns<'_>, column: usize) -> Result<Topic, Unexpected> {
    let name = row.str(column)?;
    name.parse().map_err(|_| Unexpected(format!("a topic named {name:?}")))
}

fn epoch_of(row: Columns<'_>, column: usize) -> Result<u32, Unexpected> {
    let epoch = row.count(column)?;
    u32::try_from(epoch).map_err(|_| Unexpected(format!("the epoch {epoch}")))
}

/// Where each of these topics is now, as far as something happened in it.
async fn cursors_of<C: Sql>(
    view: &mut View<'_, C>,
    topics: impl Iterator<Item = Topic>,
) -> Result<HashMap<Topic, Cursor>, C::Error> {
    let names: BTreeSet<String> = topics.map(|topic| topic.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut found = HashMap::new();
    for names in names.chunks(KEYS_MAX).map(padded) {
        let sql =
            format!("SELECT topic, epoch, seq, last_at FROM pregon_topics WHERE topic IN ({})", marks(names.len()));
        let place = |row: Columns<'_>| {
            let state = state_of_row(row)?;
            Ok((topic_of(row, 0)?, Cursor { epoch: state.epoch, seq: state.seq }))
        };
        found.extend(view.rows(&sql, &each(&names).collect::<Vec<_>>(), place).await?);
    }
    Ok(found)
}

/// Where the topic is now. A topic in which nothing happened is before its first event.
pub async fn cursor_of<C: Sql>(view: &mut View<'_, C>, topic: Topic) -> Result<Cursor, C::Error> {
    let sql = "SELECT topic, epoch, seq, last_at FROM pregon_topics WHERE topic = ?";
    let state = view.row(sql, &[&topic.to_string()], state_of_row).await?;
    Ok(state.map_or(Cursor { epoch: 1, seq: 0 }, |state| Cursor { epoch: state.epoch, seq: state.seq }))
}

fn record_of_row(topic: Topic, epoch: u32, row: Columns<'_>) -> Result<EventRecord, Unexpected> {
    let transport = row.str(3)?;
    let (subject, detail): (Option<Id>, _) = (row.optional_id(4)?, row.optional_text(6)?);
    Ok(EventRecord {
        topic,
        cursor: Cursor { epoch, seq: row.count(0)? },
        event_id: row.id(1)?,
        at: Timestamp(row.number(7)?),
        transport: Transport::from_text(transport)
            .ok_or_else(|| Unexpected(format!("an event that came by {transport:?}")))?,
        user: row.id(5)?,
        happening: happening(topic, row.str(2)?, subject.map(|id| id.0), detail.as_deref())?,
    })
}
