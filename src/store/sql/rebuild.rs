//! Makes whole events of the log's records again, from the rows as they are now.
//!
//! A record names its rows, and they may have changed since. So a rebuilt event says what is now: an edited message has its newest
//! text, counts are today's. What is gone is told as gone: a message that was deleted since is [`ChatEvent::Deleted`], which
//! does no harm where the message was never shown. So every record becomes one event, and a sequence keeps all its places.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::Message;
use crate::domain::event::{Committed, Event};
use crate::domain::event_record::{EventRecord, Happening};
use crate::domain::feed::comment::Comment;
use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent, RelationEvent};
use crate::domain::feed::post::{Post, PostReaction};
use crate::domain::notification::Notification;
use crate::domain::people::Relation;
use crate::ids::{CommentId, MessageId, NotificationId, PostId, RoomId, Topic, UserId};
use crate::store::sql::people::{Profiles, profiles};
use crate::store::sql::{Columns, Sql, ToColumn, View, comments, each, marks, messages, notifications, padded, posts};

/// The events of these records, one for each, in the same order. What one topic's records need costs a few queries, whatever
/// their number.
///
/// # Errors
/// A statement failed.
pub async fn committed<C: Sql>(
    view: &mut View<'_, C>,
    records: &[EventRecord],
) -> Result<Vec<Arc<Committed>>, C::Error> {
    let rows = Rows::read(view, records).await?;
    let whole = |record: &EventRecord| {
        let EventRecord { topic, cursor, event_id, at, .. } = *record;
        Arc::new(Committed { topic, cursor, event_id, at, previous: None, origin: None, event: rows.event(record) })
    };
    Ok(records.iter().map(whole).collect())
}

/// All rows that some records name, as far as they are still there.
#[derive(Default)]
struct Rows {
    people: Profiles,
    messages: HashMap<MessageId, Arc<Message>>,
    posts: HashMap<PostId, Arc<Post>>,
    comments: HashMap<CommentId, Arc<Comment>>,
    notifications: HashMap<NotificationId, Arc<Notification>>,
    /// Unread notifications of each user.
    unread: HashMap<UserId, u64>,
}

impl Rows {
    async fn read<C: Sql>(view: &mut View<'_, C>, records: &[EventRecord]) -> Result<Self, C::Error> {
        let mut rows = Self { people: profiles(view, people_of(records)).await?, ..Self::default() };
        let names = client_ids(view, records).await?;
        for message in messages::wholes(view, None, &named(records, shown_message)).await? {
            let client_id = names.get(&message.id).map(|name| Box::from(&**name));
            rows.messages.insert(message.id, Arc::new(Message { client_id, ..message }));
        }
        for post in named(records, |record| match record.topic {
            Topic::Post(post) => Some(post),
            _ => None,
        }) {
            if let Some(found) = posts::whole(view, None, post).await? {
                rows.posts.insert(post, Arc::new(found));
            }
        }
        let found = comments::wholes(view, &named(records, shown_comment)).await?;
        rows.comments = found.into_iter().map(|comment| (comment.id, Arc::new(comment))).collect();
        let found = notifications::wholes(view, &named(records, shown_notification)).await?;
        rows.notifications = found.into_iter().map(|found| (found.id, Arc::new(found))).collect();
        for user in named(records, |record| match record.topic {
            Topic::Notifications(user) => Some(user),
            _ => None,
        }) {
            rows.unread.insert(user, notifications::unread(view, user).await?);
        }
        Ok(rows)
    }

    fn event(&self, record: &EventRecord) -> Event {
        match record.topic {
            Topic::Room(_) => Event::Chat(self.in_room(record)),
            Topic::Post(post) => Event::Feed(FeedEvent::Post(self.of_post(record, post))),
            Topic::Notifications(user) => {
                Event::Feed(FeedEvent::Notification { user, change: self.of_notifications(record, user) })
            }
            Topic::Feed(_) | Topic::Author(_) => Event::Feed(FeedEvent::Relation(between_people(record))),
        }
    }

