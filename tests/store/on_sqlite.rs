//! The database file: created, migrated, refused, seeded, copied, and its log kept short.

use std::path::Path;
use std::sync::Arc;

use crate::support::{Backend, FIRST_PAGE, Recorder, Sqlite, TestClock, World, committed, contents, send};
use pregon::domain::user::Membership;
use pregon::limits::PEOPLE_LISTED_MAX;
use pregon::store::sqlite::{SeedPlan, SqliteOptions, SqliteStore, backup, migrate, seed};
use pregon::store::{Store, StoreError};

fn open(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(SqliteStore::open(SqliteOptions::new(path), Arc::new(Recorder::default()))?)
}

/// The sentence of the refusal.
fn refused(path: &Path) -> String {
    match open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

fn number(path: &Path, query: &str) -> i64 {
    rusqlite::Connection::open(path).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_migration_shows_its_plan_first_and_runs_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("pregon.db");
    let plan = migrate(&path, true).unwrap();
    assert!(plan.len() >= 2 && plan.iter().all(|line| line.applied.is_none()));
    assert!(!path.exists() && !path.parent().unwrap().exists(), "a dry run makes nothing");
    assert!(plan[0].to_string().contains("0001_people_and_chat") && plan[0].to_string().contains("to do"));

    assert_eq!(migrate(&path, false).unwrap(), plan);
    let done = migrate(&path, true).unwrap();
    assert!(done.iter().all(|line| line.applied.is_some()));
    assert_eq!(migrate(&path, false).unwrap(), done);
    assert_eq!(number(&path, "SELECT count(*) FROM pregon_migrations"), done.len() as i64);
}

/// A file with only the first migrations, two users who follow each other, and counters that drifted.
fn older_file(path: &Path) {
    let older = rusqlite::Connection::open(path).unwrap();
    older
        .execute_batch("CREATE TABLE pregon_migrations (number INTEGER PRIMARY KEY, name text, applied_at text)")
        .unwrap();
    for (number, name) in [(1, "0001_people_and_chat"), (2, "0002_event_log")] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("migrations/sqlite/{name}.sql"));
        older.execute_batch(&std::fs::read_to_string(file).unwrap()).unwrap();
        older
            .execute("INSERT INTO pregon_migrations VALUES (?1, ?2, '2026-01-01 00:00:00.000000')", (number, name))
            .unwrap();
    }
    let time = "2026-01-01 00:00:00.000000";
    for number in [1, 2] {
        let user = format!(
            "INSERT INTO users VALUES ('{number:032}', '', NULL, 0, '', '', 0, 1, '{time}', 'u{number}@example.com', \
             'u{number}', 'U', NULL, NULL, '', '', '', '', '[]', '[]', 0, 0, 0, 7, 7, 7, '{time}', '{time}', '{time}', \
             0, 0, 'user', '', '', '')"
        );
        let follow =
            format!("INSERT INTO user_follows VALUES ('{number}', '{time}', '{number:032}', '{:032}')", 3 - number);
        older.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        older.execute_batch(&format!("{user}; {follow}")).unwrap();
    }
}

#[tokio::test]
async fn an_older_file_is_brought_up_to_date_with_its_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pregon.db");
    older_file(&path);
    let store = open(&path).unwrap();
    let user = format!("{:032}", 1).parse().unwrap();
    let profile = store.profile(user).await.unwrap().unwrap();
    assert_eq!((profile.followers_count, profile.following_count, profile.posts_count), (1, 1, 0));
    assert!(store.unread_notifications(user).await.unwrap() == 0);
    store.close().await;
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("text"), "not a database, and long enough to be read as a page of one".repeat(99)).unwrap();
    assert!(refused(&at("text")).contains("is not a SQLite database"));
    assert!(refused(&at("text").join("pregon.db")).contains("cannot create"));
    assert!(refused(folder.path()).contains("cannot be opened"));

    let other = rusqlite::Connection::open(at("other")).unwrap();
    other.execute_batch("CREATE TABLE recipes (id int)").unwrap();
    assert!(refused(&at("other")).contains("belongs to another program (it has a table recipes)"));
    assert_eq!(number(&at("other"), "SELECT count(*) FROM sqlite_master"), 1, "it is left as it was");

    migrate(&at("newer"), false).unwrap();
    let newer = rusqlite::Connection::open(at("newer")).unwrap();
    newer.execute_batch("INSERT INTO pregon_migrations VALUES (9999, 'future', '')").unwrap();
    assert!(refused(&at("newer")).contains("newer pregon"));
}

