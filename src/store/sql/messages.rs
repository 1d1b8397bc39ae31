//! Reads messages: whole, in pages, and as replies show them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::{Message, MessageType, Reaction, ReactionType, ReplyPreview, StoryPreview};
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits::MESSAGE_REACTIONS_SHOWN;
use crate::store::sql::people::{Profiles, profiles};
use crate::store::sql::{
    BRANCHES_MAX, Behind, Columns, Dialect, Id, KEYS_MAX, Sql, ToColumn, Unexpected, View, behind, each, marks, offset,
    or_none, padded,
};
use crate::store::{PageOf, PageRequest};

/// The part of a message that the rules need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageHead {
    /// Its author.
    pub sender: UserId,
    /// Its kind.
    pub message_type: MessageType,
    /// Whether it was softly deleted.
    pub is_deleted: bool,
}

/// The columns of [`message_of_row`]; the first `?` is the viewer, if there is one.
const MESSAGE: &str = "SELECT m.id, m.chat_room_id, m.sender_id, m.content, m.message_type, m.image, m.video, m.audio, \
    m.file_url, m.file_name, m.file_size, m.is_edited, m.is_deleted, m.created_at, m.updated_at, m.story_id, \
    (SELECT count(*) FROM message_reads WHERE message_id = m.id), \
    EXISTS (SELECT 1 FROM message_reads WHERE message_id = m.id AND user_id = ?), \
    r.id, u.username, u.display_name, CASE WHEN r.is_deleted = 0 THEN r.content ELSE '' END, r.message_type, \
    r.is_deleted FROM messages m \
    LEFT JOIN messages r ON r.id = m.reply_to_id LEFT JOIN users u ON u.id = r.sender_id";

/// A message whose people are not looked up yet.
struct Found {
    message: Message,
    sender: UserId,
}

/// One message, deleted or not, for `viewer` or, without one, for frames.
pub async fn whole<C: Sql>(
    view: &mut View<'_, C>,
    viewer: Option<UserId>,
    id: MessageId,
) -> Result<Option<Message>, C::Error> {
    let found = view.row(&format!("{MESSAGE} WHERE m.id = ?"), &[&viewer, &id], message_of_row).await?;
    Ok(complete(view, viewer, found.into_iter().collect()).await?.pop())
}

/// Messages by their ids, in no particular order.
pub async fn wholes<C: Sql>(
    view: &mut View<'_, C>,
    viewer: Option<UserId>,
    ids: &[MessageId],
) -> Result<Vec<Message>, C::Error> {
    let mut found = Vec::with_capacity(ids.len());
    for keys in ids.chunks(KEYS_MAX).map(padded) {
        let sql = format!("{MESSAGE} WHERE m.id IN ({})", marks(keys.len()));
        let parameters: Vec<&dyn ToColumn> = std::iter::once(&viewer as _).chain(each(&keys)).collect();
        found.extend(view.rows(&sql, &parameters, message_of_row).await?);
    }
    complete(view, viewer, found).await
}

/// A message of the room that is not deleted, as a reply shows it.
pub async fn reply<C: Sql>(
    view: &mut View<'_, C>,
    room: RoomId,
    message: MessageId,
) -> Result<Option<ReplyPreview>, C::Error> {
    let sql = "SELECT m.id, u.username, u.display_name, m.content, m.message_type, m.is_deleted FROM messages m \
        JOIN users u ON u.id = m.sender_id WHERE m.id = ? AND m.chat_room_id = ? AND m.is_deleted = 0";
    view.row(sql, &[&message, &room], |row| reply_of_row(row, 0)).await
}

/// The rights of a message of the room, deleted or not.
pub async fn head<C: Sql>(
    view: &mut View<'_, C>,
    room: RoomId,
    message: MessageId,
) -> Result<Option<MessageHead>, C::Error> {
    let sql = "SELECT sender_id, message_type, is_deleted FROM messages WHERE id = ? AND chat_room_id = ?";
    view.row(sql, &[&message, &room], |row| {
        Ok(MessageHead { sender: row.id(0)?, message_type: row.kind(1)?, is_deleted: row.flag(2)? })
    })
    .await
}

