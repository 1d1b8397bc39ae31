//! Reads posts: whole and in pages, with their newest reactions and first comments.
//!
//! A page of posts costs a fixed number of queries: its rows, their reactions, their first comments, the first replies
//! to these, and everybody's profiles.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::feed::post::{Post, PostHead, PostList, PostReaction, PostReactionType, PostStats, ReactionCounts};
use crate::ids::{PostId, UserId};
use crate::limits;
use crate::store::sql::comments::Threads;
use crate::store::sql::people::profiles;
use crate::store::sql::{
    BRANCHES_MAX, Behind, Columns, Dialect, Id, Parameters, Sql, Text, ToColumn, Unexpected, View, behind, offset,
    padded,
};
use crate::store::{FileTable, NamedFiles, PageOf, PageRequest};

/// The rights of a post.
pub async fn head<C: Sql>(view: &mut View<'_, C>, post: PostId) -> Result<Option<PostHead>, C::Error> {
    view.row("SELECT user_id, is_public, allow_comments FROM posts WHERE id = ?", &[&post], |row| {
        Ok(PostHead { author: row.id(0)?, is_public: row.flag(1)?, allow_comments: row.flag(2)? })
    })
    .await
}

/// The same from the cache, if possible.
pub async fn known_head<C: Sql>(view: &mut View<'_, C>, post: PostId) -> Result<Option<PostHead>, C::Error> {
    if let Some(head) = view.caches.post_heads.get(&post, view.now) {
        return Ok(head);
    }
    let before = view.caches.post_heads.before();
    let head = head(view, post).await?;
    view.caches.post_heads.put(before, post, head, view.now);
    Ok(head)
}

/// The post with a short id, as the database compares texts: ignoring case.
pub async fn id_of_short<C: Sql>(view: &mut View<'_, C>, short_id: &str) -> Result<Option<PostId>, C::Error> {
    view.row("SELECT id FROM posts WHERE short_id = ?", &[&short_id], |row| row.id(0)).await
}

/// The columns of [`post_of_row`]; the first two `?` are the viewer, if there is one. Another program may not update
/// the column of comments when it deletes some.
static POST: Text = Text::new(|dialect| {
    let comments = dialect.live("p.comments_count", "comments WHERE post_id = p.id");
    format!(
        "SELECT p.id, p.short_id, p.user_id, p.content, p.images, p.video, p.thumbnail, p.podcast_url, p.streaming_url, \
         p.post_type, p.category, p.likes_count, p.celebrations_count, p.golazos_count, {comments}, p.shares_count, \
         p.views_count, p.is_pinned, p.allow_comments, p.is_public, p.created_at, p.updated_at, \
         (SELECT reaction_type FROM post_reactions WHERE post_id = p.id AND user_id = ? \
         ORDER BY created_at DESC LIMIT 1), \
         EXISTS (SELECT 1 FROM post_bookmarks WHERE post_id = p.id AND user_id = ?) FROM posts p"
    )
});

/// A post whose people are not looked up yet.
struct Found {
    post: Post,
    author: UserId,
}

/// A whole post, for the viewer or, without one, for frames.
pub async fn whole<C: Sql>(
    view: &mut View<'_, C>,
    viewer: Option<UserId>,
    id: PostId,
) -> Result<Option<Post>, C::Error> {
    let found =
        view.row(&format!("{} WHERE p.id = ?", POST.of(C::DIALECT)), &[&viewer, &viewer, &id], post_of_row).await?;
    Ok(complete(view, viewer, found.into_iter().collect()).await?.pop())
}

