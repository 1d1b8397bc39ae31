//! Bounded caches of values that are read all the time: accounts, participants, room sizes, profiles.
//!
//! Our own writes remove the values they change. Changes by other programs show after at most
//! [`limits::ADMISSION_CACHE_SECONDS`].

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::event::{Committed, Event};
use crate::domain::feed::event::{FeedEvent, PostChange, PostEvent};
use crate::domain::feed::post::PostHead;
use crate::domain::login::{Bearer, Ended, LoginEnd};
use crate::domain::people::Relation;
use crate::domain::rights::Withdrawals;
use crate::domain::user::{Account, Admission, Membership, UserProfile};
use crate::ids::{FamilyId, PostId, RoomId, Topic, UserId};
use crate::limits;

/// A value with the time at which it was read.
#[derive(Debug, Clone)]
struct Aged<T> {
    value: T,
    at: Timestamp,
}

/// A cache of one kind of value.
#[derive(Debug)]
pub struct Remembered<K, T> {
    cache: Cache<K, Aged<T>>,
    /// Grows with each removal, so that a reader which a write overtook cannot put the old value back: not even for a moment,
    /// in which somebody who lost a right would be let in after everybody was evicted. Locked by those who change something.
    generation: Mutex<u64>,
}

/// The cache's generation before a value was read from the database.
#[derive(Debug, Clone, Copy)]
pub struct Before(u64);

impl<K: Hash + Eq + Copy, T: Clone> Remembered<K, T> {
    fn new() -> Self {
        // Entries are valid for seconds only. So the newest stay, however often older ones were used, and the cache does not
        // remember the keys that it dropped.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(limits::REMEMBERED_ENTRIES)
            .weight_capacity(limits::REMEMBERED_ENTRIES as u64)
            .hot_allocation(0.1)
            .ghost_allocation(0.0)
            .build()
            .expect("both capacities are set");
        let cache =
            Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self { cache, generation: Mutex::new(0) }
    }

    /// A value that was read less than `limits::ADMISSION_CACHE_SECONDS` before `now`. A value from the far future is
    /// too old, too: the clock was set back, and its age is unknown.
    pub fn get(&self, key: &K, now: Timestamp) -> Option<T> {
        let aged = self.cache.get(key)?;
        let age = now.0.abs_diff(aged.at.0);
        (age < limits::ADMISSION_CACHE_SECONDS.unsigned_abs() * 1_000_000).then_some(aged.value)
    }

    /// Must be called before the database is asked.
    pub fn before(&self) -> Before {
        Before(*self.generation())
    }

    /// Caches a value, unless something was removed since [`Self::before`].
    pub fn put(&self, before: Before, key: K, value: T, now: Timestamp) {
        let generation = self.generation();
        if *generation == before.0 {
            self.cache.insert(key, Aged { value, at: now });
        }
    }

    /// Removes a value that a committed write changed.
    pub fn forget(&self, key: &K) {
        let mut generation = self.generation();
        *generation += 1;
        self.cache.remove(key);
    }

    fn generation(&self) -> MutexGuard<'_, u64> {
        self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reactions that users recently took back, and whether the post's author had read the notification.
#[derive(Debug)]
pub struct TakenBack(Cache<(PostId, UserId), Aged<bool>>);

impl TakenBack {
    /// Notes that a reaction was taken back.
    pub fn note(&self, key: (PostId, UserId), is_read: bool, now: Timestamp) {
        self.0.insert(key, Aged { value: is_read, at: now });
    }

    /// Whether the notification had been read, if a reaction was taken back within [`limits::NOTICE_WINDOW`].
    pub fn recall(&self, key: &(PostId, UserId), now: Timestamp) -> Option<bool> {
        let window = i64::try_from(limits::NOTICE_WINDOW.as_secs()).unwrap_or(i64::MAX);
        let aged = self.0.get(key)?;
        (aged.at <= now && aged.at.plus_seconds(window) > now).then_some(aged.value)
    }
}

/// What is read of a user for each token of theirs.
#[derive(Debug, Clone)]
pub struct KnownUser {
    /// `None` if there is no such user.
    pub account: Option<Arc<Account>>,
    /// The last password change that ended logins.
    pub changed: Option<Box<LoginEnd>>,
}

impl KnownUser {
    /// The bearer of a token of this login, which ended on its own or not.
    pub fn bearer(self, family: FamilyId, is_ended: bool) -> Bearer {
        let is_over = is_ended || self.changed.is_some_and(|changed| changed.ends(family));
        Bearer { account: self.account, is_over }
    }
}

/// All caches of a store.
#[derive(Debug)]
pub struct Caches {
    /// Users, as tokens name them.
    pub users: Remembered<UserId, KnownUser>,
    /// What the user is in the room.
    pub participants: Remembered<(RoomId, UserId), Membership>,
    /// Whether this login of the user ended on its own.
    pub ended_logins: Remembered<(UserId, FamilyId), bool>,
    /// Participant rows by room.
    pub room_sizes: Remembered<RoomId, u32>,
    /// Profiles by user.
    pub profiles: Remembered<UserId, Arc<UserProfile>>,
    /// The rights of posts; `None` if there is no such post.
    pub post_heads: Remembered<PostId, Option<PostHead>>,
    /// Reactions whose notification is not repeated at once.
    pub taken_back: TakenBack,
    /// What was taken from whom: counted where it is forgotten here.
    pub withdrawals: Withdrawals,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            users: Remembered::new(),
            participants: Remembered::new(),
            ended_logins: Remembered::new(),
            room_sizes: Remembered::new(),
            profiles: Remembered::new(),
            post_heads: Remembered::new(),
            taken_back: TakenBack(Cache::new(limits::CACHE_ENTRIES)),
            withdrawals: Withdrawals::default(),
        }
    }
}

