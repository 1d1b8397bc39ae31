//! `kill -9` of the writing process: everything acknowledged is stored, once, and the log has no gap.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::{FIRST_PAGE, Recorder, send};
use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::write::Transport;
use pregon::domain::event::Committed;
use pregon::domain::write::{AnswerTo, Intent, Outcome, Write};
use pregon::ids::{EventId, RoomId, SessionKey, UserId};
use pregon::store::sqlite::{SeedPlan, SqliteOptions, SqliteStore, seed};
use pregon::store::{LanePort, Store, Told};

const FILE: &str = "PREGON_CRASH_TEST_FILE";
const PAIRS: &str = "PREGON_CRASH_TEST_PAIRS";
const ROUNDS: usize = 5;

/// Prints each message's text once it is committed.
struct Acknowledge;

impl LanePort for Acknowledge {
    fn committed(&self, events: Vec<Arc<Committed>>, _: Told) {
        let mut out = std::io::stdout().lock();
        for event in events {
            if let Some(ChatEvent::Sent(message)) = event.chat() {
                writeln!(out, "ack {}", message.content).unwrap();
            }
        }
        out.flush().unwrap();
    }

    fn answered(&self, _: SessionKey, _: Option<&str>, _: &Outcome) {}
}

/// The child process: writes until it is killed.
fn write_until_killed(path: &str, pairs: &str) {
    let pairs: Vec<(RoomId, UserId)> = pairs
        .split(',')
        .map(|pair| pair.split_once(':').map(|(room, user)| (room.parse().unwrap(), user.parse().unwrap())).unwrap())
        .collect();
    let store: Arc<dyn Store> = SqliteStore::open(SqliteOptions::new(path), Arc::new(Acknowledge)).unwrap();
    let round = std::process::id();
    for number in 0_u64.. {
        let (room, actor) = pairs[number as usize % pairs.len()];
        let write = Write {
            event_id: EventId::fresh(),
            actor,
            transport: Transport::Socket,
            intent: Intent::Chat { room, action: send(&format!("{round}-{number}")) },
            answer: AnswerTo::Caller(Box::new(|_| {})),
        };
        let mut write = Box::new(write);
        while let Err(back) = store.submit(write) {
            write = back;
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_it_acknowledged() {
    // This test's own process, started again below.
    if let (Ok(path), Ok(pairs)) = (std::env::var(FILE), std::env::var(PAIRS)) {
        return write_until_killed(&path, &pairs);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pregon.db");
    let plan = SeedPlan { users: 12, rooms: 4, members: 3, ..SeedPlan::default() };
    let seeded = seed(&path, &plan).unwrap();
    let pairs: Vec<(RoomId, UserId)> =
        seeded.rooms.iter().map(|(room, members)| (*room, seeded.users[members[0]].0)).collect();
    let text: Vec<String> = pairs.iter().map(|(room, user)| format!("{room}:{user}")).collect();
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::a_killed_writer_loses_nothing_it_acknowledged", "--nocapture"])
            .env(FILE, &path)
            .env(PAIRS, text.join(","))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed in the middle of a batch, after a number of acknowledgements that differs from round to round.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = acknowledged.len() + 500 + round * 777;
        while acknowledged.len() < enough {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            if let Some((_, text)) = line.split_once("ack ") {
                assert!(acknowledged.insert(text.to_owned()), "acknowledged twice: {text}");
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Lines printed before its death count, too; the last one may be torn.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let whole = rest.len().saturating_sub(1);
        acknowledged.extend(rest[..whole].iter().filter_map(|line| line.strip_prefix("ack ").map(str::to_owned)));
    }
    assert_everything_is_there(&path, &pairs, &acknowledged).await;
}

async fn assert_everything_is_there(
    path: &std::path::Path,
    pairs: &[(RoomId, UserId)],
    acknowledged: &HashSet<String>,
) {
    let store: Arc<dyn Store> = SqliteStore::open(SqliteOptions::new(path), Arc::new(Recorder::default())).unwrap();
    let mut stored = HashSet::new();
    for (room, user) in pairs {
        let mut page = FIRST_PAGE;
        loop {
            let rows = store.messages(*user, *room, None, page).await.unwrap().rows;
            if rows.is_empty() {
                break;
            }
            for message in rows {
                assert!(stored.insert(message.content.clone()), "stored twice: {}", message.content);
            }
            page.number += 1;
        }
    }
    store.close().await;
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged messages are gone: {lost:?}", lost.len(), acknowledged.len());
    let database = rusqlite::Connection::open(path).unwrap();
    let number = |query: &str| database.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM messages"), stored.len() as i64);
    assert_eq!(number("SELECT count(*) FROM pregon_events"), stored.len() as i64, "one event a message");
    let holes = "SELECT count(*) FROM (SELECT topic, max(seq) - count(*) AS holes FROM pregon_events GROUP BY topic) \
        JOIN pregon_topics USING (topic) WHERE holes <> 0";
    assert_eq!(number(holes), 0);
    let behind = "SELECT count(*) FROM pregon_topics t WHERE seq <> \
        (SELECT max(seq) FROM pregon_events e WHERE e.topic = t.topic)";
    assert_eq!(number(behind), 0);
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