/// The files of those of the messages that are deleted: paths, and the addresses of documents.
pub async fn files_of_deleted<C: Sql>(view: &mut View<'_, C>, messages: &[MessageId]) -> Result<Vec<String>, C::Error> {
    let mut found = Vec::new();
    for keys in messages.chunks(KEYS_MAX).map(padded) {
        let sql = format!(
            "SELECT image, video, audio, file_url FROM messages WHERE is_deleted = 1 AND id IN ({})",
            marks(keys.len())
        );
        let read = |row: Columns<'_>| {
            Ok([row.optional_text(0)?, row.optional_text(1)?, row.optional_text(2)?, row.optional_text(3)?])
        };
        let rows = view.rows(&sql, &each(&keys).collect::<Vec<_>>(), read).await?;
        found.extend(rows.into_iter().flatten().flatten());
    }
    Ok(found)
}

/// A page of a room's history, newest first. Empty if the viewer is not a participant.
pub async fn page<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    room: RoomId,
    since: Option<Timestamp>,
    page: PageRequest,
) -> Result<PageOf<Message>, C::Error> {
    const SHOWN: &str = "FROM messages WHERE chat_room_id = ? AND is_deleted = 0 AND created_at > ?";
    // No message is older than the zero of timestamps.
    let since = since.unwrap_or_default();
    let sql = format!(
        "SELECT count(*) {SHOWN} AND EXISTS (SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND user_id = ?)"
    );
    let count = view.count(&sql, &[&room, &since, &room, &viewer]).await?;
    if count == 0 {
        return Ok(PageOf { count, rows: Vec::new() });
    }
    let sql = format!(
        "{MESSAGE} JOIN (SELECT id {SHOWN}{} ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?) page ON page.id = m.id \
         ORDER BY m.created_at DESC, m.id DESC",
        behind(page, "", "id DESC")
    );
    let after = Behind::of(page);
    let from = offset(page);
    let mut parameters: Vec<&dyn ToColumn> = vec![&viewer, &room, &since];
    parameters.extend(after.parameters());
    parameters.extend([&page.size as &dyn ToColumn, &from]);
    let found = view.rows(&sql, &parameters, message_of_row).await?;
    Ok(PageOf { count, rows: complete(view, Some(viewer), found).await? })
}

/// One message of the room that is not deleted. `None` if the viewer is not a participant.
pub async fn one<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    room: RoomId,
    message: MessageId,
) -> Result<Option<Message>, C::Error> {
    let sql = format!(
        "{MESSAGE} WHERE m.id = ? AND m.chat_room_id = ? AND m.is_deleted = 0 \
         AND EXISTS (SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND user_id = ?)"
    );
    let found = view.row(&sql, &[&viewer, &message, &room, &room, &viewer], message_of_row).await?;
    Ok(complete(view, Some(viewer), found.into_iter().collect()).await?.pop())
}

fn message_of_row(row: Columns<'_>) -> Result<Found, Unexpected> {
    let is_reply = row.optional_id::<MessageId>(18)?.is_some();
    let message = Message {
        id: row.id(0)?,
        room: row.id(1)?,
        sender: Arc::default(),
        content: row.text(3)?,
        message_type: row.kind(4)?,
        image: row.optional_text(5)?,
        video: row.optional_text(6)?,
        audio: row.optional_text(7)?,
        file_url: row.text(8)?,
        file_name: row.text(9)?,
        file_size: row.optional_u32(10)?,
        reply_to: if is_reply { Some(reply_of_row(row, 18)?) } else { None },
        is_edited: row.flag(11)?,
        is_deleted: row.flag(12)?,
        created_at: row.time(13)?,
        updated_at: row.time(14)?,
        reactions: Vec::new(),
        reaction_counts: BTreeMap::new(),
        user_reaction: None,
        is_read: row.flag(17)?,
        read_by_count: row.count(16)?,
        story_id: row.optional_id::<Id>(15)?.map(|id| id.0),
        story: None,
        client_id: None,
    };
    Ok(Found { message, sender: row.id(2)? })
}

