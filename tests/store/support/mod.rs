//! A store for each test, with a record of the lane's reports and a clock that tests move.

mod mariadb;
#[path = "../../support/private/mod.rs"]
pub mod private;

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pregon::clock::Timestamp;
use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::message::{Message, MessageType};
use pregon::domain::chat::room::{ChatType, NewRoom};
use pregon::domain::chat::write::{Action, NewMessage, Transport};
use pregon::domain::event::Committed;
use pregon::domain::feed::comment::NewComment;
use pregon::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent, RelationEvent};
use pregon::domain::feed::post::NewPost;
use pregon::domain::feed::write::Action as FeedAction;
use pregon::domain::notification::Notification;
use pregon::domain::user::NewUser;
use pregon::domain::write::{AnswerTo, Intent, Outcome, Refusal, Write};
use pregon::ids::{CommentId, EventId, MessageId, PostId, RoomId, SessionKey, ShardId, UserId};
use pregon::store::sqlite::{Clock, SqliteOptions, SqliteStore};
use pregon::store::{LanePort, PageRequest, Store, Told};
use tokio::sync::oneshot;

pub use mariadb::{Ids, Maria};

/// What a lane reported, in order.
#[derive(Default)]
pub struct Recorder {
    pub events: Mutex<Vec<Arc<Committed>>>,
    pub answers: Mutex<Vec<(SessionKey, Outcome)>>,
}

impl LanePort for Recorder {
    fn committed(&self, events: Vec<Arc<Committed>>, _: Told) {
        self.events.lock().unwrap().extend(events);
    }

    fn answered(&self, session: SessionKey, _: Option<&str>, outcome: &Outcome) {
        self.answers.lock().unwrap().push((session, outcome.clone()));
    }
}

/// A clock that tests move.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn new() -> Self {
        // Ids use the system's clock, and the twins' memory expects the two to be close.
        Self(Arc::new(AtomicI64::new(Timestamp::now().0)))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub fn as_clock(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// Makes stores of one kind. Each kind runs the same suite.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Opens the backend's database, which still has its contents after a close.
    async fn open(&self, port: Arc<Recorder>, clock: &TestClock) -> Arc<dyn Store>;
    /// Runs plain SQL beside the store, as another program would.
    async fn sql(&self, text: &str);
    /// The first column of the first row.
    async fn number(&self, query: &str) -> i64;
}

/// SQLite in a folder that is removed with the test.
pub struct Sqlite {
    pub folder: tempfile::TempDir,
}

impl Sqlite {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("data").join("pregon.db")
    }

    pub fn open_store(&self, port: Arc<dyn LanePort>, clock: &TestClock) -> Arc<SqliteStore> {
        let options = SqliteOptions { clock: clock.as_clock(), ..SqliteOptions::new(self.path()) };
        SqliteStore::open(options, port).unwrap()
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn open(&self, port: Arc<Recorder>, clock: &TestClock) -> Arc<dyn Store> {
        self.open_store(port, clock)
    }

    async fn sql(&self, text: &str) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.execute_batch(text).unwrap();
    }

    async fn number(&self, query: &str) -> i64 {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }
}

/// A store with its surroundings.
pub struct World {
    pub backend: Box<dyn Backend>,
    pub store: Arc<dyn Store>,
    pub port: Arc<Recorder>,
    pub clock: TestClock,
}

pub const FIRST_PAGE: PageRequest = PageRequest::numbered(1, 50);

pub const SESSION: SessionKey = SessionKey { shard: ShardId(0), index: 7, generation: 1 };

impl World {
    pub async fn new(backend: Box<dyn Backend>) -> Self {
        let port = Arc::new(Recorder::default());
        let clock = TestClock::new();
        let store = backend.open(Arc::clone(&port), &clock).await;
        Self { backend, store, port, clock }
    }

