//! Which feeds on this shard hear which authors: a list of feeds for each author, and a list of authors for each feed.
//!
//! A user has one feed on a shard, however many sockets the user has. The feed takes four bytes in each author's list,
//! and each author takes one or two bytes in the feed's own list. Authors whom nobody here hears cost nothing. Long
//! lists are worked off in slices, so that the rest of the shard does not wait for them.
//!
//! A feed passes through three phases. While it is `Loading`, its list of authors is read or worked off, and what is
//! committed meanwhile is newer than that list: `decided` keeps such authors out of the list's reach, and `replacement`
//! keeps a newer list until the first one is done. Then it is `Complete`. After its last socket it is `Closing` until
//! it was taken out of all authors' lists; only then can its number be used again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

use slab::Slab;

use crate::ids::UserId;

/// The registry's slot of a feed that is closing.
const NOWHERE: u32 = u32::MAX;

/// Identifies one feed for as long as the shard lives: a number that is used again gets another serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeedKey {
    /// The feed's number among the shard's feeds.
    pub number: u32,
    /// Counts the feeds that were opened before.
    pub serial: u32,
}

/// What a change of the lists asks the shard to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The author got its first listener here.
    Joined(UserId),
    /// The author lost its last listener here.
    Left(UserId),
    /// From here on the feed hears the author. What the author published since the feed was opened is to be delivered
    /// now.
    Hears {
        /// Which feed.
        feed: FeedKey,
        /// Whom.
        author: UserId,
    },
    /// The feed hears everybody in its list.
    Complete(FeedKey),
}

struct Feed {
    key: FeedKey,
    phase: Phase,
}

enum Phase {
    /// The list of authors is being read or worked off.
    Loading(Box<Loading>),
    /// The numbers of the feed's authors.
    Complete(Packed),
    /// Nobody listens any more, but authors still have the feed in their lists.
    Closing,
}

#[derive(Default)]
struct Loading {
    /// The numbers of the authors that have the feed in their lists, in no order.
    authors: Vec<u32>,
    /// Users whom the feed's user began or ceased to hear since the feed was opened: what the list says about them is
    /// old.
    decided: Vec<UserId>,
    /// A newer list that came meanwhile. It replaces the first list when that is worked off.
    replacement: Option<Vec<UserId>>,
}

struct Author {
    user: UserId,
    /// The numbers of the feeds that hear the author, ascending.
    feeds: Vec<u32>,
}

enum Work {
    Subscribe {
        feed: FeedKey,
        authors: Vec<UserId>,
        /// Dropped when the list is worked off or not needed.
        _permit: Box<dyn Send>,
    },
    Unsubscribe {
        feed: u32,
        authors: Vec<u32>,
    },
}

/// All feeds of a shard.
#[derive(Default)]
pub struct Feeds {
    by_user: HashMap<UserId, u32>,
    feeds: Slab<Feed>,
    /// Each feed's slot in the registry, where its sessions are; [`NOWHERE`] while it is closing.
    slots: Vec<u32>,
    by_author: HashMap<UserId, u32>,
    authors: Slab<Author>,
    work: VecDeque<Work>,
    next_serial: u32,
    entries: usize,
}

impl fmt::Debug for Feeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feeds({} feeds, {} authors, {} entries)", self.feeds.len(), self.authors.len(), self.entries)
    }
}

impl Feeds {
    /// Opens a feed when a user's first socket comes. `slot` is the registry's slot of the user's feed. The feed hears
    /// its own user at once, and the other authors when [`Self::load`] was called and [`Self::work`] has worked the
    /// list off.
    pub fn open(&mut self, user: UserId, slot: u32, step: &mut impl FnMut(Step)) -> FeedKey {
        self.next_serial = self.next_serial.wrapping_add(1);
        let entry = self.feeds.vacant_entry();
        let key = FeedKey { number: narrow(entry.key()), serial: self.next_serial };
        entry.insert(Feed { key, phase: Phase::Loading(Box::default()) });
        if self.slots.len() <= key.number as usize {
            self.slots.resize(key.number as usize + 1, NOWHERE);
        }
        self.slots[key.number as usize] = slot;
        self.by_user.insert(user, key.number);
        if let Some(author) = self.subscribe(key.number, user, step) {
            self.keep(key.number, author);
        }
        key
    }