/// Six columns from `first`: id, username, display name, content, type, deleted.
fn reply_of_row(row: Columns<'_>, first: usize) -> Result<ReplyPreview, Unexpected> {
    Ok(ReplyPreview {
        id: row.id(first)?,
        sender_username: row.text(first + 1)?,
        sender_display_name: row.text(first + 2)?,
        content: row.text(first + 3)?,
        message_type: row.kind(first + 4)?,
        is_deleted: row.flag(first + 5)?,
    })
}

/// Adds the parts that are not in the messages' own rows: stories, people, and reactions, in the given order. A page
/// without stories and reactions costs two queries, any other page five, and one more for each further [`BRANCHES_MAX`]
/// messages with reactions.
async fn complete<C: Sql>(
    view: &mut View<'_, C>,
    viewer: Option<UserId>,
    found: Vec<Found>,
) -> Result<Vec<Message>, C::Error> {
    let ids: Vec<MessageId> = found.iter().map(|found| found.message.id).collect();
    let mut reactions = reactions(view, viewer, &ids).await?;
    let stories = stories(view, found.iter().filter_map(|found| found.message.story_id)).await?;
    let reacted = reactions.values().flat_map(|found| &found.newest).map(|(user, _)| *user);
    let people = found.iter().map(|found| found.sender).chain(reacted).chain(stories.values().map(|(user, _)| *user));
    let people = profiles(view, people.collect::<Vec<_>>()).await?;
    let mut messages = Vec::with_capacity(found.len());
    for Found { mut message, sender } in found {
        message.sender = people.of(sender)?;
        let Reactions { newest, counts, own } = reactions.remove(&message.id).unwrap_or_default();
        (message.reaction_counts, message.user_reaction) = (counts, own);
        for (user, reaction) in newest {
            message.reactions.push(Reaction { user: people.of(user)?, ..reaction });
        }
        message.story = story_of(&people, &stories, message.story_id)?;
        messages.push(message);
    }
    Ok(messages)
}

/// The shown reactions of a message.
#[derive(Default)]
struct Reactions {
    /// The newest reactions with their users, oldest first.
    newest: Vec<(UserId, Reaction)>,
    counts: BTreeMap<ReactionType, u64>,
    /// The viewer's newest reaction.
    own: Option<ReactionType>,
}

impl Reactions {
    fn has_all(&self) -> bool {
        self.newest.len() as u64 >= self.counts.values().sum()
    }
}

/// The reactions of those messages that have any. Counts come from an index. A backend's own tables have no index by
/// time, so the server sorts each message's rows and returns the newest.
async fn reactions<C: Sql>(
    view: &mut View<'_, C>,
    viewer: Option<UserId>,
    messages: &[MessageId],
) -> Result<HashMap<MessageId, Reactions>, C::Error> {
    let mut by_message: HashMap<MessageId, Reactions> = HashMap::new();
    for keys in messages.chunks(KEYS_MAX).map(padded) {
        let sql = format!(
            "SELECT message_id, reaction_type, count(*) FROM message_reactions WHERE message_id IN ({}) \
             GROUP BY message_id, reaction_type",
            marks(keys.len())
        );
        let read = |row: Columns<'_>| Ok((row.id(0)?, row.kind(1)?, row.count(2)?));
        for (message, reaction, count) in view.rows(&sql, &each(&keys).collect::<Vec<_>>(), read).await? {
            // Added up, because unknown words count as a known type.
            *by_message.entry(message).or_default().counts.entry(reaction).or_default() += count;
        }
    }
    let reacted: Vec<MessageId> = by_message.keys().copied().collect();
    for (message, user, reaction) in newest_reactions(view, &reacted).await? {
        let found = by_message.entry(message).or_default();
        if viewer == Some(user) {
            found.own = Some(reaction.reaction_type);
        }
        found.newest.push((user, reaction));
    }
    if let Some(viewer) = viewer {
        let is_open = |found: &Reactions| found.own.is_none() && !found.has_all();
        let open = by_message.iter().filter(|(_, found)| is_open(found)).map(|(message, _)| *message);
        for (message, own) in own_reactions(view, viewer, &open.collect::<Vec<_>>()).await? {
            by_message.entry(message).or_default().own = Some(own);
        }
    }
    Ok(by_message)
}

