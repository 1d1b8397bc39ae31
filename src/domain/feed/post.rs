//! A post, its kinds and its reactions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::texts;
use crate::domain::feed::comment::Comment;
use crate::domain::user::UserProfile;
use crate::ids::{PostId, UserId};

texts! {
    /// The kind of a post.
    PostType {
        /// Words alone.
        Text = "text",
        /// A picture.
        Image = "image",
        /// A film.
        Video = "video",
        /// The best moments of something.
        Highlight = "highlight",
        /// A podcast elsewhere, by URL.
        Podcast = "podcast",
        /// A live stream elsewhere, by URL.
        Streaming = "streaming",
    }
}

texts! {
    /// The subject of a post.
    Category {
        /// None was chosen.
        Unset = "",
        /// Football.
        Football = "football",
        /// Any other sport.
        GeneralSport = "general_sport",
        /// Culture.
        Culture = "culture",
        /// Music.
        Music = "music",
        /// Dance.
        Dance = "dance",
        /// Education.
        Education = "education",
        /// Gaming.
        Gaming = "gaming",
        /// Food.
        Food = "food",
        /// Something else.
        Other = "other",
    }
}

texts! {
    /// The reactions to a post, as columns and frames spell them. A user has at most one reaction per post.
    PostReactionType {
        /// A like.
        Like = "like",
        /// A celebration; `laugh` to the viewer.
        Celebration = "celebration",
        /// A golazo; `dislike` to the viewer.
        Golazo = "golazo",
    }
}

impl PostReactionType {
    /// Reads any of the five spellings that requests use.
    pub fn from_request(text: &str) -> Option<Self> {
        match text {
            "laugh" => Some(Self::Celebration),
            "dislike" => Some(Self::Golazo),
            other => Self::from_text(other),
        }
    }

    /// The spelling of a post's `user_reaction`.
    pub fn viewer_text(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Celebration => "laugh",
            Self::Golazo => "dislike",
        }
    }
}

/// The number of a post's reactions of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReactionCounts {
    /// Likes.
    pub likes: u64,
    /// Celebrations; clients also show them as laughs.
    pub celebrations: u64,
    /// Golazos; clients also show them as dislikes.
    pub golazos: u64,
}

impl ReactionCounts {
    /// How far the counts of likes, celebrations and golazos move when `taken` are deleted and `added` is inserted.
    pub fn moves(taken: &[PostReactionType], added: Option<PostReactionType>) -> [i64; 3] {
        [PostReactionType::Like, PostReactionType::Celebration, PostReactionType::Golazo].map(|kind| {
            let gone = taken.iter().filter(|taken| **taken == kind).count();
            i64::from(added == Some(kind)) - i64::try_from(gone).unwrap_or(0)
        })
    }
}

/// A reaction row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostReaction {
    /// The row's id.
    pub id: Uuid,
    /// The user who reacted.
    pub user: Arc<UserProfile>,
    /// The kind of reaction.
    pub reaction_type: PostReactionType,
    /// When.
    pub created_at: Timestamp,
}

/// The part of a post that decides rights and audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostHead {
    /// The post's author.
    pub author: UserId,
    /// Private posts are visible only to their author.
    pub is_public: bool,
    /// New comments are taken.
    pub allow_comments: bool,
}

impl PostHead {
    /// Whether this user may see the post and everything that belongs to it.
    pub fn is_visible_to(&self, user: UserId) -> bool {
        self.is_public || self.author == user
    }
}

