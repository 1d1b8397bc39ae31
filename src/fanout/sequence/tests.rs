//! Events of several nodes in any order, doubled and lost: each is told once and in its turn.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::domain::chat::event::ChatEvent;
use crate::domain::event::Event;
use crate::ids::{EventId, RoomId, UserId};

const BEGAN: Timestamp = Timestamp(1_000_000_000);

fn event(topic: Topic, seq: u64, at: i64, previous: Option<i64>) -> Arc<Committed> {
    Arc::new(Committed {
        topic,
        cursor: Cursor { epoch: 1, seq },
        event_id: EventId::fresh(),
        at: Timestamp(BEGAN.0 + at),
        previous: previous.map(|previous| Timestamp(BEGAN.0 + previous)),
        origin: None,
        event: Event::Chat(ChatEvent::Joined { user: UserId::default() }),
    })
}

/// Events of a topic a millisecond apart.
fn run(topic: Topic, count: u64) -> Vec<Arc<Committed>> {
    let at = |seq: u64| i64::try_from(seq).unwrap() * 1000;
    (1..=count).map(|seq| event(topic, seq, at(seq), (seq > 1).then(|| at(seq - 1)))).collect()
}

fn part(events: &[Arc<Committed>]) -> Part {
    Part::new(events.to_vec(), Arc::new(Told::new(|| ())))
}

fn numbers(parts: &[Part]) -> Vec<u64> {
    parts.iter().flat_map(|part| part.events.iter().map(|event| event.cursor.seq)).collect()
}

struct Bench {
    sequence: Sequence,
    now: Instant,
    told: Vec<Part>,
}

impl Bench {
    fn new() -> Self {
        Self { sequence: Sequence::new(BEGAN), now: Instant::now(), told: Vec::new() }
    }

    /// A look at the log, so many microseconds after the beginning, that finds nothing new.
    fn look(&mut self, until: i64) {
        let reach = Reach { since: BEGAN, until: Timestamp(BEGAN.0 + until) };
        self.sequence.look(&[], reach, self.now, &mut self.told);
    }

    fn come(&mut self, events: &[Arc<Committed>]) {
        self.sequence.come(part(events), self.now, &mut self.told);
    }

    /// Lets time pass, and answers from the log what is asked.
    fn wait(&mut self, time: Duration, log: &[Arc<Committed>]) -> Vec<Missing> {
        self.now += time;
        let asked = self.sequence.take_due(self.now);
        for missing in &asked {
            let wanted = |event: &&Arc<Committed>| {
                let seq = event.cursor.seq;
                event.topic == missing.topic && seq > missing.after && seq < missing.before && event.at >= missing.since
            };
            let found = log.iter().filter(wanted).cloned().collect();
            self.sequence.filled(*missing, Some(found), self.now, &mut self.told);
        }
        asked
    }
}

#[test]
fn what_comes_early_waits_and_what_comes_twice_is_told_once() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let log = run(topic, 5);
    bench.come(&log[..1]);
    bench.come(&log[2..4]);
    assert_eq!(numbers(&bench.told), [1]);
    bench.come(&log[..2]);
    bench.come(&log[1..5]);
    assert_eq!(numbers(&bench.told), [1, 2, 3, 4, 5]);
    assert_eq!((bench.sequence.held(), bench.sequence.next_due()), (0, None));
    let counts = Counts { doubled: 4, holes: 1, ..Counts::default() };
    assert_eq!(bench.sequence.counts[topic.partition()], counts);
}

#[test]
fn what_does_not_come_is_read_from_the_log_and_what_is_not_there_is_given_up() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let log = run(topic, 6);
    bench.come(&log[..1]);
    bench.come(&log[3..4]);
    assert_eq!(bench.wait(HOLD_BACK / 2, &log), []);
    let missing = Missing { topic, epoch: 1, after: 1, before: 4, since: Timestamp(0) };
    assert_eq!(bench.wait(HOLD_BACK, &log), [missing]);
    assert_eq!(numbers(&bench.told), [1, 2, 3, 4]);
    bench.come(&log[5..]);
    assert_eq!(bench.wait(HOLD_BACK, &[]).len(), 1);
    assert_eq!((numbers(&bench.told), bench.sequence.lost()), (vec![1, 2, 3, 4, 6], 1));
}