    /// Closes the store and opens it again, with a new recorder.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.port = Arc::new(Recorder::default());
        self.store = self.backend.open(Arc::clone(&self.port), &self.clock).await;
    }

    pub async fn user(&self, name: &str) -> UserId {
        self.store.register(new_user(name)).await.unwrap()
    }

    /// A group of users with these names; the first one owns it.
    pub async fn room(&self, names: &[&str]) -> (RoomId, Vec<UserId>) {
        let mut users = Vec::new();
        for name in names {
            users.push(self.user(name).await);
        }
        (self.group(&users).await, users)
    }

    pub async fn group(&self, users: &[UserId]) -> RoomId {
        let new = NewRoom {
            creator: users[0],
            chat_type: ChatType::Group,
            name: "grupo".into(),
            description: String::new(),
            others: users[1..].to_vec(),
        };
        self.store.create_room(new).await.unwrap()
    }

    /// A write by REST.
    pub async fn write(&self, actor: UserId, room: RoomId, action: Action) -> Outcome {
        self.store.write(actor, room, action).await
    }

    /// A write by a socket, with an outcome for the test.
    pub async fn frame(&self, actor: UserId, room: RoomId, action: Action) -> Outcome {
        self.queue(actor, room, Transport::Socket, action).await.unwrap()
    }

    /// Queues a write; its outcome comes later.
    pub fn queue(
        &self,
        actor: UserId,
        room: RoomId,
        transport: Transport,
        action: Action,
    ) -> oneshot::Receiver<Outcome> {
        let (write, outcome) = prepared(actor, room, transport, action);
        self.store.submit(write).unwrap();
        outcome
    }

    /// A write by a session, as shards do it.
    pub fn submit(&self, actor: UserId, room: RoomId, action: Action) {
        let write = Write {
            event_id: EventId::fresh(),
            actor,
            transport: Transport::Socket,
            intent: Intent::Chat { room, action },
            answer: AnswerTo::Session(SESSION),
        };
        self.store.submit(Box::new(write)).unwrap();
    }

    /// Waits until everything queued earlier is answered: a direct write takes its place after it.
    pub async fn settle(&self) {
        self.store.ping().await.unwrap();
    }

    pub async fn say(&self, actor: UserId, room: RoomId, text: &str) -> Arc<Message> {
        sent(&self.write(actor, room, send(text)).await)
    }

    /// A write about posts, people or notifications by REST.
    pub async fn feed(&self, actor: UserId, action: FeedAction) -> Outcome {
        self.store.write_feed(actor, action).await
    }

    /// Queues a write about posts, people or notifications; its outcome comes later.
    pub fn queue_feed(&self, actor: UserId, action: FeedAction) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        let answer = AnswerTo::Caller(Box::new(move |outcome| drop(answer.send(outcome))));
        let intent = Intent::Feed(action);
        let write = Write { event_id: EventId::fresh(), actor, transport: Transport::Rest, intent, answer };
        self.store.submit(Box::new(write)).unwrap();
        outcome
    }

    /// Users with these names.
    pub async fn users<const N: usize>(&self, names: [&str; N]) -> [UserId; N] {
        let mut users = [UserId::default(); N];
        for (user, name) in users.iter_mut().zip(names) {
            *user = self.user(name).await;
        }
        users
    }

    /// A public text post.
    pub async fn publish(&self, author: UserId, text: &str) -> PostId {
        self.publish_new(author, NewPost::text(text.into())).await
    }

    pub async fn publish_new(&self, author: UserId, new: NewPost) -> PostId {
        let post = PostId::fresh();
        committed(&self.feed(author, FeedAction::Publish { post, new: Box::new(new) }).await);
        post
    }

    /// A comment, or a reply.
    pub async fn comment(&self, actor: UserId, post: PostId, parent: Option<CommentId>, text: &str) -> CommentId {
        let new = NewComment { post, parent, content: text.into(), image: None };
        match self.feed(actor, FeedAction::Comment(new)).await {
            Outcome::Committed(event) => match post_change(&event) {
                PostChange::Commented { comment, .. } => comment.id,
                other => panic!("not a comment: {other:?}"),
            },
            other => panic!("not committed: {other:?}"),
        }
    }

    /// The two become friends.
    pub async fn befriend(&self, one: UserId, other: UserId) {
        let outcome = self.feed(one, FeedAction::RequestFriend { user: other }).await;
        let request = relation(committed(&outcome)).request.unwrap();
        committed(&self.feed(other, FeedAction::AnswerRequest { request, accept: true }).await);
    }

    /// All events for feeds since the last call.
    pub fn take_events(&self) -> Vec<Arc<Committed>> {
        std::mem::take(&mut *self.port.events.lock().unwrap())
    }

    /// The new notifications among the events since the last call.
    pub fn take_notifications(&self) -> Vec<Arc<Notification>> {
        let events = self.take_events();
        let came = events.iter().filter_map(|event| match event.feed() {
            Some(FeedEvent::Notification { change: NotificationChange::Came(came), .. }) => Some(Arc::clone(came)),
            _ => None,
        });
        came.collect()
    }

    /// The changes of notifications since the last call.
    pub fn take_notification_changes(&self) -> Vec<NotificationChange> {
        let events = self.take_events();
        let changes = events.iter().filter_map(|event| match event.feed() {
            Some(FeedEvent::Notification { change, .. }) => Some(change.clone()),
            _ => None,
        });
        changes.collect()
    }

    pub async fn history(&self, viewer: UserId, room: RoomId) -> Vec<Message> {
        self.store.messages(viewer, room, None, FIRST_PAGE).await.unwrap().rows
    }

    pub fn events(&self) -> Vec<Arc<Committed>> {
        self.port.events.lock().unwrap().clone()
    }
}

