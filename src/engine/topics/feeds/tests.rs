//! Compares feeds with a shadow that keeps plain sets.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn user(number: u128) -> UserId {
    UserId(uuid::Uuid::from_u128(number))
}

/// Works off everything; returns the steps.
fn finish(feeds: &mut Feeds) -> Vec<Step> {
    let mut steps = Vec::new();
    while feeds.work(3, &mut |step| steps.push(step)) {}
    steps
}

fn rooms(feeds: &Feeds, author: u128) -> Vec<u32> {
    let mut rooms: Vec<u32> = feeds.slots_of(user(author)).collect();
    rooms.sort_unstable();
    rooms
}

fn nothing() -> Box<dyn Send> {
    Box::new(())
}

#[test]
fn a_feed_hears_its_own_user_at_once_and_the_others_when_their_list_is_there() {
    let (mut feeds, mut steps) = (Feeds::default(), Vec::new());
    let key = feeds.open(user(1), 7, &mut |step| steps.push(step));
    assert_eq!(steps, [Step::Joined(user(1))]);
    assert_eq!(rooms(&feeds, 1), [7]);
    assert!(feeds.is_loading(key));
    // The list names somebody twice, and the user itself.
    feeds.load(key, vec![user(2), user(1), user(3), user(2)], nothing());
    let steps = finish(&mut feeds);
    assert!(steps.contains(&Step::Hears { feed: key, author: user(3) }));
    assert_eq!(steps.iter().filter(|step| matches!(step, Step::Hears { .. })).count(), 2);
    assert_eq!(steps.last(), Some(&Step::Complete(key)));
    assert_eq!((rooms(&feeds, 2), rooms(&feeds, 3), feeds.entries()), (vec![7], vec![7], 3));
    assert_eq!(feeds.close(user(1)), None);
    assert_eq!(rooms(&feeds, 2), [0; 0], "nobody listens, though the lists are not cleared yet");
    let mut left = finish(&mut feeds);
    left.sort_by_key(|step| format!("{step:?}"));
    assert_eq!(left, [Step::Left(user(1)), Step::Left(user(2)), Step::Left(user(3))]);
    assert_eq!((feeds.entries(), feeds.authors.len(), feeds.feeds.len()), (0, 0, 0));
}

#[test]
fn a_list_that_is_read_anew_replaces_the_old_one() {
    let (mut feeds, mut steps) = (Feeds::default(), Vec::new());
    let key = feeds.open(user(1), 7, &mut |_| {});
    feeds.load(key, vec![user(2), user(3)], nothing());
    finish(&mut feeds);
    feeds.replace(user(1), vec![user(3), user(4), user(4)], &mut |step| steps.push(step));
    assert_eq!(steps, [Step::Left(user(2)), Step::Joined(user(4))]);
    let heard = |feeds: &Feeds| [1, 2, 3, 4].map(|author| rooms(feeds, author).len());
    assert_eq!((heard(&feeds), feeds.entries()), ([1, 0, 1, 1], 3), "a feed always hears its own user");
    feeds.replace(user(1), Vec::new(), &mut |_| {});
    assert_eq!((heard(&feeds), feeds.entries()), ([1, 0, 0, 0], 1));
    feeds.replace(user(9), vec![user(2)], &mut |_| panic!("there is no such feed"));

    // While the first list is worked off, the newer one waits for its end.
    let key = feeds.open(user(5), 8, &mut |_| {});
    feeds.replace(user(5), vec![user(4)], &mut |_| panic!("not yet"));
    feeds.load(key, vec![user(2), user(3)], nothing());
    assert_eq!(finish(&mut feeds).last(), Some(&Step::Complete(key)));
    assert_eq!((heard(&feeds), rooms(&feeds, 5)), ([1, 0, 0, 1], vec![8]));
    feeds.close(user(1));
    feeds.close(user(5));
    finish(&mut feeds);
    assert_eq!((feeds.entries(), feeds.authors.len(), feeds.feeds.len()), (0, 0, 0));
}

#[test]
fn what_changes_while_a_feed_loads_is_newer_than_its_list() {
    let mut feeds = Feeds::default();
    let key = feeds.open(user(1), 0, &mut |_| {});
    let mut steps = Vec::new();
    feeds.relate(user(1), user(2), false, &mut |step| steps.push(step));
    assert_eq!(steps, [Step::Hears { feed: key, author: user(2) }], "what came before is still to be delivered");
    feeds.relate(user(1), user(3), true, &mut |_| {});
    assert_eq!(rooms(&feeds, 3), [0], "no list is awaited");
    feeds.load(key, vec![user(2), user(4)], nothing());
    finish(&mut feeds);
    assert_eq!((rooms(&feeds, 2), rooms(&feeds, 3), rooms(&feeds, 4)), (vec![], vec![0], vec![0]));
    feeds.relate(user(1), user(3), false, &mut |_| {});
    feeds.relate(user(1), user(2), true, &mut |_| {});
    assert_eq!((rooms(&feeds, 2), rooms(&feeds, 3)), (vec![0], vec![]));
    feeds.close(user(1));
    finish(&mut feeds);
    assert_eq!(feeds.entries(), 0);
}

