//! The queries for running beside a Django that writes to the same tables.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::domain::event::Cursor;
use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostHead, PostReactionType, ReactionCounts};
use crate::domain::write::Addition;
use crate::ids::{CommentId, MessageId, NotificationId, PostId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::django::{Adopted, Beside, HearingMark};
use crate::store::mysql::MysqlStore;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::View;
use crate::store::sql::{Columns, Id, Parameters, ToColumn, comments, each, marks, messages, padded, posts};

/// The version digit of a row's id in either column format. pregon writes version 7, Django writes version 4.
const IS_FOREIGN: &str = "SUBSTRING(REPLACE(id, '-', ''), 13, 1) <> '7'";

#[async_trait]
impl Beside for MysqlStore {
    async fn has_django(&self) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT 1 FROM information_schema.tables \
            WHERE table_schema = DATABASE() AND table_name = 'django_migrations'";
        self.read(|view| Box::pin(view.is_there(SQL, &[]))).await
    }

    async fn look_at_post(
        &self,
        post: PostId,
        reacted: Option<UserId>,
    ) -> Result<Option<(Arc<Post>, Option<PostReactionType>)>, StoreError> {
        self.read(move |view| Box::pin(look_at_post(view, post, reacted))).await
    }

    async fn look_at_comment(&self, comment: CommentId) -> Result<Option<Arc<Comment>>, StoreError> {
        self.read(move |view| Box::pin(look_at_comment(view, comment))).await
    }

    async fn look_at_head(&self, post: PostId) -> Result<Option<PostHead>, StoreError> {
        self.read(move |view| Box::pin(posts::head(view, post))).await
    }

    fn forget_head(&self, post: PostId) {
        self.shared.caches.post_heads.forget(&post);
    }

    async fn look_at_message(&self, message: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
        let found = self.read(move |view| Box::pin(messages::whole(view, None, message))).await?;
        Ok(found.filter(|found| !found.is_deleted).map(Arc::new))
    }

    async fn additions(&self, topics: &[Topic], since: Timestamp) -> Result<Vec<(Addition, Timestamp)>, StoreError> {
        let topics = topics.to_vec();
        self.read(move |view| Box::pin(async move { additions(view, &topics, since).await })).await
    }

    async fn adopted(&self, rows: &[Uuid]) -> Result<Vec<Adopted>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let keys = padded(&rows.iter().map(|row| Id(*row)).collect::<Vec<_>>());
        self.read(move |view| Box::pin(async move { adopted(view, &keys).await })).await
    }

    async fn forget_adopted(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.read(move |view| Box::pin(forget_adopted(view, before))).await
    }

    async fn hearing_marks(&self, users: &[UserId]) -> Result<Vec<(UserId, HearingMark)>, StoreError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let users = users.to_vec();
        self.read(move |view| Box::pin(async move { hearing_marks(view, &users).await })).await
    }
}

async fn adopted(view: &mut View<'_>, keys: &[Id]) -> Result<Vec<Adopted>, MysqlError> {
    let sql =
        format!("SELECT row_id, epoch, seq, created_at FROM pregon_adopted WHERE row_id IN ({})", marks(keys.len()));
    let parameters: Vec<_> = each(keys).collect();
    let read = |row: Columns<'_>| {
        let epoch = u32::try_from(row.number(1)?).unwrap_or(0);
        let cursor = Cursor { epoch, seq: row.count(2)? };
        Ok(Adopted { id: row.id::<Id>(0)?.0, cursor, at: Timestamp(row.number(3)?) })
    };
    view.rows(&sql, &parameters, read).await
}

async fn forget_adopted(view: &mut View<'_>, before: Timestamp) -> Result<u64, MysqlError> {
    let sql = format!("DELETE FROM pregon_adopted WHERE created_at < ? LIMIT {}", limits::RETENTION_ROWS_MAX);
    view.execute(&sql, &[&before.0]).await
}

async fn look_at_comment(view: &mut View<'_>, comment: CommentId) -> Result<Option<Arc<Comment>>, MysqlError> {
    let Some(mut found) = comments::one(view, None, comment).await? else { return Ok(None) };
    let sql = "SELECT count(*) FROM comment_likes WHERE comment_id = ?";
    found.likes_count = view.count(sql, &[&comment]).await?;
    Ok(Some(Arc::new(found)))
}