    fn in_room(&self, record: &EventRecord) -> ChatEvent {
        let user = record.user;
        let username = || self.people.of(user).map_or_else(|_| Box::from(""), |found| Box::from(&*found.username));
        let shown = |id: &MessageId, show: fn(Arc<Message>) -> ChatEvent| match self.messages.get(id) {
            Some(message) if !message.is_deleted => show(Arc::clone(message)),
            _ => ChatEvent::Deleted { message: *id, user },
        };
        let reacted =
            |message, reaction, added| ChatEvent::Reacted { message, user, username: username(), reaction, added };
        match &record.happening {
            Happening::Sent(id) => shown(id, ChatEvent::Sent),
            Happening::Edited(id) => shown(id, ChatEvent::Edited),
            Happening::Deleted(message) => ChatEvent::Deleted { message: *message, user },
            Happening::Read(messages, count) => {
                ChatEvent::Read { messages: messages.clone(), count: *count, user, username: username() }
            }
            Happening::Reacted(message, reaction) => reacted(*message, *reaction, true),
            Happening::Unreacted(message, reaction) => reacted(*message, *reaction, false),
            Happening::Left => ChatEvent::Left { user },
            Happening::RoomChanged => ChatEvent::Changed { user },
            // Nothing else is logged in a room: `happening` in `event_log.rs` would not have read it.
            _ => ChatEvent::Joined { user },
        }
    }

    fn of_post(&self, record: &EventRecord, id: PostId) -> PostEvent {
        let user = record.user;
        let Some(post) = self.posts.get(&id) else {
            // Whether it was public is not known any more. Its end concerns everybody who could see it; what else happened to
            // it concerns nobody.
            let is_public = matches!(record.happening, Happening::PostDeleted);
            return PostEvent { post: id, author: user, is_public, change: PostChange::Deleted };
        };
        let gone = |comments| PostChange::CommentsDeleted { comments, user, comments_count: post.comments_count };
        let change = match &record.happening {
            Happening::Posted => PostChange::Created(Arc::clone(post)),
            Happening::PostEdited { was_public } => {
                PostChange::Edited { post: Arc::clone(post), was_public: *was_public }
            }
            Happening::PostReacted(reaction) => {
                let reaction = reaction.map(|reaction_type| PostReaction {
                    id: record.event_id.0,
                    user: self.people.of(user).unwrap_or_default(),
                    reaction_type,
                    created_at: record.at,
                });
                PostChange::Reacted { counts: post.counts, user, reaction }
            }
            Happening::Commented(id) => match self.comments.get(id).cloned() {
                Some(comment) => PostChange::Commented { comment, comments_count: post.comments_count },
                None => gone(vec![*id]),
            },
            Happening::CommentEdited(id) => match self.comments.get(id).cloned() {
                Some(comment) => PostChange::CommentEdited(comment),
                None => gone(vec![*id]),
            },
            Happening::CommentsDeleted(ids) => gone(ids.clone()),
            Happening::CommentLiked(id) | Happening::CommentUnliked(id) => match self.comments.get(id) {
                None => gone(vec![*id]),
                Some(comment) => PostChange::CommentLiked {
                    comment: *id,
                    user,
                    likes_count: comment.likes_count,
                    is_liked: matches!(record.happening, Happening::CommentLiked(_)),
                },
            },
            Happening::PostDeleted => PostChange::Deleted,
            // Nothing else is logged of a post.
            _ => PostChange::Shared { user, shares_count: post.shares_count },
        };
        PostEvent { post: id, author: post.user.id, is_public: post.is_public, change }
    }

