//! The effects of a database server's failures on writes: nothing acknowledged is lost, and nothing is written twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::private::MariaDb;
use crate::support::{
    Ids, Maria, Recorder, TestClock, World, committed, contents, named, new_user, prepared, refusal, send, sent,
};
use mysql_async::prelude::Queryable;
use pregon::domain::chat::write::{Action, Transport};
use pregon::domain::feed::post::PostReactionType;
use pregon::domain::feed::write::Action as FeedAction;
use pregon::domain::write::{Outcome, Refusal};
use pregon::ids::{MessageId, RoomId, Topic, UserId};
use pregon::limits;
use pregon::store::mysql::MysqlStore;
use pregon::store::{RegisterError, Store, StoreError, Writes};

/// A world whose store is known to be MySQL.
async fn world(backend: Maria) -> (World, Arc<MysqlStore>) {
    let port = Arc::new(Recorder::default());
    let clock = TestClock::new();
    let store = backend.open_store(Arc::clone(&port), &clock).await;
    (World { backend: Box::new(backend), store: Arc::clone(&store) as _, port, clock }, store)
}

/// A server for this test alone, which ends with the test process.
fn own_server() -> &'static MariaDb {
    Box::leak(Box::new(MariaDb::start()))
}

/// Holds a topic's lane until the sender is dropped, so that writes queued meanwhile form one batch.
async fn hold(store: &Arc<MysqlStore>, topic: Topic) -> std::sync::mpsc::Sender<()> {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (entered, has_entered) = tokio::sync::oneshot::channel();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let wait = move || {
            entered.send(()).unwrap();
            // Returns an error when the sender is dropped.
            let _ = released.recv();
        };
        store.on_lane(topic, wait).await.unwrap();
    });
    has_entered.await.unwrap();
    release
}

/// Rooms with one writer each, who writes one message after the other.
struct Load {
    writers: Vec<tokio::task::JoinHandle<Written>>,
    stop: Arc<AtomicBool>,
}

/// The acknowledged messages of one writer, in order.
struct Written {
    room: RoomId,
    acknowledged: Vec<MessageId>,
    /// How often the lane gave up.
    refused: usize,
    /// The longest time from one acknowledgement to the next.
    longest_gap: Duration,
}

impl Load {
    async fn start(world: &World, rooms: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = Self { writers: Vec::new(), stop: Arc::clone(&stop) };
        for number in 0..rooms {
            let user = world.user(&format!("user{number}")).await;
            let room = world.group(&[user]).await;
            load.writers.push(tokio::spawn(write(Arc::clone(&world.store), room, user, Arc::clone(&stop))));
        }
        load
    }

    /// Waits until `more` messages are in the log, as seen by another connection.
    async fn reaches(&self, world: &World, more: i64) {
        let count = "SELECT count(*) FROM pregon_events";
        let before = world.backend.number(count).await;
        while world.backend.number(count).await < before + more {
            tokio::task::yield_now().await;
        }
    }

    /// Stops the writers, and compares what they were told with what is stored.
    async fn check(self, world: &World, backend: &Maria) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut report = Report::default();
        for writer in self.writers {
            let written = writer.await.unwrap();
            let sql =
                format!("SELECT id FROM messages WHERE chat_room_id = '{}' ORDER BY created_at", written.room.hex());
            let stored = ids(backend, &sql).await;
            assert_eq!(stored, written.acknowledged, "in order, once, and nothing else");
            let sql = format!(
                "SELECT message_id FROM pregon_events WHERE topic = 'room:{}' ORDER BY seq",
                written.room.hex()
            );
            assert_eq!(ids(backend, &sql).await, stored, "the log has the same order");
            report.acknowledged += written.acknowledged.len();
            report.stored += stored.len();
            report.refused += written.refused;
            report.longest_gap = report.longest_gap.max(written.longest_gap);
        }
        let told = world.events();
        let mut seqs: HashMap<Topic, u64> = HashMap::new();
        for event in &told {
            let before = seqs.insert(event.topic, event.cursor.seq).unwrap_or(0);
            assert_eq!(event.cursor.seq, before + 1, "told in order, without a hole, once");
        }
        assert_eq!(told.len(), report.stored);
        report
    }
}

#[derive(Debug, Default)]
#[allow(dead_code, reason = "printed")]
struct Report {
    acknowledged: usize,
    stored: usize,
    refused: usize,
    longest_gap: Duration,
}

