//! The bells that have rung and are not answered yet, by post.
//!
//! A post that rings is put into `due` and `ready`. A worker takes it (`busy`) and reads its rows; meanwhile no other
//! worker reads the same post, and further bells of it become one entry in `due`. What the rows do not show yet goes to
//! `later`, and is taken again after a pause. At most [`BELLS_MAX`] posts wait.
//!
//! Time comes in as an argument.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::django::channels::{Bell, Group, Heard};
use crate::ids::{CommentId, PostId, UserId};
use crate::limits::{BELL_COMMENTS_MAX, BELLS_MAX};

/// Pauses before further looks, for a change that was announced before its transaction committed. After the last look
/// (3.875 s in all) the change is given up: the transaction was rolled back, or the backend did not send the message.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
];

/// How many authors the groups of one post's bells may name.
const OWNERS_MAX: usize = 8;

/// What is to be looked at of one post, and told if the rows show it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The post is new.
    pub is_posted: bool,
    /// Something about the post changed.
    pub is_updated: bool,
    /// The post is gone.
    pub is_deleted: bool,
    /// The last user who reacted.
    pub reacted: Option<UserId>,
    /// Comments to which something happened, in the order of their first bells.
    pub comments: Vec<(CommentId, CommentDue)>,
    /// The users by whose feed groups the bells came; the author is one of them.
    pub owners: SmallVec<[UserId; 2]>,
    /// How many looks have found nothing yet.
    pub looks: usize,
}

/// What happened to a comment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommentDue {
    /// It is new.
    pub is_new: bool,
    /// It changed.
    pub is_reworded: bool,
    /// Somebody likes it.
    pub is_liked: bool,
    /// It is gone.
    pub is_gone: bool,
}

impl Due {
    /// Nothing is to be looked at.
    pub fn is_empty(&self) -> bool {
        let Self { is_posted, is_updated, is_deleted, reacted, comments, .. } = self;
        !is_posted && !is_updated && !is_deleted && reacted.is_none() && comments.is_empty()
    }

    fn comment(&mut self, comment: CommentId) -> Option<&mut CommentDue> {
        let place = match self.comments.iter().position(|(known, _)| *known == comment) {
            Some(place) => place,
            None if self.comments.len() >= BELL_COMMENTS_MAX => return None,
            None => {
                self.comments.push((comment, CommentDue::default()));
                self.comments.len() - 1
            }
        };
        self.comments.get_mut(place).map(|(_, due)| due)
    }
}

/// What became of a bell that rang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// It will be answered.
    Noted,
    /// It need not be answered: it is a follower's copy of somebody else's post, or a message that contradicts itself.
    Copy,
    /// Too many posts or comments wait.
    Full,
}

/// All bells of a process that wait for an answer.
#[derive(Debug, Default)]
pub struct Bells {
    due: HashMap<PostId, Due>,
    /// Posts in `due` that no worker looks at.
    ready: VecDeque<PostId>,
    busy: HashSet<PostId>,
    later: BTreeMap<(Instant, PostId), Due>,
}

impl Bells {
    /// Takes a bell that rang.
    pub fn ring(&mut self, heard: Heard) -> Rung {
        let Some((post, owner)) = post_of(heard) else { return Rung::Copy };
        if !self.due.contains_key(&post) {
            if self.due.len() + self.later.len() >= BELLS_MAX {
                return Rung::Full;
            }
            if !self.busy.contains(&post) {
                self.ready.push_back(post);
            }
        }
        let due = self.due.entry(post).or_default();
        if let Some(owner) = owner
            && !due.owners.contains(&owner)
            && due.owners.len() < OWNERS_MAX
        {
            due.owners.push(owner);
        }
        let comment = match heard.bell {
            Bell::Posted { .. } => return note(&mut due.is_posted),
            Bell::Updated { .. } => return note(&mut due.is_updated),
            Bell::Deleted { .. } => return note(&mut due.is_deleted),
            Bell::Reacted { user, .. } => {
                due.reacted = Some(user);
                return Rung::Noted;
            }
            Bell::Commented(comment) | Bell::Reworded(comment) | Bell::Uncommented(comment) | Bell::Liked(comment) => {
                comment
            }
        };
        let Some(comment) = due.comment(comment) else { return Rung::Full };
        note(match heard.bell {
            Bell::Commented(_) => &mut comment.is_new,
            Bell::Reworded(_) => &mut comment.is_reworded,
            Bell::Liked(_) => &mut comment.is_liked,
            _ => &mut comment.is_gone,
        })
    }