/// A node whose clock is behind commits, and dies before it tells anybody.
#[test]
fn what_was_committed_after_the_beginning_is_told_whatever_time_it_has() {
    let [known, other] = [(), ()].map(|()| Topic::Room(RoomId::fresh()));
    let mut bench = Bench::new();
    bench.sequence.begin(&[Head { topic: known, cursor: Cursor { epoch: 1, seq: 7 } }], bench.now);
    let log = [event(known, 8, -2000, Some(-9000)), event(known, 9, 500, Some(-2000)), event(other, 1, -1000, None)];
    bench.come(&[Arc::clone(&log[1]), event(other, 2, 600, Some(-1000))]);
    assert_eq!(numbers(&bench.told), [0; 0]);
    bench.wait(HOLD_BACK, &log);
    assert_eq!(numbers(&bench.told), [8, 9, 1, 2]);
    bench.come(&[event(known, 7, -9000, None)]);
    assert_eq!(bench.told.len(), 4, "what was committed before is nobody's news");
}

#[test]
fn listeners_are_told_of_what_is_given_up() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let log = run(topic, 6);
    bench.come(&log[..1]);
    bench.come(&log[4..]);
    bench.wait(HOLD_BACK, &[]);
    let gaps: Vec<_> = bench.told.iter().map(|part| part.gap.map(|(_, cursor)| cursor.seq)).collect();
    assert_eq!((gaps, numbers(&bench.told)), (vec![None, Some(4), None], vec![1, 5, 6]));
}

#[test]
fn a_log_that_cannot_be_read_is_asked_again_for_a_while() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let log = run(topic, 3);
    bench.come(&log[..1]);
    bench.come(&log[2..]);
    bench.now += HOLD_BACK;
    let missing = bench.sequence.take_due(bench.now)[0];
    assert_eq!(bench.sequence.next_due(), None, "it was asked");
    bench.sequence.filled(missing, None, bench.now, &mut bench.told);
    assert_eq!(bench.sequence.next_due(), Some(bench.now + LOOK_EVERY), "it is asked again, and not at once");
    assert_eq!(bench.wait(LOOK_EVERY / 2, &log), []);
    assert_eq!(bench.wait(LOOK_EVERY, &log), [missing]);
    assert_eq!(numbers(&bench.told), [1, 2, 3]);
    let log = run(topic, 5);
    bench.come(&log[4..]);
    bench.now += HOLD_BACK;
    let missing = bench.sequence.take_due(bench.now)[0];
    bench.now += HOLE_PATIENCE;
    bench.sequence.filled(missing, None, bench.now, &mut bench.told);
    assert_eq!((numbers(&bench.told), bench.sequence.lost()), (vec![1, 2, 3, 5], 1));
}

#[test]
fn of_a_topic_that_nobody_remembers_the_log_is_asked_if_the_event_before_may_be_on_its_way() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let minute = 60_000_000;
    let old = [event(topic, 7, 0, None), event(topic, 8, minute, Some(0))];
    bench.look(minute);
    bench.come(&old[1..]);
    assert_eq!(numbers(&bench.told), [8], "the one before is a minute older");
    let other = Topic::Room(RoomId::fresh());
    // The first one was told when it happened, and its topic was forgotten since.
    let at = |seq: u64| if seq == 1 { minute - 60_000_000 } else { minute + i64::try_from(seq).unwrap() * 2_000_000 };
    let log: Vec<_> = (1..5).map(|seq| event(other, seq, at(seq), Some(at(seq - 1)))).collect();
    let late = event(other, 4, at(4), Some(at(3)));
    bench.look(at(4));
    bench.come(&[Arc::clone(&late)]);
    assert_eq!(numbers(&bench.told), [8], "the one before is two seconds older");
    let asked = bench.wait(HOLD_BACK, &log);
    assert_eq!((asked[0].after, asked[0].since), (0, Timestamp(BEGAN.0 + at(4)).minus(COMMIT_MAX + LOOK_DEEP_EVERY)));
    assert_eq!(numbers(&bench.told), [8, 2, 3, 4]);
}