    fn of_notifications(&self, record: &EventRecord, user: UserId) -> NotificationChange {
        let unread_count = self.unread.get(&user).copied().unwrap_or(0);
        let gone = |notifications| NotificationChange::Gone { notifications, unread_count };
        match &record.happening {
            Happening::Notified(id) => match self.notifications.get(id).cloned() {
                Some(found) => NotificationChange::Came(found),
                None => gone(vec![*id]),
            },
            Happening::NotificationChanged(id) => match self.notifications.get(id).cloned() {
                Some(found) => NotificationChange::Changed(found),
                None => gone(vec![*id]),
            },
            Happening::NotificationsRead(notifications, count) => {
                NotificationChange::Read { notifications: notifications.clone(), count: *count }
            }
            Happening::NotificationsGone(notifications, _) => gone(notifications.clone()),
            // Nothing else is logged of notifications.
            _ => gone(Vec::new()),
        }
    }
}

fn between_people(record: &EventRecord) -> RelationEvent {
    let (other, relation, hears) = match record.happening {
        Happening::Related { other, relation, hears } => (other, relation, hears),
        // Nothing else is logged between people.
        _ => (record.user, Relation::Requested, false),
    };
    RelationEvent { user: record.user, other, relation, hears, request: None }
}

/// Users whose names or profiles the events show.
fn people_of(records: &[EventRecord]) -> Vec<UserId> {
    let is_named = |record: &&EventRecord| {
        matches!(
            record.happening,
            Happening::Read(..) | Happening::Reacted(..) | Happening::Unreacted(..) | Happening::PostReacted(Some(_))
        )
    };
    records.iter().filter(is_named).map(|record| record.user).collect()
}

/// What some records name, each once.
fn named<T: Ord>(records: &[EventRecord], name: impl Fn(&EventRecord) -> Option<T>) -> Vec<T> {
    Vec::from_iter(records.iter().filter_map(name).collect::<BTreeSet<_>>())
}

fn shown_message(record: &EventRecord) -> Option<MessageId> {
    match record.happening {
        Happening::Sent(message) | Happening::Edited(message) => Some(message),
        _ => None,
    }
}

fn shown_comment(record: &EventRecord) -> Option<CommentId> {
    match record.happening {
        Happening::Commented(comment)
        | Happening::CommentEdited(comment)
        | Happening::CommentLiked(comment)
        | Happening::CommentUnliked(comment) => Some(comment),
        _ => None,
    }
}

fn shown_notification(record: &EventRecord) -> Option<NotificationId> {
    match record.happening {
        Happening::Notified(notification) | Happening::NotificationChanged(notification) => Some(notification),
        _ => None,
    }
}

/// The most messages whose names one query asks for.
const SENT_MAX: usize = 128;

/// The names that clients gave new messages, as far as they are still kept.
async fn client_ids<C: Sql>(
    view: &mut View<'_, C>,
    records: &[EventRecord],
) -> Result<HashMap<MessageId, String>, C::Error> {
    let mut sent = Vec::new();
    for record in records {
        if let (Topic::Room(room), Happening::Sent(message)) = (record.topic, &record.happening) {
            sent.push(((record.user, room), *message));
        }
    }
    let mut found = HashMap::new();
    for sent in sent.chunks(SENT_MAX) {
        let pairs: BTreeSet<(UserId, RoomId)> = sent.iter().map(|(pair, _)| *pair).collect();
        let ids: Vec<MessageId> = sent.iter().map(|(_, message)| *message).collect();
        let (pairs, ids) = (padded(&Vec::from_iter(pairs)), padded(&ids));
        let branches = vec!["(user_id = ? AND room_id = ?)"; pairs.len()].join(" OR ");
        let sql = format!(
            "SELECT message_id, client_id FROM pregon_client_ids WHERE ({branches}) AND message_id IN ({})",
            marks(ids.len())
        );
        let pairs = pairs.iter().flat_map(|(user, room)| [user as &dyn ToColumn, room]);
        let parameters: Vec<&dyn ToColumn> = pairs.chain(each(&ids)).collect();
        let read = |row: Columns<'_>| Ok((row.id(0)?, row.text(1)?));
        found.extend(view.rows(&sql, &parameters, read).await?);
    }
    Ok(found)
}
