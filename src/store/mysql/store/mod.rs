//! The store on MySQL: lanes by topic, and direct connections for everything else.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

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
use crate::ids::{CommentId, FamilyId, MessageId, NotificationId, PostId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::caches::Caches;
use crate::store::mysql::connection::{MysqlError, Remedy};
use crate::store::mysql::direct::Direct;
use crate::store::mysql::lane::{MysqlLane, Number};
use crate::store::mysql::{MysqlOptions, Shared, migrate};
use crate::store::sql::accounts::{self, Registration};
use crate::store::sql::{comments, logins, messages, new_rooms, notifications, people, posts, rooms};
use crate::store::writer::Lane;
use crate::store::{
    Credentials, FileTable, LanePort, NamedFiles, NewRoomError, PageOf, PageRequest, PasswordChange, RegisterError,
    Store, StoreError,
};

/// The store on MySQL or MariaDB.
pub struct MysqlStore {
    shared: Arc<Shared>,
    lanes: Arc<[Lane<MysqlLane>]>,
    direct: Direct,
}

/// Reads on a connection of the pool. One that was closed by the server while it was idle is replaced, once.
///
/// A page's statements do not see one state of the database, as they do on SQLite: that would cost a transaction's two
/// trips each, and what it avoids is a count that is one off.
macro_rules! read {
    ($store:expr, $view:ident => $work:expr) => {{
        loop {
            let mut loan = $store.direct.lend().await?;
            let now = ($store.shared.clock)();
            let mut view = $store.shared.view(&mut loan.connection, now);
            let $view = &mut view;
            let result: Result<_, MysqlError> = $work.await;
            match result {
                Ok(value) => {
                    loan.give_back(None);
                    break Ok(value);
                }
                Err(error) => {
                    // Who has waited for an answer in vain does not wait twice.
                    let is_late = matches!(error, MysqlError::Late(_));
                    let is_stale = loan.is_used && error.remedy() == Remedy::Reconnect && !is_late;
                    loan.give_back(Some(&error));
                    if !is_stale {
                        break Err(StoreError::from(error));
                    }
                    $store.direct.forget_idle();
                }
            }
        }
    }};
}

/// Writes in a transaction of its own. `$work` may run more than once: after a deadlock, after another's row took its
/// key, after a lost connection. It finds by the ids it was given what an earlier run has written.
macro_rules! direct {
    ($store:expr, $view:ident => $work:expr) => {{
        let mut attempt = 1;
        loop {
            let mut loan = $store.direct.lend().await?;
            let now = ($store.shared.clock)();
            let mut view = $store.shared.view(&mut loan.connection, now);
            let result: Result<_, MysqlError> = async {
                view.run("START TRANSACTION").await?;
                let $view = &mut view;
                let value = $work.await?;
                view.run("COMMIT").await?;
                Ok(value)
            }
            .await;
            match result {
                Ok(value) => {
                    loan.give_back(None);
                    break Ok::<_, StoreError>(value);
                }
                Err(error) => {
                    let is_over = attempt >= limits::DIRECT_ATTEMPTS_MAX || !may_succeed(&error);
                    if error.ends_connection() {
                        loan.give_back(Some(&error));
                        $store.direct.forget_idle();
                    } else {
                        let undone = view.run("ROLLBACK").await;
                        loan.give_back(undone.as_ref().err());
                    }
                    if is_over {
                        break Err(error.into());
                    }
                    attempt += 1;
                }
            }
        }
    }};
}

mod beside;

/// May a direct write that failed so succeed when it begins anew?
fn may_succeed(error: &MysqlError) -> bool {
    const DUPLICATE_KEY: u16 = 1062;
    matches!(error.remedy(), Remedy::Again | Remedy::Reconnect) || error.code() == Some(DUPLICATE_KEY)
}

impl MysqlStore {
    /// Looks at the database and starts the lanes.
    ///
    /// The `metrics` recorder must be installed before.
    ///
    /// # Errors
    /// One sentence that says what is wrong with the database and what to do about it.
    pub async fn open(options: MysqlOptions, port: Arc<dyn LanePort>) -> Result<Arc<Self>, StoreError> {
        let MysqlOptions { link, lanes, connections, zone, clock, shown_reactions } = options;
        let caches = Caches::default();
        let shared = Arc::new(Shared { link: link.clone(), caches, zone, clock, shown_reactions });
        let direct = Direct::new(link.clone(), connections);
        let mut connection = link.open().await.map_err(|error| link.opening(&error))?;
        let mut view = shared.view(&mut connection, (shared.clock)());
        migrate::require(&mut view, &link).await?;
        let lane = |number| {
            let lane = MysqlLane::new(Arc::clone(&shared), Number { lane: number, of: lanes })?;
            Lane::start(number, lane, Arc::clone(&port))
                .map_err(|error| StoreError::Unavailable(format!("no thread for a write lane: {error}")))
        };
        let lanes = (0..lanes).map(lane).collect::<Result<Vec<_>, _>>()?;
        drop(connection.disconnect().await);
        Ok(Arc::new(Self { shared, lanes: lanes.into(), direct }))
    }
}

impl MysqlStore {
    /// Runs `work` on the thread of a topic's lane, between two batches. For tests, which hold lanes up with it.
    ///
    /// # Errors
    /// The lane's queue is full or closed.
    #[doc(hidden)]
    pub async fn on_lane<T: Send + 'static>(
        &self,
        topic: Topic,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.lanes[Number::of_topic(topic, self.lanes.len())].run(move |_| Ok(work())).await
    }
}

