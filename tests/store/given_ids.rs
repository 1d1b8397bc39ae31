//! The rules take time and ids as they are given: the same writes make the same rows.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pregon::domain::chat::message::ReactionType;
use pregon::domain::chat::write::Action;
use pregon::domain::feed::comment::NewComment;
use pregon::domain::feed::post::{NewPost, PostReactionType};
use pregon::domain::feed::write::Action as FeedAction;
use pregon::ids::{IdSource, PostId};
use pregon::store::sqlite::{SqliteOptions, SqliteStore};
use pregon::store::{Accounts, Chats, Housekeeping, Writes};
use uuid::Uuid;

use crate::support::{Recorder, TestClock, committed, new_user, send, sent};

/// Counts.
#[derive(Default)]
struct Counted(AtomicU64);

impl IdSource for Counted {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + (1 << 100))
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.0.fetch_add(1, Ordering::Relaxed)).unwrap() % bound
    }
}

/// Some writes on a new file; all rows that they made.
async fn play(path: &Path, clock: &TestClock) -> Vec<String> {
    let options =
        SqliteOptions { clock: clock.as_clock(), ids: Arc::new(Counted::default()), ..SqliteOptions::new(path) };
    let store = SqliteStore::open(options, Arc::new(Recorder::default())).unwrap();
    let ana = store.register(new_user("ana")).await.unwrap();
    let beto = store.register(new_user("beto")).await.unwrap();
    let (room, _) = store.open_private_room(ana, beto).await.unwrap();
    let message = sent(&store.write(ana, room, send("hola")).await).id;
    committed(&store.write(beto, room, Action::React { message, reaction: ReactionType::Fire }).await);
    committed(&store.write(beto, room, Action::ReadAll).await);
    let post = PostId(Uuid::from_u128(5));
    let writes = [
        (ana, FeedAction::Publish { post, new: Box::new(NewPost::text("un gol".into())) }),
        (beto, FeedAction::React { post, reaction: PostReactionType::Golazo }),
        (beto, FeedAction::Comment(NewComment { post, parent: None, content: "¡vaya!".into(), image: None })),
        (beto, FeedAction::Share { post, message: String::new() }),
        (beto, FeedAction::Follow { user: ana }),
        (beto, FeedAction::RequestFriend { user: ana }),
    ];
    for (actor, action) in writes {
        committed(&store.write_feed(actor, action).await);
    }
    store.close().await;
    rows(path)
}

fn rows(path: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut rows = Vec::new();
    // An event has its write's id, which its sender gave it.
    for table in [
        "users",
        "chat_rooms",
        "chat_participants",
        "messages",
        "message_reactions",
        "message_reads",
        "posts",
        "post_reactions",
        "comments",
        "post_shares",
        "user_follows",
        "friend_requests",
        "notifications",
    ] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY id")).unwrap();
        let columns = statement.column_count();
        let mut found = statement.query([]).unwrap();
        let before = rows.len();
        while let Some(row) = found.next().unwrap() {
            let values = (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap()));
            rows.push(format!("{table}: {}", values.collect::<Vec<_>>().join(" ")));
        }
        assert!(rows.len() > before, "{table} has rows");
    }
    rows
}

#[tokio::test]
async fn the_same_writes_with_the_same_ids_make_the_same_rows() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
    let first = play(&folder.path().join("first.db"), &clock).await;
    let second = play(&folder.path().join("second.db"), &clock).await;
    assert_eq!(first, second);
}
