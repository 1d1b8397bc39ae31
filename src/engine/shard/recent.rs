//! Keeps what authors published while feeds here were loading, until the last of these feeds knows whom it hears.
//!
//! A feed is greeted before its list of authors is read. The shard is given the posts of all authors from before that
//! greeting. When a feed finds out that it hears an author, it gets what that author published since the feed began. At
//! most [`crate::limits::FEED_RECENT_MAX`] publications are kept.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::port::Publication;
use crate::engine::topics::feeds::FeedKey;
use crate::ids::UserId;
use crate::limits::FEED_RECENT_BYTES_MAX;

struct Kept {
    number: u64,
    author: UserId,
    publication: Arc<Publication>,
}

/// The publications, and the feeds for which they are kept.
#[derive(Default)]
pub(super) struct Recent {
    count_max: usize,
    next: u64,
    kept: VecDeque<Kept>,
    /// For each author, the numbers of the publications that are kept, ascending. Most lists name nobody who published
    /// just now, so a look into this map usually finds nothing and costs little.
    authors: HashMap<UserId, VecDeque<u64>>,
    bytes: usize,
    /// Feeds that are loading, each with the number of the first publication that it may need.
    since: HashMap<FeedKey, u64>,
    oldest: BTreeSet<(u64, u32)>,
}

impl Recent {
    /// An empty memory for so many publications at most.
    pub(super) fn new(count_max: usize) -> Self {
        Self { count_max, ..Self::default() }
    }

    /// Notes that a feed begins to load.
    pub(super) fn begin(&mut self, feed: FeedKey) {
        self.since.insert(feed, self.next);
        self.oldest.insert((self.next, feed.number));
    }

    /// Notes that a feed knows whom it hears, or is gone.
    pub(super) fn end(&mut self, feed: FeedKey) {
        if let Some(since) = self.since.remove(&feed) {
            self.oldest.remove(&(since, feed.number));
            let needed = self.oldest.first().map_or(self.next, |(number, _)| *number);
            while self.kept.front().is_some_and(|kept| kept.number < needed) {
                self.drop_front();
            }
        }
    }

    /// Notes a publication of an author. Returns the feeds that would need more than is kept: their sockets have to
    /// come again.
    pub(super) fn note(&mut self, author: UserId, publication: &Arc<Publication>) -> Vec<FeedKey> {
        let number = self.next;
        self.next += 1;
        if self.since.is_empty() {
            return Vec::new();
        }
        self.bytes += publication.frames.usual().len();
        self.authors.entry(author).or_default().push_back(number);
        self.kept.push_back(Kept { number, author, publication: Arc::clone(publication) });
        let mut dropped = 0;
        while self.kept.len() > self.count_max || self.bytes > FEED_RECENT_BYTES_MAX {
            dropped = self.drop_front().map_or(dropped, |number| number + 1);
        }
        if dropped == 0 {
            return Vec::new();
        }
        let late = self.since.iter().filter(|(_, since)| **since < dropped);
        late.map(|(feed, _)| *feed).collect()
    }

    /// What an author published since the feed began. The cost depends only on what is found, not on what is kept of
    /// others.
    pub(super) fn of(&self, feed: FeedKey, author: UserId) -> impl Iterator<Item = &Arc<Publication>> {
        let numbers = self.since.get(&feed).and_then(|since| Some((self.authors.get(&author)?, since)));
        let found = numbers.map(|(numbers, since)| {
            let first = numbers.partition_point(|number| number < since);
            numbers.range(first..).filter_map(|number| self.publication(*number))
        });
        found.into_iter().flatten()
    }

    /// Publications are kept without a gap in their numbers, so a number gives the place.
    fn publication(&self, number: u64) -> Option<&Arc<Publication>> {
        let place = number.checked_sub(self.kept.front()?.number)?;
        let kept = self.kept.get(usize::try_from(place).ok()?)?;
        debug_assert_eq!(kept.number, number);
        Some(&kept.publication)
    }

    /// True if publications are kept for the feed.
    #[cfg(test)]
    pub(super) fn is_for(&self, feed: FeedKey) -> bool {
        self.since.contains_key(&feed)
    }

