//! The lane's own promises, over a database that fails as told.

use std::collections::VecDeque;
use std::sync::mpsc;

use uuid::Uuid;

use super::*;
use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::write::{Action, Transport};
use crate::domain::event::{Cursor, Event};
use crate::domain::write::Intent;
use crate::ids::{EventId, RoomId, SessionKey, ShardId, UserId};

/// How the next attempt at a batch ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Commit,
    Retry,
    Fail,
    /// COMMIT without an answer; look-ups that fail first; was it written?
    Lost(u32, bool),
    Panic,
    /// COMMIT without an answer, and the look-up panics.
    PanicOnResolve,
}

#[derive(Default)]
struct Shared {
    fates: VecDeque<Fate>,
    resolving: (u32, bool),
    log: Vec<String>,
}

struct Fake(Arc<Mutex<Shared>>, u64);

fn event(write: &Write, seq: u64) -> Arc<Committed> {
    Arc::new(Committed {
        topic: write.topic(),
        cursor: Cursor { epoch: 1, seq },
        event_id: write.event_id,
        at: Timestamp(0),
        previous: None,
        origin: None,
        event: Event::Chat(ChatEvent::Left { user: write.actor }),
    })
}

impl BatchStore for Fake {
    fn commit(&mut self, batch: &[Write], places: &mut TakePlaces<'_>) -> Result<Batch, BatchError> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let events: Vec<_> = batch.iter().zip(self.1 + 1..).map(|(write, seq)| event(write, seq)).collect();
        let outcomes = events.iter().map(|event| Outcome::Committed(Arc::clone(event))).collect();
        let done = Batch { outcomes, events, ..Batch::default() };
        let fate = shared.fates.pop_front().unwrap_or(Fate::Commit);
        shared.log.push(format!("{fate:?} {}", batch.len()));
        places(&done.events);
        match fate {
            Fate::Commit => {
                self.1 += batch.len() as u64;
                Ok(done)
            }
            Fate::Retry => Err(BatchError::Retry("deadlock".into())),
            Fate::Fail => Err(BatchError::Failed("disk full".into())),
            Fate::Lost(failures, is_written) => {
                shared.resolving = (failures, is_written);
                Err(BatchError::Unknown(done, "connection lost".into()))
            }
            Fate::Panic => panic!("on purpose"),
            Fate::PanicOnResolve => {
                shared.resolving = (u32::MAX, false);
                Err(BatchError::Unknown(done, "connection lost".into()))
            }
        }
    }

    fn resolve(&mut self, _: &Batch) -> Result<bool, StoreError> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.log.push("resolve".into());
        assert!(shared.resolving.0 < u32::MAX, "on purpose");
        if shared.resolving.0 > 0 {
            shared.resolving.0 -= 1;
            return Err(StoreError::Unavailable("away".into()));
        }
        Ok(shared.resolving.1)
    }

    fn reset(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).log.push("reset".into());
    }

    fn idle(&mut self) -> Duration {
        Duration::from_secs(60)
    }

    fn finish(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).log.push("finish".into());
    }
}

/// Writes down events and answers in the order in which they come.
struct Port(mpsc::Sender<String>);

impl LanePort for Port {
    fn committed(&self, events: Vec<Arc<Committed>>, _: Told) {
        for event in events {
            self.0.send(format!("event {}", event.cursor.seq)).unwrap();
        }
    }

    fn answered(&self, session: SessionKey, _: Option<&str>, outcome: &Outcome) {
        self.0.send(format!("session {} {outcome:?}", session.index)).unwrap();
    }
}

/// Writes down places, too.
struct Placing(mpsc::Sender<String>);

impl Placing {
    fn note(&self, what: &str, events: &[Arc<Committed>]) {
        events.iter().for_each(|event| self.0.send(format!("{what} {}", event.cursor.seq)).unwrap());
    }
}

impl LanePort for Placing {
    fn place(&self, events: &[Arc<Committed>]) {
        self.note("place", events);
    }

    fn give_back(&self, events: &[Arc<Committed>]) {
        self.note("give back", events);
    }

    fn committed(&self, events: Vec<Arc<Committed>>, _: Told) {
        self.note("event", &events);
    }

    fn answered(&self, _: SessionKey, _: Option<&str>, _: &Outcome) {}
}

fn write(answer: AnswerTo) -> Box<Write> {
    Box::new(Write {
        event_id: EventId::fresh(),
        actor: UserId(Uuid::nil()),
        transport: Transport::Rest,
        intent: Intent::Chat { room: RoomId(Uuid::nil()), action: Action::Leave },
        answer,
    })
}

