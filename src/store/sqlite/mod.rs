//! The embedded database: one connection that writes, a few that read, one that checkpoints.

mod backup;
mod checkpoint;
mod connection;
mod driver;
mod lane;
mod migrate;
mod readers;
mod retention;
mod rows;
mod seed;
mod twins;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

pub use self::backup::backup;
pub use self::migrate::{PlanLine, migrate};
pub use self::seed::seed;
pub use crate::store::seed::{SeedPlan, Seeded};

use self::checkpoint::{Checkpointer, Wal};
use self::driver::View;
use self::lane::SqliteLane;
use self::readers::Readers;
use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::domain::chat::room::{ChatRoom, ChatType, NewRoom, SettingsPatch};
use crate::domain::feed::comment::{Comment, CommentHead};
use crate::domain::feed::post::{Post, PostHead, PostList};
use crate::domain::login::{Bearer, LoginEnd};
use crate::domain::notification::Notification;
use crate::domain::people::FriendRequest;
use crate::domain::user::{Account, Admission, NewUser, Person, UserProfile};
use crate::domain::write::Write;
use crate::ids::{CommentId, FamilyId, MessageId, NotificationId, PostId, RoomId, UserId};
use crate::limits;
pub use crate::store::Clock;
use crate::store::caches::Caches;
use crate::store::sql::accounts::{self, Registration};
use crate::store::sql::{at_once, comments, logins, messages, new_rooms, notifications, people, posts, rooms};
use crate::store::writer::Lane;
use crate::store::{
    Credentials, FileTable, LanePort, NamedFiles, NewRoomError, PageOf, PageRequest, PasswordChange, RegisterError,
    Store, StoreError,
};

/// How to open the database.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The file; it and its folder are made if they are not there.
    pub path: PathBuf,
    /// Connections that read, each with a thread.
    pub readers: usize,
    /// What the time is.
    pub clock: Clock,
    /// Reactions that a post shows, the newest.
    pub shown_reactions: u32,
}

impl SqliteOptions {
    /// Two readers and the system's clock.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            readers: 2,
            clock: Arc::new(Timestamp::now),
            shown_reactions: limits::POST_REACTIONS_SHOWN,
        }
    }
}

/// The store on SQLite.
pub struct SqliteStore {
    threads: Arc<Threads>,
    caches: Arc<Caches>,
    clock: Clock,
    shown_reactions: u32,
}

struct Threads {
    lane: Lane<SqliteLane>,
    readers: Readers,
    checkpointer: Checkpointer,
}

impl Threads {
    /// In the order in which each still needs the next. Blocks.
    fn stop(&self) {
        self.lane.close();
        self.lane.join();
        self.readers.stop();
        self.checkpointer.stop();
    }
}

impl SqliteStore {
    /// Opens the database, brings it to this program's schema and starts its threads. Blocks for as long as that takes.
    ///
    /// The `metrics` recorder must be installed before.
    ///
    /// # Errors
    /// One sentence that says what is wrong with the file and what to do about it.
    pub fn open(options: SqliteOptions, port: Arc<dyn LanePort>) -> Result<Arc<Self>, StoreError> {
        let SqliteOptions { path, readers, clock, shown_reactions } = options;
        migrate(&path, false)?;
        let caches = Arc::new(Caches::default());
        let wal = Arc::new(Wal::default());
        let (lane_caches, lane_clock) = (Arc::clone(&caches), Arc::clone(&clock));
        let lane = SqliteLane::open(path.clone(), lane_caches, lane_clock, Arc::clone(&wal), shown_reactions)?;
        let readers = Readers::start(&path, readers)?;
        let checkpointer = Checkpointer::start(&path, wal)?;
        let lane = Lane::start(0, lane, port)
            .map_err(|error| StoreError::Unavailable(format!("no thread for the write lane: {error}")))?;
        let threads = Arc::new(Threads { lane, readers, checkpointer });
        Ok(Arc::new(Self { threads, caches, clock, shown_reactions }))
    }

