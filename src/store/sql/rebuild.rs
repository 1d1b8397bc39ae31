//! Events of the log made whole again: what the rows say now of what happened.
//!
//! An event is told as its subject is now: a message that was edited since has its new text, and the edit follows. If the
//! subject is gone or deleted since, nothing is told of the event; its deletion follows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::Message;
use crate::domain::event::{Committed, Event};
use crate::domain::event_record::{EventRecord, Happening};
use crate::domain::feed::comment::Comment;
use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent, RelationEvent};
use crate::domain::feed::post::{Post, PostReaction};
use crate::domain::notification::Notification;
use crate::domain::user::UserProfile;
use crate::ids::{CommentId, MessageId, NotificationId, PostId, Topic, UserId};
use crate::store::sql::people::Profiles;
use crate::store::sql::{Sql, View, comments, messages, notifications, people, posts};

/// What the records are about, read at once.
struct Subjects {
    messages: HashMap<MessageId, Arc<Message>>,
    posts: HashMap<PostId, Arc<Post>>,
    comments: HashMap<CommentId, Arc<Comment>>,
    notifications: HashMap<NotificationId, Arc<Notification>>,
    unread: HashMap<UserId, u64>,
    profiles: Profiles,
}

/// The events of these records, in their order; `None` for those of which there is nothing to tell any more.
pub async fn committed<C: Sql>(
    view: &mut View<'_, C>,
    records: &[EventRecord],
) -> Result<Vec<Arc<Committed>>, C::Error> {
    let subjects = read(view, records).await?;
    let mut before: Option<&EventRecord> = None;
    let rebuilt = records.iter().map(|record| {
        let previous = before.filter(|before| {
            let (last, next) = (before.cursor, record.cursor);
            before.topic == record.topic && last.epoch == next.epoch && last.seq + 1 == next.seq
        });
        before = Some(record);
        let event = subjects.event(record)?;
        let EventRecord { topic, cursor, event_id, at, .. } = *record;
        let previous = previous.map(|before| before.at);
        Some(Arc::new(Committed { topic, cursor, event_id, at, previous, origin: None, event }))
    });
    Ok(rebuilt.flatten().collect())
}