/// A newer list that waits for the end of the first one does not contain what changed since it was read.
#[test]
fn what_changes_behind_a_waiting_list_is_newer_than_it() {
    let mut feeds = Feeds::default();
    let key = feeds.open(user(1), 7, &mut |_| {});
    feeds.replace(user(1), vec![user(2)], &mut |_| {});
    feeds.relate(user(1), user(3), true, &mut |_| {});
    feeds.relate(user(1), user(2), false, &mut |_| {});
    feeds.load(key, vec![user(2)], nothing());
    finish(&mut feeds);
    assert_eq!((rooms(&feeds, 2), rooms(&feeds, 3)), (vec![], vec![7]));
}

#[test]
/// However often somebody follows and unfollows before the list is there, what came until then is delivered once.
fn what_came_before_is_due_once_however_often_somebody_changes_their_mind() {
    for first in [true, false] {
        let (mut feeds, mut due) = (Feeds::default(), 0);
        let key = feeds.open(user(1), 0, &mut |_| {});
        let mut count = |step| due += u32::from(matches!(step, Step::Hears { author, .. } if author == user(2)));
        for hears in [first, !first, first, !first] {
            feeds.relate(user(1), user(2), hears, &mut count);
        }
        feeds.load(key, vec![user(2), user(3)], nothing());
        while feeds.work(3, &mut count) {}
        assert_eq!((due, rooms(&feeds, 2)), (1, if first { vec![] } else { vec![0] }));
    }
    // Half of the list is worked off: what its authors published was delivered then.
    let (mut feeds, mut due) = (Feeds::default(), 0);
    let key = feeds.open(user(1), 0, &mut |_| {});
    feeds.load(key, (2..9).map(user).collect(), nothing());
    let mut count = |step| due += u32::from(matches!(step, Step::Hears { author, .. } if author == user(8)));
    feeds.work(3, &mut count);
    for hears in [false, true, false, true] {
        feeds.relate(user(1), user(8), hears, &mut count);
    }
    while feeds.work(3, &mut count) {}
    assert_eq!((due, rooms(&feeds, 8)), (1, vec![0]));
}