fn post_of_row(row: Columns<'_>) -> Result<Found, Unexpected> {
    let post = Post {
        id: row.id(0)?,
        short_id: row.text(1)?,
        user: Arc::default(),
        content: row.text(3)?,
        images: row.text(4)?,
        video: row.optional_text(5)?,
        thumbnail: row.optional_text(6)?,
        podcast_url: row.text(7)?,
        streaming_url: row.text(8)?,
        post_type: row.kind(9)?,
        category: row.kind(10)?,
        counts: ReactionCounts { likes: row.count(11)?, celebrations: row.count(12)?, golazos: row.count(13)? },
        comments_count: row.count(14)?,
        shares_count: row.count(15)?,
        views_count: row.count(16)?,
        is_pinned: row.flag(17)?,
        allow_comments: row.flag(18)?,
        is_public: row.flag(19)?,
        created_at: row.time(20)?,
        updated_at: row.time(21)?,
        reactions: Vec::new(),
        comments: Vec::new(),
        user_reaction: row.optional_kind(22)?,
        is_bookmarked: row.flag(23)?,
    };
    Ok(Found { post, author: row.id(2)? })
}

/// Adds the parts that are not in the posts' own rows, in the given order. Parts whose count is zero are not queried.
async fn complete<C: Sql>(
    view: &mut View<'_, C>,
    viewer: Option<UserId>,
    found: Vec<Found>,
) -> Result<Vec<Post>, C::Error> {
    let with = |has: fn(&Post) -> bool| -> Vec<PostId> {
        found.iter().map(|found| &found.post).filter(|post| has(post)).map(|post| post.id).collect()
    };
    let (reacted, commented) =
        (with(|post| post.counts != ReactionCounts::default()), with(|post| post.comments_count > 0));
    let mut reactions = newest_reactions(view, &reacted).await?;
    let threads = Threads::of_posts(view, viewer, &commented).await?;
    let reacted = reactions.values().flatten().map(|(user, _)| *user);
    let people: Vec<UserId> = found.iter().map(|found| found.author).chain(reacted).chain(threads.people()).collect();
    let people = profiles(view, people).await?;
    let mut comments = threads.by_post(&people)?;
    let mut posts = Vec::with_capacity(found.len());
    for Found { post, author } in found {
        let reactions = reactions.remove(&post.id).unwrap_or_default().into_iter();
        let reactions = reactions.map(|(user, reaction)| Ok(PostReaction { user: people.of(user)?, ..reaction }));
        posts.push(Post {
            user: people.of(author)?,
            reactions: reactions.collect::<Result<_, Unexpected>>()?,
            comments: comments.remove(&post.id).unwrap_or_default(),
            ..post
        });
    }
    Ok(posts)
}

/// Each post's newest reactions with their users, newest first, as many as are shown.
async fn newest_reactions<C: Sql>(
    view: &mut View<'_, C>,
    posts: &[PostId],
) -> Result<HashMap<PostId, Vec<(UserId, PostReaction)>>, C::Error> {
    const BRANCH: &str = "SELECT id, post_id, user_id, reaction_type, created_at FROM post_reactions \
        WHERE post_id = ? ORDER BY created_at DESC, user_id LIMIT ?";
    let mut by_post: HashMap<PostId, Vec<_>> = HashMap::new();
    for keys in posts.chunks(BRANCHES_MAX).map(padded) {
        let each = C::DIALECT.union_of(BRANCH, keys.len());
        let sql = format!("SELECT * FROM {each} newest ORDER BY created_at DESC, user_id");
        let shown = view.shown_reactions;
        let parameters: Vec<&dyn ToColumn> = keys.iter().flat_map(|key| [key as &dyn ToColumn, &shown]).collect();
        let read = |row: Columns<'_>| {
            let id = row.id::<Id>(0)?.0;
            let user = Arc::default();
            let reaction = PostReaction { id, user, reaction_type: row.kind(3)?, created_at: row.time(4)? };
            Ok((row.id(1)?, row.id(2)?, reaction))
        };
        for (post, user, reaction) in view.rows(&sql, &parameters, read).await? {
            by_post.entry(post).or_default().push((user, reaction));
        }
    }
    Ok(by_post)
}

/// The users whose public posts a viewer is shown; takes the viewer four times.
const CIRCLE: &str = "SELECT id FROM users WHERE id = ? UNION SELECT following_id FROM user_follows WHERE follower_id = ? \
    UNION SELECT user2_id FROM friendships WHERE user1_id = ? UNION SELECT user1_id FROM friendships WHERE user2_id = ?";