    /// Takes the next post to look at. No other worker gets the post before [`Self::answered`].
    pub fn take(&mut self, now: Instant) -> Option<(PostId, Due)> {
        while let Some((&(at, post), _)) = self.later.first_key_value()
            && at <= now
        {
            let Some(again) = self.later.remove(&(at, post)) else { break };
            if !self.due.contains_key(&post) && !self.busy.contains(&post) {
                self.ready.push_back(post);
            }
            match self.due.entry(post) {
                Entry::Vacant(vacant) => drop(vacant.insert(again)),
                Entry::Occupied(mut rung) => merge(rung.get_mut(), again),
            }
        }
        let post = self.ready.pop_front()?;
        let due = self.due.remove(&post)?;
        self.busy.insert(post);
        Some((post, due))
    }

    /// Ends a look. What the rows did not show yet (`again`) is looked at again after a pause; false if there were
    /// enough looks, and it is given up.
    pub fn answered(&mut self, post: PostId, again: Option<Due>, now: Instant) -> bool {
        self.busy.remove(&post);
        if self.due.contains_key(&post) {
            self.ready.push_back(post);
        }
        let Some(mut again) = again.filter(|again| !again.is_empty()) else { return true };
        let Some(pause) = PAUSES.get(again.looks) else { return false };
        again.looks += 1;
        self.later.insert((now + *pause, post), again);
        true
    }

