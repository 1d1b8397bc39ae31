//! Reads comments with their first replies, level by level.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::feed::comment::{Comment, CommentHead};
use crate::ids::{CommentId, PostId, UserId};
use crate::limits;
use crate::store::sql::people::{Profiles, profiles};
use crate::store::sql::{
    BRANCHES_MAX, Columns, KEYS_MAX, Sql, Text, ToColumn, Unexpected, View, each, marks, offset, padded,
};
use crate::store::{PageOf, PageRequest};

/// The columns of [`comment_of_row`]; the first `?` is the viewer, if there is one.
static COMMENT: Text = Text::new(|dialect| {
    let replies = dialect.counted("c.replies_count", "comments WHERE parent_id = c.id");
    format!(
        "SELECT c.id, c.post_id, c.parent_id, c.user_id, c.content, c.image, c.likes_count, {replies}, c.is_edited, \
         c.created_at, c.updated_at, \
         EXISTS (SELECT 1 FROM comment_likes WHERE comment_id = c.id AND user_id = ?) FROM comments c"
    )
});

/// The rights of a comment.
pub async fn head<C: Sql>(view: &mut View<'_, C>, comment: CommentId) -> Result<Option<CommentHead>, C::Error> {
    view.row("SELECT user_id, post_id, parent_id FROM comments WHERE id = ?", &[&comment], |row| {
        Ok(CommentHead { author: row.id(0)?, post: row.id(1)?, parent: row.optional_id(2)? })
    })
    .await
}

/// A comment with its first replies, for the viewer or, without one, for frames.
pub async fn one<C: Sql>(
    view: &mut View<'_, C>,
    viewer: Option<UserId>,
    id: CommentId,
) -> Result<Option<Comment>, C::Error> {
    let found =
        view.row(&format!("{} WHERE c.id = ?", COMMENT.of(C::DIALECT)), &[&viewer, &id], comment_of_row).await?;
    let threads = Threads::below(view, viewer, found.into_iter().collect(), limits::REPLY_LEVELS_SHOWN).await?;
    Ok(threads.look_up(view).await?.pop())
}

/// Comments by their ids with their first replies, for frames, in no particular order.
pub async fn wholes<C: Sql>(view: &mut View<'_, C>, ids: &[CommentId]) -> Result<Vec<Comment>, C::Error> {
    let (mut found, nobody) = (Vec::with_capacity(ids.len()), None::<UserId>);
    for keys in ids.chunks(KEYS_MAX).map(padded) {
        let sql = format!("{} WHERE c.id IN ({})", COMMENT.of(C::DIALECT), marks(keys.len()));
        let parameters: Vec<&dyn ToColumn> = std::iter::once(&nobody as _).chain(each(&keys)).collect();
        found.extend(view.rows(&sql, &parameters, comment_of_row).await?);
    }
    Threads::below(view, nobody, found, limits::REPLY_LEVELS_SHOWN).await?.look_up(view).await
}

/// A page of a post's top-level comments, oldest first.
pub async fn page<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    post: PostId,
    page: PageRequest,
) -> Result<PageOf<Comment>, C::Error> {
    const TOP_LEVEL: &str = "FROM comments WHERE post_id = ? AND parent_id IS NULL";
    paged(view, viewer, (TOP_LEVEL, &post), page, limits::REPLY_LEVELS_SHOWN).await
}

/// A page of a comment's direct replies, oldest first.
pub async fn replies<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    comment: CommentId,
    page: PageRequest,
) -> Result<PageOf<Comment>, C::Error> {
    paged(view, viewer, ("FROM comments WHERE parent_id = ?", &comment), page, limits::REPLY_LEVELS_SHOWN - 1).await
}

async fn paged<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    (which, of): (&str, &dyn ToColumn),
    page: PageRequest,
    levels: u32,
) -> Result<PageOf<Comment>, C::Error> {
    let count = view.count(&format!("SELECT count(*) {which}"), &[of]).await?;
    let sql = format!(
        "{} JOIN (SELECT id {which} ORDER BY created_at, id LIMIT ? OFFSET ?) page ON page.id = c.id \
         ORDER BY c.created_at, c.id",
        COMMENT.of(C::DIALECT)
    );
    let viewer = Some(viewer);
    let found = view.rows(&sql, &[&viewer, of, &page.size, &offset(page)], comment_of_row).await?;
    let threads = Threads::below(view, viewer, found, levels).await?;
    Ok(PageOf { count, rows: threads.look_up(view).await? })
}

/// A comment whose author and replies are not looked up yet.
struct Found {
    comment: Comment,
    author: UserId,
}

/// Comments and their first replies by level: the comments, their replies, and so on.
pub struct Threads(Vec<Vec<Found>>);