/// A write, and the receiver of its outcome.
pub fn prepared(
    actor: UserId,
    room: RoomId,
    transport: Transport,
    action: Action,
) -> (Box<Write>, oneshot::Receiver<Outcome>) {
    let (answer, outcome) = oneshot::channel();
    let answer = AnswerTo::Caller(Box::new(move |outcome| drop(answer.send(outcome))));
    let intent = Intent::Chat { room, action };
    (Box::new(Write { event_id: EventId::fresh(), actor, transport, intent, answer }), outcome)
}

pub fn post_event(event: &Committed) -> &PostEvent {
    match event.feed() {
        Some(FeedEvent::Post(event)) => event,
        _ => panic!("not of a post: {event:?}"),
    }
}

pub fn post_change(event: &Committed) -> &PostChange {
    &post_event(event).change
}

pub fn relation(event: &Committed) -> RelationEvent {
    match event.feed() {
        Some(FeedEvent::Relation(event)) => *event,
        _ => panic!("not between people: {event:?}"),
    }
}

pub fn new_user(name: &str) -> NewUser {
    NewUser {
        email: format!("{name}@example.com"),
        username: name.into(),
        display_name: format!("{name} Pérez"),
        password_hash: "pbkdf2_sha256$1$salt$hash".into(),
        account_type: "user".into(),
        ..NewUser::default()
    }
}

pub fn send(text: &str) -> Action {
    Action::Send(NewMessage::text(text.into(), MessageType::Text))
}

pub fn named(text: &str, client_id: &str) -> Action {
    let new = NewMessage::text(text.into(), MessageType::Text);
    Action::Send(NewMessage { client_id: Some(client_id.into()), ..new })
}

pub fn committed(outcome: &Outcome) -> &Arc<Committed> {
    match outcome {
        Outcome::Committed(event) => event,
        other => panic!("not committed: {other:?}"),
    }
}

pub fn sent(outcome: &Outcome) -> Arc<Message> {
    match committed(outcome).chat() {
        Some(ChatEvent::Sent(message)) => Arc::clone(message),
        other => panic!("not a message: {other:?}"),
    }
}

pub fn refusal(outcome: &Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub fn contents(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.content.as_str()).collect()
}

pub fn unknown_message() -> MessageId {
    MessageId::fresh()
}