/// A node commits and dies before it tells anybody; then the log cannot be read for a while.
#[test]
fn what_happened_since_the_log_was_read_is_asked_for_however_long_ago_it_was() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let second = 1_000_000;
    let log = [event(topic, 1, 81 * second, None), event(topic, 2, 190 * second, Some(81 * second))];
    bench.look(80 * second);
    bench.come(&log[1..]);
    assert_eq!(numbers(&bench.told), [0; 0], "nobody has looked since the first was committed");
    let asked = bench.wait(HOLD_BACK, &log);
    assert_eq!(asked[0].since, Timestamp(BEGAN.0 + 80 * second).minus(COMMIT_MAX + LOOK_DEEP_EVERY));
    assert_eq!(numbers(&bench.told), [1, 2]);
    // Nor is anything forgotten that would then be told again.
    bench.now += SEQUENCE_MEMORY * 2;
    bench.come(&[event(topic, 3, 400 * second, Some(190 * second))]);
    assert_eq!(numbers(&bench.told), [1, 2, 3]);
}

/// The way was away for minutes, the log was not; and then the way brings all that it had kept.
#[test]
fn what_looks_found_long_ago_is_not_told_again() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let second = 1_000_000;
    let log = [event(topic, 1, second, None), event(topic, 2, 2 * second, Some(second))];
    let head = Head { topic, cursor: Cursor { epoch: 1, seq: 2 } };
    bench.sequence.look(
        &[head],
        Reach { since: BEGAN, until: Timestamp(BEGAN.0 + 3 * second) },
        bench.now,
        &mut bench.told,
    );
    bench.wait(HOLD_BACK, &log);
    bench.now += SEQUENCE_MEMORY * 2;
    bench.look(125 * second);
    bench.come(&log);
    bench.wait(HOLD_BACK, &log);
    assert_eq!(numbers(&bench.told), [1, 2]);
    bench.come(&[event(topic, 3, 124 * second, Some(2 * second))]);
    assert_eq!(numbers(&bench.told), [1, 2, 3]);
}

/// Its time is taken before its commit, which a lock may hold up.
#[test]
fn what_was_committed_late_is_told_although_looks_have_passed_its_time() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let second = 1_000_000;
    bench.look(100 * second);
    bench.come(&[event(topic, 1, 90 * second, None)]);
    assert_eq!(numbers(&bench.told), [1]);
}

/// The log says that there is something, cannot be read for a while, and is looked at again meanwhile.
#[test]
fn what_a_look_found_is_read_from_where_that_look_began() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let log = run(topic, 2);
    let head = Head { topic, cursor: Cursor { epoch: 1, seq: 2 } };
    let reach = Reach { since: BEGAN, until: Timestamp(BEGAN.0 + 3000) };
    bench.sequence.look(&[head], reach, bench.now, &mut bench.told);
    bench.sequence.look(&[], Reach { since: Timestamp(BEGAN.0 + 9000), ..reach }, bench.now, &mut bench.told);
    bench.wait(HOLD_BACK, &log);
    assert_eq!(numbers(&bench.told), [1, 2]);
}

#[test]
fn a_log_that_begins_anew_begins_at_one() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let log = run(topic, 9);
    bench.come(&log[..1]);
    bench.come(&log[4..5]);
    let anew = |seq| {
        let mut event = Arc::into_inner(event(topic, seq, 20_000, None)).unwrap();
        event.cursor.epoch = 2;
        Arc::new(event)
    };
    bench.come(&[anew(1), anew(2)]);
    bench.come(&log[1..2]);
    assert_eq!(numbers(&bench.told), [1, 1, 2]);
    assert_eq!((bench.sequence.held(), bench.sequence.next_due()), (0, None));
}