#[test]
fn a_list_that_comes_too_late_is_nobodys() {
    struct Flag(std::sync::Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let mut feeds = Feeds::default();
    let old = feeds.open(user(1), 0, &mut |_| {});
    assert_eq!(feeds.close(user(1)), Some(old));
    let new = feeds.open(user(1), 5, &mut |_| {});
    let returned = std::sync::Arc::default();
    feeds.load(old, vec![user(2)], Box::new(Flag(std::sync::Arc::clone(&returned))));
    assert!(returned.load(std::sync::atomic::Ordering::Relaxed), "its permit was dropped");
    finish(&mut feeds);
    assert_eq!((rooms(&feeds, 1), rooms(&feeds, 2)), (vec![5], vec![]));
    assert!(feeds.is_loading(new) && !feeds.is_loading(old));
    // Closed with half of the list done.
    feeds.load(new, (2..9).map(user).collect(), nothing());
    feeds.work(3, &mut |_| {});
    feeds.close(user(1));
    let steps = finish(&mut feeds);
    assert!(!steps.contains(&Step::Complete(new)));
    assert_eq!((feeds.entries(), feeds.authors.len(), feeds.feeds.len()), (0, 0, 0));
}

#[test]
fn the_authors_whom_feeds_hear_are_listed_some_slots_at_a_time() {
    let mut feeds = Feeds::default();
    let key = feeds.open(user(1), 7, &mut |_| {});
    feeds.load(key, (2..=6).map(user).collect(), nothing());
    finish(&mut feeds);
    let (mut listed, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let (some, then) = feeds.some_authors(from, 2);
        let some: Vec<UserId> = some.collect();
        assert!(some.len() <= 2 && then.is_none_or(|then| then == from + 2));
        listed.extend(some);
        next = then;
    }
    listed.sort_unstable();
    assert_eq!(listed, (1..=6).map(user).collect::<Vec<_>>());
}

#[test]
fn lists_give_their_memory_back_when_feeds_close() {
    let mut feeds = Feeds::default();
    let everybody: Vec<UserId> = (0..20_000).map(user).collect();
    let first = feeds.open(user(50_000), 0, &mut |_| {});
    feeds.load(first, everybody, nothing());
    for number in 0..2000 {
        let key = feeds.open(user(60_000 + number), 1, &mut |_| {});
        feeds.load(key, vec![user(1)], nothing());
    }
    finish(&mut feeds);
    let popular = feeds.by_author[&user(1)] as usize;
    let (authors, readers) = (feeds.by_author.capacity(), feeds.authors[popular].feeds.capacity());
    assert!(authors > 20_000 && readers > 2000);
    for number in 0..2000 {
        feeds.close(user(60_000 + number));
    }
    finish(&mut feeds);
    let readers = feeds.authors[popular].feeds.capacity();
    assert!(readers <= 2 + 8, "{readers} places for one feed");
    feeds.close(user(50_000));
    finish(&mut feeds);
    assert!(feeds.by_author.capacity() <= 4096, "{} places for nobody", feeds.by_author.capacity());
}

#[test]
fn packed_numbers_come_out_as_they_went_in() {
    let numbers = vec![0, 1, 127, 128, 129, 300, 16_384, 2_097_151, 2_097_152, 268_435_456, u32::MAX];
    let mut mixed = numbers.clone();
    mixed.reverse();
    assert_eq!(Packed::of(mixed).numbers().collect::<Vec<_>>(), numbers);
    assert_eq!(Packed::of(Vec::new()).numbers().count(), 0);
    let neighbours = Packed::of((0..5000).map(|number| number * 100).collect());
    assert_eq!(neighbours.0.len(), 5000, "a byte each");
}

/// At most eight bytes for each author that a feed hears, and one kilobyte for the feed; the authors themselves come on
/// top.
#[test]
fn what_a_feed_costs() {
    let (people, each) = (400_u32, 2500);
    let mut feeds = Feeds::default();
    for person in 0..people {
        let key = feeds.open(user(u128::from(person)), person, &mut |_| {});
        let mut random = StdRng::seed_from_u64(u64::from(person));
        feeds.load(key, (0..each).map(|_| user(random.random_range(0..10_000))).collect(), nothing());
        finish(&mut feeds);
    }
    let lists: usize = feeds.authors.iter().map(|(_, author)| author.feeds.capacity() * size_of::<u32>()).sum();
    let own = feeds.feeds.iter().map(|(_, feed)| match &feed.phase {
        Phase::Complete(packed) => packed.0.len() + size_of::<Feed>(),
        _ => panic!("not complete"),
    });
    let bytes = lists + own.sum::<usize>();
    assert!(bytes <= 8 * feeds.entries() + 1024 * people as usize, "{bytes} bytes for {} entries", feeds.entries());
    assert!(size_of::<Author>() <= 40 && size_of::<Feed>() <= 40);
}

/// Whatever is opened, closed, followed and unfollowed, in any slices, the lists are what plain sets say, and the shard
/// was told of every first and last listener.
#[test]
fn lists_are_what_a_shadow_says() {
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut feeds = Feeds::default();
        let mut shadow: BTreeMap<u128, (FeedKey, u32, BTreeSet<u128>)> = BTreeMap::new();
        let mut joined: BTreeSet<UserId> = BTreeSet::new();
        let mut room = 0;
        for _ in 0..300 {
            let (who, other) = (random.random_range(0..8), random.random_range(0..20));
            let mut step = |step| match step {
                Step::Joined(author) => assert!(joined.insert(author), "joined twice"),
                Step::Left(author) => assert!(joined.remove(&author), "left without having joined"),
                Step::Hears { .. } | Step::Complete(_) => {}
            };
            match random.random_range(0..10) {
                0..2 if !shadow.contains_key(&who) => {
                    room += 1;
                    let key = feeds.open(user(who), room, &mut step);
                    let follows: BTreeSet<u128> = (0..other).map(|_| random.random_range(0..20)).collect();
                    feeds.load(key, follows.iter().copied().map(user).collect(), nothing());
                    shadow.insert(who, (key, room, follows.into_iter().chain([who]).collect()));
                }
                2 => {
                    feeds.close(user(who));
                    shadow.remove(&who);
                }
                3..6 => {
                    let hears = random.random_bool(0.5);
                    feeds.relate(user(who), user(other), hears, &mut step);
                    if let Some((.., follows)) = shadow.get_mut(&who).filter(|_| who != other) {
                        if hears {
                            follows.insert(other)
                        } else {
                            follows.remove(&other)
                        };
                    }
                }
                _ => drop(feeds.work(random.random_range(1..6), &mut step)),
            }
        }
        while feeds.work(4, &mut |step| match step {
            Step::Joined(author) => assert!(joined.insert(author)),
            Step::Left(author) => assert!(joined.remove(&author)),
            Step::Hears { .. } | Step::Complete(_) => {}
        }) {}
        for author in 0..20 {
            let hear = shadow.values().filter(|(.., follows)| follows.contains(&author));
            let expected: BTreeSet<u32> = hear.map(|(_, room, _)| *room).collect();
            let found: BTreeSet<u32> = feeds.slots_of(user(author)).collect();
            assert_eq!(found, expected, "seed {seed}, author {author}");
            assert_eq!(joined.contains(&user(author)), !expected.is_empty(), "seed {seed}, author {author}");
        }
        assert_eq!(feeds.len(), shadow.len());
        assert_eq!(feeds.entries(), shadow.values().map(|(.., follows)| follows.len()).sum::<usize>());
    }
}