impl Drop for MysqlStore {
    /// A store that was not closed commits what is queued all the same. It blocks: call [`Store::close`] first.
    fn drop(&mut self) {
        stop(&self.lanes);
    }
}

fn stop(lanes: &[Lane<MysqlLane>]) {
    lanes.iter().for_each(Lane::close);
    lanes.iter().for_each(Lane::join);
}

#[async_trait]
impl Store for MysqlStore {
    fn submit(&self, write: Box<Write>) -> Result<(), Box<Write>> {
        match self.lanes.get(Number::of_topic(write.topic(), self.lanes.len())) {
            Some(lane) => lane.submit(write),
            None => Err(write),
        }
    }

    async fn admission(&self, room: RoomId, user: UserId) -> Result<Admission, StoreError> {
        match self.cached_admission(room, user) {
            Some(admission) => Ok(admission),
            None => read!(self, view => rooms::admission(view, room, user)),
        }
    }

    fn cached_admission(&self, room: RoomId, user: UserId) -> Option<Admission> {
        self.shared.caches.admission(room, user, (self.shared.clock)())
    }

    async fn participants(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, UserId)>, StoreError> {
        read!(self, view => rooms::participants(view, rooms))
    }

    async fn account(&self, user: UserId) -> Result<Option<Arc<Account>>, StoreError> {
        match self.cached_account(user) {
            Some(account) => Ok(account),
            None => read!(self, view => people::account(view, user)),
        }
    }

    async fn credentials(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        read!(self, view => accounts::credentials(view, login))
    }

    async fn profile(&self, user: UserId) -> Result<Option<Arc<UserProfile>>, StoreError> {
        match self.shared.caches.profiles.get(&user, (self.shared.clock)()) {
            Some(profile) => Ok(Some(profile)),
            None => read!(self, view => people::profile(view, user)),
        }
    }

    async fn profile_by_name(&self, username: &str) -> Result<Option<Arc<UserProfile>>, StoreError> {
        read!(self, view => async {
            match people::id_of_name(view, username).await? {
                Some(user) => people::profile(view, user).await,
                None => Ok(None),
            }
        })
    }

    async fn register(&self, user: NewUser) -> Result<UserId, RegisterError> {
        let id = UserId::fresh();
        let work = async { direct!(self, view => accounts::register(view, id, &user)) };
        match work.await.map_err(RegisterError::Store)? {
            Registration::Taken { email, username } => return Err(RegisterError::Taken { email, username }),
            Registration::Done => self.shared.caches.forget_user(id),
        }
        Ok(id)
    }