/// A post row with its author, reactions and comments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Post {
    /// The post's id.
    pub id: PostId,
    /// 8 characters `[A-Z0-9]`, unique.
    pub short_id: String,
    /// Its author.
    pub user: Arc<UserProfile>,
    /// Trimmed text, ≤ 2000 characters, may be empty.
    pub content: String,
    /// A JSON array of addresses, as stored.
    pub images: String,
    /// Path below the media root.
    pub video: Option<String>,
    /// Path below the media root.
    pub thumbnail: Option<String>,
    /// For podcasts.
    pub podcast_url: String,
    /// For streams.
    pub streaming_url: String,
    /// Kind.
    pub post_type: PostType,
    /// Its subject.
    pub category: Category,
    /// Reaction rows by kind.
    pub counts: ReactionCounts,
    /// Comment rows, replies included.
    pub comments_count: u64,
    /// The number of share rows.
    pub shares_count: u64,
    /// Stored here, counted by the backend.
    pub views_count: u64,
    /// Its author put it first.
    pub is_pinned: bool,
    /// New comments are taken.
    pub allow_comments: bool,
    /// Private posts are visible only to their author.
    pub is_public: bool,
    /// The order key of lists.
    pub created_at: Timestamp,
    /// The last change of content. Counters do not move it.
    pub updated_at: Timestamp,
    /// The newest reactions, newest first, as many as the setting shows.
    pub reactions: Vec<PostReaction>,
    /// The first top-level comments, oldest first.
    pub comments: Vec<Comment>,
    /// The viewer's reaction; `None` in frames, which have no viewer.
    pub user_reaction: Option<PostReactionType>,
    /// Whether the viewer has bookmarked it; false in frames.
    pub is_bookmarked: bool,
}

impl Post {
    /// The part that decides rights and audience.
    pub fn head(&self) -> PostHead {
        PostHead { author: self.user.id, is_public: self.is_public, allow_comments: self.allow_comments }
    }
}

/// A post to be written; every field has been validated and its files are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPost {
    /// Trimmed, ≤ 2000 characters.
    pub content: String,
    /// A JSON array of addresses, including that of an uploaded picture.
    pub images: String,
    /// Path of a stored upload below the media root.
    pub video: Option<String>,
    /// Path of a stored upload below the media root.
    pub thumbnail: Option<String>,
    /// Required for podcasts.
    pub podcast_url: String,
    /// Required for streams.
    pub streaming_url: String,
    /// Kind.
    pub post_type: PostType,
    /// Its subject.
    pub category: Category,
    /// New comments are taken.
    pub allow_comments: bool,
    /// Whether others may see it.
    pub is_public: bool,
}

impl NewPost {
    /// A public text post that takes comments.
    pub fn text(content: String) -> Self {
        Self {
            content,
            images: "[]".to_owned(),
            video: None,
            thumbnail: None,
            podcast_url: String::new(),
            streaming_url: String::new(),
            post_type: PostType::Text,
            category: Category::Unset,
            allow_comments: true,
            is_public: true,
        }
    }
}

/// Changes to a post; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostPatch {
    /// Trimmed, ≤ 2000 characters.
    pub content: Option<String>,
    /// A JSON array of addresses.
    pub images: Option<String>,
    /// Path of a stored upload below the media root.
    pub video: Option<String>,
    /// Path of a stored upload below the media root.
    pub thumbnail: Option<String>,
    /// For podcasts.
    pub podcast_url: Option<String>,
    /// For streams.
    pub streaming_url: Option<String>,
    /// Kind.
    pub post_type: Option<PostType>,
    /// Its subject.
    pub category: Option<Category>,
    /// New comments are taken.
    pub allow_comments: Option<bool>,
    /// Whether others may see it.
    pub is_public: Option<bool>,
    /// Whether its author pinned it.
    pub is_pinned: Option<bool>,
}

/// The posts that a list shows. Private posts appear only in their author's own list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostList {
    /// Public posts of the viewer, of those the viewer follows, and of the viewer's friends.
    Circle,
    /// All public posts.
    Everybody,
    /// One author's public posts; the author also sees the private ones.
    Of(UserId),
}

/// Totals over an author's posts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostStats {
    /// The number of posts of each kind, largest first; kinds without a post are missing.
    pub by_type: Vec<(PostType, u64)>,
    /// Reactions to all posts.
    pub counts: ReactionCounts,
    /// Comments on all posts.
    pub comments: u64,
    /// How often the posts were shared.
    pub shares: u64,
    /// How often the posts were seen.
    pub views: u64,
}
