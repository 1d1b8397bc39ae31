//! Remembers what was told of posts and comments that Django writes, and decides what a fresh look at their rows adds
//! to it.
//!
//! Django announces every change of a counter as a change of the post, mostly several times, and with the counts from
//! before the change. The rows say what is true now; this memory says what of it is news.
//!
//! An announcement may come before its transaction commits. If a look cannot know whether it saw the change, what it saw
//! is told, and `again` or a [`CommentDue`] says what the next look is for.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::django::doorbell_queue::{CommentDue, Due};
use crate::domain::feed::comment::Comment;
use crate::domain::feed::post::{Post, PostHead, PostReactionType, ReactionCounts};
use crate::fanout::seen::{CommentSeen, Seen};
use crate::ids::{CommentId, PostId, UserId};
use crate::limits::TOLD_MAX;

/// If a look cannot know whether a change is committed, the change gets only the last looks that
/// [`crate::django::doorbell_queue`] grants. This is the first of them, a second later.
const LATE_LOOK: usize = 5;
/// The last of these looks, two seconds after [`LATE_LOOK`].
const LAST_LOOK: usize = 6;

/// The rows of a post, read just now.
#[derive(Debug)]
pub struct PostLook {
    /// The post without a viewer, with its reactions and comments counted.
    pub post: Arc<Post>,
    /// The reaction of the user who is said to have reacted, if there is one.
    pub reaction: Option<PostReactionType>,
}

/// The result of a look at a post's rows.
#[derive(Debug, Default)]
pub struct Judged {
    /// News, to be told.
    pub seen: Vec<Seen>,
    /// What to look at again.
    pub again: Due,
}

#[derive(Debug, Clone, Copy)]
struct ToldPost {
    author: UserId,
    is_public: bool,
    updated_at: Timestamp,
    counts: ReactionCounts,
    comments_count: u64,
    shares_count: u64,
    reaction: Option<(UserId, PostReactionType)>,
}

#[derive(Debug, Clone, Copy)]
struct ToldComment {
    updated_at: Timestamp,
    likes_count: u64,
}

/// To whom the end of a post was told.
#[derive(Debug, Clone)]
enum Ended {
    /// To everybody who heard its author.
    All,
    /// The author is not known: to everybody who heard one of these users.
    HearersOf(SmallVec<[UserId; 2]>),
}

/// The memory. It is bounded: the oldest entries are forgotten, and their news may be told once more than needed.
#[derive(Debug, Default)]
pub struct Told {
    posts: Recent<PostId, ToldPost>,
    comments: Recent<CommentId, ToldComment>,
    ended: Recent<PostId, Ended>,
}

impl Told {
    /// Judges a look that found the post.
    pub fn judge(&mut self, look: &PostLook, due: &Due) -> Judged {
        let post = &look.post;
        let before = self.posts.get(&post.id).copied();
        let mut judged = Judged::default();
        let again = &mut judged.again;
        (again.owners, again.looks) = (due.owners.clone(), due.looks);
        // The post is still there: it will be gone when the transaction that deletes it commits.
        again.is_deleted = due.is_deleted;
        let mut reaction = before.and_then(|before| before.reaction);
        let mut has_told_counts = false;
        let mut is_edit_seen = false;
        match (due.reacted, look.reaction) {
            (Some(user), Some(kind)) => {
                has_told_counts = true;
                let is_news = before.is_none_or(|before| before.counts != post.counts);
                if is_news || reaction != Some((user, kind)) {
                    judged.seen.push(reacted(post, user, kind));
                }
                reaction = Some((user, kind));
            }
            // The reaction is not committed yet. Or it was taken back, which Django announces as a change of the post.
            (Some(user), None) => again.reacted = Some(user),
            (None, _) => {}
        }
        if due.is_posted && before.is_none() {
            judged.seen.insert(0, Seen::Created(Arc::clone(post)));
        } else if due.is_updated {
            match before {
                Some(before) if before.updated_at == post.updated_at && before.is_public == post.is_public => {
                    let is_counted = before.comments_count == post.comments_count
                        && before.shares_count == post.shares_count
                        && (has_told_counts || before.counts == post.counts);
                    if !is_counted {
                        judged.seen.push(Seen::Counted(post.id, post.head()));
                    }
                }
                // Users who may have seen a post that is not in this memory must lose it if it is private now.
                before => {
                    // Of a post that is not in this memory, one cannot see whether the row is from before the change or
                    // after it.
                    is_edit_seen = before.is_some();
                    let was_public = before.is_none_or(|before| before.is_public);
                    judged.seen.push(Seen::Edited { post: Arc::clone(post), was_public });
                }
            }
        }
        if due.is_updated && !is_edit_seen && due.looks <= LAST_LOOK {
            again.is_updated = true;
            again.looks = LATE_LOOK.max(due.looks);
        }
        // A look for something that will be there at once must not wait for the look a second later.
        if again.is_deleted || again.reacted.is_some() {
            again.looks = due.looks;
        }
        self.posts.put(post.id, ToldPost { reaction, ..ToldPost::of(post) });
        judged
    }

