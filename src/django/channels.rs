//! What Django's channel layer keeps in Redis: the names of groups, channels and queues, and the elements of a queue.
//!
//! channels-redis 4 (`RedisChannelLayer`) gives every process a queue and every group a sorted set of channels. Names
//! and elements come from other programs: an element that does not read as expected is refused, and nothing but its ids
//! is used.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use uuid::Uuid;

use crate::ids::{CommentId, PostId, UserId};
use crate::limits::{CHANNEL_DEPTH_MAX, CHANNEL_ELEMENT_BYTES_MAX, CHANNEL_QUEUES};

/// The bytes before each element's MessagePack: they make equal messages different members of a sorted set.
const RANDOM_BYTES: usize = 12;

/// A group that pregon may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// `feed_<user>`: posts by the user, and by everybody the user follows.
    Feed(UserId),
    /// `post_<post>`: what happens to the post.
    Post(PostId),
}

impl Group {
    /// Reads a group's name.
    pub fn parse(name: &str) -> Option<Self> {
        let (kind, id) = name.split_once('_')?;
        match kind {
            "feed" => Some(Self::Feed(id.parse().ok()?)),
            "post" => Some(Self::Post(id.parse().ok()?)),
            _ => None,
        }
    }

    /// The number of this process's queue by which the group's messages come, below [`CHANNEL_QUEUES`].
    pub fn queue(self) -> usize {
        let (Self::Feed(UserId(id)) | Self::Post(PostId(id))) = self;
        // All versions of UUIDs have random bits at the end.
        usize::from(id.as_bytes()[15]) % CHANNEL_QUEUES
    }
}

impl fmt::Display for Group {
    /// The group's name; its id is written with hyphens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feed(user) => write!(f, "feed_{user}"),
            Self::Post(post) => write!(f, "post_{post}"),
        }
    }
}

/// The names of one life of this process in the channel layer. It has several queues, because a sender silently drops a
/// message for which a queue has no room.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: Box<str>,
    queues: [Uuid; CHANNEL_QUEUES],
}

impl Names {
    /// Names that nobody had before.
    pub fn fresh(prefix: &str) -> Self {
        Self { prefix: prefix.into(), queues: std::array::from_fn(|_| Uuid::new_v4()) }
    }

    /// The sorted set of a group's channels.
    pub fn group_key(&self, group: &str) -> String {
        format!("{}:group:{group}", self.prefix)
    }

    /// This process's channel for a group: a member of [`Self::group_key`].
    pub fn channel(&self, group: Group) -> String {
        channel(self.queues[group.queue()], &group.to_string())
    }

    /// The keys of the queues.
    pub fn queue_keys(&self) -> impl Iterator<Item = String> {
        self.queues.iter().map(|queue| format!("{}specific.{}!", self.prefix, queue.simple()))
    }

    /// The ids of the queues, under which the ledger of processes lists them.
    pub fn queues(&self) -> &[Uuid] {
        &self.queues
    }

    /// The ledger: the queues of all pregon processes, each with the time of its last heartbeat.
    pub fn ledger_key(&self) -> String {
        format!("{}:pregon:queues", self.prefix)
    }

    /// The set of groups that a queue is in, so that other processes can clear away what a crash left behind.
    pub fn groups_key(&self, queue: Uuid) -> String {
        format!("{}:pregon:groups:{}", self.prefix, queue.simple())
    }
}

/// The channel of a queue for a group.
pub fn channel(queue: Uuid, group: &str) -> String {
    format!("specific.{}!{group}", queue.simple())
}

/// A bell that rang, and the group by which we heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The group that it came by.
    pub group: Group,
    /// What it says.
    pub bell: Bell,
}

/// What a message says has happened. Only its ids are used; the rest is read from the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bell {
    /// A post is new.
    Posted {
        /// Which.
        post: PostId,
        /// Whose, as the message says.
        author: Option<UserId>,
    },
    /// A post or a counter of it changed.
    Updated {
        /// Which.
        post: PostId,
        /// Whose, as the message says.
        author: Option<UserId>,
    },
    /// A post is gone, or will be when its transaction commits.
    Deleted {
        /// Which.
        post: PostId,
    },
    /// Somebody reacted to a post.
    Reacted {
        /// Which.
        post: PostId,
        /// Who.
        user: UserId,
    },
    /// A comment is new.
    Commented(CommentId),
    /// A comment or its counter of likes changed.
    Reworded(CommentId),
    /// A comment is gone, or will be.
    Uncommented(CommentId),
    /// Somebody likes a comment.
    Liked(CommentId),
}