async fn write(store: Arc<dyn Store>, room: RoomId, user: UserId, stop: Arc<AtomicBool>) -> Written {
    let mut written = Written { room, acknowledged: Vec::new(), refused: 0, longest_gap: Duration::ZERO };
    let mut last = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("mensaje {number}");
        // A refused message is sent again under the same name.
        let message = loop {
            match store.write(user, room, named(&text, &number.to_string())).await {
                Outcome::Refused(Refusal::Unavailable) => written.refused += 1,
                // Another writer has filled the lane.
                Outcome::Refused(Refusal::Busy) => tokio::task::yield_now().await,
                Outcome::Repeated(message, _) => break message.id,
                outcome => break sent(&outcome).id,
            }
        };
        written.acknowledged.push(message);
        written.longest_gap = written.longest_gap.max(last.elapsed());
        last = Instant::now();
    }
    written
}

async fn ids(backend: &Maria, sql: &str) -> Vec<MessageId> {
    let ids: Vec<String> = backend.connect().await.query(sql).await.unwrap();
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_alone_is_answered_alone() {
    let (world, store) = world(Maria::new(Ids::Uuid)).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    // The insert of the event's row fails after that of the message's row: the savepoint must undo both.
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON pregon_events FOR EACH ROW \
        IF (SELECT content FROM messages WHERE id = NEW.message_id) LIKE 'veneno%' \
        THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poisoned'; END IF";
    world.backend.sql(poison).await;
    let release = hold(&store, Topic::Room(room)).await;
    let texts = ["uno", "veneno", "dos", "veneno otra vez", "tres"];
    let mut answers: Vec<_> =
        texts.iter().map(|text| world.queue(users[0], room, Transport::Socket, send(text))).collect();
    // A second transport's copy of a failed message is no twin, and the failed client_id is free.
    answers.push(world.queue(users[0], room, Transport::Rest, send("dos")));
    answers.push(world.queue(users[0], room, Transport::Socket, named("veneno con nombre", "k")));
    answers.push(world.queue(users[0], room, Transport::Socket, named("cuatro", "k")));
    drop(release);
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.unwrap());
    }
    let seqs: Vec<_> = [0, 2, 4, 7].iter().map(|index| committed(&outcomes[*index]).cursor.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4], "a failed write takes no place");
    for failed in [1, 3, 6] {
        assert_eq!(refusal(&outcomes[failed]), Refusal::Unavailable);
    }
    assert!(matches!(&outcomes[5], Outcome::Twin(twin) if twin.id == sent(&outcomes[2]).id));
    assert_eq!(contents(&world.history(users[1], room).await), ["cuatro", "tres", "dos", "uno"]);
    assert_eq!(world.events().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_fails_those_alone_who_need_it() {
    let backend = Maria::new(Ids::Char).with_lanes(1);
    let (world, store) = world(backend.clone()).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    let message = sent(&world.write(users[0], room, send("hola")).await).id;
    let post = world.publish(users[0], "hola").await;
    let good = world.publish(users[0], "otra").await;
    let mut other = backend.connect().await;
    other.query_drop("SET foreign_key_checks = 0").await.unwrap();
    other.query_drop("UPDATE messages SET sender_id = 'nobody'").await.unwrap();
    other.query_drop(format!("UPDATE posts SET user_id = 'nobody' WHERE id = '{}'", post.hex())).await.unwrap();
    let react = |post| FeedAction::React { post, reaction: PostReactionType::Like };
    let release = hold(&store, Topic::Room(room)).await;
    let (one, chat_bad, feed_bad, feed_good, two, ()) = tokio::join!(
        world.write(users[0], room, send("uno")),
        world.write(users[0], room, Action::Edit { message, content: "adiós".into() }),
        world.feed(users[1], react(post)),
        world.feed(users[1], react(good)),
        world.write(users[0], room, send("dos")),
        async { drop(release) },
    );
    assert_eq!([&one, &two].map(|outcome| committed(outcome).cursor.seq), [2, 3]);
    committed(&feed_good);
    assert_eq!([&chat_bad, &feed_bad].map(refusal), [Refusal::Unavailable; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_become_read_only_is_left_for_the_one_that_takes_writes() {
    let backend = Maria::new(Ids::Uuid).with_lanes(1);
    let (world, _store) = world(backend.clone()).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    sent(&world.write(users[0], room, send("hola")).await);
    // For existing connections the server is the old primary; for later ones the new one.
    let mut other = backend.connect().await;
    let last: u64 = other.query_first("SELECT connection_id()").await.unwrap().unwrap();
    for table in ["pregon_events", "users"] {
        let demoted = format!(
            "CREATE TRIGGER demoted_{table} BEFORE INSERT ON {table} FOR EACH ROW IF connection_id() <= {last} \
             THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'running with --read-only'; END IF"
        );
        other.query_drop(demoted).await.unwrap();
    }
    assert_eq!(refusal(&world.write(users[0], room, send("uno")).await), Refusal::Unavailable);
    assert_eq!(committed(&world.write(users[0], room, send("dos")).await).cursor.seq, 2);
    let refused = world.store.register(new_user("caro")).await;
    assert!(matches!(refused, Err(RegisterError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    world.store.register(new_user("caro")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again() {
    let backend = Maria::new(Ids::Char);
    let (world, store) = world(backend.clone()).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    // Another program holds the room's row and waits for its topic's; the lane holds the topic's and waits for the
    // room's. The server aborts the transaction that has changed less.
    let mut other = backend.connect().await;
    other.query_drop("CREATE TABLE ballast (n int)").await.unwrap();
    other.query_drop("START TRANSACTION").await.unwrap();
    other.query_drop("INSERT INTO ballast SELECT seq FROM seq_1_to_1000").await.unwrap();
    other.query_drop(format!("SELECT 1 FROM chat_rooms WHERE id = '{}' FOR UPDATE", room.hex())).await.unwrap();
    let deadlocks = "SELECT variable_value FROM information_schema.global_status \
        WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'";
    let answer = world.queue(users[0], room, Transport::Socket, send("hola"));
    while world.backend.number(deadlocks).await == 0 {
        tokio::task::yield_now().await;
    }
    let topic = format!("SELECT 1 FROM pregon_topics WHERE topic = 'room:{}' FOR UPDATE", room.hex());
    other.query_drop(topic).await.expect("the lane is given up, not this one");
    other.query_drop("COMMIT").await.unwrap();
    assert_eq!(committed(&answer.await.unwrap()).cursor.seq, 1);
    assert_eq!(contents(&world.history(users[1], room).await), ["hola"]);
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_connections_lose_nothing() {
    let backend = Maria::on(own_server(), Ids::Uuid);
    let (world, _store) = world(backend.clone()).await;
    let load = Load::start(&world, 6).await;
    let mut other = backend.connect().await;
    let connections = "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND db = database()";
    for _ in 0..40 {
        load.reaches(&world, 20).await;
        let ids: Vec<u64> = other.query(connections).await.unwrap();
        for id in ids {
            // Some connections have ended already.
            let _ = other.query_drop(format!("KILL {id}")).await;
        }
    }
    let report = load.check(&world, &backend).await;
    eprintln!("connections killed 40 times: {report:?}");
    assert_eq!(report.refused, 0, "a lost connection is replaced before anybody hears of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_again_loses_nothing() {
    let server = own_server();
    let backend = Maria::on(server, Ids::Uuid);
    let (world, _store) = world(backend.clone()).await;
    let load = Load::start(&world, 6).await;
    for _ in 0..3 {
        load.reaches(&world, 200).await;
        server.kill();
        server.start_again();
    }
    load.reaches(&world, 200).await;
    let report = load.check(&world, &backend).await;
    eprintln!("killed and started again three times: {report:?}");
    assert!(report.acknowledged >= 800, "{report:?}");
    world.store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_tables_hold_writes_up_and_a_full_lane_gives_them_back() {
    let backend = Maria::on(own_server(), Ids::Uuid);
    let (world, store) = world(backend.clone()).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    let load = Load::start(&world, 4).await;
    load.reaches(&world, 100).await;
    let mut other = backend.connect().await;
    let locked_at = Instant::now();
    other.query_drop("LOCK TABLES messages WRITE").await.unwrap();
    // Nobody waits for a full lane: the write comes back, and the sender is told at once.
    let mut queued = Vec::new();
    let full = loop {
        let (write, answer) = prepared(users[0], room, Transport::Socket, send(&format!("{}", queued.len())));
        match store.submit(write) {
            Ok(()) => queued.push(answer),
            Err(write) => break write,
        }
        assert!(queued.len() <= limits::LANE_WRITES_MAX + limits::BATCH_WRITES_MAX + 1);
    };
    drop(full);
    // Each of the four other writers may have one write in the same lane.
    assert!(queued.len() >= limits::LANE_WRITES_MAX - 4, "{}", queued.len());
    assert!(locked_at.elapsed() < Duration::from_secs(9), "the lane filled while the tables were locked");
    let left = Duration::from_secs(10).saturating_sub(locked_at.elapsed()).as_secs_f64();
    other.query_drop(format!("DO sleep({left})")).await.unwrap();
    other.query_drop("UNLOCK TABLES").await.unwrap();
    for (number, answer) in queued.into_iter().enumerate() {
        assert_eq!(committed(&answer.await.unwrap()).cursor.seq, number as u64 + 1);
    }
    load.reaches(&world, 100).await;
    world.port.events.lock().unwrap().retain(|event| event.topic != Topic::Room(room));
    let report = load.check(&world, &backend).await;
    eprintln!("tables locked for ten seconds: {report:?}");
    assert_eq!(report.refused, 0, "ten seconds are waited for");
    assert!(report.longest_gap >= Duration::from_secs(5), "they were held up: {report:?}");
}
