//! The lane on a real file: what nobody else may see, what is looked up, what a sweep leaves.

use std::collections::VecDeque;

use rusqlite::params;

use super::*;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::write::{Action, NewMessage, Transport};
use crate::domain::event::{Committed, Event};
use crate::domain::write::{AnswerTo, Intent, Outcome, Write};
use crate::ids::{EventId, SystemIds, UserId};
use crate::store::batch::UnreadRest;
use crate::store::sql::Known;
use crate::store::sql::rows::BatchRows;
use crate::store::sqlite::migrate::migrate;
use crate::store::sqlite::{SeedPlan, seed};
use crate::store::writer::{Batch, BatchStore};

fn around(clock: Clock) -> Surroundings {
    Surroundings { caches: Arc::default(), clock, ids: Arc::new(SystemIds), shown_reactions: 0 }
}

fn send(room: RoomId, actor: UserId) -> Write {
    let new = NewMessage::text("hola".into(), crate::domain::chat::message::MessageType::Text);
    Write {
        event_id: EventId::fresh(),
        actor,
        transport: Transport::Rest,
        intent: Intent::Chat { room, action: Action::Send(new) },
        answer: AnswerTo::Caller(Box::new(|_| {})),
    }
}

/// What a transaction alone sees of a user's counters is never in the cache, even if it is rolled back.
#[test]
fn counts_that_are_not_committed_are_nobodys_to_see() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pregon.db");
    let seeded = seed(&path, &SeedPlan { users: 3, ..SeedPlan::default() }).unwrap();
    let [ana, beto, caro] = [0, 1, 2].map(|index| seeded.users[index].0);
    let mut lane = open(path, Arc::default(), around(Arc::new(Timestamp::now))).unwrap();
    let now = Timestamp::now();
    let (mut known, mut rests) = (Known::default(), VecDeque::new());
    let mut rows = BatchRows::new(lane.connector.view(now), &mut known, &mut rests);
    at_once(rows.begin(&BTreeSet::new(), &[])).unwrap();
    assert!(at_once(rows.insert_follow(beto, ana, now)).unwrap());
    let counts = [ana, beto, caro]
        .map(|user| at_once(rows.profile(user)).unwrap())
        .map(|one| (one.followers_count, one.following_count));
    assert_eq!(counts, [(1, 0), (0, 1), (0, 0)], "the transaction itself sees them");
    statement(&lane.connector.connection, "ROLLBACK").unwrap();
    let remembered = [ana, beto, caro].map(|user| lane.connector.around.caches.profiles.get(&user, now).is_some());
    assert_eq!(remembered, [false, false, true]);
}

#[test]
fn a_batch_is_found_by_its_places_when_commit_gave_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pregon.db");
    let plan = SeedPlan { users: 2, rooms: 1, members: 2, ..SeedPlan::default() };
    let seeded = seed(&path, &plan).unwrap();
    let (room, actor) = (seeded.rooms[0].0, seeded.users[0].0);
    let mut lane = open(path, Arc::default(), around(Arc::new(Timestamp::now))).unwrap();
    let written = lane.commit(&[send(room, actor), send(room, actor)], &mut |_| {}).unwrap();
    assert_eq!(written.events.len(), 2);
    // What is left of a long mark_as_read is part of the batch.
    let at = Timestamp::now();
    let rest = UnreadRest { room, user: actor, after: Timestamp(0), before: at, at };
    lane.undecided = vec![rest];
    assert!(lane.resolve(&written).unwrap());
    assert_eq!(lane.rests, [rest]);
    lane.rests.clear();

    // The same places, taken by a batch that was rolled back, belong to other events.
    let mut lost = Batch::default();
    for event in &written.events {
        let Outcome::Committed(other) = lane.commit(&[send(room, actor)], &mut |_| {}).unwrap().outcomes.remove(0)
        else {
            panic!("not committed")
        };
        let Committed { topic, at, .. } = *other;
        let event = Committed {
            topic,
            cursor: event.cursor,
            event_id: EventId::fresh(),
            at,
            previous: None,
            origin: None,
            event: Event::Chat(ChatEvent::Left { user: actor }),
        };
        lost.events.push(Arc::new(event));
    }
    lane.undecided = vec![rest];
    assert!(!lane.resolve(&lost).unwrap());
    assert!(lane.rests.is_empty() && lane.undecided.is_empty());
    assert!(!lane.resolve(&Batch::default()).unwrap());
}

const DAY: i64 = 24 * 3600 * 1_000_000;

fn lane(folder: &std::path::Path, now: Timestamp) -> SqliteLane {
    let path = folder.join("pregon.db");
    migrate(&path, false).unwrap();
    open(path, Arc::default(), around(Arc::new(move || now))).unwrap()
}