/// Why an element was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unheard {
    /// The element cannot be read: it is encrypted, from another serializer, cut off, or no message at all.
    Garbage,
    /// A message for a group that pregon does not listen to, or of a type that it does not know.
    Foreign,
}

/// Reads an element of a queue. One message may come for several groups: each gives one [`Heard`].
///
/// # Errors
/// When the element says nothing that pregon listens to.
pub fn decode(element: &[u8]) -> Result<Vec<Heard>, Unheard> {
    if element.len() > CHANNEL_ELEMENT_BYTES_MAX {
        return Err(Unheard::Garbage);
    }
    let packed = element.get(RANDOM_BYTES..).ok_or(Unheard::Garbage)?;
    let mut reader = rmp_serde::Deserializer::from_read_ref(packed);
    reader.set_max_depth(CHANNEL_DEPTH_MAX);
    let message = Message::deserialize(&mut reader).map_err(|_| Unheard::Garbage)?;
    let bell = message.bell()?;
    let groups = message.channels.iter().filter_map(|channel| Group::parse(channel.split_once('!')?.1));
    let heard: Vec<Heard> = groups.map(|group| Heard { group, bell }).collect();
    if heard.is_empty() { Err(Unheard::Foreign) } else { Ok(heard) }
}

/// The parts of a message that pregon uses. Everything else in it is skipped.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "__asgi_channel__", borrow)]
    channels: Channels<'a>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    post_data: Option<Object<'a>>,
    #[serde(default, borrow)]
    comment_data: Option<Object<'a>>,
    #[serde(default, borrow)]
    reaction_data: Option<ReactionData<'a>>,
    #[serde(default, borrow)]
    post_id: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    comment_id: Option<Cow<'a, str>>,
}

/// Full channel names: a list for a group's message, one name for a message to a single channel.
#[derive(Deserialize)]
#[serde(untagged)]
enum Channels<'a> {
    #[serde(borrow)]
    Many(Vec<Cow<'a, str>>),
    #[serde(borrow)]
    One(Cow<'a, str>),
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default, borrow)]
    user: Option<Person<'a>>,
}

#[derive(Deserialize)]
struct Person<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ReactionData<'a> {
    #[serde(default, borrow)]
    user_reaction: Option<UserReaction<'a>>,
}

#[derive(Deserialize)]
struct UserReaction<'a> {
    #[serde(borrow)]
    user_id: Cow<'a, str>,
}

impl Channels<'_> {
    fn iter(&self) -> impl Iterator<Item = &str> {
        let (many, one) = match self {
            Self::Many(many) => (many.as_slice(), None),
            Self::One(one) => (&[][..], Some(one)),
        };
        many.iter().chain(one).map(|name| &**name)
    }
}

impl Message<'_> {
    fn bell(&self) -> Result<Bell, Unheard> {
        let post = || id(self.post_data.as_ref().map(|post| &post.id));
        let author = || self.post_data.as_ref()?.user.as_ref()?.id.parse().ok();
        let comment = || id(self.comment_data.as_ref().map(|comment| &comment.id));
        Ok(match &*self.kind {
            "new_post" => Bell::Posted { post: post()?, author: author() },
            "post_updated" => Bell::Updated { post: post()?, author: author() },
            "post_deleted" => Bell::Deleted { post: id(self.post_id.as_ref())? },
            "post_reaction" => {
                let reaction = self.reaction_data.as_ref().and_then(|data| data.user_reaction.as_ref());
                Bell::Reacted { post: id(self.post_id.as_ref())?, user: id(reaction.map(|who| &who.user_id))? }
            }
            "new_comment" => Bell::Commented(comment()?),
            "comment_updated" => Bell::Reworded(comment()?),
            "comment_deleted" => Bell::Uncommented(id(self.comment_id.as_ref())?),
            "comment_like" => Bell::Liked(id(self.comment_id.as_ref())?),
            _ => return Err(Unheard::Foreign),
        })
    }
}

fn id<T: std::str::FromStr>(text: Option<&Cow<'_, str>>) -> Result<T, Unheard> {
    text.and_then(|text| text.parse().ok()).ok_or(Unheard::Garbage)
}

#[cfg(test)]
mod tests;
