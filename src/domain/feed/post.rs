//! A post, its kinds and its reactions.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::texts;
use crate::domain::feed::comment::Comment;
use crate::domain::user::UserProfile;
use crate::ids::{PostId, UserId};

texts! {
    /// What a post is.
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
    /// What a post is about.
    Category {
        /// Not said.
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
    /// How one may react to a post, as columns and frames spell it. One reaction a user and post.
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

/// How many reactions of each kind a post has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReactionCounts {
    /// Likes.
    pub likes: u64,
    /// Celebrations, which are the laughs too.
    pub celebrations: u64,
    /// Golazos, which are the dislikes too.
    pub golazos: u64,
}

impl ReactionCounts {
    /// By how much likes, celebrations and golazos move when reactions are taken away and one is added.
    pub fn moves(taken: &[PostReactionType], added: Option<PostReactionType>) -> [i64; 3] {
        [PostReactionType::Like, PostReactionType::Celebration, PostReactionType::Golazo].map(|kind| {
            let gone = taken.iter().filter(|taken| **taken == kind).count();
            i64::from(added == Some(kind)) - i64::try_from(gone).unwrap_or(0)
        })
    }
}

/// A reaction row.
#[derive(Debug, Clone)]
pub struct PostReaction {
    /// The row's id.
    pub id: Uuid,
    /// Who reacted.
    pub user: Arc<UserProfile>,
    /// How.
    pub reaction_type: PostReactionType,
    /// When.
    pub created_at: Timestamp,
}

/// What decides on rights and audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostHead {
    /// Whose post.
    pub author: UserId,
    /// Private posts are seen by their author alone.
    pub is_public: bool,
    /// New comments are taken.
    pub allow_comments: bool,
}

impl PostHead {
    /// May this user see the post and what belongs to it?
    pub fn is_visible_to(&self, user: UserId) -> bool {
        self.is_public || self.author == user
    }
}

/// A post row with what belongs to it.
#[derive(Debug, Clone)]
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
    /// What it is about.
    pub category: Category,
    /// Reaction rows by kind.
    pub counts: ReactionCounts,
    /// Comment rows, replies included.
    pub comments_count: u64,
    /// Share rows.
    pub shares_count: u64,
    /// Kept, counted elsewhere.
    pub views_count: u64,
    /// Its author put it first.
    pub is_pinned: bool,
    /// New comments are taken.
    pub allow_comments: bool,
    /// Private posts are seen by their author alone.
    pub is_public: bool,
    /// The order key of lists.
    pub created_at: Timestamp,
    /// Last change of content; counters do not move it.
    pub updated_at: Timestamp,
    /// The newest, as many as the setting shows, newest first.
    pub reactions: Vec<PostReaction>,
    /// The first top-level comments, oldest first.
    pub comments: Vec<Comment>,
    /// The viewer's reaction; `None` in frames, which have no viewer.
    pub user_reaction: Option<PostReactionType>,
    /// The viewer has a bookmark; false in frames.
    pub is_bookmarked: bool,
}

impl Post {
    /// What decides on rights and audience.
    pub fn head(&self) -> PostHead {
        PostHead { author: self.user.id, is_public: self.is_public, allow_comments: self.allow_comments }
    }
}

/// A post to be written; every field is already checked for form, files are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPost {
    /// Trimmed, ≤ 2000 characters.
    pub content: String,
    /// A JSON array of addresses, an uploaded picture's among them.
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
    /// What it is about.
    pub category: Category,
    /// New comments are taken.
    pub allow_comments: bool,
    /// Seen by others.
    pub is_public: bool,
}

impl NewPost {
    /// A public post of words that takes comments.
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

/// Which fields of a post to change; `None` leaves a field as it is.
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
    /// What it is about.
    pub category: Option<Category>,
    /// New comments are taken.
    pub allow_comments: Option<bool>,
    /// Seen by others.
    pub is_public: Option<bool>,
    /// Put first by its author.
    pub is_pinned: Option<bool>,
}

/// Whose posts a list shows. Private posts are in none but their author's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostList {
    /// Public posts of the viewer, of those the viewer follows, and of the viewer's friends.
    Circle,
    /// All public posts.
    Everybody,
    /// One author's public posts; the author sees the private ones, too.
    Of(UserId),
}

/// What an author's posts are and have got, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostStats {
    /// How many posts there are of each kind, the most frequent first; kinds without a post are not in it.
    pub by_type: Vec<(PostType, u64)>,
    /// Reactions to all of them.
    pub counts: ReactionCounts,
    /// Comments on all of them.
    pub comments: u64,
    /// How often they were shared.
    pub shares: u64,
    /// How often they were seen.
    pub views: u64,
}