/// The posts of a viewer's circle. A small circle is gathered by author and sorted; a large one is filtered from
/// everybody's newest posts, which contain enough of it. No database chooses this by itself.
fn of_circle(dialect: Dialect, are_many: bool) -> String {
    let of_authors =
        |index: &str| format!("posts p INDEXED BY {index} WHERE p.is_public = 1 AND p.user_id IN ({CIRCLE})");
    match (dialect, are_many) {
        (Dialect::Sqlite, false) => of_authors("posts_of_authors_idx"),
        (Dialect::Sqlite, true) => of_authors("posts_newest_idx"),
        (Dialect::Mysql, false) => {
            format!("({CIRCLE}) circle JOIN posts p ON p.user_id = circle.id WHERE p.is_public = 1")
        }
        (Dialect::Mysql, true) => {
            format!("posts p STRAIGHT_JOIN ({CIRCLE}) circle ON circle.id = p.user_id WHERE p.is_public = 1")
        }
    }
}

/// A page of the posts that a list shows, newest first.
pub async fn page<C: Sql>(
    view: &mut View<'_, C>,
    viewer: UserId,
    list: PostList,
    page: PageRequest,
) -> Result<PageOf<Post>, C::Error> {
    let circle: [&dyn ToColumn; 4] = [&viewer; 4];
    let (mut shown, of): (String, Parameters<'_>) = match &list {
        PostList::Circle => (of_circle(C::DIALECT, false), &circle),
        PostList::Everybody => ("posts p WHERE p.is_public = 1".to_owned(), &[]),
        PostList::Of(author) if *author == viewer => ("posts p WHERE p.user_id = ?".to_owned(), &[author]),
        PostList::Of(author) => ("posts p WHERE p.is_public = 1 AND p.user_id = ?".to_owned(), &[author]),
    };
    let count = view.count(&format!("SELECT count(*) FROM {shown}"), of).await?;
    if matches!(list, PostList::Circle) && count > limits::SORTED_POSTS_MAX {
        shown = of_circle(C::DIALECT, true);
    }
    let ties = C::DIALECT.ties("p.id");
    let sql = format!(
        "{} JOIN (SELECT p.id FROM {shown}{} ORDER BY p.created_at DESC, {ties} LIMIT ? OFFSET ?) page ON page.id = p.id \
         ORDER BY p.created_at DESC, {ties}",
        POST.of(C::DIALECT),
        behind(page, "p.", &ties)
    );
    let after = Behind::of(page);
    let from = offset(page);
    let mut parameters: Vec<&dyn ToColumn> = vec![&viewer, &viewer];
    parameters.extend(of);
    parameters.extend(after.parameters());
    parameters.extend([&page.size as &dyn ToColumn, &from]);
    let found = view.rows(&sql, &parameters, post_of_row).await?;
    Ok(PageOf { count, rows: complete(view, Some(viewer), found).await? })
}

/// The files that the next rows of a table name.
pub async fn named_files<C: Sql>(
    view: &mut View<'_, C>,
    table: FileTable,
    after: Option<Uuid>,
) -> Result<NamedFiles, C::Error> {
    let columns = match table {
        FileTable::Posts => {
            "video, thumbnail, nullif(images, '[]'), nullif(podcast_url, ''), nullif(streaming_url, '') FROM posts"
        }
        FileTable::Comments => "image, NULL, NULL, NULL, NULL FROM comments",
        FileTable::Rooms => "avatar, NULL, NULL, NULL, NULL FROM chat_rooms",
        FileTable::Users => "avatar, cover_photo, NULL, NULL, NULL FROM users",
    };
    let sql = format!("SELECT id, {columns} WHERE id > ? ORDER BY id LIMIT ?");
    let after = Id(after.unwrap_or_default());
    let read = |row: Columns<'_>| {
        let texts = (1..=5).map(|column| row.optional_text(column)).collect::<Result<Vec<_>, _>>()?;
        Ok((row.id::<Id>(0)?.0, texts))
    };
    let rows = view.rows(&sql, &[&after, &limits::LITTER_ROWS], read).await?;
    let last = rows.last().map(|(id, _)| *id).filter(|_| rows.len() == limits::LITTER_ROWS);
    Ok(NamedFiles { texts: rows.into_iter().flat_map(|(_, texts)| texts).flatten().collect(), last })
}

