//! Many lanes at once: listeners hear each topic in its sequence, and those who handed events over go on in time.

use std::collections::HashMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::clock::Timestamp;
use crate::domain::event::{Cursor, Event};
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::engine::shard::port::Directory;
use crate::ids::{EventId, NotificationId, ShardId, UserId};

const LANES: u64 = 4;
const BATCHES: usize = 300;

struct Stage {
    fanout: Arc<Fanout>,
    inbox: Arc<Inbox>,
    users: Vec<UserId>,
    threads: Vec<JoinHandle<()>>,
}

fn stage(publishers: usize) -> Stage {
    let (routes, inbox) = (Arc::new(Routes::default()), Arc::new(Inbox::default()));
    let users: Vec<UserId> = (0..6).map(|_| UserId::fresh()).collect();
    for user in &users {
        routes.join(Topic::Notifications(*user), ShardId(0));
    }
    let presenter = Arc::new(Presenter::new("http://localhost", true));
    let inboxes = Arc::from([Arc::clone(&inbox)]);
    let fanout = Arc::new(Fanout::new(routes, inboxes, presenter, PostUpdates::Coalesced, publishers));
    let threads = fanout.start(Box::new(|_, _, _| ())).unwrap();
    Stage { fanout, inbox, users, threads }
}

/// An event whose frame carries its number.
fn event(user: UserId, seq: u64) -> Arc<Committed> {
    let change = NotificationChange::Gone { notifications: vec![NotificationId::fresh()], unread_count: seq };
    Arc::new(Committed {
        topic: Topic::Notifications(user),
        cursor: Cursor { epoch: 1, seq },
        event_id: EventId::fresh(),
        at: Timestamp(0),
        previous: None,
        origin: None,
        event: Event::Feed(FeedEvent::Notification { user, change }),
    })
}

/// The numbers that a message of an inbox carries.
fn numbers(message: ToShard) -> (Topic, Vec<u64>) {
    let ToShard::Publish(publication) = message else { panic!("{message:?}") };
    let text = String::from_utf8_lossy(publication.frames.usual()).into_owned();
    let digits = |rest: &str| rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap();
    (publication.topic, text.split("\"unread_count\":").skip(1).map(digits).collect())
}

/// The last number of each user's topic. A lane that writes a number holds its lock until the COMMIT.
type Database = Vec<Mutex<u64>>;

/// Writes a lane's batches: some of them fail, and it takes a while until a committed batch is told.
fn write(stage: &Stage, database: &Database, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let (over, turn) = sync_channel(1);
    over.send(()).unwrap();
    for _ in 0..BATCHES {
        // All lanes lock in one order.
        let all: Vec<usize> = (0..database.len()).collect();
        let mut topics: Vec<usize> = all.choose_multiple(&mut random, 3).copied().collect();
        topics.sort_unstable();
        let mut rows: Vec<_> = topics.iter().map(|topic| lock(&database[*topic])).collect();
        let mut last: Vec<u64> = rows.iter().map(|row| **row).collect();
        let mut events = Vec::new();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..topics.len());
            last[at] += 1;
            events.push(event(stage.users[topics[at]], last[at]));
        }
        stage.fanout.place(&events);
        let is_committed = random.random_bool(0.8);
        if is_committed {
            rows.iter_mut().zip(last).for_each(|(row, last)| **row = last);
        }
        drop(rows);
        (0..random.random_range(0..40)).for_each(|_| std::thread::yield_now());
        if is_committed {
            turn.recv().unwrap();
            let over = over.clone();
            stage.fanout.tell(events, Told::new(move || over.send(()).unwrap()));
        } else {
            stage.fanout.give_back(&events);
        }
    }
    turn.recv().unwrap();
}

/// Takes messages until the lanes are done and nothing is left; returns the numbers of each topic in the order in which
/// they came.
fn hear(stage: &Stage, is_done: &AtomicBool) -> HashMap<Topic, Vec<u64>> {
    let mut heard: HashMap<Topic, Vec<u64>> = HashMap::new();
    loop {
        let was_done = is_done.load(Ordering::Acquire);
        while let Some(message) = stage.inbox.pop() {
            let (topic, numbers) = numbers(message);
            heard.entry(topic).or_default().extend(numbers);
        }
        if was_done {
            return heard;
        }
        std::thread::yield_now();
    }
}