fn number(lane: &SqliteLane, query: &str) -> i64 {
    lane.connector.connection.query_row(query, [], |row| row.get(0)).unwrap()
}

fn log(lane: &SqliteLane, topic: &str, epoch: u32, events: i64, created_at: impl Fn(i64) -> i64) {
    for seq in 1..=events {
        lane.connector
            .connection
            .prepare_cached(
                "INSERT INTO pregon_events (topic, epoch, seq, event_id, kind, transport, user_id, created_at) \
                 VALUES (?1, ?2, ?3, '', 'left', 'rest', '', ?4)",
            )
            .unwrap()
            .execute(params![topic, epoch, seq, created_at(seq)])
            .unwrap();
    }
    lane.connector
        .connection
        .execute("INSERT OR REPLACE INTO pregon_topics VALUES (?1, ?2, ?3, 0)", params![topic, epoch, events])
        .unwrap();
}

/// Slices until the sweep is over.
fn sweep(lane: &mut SqliteLane) {
    let slices = (0..200).position(|_| lane.idle() == Duration::from_secs(1));
    assert!(slices.is_some_and(|slices| slices > 3), "{slices:?}");
}

#[test]
fn a_sweep_takes_what_is_old_and_beyond_the_newest_thousand() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp(100 * DAY);
    let mut lane = lane(folder.path(), now);
    lane.connector.connection.execute_batch("BEGIN").unwrap();
    let old = now.0 - DAY - 1;
    log(&lane, "all old", 1, 2600, |_| old);
    log(&lane, "all young", 1, 2600, |_| now.0);
    log(&lane, "few", 1, 900, |_| old);
    log(&lane, "old, then young", 1, 2600, |seq| if seq <= 700 { old } else { now.0 });
    log(&lane, "two epochs", 1, 1200, |_| old);
    log(&lane, "two epochs", 2, 30, |_| old);
    for number in 0..1310 {
        let created_at = if number < 1300 { old } else { now.0 };
        lane.connector
            .connection
            .execute("INSERT INTO pregon_client_ids VALUES ('u', 'r', ?1, 'm', ?2, 1, 1)", params![number, created_at])
            .unwrap();
    }
    lane.connector
        .connection
        .execute("INSERT INTO pregon_revoked VALUES ('gone', ?1), ('kept', ?2)", params![now.0, now.0 + 1])
        .unwrap();
    let ended = "INSERT INTO pregon_ended_logins VALUES ('u', 0, 'gone', 0, ?1), ('u', 0, 'kept', 0, ?2)";
    lane.connector.connection.execute(ended, params![now.0, now.0 + 1]).unwrap();
    lane.connector.connection.execute_batch("COMMIT").unwrap();

    sweep(&mut lane);
    let left = |topic: &str| {
        let of = format!("FROM pregon_events WHERE topic = '{topic}'");
        (number(&lane, &format!("SELECT count(*) {of}")), number(&lane, &format!("SELECT min(seq) {of}")))
    };
    assert_eq!(left("all old"), (1000, 1601));
    assert_eq!(left("all young"), (2600, 1));
    assert_eq!(left("few"), (900, 1));
    assert_eq!(left("old, then young"), (1900, 701));
    assert_eq!(left("two epochs"), (30, 1));
    assert_eq!(number(&lane, "SELECT count(*) FROM pregon_client_ids"), 10);
    assert_eq!(number(&lane, "SELECT count(*) FROM pregon_revoked WHERE jti = 'kept'"), 1);
    assert_eq!(number(&lane, "SELECT count(*) FROM pregon_revoked"), 1);
    assert_eq!(number(&lane, "SELECT count(*) FROM pregon_ended_logins WHERE family = 'kept'"), 1);
    assert_eq!(number(&lane, "SELECT count(*) FROM pregon_ended_logins"), 1);
    assert_eq!(number(&lane, "SELECT seq FROM pregon_topics WHERE topic = 'all old'"), 2600, "places are not reused");
}

#[test]
fn what_is_asked_about_a_room_is_found_by_indexes() {
    use crate::store::sql::roster::{MEMBERS, READERS, READERS_COUNT, UNREAD};
    let folder = tempfile::tempdir().unwrap();
    let lane = lane(folder.path(), Timestamp(0));
    for sql in [MEMBERS, READERS, READERS_COUNT, UNREAD] {
        let mut statement = lane.connector.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nothing = rusqlite::params_from_iter(vec![""; statement.parameter_count()]);
        let steps = statement.query_map(nothing, |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        let is_by_index = |step: &String| {
            step.starts_with("SEARCH") && step.contains("chat_room_id=?")
                || step.starts_with("SEARCH") && step.contains("message_id=?")
                || step == "SCAN newest"
                || step.starts_with("CO-ROUTINE")
        };
        assert!(steps.iter().all(is_by_index), "{sql}: {steps:?}");
    }
}