    /// True if nothing is kept and no feed is loading.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.since.is_empty() && self.authors.is_empty() && self.bytes == 0
    }

    fn drop_front(&mut self) -> Option<u64> {
        let kept = self.kept.pop_front()?;
        self.bytes -= kept.publication.frames.usual().len();
        if let Entry::Occupied(mut numbers) = self.authors.entry(kept.author) {
            numbers.get_mut().pop_front();
            if numbers.get().is_empty() {
                numbers.remove();
            }
        }
        Some(kept.number)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::engine::session::outbox::Class;
    use crate::engine::shard::port::Except;
    use crate::ids::Topic;
    use crate::limits::FEED_RECENT_MAX;
    use crate::protocol::form::FrameSet;

    fn publication(author: UserId, number: usize) -> Arc<Publication> {
        let frames = Bytes::from(number.to_string());
        let (class, except) = (Class::Durable, Except::Nobody);
        let (topic, born) = (Topic::Author(author), std::time::Instant::now());
        let frames = FrameSet::new(frames);
        Arc::new(Publication { topic, frames, class, except, origin: None, born })
    }

    fn heard(recent: &Recent, feed: FeedKey, author: UserId) -> Vec<String> {
        recent.of(feed, author).map(|kept| String::from_utf8_lossy(kept.frames.usual()).into_owned()).collect()
    }

    #[test]
    fn a_feed_gets_what_came_since_it_began_and_no_more() {
        let (mut recent, ana, beto) = (Recent::new(FEED_RECENT_MAX), UserId::fresh(), UserId::fresh());
        let [first, second] = [1, 2].map(|number| FeedKey { number, serial: number });
        recent.note(ana, &publication(ana, 0));
        recent.begin(first);
        recent.note(ana, &publication(ana, 1));
        recent.note(beto, &publication(beto, 2));
        recent.begin(second);
        recent.note(ana, &publication(ana, 3));
        assert_eq!(heard(&recent, first, ana), ["1", "3"]);
        assert_eq!(heard(&recent, first, beto), ["2"]);
        assert_eq!(heard(&recent, second, ana), ["3"]);
        assert_eq!(heard(&recent, second, UserId::fresh()), Vec::<String>::new());
        recent.end(first);
        assert_eq!(heard(&recent, first, ana), Vec::<String>::new());
        assert_eq!(recent.kept.len(), 1, "what only the first one needed is gone");
        recent.end(second);
        assert_eq!((recent.kept.len(), recent.bytes, recent.authors.len()), (0, 0, 0));
    }

    /// Each look costs only what it finds: 64 Ki looks, each of which finds one publication, do not take 64 Ki times 64
    /// Ki steps.
    #[test]
    fn a_look_passes_over_what_others_published() {
        let (mut recent, feed) = (Recent::new(FEED_RECENT_MAX), FeedKey { number: 1, serial: 1 });
        recent.begin(feed);
        let authors: Vec<UserId> = (0..FEED_RECENT_MAX).map(|_| UserId::fresh()).collect();
        for (number, author) in authors.iter().enumerate() {
            recent.note(*author, &publication(*author, number));
        }
        for (number, author) in authors.iter().enumerate() {
            let mut found = recent.of(feed, *author);
            assert_eq!(found.next().map(|kept| kept.frames.usual().to_vec()), Some(number.to_string().into_bytes()));
            assert!(found.next().is_none());
        }
    }

    #[test]
    fn who_would_miss_something_is_named() {
        let (mut recent, ana) = (Recent::new(FEED_RECENT_MAX), UserId::fresh());
        let [slow, late] = [1, 2].map(|number| FeedKey { number, serial: 1 });
        recent.begin(slow);
        for number in 0..FEED_RECENT_MAX {
            assert_eq!(recent.note(ana, &publication(ana, number)), []);
        }
        recent.begin(late);
        assert_eq!(recent.note(ana, &publication(ana, 0)), [slow]);
        assert_eq!(heard(&recent, late, ana).len(), 1);
    }
}
