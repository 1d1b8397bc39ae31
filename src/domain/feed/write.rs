//! The writes that a user may ask for about posts, people and notifications.

use crate::domain::feed::comment::NewComment;
use crate::domain::feed::post::{NewPost, PostPatch, PostReactionType};
use crate::ids::{CommentId, NotificationId, PostId, RequestId, Topic, UserId};

/// A write. If it names a comment it also names the post, because the post's topic orders everything that happens to
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A new post.
    Publish {
        /// The new post's id. It is chosen before the write, because the id names the topic that orders the write.
        post: PostId,
        /// The post's content.
        new: Box<NewPost>,
    },
    /// Changes fields of one's own post.
    EditPost {
        /// The post.
        post: PostId,
        /// The changes.
        patch: Box<PostPatch>,
    },
    /// Deletes one's own post with everything that belongs to it.
    DeletePost {
        /// The post.
        post: PostId,
    },
    /// Sets a reaction. The same type again takes it back; another type replaces it.
    React {
        /// The post.
        post: PostId,
        /// The kind of reaction.
        reaction: PostReactionType,
    },
    /// Takes the reaction back, whatever its type.
    Unreact {
        /// The post.
        post: PostId,
    },
    /// A new comment or reply.
    Comment(NewComment),
    /// Changes the text of one's own comment.
    EditComment {
        /// Its post.
        post: PostId,
        /// The comment.
        comment: CommentId,
        /// Trimmed, 1 to 500 characters.
        content: String,
    },
    /// Deletes one's own comment with all its replies.
    DeleteComment {
        /// Its post.
        post: PostId,
        /// The comment.
        comment: CommentId,
    },
    /// Likes a comment. Liking it again changes nothing.
    LikeComment {
        /// Its post.
        post: PostId,
        /// The comment.
        comment: CommentId,
    },
    /// Takes the like back.
    UnlikeComment {
        /// Its post.
        post: PostId,
        /// The comment.
        comment: CommentId,
    },
    /// Shares a post, once.
    Share {
        /// The post.
        post: PostId,
        /// Trimmed, ≤ 200 characters.
        message: String,
    },
    /// Blocks somebody: ends follows, friendship and requests between the two, and closes their private room.
    Block {
        /// The user to block.
        user: UserId,
    },
    /// Takes a block back. What it ended stays ended, but the private room opens.
    Unblock {
        /// The user who is blocked.
        user: UserId,
    },
    /// Follows somebody.
    Follow {
        /// The user to follow.
        user: UserId,
    },
    /// Stops following somebody.
    Unfollow {
        /// The user to unfollow.
        user: UserId,
    },
    /// Asks somebody to be friends.
    RequestFriend {
        /// The user to ask.
        user: UserId,
    },
    /// Answers a friend request.
    AnswerRequest {
        /// The request.
        request: RequestId,
        /// True to accept, false to reject.
        accept: bool,
    },
    /// Withdraws one's own request.
    CancelRequest {
        /// The request.
        request: RequestId,
    },
    /// Ends a friendship.
    RemoveFriend {
        /// The friend.
        user: UserId,
    },
    /// Marks one's own notification as read.
    ReadNotification {
        /// The notification.
        notification: NotificationId,
    },
    /// Marks all one's own notifications as read (the newest first, at most 500 rows per transaction).
    ReadAllNotifications,
    /// Deletes one's own notification.
    DeleteNotification {
        /// The notification.
        notification: NotificationId,
    },
    /// Deletes all one's own notifications (at most 500 rows per transaction).
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

    /// The topic that orders this write of `actor`.
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
            Self::Block { .. }
            | Self::Unblock { .. }
            | Self::Follow { .. }
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

    /// A name for the log, without any content.
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
            Self::Block { .. } => "block",
            Self::Unblock { .. } => "unblock",
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
