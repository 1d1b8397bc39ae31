//! The effects of SQLite's failures on a batch: real errors, provoked on the lane's own connection.

use std::sync::Arc;

use crate::support::{Recorder, Sqlite, TestClock, World, committed, contents, named, refusal, send, sent};
use pregon::domain::chat::write::{Action, Transport};
use pregon::domain::feed::comment::NewComment;
use pregon::domain::feed::write::Action as FeedAction;
use pregon::domain::write::{Outcome, Refusal};
use pregon::ids::{RoomId, Topic, UserId};
use pregon::limits;
use pregon::store::sqlite::SqliteStore;
use pregon::store::{Accounts, Housekeeping};
use tokio::sync::oneshot;

/// A world whose store is known to be SQLite.
async fn world() -> (World, Arc<SqliteStore>, RoomId, Vec<UserId>) {
    let backend = Sqlite::new();
    let port = Arc::new(Recorder::default());
    let clock = TestClock::new();
    let store = backend.open_store(Arc::clone(&port) as _, &clock);
    let world = World { backend: Box::new(backend), store: Arc::clone(&store) as _, port, clock };
    let (room, users) = world.room(&["ana", "beto"]).await;
    (world, store, room, users)
}

async fn on_writer(store: &SqliteStore, sql: &'static str) {
    store.on_writer(move |connection| connection.execute_batch(sql)).await.unwrap();
}

/// Holds the lane in a job until the sender is dropped, so that writes queued meanwhile form one batch.
fn hold(store: &Arc<SqliteStore>) -> std::sync::mpsc::Sender<()> {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (entered, has_entered) = std::sync::mpsc::channel();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let wait = move |_: &rusqlite::Connection| {
            entered.send(()).unwrap();
            // Returns an error when the sender is dropped.
            let _ = released.recv();
            Ok(())
        };
        store.on_writer(wait).await.unwrap();
    });
    has_entered.recv().unwrap();
    release
}

async fn all(answers: Vec<oneshot::Receiver<Outcome>>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.unwrap());
    }
    outcomes
}