impl Threads {
    /// The first top-level comments of posts.
    pub async fn of_posts<C: Sql>(
        view: &mut View<'_, C>,
        viewer: Option<UserId>,
        posts: &[PostId],
    ) -> Result<Self, C::Error> {
        const BRANCH: &str = "SELECT id FROM comments WHERE post_id = ? AND parent_id IS NULL \
            ORDER BY created_at, id LIMIT ?";
        let mut found = Vec::new();
        for keys in posts.chunks(BRANCHES_MAX).map(padded) {
            found.extend(first(view, viewer, BRANCH, &keys, limits::COMMENTS_SHOWN).await?);
        }
        Self::below(view, viewer, found, limits::POST_REPLY_LEVELS_SHOWN).await
    }

    /// Reads `levels` levels of replies below comments.
    async fn below<C: Sql>(
        view: &mut View<'_, C>,
        viewer: Option<UserId>,
        comments: Vec<Found>,
        levels: u32,
    ) -> Result<Self, C::Error> {
        const BRANCH: &str = "SELECT id FROM comments WHERE parent_id = ? ORDER BY created_at, id LIMIT ?";
        let mut threads = vec![comments];
        for _ in 0..levels {
            let last = threads.last().into_iter().flatten().map(|found| &found.comment);
            let answered: Vec<CommentId> =
                last.filter(|comment| comment.replies_count > 0).map(|comment| comment.id).collect();
            let mut found = Vec::new();
            for keys in answered.chunks(BRANCHES_MAX).map(padded) {
                found.extend(first(view, viewer, BRANCH, &keys, limits::REPLIES_SHOWN).await?);
            }
            threads.push(found);
        }
        Ok(Self(threads))
    }

    /// The comments' authors.
    pub fn people(&self) -> impl Iterator<Item = UserId> {
        self.0.iter().flatten().map(|found| found.author)
    }

    /// The comments by post, each with its replies.
    pub fn by_post(self, people: &Profiles) -> Result<HashMap<PostId, Vec<Comment>>, Unexpected> {
        let mut by_post: HashMap<PostId, Vec<Comment>> = HashMap::new();
        for comment in self.whole(people)? {
            by_post.entry(comment.post).or_default().push(comment);
        }
        Ok(by_post)
    }

    async fn look_up<C: Sql>(self, view: &mut View<'_, C>) -> Result<Vec<Comment>, C::Error> {
        let people = self.people().collect::<Vec<_>>();
        Ok(self.whole(&profiles(view, people).await?)?)
    }

    /// The comments in the order in which they were read, each with its replies; built from the deepest level up.
    fn whole(self, people: &Profiles) -> Result<Vec<Comment>, Unexpected> {
        let mut replies: HashMap<CommentId, Vec<Comment>> = HashMap::new();
        let mut whole = Vec::new();
        for level in self.0.into_iter().rev() {
            for comment in whole.drain(..) {
                let comment: Comment = comment;
                if let Some(parent) = comment.parent {
                    replies.entry(parent).or_default().push(comment);
                }
            }
            for Found { comment, author } in level {
                let replies = replies.remove(&comment.id).unwrap_or_default();
                whole.push(Comment { user: people.of(author)?, replies, ..comment });
            }
        }
        Ok(whole)
    }
}

/// The first comments of each key, oldest first. `branch` takes a key and the number of comments.
async fn first<C: Sql, T: ToColumn>(
    view: &mut View<'_, C>,
    viewer: Option<UserId>,
    branch: &str,
    keys: &[T],
    shown: u32,
) -> Result<Vec<Found>, C::Error> {
    let comment = COMMENT.of(C::DIALECT);
    let each = C::DIALECT.union_of(branch, keys.len());
    let sql = format!("{comment} JOIN {each} shown ON shown.id = c.id ORDER BY c.created_at, c.id");
    let mut parameters: Vec<&dyn ToColumn> = vec![&viewer];
    parameters.extend(keys.iter().flat_map(|key| [key as &dyn ToColumn, &shown]));
    view.rows(&sql, &parameters, comment_of_row).await
}

fn comment_of_row(row: Columns<'_>) -> Result<Found, Unexpected> {
    let comment = Comment {
        id: row.id(0)?,
        post: row.id(1)?,
        parent: row.optional_id(2)?,
        user: Arc::default(),
        content: row.text(4)?,
        image: row.optional_text(5)?,
        likes_count: row.count(6)?,
        replies_count: row.count(7)?,
        is_edited: row.flag(8)?,
        created_at: row.time(9)?,
        updated_at: row.time(10)?,
        replies: Vec::new(),
        is_liked: row.flag(11)?,
    };
    Ok(Found { comment, author: row.id(3)? })
}