/// The totals over an author's posts: the public ones, or all.
pub async fn stats<C: Sql>(view: &mut View<'_, C>, author: UserId, with_private: bool) -> Result<PostStats, C::Error> {
    let sql = "SELECT post_type, count(*), coalesce(sum(likes_count), 0), coalesce(sum(celebrations_count), 0), \
        coalesce(sum(golazos_count), 0), coalesce(sum(comments_count), 0), coalesce(sum(shares_count), 0), \
        coalesce(sum(views_count), 0) FROM posts WHERE user_id = ? AND (is_public = 1 OR ?) GROUP BY post_type \
        ORDER BY 2 DESC, post_type";
    let read = |row: Columns<'_>| {
        Ok(PostStats {
            by_type: vec![(row.kind(0)?, row.count(1)?)],
            counts: ReactionCounts { likes: row.count(2)?, celebrations: row.count(3)?, golazos: row.count(4)? },
            comments: row.count(5)?,
            shares: row.count(6)?,
            views: row.count(7)?,
        })
    };
    let mut all = PostStats::default();
    for one in view.rows(sql, &[&author, &with_private], read).await? {
        all.by_type.extend(one.by_type);
        all.counts.likes += one.counts.likes;
        all.counts.celebrations += one.counts.celebrations;
        all.counts.golazos += one.counts.golazos;
        all.comments += one.comments;
        all.shares += one.shares;
        all.views += one.views;
    }
    Ok(all)
}

/// The number of reactions that a user has given to posts.
pub async fn reactions_given<C: Sql>(view: &mut View<'_, C>, user: UserId) -> Result<ReactionCounts, C::Error> {
    let sql = "SELECT reaction_type, count(*) FROM post_reactions WHERE user_id = ? GROUP BY reaction_type";
    let mut counts = ReactionCounts::default();
    for (kind, count) in view.rows(sql, &[&user], |row| Ok((row.kind(0)?, row.count(1)?))).await? {
        match kind {
            PostReactionType::Like => counts.likes += count,
            PostReactionType::Celebration => counts.celebrations += count,
            PostReactionType::Golazo => counts.golazos += count,
        }
    }
    Ok(counts)
}

/// Bookmarks a post for a user; false if it already was. `None` if there is no such post.
pub async fn bookmark<C: Sql>(view: &mut View<'_, C>, user: UserId, post: PostId) -> Result<Option<bool>, C::Error> {
    let now = view.now;
    // The lock makes a deletion of the post wait for this bookmark, and then delete it, too.
    if !view.is_there(&format!("SELECT 1 FROM posts WHERE id = ? {}", C::DIALECT.locked()), &[&post]).await? {
        return Ok(None);
    }
    if view.is_there("SELECT 1 FROM post_bookmarks WHERE post_id = ? AND user_id = ?", &[&post, &user]).await? {
        return Ok(Some(false));
    }
    let id: Id = view.ids.fresh();
    let sql = "INSERT INTO post_bookmarks (id, created_at, post_id, user_id) VALUES (?, ?, ?, ?)";
    view.execute(sql, &[&id, &now, &post, &user]).await?;
    Ok(Some(true))
}

/// Removes a user's bookmark; false if there was none.
pub async fn unbookmark<C: Sql>(view: &mut View<'_, C>, user: UserId, post: PostId) -> Result<bool, C::Error> {
    let sql = "DELETE FROM post_bookmarks WHERE post_id = ? AND user_id = ?";
    Ok(view.execute(sql, &[&post, &user]).await? > 0)
}