#[test]
fn silent_topics_are_forgotten_and_waiting_ones_are_not() {
    let mut bench = Bench::new();
    let topics: Vec<_> = (0..20).map(|_| Topic::Room(RoomId::fresh())).collect();
    for topic in &topics {
        bench.come(&run(*topic, 1));
    }
    let holed = run(topics[3], 3);
    bench.come(&holed[2..]);
    bench.now += SEQUENCE_MEMORY / 2;
    bench.come(&run(topics[5], 2)[1..]);
    bench.now += SEQUENCE_MEMORY / 2;
    bench.come(&run(topics[6], 2)[1..]);
    assert_eq!(bench.sequence.topics.len(), 20, "the log was not read since");
    bench.look(0);
    let left: Vec<_> = topics.iter().filter(|topic| bench.sequence.topics.contains_key(topic)).collect();
    assert_eq!(left, [&topics[3], &topics[5], &topics[6]]);
    bench.now += SEQUENCE_MEMORY * 2;
    bench.come(&run(Topic::Room(RoomId::fresh()), 1));
    bench.look(0);
    assert_eq!(bench.sequence.topics.len(), 2, "who waits, and who came last");
}

/// What they were told is not known any more, so they are not asked for as much as others.
#[test]
fn where_too_many_topics_are_busy_those_that_were_forgotten_early_are_not_told_twice() {
    let mut bench = Bench::new();
    let (second, first) = (1_000_000, Topic::Room(RoomId::fresh()));
    bench.come(&[event(first, 1, second, None)]);
    let others = (0..SEQUENCE_TOPICS_MAX).map(|_| event(Topic::Room(RoomId::fresh()), 1, second, None));
    bench.now += IN_FLIGHT_MAX * 2;
    bench.look(11 * second);
    bench.come(&others.collect::<Vec<_>>());
    assert!(!bench.sequence.topics.contains_key(&first), "the log was read since");
    bench.told.clear();
    bench.come(&[event(first, 2, 12 * second, Some(second))]);
    assert_eq!(numbers(&bench.told), [2], "its first event is not asked for");
    bench.now += SEQUENCE_MEMORY;
    bench.look(131 * second);
    bench.come(&[event(Topic::Room(RoomId::fresh()), 2, 132 * second, Some(121 * second))]);
    assert_eq!(numbers(&bench.told), [2], "later the log is asked again for what may have been committed late");
}

/// The log cannot be read, and there is no end of topics.
#[test]
fn too_many_topics_are_forgotten_and_their_listeners_told_of_a_gap() {
    let mut bench = Bench::new();
    bench.look(0);
    let one_each =
        |count: usize| (0..count).map(|_| event(Topic::Room(RoomId::fresh()), 1, 1000, None)).collect::<Vec<_>>();
    let [first, busy, holed] = [(); 3].map(|()| Topic::Room(RoomId::fresh()));
    bench.come(&[event(first, 1, 1000, None), event(busy, 1, 1000, None), event(holed, 1, 1000, None)]);
    bench.come(&[event(holed, 3, 1000, Some(1000))]);
    bench.now += Duration::from_millis(1);
    bench.come(&one_each(SEQUENCE_TOPICS_MAX - 3));
    assert_eq!(bench.sequence.topics.len(), SEQUENCE_TOPICS_MAX);
    bench.now += Duration::from_millis(1);
    bench.come(&[event(busy, 2, 2000, Some(1000))]);
    for new in one_each(2000) {
        bench.come(&[new]);
    }
    let is_known = |topic: &Topic| bench.sequence.topics.contains_key(topic);
    assert_eq!([first, busy, holed].each_ref().map(is_known), [false, true, true], "who was silent, and who was not");
    assert!(bench.sequence.topics.len() <= SEQUENCE_TOPICS_MAX && bench.sequence.silent.len() <= SEQUENCE_TOPICS_MAX);
    let forgotten: u64 = bench.sequence.take_counts().iter().map(|counts| counts.forgotten).sum();
    assert_eq!(forgotten, 2000);
    // The log is back, and names what happened since the last look.
    bench.told.clear();
    let head = |topic, seq| Head { topic, cursor: Cursor { epoch: 1, seq } };
    let reach = Reach { since: BEGAN, until: Timestamp(BEGAN.0 + 3000) };
    bench.sequence.look(&[head(first, 1), head(busy, 2)], reach, bench.now, &mut bench.told);
    let gaps: Vec<_> = bench.told.iter().map(|part| part.gap.map(|(topic, cursor)| (topic, cursor.seq))).collect();
    assert_eq!(gaps, [Some((first, 1))]);
    bench.told.clear();
    bench.come(&[event(first, 1, 1000, None), event(first, 2, 3000, Some(1000))]);
    assert_eq!(numbers(&bench.told), [2], "nothing is told twice");
    bench.now += SEQUENCE_MEMORY;
    bench.look(3000);
    let found = event(Topic::Room(RoomId::fresh()), 1, 2000, None);
    bench.sequence.look(&[head(found.topic, 1)], reach, bench.now, &mut bench.told);
    bench.wait(HOLD_BACK, &[found]);
    // The 3 waited behind a hole that nobody filled.
    assert_eq!(numbers(&bench.told), [2, 3, 1], "from now on what is not known is read again");
}

