//! Posts as they are read: whole, by pages, with their newest reactions and first comments.
//!
//! A statement is a call inside this process, not a way to a server and back: posts and comments are read one by one,
//! and what a counter says is not there is not asked for.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::domain::feed::comment::{Comment, CommentHead};
use crate::domain::feed::post::{Post, PostHead, PostList, PostReaction, ReactionCounts};
use crate::ids::{CommentId, PostId, UserId};
use crate::limits;
use crate::store::sqlite::old_people::{View, known_profile, offset};
use crate::store::sqlite::values::{Id, count};
use crate::store::{FileTable, NamedFiles, PageOf, PageRequest};

/// What decides on a post's rights.
pub fn head(connection: &Connection, post: PostId) -> rusqlite::Result<Option<PostHead>> {
    connection
        .prepare_cached("SELECT user_id, is_public, allow_comments FROM posts WHERE id = ?1")?
        .query_row([post], |row| {
            Ok(PostHead { author: row.get(0)?, is_public: row.get(1)?, allow_comments: row.get(2)? })
        })
        .optional()
}

/// The same, remembered.
pub fn known_head(view: View<'_>, post: PostId) -> rusqlite::Result<Option<PostHead>> {
    if let Some(head) = view.caches.post_heads.get(&post, view.now) {
        return Ok(head);
    }
    let before = view.caches.post_heads.before();
    let head = head(view.connection, post)?;
    view.caches.post_heads.put(before, post, head, view.now);
    Ok(head)
}

/// The post with a short id, whatever its case.
pub fn id_of_short(connection: &Connection, short_id: &str) -> rusqlite::Result<Option<PostId>> {
    connection
        .prepare_cached("SELECT id FROM posts WHERE short_id = ?1")?
        .query_row([short_id], |row| row.get(0))
        .optional()
}

/// A whole post, as the viewer or nobody in particular sees it.
pub fn whole(view: View<'_>, viewer: Option<UserId>, id: PostId) -> rusqlite::Result<Option<Post>> {
    let found = view
        .connection
        .prepare_cached(
            "SELECT id, short_id, user_id, content, images, video, thumbnail, podcast_url, streaming_url, post_type, \
             category, likes_count, celebrations_count, golazos_count, comments_count, shares_count, views_count, \
             is_pinned, allow_comments, is_public, created_at, updated_at, \
             (SELECT reaction_type FROM post_reactions WHERE post_id = posts.id AND user_id = ?2 LIMIT 1), \
             EXISTS (SELECT 1 FROM post_bookmarks WHERE post_id = posts.id AND user_id = ?2) \
             FROM posts WHERE id = ?1",
        )?
        .query_row(params![id, viewer], |row| post_of_row(view, row))
        .optional()?;
    let Some(mut post) = found else { return Ok(None) };
    if post.counts != ReactionCounts::default() {
        post.reactions = newest_reactions(view, id)?;
    }
    if post.comments_count > 0 {
        post.comments = first_comments(view, viewer, id)?;
    }
    Ok(Some(post))
}

fn post_of_row(view: View<'_>, row: &Row<'_>) -> rusqlite::Result<Post> {
    Ok(Post {
        id: row.get(0)?,
        short_id: row.get(1)?,
        user: known_profile(view, row.get(2)?)?,
        content: row.get(3)?,
        images: row.get(4)?,
        video: row.get(5)?,
        thumbnail: row.get(6)?,
        podcast_url: row.get(7)?,
        streaming_url: row.get(8)?,
        post_type: row.get(9)?,
        category: row.get(10)?,
        counts: ReactionCounts { likes: count(row, 11)?, celebrations: count(row, 12)?, golazos: count(row, 13)? },
        comments_count: count(row, 14)?,
        shares_count: count(row, 15)?,
        views_count: count(row, 16)?,
        is_pinned: row.get(17)?,
        allow_comments: row.get(18)?,
        is_public: row.get(19)?,
        created_at: row.get(20)?,
        updated_at: row.get(21)?,
        reactions: Vec::new(),
        comments: Vec::new(),
        user_reaction: row.get(22)?,
        is_bookmarked: row.get(23)?,
    })
}