async fn holes(world: &World) -> i64 {
    world.backend.number("SELECT (SELECT sum(seq) FROM pregon_topics) - (SELECT count(*) FROM pregon_events)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_alone_is_answered_alone() {
    let (world, store, room, users) = world().await;
    // The insert of the event's row fails after that of the message's row: the savepoint must undo both.
    on_writer(
        &store,
        "CREATE TEMP TRIGGER poison BEFORE INSERT ON main.pregon_events \
         WHEN (SELECT content FROM main.messages WHERE id = NEW.message_id) LIKE 'veneno%' \
         BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
    )
    .await;
    let quiet = world.group(&users).await;
    let activity =
        format!("SELECT count(*) FROM chat_rooms WHERE id = '{}' AND last_activity = created_at", quiet.hex());
    let release = hold(&store);
    let in_quiet = world.queue(users[0], quiet, Transport::Socket, send("veneno"));
    let texts = ["uno", "veneno", "dos", "veneno otra vez", "tres"];
    let mut answers: Vec<_> =
        texts.iter().map(|text| world.queue(users[0], room, Transport::Socket, send(text))).collect();
    // A second transport's copy of a failed message is no twin, and the failed client_id is free.
    answers.push(world.queue(users[0], room, Transport::Rest, send("dos")));
    answers.push(world.queue(users[0], room, Transport::Socket, named("veneno con nombre", "k")));
    answers.push(world.queue(users[0], room, Transport::Socket, named("cuatro", "k")));
    drop(release);
    assert_eq!(refusal(&in_quiet.await.unwrap()), Refusal::Unavailable);
    assert_eq!(world.backend.number(&activity).await, 1, "nothing happened in that room");
    let outcomes = all(answers).await;
    let seqs: Vec<_> = [0, 2, 4, 7].iter().map(|index| committed(&outcomes[*index]).cursor.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4], "a failed write takes no place");
    for failed in [1, 3, 6] {
        assert_eq!(refusal(&outcomes[failed]), Refusal::Unavailable);
    }
    assert!(matches!(&outcomes[5], Outcome::Twin(twin) if twin.id == sent(&outcomes[2]).id));
    assert_eq!(contents(&world.history(users[1], room).await), ["cuatro", "tres", "dos", "uno"]);
    assert_eq!(world.events().len(), 4);
    assert_eq!(holes(&world).await, 0);
    assert_eq!(world.backend.number("SELECT count(*) FROM messages").await, 4, "nothing half-written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_several_events_fails_as_a_whole() {
    let (world, store, _, users) = world().await;
    let post = world.publish(users[0], "hola").await;
    world.take_events();
    // The notification, which comes last, fails for one of three comments.
    on_writer(
        &store,
        "CREATE TEMP TRIGGER poison BEFORE INSERT ON main.notifications \
         WHEN (SELECT content FROM main.comments WHERE id = NEW.comment_id) = 'veneno' \
         BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
    )
    .await;
    let release = hold(&store);
    let comment =
        |content: &str| FeedAction::Comment(NewComment { post, parent: None, content: content.into(), image: None });
    let answers = ["uno", "veneno", "dos"].map(|text| world.queue_feed(users[1], comment(text)));
    drop(release);
    let outcomes = all(answers.into()).await;
    assert_eq!(refusal(&outcomes[1]), Refusal::Unavailable);
    let seqs: Vec<_> = world.events().iter().map(|event| (event.topic, event.cursor.seq)).collect();
    let on_post = Topic::Post(post);
    let told = Topic::Notifications(users[0]);
    assert_eq!(seqs, [(on_post, 2), (told, 1), (on_post, 3), (told, 2)]);
    let read = world.store.post(None, post).await.unwrap().unwrap();
    assert_eq!((read.comments_count, read.comments.len()), (2, 2));
    assert_eq!(world.backend.number("SELECT count(*) FROM notifications").await, 2);
    assert_eq!(holes(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_is_forgotten_when_there_is_room() {
    let (world, store, room, users) = world().await;
    world.say(users[0], room, "antes").await;
    store
        .on_writer(|connection| {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 4), [], |_| Ok(()))
        })
        .await
        .unwrap();
    let long = "x".repeat(2000);
    let mut refused = 0;
    for number in 0..40 {
        match world.write(users[0], room, send(&format!("{number} {long}"))).await {
            Outcome::Refused(Refusal::Unavailable) => refused += 1,
            outcome => drop(Arc::clone(committed(&outcome))),
        }
    }
    assert!(refused > 20, "{refused}: the disk was not full");
    let stored = world.history(users[1], room).await.len();
    assert_eq!(stored, 41 - refused, "what was refused is not there, what was committed is");
    assert!(store.ping().await.is_err(), "not ready to take writes");
    on_writer(&store, "PRAGMA max_page_count = 1000000").await;
    store.ping().await.unwrap();
    let after = world.write(users[0], room, send("después")).await;
    assert_eq!(committed(&after).cursor.seq, stored as u64 + 1);
    assert_eq!(holes(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_refuses_and_answers_reads() {
    let (world, store, room, users) = world().await;
    world.say(users[0], room, "antes").await;
    on_writer(&store, "PRAGMA query_only = ON").await;
    assert_eq!(refusal(&world.write(users[0], room, send("no")).await), Refusal::Unavailable);
    assert!(store.register(crate::support::new_user("caro")).await.is_err());
    assert!(store.revoke("x".into(), world.clock.now()).await.is_err());
    assert_eq!(contents(&world.history(users[1], room).await), ["antes"]);
    assert!(store.ping().await.is_err(), "not ready to take writes");
    on_writer(&store, "PRAGMA query_only = OFF").await;
    store.ping().await.unwrap();
    assert_eq!(committed(&world.write(users[0], room, send("sí")).await).cursor.seq, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_commit_refuses_its_batch_and_leaves_nothing() {
    let (world, store, room, users) = world().await;
    // A foreign key that is checked at COMMIT: every statement succeeds, but the transaction cannot end.
    on_writer(
        &store,
        "CREATE TEMP TABLE parent (id int PRIMARY KEY); \
         CREATE TEMP TABLE child (id int REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED); \
         CREATE TEMP TRIGGER late BEFORE INSERT ON main.messages WHEN NEW.content = 'tarde' \
         BEGIN INSERT INTO child VALUES (1); END",
    )
    .await;
    let before = limits::READ_ALL_ROWS_MAX + 20;
    let texts = (0..before).map(|_| world.queue(users[0], room, Transport::Socket, send("antes")));
    all(texts.collect()).await;
    let release = hold(&store);
    let texts = ["uno", "tarde", "dos"];
    let mut answers: Vec<_> =
        texts.iter().map(|text| world.queue(users[0], room, Transport::Socket, send(text))).collect();
    answers.push(world.queue(users[1], room, Transport::Socket, Action::ReadAll));
    drop(release);
    for outcome in all(answers).await {
        assert_eq!(refusal(&outcome), Refusal::Unavailable);
    }
    assert_eq!(contents(&world.history(users[1], room).await)[..2], ["antes", "antes"]);
    // The batch's provisional twins are gone: its messages absorb none.
    let after = world.write(users[0], room, send("uno")).await;
    assert_eq!(committed(&after).cursor.seq, before as u64 + 1);
    assert_eq!(world.events().len(), before + 1);
    world.store.close().await;
    assert_eq!(world.backend.number("SELECT count(*) FROM message_reads").await, 0, "not even later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_gone_in_the_middle_leaves_nothing() {
    let (world, store, room, users) = world().await;
    on_writer(
        &store,
        "CREATE TEMP TRIGGER gone BEFORE INSERT ON main.messages WHEN NEW.content = 'fuera' \
         BEGIN SELECT RAISE(ROLLBACK, 'gone'); END",
    )
    .await;
    let release = hold(&store);
    let texts = ["uno", "fuera", "dos"];
    let answers = texts.iter().map(|text| world.queue(users[0], room, Transport::Socket, send(text))).collect();
    drop(release);
    for outcome in all(answers).await {
        assert_eq!(refusal(&outcome), Refusal::Unavailable);
    }
    assert!(world.history(users[1], room).await.is_empty());
    assert_eq!(committed(&world.write(users[0], room, send("uno")).await).cursor.seq, 1);
    assert_eq!(holes(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_programs_lock_is_waited_for() {
    let (world, store, room, users) = world().await;
    let path: String =
        store.on_writer(|connection| Ok(connection.path().unwrap_or_default().to_owned())).await.unwrap();
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = world.queue(users[0], room, Transport::Socket, send("paciencia"));
    other.execute_batch("UPDATE users SET display_name = 'B' WHERE username = 'beto'; COMMIT").unwrap();
    committed(&answer.await.unwrap());
}