#[test]
fn whatever_the_lanes_do_each_topic_is_told_in_its_sequence() {
    for (publishers, seed) in [(1, 1), (2, 100), (4, 200), (4, 300)] {
        let stage = stage(publishers);
        let database: Database = stage.users.iter().map(|_| Mutex::new(0)).collect();
        let is_done = AtomicBool::new(false);
        let (stage_of_all, database_of_all) = (&stage, &database);
        let heard = std::thread::scope(|scope| {
            let hearing = scope.spawn(|| hear(&stage, &is_done));
            std::thread::scope(|lanes| {
                for lane in 0..LANES {
                    lanes.spawn(move || write(stage_of_all, database_of_all, seed + lane));
                }
            });
            is_done.store(true, Ordering::Release);
            hearing.join().unwrap()
        });
        for (user, last) in stage.users.iter().zip(&database) {
            let (heard, last) = (&heard[&Topic::Notifications(*user)], *lock(last));
            assert!(last > 100, "enough events to get out of order");
            assert_eq!(*heard, (1..=last).collect::<Vec<_>>(), "{publishers} publishers, seed {seed}");
        }
        let is_clean = stage.fanout.publishers.iter().all(|publisher| lock(&publisher.places).is_empty());
        assert!(is_clean, "no place is left behind");
        stage.fanout.stop(stage.threads);
    }
}

#[test]
fn the_shards_have_an_event_before_those_who_wait_for_it_go_on() {
    let stage = stage(3);
    let events: Vec<_> = stage.users.iter().map(|user| event(*user, 7)).collect();
    let (over, is_over) = sync_channel(1);
    let inbox = Arc::clone(&stage.inbox);
    stage.fanout.tell(events, Told::new(move || over.send(inbox.len()).unwrap()));
    assert_eq!(is_over.recv(), Ok(stage.users.len()), "all parts of the batch, whichever publisher tells them");
    stage.fanout.publish(&[event(stage.users[0], 8)]);
    assert_eq!(stage.inbox.len(), stage.users.len() + 1);
    stage.fanout.stop(stage.threads);
}

#[test]
fn what_was_handed_over_is_told_before_the_end_and_later_nobody_waits_in_vain() {
    let stage = stage(2);
    let (over, is_over) = sync_channel(100);
    let tell = |seq| {
        let over = over.clone();
        stage.fanout.tell(vec![event(stage.users[0], seq)], Told::new(move || over.send(seq).unwrap()));
    };
    (1..=50).for_each(tell);
    stage.fanout.quiet();
    let Stage { fanout, inbox, users, threads } = stage;
    fanout.stop(threads);
    let mut heard = Vec::new();
    while let Some(message) = inbox.pop() {
        heard.extend(numbers(message).1);
    }
    assert_eq!(heard, (1..=50).collect::<Vec<_>>());
    assert_eq!(is_over.try_iter().collect::<Vec<_>>(), heard);
    fanout.publish(&[event(users[0], 51)]);
    assert!(fanout.tell_looked(PostId::fresh(), 1, Vec::new()), "nobody is to look again");
    assert!(inbox.is_empty());
}

/// A publisher whose shard takes nothing in holds up its own topics, and no others.
#[test]
fn a_full_inbox_holds_up_the_topics_of_one_publisher_alone() {
    let (routes, inboxes) = (Arc::new(Routes::default()), [Arc::new(Inbox::default()), Arc::new(Inbox::default())]);
    let presenter = Arc::new(Presenter::new("http://localhost", true));
    let fanout = Fanout::new(Arc::clone(&routes), Arc::from(inboxes.clone()), presenter, PostUpdates::Coalesced, 2);
    let of = |number| {
        let is_its = |user: &UserId| fanout.number(Topic::Notifications(*user)) == number;
        std::iter::repeat_with(UserId::fresh).find(is_its).unwrap()
    };
    let [stuck, free] = [of(0), of(1)];
    routes.join(Topic::Notifications(stuck), ShardId(0));
    routes.join(Topic::Notifications(free), ShardId(1));
    let nobody = SessionKey { shard: ShardId(0), index: 0, generation: 0 };
    while inboxes[0].try_send(ToShard::LetGo(nobody, reason::REMOVED)).is_ok() {}
    let threads = fanout.start(Box::new(|_, _, _| ())).unwrap();
    let (over, is_over) = sync_channel(1);
    fanout.tell(vec![event(stuck, 1)], Told::new(move || over.send(()).unwrap()));
    fanout.publish(&[event(free, 1)]);
    assert!(is_over.try_recv().is_err(), "the one waits");
    assert_eq!(inboxes[1].pop().map(numbers), Some((Topic::Notifications(free), vec![1])), "and the other does not");
    inboxes[0].pop();
    assert!(is_over.recv_timeout(Duration::from_secs(60)).is_ok());
    fanout.stop(threads);
}