/// What is reported and what the database saw when one write meets `fates`.
fn meet(fates: &[Fate]) -> (Vec<String>, Vec<String>) {
    let shared = Arc::new(Mutex::new(Shared { fates: fates.iter().copied().collect(), ..Shared::default() }));
    let (reports, reported) = mpsc::channel();
    let lane =
        Lane::start(0, limits::memory::LANES_BYTES_MIN, Fake(Arc::clone(&shared), 0), Arc::new(Port(reports.clone())))
            .unwrap();
    let answer = reports.clone();
    let told = move |outcome: Outcome| match outcome {
        Outcome::Committed(event) => answer.send(format!("answer {}", event.cursor.seq)).unwrap(),
        other => answer.send(format!("answer {other:?}")).unwrap(),
    };
    lane.submit(write(AnswerTo::Caller(Box::new(told)))).unwrap();
    lane.close();
    lane.join();
    drop((lane, reports));
    let log = std::mem::take(&mut shared.lock().unwrap().log);
    (reported.iter().collect(), log)
}

#[test]
fn a_lane_that_panics_outside_its_transactions_takes_nothing_more_and_says_so() {
    let shared = Arc::new(Mutex::new(Shared { fates: [Fate::PanicOnResolve].into(), ..Shared::default() }));
    let (reports, _reported) = mpsc::channel();
    let lane = Lane::start(77, limits::memory::LANES_BYTES_MIN, Fake(shared, 0), Arc::new(Port(reports))).unwrap();
    let (answer, answered) = mpsc::channel();
    let told = move |outcome: Outcome| answer.send(outcome).unwrap();
    lane.submit(write(AnswerTo::Caller(Box::new(told)))).unwrap();
    assert!(answered.recv().is_err(), "nobody knows what became of the write, and nobody waits for it");
    lane.join();
    assert!(lane.submit(write(AnswerTo::Caller(Box::new(drop)))).is_err());
    assert!(crate::telemetry::alarm::is_raised("write lane 77 panicked"));
}

const COMMITTED: [&str; 2] = ["event 1", "answer 1"];
const REFUSED: [&str; 1] = ["answer Refused(Unavailable)"];

#[test]
fn the_event_is_told_before_the_answer() {
    assert_eq!(meet(&[Fate::Commit]).0, COMMITTED);
}

#[test]
fn what_may_succeed_is_tried_again_but_not_for_ever() {
    assert_eq!(meet(&[Fate::Retry, Fate::Retry]).0, COMMITTED);
    let (reports, log) = meet(&[Fate::Retry; 9]);
    assert_eq!(reports, REFUSED);
    assert_eq!(log.iter().filter(|line| line.starts_with("Retry")).count(), ATTEMPTS_MAX as usize - 1);
}

#[test]
fn what_cannot_succeed_is_answered_at_once() {
    let (reports, log) = meet(&[Fate::Fail]);
    assert_eq!(reports, REFUSED);
    assert_eq!(log, ["Fail 1", "finish"]);
}

#[test]
fn a_lost_commit_that_was_written_is_committed_and_not_written_again() {
    let (reports, log) = meet(&[Fate::Lost(3, true)]);
    assert_eq!(reports, COMMITTED);
    assert_eq!(log, ["Lost(3, true) 1", "resolve", "resolve", "resolve", "resolve", "finish"]);
}

#[test]
fn a_lost_commit_that_was_not_written_is_tried_again() {
    assert_eq!(meet(&[Fate::Lost(1, false)]).0, COMMITTED);
    assert_eq!(meet(&[Fate::Lost(0, false), Fate::Fail]).0, REFUSED);
}

#[test]
fn a_panic_refuses_the_batch_and_the_lane_goes_on() {
    let shared = Arc::new(Mutex::new(Shared { fates: [Fate::Panic].into(), ..Shared::default() }));
    let (reports, reported) = mpsc::channel();
    let lane =
        Lane::start(0, limits::memory::LANES_BYTES_MIN, Fake(Arc::clone(&shared), 0), Arc::new(Port(reports))).unwrap();
    let session = |index| AnswerTo::Session(SessionKey { shard: ShardId(0), index, generation: 0 });
    lane.submit(write(session(1))).unwrap();
    assert_eq!(reported.recv().unwrap(), "session 1 Refused(Unavailable)");
    lane.submit(write(session(2))).unwrap();
    assert_eq!(reported.recv().unwrap(), "event 1");
    lane.close();
    lane.join();
    assert!(reported.try_recv().is_err(), "a session is not told of its own success");
    let log = std::mem::take(&mut shared.lock().unwrap_or_else(PoisonError::into_inner).log);
    assert_eq!(log, ["Panic 1", "reset", "Commit 1", "finish"]);
}

