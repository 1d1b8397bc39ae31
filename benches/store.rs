//! A batch of 1, 100 and 1,000 messages through the write lane into SQLite: a real file, `synchronous=FULL`.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pregon::domain::chat::message::MessageType;
use pregon::domain::chat::room::{ChatType, NewRoom};
use pregon::domain::chat::write::{Action, NewMessage, Transport};
use pregon::domain::event::Committed;
use pregon::domain::user::NewUser;
use pregon::domain::write::{AnswerTo, Intent, Outcome, Write};
use pregon::ids::{EventId, RoomId, SessionKey, UserId};
use pregon::store::sqlite::{SqliteOptions, SqliteStore};
use pregon::store::{LanePort, Store, Told};

/// A port that ignores everything.
struct Nobody;

impl LanePort for Nobody {
    fn committed(&self, _: Vec<Arc<Committed>>, _: Told) {}
    fn answered(&self, _: SessionKey, _: Option<&str>, _: &Outcome) {}
}

/// A store with one room of two.
struct World {
    store: Arc<dyn Store>,
    room: RoomId,
    author: UserId,
    said: Mutex<u64>,
}

impl World {
    async fn new(folder: &Path) -> Self {
        let options = SqliteOptions::new(folder.join("pregon.db"));
        let store: Arc<dyn Store> = SqliteStore::open(options, Arc::new(Nobody)).expect("a store");
        let author = store.register(new_user("ana")).await.expect("a user");
        let other = store.register(new_user("beto")).await.expect("a user");
        let room = NewRoom {
            creator: author,
            chat_type: ChatType::Group,
            name: "grupo".into(),
            description: String::new(),
            others: vec![other],
        };
        let room = store.create_room(room).await.expect("a room");
        Self { store, room, author, said: Mutex::new(0) }
    }

    /// Queues a message; `answer` is called on the lane's thread after its commit.
    fn say(&self, answer: impl FnOnce() + Send + 'static) {
        let mut said = self.said.lock().expect("one thread");
        *said += 1;
        let content = format!("Message {said}: la reunion empieza a las diez en la sala grande, no llegues tarde.");
        let write = Write {
            event_id: EventId::fresh(),
            actor: self.author,
            transport: Transport::Socket,
            intent: Intent::Chat {
                room: self.room,
                action: Action::Send(NewMessage::text(content, MessageType::Text)),
            },
            answer: AnswerTo::Caller(Box::new(move |outcome| {
                assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
                answer();
            })),
        };
        self.store.submit(Box::new(write)).expect("the lane's queue has room");
    }

    /// The time of one batch of exactly `writes` messages. An earlier message holds the lane until all are queued.
    fn batch(&self, writes: u64) -> Duration {
        let (is_held, held): (Sender<()>, Receiver<()>) = mpsc::channel();
        let (go, gate): (Sender<()>, Receiver<()>) = mpsc::channel();
        self.say(move || {
            is_held.send(()).expect("somebody waits for the lane");
            gate.recv().expect("somebody opens the gate");
        });
        held.recv().expect("the lane is held");
        let (answered, answers) = mpsc::channel();
        for _ in 0..writes {
            let answered = answered.clone();
            self.say(move || answered.send(()).expect("somebody counts the answers"));
        }
        let started = Instant::now();
        go.send(()).expect("the lane waits");
        (0..writes).for_each(|_| answers.recv().expect("an answer"));
        started.elapsed()
    }
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        email: format!("{name}@example.com"),
        username: name.into(),
        display_name: name.into(),
        ..NewUser::default()
    }
}

fn batches(criterion: &mut Criterion) {
    // Below the target folder, because a folder for temporary files may be in memory, where nothing is synced.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let world = runtime.block_on(World::new(folder.path()));
    let mut group = criterion.benchmark_group("store/batch");
    group.sample_size(20);
    for (name, writes) in [("1", 1), ("100", 100), ("1,000", 1_000)] {
        group.throughput(Throughput::Elements(writes));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|batches| (0..batches).map(|_| world.batch(writes)).sum());
        });
    }
    group.finish();
    runtime.block_on(world.store.close());
}

criterion_group!(benches, batches);
criterion_main!(benches);