/// Django changes the counter columns after it has announced a change, and they drift. So the rows are counted instead.
async fn look_at_post(
    view: &mut View<'_>,
    post: PostId,
    reacted: Option<UserId>,
) -> Result<Option<(Arc<Post>, Option<PostReactionType>)>, MysqlError> {
    let Some(mut found) = posts::whole(view, None, post).await? else { return Ok(None) };
    let sql = "SELECT reaction_type, count(*) FROM post_reactions WHERE post_id = ? GROUP BY reaction_type";
    // Reaction types that this program does not know are not counted.
    let counted = view.rows(sql, &[&post], |row| Ok((row.kind::<PostReactionType>(0).ok(), row.count(1)?))).await?;
    found.counts = ReactionCounts::default();
    for (kind, count) in counted {
        match kind {
            Some(PostReactionType::Like) => found.counts.likes = count,
            Some(PostReactionType::Celebration) => found.counts.celebrations = count,
            Some(PostReactionType::Golazo) => found.counts.golazos = count,
            None => {}
        }
    }
    let reaction = match reacted {
        None => None,
        Some(user) => {
            let sql = "SELECT reaction_type FROM post_reactions WHERE post_id = ? AND user_id = ? \
                       ORDER BY created_at DESC LIMIT 1";
            view.row(sql, &[&post, &user], |row| Ok(row.kind(0).ok())).await?.flatten()
        }
    };
    Ok(Some((Arc::new(found), reaction)))
}

async fn additions(
    view: &mut View<'_>,
    topics: &[Topic],
    since: Timestamp,
) -> Result<Vec<(Addition, Timestamp)>, MysqlError> {
    let rooms: Vec<RoomId> =
        topics.iter().filter_map(|topic| if let Topic::Room(room) = topic { Some(*room) } else { None }).collect();
    let recipients: Vec<UserId> = topics
        .iter()
        .filter_map(|topic| if let Topic::Notifications(user) = topic { Some(*user) } else { None })
        .collect();
    let mut found = Vec::new();
    if !rooms.is_empty() {
        let keys = padded(&rooms);
        let sql = added("chat_room_id", "messages", "is_deleted = 0 AND ", keys.len());
        let message = |room, message| Addition::Message { room: RoomId(room), message: MessageId(message) };
        found = every_page(view, &sql, &keys, since, message).await?;
    }
    if !recipients.is_empty() {
        let keys = padded(&recipients);
        let sql = added("recipient_id", "notifications", "", keys.len());
        let notification = |recipient, notification| Addition::Notification {
            recipient: UserId(recipient),
            notification: NotificationId(notification),
        };
        found.extend(every_page(view, &sql, &keys, since, notification).await?);
    }
    found.sort_by_key(|(_, at)| *at);
    Ok(found)
}

/// Filtered by topic and time, because both tables are indexed so.
fn added(topic: &str, table: &str, and: &str, keys: usize) -> String {
    format!(
        "SELECT id, {topic}, created_at FROM {table} WHERE {topic} IN ({}) AND created_at >= ? \
         AND (created_at > ? OR id > ?) AND {and}{IS_FOREIGN} ORDER BY created_at, id LIMIT {}",
        marks(keys),
        limits::TAIL_PAGE_ROWS
    )
}

/// Reads page after page. A page begins behind the last row of the one before, however many rows have the same time.
async fn every_page<I: ToColumn>(
    view: &mut View<'_>,
    sql: &str,
    keys: &[I],
    since: Timestamp,
    addition: impl Fn(Uuid, Uuid) -> Addition,
) -> Result<Vec<(Addition, Timestamp)>, MysqlError> {
    let mut found = Vec::new();
    let mut last = (since, Id(Uuid::nil()));
    loop {
        let parameters: Parameters<'_> =
            &each(keys).chain([&last.0 as _, &last.0 as _, &last.1 as _]).collect::<Vec<_>>();
        let row = |row: Columns<'_>| Ok((row.id::<Id>(0)?, row.id::<Id>(1)?, row.time(2)?));
        let page = view.rows(sql, parameters, row).await?;
        found.extend(page.iter().map(|(id, topic, at)| (addition(topic.0, id.0), *at)));
        match page.last() {
            Some((id, _, at)) if page.len() >= limits::TAIL_PAGE_ROWS => last = (*at, *id),
            _ => return Ok(found),
        }
    }
}

/// Sums that the database computes from an index alone, so that no list is sent.
async fn hearing_marks(view: &mut View<'_>, users: &[UserId]) -> Result<Vec<(UserId, HearingMark)>, MysqlError> {
    let keys = padded(users);
    let parameters: Vec<_> = each(&keys).collect();
    let mut found: HashMap<UserId, HearingMark> = HashMap::new();
    for (kind, [user, other, table]) in [
        (1, ["follower_id", "following_id", "user_follows"]),
        (3, ["user1_id", "user2_id", "friendships"]),
        (5, ["user2_id", "user1_id", "friendships"]),
    ] {
        let sql = format!(
            "SELECT {user}, count(*), SUM(CRC32({other})) FROM {table} WHERE {user} IN ({}) GROUP BY {user}",
            marks(keys.len())
        );
        let row = |row: Columns<'_>| Ok((row.id::<UserId>(0)?, row.count(1)?, row.count(2)?));
        for (user, rows, sum) in view.rows(&sql, &parameters, row).await? {
            let mark = found.entry(user).or_default();
            mark.rows += rows;
            // A followed author who becomes a friend instead is still heard, but changes the sum. That only costs a
            // reload.
            mark.sum = mark.sum.wrapping_add(sum.wrapping_mul(kind));
        }
    }
    Ok(found.into_iter().collect())
}