#[test]
fn jobs_run_in_their_place_and_a_panicking_one_harms_nobody() {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let (reports, _reported) = mpsc::channel();
    let lane =
        Lane::start(0, limits::memory::LANES_BYTES_MIN, Fake(Arc::clone(&shared), 0), Arc::new(Port(reports))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    lane.submit(write(AnswerTo::Caller(Box::new(|_| {})))).unwrap();
    let seen = runtime.block_on(lane.run(|fake| Ok(fake.1)));
    assert_eq!(seen.unwrap(), 1, "the write before it is committed");
    let panicked: Result<(), _> = runtime.block_on(lane.run(|_| panic!("on purpose")));
    assert!(matches!(panicked, Err(StoreError::Broken(_))));
    assert_eq!(runtime.block_on(lane.run(|_| Ok(7))).unwrap(), 7);
    lane.close();
    lane.join();
    assert!(lane.submit(write(AnswerTo::Caller(Box::new(|_| {})))).is_err());
    assert!(runtime.block_on(lane.run(|_| Ok(()))).is_err());
}

/// A place that is kept by a batch that is not there would let others wait for ever.
#[test]
fn places_are_kept_by_what_is_committed_and_given_back_by_all_else() {
    for (fates, is_committed) in [
        (vec![Fate::Retry, Fate::Lost(2, false), Fate::Commit], true),
        (vec![Fate::Retry, Fate::Lost(0, true)], true),
        (vec![Fate::Retry, Fate::Panic], false),
        (vec![Fate::Lost(1, false), Fate::Fail], false),
    ] {
        let attempts = fates.len();
        let shared = Arc::new(Mutex::new(Shared { fates: fates.into(), ..Shared::default() }));
        let (reports, reported) = mpsc::channel();
        let lane = Lane::start(0, limits::memory::lane_bytes(1), Fake(shared, 0), Arc::new(Placing(reports))).unwrap();
        lane.submit(write(AnswerTo::Caller(Box::new(drop)))).unwrap();
        lane.close();
        lane.join();
        drop(lane);
        let mut expected: Vec<String> =
            (0..attempts).flat_map(|_| ["place 1".to_owned(), "give back 1".to_owned()]).collect();
        if is_committed {
            expected.pop();
            expected.push("event 1".to_owned());
        }
        assert_eq!(reported.iter().collect::<Vec<_>>(), expected);
    }
}

/// Keeps batches untold until it is told to go on.
struct Slow(mpsc::Sender<(u64, Told)>);

impl LanePort for Slow {
    fn committed(&self, events: Vec<Arc<Committed>>, told: Told) {
        self.0.send((events[0].cursor.seq, told)).unwrap();
    }

    fn answered(&self, _: SessionKey, _: Option<&str>, _: &Outcome) {}
}

#[test]
fn a_batch_is_committed_while_the_one_before_is_told_and_told_after_it_is_answered() {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let (hands, handed) = mpsc::channel();
    let lane =
        Lane::start(0, limits::memory::lane_bytes(1), Fake(Arc::clone(&shared), 0), Arc::new(Slow(hands))).unwrap();
    let (answer, answered) = mpsc::channel();
    let told = |answer: &mpsc::Sender<u64>| {
        let answer = answer.clone();
        AnswerTo::Caller(Box::new(move |outcome| {
            let Outcome::Committed(event) = outcome else { panic!("{outcome:?}") };
            answer.send(event.cursor.seq).unwrap();
        }))
    };
    lane.submit(write(told(&answer))).unwrap();
    let (first, first_told) = handed.recv().unwrap();
    lane.submit(write(told(&answer))).unwrap();
    while shared.lock().unwrap().log.len() < 2 {
        std::thread::yield_now();
    }
    assert!(handed.try_recv().is_err() && answered.try_recv().is_err(), "the second waits, the first is not answered");
    drop(first_told);
    assert_eq!((first, answered.recv()), (1, Ok(1)));
    let (second, second_told) = handed.recv().unwrap();
    assert!(answered.try_recv().is_err());
    lane.close();
    drop(second_told);
    lane.join();
    assert_eq!((second, answered.recv()), (2, Ok(2)), "who closes a lane waits for its answers");
}