fn newest_reactions(view: View<'_>, post: PostId) -> rusqlite::Result<Vec<PostReaction>> {
    let mut newest_first = view.connection.prepare_cached(
        "SELECT id, user_id, reaction_type, created_at FROM post_reactions WHERE post_id = ?1 \
         ORDER BY created_at DESC, user_id LIMIT ?2",
    )?;
    let mut rows = newest_first.query(params![post, view.shown_reactions])?;
    let mut reactions = Vec::new();
    while let Some(row) = rows.next()? {
        let user = known_profile(view, row.get(1)?)?;
        let (id, reaction_type, created_at) = (row.get::<_, Id>(0)?.0, row.get(2)?, row.get(3)?);
        reactions.push(PostReaction { id, user, reaction_type, created_at });
    }
    Ok(reactions)
}

/// A page of the posts that a list shows, newest first.
pub fn page(view: View<'_>, viewer: UserId, list: PostList, page: PageRequest) -> rusqlite::Result<PageOf<Post>> {
    const CIRCLE: &str = "is_public = 1 AND user_id IN (SELECT ?1 \
        UNION SELECT following_id FROM user_follows WHERE follower_id = ?1 \
        UNION SELECT user2_id FROM friendships WHERE user1_id = ?1 \
        UNION SELECT user1_id FROM friendships WHERE user2_id = ?1)";
    let (condition, of) = match list {
        PostList::Circle => (CIRCLE, viewer),
        PostList::Everybody => ("is_public = 1 AND ?1 = ?1", viewer),
        PostList::Of(author) => ("is_public = 1 AND user_id = ?1", author),
    };
    let count = view
        .connection
        .prepare_cached(&format!("SELECT count(*) FROM posts WHERE {condition}"))?
        .query_row([of], |row| count(row, 0))?;
    // Few posts are gathered by author and sorted; of many, enough are among the newest of everybody.
    let index = match list {
        PostList::Circle if count > limits::SORTED_POSTS_MAX => "posts_newest_idx",
        PostList::Circle | PostList::Of(_) => "posts_of_authors_idx",
        PostList::Everybody => "posts_newest_idx",
    };
    let ids = view
        .connection
        .prepare_cached(&format!(
            "SELECT id FROM posts INDEXED BY {index} WHERE {condition} \
             ORDER BY created_at DESC, id DESC LIMIT ?2 OFFSET ?3"
        ))?
        .query_map(params![of, page.size, offset(page)], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<PostId>>>()?;
    let rows = ids.into_iter().filter_map(|id| whole(view, Some(viewer), id).transpose());
    Ok(PageOf { count, rows: rows.collect::<rusqlite::Result<_>>()? })
}

/// What the next rows of a table name.
pub fn named_files(connection: &Connection, table: FileTable, after: Option<Uuid>) -> rusqlite::Result<NamedFiles> {
    let columns = match table {
        FileTable::Posts => {
            "video, thumbnail, nullif(images, '[]'), nullif(podcast_url, ''), nullif(streaming_url, '') FROM posts"
        }
        FileTable::Comments => "image, NULL, NULL, NULL, NULL FROM comments",
    };
    let mut query = connection.prepare_cached(&format!("SELECT id, {columns} WHERE id > ?1 ORDER BY id LIMIT ?2"))?;
    let after = after.map(|id| id.simple().to_string()).unwrap_or_default();
    let mut rows = query.query(params![after, limits::LITTER_ROWS])?;
    let (mut named, mut read) = (NamedFiles::default(), 0);
    while let Some(row) = rows.next()? {
        for column in 1..=5 {
            named.texts.extend(row.get::<_, Option<String>>(column)?);
        }
        named.last = Some(row.get::<_, Id>(0)?.0);
        read += 1;
    }
    named.last = named.last.filter(|_| read == limits::LITTER_ROWS);
    Ok(named)
}

/// What decides on a comment's rights.
pub fn comment_head(connection: &Connection, comment: CommentId) -> rusqlite::Result<Option<CommentHead>> {
    connection
        .prepare_cached("SELECT user_id, post_id, parent_id FROM comments WHERE id = ?1")?
        .query_row([comment], |row| Ok(CommentHead { author: row.get(0)?, post: row.get(1)?, parent: row.get(2)? }))
        .optional()
}

const COMMENT: &str = "SELECT id, post_id, parent_id, user_id, content, image, likes_count, replies_count, is_edited, \
    created_at, updated_at, EXISTS (SELECT 1 FROM comment_likes WHERE comment_id = comments.id AND user_id = ?2) \
    FROM comments";

/// A comment with its first replies, as the viewer or nobody in particular sees it.
pub fn comment(view: View<'_>, viewer: Option<UserId>, id: CommentId) -> rusqlite::Result<Option<Comment>> {
    let found = view
        .connection
        .prepare_cached(&format!("{COMMENT} WHERE id = ?1"))?
        .query_row(params![id, viewer], |row| comment_of_row(view, row))
        .optional()?;
    let Some(mut found) = found else { return Ok(None) };
    add_replies(view, viewer, &mut found, limits::REPLY_LEVELS_SHOWN)?;
    Ok(Some(found))
}

/// A page of a post's top-level comments, oldest first.
pub fn comments(view: View<'_>, viewer: UserId, post: PostId, page: PageRequest) -> rusqlite::Result<PageOf<Comment>> {
    let count = view
        .connection
        .prepare_cached("SELECT count(*) FROM comments WHERE post_id = ?1 AND parent_id IS NULL")?
        .query_row([post], |row| count(row, 0))?;
    let levels = limits::REPLY_LEVELS_SHOWN;
    Ok(PageOf { count, rows: top_level(view, Some(viewer), post, (page.size, offset(page)), levels)? })
}

fn first_comments(view: View<'_>, viewer: Option<UserId>, post: PostId) -> rusqlite::Result<Vec<Comment>> {
    top_level(view, viewer, post, (limits::COMMENTS_SHOWN, 0), limits::POST_REPLY_LEVELS_SHOWN)
}

fn top_level(
    view: View<'_>,
    viewer: Option<UserId>,
    post: PostId,
    (limit, offset): (u32, u64),
    levels: u32,
) -> rusqlite::Result<Vec<Comment>> {
    let mut found = view
        .connection
        .prepare_cached(&format!(
            "{COMMENT} WHERE post_id = ?1 AND parent_id IS NULL ORDER BY created_at, id LIMIT ?3 OFFSET ?4"
        ))?
        .query_map(params![post, viewer, limit, offset], |row| comment_of_row(view, row))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for comment in &mut found {
        add_replies(view, viewer, comment, levels)?;
    }
    Ok(found)
}

/// A page of a comment's direct replies, oldest first.
pub fn replies(
    view: View<'_>,
    viewer: UserId,
    comment: CommentId,
    page: PageRequest,
) -> rusqlite::Result<PageOf<Comment>> {
    let count = view
        .connection
        .prepare_cached("SELECT count(*) FROM comments WHERE parent_id = ?1")?
        .query_row([comment], |row| count(row, 0))?;
    let levels = limits::REPLY_LEVELS_SHOWN - 1;
    Ok(PageOf { count, rows: below(view, Some(viewer), comment, (page.size, offset(page)), levels)? })
}

fn add_replies(view: View<'_>, viewer: Option<UserId>, comment: &mut Comment, levels: u32) -> rusqlite::Result<()> {
    if comment.replies_count > 0 && levels > 0 {
        comment.replies = below(view, viewer, comment.id, (limits::REPLIES_SHOWN, 0), levels - 1)?;
    }
    Ok(())
}

/// Direct replies, each with so many levels of its own.
fn below(
    view: View<'_>,
    viewer: Option<UserId>,
    comment: CommentId,
    (limit, offset): (u32, u64),
    levels: u32,
) -> rusqlite::Result<Vec<Comment>> {
    let mut found = view
        .connection
        .prepare_cached(&format!("{COMMENT} WHERE parent_id = ?1 ORDER BY created_at, id LIMIT ?3 OFFSET ?4"))?
        .query_map(params![comment, viewer, limit, offset], |row| comment_of_row(view, row))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for reply in &mut found {
        add_replies(view, viewer, reply, levels)?;
    }
    Ok(found)
}

fn comment_of_row(view: View<'_>, row: &Row<'_>) -> rusqlite::Result<Comment> {
    Ok(Comment {
        id: row.get(0)?,
        post: row.get(1)?,
        parent: row.get(2)?,
        user: known_profile(view, row.get(3)?)?,
        content: row.get(4)?,
        image: row.get(5)?,
        likes_count: count(row, 6)?,
        replies_count: count(row, 7)?,
        is_edited: row.get(8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
        replies: Vec::new(),
        is_liked: row.get(11)?,
    })
}
