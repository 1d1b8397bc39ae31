//! Posts, comments and reactions as JSON objects.

use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostReaction, ReactionCounts};
use crate::ids::UserId;
use crate::limits::frames::{POST_IMAGES_JSON_BYTES_MAX, chars};
use crate::limits::{COMMENT_CHARS_MAX, CONTENT_CHARS_MAX};
use crate::protocol::v0::json::{self, Object};
use crate::protocol::v0::object::{Presenter, stored_array};

impl Presenter {
    /// The 28-key post: uncut for a viewer. A frame has no viewer, and its texts are cut to the longest that pregon
    /// accepts.
    pub fn post(&self, out: &mut Vec<u8>, post: &Post, viewer: Option<UserId>) {
        let media = |path: &Option<String>| path.as_deref().and_then(|path| self.address(path));
        let within = |most| if viewer.is_none() { most } else { usize::MAX };
        let mut object = Object::open(out);
        object
            .id("id", post.id)
            .text_within("short_id", &post.short_id, within(chars::SHORT_ID))
            .value("user", |out| self.profile(out, &post.user, viewer))
            .text_within("content", &post.content, within(CONTENT_CHARS_MAX))
            .value("images", |out| stored_array(out, &post.images, within(POST_IMAGES_JSON_BYTES_MAX)))
            .text_or_null("video", media(&post.video).as_deref())
            .text_or_null("thumbnail", media(&post.thumbnail).as_deref())
            .text_within("podcast_url", &post.podcast_url, within(chars::URL))
            .text_within("streaming_url", &post.streaming_url, within(chars::URL))
            .text("post_type", post.post_type.as_str())
            .text("category", post.category.as_str());
        five_counts(&mut object, post.counts);
        object
            .number("comments_count", post.comments_count)
            .number("shares_count", post.shares_count)
            .number("views_count", post.views_count)
            .flag("is_pinned", post.is_pinned)
            .flag("allow_comments", post.allow_comments)
            .flag("is_public", post.is_public)
            .time("created_at", self.time(post.created_at))
            .time("updated_at", self.time(post.updated_at))
            .array("reactions", &post.reactions, |out, reaction| self.post_reaction(out, reaction, viewer))
            .array("comments", &post.comments, |out, comment| self.comment(out, comment, viewer))
            .text_or_null("user_reaction", post.user_reaction.map(|reaction| reaction.viewer_text()))
            .flag("is_bookmarked", post.is_bookmarked)
            .close();
    }

    /// A reaction to a post with its user.
    pub fn post_reaction(&self, out: &mut Vec<u8>, reaction: &PostReaction, viewer: Option<UserId>) {
        Object::open(out)
            .id("id", reaction.id.hyphenated())
            .value("user", |out| self.profile(out, &reaction.user, viewer))
            .text("reaction_type", reaction.reaction_type.as_str())
            .time("created_at", self.time(reaction.created_at))
            .close();
    }

    /// The 11-key comment, with the ids of its post and parent comment.
    pub fn comment(&self, out: &mut Vec<u8>, comment: &Comment, viewer: Option<UserId>) {
        let content_chars_max = if viewer.is_none() { COMMENT_CHARS_MAX } else { usize::MAX };
        Object::open(out)
            .id("id", comment.id)
            .id("post", comment.post)
            .value("parent", |out| match comment.parent {
                Some(parent) => json::id(out, parent),
                None => out.extend_from_slice(b"null"),
            })
            .value("user", |out| self.profile(out, &comment.user, viewer))
            .text_within("content", &comment.content, content_chars_max)
            .text_or_null("image", comment.image.as_deref().and_then(|path| self.address(path)).as_deref())
            .number("likes_count", comment.likes_count)
            .number("replies_count", comment.replies_count)
            .flag("is_edited", comment.is_edited)
            .time("created_at", self.time(comment.created_at))
            .time("updated_at", self.time(comment.updated_at))
            .array("replies", &comment.replies, |out, reply| self.comment(out, reply, viewer))
            .flag("is_liked", comment.is_liked)
            .close();
    }
}

/// The three counters under their five names.
pub fn five_counts(object: &mut Object<'_>, counts: ReactionCounts) {
    three_counts(object, counts);
    object.number("laughs_count", counts.celebrations).number("dislikes_count", counts.golazos);
}

/// The three counters under their own names.
pub fn three_counts(object: &mut Object<'_>, counts: ReactionCounts) {
    object
        .number("likes_count", counts.likes)
        .number("celebrations_count", counts.celebrations)
        .number("golazos_count", counts.golazos);
}