    /// Judges a look that found no such post: it is gone, or it is not committed yet.
    pub fn judge_absent(&mut self, post: PostId, due: &Due) -> Judged {
        let mut judged = Judged::default();
        if !due.is_deleted {
            judged.again = Due { comments: Vec::new(), ..due.clone() };
            return judged;
        }
        if let Some(told) = self.posts.remove(&post) {
            self.ended.put(post, Ended::All);
            judged.seen.push(Seen::Deleted { post, author: told.author, is_public: told.is_public });
            return judged;
        }
        let mut told = match self.ended.get(&post) {
            Some(Ended::All) => return judged,
            Some(Ended::HearersOf(told)) => told.clone(),
            None => SmallVec::new(),
        };
        for &owner in &due.owners {
            if !told.contains(&owner) {
                told.push(owner);
                judged.seen.push(Seen::Deleted { post, author: owner, is_public: true });
            }
        }
        self.ended.put(post, Ended::HearersOf(told));
        judged
    }

    /// Judges a look at a comment of the post, with its likes counted, or `None` if there is no such comment. Returns
    /// the news, and what to look at again.
    pub fn judge_comment(
        &mut self,
        post: PostId,
        head: PostHead,
        (id, comment): (CommentId, Option<&Arc<Comment>>),
        due: CommentDue,
    ) -> (Option<Seen>, CommentDue) {
        let done = CommentDue::default();
        let seen = |comment| Some(Seen::Comment { post, head, comment });
        let Some(comment) = comment else {
            if !due.is_gone {
                return (None, due);
            }
            self.comments.remove(&id);
            self.recount(post, -1);
            return (seen(CommentSeen::Deleted(id)), done);
        };
        if comment.post != post {
            return (None, done);
        }
        let before = self.comments.get(&id).copied();
        let told = ToldComment { updated_at: comment.updated_at, likes_count: comment.likes_count };
        self.comments.put(id, told);
        let again = CommentDue { is_gone: due.is_gone, ..done };
        // Of a comment that is not in this memory, too, one cannot see whether the change is committed.
        let not_yet = CommentDue { is_reworded: due.is_reworded, is_liked: due.is_liked, ..again };
        let likes = CommentSeen::Liked(id, comment.likes_count);
        match before {
            None if due.is_new => {
                self.recount(post, 1);
                (seen(CommentSeen::New(Arc::clone(comment))), again)
            }
            // The text may be the old one. The frame carries the likes too.
            None if due.is_reworded => (seen(CommentSeen::Edited(Arc::clone(comment))), not_yet),
            Some(before) if due.is_reworded && before.updated_at != told.updated_at => {
                (seen(CommentSeen::Edited(Arc::clone(comment))), again)
            }
            None if due.is_liked => (seen(likes), not_yet),
            Some(before) if before.likes_count != told.likes_count => (seen(likes), again),
            None | Some(_) => (None, not_yet),
        }
    }

    /// Forgets a post because its news could not be told: the next look begins anew.
    pub fn forget(&mut self, post: PostId) {
        self.posts.remove(&post);
    }

    /// Counts a comment that was told: its frame brings the post's frame with it, so the change of the post's counter
    /// is no news when Django announces it.
    fn recount(&mut self, post: PostId, by: i64) {
        if let Some(mut told) = self.posts.get(&post).copied() {
            told.comments_count = told.comments_count.saturating_add_signed(by);
            self.posts.put(post, told);
        }
    }
}

impl ToldPost {
    fn of(post: &Post) -> Self {
        Self {
            author: post.user.id,
            is_public: post.is_public,
            updated_at: post.updated_at,
            counts: post.counts,
            comments_count: post.comments_count,
            shares_count: post.shares_count,
            reaction: None,
        }
    }
}

fn reacted(post: &Post, user: UserId, reaction: PostReactionType) -> Seen {
    Seen::Reacted { post: post.id, head: post.head(), counts: post.counts, user, reaction }
}

/// A bounded map in two halves: when the younger is full, the older is forgotten.
#[derive(Debug)]
struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Hash + Eq, V> Recent<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= TOLD_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.old.remove(key);
        self.young.remove(key).or(old)
    }
}

#[cfg(test)]
mod tests;
