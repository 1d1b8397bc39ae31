//! The ids of things, each with its own type.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::clock::Timestamp;

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new time-ordered id (UUIDv7, RFC 9562 §5.7).
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }

            /// 32 lower-case hexadecimal digits without hyphens: the form of `char(32)` columns.
            pub fn hex(self) -> String {
                self.0.simple().to_string()
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            /// Lower-case, hyphenated: the form of every JSON text.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            /// Accepts 36 characters with hyphens or 32 without, in either case.
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                if text.len() != 36 && text.len() != 32 {
                    return Err(NotAnId);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)
            }
        }
    )*};
}

uuid_ids! {
    /// A user's id.
    UserId
    /// A chat room's id.
    RoomId
    /// A chat message's id.
    MessageId
    /// A post's id.
    PostId
    /// The id of a comment or reply.
    CommentId
    /// A notification's id.
    NotificationId
    /// A friend request's id.
    RequestId
    /// A durable event's id, by which a retry is recognised.
    EventId
    /// A login, together with all tokens that were renewed from its first one. Its first 48 bits are the millisecond in
    /// which it began.
    FamilyId
}

/// Where the ids of new rows come from: given to those who decide, as the time is.
pub trait IdSource: Send + Sync + 'static {
    /// Time-ordered, and never given before.
    fn uuid(&self) -> Uuid;
    /// A number below `bound` that nobody can foretell.
    fn below(&self, bound: usize) -> usize;
}

impl dyn IdSource {
    /// A new id of any kind.
    pub fn fresh<T: From<Uuid>>(&self) -> T {
        T::from(self.uuid())
    }
}

/// Ids as the system's clock and its chance make them (UUIDv7, RFC 9562 §5.7).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn below(&self, bound: usize) -> usize {
        rand::rng().random_range(0..bound)
    }
}

impl FamilyId {
    /// A login that begins now (UUIDv7 with this time).
    pub fn begun(now: Timestamp) -> Self {
        let milliseconds = u64::try_from(now.0 / 1000).unwrap_or(0);
        let chance = Uuid::new_v4().into_bytes();
        let tail = [
            chance[0], chance[1], chance[2], chance[3], chance[4], chance[5], chance[9], chance[10], chance[11],
            chance[12],
        ];
        Self(uuid::Builder::from_unix_timestamp_millis(milliseconds, &tail).into_uuid())
    }

    /// The login of a token that names none, made from the second in which the token was issued. It is not a UUID of
    /// any version.
    pub fn issued(seconds: i64) -> Self {
        let milliseconds = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000).min((1 << 48) - 1);
        Self(Uuid::from_u64_pair(milliseconds << 16, 0))
    }

    /// Whether this server made it, in one of the two ways. Other ids do not tell when their login began.
    pub fn is_known(&self) -> bool {
        self.0.get_version_num() == 7 || *self == Self::issued(self.began_ms() / 1000)
    }

    /// When the login began, in milliseconds since 1970.
    pub fn began_ms(self) -> i64 {
        i64::try_from(self.0.as_u64_pair().0 >> 16).unwrap_or(0)
    }
}

/// The text is not a UUID in either of the two accepted spellings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUID of 36 or 32 characters")
    }
}

impl std::error::Error for NotAnId {}

/// A shard's number, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u8);

impl ShardId {
    /// The shard's index in arrays of shards.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Names one session as long as the process lives. A slot that is used again has another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The shard that owns the session.
    pub shard: ShardId,
    /// The session's slot on that shard.
    pub index: u32,
    /// How many sessions the slot had held before.
    pub generation: u32,
}

/// A topic orders events, and sessions listen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A chat room.
    Room(RoomId),
    /// A post with its reactions and comments. It orders everything that happens to the post, including what feeds
    /// receive.
    Post(PostId),
    /// An author's public posts, for followers and friends. Feeds listen to it, but it orders nothing.
    Author(UserId),
    /// A user's own feed: the user's follows, friends and own posts.
    Feed(UserId),
    /// One user's notifications.
    Notifications(UserId),
}

/// Into how many parts topics are divided, each with a stream of its own between nodes. All nodes have to agree.
pub const PARTITIONS: usize = 8;

impl Topic {
    /// The part of the topics that it belongs to, below [`PARTITIONS`]; the same on all nodes.
    pub fn partition(self) -> usize {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(self);
        usize::try_from(hash % PARTITIONS as u64).unwrap_or(0)
    }
}

impl fmt::Display for Topic {
    /// The key of `pregon_topics` and `pregon_events`: kind, colon, 32 hexadecimal digits; 40 characters at most.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(room) => write!(f, "room:{}", room.0.simple()),
            Self::Post(post) => write!(f, "post:{}", post.0.simple()),
            Self::Author(user) => write!(f, "author:{}", user.0.simple()),
            Self::Feed(user) => write!(f, "feed:{}", user.0.simple()),
            Self::Notifications(user) => write!(f, "notify:{}", user.0.simple()),
        }
    }
}

impl FromStr for Topic {
    type Err = NotATopic;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, NotATopic> {
        let (kind, id) = text.split_once(':').filter(|(_, id)| id.len() == 32).ok_or(NotATopic)?;
        let id = Uuid::try_parse(id).map_err(|_| NotATopic)?;
        match kind {
            "room" => Ok(Self::Room(RoomId(id))),
            "post" => Ok(Self::Post(PostId(id))),
            "author" => Ok(Self::Author(UserId(id))),
            "feed" => Ok(Self::Feed(UserId(id))),
            "notify" => Ok(Self::Notifications(UserId(id))),
            _ => Err(NotATopic),
        }
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A text that names no topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATopic;

impl fmt::Display for NotATopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a topic: kind, colon, 32 hexadecimal digits")
    }
}

impl std::error::Error for NotATopic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_id_are_one_id() {
        let id: RoomId = "0A0B9502-c454-481e-8985-e9e7f96c1dcb".parse().unwrap();
        assert_eq!("0a0b9502c454481e8985e9e7f96c1dcb".parse(), Ok(id));
        assert_eq!(id.to_string(), "0a0b9502-c454-481e-8985-e9e7f96c1dcb");
        assert_eq!(Topic::Room(id).to_string(), "room:0a0b9502c454481e8985e9e7f96c1dcb");
        let user = UserId(id.0);
        for topic in [Topic::Post(PostId(id.0)), Topic::Author(user), Topic::Feed(user), Topic::Notifications(user)] {
            assert!(topic.to_string().len() <= 40, "{topic} fits its column");
        }
        for bad in ["", "0a0b", "{0a0b9502-c454-481e-8985-e9e7f96c1dcb}", "0a0b9502c454481e8985e9e7f96c1dcg"] {
            assert_eq!(bad.parse::<RoomId>(), Err(NotAnId), "{bad}");
        }
    }
}
