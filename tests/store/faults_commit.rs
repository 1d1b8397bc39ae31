//! A COMMIT whose answer is lost: whether or not it was written, its messages are answered once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::support::{Ids, Maria, Recorder, TestClock, World, committed, contents, send};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use pregon::domain::chat::write::Transport;
use pregon::ids::RoomId;
use pregon::store::Store;
use pregon::store::mysql::{Link, MysqlOptions, MysqlStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next COMMIT that brings a message.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The COMMIT and its answer pass.
    Passes = 0,
    /// The server gets it, but its answer is lost.
    AnswerLost = 1,
    /// The server never gets it.
    Lost = 2,
    /// The server gets it, and the client is cut off before the answer.
    CutOff = 3,
}

/// The proxy between the store and the server.
struct Way {
    port: u16,
    fate: Arc<AtomicU8>,
}

impl Way {
    async fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fate = Arc::new(AtomicU8::new(0));
        let shared = Arc::clone(&fate);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server_port)).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, fate }
    }

    fn next(&self, fate: Fate) {
        self.fate.store(fate as u8, Ordering::SeqCst);
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, fate: Arc<AtomicU8>) {
    let mut question = vec![0; 1 << 16];
    let mut answer = vec![0; 1 << 16];
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(count @ 1..) = read else { return };
                let part = &question[..count];
                let has = |text: &[u8]| part.windows(text.len()).any(|window| window == text);
                if has(b"INSERT INTO messages") && has(b"COMMIT") {
                    match fate.swap(0, Ordering::SeqCst) {
                        0 => {}
                        1 => {
                            server.write_all(part).await.unwrap();
                            // The server finishes what it has, and then sees the end of the stream.
                            server.shutdown().await.unwrap();
                            while server.read(&mut answer).await.is_ok_and(|count| count > 0) {}
                            return;
                        }
                        2 => return,
                        _ => {
                            server.write_all(part).await.unwrap();
                            drop(client);
                            while server.read(&mut answer).await.is_ok_and(|count| count > 0) {}
                            return;
                        }
                    }
                }
                server.write_all(part).await.unwrap();
            }
            read = server.read(&mut answer) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&answer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

struct Scene {
    world: World,
    backend: Maria,
    way: Way,
    room: RoomId,
}

impl Scene {
    async fn new() -> Self {
        let backend = Maria::new(Ids::Uuid);
        let direct = backend.url().await;
        let server_port = crate::support::private::MariaDb::shared().port();
        let way = Way::to(server_port).await;
        let url = direct.replace(&format!(":{server_port}/"), &format!(":{}/", way.port)) + "?prefer_socket=false";
        let port = Arc::new(Recorder::default());
        let clock = TestClock::new();
        let options = MysqlOptions { clock: clock.as_clock(), ..MysqlOptions::new(Link::parse(&url).unwrap()) };
        let store = MysqlStore::open(options, Arc::clone(&port) as _).await.unwrap();
        let world = World { backend: Box::new(backend.clone()), store: store as Arc<dyn Store>, port, clock };
        let (room, _) = world.room(&["ana", "beto"]).await;
        Self { world, backend, way, room }
    }

    async fn connect(&self) -> Conn {
        self.backend.connect().await
    }

    /// Sends one message before, one that meets `fate`, and one after.
    async fn meets(fate: Fate) {
        let scene = Self::new().await;
        let actor = scene.world.store.participants(&[scene.room]).await.unwrap()[0].1;
        scene.world.say(actor, scene.room, "antes").await;
        scene.way.next(fate);
        let outcome = scene.world.write(actor, scene.room, send("entre")).await;
        assert_eq!(committed(&outcome).cursor.seq, 2, "{fate:?}");
        scene.world.say(actor, scene.room, "después").await;
        assert_eq!(contents(&scene.world.history(actor, scene.room).await), ["después", "entre", "antes"], "{fate:?}");
        assert_eq!(scene.world.events().len(), 3, "{fate:?}: each is told once");
        assert_eq!(scene.way.fate.load(Ordering::SeqCst), 0, "it was met");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_without_an_answer_is_found_and_not_written_again() {
    Scene::meets(Fate::Passes).await;
    Scene::meets(Fate::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_came_to_the_server_is_written_again() {
    Scene::meets(Fate::Lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_still_works_at_is_waited_for() {
    let scene = Scene::new().await;
    let actor = scene.world.store.participants(&[scene.room]).await.unwrap()[0].1;
    // The lane's last round trip blocks on this lock after the client is cut off from it.
    let mut other = scene.connect().await;
    other.query_drop("START TRANSACTION").await.unwrap();
    let lock = format!("SELECT 1 FROM chat_rooms WHERE id = '{}' FOR UPDATE", scene.room.hex());
    other.query_drop(lock).await.unwrap();
    scene.way.next(Fate::CutOff);
    let answer = scene.world.queue(actor, scene.room, Transport::Socket, send("hola"));
    let topic = format!("room:{}", scene.room.0.simple());
    // The first transaction waits for the room; the look-up waits for the topic that the first one holds. Neither can
    // go on by itself.
    let waiting = "SELECT count(*) FROM information_schema.processlist WHERE db = database() \
        AND id <> connection_id() AND (info LIKE 'INSERT INTO messages%' OR info LIKE '%pregon_topics%FOR UPDATE')";
    while scene.world.backend.number(waiting).await < 2 {
        tokio::task::yield_now().await;
    }
    other.query_drop("COMMIT").await.unwrap();
    assert_eq!(committed(&answer.await.unwrap()).cursor.seq, 1);
    let stored = format!("SELECT count(*) FROM pregon_events WHERE topic = '{topic}'");
    assert_eq!(scene.world.backend.number(&stored).await, 1);
    assert_eq!(contents(&scene.world.history(actor, scene.room).await), ["hola"]);
    assert_eq!(scene.world.events().len(), 1);
}