    /// Closes a feed when a user's last socket goes. Returns the feed's key if it was still loading.
    pub fn close(&mut self, user: UserId) -> Option<FeedKey> {
        let number = self.by_user.remove(&user)?;
        self.slots[number as usize] = NOWHERE;
        let feed = &mut self.feeds[number as usize];
        let (authors, was_loading) = match std::mem::replace(&mut feed.phase, Phase::Closing) {
            Phase::Loading(loading) => (loading.authors, true),
            Phase::Complete(packed) => (packed.numbers().collect(), false),
            Phase::Closing => (Vec::new(), false),
        };
        let key = feed.key;
        self.work.push_back(Work::Unsubscribe { feed: number, authors });
        was_loading.then_some(key)
    }

    /// Gives a feed the list of authors that its user hears, which was read after the feed was opened. `permit` is
    /// dropped when the list is worked off.
    pub fn load(&mut self, feed: FeedKey, authors: Vec<UserId>, permit: Box<dyn Send>) {
        if self.is_loading(feed) {
            self.work.push_back(Work::Subscribe { feed, authors, _permit: permit });
        }
    }

    /// True while the feed waits for its list or the list is being worked off.
    pub fn is_loading(&self, feed: FeedKey) -> bool {
        self.feeds
            .get(feed.number as usize)
            .is_some_and(|known| known.key == feed && matches!(known.phase, Phase::Loading(_)))
    }

    /// Notes that the user hears the other user from now on, or no longer. Does nothing if the user has no feed here.
    ///
    /// If the feed is loading, [`Step::Hears`] is told in both cases: a user who is not heard any more was heard
    /// before, so what that user published until now is still to be delivered. It is told only the first time for each
    /// user: later publications are delivered as they come, if the other user is heard.
    pub fn relate(&mut self, user: UserId, other: UserId, hears: bool, step: &mut impl FnMut(Step)) {
        let Some(&number) = self.by_user.get(&user).filter(|_| user != other) else { return };
        let key = self.feeds[number as usize].key;
        let is_heard = self.has(number, other);
        if let Phase::Loading(loading) = &mut self.feeds[number as usize].phase
            && let Some(replacement) = &mut loading.replacement
        {
            // The newer list was read before this change.
            replacement.retain(|known| *known != other);
            replacement.extend(hears.then_some(other));
        }
        if let Phase::Loading(loading) = &mut self.feeds[number as usize].phase
            && !loading.decided.contains(&other)
        {
            loading.decided.push(other);
            if !is_heard {
                step(Step::Hears { feed: key, author: other });
            }
        }
        if hears {
            if let Some(author) = self.subscribe(number, other, step) {
                self.keep(number, author);
            }
        } else if let Some(author) = self.by_author.get(&other).copied()
            && self.unsubscribe(number, author, step)
        {
            match &mut self.feeds[number as usize].phase {
                Phase::Loading(loading) => loading.authors.retain(|known| *known != author),
                Phase::Complete(packed) => {
                    *packed = Packed::of(packed.numbers().filter(|known| *known != author).collect());
                }
                Phase::Closing => {}
            }
        }
    }

    /// Replaces the list of authors that a user hears by one that was read anew because other programs changed it.
    /// Authors that are missing in the new list are heard no more. For a list of thousands this takes about a
    /// millisecond; it happens only after the user's follows or friendships have changed.
    pub fn replace(&mut self, user: UserId, authors: Vec<UserId>, step: &mut impl FnMut(Step)) {
        let Some(&number) = self.by_user.get(&user) else { return };
        let current: Vec<u32> = match &mut self.feeds[number as usize].phase {
            Phase::Loading(loading) => {
                loading.replacement = Some(authors);
                return;
            }
            Phase::Complete(packed) => packed.numbers().collect(),
            Phase::Closing => return,
        };
        let mut wanted: HashSet<UserId> = authors.into_iter().chain([user]).collect();
        let mut kept = Vec::with_capacity(wanted.len());
        for author in current {
            if wanted.remove(&self.authors[author as usize].user) {
                kept.push(author);
            } else {
                self.unsubscribe(number, author, step);
            }
        }
        kept.extend(wanted.into_iter().filter_map(|author| self.subscribe(number, author, step)));
        self.feeds[number as usize].phase = Phase::Complete(Packed::of(kept));
    }