    async fn change_password(&self, change: PasswordChange) -> Result<bool, StoreError> {
        let is_done = direct!(self, view => logins::change_password(view, &change))?;
        self.shared.caches.password_changes.forget(&change.user);
        Ok(is_done)
    }

    async fn bearer(&self, user: UserId, family: FamilyId) -> Result<Bearer, StoreError> {
        match self.cached_bearer(user, family) {
            Some(bearer) => Ok(bearer),
            None => read!(self, view => logins::bearer(view, user, family)),
        }
    }

    fn cached_bearer(&self, user: UserId, family: FamilyId) -> Option<Bearer> {
        logins::remembered(&self.shared.caches, user, family, (self.shared.clock)())
    }

    async fn end_logins(&self, end: LoginEnd, expires: Timestamp) -> Result<(), StoreError> {
        direct!(self, view => logins::end(view, end, expires))?;
        self.shared.caches.forget_logins(end.user, end.ended);
        Ok(())
    }

    async fn ended_logins(&self, since: Timestamp) -> Result<Vec<LoginEnd>, StoreError> {
        read!(self, view => logins::ended_since(view, since))
    }

    async fn use_up(&self, jti: String, expires: Timestamp) -> Result<bool, StoreError> {
        direct!(self, view => logins::use_up(view, &jti, expires))
    }

    async fn revoke(&self, jti: String, expires: Timestamp) -> Result<(), StoreError> {
        direct!(self, view => accounts::revoke(view, &jti, expires))
    }

    async fn is_revoked(&self, jti: &str) -> Result<bool, StoreError> {
        read!(self, view => accounts::is_revoked(view, jti))
    }

    async fn open_private_room(&self, actor: UserId, other: UserId) -> Result<(RoomId, bool), StoreError> {
        let fresh = RoomId::fresh();
        let (room, is_new) = direct!(self, view => new_rooms::open_private(view, actor, other, fresh))?;
        if is_new {
            for user in [actor, other] {
                self.shared.caches.forget_participant(room, user);
            }
        }
        Ok((room, is_new))
    }

    async fn create_room(&self, room: NewRoom) -> Result<RoomId, NewRoomError> {
        let fresh = RoomId::fresh();
        let work = async { direct!(self, view => new_rooms::create(view, &room, fresh)) };
        let id = work.await.map_err(NewRoomError::Store)?.ok_or(NewRoomError::UnknownUsers)?;
        for user in room.others.iter().copied().chain([room.creator]) {
            self.shared.caches.forget_participant(id, user);
        }
        Ok(id)
    }

    async fn change_room_settings(
        &self,
        viewer: UserId,
        room: RoomId,
        patch: SettingsPatch,
    ) -> Result<bool, StoreError> {
        direct!(self, view => new_rooms::change_settings(view, viewer, room, &patch))
    }

    async fn rooms(
        &self,
        viewer: UserId,
        chat_type: Option<ChatType>,
        is_active: bool,
        page: PageRequest,
    ) -> Result<PageOf<ChatRoom>, StoreError> {
        read!(self, view => rooms::list(view, viewer, chat_type, is_active, page))
    }

    async fn room_of_page(
        &self,
        viewer: UserId,
        room: RoomId,
        participants: PageRequest,
    ) -> Result<Option<ChatRoom>, StoreError> {
        read!(self, view => rooms::one(view, viewer, room, participants))
    }

    async fn messages(
        &self,
        viewer: UserId,
        room: RoomId,
        since: Option<Timestamp>,
        page: PageRequest,
    ) -> Result<PageOf<Message>, StoreError> {
        read!(self, view => messages::page(view, viewer, room, since, page))
    }

    async fn message(&self, viewer: UserId, room: RoomId, message: MessageId) -> Result<Option<Message>, StoreError> {
        read!(self, view => messages::one(view, viewer, room, message))
    }

    async fn search_people(&self, viewer: UserId, text: &str, page: PageRequest) -> Result<PageOf<Person>, StoreError> {
        read!(self, view => people::search(view, viewer, text, page))
    }