    /// When the first of the posts in `later` can be taken.
    pub fn next_due(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many posts wait.
    pub fn len(&self) -> usize {
        self.due.len() + self.later.len()
    }

    /// True if no post waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn note(flag: &mut bool) -> Rung {
    *flag = true;
    Rung::Noted
}

/// The post that the bell is about, and the user by whose feed group it came.
fn post_of(heard: Heard) -> Option<(PostId, Option<UserId>)> {
    match (heard.group, heard.bell) {
        // A follower's group gets a copy of every post that the follower hears. We are in that group for the follower's
        // own posts.
        (Group::Feed(owner), Bell::Posted { post, author } | Bell::Updated { post, author }) => {
            author.is_none_or(|author| author == owner).then_some((post, Some(owner)))
        }
        (Group::Feed(owner), Bell::Deleted { post } | Bell::Reacted { post, .. }) => Some((post, Some(owner))),
        (Group::Feed(_), _) => None,
        (
            Group::Post(of),
            Bell::Posted { post, .. }
            | Bell::Updated { post, .. }
            | Bell::Deleted { post }
            | Bell::Reacted { post, .. },
        ) => (post == of).then_some((post, None)),
        (Group::Post(of), _) => Some((of, None)),
    }
}

/// Adds what is to be looked at again to what rang since. What rang gets all its looks, however many the other had.
fn merge(due: &mut Due, again: Due) {
    due.is_posted |= again.is_posted;
    due.is_updated |= again.is_updated;
    due.is_deleted |= again.is_deleted;
    due.reacted = due.reacted.or(again.reacted);
    for owner in again.owners {
        if due.owners.len() < OWNERS_MAX && !due.owners.contains(&owner) {
            due.owners.push(owner);
        }
    }
    for (comment, earlier) in again.comments {
        if let Some(known) = due.comment(comment) {
            known.is_new |= earlier.is_new;
            known.is_reworded |= earlier.is_reworded;
            known.is_liked |= earlier.is_liked;
            known.is_gone |= earlier.is_gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(group: Group, bell: Bell) -> Heard {
        Heard { group, bell }
    }

    #[test]
    fn bells_of_one_post_become_one_while_it_is_looked_at() {
        let (mut bells, now) = (Bells::default(), Instant::now());
        let (post, ana, beto) = (PostId::fresh(), UserId::fresh(), UserId::fresh());
        let on_post = |bell| heard(Group::Post(post), bell);
        assert_eq!(bells.ring(on_post(Bell::Reacted { post, user: ana })), Rung::Noted);
        let (taken, due) = bells.take(now).unwrap();
        assert_eq!((taken, due.reacted), (post, Some(ana)));
        let comment = CommentId::fresh();
        for _ in 0..100 {
            bells.ring(on_post(Bell::Reacted { post, user: beto }));
            bells.ring(on_post(Bell::Updated { post, author: None }));
            bells.ring(on_post(Bell::Liked(comment)));
            bells.ring(on_post(Bell::Reworded(comment)));
        }
        assert_eq!(bells.take(now), None, "one look at a time");
        assert!(bells.answered(post, None, now));
        let (_, due) = bells.take(now).unwrap();
        let liked = CommentDue { is_reworded: true, is_liked: true, ..CommentDue::default() };
        assert_eq!((due.reacted, due.is_updated, due.comments), (Some(beto), true, vec![(comment, liked)]));
        assert!(bells.answered(post, None, now) && bells.take(now).is_none() && bells.is_empty());
    }

    #[test]
    fn copies_for_followers_are_passed_over() {
        let mut bells = Bells::default();
        let (post, ana, beto) = (PostId::fresh(), UserId::fresh(), UserId::fresh());
        let by = |author| Bell::Posted { post, author: Some(author) };
        assert_eq!(bells.ring(heard(Group::Feed(beto), by(ana))), Rung::Copy);
        assert_eq!(bells.ring(heard(Group::Feed(beto), Bell::Commented(CommentId::fresh()))), Rung::Copy);
        assert_eq!(bells.ring(heard(Group::Post(PostId::fresh()), by(ana))), Rung::Copy, "another post's group");
        assert!(bells.is_empty());
        assert_eq!(bells.ring(heard(Group::Feed(ana), by(ana))), Rung::Noted);
        assert_eq!(bells.take(Instant::now()).unwrap().1.owners.as_slice(), [ana]);
    }

    #[test]
    fn what_rings_behind_a_last_look_gets_all_its_looks() {
        let (mut bells, mut now) = (Bells::default(), Instant::now());
        let (post, ana) = (PostId::fresh(), UserId::fresh());
        let posted = || heard(Group::Feed(ana), Bell::Posted { post, author: Some(ana) });
        bells.ring(posted());
        while let Some((_, due)) = bells.take(now) {
            if due.looks + 1 == PAUSES.len() {
                bells.answered(post, Some(due), now);
                break;
            }
            bells.answered(post, Some(due), now);
            now = bells.next_due().unwrap();
        }
        bells.ring(heard(Group::Feed(ana), Bell::Deleted { post }));
        now = bells.next_due().unwrap();
        let (_, due) = bells.take(now).unwrap();
        assert_eq!((due.looks, due.is_posted, due.is_deleted), (0, true, true));
    }

    #[test]
    fn what_is_not_there_yet_is_looked_for_again_until_it_is_enough() {
        let (mut bells, mut now) = (Bells::default(), Instant::now());
        let (post, ana) = (PostId::fresh(), UserId::fresh());
        bells.ring(heard(Group::Feed(ana), Bell::Posted { post, author: Some(ana) }));
        let mut waited = Duration::ZERO;
        for look in 0.. {
            let (_, due) = bells.take(now).unwrap();
            assert_eq!((due.looks, due.is_posted), (look, true));
            if !bells.answered(post, Some(due), now) {
                break;
            }
            let due = bells.next_due().unwrap();
            assert_eq!(bells.take(due - Duration::from_millis(1)), None);
            waited += due - now;
            now = due;
        }
        assert_eq!(waited, PAUSES.iter().sum::<Duration>());
        assert!(bells.is_empty());
    }

    #[test]
    fn there_is_an_end_to_what_waits() {
        let mut bells = Bells::default();
        let deleted = |post| heard(Group::Post(post), Bell::Deleted { post });
        for _ in 0..BELLS_MAX {
            assert_eq!(bells.ring(deleted(PostId::fresh())), Rung::Noted);
        }
        assert_eq!(bells.ring(deleted(PostId::fresh())), Rung::Full);
        let (post, due) = bells.take(Instant::now()).unwrap();
        assert!(bells.answered(post, Some(due), Instant::now()));
        assert_eq!(bells.len(), BELLS_MAX);
    }
}