    /// Runs `work` on the connection of the lane, between two batches. For tests, which provoke real errors with it.
    ///
    /// # Errors
    /// The lane's queue is full or closed, or `work` failed.
    #[doc(hidden)]
    pub async fn on_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.threads.lane.run(move |lane| Ok(work(&lane.connection)?)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl AsyncFnOnce(&mut View<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (caches, now, shown_reactions) = (Arc::clone(&self.caches), (self.clock)(), self.shown_reactions);
        let run = move |connection: &rusqlite::Connection| {
            let caches = &*caches;
            at_once(read(&mut View { driver: connection, caches, now, shown_reactions, changed: BTreeSet::new() }))
        };
        self.threads.readers.run(run).await
    }

    /// A direct write in a transaction of its own, in its place among the batches.
    async fn direct<T: Send + 'static>(
        &self,
        write: impl AsyncFnOnce(&mut View<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.threads.lane.run(move |lane| lane.change(|view| Ok(at_once(write(view))?))).await
    }
}

impl Drop for SqliteStore {
    /// A store that was not closed commits what is queued all the same. It blocks: call [`Store::close`] first.
    fn drop(&mut self) {
        self.threads.stop();
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn submit(&self, write: Box<Write>) -> Result<(), Box<Write>> {
        self.threads.lane.submit(write)
    }

    async fn admission(&self, room: RoomId, user: UserId) -> Result<Admission, StoreError> {
        match self.cached_admission(room, user) {
            Some(admission) => Ok(admission),
            None => self.read(async move |view| rooms::admission(view, room, user).await).await,
        }
    }

    fn cached_admission(&self, room: RoomId, user: UserId) -> Option<Admission> {
        self.caches.admission(room, user, (self.clock)())
    }

    async fn participants(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, UserId)>, StoreError> {
        let rooms = rooms.to_vec();
        self.read(async move |view| rooms::participants(view, &rooms).await).await
    }

    async fn account(&self, user: UserId) -> Result<Option<Arc<Account>>, StoreError> {
        match self.caches.accounts.get(&user, (self.clock)()) {
            Some(account) => Ok(account),
            None => self.read(async move |view| people::account(view, user).await).await,
        }
    }

    async fn credentials(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        let login = login.to_owned();
        self.read(async move |view| accounts::credentials(view, &login).await).await
    }

    async fn profile(&self, user: UserId) -> Result<Option<Arc<UserProfile>>, StoreError> {
        match self.caches.profiles.get(&user, (self.clock)()) {
            Some(profile) => Ok(Some(profile)),
            None => self.read(async move |view| people::profile(view, user).await).await,
        }
    }

    async fn profile_by_name(&self, username: &str) -> Result<Option<Arc<UserProfile>>, StoreError> {
        let username = username.to_owned();
        self.read(async move |view| match people::id_of_name(view, &username).await? {
            Some(user) => people::profile(view, user).await,
            None => Ok(None),
        })
        .await
    }

    async fn register(&self, user: NewUser) -> Result<UserId, RegisterError> {
        let id = UserId::fresh();
        let work = self.direct(async move |view| accounts::register(view, id, &user).await);
        match work.await.map_err(RegisterError::Store)? {
            Registration::Taken { email, username } => return Err(RegisterError::Taken { email, username }),
            Registration::Done => self.caches.forget_user(id),
        }
        Ok(id)
    }

    async fn change_password(&self, change: PasswordChange) -> Result<bool, StoreError> {
        let user = change.user;
        let is_done = self.direct(async move |view| logins::change_password(view, &change).await).await?;
        self.caches.password_changes.forget(&user);
        Ok(is_done)
    }

    async fn bearer(&self, user: UserId, family: FamilyId) -> Result<Bearer, StoreError> {
        match self.cached_bearer(user, family) {
            Some(bearer) => Ok(bearer),
            None => self.read(async move |view| logins::bearer(view, user, family).await).await,
        }
    }

    fn cached_bearer(&self, user: UserId, family: FamilyId) -> Option<Bearer> {
        logins::remembered(&self.caches, user, family, (self.clock)())
    }

    async fn end_logins(&self, end: LoginEnd, expires: Timestamp) -> Result<(), StoreError> {
        self.direct(async move |view| logins::end(view, end, expires).await).await?;
        self.caches.forget_logins(end.user, end.ended);
        Ok(())
    }

    async fn ended_logins(&self, since: Timestamp) -> Result<Vec<LoginEnd>, StoreError> {
        self.read(async move |view| logins::ended_since(view, since).await).await
    }

    async fn use_up(&self, jti: String, expires: Timestamp) -> Result<bool, StoreError> {
        self.direct(async move |view| logins::use_up(view, &jti, expires).await).await
    }

    async fn revoke(&self, jti: String, expires: Timestamp) -> Result<(), StoreError> {
        self.direct(async move |view| accounts::revoke(view, &jti, expires).await).await
    }

    async fn is_revoked(&self, jti: &str) -> Result<bool, StoreError> {
        let jti = jti.to_owned();
        self.read(async move |view| accounts::is_revoked(view, &jti).await).await
    }

    async fn open_private_room(&self, actor: UserId, other: UserId) -> Result<(RoomId, bool), StoreError> {
        let fresh = RoomId::fresh();
        let (room, is_new) =
            self.direct(async move |view| new_rooms::open_private(view, actor, other, fresh).await).await?;
        if is_new {
            for user in [actor, other] {
                self.caches.forget_participant(room, user);
            }
        }
        Ok((room, is_new))
    }

    async fn create_room(&self, room: NewRoom) -> Result<RoomId, NewRoomError> {
        let members: Vec<UserId> = room.others.iter().copied().chain([room.creator]).collect();
        let fresh = RoomId::fresh();
        let work = self.direct(async move |view| new_rooms::create(view, &room, fresh).await);
        let id = work.await.map_err(NewRoomError::Store)?.ok_or(NewRoomError::UnknownUsers)?;
        for user in members {
            self.caches.forget_participant(id, user);
        }
        Ok(id)
    }

    async fn change_room_settings(
        &self,
        viewer: UserId,
        room: RoomId,
        patch: SettingsPatch,
    ) -> Result<bool, StoreError> {
        self.direct(async move |view| new_rooms::change_settings(view, viewer, room, &patch).await).await
    }

    async fn rooms(
        &self,
        viewer: UserId,
        chat_type: Option<ChatType>,
        is_active: bool,
        page: PageRequest,
    ) -> Result<PageOf<ChatRoom>, StoreError> {
        self.read(async move |view| rooms::list(view, viewer, chat_type, is_active, page).await).await
    }

    async fn room_of_page(
        &self,
        viewer: UserId,
        room: RoomId,
        participants: PageRequest,
    ) -> Result<Option<ChatRoom>, StoreError> {
        self.read(async move |view| rooms::one(view, viewer, room, participants).await).await
    }

    async fn messages(
        &self,
        viewer: UserId,
        room: RoomId,
        since: Option<Timestamp>,
        page: PageRequest,
    ) -> Result<PageOf<Message>, StoreError> {
        self.read(async move |view| messages::page(view, viewer, room, since, page).await).await
    }

    async fn message(&self, viewer: UserId, room: RoomId, message: MessageId) -> Result<Option<Message>, StoreError> {
        self.read(async move |view| messages::one(view, viewer, room, message).await).await
    }

    async fn search_people(&self, viewer: UserId, text: &str, page: PageRequest) -> Result<PageOf<Person>, StoreError> {
        let text = text.to_owned();
        self.read(async move |view| people::search(view, viewer, &text, page).await).await
    }

    async fn friends(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        self.read(async move |view| people::friends(view, viewer, of).await).await
    }

    async fn person(&self, viewer: UserId, of: UserId) -> Result<Option<Person>, StoreError> {
        self.read(async move |view| people::person(view, viewer, of).await).await
    }

    fn cached_account(&self, user: UserId) -> Option<Option<Arc<Account>>> {
        self.caches.accounts.get(&user, (self.clock)())
    }

    async fn active_users(&self, users: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        let users = users.to_vec();
        self.read(async move |view| people::active(view, &users).await).await
    }

    async fn post_head(&self, post: PostId) -> Result<Option<PostHead>, StoreError> {
        match self.cached_post_head(post) {
            Some(head) => Ok(head),
            None => self.read(async move |view| posts::known_head(view, post).await).await,
        }
    }

    fn cached_post_head(&self, post: PostId) -> Option<Option<PostHead>> {
        self.caches.post_heads.get(&post, (self.clock)())
    }

    async fn feed_authors(&self, user: UserId) -> Result<Vec<UserId>, StoreError> {
        self.read(async move |view| people::feed_authors(view, user).await).await
    }

    async fn post(&self, viewer: Option<UserId>, post: PostId) -> Result<Option<Post>, StoreError> {
        self.read(async move |view| posts::whole(view, viewer, post).await).await
    }

    async fn post_of_short_id(&self, short_id: &str) -> Result<Option<PostId>, StoreError> {
        let short_id = short_id.to_owned();
        self.read(async move |view| posts::id_of_short(view, &short_id).await).await
    }

    async fn posts(&self, viewer: UserId, list: PostList, page: PageRequest) -> Result<PageOf<Post>, StoreError> {
        self.read(async move |view| posts::page(view, viewer, list, page).await).await
    }

    async fn comment_head(&self, comment: CommentId) -> Result<Option<CommentHead>, StoreError> {
        self.read(async move |view| comments::head(view, comment).await).await
    }

    async fn comment(&self, viewer: UserId, comment: CommentId) -> Result<Option<Comment>, StoreError> {
        self.read(async move |view| comments::one(view, Some(viewer), comment).await).await
    }

    async fn comments(&self, viewer: UserId, post: PostId, page: PageRequest) -> Result<PageOf<Comment>, StoreError> {
        self.read(async move |view| comments::page(view, viewer, post, page).await).await
    }

    async fn replies(
        &self,
        viewer: UserId,
        comment: CommentId,
        page: PageRequest,
    ) -> Result<PageOf<Comment>, StoreError> {
        self.read(async move |view| comments::replies(view, viewer, comment, page).await).await
    }

    async fn followers(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        self.read(async move |view| people::followers(view, viewer, of).await).await
    }

    async fn following(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        self.read(async move |view| people::following(view, viewer, of).await).await
    }

    async fn friend_requests(&self, user: UserId) -> Result<Vec<FriendRequest>, StoreError> {
        self.read(async move |view| notifications::friend_requests(view, user).await).await
    }

    async fn notifications(&self, user: UserId, page: PageRequest) -> Result<PageOf<Notification>, StoreError> {
        self.read(async move |view| notifications::page(view, user, page).await).await
    }

    async fn notification(&self, user: UserId, id: NotificationId) -> Result<Option<Notification>, StoreError> {
        self.read(async move |view| notifications::one(view, user, id).await).await
    }

    async fn unread_notifications(&self, user: UserId) -> Result<u64, StoreError> {
        self.read(async move |view| notifications::unread(view, user).await).await
    }

    async fn named_files(&self, table: FileTable, after: Option<Uuid>) -> Result<NamedFiles, StoreError> {
        self.read(async move |view| posts::named_files(view, table, after).await).await
    }

    async fn files_of_deleted(&self, messages: &[MessageId]) -> Result<Vec<String>, StoreError> {
        let of = messages.to_vec();
        self.read(async move |view| messages::files_of_deleted(view, &of).await).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(async |view| view.driver.query_row("SELECT 1", [], |_| Ok(()))).await?;
        self.threads.lane.run(SqliteLane::probe).await
    }

    async fn close(&self) {
        // Joining the threads waits for the disk, which is no async thread's work.
        let threads = Arc::clone(&self.threads);
        drop(tokio::task::spawn_blocking(move || threads.stop()).await);
    }
}