/// The newest reactions of several messages, by an index if there is one.
pub fn newest_reactions_of(dialect: Dialect, messages: usize) -> String {
    const BRANCH: &str = "SELECT id, message_id, user_id, reaction_type, created_at FROM message_reactions \
        WHERE message_id = ? ORDER BY created_at DESC, id DESC LIMIT ?";
    format!("SELECT * FROM {} newest ORDER BY created_at, id", dialect.union_of(BRANCH, messages))
}

/// The newest reactions of each message, as many as are shown, oldest first.
async fn newest_reactions<C: Sql>(
    view: &mut View<'_, C>,
    messages: &[MessageId],
) -> Result<Vec<(MessageId, UserId, Reaction)>, C::Error> {
    let mut found = Vec::new();
    for keys in messages.chunks(BRANCHES_MAX).map(padded) {
        let sql = newest_reactions_of(C::DIALECT, keys.len());
        let shown = &MESSAGE_REACTIONS_SHOWN as &dyn ToColumn;
        let parameters: Vec<&dyn ToColumn> = keys.iter().flat_map(|key| [key as &dyn ToColumn, shown]).collect();
        let read = |row: Columns<'_>| {
            let id = row.id::<Id>(0)?.0;
            let user = Arc::default();
            let reaction = Reaction { id, user, reaction_type: row.kind(3)?, created_at: row.time(4)? };
            Ok((row.id(1)?, row.id(2)?, reaction))
        };
        found.extend(view.rows(&sql, &parameters, read).await?);
    }
    Ok(found)
}

/// The viewer's reactions to the messages; the newest one of each message comes last.
async fn own_reactions<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    messages: &[MessageId],
) -> Result<Vec<(MessageId, ReactionType)>, C::Error> {
    let mut found = Vec::new();
    for keys in messages.chunks(KEYS_MAX).map(padded) {
        let sql = format!(
            "SELECT message_id, reaction_type FROM message_reactions WHERE user_id = ? AND message_id IN ({}) \
             ORDER BY created_at, id",
            marks(keys.len())
        );
        let parameters: Vec<&dyn ToColumn> = std::iter::once(&viewer as _).chain(each(&keys)).collect();
        found.extend(view.rows(&sql, &parameters, |row| Ok((row.id(0)?, row.kind(1)?))).await?);
    }
    Ok(found)
}

type Stories = HashMap<Uuid, (UserId, StoryPreview)>;

/// The stories that still exist, if the table does.
async fn stories<C: Sql>(view: &mut View<'_, C>, stories: impl Iterator<Item = Uuid>) -> Result<Stories, C::Error> {
    let mut found = HashMap::new();
    let stories: Vec<Id> = stories.map(Id).collect();
    for keys in stories.chunks(KEYS_MAX).map(padded) {
        let sql = format!(
            "SELECT id, media, media_type, created_at, expires_at, user_id FROM stories WHERE id IN ({})",
            marks(keys.len())
        );
        let read = |row: Columns<'_>| {
            let story = StoryPreview {
                id: row.id::<Id>(0)?.0,
                media: row.text(1)?,
                media_type: row.text(2)?,
                user: Arc::default(),
                created_at: row.time(3)?,
                expires_at: row.time(4)?,
            };
            Ok((story.id, (row.id(5)?, story)))
        };
        let parameters: Vec<_> = each(&keys).collect();
        found.extend(or_none::<C, _>(view.rows(&sql, &parameters, read).await)?);
    }
    Ok(found)
}

fn story_of(people: &Profiles, stories: &Stories, id: Option<Uuid>) -> Result<Option<StoryPreview>, Unexpected> {
    let Some((user, story)) = id.and_then(|id| stories.get(&id)) else { return Ok(None) };
    Ok(Some(StoryPreview { user: people.of(*user)?, ..story.clone() }))
}
