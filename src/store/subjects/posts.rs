//! Posts and comments: whole, their rights, and lists.

use async_trait::async_trait;

use crate::domain::event::Cursor;
use crate::domain::feed::comment::{Comment, CommentHead};
use crate::domain::feed::post::{Post, PostHead, PostList, PostStats, ReactionCounts};
use crate::domain::login::Bearer;
use crate::ids::{CommentId, FamilyId, PostId, Topic, UserId};
use crate::store::backend::Backend;
use crate::store::sql::events::with_place;
use crate::store::sql::{comments, logins, posts};
use crate::store::{PageOf, PageRequest, StoreError};

/// Posts and comments.
#[async_trait]
pub trait Posts: Send + Sync + 'static {
    /// The rights of a post. Cached like admissions.
    async fn post_head(&self, post: PostId) -> Result<Option<PostHead>, StoreError>;
    /// The cached answer of [`Self::post_head`], without a thread hop.
    fn cached_post_head(&self, post: PostId) -> Option<Option<PostHead>>;
    /// A whole post; without a viewer, as frames show it. The caller decides who may see it.
    async fn post(&self, viewer: Option<UserId>, post: PostId) -> Result<Option<Post>, StoreError>;
    /// The same, and the place in the post's order that it shows, if the post stood still for long enough.
    async fn post_at(&self, viewer: UserId, post: PostId) -> Result<(Option<Post>, Option<Cursor>), StoreError>;
    /// The post with a short id, ignoring case.
    async fn post_of_short_id(&self, short_id: &str) -> Result<Option<PostId>, StoreError>;
    /// Posts as the viewer sees them, newest first (ties by id).
    async fn posts(&self, viewer: UserId, list: PostList, page: PageRequest) -> Result<PageOf<Post>, StoreError>;
    /// The totals over an author's posts: the public ones, or all.
    async fn post_stats(&self, author: UserId, with_private: bool) -> Result<PostStats, StoreError>;
    /// The number of reactions that a user has given to posts.
    async fn reactions_given(&self, user: UserId) -> Result<ReactionCounts, StoreError>;
    /// Bookmarks a post for a user; false if it already was. `None` if there is no such post. The caller decides who
    /// may see it.
    async fn bookmark(&self, user: UserId, post: PostId) -> Result<Option<bool>, StoreError>;
    /// Removes a user's bookmark; false if there was none.
    async fn unbookmark(&self, user: UserId, post: PostId) -> Result<bool, StoreError>;

    /// The rights of a comment.
    async fn comment_head(&self, comment: CommentId) -> Result<Option<CommentHead>, StoreError>;
    /// What a handshake for a post asks: the bearer of its token and [`Self::post_head`], in one trip. Cached like both.
    async fn entrance_to_post(
        &self,
        post: PostId,
        user: UserId,
        family: FamilyId,
    ) -> Result<(Bearer, Option<PostHead>), StoreError>;
    /// A comment with its first replies. The caller decides who may see it.
    async fn comment(&self, viewer: UserId, comment: CommentId) -> Result<Option<Comment>, StoreError>;
    /// A post's top-level comments, oldest first (ties by id).
    async fn comments(&self, viewer: UserId, post: PostId, page: PageRequest) -> Result<PageOf<Comment>, StoreError>;
    /// The same, and the place in the post's order that the page shows, if the post stood still for long enough.
    async fn comments_at(
        &self,
        viewer: UserId,
        post: PostId,
        page: PageRequest,
    ) -> Result<(PageOf<Comment>, Option<Cursor>), StoreError>;
    /// A comment's direct replies, oldest first (ties by id).
    async fn replies(
        &self,
        viewer: UserId,
        comment: CommentId,
        page: PageRequest,
    ) -> Result<PageOf<Comment>, StoreError>;
}

#[async_trait]
impl<B: Backend> Posts for B {
    async fn post_head(&self, post: PostId) -> Result<Option<PostHead>, StoreError> {
        match self.cached_post_head(post) {
            Some(head) => Ok(head),
            None => self.read(move |view| Box::pin(posts::known_head(view, post))).await,
        }
    }

    fn cached_post_head(&self, post: PostId) -> Option<Option<PostHead>> {
        self.caches().post_heads.get(&post, self.now())
    }

    async fn entrance_to_post(
        &self,
        post: PostId,
        user: UserId,
        family: FamilyId,
    ) -> Result<(Bearer, Option<PostHead>), StoreError> {
        self.read(move |view| {
            Box::pin(async move {
                let bearer = logins::bearer(view, user, family).await?;
                Ok((bearer, posts::known_head(view, post).await?))
            })
        })
        .await
    }

    async fn post(&self, viewer: Option<UserId>, post: PostId) -> Result<Option<Post>, StoreError> {
        self.read(move |view| Box::pin(posts::whole(view, viewer, post))).await
    }

    async fn post_at(&self, viewer: UserId, post: PostId) -> Result<(Option<Post>, Option<Cursor>), StoreError> {
        self.read(move |view| {
            Box::pin(async move { with_place!(view, Topic::Post(post), posts::whole(view, Some(viewer), post)) })
        })
        .await
    }

    async fn comments_at(
        &self,
        viewer: UserId,
        post: PostId,
        page: PageRequest,
    ) -> Result<(PageOf<Comment>, Option<Cursor>), StoreError> {
        self.read(move |view| {
            Box::pin(async move { with_place!(view, Topic::Post(post), comments::page(view, viewer, post, page)) })
        })
        .await
    }

    async fn post_of_short_id(&self, short_id: &str) -> Result<Option<PostId>, StoreError> {
        let short_id = short_id.to_owned();
        self.read(move |view| Box::pin(async move { posts::id_of_short(view, &short_id).await })).await
    }

    async fn posts(&self, viewer: UserId, list: PostList, page: PageRequest) -> Result<PageOf<Post>, StoreError> {
        self.read(move |view| Box::pin(posts::page(view, viewer, list, page))).await
    }

    async fn post_stats(&self, author: UserId, with_private: bool) -> Result<PostStats, StoreError> {
        self.read(move |view| Box::pin(posts::stats(view, author, with_private))).await
    }

    async fn reactions_given(&self, user: UserId) -> Result<ReactionCounts, StoreError> {
        self.read(move |view| Box::pin(posts::reactions_given(view, user))).await
    }

    async fn bookmark(&self, user: UserId, post: PostId) -> Result<Option<bool>, StoreError> {
        self.change(move |view| Box::pin(posts::bookmark(view, user, post))).await
    }

    async fn unbookmark(&self, user: UserId, post: PostId) -> Result<bool, StoreError> {
        self.change(move |view| Box::pin(posts::unbookmark(view, user, post))).await
    }

    async fn comment_head(&self, comment: CommentId) -> Result<Option<CommentHead>, StoreError> {
        self.read(move |view| Box::pin(comments::head(view, comment))).await
    }

    async fn comment(&self, viewer: UserId, comment: CommentId) -> Result<Option<Comment>, StoreError> {
        self.read(move |view| Box::pin(comments::one(view, Some(viewer), comment))).await
    }

    async fn comments(&self, viewer: UserId, post: PostId, page: PageRequest) -> Result<PageOf<Comment>, StoreError> {
        self.read(move |view| Box::pin(comments::page(view, viewer, post, page))).await
    }

    async fn replies(
        &self,
        viewer: UserId,
        comment: CommentId,
        page: PageRequest,
    ) -> Result<PageOf<Comment>, StoreError> {
        self.read(move |view| Box::pin(comments::replies(view, viewer, comment, page))).await
    }
}
