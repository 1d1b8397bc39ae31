//! When the sockets on a post hear of its counters: some time after the frame that moved them. Some clients look at the
//! last frame alone, so no update may follow closely on another frame.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::ids::PostId;
use crate::limits::{POST_UPDATED_AFTER, POST_UPDATED_BY, POST_UPDATED_EVERY};

#[derive(Debug)]
struct Mark {
    /// When the counters first moved since the last update.
    first: Instant,
    /// The latest frame of any kind.
    last: Instant,
    /// The mark's place in `due`.
    looked_at: Instant,
}

impl Mark {
    /// 250 ms (`POST_UPDATED_EVERY`) after the first move, and not before the sockets had 100 ms (`POST_UPDATED_AFTER`)
    /// without a frame; but at the latest 1 s (`POST_UPDATED_BY`) after the first move.
    fn due(&self) -> Instant {
        let due = (self.first + POST_UPDATED_EVERY).max(self.last + POST_UPDATED_AFTER);
        due.min(self.first + POST_UPDATED_BY)
    }
}

/// Posts whose sockets are to hear of their counters.
#[derive(Debug, Default)]
pub(super) struct Trailing {
    marks: BTreeMap<PostId, Mark>,
    /// One time for each post: it is due then, or it is looked at again then because later frames have put it off.
    due: BTreeSet<(Instant, PostId)>,
}

impl Trailing {
    /// A post's counters have moved, and its sockets have heard the frame that says why.
    pub fn mark(&mut self, post: PostId, now: Instant) {
        self.touch(post, now);
        self.marks.entry(post).or_insert_with(|| {
            let looked_at = now + POST_UPDATED_EVERY;
            self.due.insert((looked_at, post));
            Mark { first: now, last: now, looked_at }
        });
    }

    /// A post's sockets hear a frame.
    pub fn touch(&mut self, post: PostId, now: Instant) {
        if let Some(mark) = self.marks.get_mut(&post) {
            mark.last = now;
        }
    }

    /// The sockets on the post were told the whole post, or never need to be.
    pub fn forget(&mut self, post: PostId) {
        if let Some(mark) = self.marks.remove(&post) {
            self.due.remove(&(mark.looked_at, post));
        }
    }

    /// Takes the posts that are due by `now`.
    pub fn take_due(&mut self, now: Instant) -> Vec<PostId> {
        let mut posts = Vec::new();
        while let Some(&(looked_at, post)) = self.due.first()
            && looked_at <= now
        {
            self.due.pop_first();
            let Some(mark) = self.marks.get_mut(&post) else { continue };
            if mark.due() > now {
                mark.looked_at = mark.due();
                self.due.insert((mark.looked_at, post));
            } else {
                self.marks.remove(&post);
                posts.push(post);
            }
        }
        posts
    }

    /// When [`Self::take_due`] next has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(began: Instant, ms: u64) -> Instant {
        began + Duration::from_millis(ms)
    }

    /// When the post is due, in milliseconds, if frames come at these times.
    fn due_after(frames: &[u64]) -> u64 {
        let (began, post, mut trailing) = (Instant::now(), PostId::fresh(), Trailing::default());
        trailing.mark(post, began);
        for ms in 0.. {
            if frames.contains(&ms) {
                trailing.touch(post, at(began, ms));
            }
            if !trailing.take_due(at(began, ms)).is_empty() {
                assert!(trailing.marks.is_empty() && trailing.due.is_empty(), "nothing is left behind");
                return ms;
            }
        }
        unreachable!()
    }

    #[test]
    fn an_update_comes_at_the_end_and_never_on_the_heels_of_a_frame() {
        assert_eq!(due_after(&[]), 250);
        assert_eq!(due_after(&[100]), 250);
        assert_eq!(due_after(&[200]), 300);
        assert_eq!(due_after(&[249, 300]), 400);
        let without_an_end: Vec<u64> = (0..5000).step_by(50).collect();
        assert_eq!(due_after(&without_an_end), 1000, "it comes at last");
    }

    #[test]
    fn what_is_forgotten_is_not_due_and_posts_do_not_hinder_each_other() {
        let (began, mut trailing) = (Instant::now(), Trailing::default());
        let [one, two] = [PostId::fresh(), PostId::fresh()];
        trailing.mark(one, began);
        trailing.mark(two, at(began, 10));
        trailing.mark(one, at(began, 20));
        trailing.forget(one);
        assert_eq!(trailing.next_due(), Some(at(began, 260)));
        assert_eq!(trailing.take_due(at(began, 260)), [two]);
        assert_eq!(trailing.next_due(), None);
    }
}