    async fn friends(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        read!(self, view => people::friends(view, viewer, of))
    }

    async fn person(&self, viewer: UserId, of: UserId) -> Result<Option<Person>, StoreError> {
        read!(self, view => people::person(view, viewer, of))
    }

    fn cached_account(&self, user: UserId) -> Option<Option<Arc<Account>>> {
        self.shared.caches.accounts.get(&user, (self.shared.clock)())
    }

    async fn active_users(&self, users: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        read!(self, view => people::active(view, users))
    }

    async fn post_head(&self, post: PostId) -> Result<Option<PostHead>, StoreError> {
        match self.cached_post_head(post) {
            Some(head) => Ok(head),
            None => read!(self, view => posts::known_head(view, post)),
        }
    }

    fn cached_post_head(&self, post: PostId) -> Option<Option<PostHead>> {
        self.shared.caches.post_heads.get(&post, (self.shared.clock)())
    }

    async fn feed_authors(&self, user: UserId) -> Result<Vec<UserId>, StoreError> {
        read!(self, view => people::feed_authors(view, user))
    }

    async fn post(&self, viewer: Option<UserId>, post: PostId) -> Result<Option<Post>, StoreError> {
        read!(self, view => posts::whole(view, viewer, post))
    }

    async fn post_of_short_id(&self, short_id: &str) -> Result<Option<PostId>, StoreError> {
        read!(self, view => posts::id_of_short(view, short_id))
    }

    async fn posts(&self, viewer: UserId, list: PostList, page: PageRequest) -> Result<PageOf<Post>, StoreError> {
        read!(self, view => posts::page(view, viewer, list, page))
    }

    async fn comment_head(&self, comment: CommentId) -> Result<Option<CommentHead>, StoreError> {
        read!(self, view => comments::head(view, comment))
    }

    async fn comment(&self, viewer: UserId, comment: CommentId) -> Result<Option<Comment>, StoreError> {
        read!(self, view => comments::one(view, Some(viewer), comment))
    }

    async fn comments(&self, viewer: UserId, post: PostId, page: PageRequest) -> Result<PageOf<Comment>, StoreError> {
        read!(self, view => comments::page(view, viewer, post, page))
    }

    async fn replies(
        &self,
        viewer: UserId,
        comment: CommentId,
        page: PageRequest,
    ) -> Result<PageOf<Comment>, StoreError> {
        read!(self, view => comments::replies(view, viewer, comment, page))
    }

    async fn followers(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        read!(self, view => people::followers(view, viewer, of))
    }

    async fn following(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        read!(self, view => people::following(view, viewer, of))
    }

    async fn friend_requests(&self, user: UserId) -> Result<Vec<FriendRequest>, StoreError> {
        read!(self, view => notifications::friend_requests(view, user))
    }

    async fn notifications(&self, user: UserId, page: PageRequest) -> Result<PageOf<Notification>, StoreError> {
        read!(self, view => notifications::page(view, user, page))
    }

    async fn notification(&self, user: UserId, id: NotificationId) -> Result<Option<Notification>, StoreError> {
        read!(self, view => notifications::one(view, user, id))
    }

    async fn unread_notifications(&self, user: UserId) -> Result<u64, StoreError> {
        read!(self, view => notifications::unread(view, user))
    }

    async fn named_files(&self, table: FileTable, after: Option<Uuid>) -> Result<NamedFiles, StoreError> {
        read!(self, view => posts::named_files(view, table, after))
    }

    async fn files_of_deleted(&self, messages: &[MessageId]) -> Result<Vec<String>, StoreError> {
        read!(self, view => messages::files_of_deleted(view, messages))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        read!(self, view => view.is_there("SELECT 1", &[]))?;
        for lane in self.lanes.iter() {
            lane.run(MysqlLane::probe).await?;
        }
        Ok(())
    }

    async fn close(&self) {
        // Joining the threads waits for the database, which is no async thread's work.
        let lanes = Arc::clone(&self.lanes);
        drop(tokio::task::spawn_blocking(move || stop(&lanes)).await);
        self.direct.close().await;
    }
}