impl Caches {
    /// The whole admission, if both its parts are cached. Takes two short locks and does no I/O.
    pub fn admission(&self, room: RoomId, user: UserId, now: Timestamp) -> Option<Admission> {
        let membership = self.participants.get(&(room, user), now)?;
        let participants = self.room_sizes.get(&room, now)?;
        Some(Admission { membership, participants })
    }

    /// A participant row was added or removed.
    pub fn forget_participant(&self, room: RoomId, user: UserId) {
        self.participants.forget(&(room, user));
        self.room_sizes.forget(&room);
    }

    /// Some of a user's logins ended.
    pub fn forget_logins(&self, user: UserId, ended: Ended) {
        match ended {
            Ended::Only(family) => self.ended_logins.forget(&(user, family)),
            Ended::AllBut(_) => self.users.forget(&user),
        }
        self.withdrawals.from_user(user);
    }

    /// A user's row or its counts changed.
    pub fn forget_user(&self, user: UserId) {
        self.users.forget(&user);
        self.profiles.forget(&user);
    }

    /// Removes everything that a committed event changed.
    pub fn forget_changed(&self, event: &Committed) {
        match (event.topic, &event.event) {
            (Topic::Room(room), Event::Chat(ChatEvent::Joined { user })) => self.forget_participant(room, *user),
            (Topic::Room(room), Event::Chat(ChatEvent::Left { user })) => {
                self.forget_participant(room, *user);
                self.withdrawals.from_user(*user);
            }
            (_, Event::Chat(_)) => {}
            (_, Event::Feed(event)) => self.forget_feed(event),
        }
    }

    fn forget_post(&self, event: &PostEvent) {
        let (moves_counts, is_lost) = match &event.change {
            PostChange::Created(_) => (true, false),
            PostChange::Deleted => (true, true),
            PostChange::Edited { post, was_public } => (false, *was_public && !post.is_public),
            _ => return,
        };
        self.post_heads.forget(&event.post);
        if moves_counts {
            self.profiles.forget(&event.author);
        }
        if is_lost {
            self.withdrawals.in_topic(Topic::Post(event.post));
        }
    }

    /// Removes profiles whose counts, and posts whose visibility, may have changed.
    fn forget_feed(&self, event: &FeedEvent) {
        match event {
            FeedEvent::Post(event) => self.forget_post(event),
            FeedEvent::Relation(event) => match event.relation {
                Relation::Followed | Relation::Unfollowed => {
                    self.profiles.forget(&event.user);
                    self.profiles.forget(&event.other);
                }
                Relation::Blocked | Relation::Unblocked => {
                    // What is being judged meanwhile knows the block, or is judged again.
                    for user in [event.user, event.other] {
                        self.users.forget(&user);
                        self.withdrawals.from_user(user);
                    }
                }
                Relation::Befriended | Relation::Unfriended | Relation::Requested => {}
            },
            FeedEvent::Notification { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn what_was_read_before_the_clock_was_put_back_is_old() {
        let sizes = Remembered::new();
        let now = Timestamp(10_000_000_000);
        let room = RoomId::fresh();
        sizes.put(sizes.before(), room, 3, now);
        assert_eq!(sizes.get(&room, now.plus_seconds(4)), Some(3));
        assert_eq!(sizes.get(&room, now.plus_seconds(5)), None);
        assert_eq!(sizes.get(&room, now.plus_seconds(-3600)), None);
    }

    /// Whoever asks after a removal must not be answered with what was read before it.
    #[test]
    fn what_a_write_overtook_is_not_seen_after_it() {
        const ROUNDS: u32 = 50_000;
        let (sizes, room, now) = (Remembered::new(), RoomId::fresh(), Timestamp(0));
        let (begun, ended) = (AtomicU32::new(0), AtomicU32::new(0));
        let wait = |what: &AtomicU32, round: u32| {
            while what.load(Ordering::SeqCst) < round {
                std::thread::yield_now();
            }
        };
        let mut seen = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=ROUNDS {
                    let before = sizes.before();
                    begun.store(round, Ordering::SeqCst);
                    sizes.put(before, room, round, now);
                    wait(&ended, round);
                }
            });
            for round in 1..=ROUNDS {
                wait(&begun, round);
                sizes.forget(&room);
                seen += (0..8).filter(|_| sizes.get(&room, now).is_some()).count();
                ended.store(round, Ordering::SeqCst);
            }
        });
        assert_eq!(seen, 0, "old values were seen");
    }
}