    /// Works off long lists until `budget` entries are done. True if there is more to do.
    pub fn work(&mut self, budget: usize, step: &mut impl FnMut(Step)) -> bool {
        let mut left = budget;
        while left > 0
            && let Some(mut work) = self.work.pop_front()
        {
            let is_done = match &mut work {
                Work::Subscribe { feed, authors, .. } => self.subscribe_some(*feed, authors, &mut left, step),
                Work::Unsubscribe { feed, authors } => self.unsubscribe_some(*feed, authors, &mut left, step),
            };
            if !is_done {
                self.work.push_front(work);
            }
        }
        !self.work.is_empty()
    }

    /// The registry's slots of the feeds that hear an author.
    pub fn slots_of(&self, author: UserId) -> impl Iterator<Item = u32> {
        let feeds = self.by_author.get(&author).map(|number| self.authors[*number as usize].feeds.as_slice());
        let slots = feeds.unwrap_or_default().iter().map(|feed| self.slots[*feed as usize]);
        slots.filter(|slot| *slot != NOWHERE)
    }

    /// The registry's slot of a feed that is open.
    pub fn slot_of(&self, feed: FeedKey) -> Option<u32> {
        let known = self.feeds.get(feed.number as usize).filter(|known| known.key == feed)?;
        Some(self.slots[known.key.number as usize]).filter(|slot| *slot != NOWHERE)
    }

    /// The authors in a bounded number of slots, and the slot to go on from; `None` if these were the last.
    pub fn some_authors(&self, from: u32, slots: u32) -> (impl Iterator<Item = UserId>, Option<u32>) {
        let end = from.saturating_add(slots);
        let users = (from..end).filter_map(|slot| self.authors.get(slot as usize)).map(|author| author.user);
        (users, Some(end).filter(|end| (*end as usize) < self.authors.capacity()))
    }

    /// How many feeds are open.
    pub fn len(&self) -> usize {
        self.by_user.len()
    }

    /// True if no feed is open.
    pub fn is_empty(&self) -> bool {
        self.by_user.is_empty()
    }

    /// True if some list is still to be worked off.
    #[cfg(test)]
    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// How many places feeds have in authors' lists.
    pub fn entries(&self) -> usize {
        self.entries
    }

    fn subscribe_some(
        &mut self,
        feed: FeedKey,
        authors: &mut Vec<UserId>,
        left: &mut usize,
        step: &mut impl FnMut(Step),
    ) -> bool {
        while let Some(author) = authors.pop() {
            // The feed was closed meanwhile. The work that removes its entries stands behind this one.
            let Some(Feed { phase: Phase::Loading(loading), .. }) =
                self.feeds.get(feed.number as usize).filter(|known| known.key == feed)
            else {
                return true;
            };
            if !loading.decided.contains(&author)
                && let Some(number) = self.subscribe(feed.number, author, step)
            {
                self.keep(feed.number, number);
                step(Step::Hears { feed, author });
            }
            *left -= 1;
            if *left == 0 && !authors.is_empty() {
                return false;
            }
        }
        if self.is_loading(feed) {
            let known = &mut self.feeds[feed.number as usize];
            let mut replacement = None;
            if let Phase::Loading(loading) = &mut known.phase {
                replacement = loading.replacement.take();
                known.phase = Phase::Complete(Packed::of(std::mem::take(&mut loading.authors)));
            }
            let user = replacement.as_ref().and_then(|_| self.user_of(feed.number));
            if let (Some(authors), Some(user)) = (replacement, user) {
                self.replace(user, authors, step);
            }
            step(Step::Complete(feed));
        }
        true
    }