#[test]
fn too_much_that_waits_gives_the_oldest_hole_up() {
    let (topic, mut bench) = (Topic::Room(RoomId::fresh()), Bench::new());
    let log = run(topic, HELD_BACK_MAX as u64 + 3);
    bench.come(&log[..1]);
    bench.come(&log[2..]);
    assert_eq!((bench.sequence.held(), bench.sequence.lost()), (0, 1));
    assert_eq!(bench.told.iter().map(|part| part.events.len()).sum::<usize>(), HELD_BACK_MAX + 2);
}

/// Three nodes, some topics, everything that can happen on the way.
#[test]
fn whatever_the_way_does_each_event_is_told_once_in_order() {
    for seed in 0..512 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new();
        let topics: Vec<_> = (0..3).map(|_| Topic::Room(RoomId::fresh())).collect();
        let count = random.random_range(1..40);
        let logs: Vec<_> = topics.iter().map(|topic| run(*topic, count)).collect();
        // Each event comes at its place, later, twice, or never.
        let mut way: Vec<(u64, Arc<Committed>)> = Vec::new();
        for log in &logs {
            for event in log {
                let delay = |random: &mut StdRng| random.random_range(0..12);
                match random.random_range(0..10) {
                    0 => {}
                    1 => {
                        let times = [delay(&mut random), delay(&mut random)];
                        way.extend(times.map(|later| (event.cursor.seq + later, Arc::clone(event))));
                    }
                    _ => way.push((event.cursor.seq + delay(&mut random), Arc::clone(event))),
                }
            }
        }
        way.shuffle(&mut random);
        way.sort_by_key(|(time, _)| *time);
        let all: Vec<_> = logs.concat();
        for (_, event) in way {
            bench.come(&[event]);
            if random.random_bool(0.2) {
                // The log has what was committed, and that may be more than what came.
                bench.wait(HOLD_BACK / random.random_range(1..4), &all);
            }
        }
        // The last events may be those that were lost: something later tells.
        for (topic, log) in topics.iter().zip(&logs) {
            let last = log.last().unwrap();
            let at = (last.at.0 - BEGAN.0) + 1000;
            bench.come(&[event(*topic, count + 1, at, Some(at - 1000))]);
        }
        while bench.sequence.held() > 0 {
            bench.wait(HOLD_BACK, &all);
            let counted: i64 = bench.sequence.counts.iter().map(|counts| counts.held).sum();
            assert_eq!(counted, bench.sequence.held() as i64, "seed {seed}");
        }
        for topic in &topics {
            let told = bench.told.iter().flat_map(|part| &part.events).filter(|event| event.topic == *topic);
            let told: Vec<_> = told.map(|event| event.cursor.seq).collect();
            assert_eq!(told, (1..=count + 1).collect::<Vec<_>>(), "seed {seed}");
        }
        assert_eq!(bench.sequence.lost(), 0, "seed {seed}");
    }
}