async fn read<C: Sql>(view: &mut View<'_, C>, records: &[EventRecord]) -> Result<Subjects, C::Error> {
    let (mut wanted, mut users) = (Vec::new(), HashSet::new());
    let mut found = Subjects {
        messages: HashMap::new(),
        posts: HashMap::new(),
        comments: HashMap::new(),
        notifications: HashMap::new(),
        unread: HashMap::new(),
        profiles: Profiles::default(),
    };
    for record in records {
        match &record.happening {
            Happening::Sent(message) | Happening::Edited(message) => wanted.push(*message),
            Happening::Read(..) | Happening::Reacted(..) | Happening::Unreacted(..) => drop(users.insert(record.user)),
            Happening::PostReacted(Some(_)) => drop(users.insert(record.user)),
            Happening::Commented(comment)
            | Happening::CommentEdited(comment)
            | Happening::CommentLiked(comment)
            | Happening::CommentUnliked(comment) => {
                if !found.comments.contains_key(comment)
                    && let Some(comment) = comments::one(view, None, *comment).await?
                {
                    found.comments.insert(comment.id, Arc::new(comment));
                }
            }
            Happening::Notified(notification) | Happening::NotificationChanged(notification) => {
                if let Some(notification) = notifications::one(view, record.user, *notification).await? {
                    found.notifications.insert(notification.id, Arc::new(notification));
                }
            }
            Happening::NotificationsGone(..) => {
                let unread = notifications::unread(view, record.user).await?;
                found.unread.insert(record.user, unread);
            }
            _ => {}
        }
        if let Topic::Post(post) = record.topic
            && !found.posts.contains_key(&post)
            && let Some(post) = posts::whole(view, None, post).await?
        {
            found.posts.insert(post.id, Arc::new(post));
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    let read = messages::wholes(view, None, &wanted).await?;
    let shown = read.into_iter().filter(|message| !message.is_deleted);
    found.messages = shown.map(|message| (message.id, Arc::new(message))).collect();
    found.profiles = people::profiles(view, users).await?;
    Ok(found)
}

impl Subjects {
    fn event(&self, record: &EventRecord) -> Option<Event> {
        let user = record.user;
        Some(match record.topic {
            Topic::Room(_) => Event::Chat(self.in_room(record)?),
            Topic::Post(post) => Event::Feed(FeedEvent::Post(self.of_post(post, record)?)),
            Topic::Notifications(_) => {
                Event::Feed(FeedEvent::Notification { user, change: self.of_notification(record)? })
            }
            Topic::Feed(_) => match record.happening {
                Happening::Related { other, relation, hears } => {
                    Event::Feed(FeedEvent::Relation(RelationEvent { user, other, relation, hears, request: None }))
                }
                _ => return None,
            },
            Topic::Author(_) => return None,
        })
    }

    fn in_room(&self, record: &EventRecord) -> Option<ChatEvent> {
        let user = record.user;
        let name = || self.person(user).map(|person| person.username.as_str().into());
        Some(match &record.happening {
            Happening::Sent(message) => ChatEvent::Sent(self.messages.get(message)?.clone()),
            Happening::Edited(message) => ChatEvent::Edited(self.messages.get(message)?.clone()),
            Happening::Deleted(message) => ChatEvent::Deleted { message: *message, user },
            Happening::Read(messages, count) => {
                ChatEvent::Read { messages: messages.clone(), count: *count, user, username: name()? }
            }
            Happening::Reacted(message, reaction) => {
                ChatEvent::Reacted { message: *message, user, username: name()?, reaction: *reaction, added: true }
            }
            Happening::Unreacted(message, reaction) => {
                ChatEvent::Reacted { message: *message, user, username: name()?, reaction: *reaction, added: false }
            }
            Happening::Joined => ChatEvent::Joined { user },
            Happening::Left => ChatEvent::Left { user },
            _ => return None,
        })
    }

    fn of_post(&self, id: PostId, record: &EventRecord) -> Option<PostEvent> {
        let user = record.user;
        if record.happening == Happening::PostDeleted {
            // Whether it was public is not known any more. Its id says nothing of it.
            return Some(PostEvent { post: id, author: user, is_public: true, change: PostChange::Deleted });
        }
        let post = self.posts.get(&id)?;
        let comment = |comment| self.comments.get(comment).cloned();
        let liked = |liked: &CommentId, is_liked| {
            let likes_count = self.comments.get(liked)?.likes_count;
            Some(PostChange::CommentLiked { comment: *liked, user, likes_count, is_liked })
        };
        let change = match &record.happening {
            Happening::Posted => PostChange::Created(post.clone()),
            Happening::PostEdited { was_public } => PostChange::Edited { post: post.clone(), was_public: *was_public },
            Happening::PostReacted(reaction) => {
                let reaction = match reaction {
                    None => None,
                    Some(reaction_type) => Some(PostReaction {
                        id: record.event_id.0,
                        user: self.person(user)?,
                        reaction_type: *reaction_type,
                        created_at: record.at,
                    }),
                };
                PostChange::Reacted { counts: post.counts, user, reaction }
            }
            Happening::Commented(id) => {
                PostChange::Commented { comment: comment(id)?, comments_count: post.comments_count }
            }
            Happening::CommentEdited(id) => PostChange::CommentEdited(comment(id)?),
            Happening::CommentsDeleted(comments) => {
                PostChange::CommentsDeleted { comments: comments.clone(), user, comments_count: post.comments_count }
            }
            Happening::CommentLiked(comment) => liked(comment, true)?,
            Happening::CommentUnliked(comment) => liked(comment, false)?,
            Happening::Shared => PostChange::Shared { user, shares_count: post.shares_count },
            _ => return None,
        };
        Some(PostEvent { post: id, author: post.user.id, is_public: post.is_public, change })
    }

    fn of_notification(&self, record: &EventRecord) -> Option<NotificationChange> {
        let notification = |id| self.notifications.get(id).cloned();
        Some(match &record.happening {
            Happening::Notified(id) => NotificationChange::Came(notification(id)?),
            Happening::NotificationChanged(id) => NotificationChange::Changed(notification(id)?),
            Happening::NotificationsRead(notifications, count) => {
                NotificationChange::Read { notifications: notifications.clone(), count: *count }
            }
            Happening::NotificationsGone(notifications, _) => NotificationChange::Gone {
                notifications: notifications.clone(),
                unread_count: self.unread.get(&record.user).copied()?,
            },
            _ => return None,
        })
    }

    fn person(&self, user: UserId) -> Option<Arc<UserProfile>> {
        self.profiles.0.get(&user).cloned()
    }
}