#[tokio::test]
async fn a_seeded_database_has_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pregon.db");
    let plan = SeedPlan {
        users: 25,
        rooms: 7,
        members: 10,
        follows: 3,
        password_hash: "pbkdf2_sha256$1$s$h".into(),
        allow_existing: false,
    };
    let seeded = seed(&path, &plan).unwrap();
    assert_eq!((seeded.users.len(), seeded.rooms.len()), (25, 7));
    assert_eq!(seeded.users[0].1, "user00001");
    assert_eq!(seeded.rooms[2].1, [20, 21, 22, 23, 24, 0, 1, 2, 3, 4], "consecutive, wrapping round");

    let store = open(&path).unwrap();
    let (room, members) = &seeded.rooms[2];
    for member in members {
        assert_eq!(store.admission(*room, seeded.users[*member].0).await.unwrap().membership, Membership::Open);
    }
    assert_eq!(store.admission(*room, seeded.users[5].0).await.unwrap().membership, Membership::None);
    let profile = store.profile(seeded.users[24].0).await.unwrap().unwrap();
    assert_eq!((profile.followers_count, profile.following_count, &*profile.email), (3, 3, "user25@example.com"));
    let outcome = store.write(seeded.users[members[0]].0, *room, send("hola")).await;
    assert_eq!(committed(&outcome).cursor.seq, 1);
    store.close().await;

    assert!(seed(&path, &plan).unwrap_err().to_string().contains("already holds users"));
    let more = seed(&path, &SeedPlan { allow_existing: true, ..plan.clone() }).unwrap();
    assert_eq!(more.users[0].1, "user00026", "taken names are passed over");
    assert_eq!(number(&path, "SELECT count(*) FROM users"), 50);
    for impossible in [SeedPlan { members: 26, ..plan.clone() }, SeedPlan { follows: 25, ..plan }] {
        let empty = folder.path().join("impossible.db");
        assert!(seed(&empty, &impossible).unwrap_err().to_string().contains("ask for fewer"));
        assert!(!empty.exists());
    }
}

#[tokio::test]
async fn a_copy_of_a_database_in_use_opens_and_begins_its_logs_anew() {
    let backend = Sqlite::new();
    let path = backend.path();
    let copy = backend.folder.path().join("copy.db");
    let world = World::new(Box::new(backend)).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    for text in ["uno", "dos", "tres"] {
        world.say(users[0], room, text).await;
    }
    backup(&path, &copy).unwrap();
    world.say(users[0], room, "cuatro").await;
    assert!(backup(&path, &copy).unwrap_err().to_string().contains("name a new file"), "nothing is overwritten");
    assert!(backup(&copy.join("nowhere"), &path.with_extension("x")).is_err());
    assert!(!path.with_extension("x").exists());

    let store = open(&copy).unwrap();
    let history = store.messages(users[1], room, None, FIRST_PAGE).await.unwrap().rows;
    assert_eq!(contents(&history), ["tres", "dos", "uno"]);
    let outcome = store.write(users[0], room, send("otro cuatro")).await;
    let cursor = committed(&outcome).cursor;
    assert_eq!((cursor.epoch, cursor.seq), (2, 1), "a cursor of the original does not fit the copy");
    assert!(committed(&outcome).at > history[0].created_at);
    store.close().await;
}

#[tokio::test]
async fn closing_empties_the_log_and_keeps_everything() {
    let backend = Sqlite::new();
    let path = backend.path();
    let world = World::new(Box::new(backend)).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    world.say(users[0], room, "hola").await;
    let log = path.with_extension("db-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 0);
    world.store.close().await;
    assert!(!log.exists() || std::fs::metadata(&log).unwrap().len() == 0);
    assert_eq!(number(&path, "SELECT count(*) FROM messages"), 1);
}

#[tokio::test]
async fn a_dropped_store_has_committed_what_was_queued() {
    let backend = Sqlite::new();
    let port = Arc::new(Recorder::default());
    let clock = TestClock::new();
    let store = backend.open(Arc::clone(&port), &clock).await;
    let world = World { backend: Box::new(backend), store, port, clock };
    let (room, users) = world.room(&["ana", "beto"]).await;
    for number in 0..200 {
        world.submit(users[0], room, send(&number.to_string()));
    }
    let World { backend, store, port, .. } = world;
    drop(store);
    assert_eq!(port.events.lock().unwrap().len(), 200);
    assert_eq!(backend.number("SELECT count(*) FROM messages").await, 200);
}

#[tokio::test]
async fn a_room_made_by_other_means_has_its_order_too() {
    let mut world = World::new(Box::new(Sqlite::new())).await;
    let (room, users) = world.room(&["ana", "beto"]).await;
    world.backend.sql("DELETE FROM pregon_topics").await;
    let outcome = world.write(users[0], room, send("hola")).await;
    assert_eq!(committed(&outcome).cursor.seq, 1);
    world.reopen().await;
    let outcome = world.write(users[0], room, send("adiós")).await;
    assert_eq!(committed(&outcome).cursor.seq, 2);
}

/// Lists of people without pages are bounded, also that of friends.
#[tokio::test]
async fn lists_of_people_are_bounded() {
    let sqlite = Sqlite::new();
    let path = sqlite.path();
    let many = PEOPLE_LISTED_MAX as usize + 5;
    let seeded = seed(&path, &SeedPlan { users: many, ..SeedPlan::default() }).unwrap();
    let ana = seeded.users[0].0;
    let rows = "INSERT INTO friendships SELECT lower(hex(randomblob(16))), '2026-01-01 00:00:00.000000', \
        min(id, ?1), max(id, ?1) FROM users WHERE id <> ?1";
    let follows = "INSERT INTO user_follows (id, created_at, follower_id, following_id) \
        SELECT lower(hex(randomblob(16))), '2026-01-01 00:00:00.000000', id, ?1 FROM users WHERE id <> ?1";
    let database = rusqlite::Connection::open(&path).unwrap();
    let ana_hex = ana.0.simple().to_string();
    for sql in [rows, follows] {
        assert_eq!(database.execute(sql, [&ana_hex]).unwrap(), many - 1);
    }
    let store = open(&path).unwrap();
    let friends = store.friends(ana, ana).await.unwrap();
    let followers = store.followers(ana, ana).await.unwrap();
    assert_eq!([friends.len(), followers.len()], [PEOPLE_LISTED_MAX as usize; 2]);
    store.close().await;
}
