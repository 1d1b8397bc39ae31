//! What a user wants written about posts, people and notifications.

use crate::domain::feed::comment::NewComment;
use crate::domain::feed::post::{NewPost, PostPatch, PostReactionType};
use crate::ids::{CommentId, NotificationId, PostId, RequestId, Topic, UserId};

/// The thing wanted. What names a comment names its post too: all that happens to a post is ordered in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A new post.
    Publish {
        /// Its id, given before, so that the write has a place to be ordered in.
        post: PostId,
        /// What.
        new: Box<NewPost>,
    },
    /// Other fields for one's own post.
    EditPost {
        /// Which.
        post: PostId,
        /// What changes.
        patch: Box<PostPatch>,
    },
    /// One's own post goes, with all that belongs to it.
    DeletePost {
        /// Which.
        post: PostId,
    },
    /// The same type again takes the reaction back; another type replaces it.
    React {
        /// To which post.
        post: PostId,
        /// How.
        reaction: PostReactionType,
    },
    /// Takes the reaction back, whatever its type.
    Unreact {
        /// From which post.
        post: PostId,
    },
    /// A new comment or reply.
    Comment(NewComment),
    /// New text for one's own comment.
    EditComment {
        /// Its post.
        post: PostId,
        /// Which.
        comment: CommentId,
        /// Trimmed, 1 to 500 characters.
        content: String,
    },
    /// One's own comment goes, with all answers to it.
    DeleteComment {
        /// Its post.
        post: PostId,
        /// Which.
        comment: CommentId,
    },
    /// A like for a comment; no toggle.
    LikeComment {
        /// Its post.
        post: PostId,
        /// Which.
        comment: CommentId,
    },
    /// Takes the like back.
    UnlikeComment {
        /// Its post.
        post: PostId,
        /// Which.
        comment: CommentId,
    },
    /// Shares a post, once.
    Share {
        /// Which.
        post: PostId,
        /// Trimmed, ≤ 200 characters.
        message: String,
    },
    /// Follows somebody.
    Follow {
        /// Whom.
        user: UserId,
    },
    /// Follows somebody no more.
    Unfollow {
        /// Whom.
        user: UserId,
    },
    /// Asks somebody to be friends.
    RequestFriend {
        /// Whom.
        user: UserId,
    },
    /// Answers somebody's request.
    AnswerRequest {
        /// Which.
        request: RequestId,
        /// Yes or no.
        accept: bool,
    },
    /// Withdraws one's own request.
    CancelRequest {
        /// Which.
        request: RequestId,
    },
    /// Ends a friendship.
    RemoveFriend {
        /// With whom.
        user: UserId,
    },
    /// One's own notification was seen.
    ReadNotification {
        /// Which.
        notification: NotificationId,
    },
    /// All one's own notifications were seen (at most 500 rows a transaction, the newest).
    ReadAllNotifications,
    /// One's own notification goes.
    DeleteNotification {
        /// Which.
        notification: NotificationId,
    },
    /// All one's own notifications go (at most 500 rows a transaction).
    ClearNotifications,
}

impl Action {
    /// The texts in it, in bytes.
    pub fn text_bytes(&self) -> usize {
        let all =
            |texts: &[&Option<String>]| texts.iter().filter_map(|text| text.as_ref()).map(String::len).sum::<usize>();
        match self {
            Self::Publish { new, .. } => {
                let NewPost { content, images, video, thumbnail, podcast_url, streaming_url, .. } = &**new;
                let texts = [content, images, podcast_url, streaming_url].map(String::len);
                size_of::<NewPost>() + texts.into_iter().sum::<usize>() + all(&[video, thumbnail])
            }
            Self::EditPost { patch, .. } => {
                let PostPatch { content, images, video, thumbnail, podcast_url, streaming_url, .. } = &**patch;
                size_of::<PostPatch>() + all(&[content, images, video, thumbnail, podcast_url, streaming_url])
            }
            Self::Comment(NewComment { content, image, .. }) => content.len() + all(&[image]),
            Self::EditComment { content, .. } => content.len(),
            Self::Share { message, .. } => message.len(),
            _ => 0,
        }
    }

    /// What it is ordered in when `actor` wants it.
    pub fn topic(&self, actor: UserId) -> Topic {
        match self {
            Self::Publish { post, .. }
            | Self::EditPost { post, .. }
            | Self::DeletePost { post }
            | Self::React { post, .. }
            | Self::Unreact { post }
            | Self::Comment(NewComment { post, .. })
            | Self::EditComment { post, .. }
            | Self::DeleteComment { post, .. }
            | Self::LikeComment { post, .. }
            | Self::UnlikeComment { post, .. }
            | Self::Share { post, .. } => Topic::Post(*post),
            Self::Follow { .. }
            | Self::Unfollow { .. }
            | Self::RequestFriend { .. }
            | Self::AnswerRequest { .. }
            | Self::CancelRequest { .. }
            | Self::RemoveFriend { .. } => Topic::Feed(actor),
            Self::ReadNotification { .. }
            | Self::ReadAllNotifications
            | Self::DeleteNotification { .. }
            | Self::ClearNotifications => Topic::Notifications(actor),
        }
    }

    /// A name for the log: contents stay out of it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Publish { .. } => "publish",
            Self::EditPost { .. } => "edit post",
            Self::DeletePost { .. } => "delete post",
            Self::React { .. } => "react to post",
            Self::Unreact { .. } => "unreact",
            Self::Comment(_) => "comment",
            Self::EditComment { .. } => "edit comment",
            Self::DeleteComment { .. } => "delete comment",
            Self::LikeComment { .. } => "like comment",
            Self::UnlikeComment { .. } => "unlike comment",
            Self::Share { .. } => "share",
            Self::Follow { .. } => "follow",
            Self::Unfollow { .. } => "unfollow",
            Self::RequestFriend { .. } => "request friend",
            Self::AnswerRequest { .. } => "answer request",
            Self::CancelRequest { .. } => "cancel request",
            Self::RemoveFriend { .. } => "remove friend",
            Self::ReadNotification { .. } => "read notification",
            Self::ReadAllNotifications => "read all notifications",
            Self::DeleteNotification { .. } => "delete notification",
            Self::ClearNotifications => "clear notifications",
        }
    }
}