    fn unsubscribe_some(
        &mut self,
        feed: u32,
        authors: &mut Vec<u32>,
        left: &mut usize,
        step: &mut impl FnMut(Step),
    ) -> bool {
        while let Some(author) = authors.pop() {
            self.unsubscribe(feed, author, step);
            *left -= 1;
            if *left == 0 {
                return false;
            }
        }
        self.feeds.remove(feed as usize);
        if self.by_author.capacity() > 4 * self.by_author.len() + 4096 {
            self.by_author.shrink_to(2 * self.by_author.len());
        }
        true
    }

    /// Puts a feed into an author's list. Returns the author's number, or `None` if the feed was in the list.
    fn subscribe(&mut self, feed: u32, author: UserId, step: &mut impl FnMut(Step)) -> Option<u32> {
        let authors = &mut self.authors;
        let number = *self.by_author.entry(author).or_insert_with(|| {
            step(Step::Joined(author));
            narrow(authors.insert(Author { user: author, feeds: Vec::new() }))
        });
        let feeds = &mut self.authors[number as usize].feeds;
        let place = feeds.binary_search(&feed).err()?;
        if feeds.len() == feeds.capacity() {
            // The list grows by an eighth only: these lists are most of what feeds cost.
            feeds.reserve_exact((feeds.len() / 8).max(4));
        }
        feeds.insert(place, feed);
        self.entries += 1;
        Some(number)
    }

    /// Takes a feed out of an author's list. False if it was not in it.
    fn unsubscribe(&mut self, feed: u32, author: u32, step: &mut impl FnMut(Step)) -> bool {
        let feeds = &mut self.authors[author as usize].feeds;
        let Ok(place) = feeds.binary_search(&feed) else { return false };
        feeds.remove(place);
        self.entries -= 1;
        if feeds.is_empty() {
            let user = self.authors.remove(author as usize).user;
            self.by_author.remove(&user);
            step(Step::Left(user));
        } else if feeds.capacity() > 2 * feeds.len() + 8 {
            feeds.shrink_to(feeds.len() + feeds.len() / 8);
        }
        true
    }

    /// Notes an author in the feed's own list.
    fn keep(&mut self, feed: u32, author: u32) {
        match &mut self.feeds[feed as usize].phase {
            Phase::Loading(loading) => loading.authors.push(author),
            Phase::Complete(packed) => *packed = Packed::of(packed.numbers().chain([author]).collect()),
            Phase::Closing => {}
        }
    }

    /// Finds a feed's user by looking through all open feeds: this is seldom needed.
    fn user_of(&self, feed: u32) -> Option<UserId> {
        self.by_user.iter().find(|(_, number)| **number == feed).map(|(user, _)| *user)
    }

    fn has(&self, feed: u32, author: UserId) -> bool {
        let number = self.by_author.get(&author);
        number.is_some_and(|number| self.authors[*number as usize].feeds.binary_search(&feed).is_ok())
    }
}

/// Ascending numbers, stored as their differences with seven bits in a byte: of thousands out of a million, each takes
/// one or two bytes.
struct Packed(Box<[u8]>);

impl Packed {
    fn of(mut numbers: Vec<u32>) -> Self {
        numbers.sort_unstable();
        let mut bytes = Vec::with_capacity(numbers.len() * 2);
        let mut last = 0;
        for number in numbers {
            let mut difference = number - last;
            last = number;
            while difference >= 0x80 {
                bytes.push(0x80 | low_bits(difference));
                difference >>= 7;
            }
            bytes.push(low_bits(difference));
        }
        Self(bytes.into_boxed_slice())
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        let (mut bytes, mut last) = (self.0.iter(), 0);
        std::iter::from_fn(move || {
            let (mut difference, mut shift) = (0, 0);
            loop {
                let byte = *bytes.next()?;
                difference |= u32::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    last += difference;
                    return Some(last);
                }
                shift += 7;
            }
        })
    }
}

fn low_bits(number: u32) -> u8 {
    (number & 0x7f) as u8
}

/// A shard has far fewer than 2^32 feeds and authors: each is a row of one database, and a feed has a socket here.
#[expect(clippy::cast_possible_truncation, reason = "bounded by memory, checked in debug builds")]
fn narrow(index: usize) -> u32 {
    debug_assert!(u32::try_from(index).is_ok());
    index as u32
}

#[cfg(test)]
mod tests;
