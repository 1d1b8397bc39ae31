//! Durable truth: the one interface to the database that everything else sees.

mod batch;
mod caches;
pub mod django;
mod event_log;
pub mod mysql;
mod queue;
mod rules;
mod seed;
mod sql;
pub mod sqlite;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::domain::chat::room::{ChatRoom, ChatType, NewRoom, SettingsPatch};
use crate::domain::chat::write::{Action, Transport};
use crate::domain::event::Committed;
use crate::domain::feed;
use crate::domain::feed::comment::{Comment, CommentHead};
use crate::domain::feed::post::{Post, PostHead, PostList};
use crate::domain::login::{Bearer, LoginEnd};
use crate::domain::notification::Notification;
use crate::domain::people::FriendRequest;
use crate::domain::user::{Account, Admission, NewUser, Person, UserProfile};
use crate::domain::write::{AnswerTo, Intent, Outcome, Refusal, Write};
use crate::ids::{CommentId, EventId, FamilyId, MessageId, NotificationId, PostId, RoomId, SessionKey, UserId};

/// What a lane calls after a batch is safe on disk, and for writes that were refused. `server` joins it to the fan-out.
///
/// Both calls may block for as long as a shard's inbox is full: that is the lane's back-pressure.
pub trait LanePort: Send + Sync + 'static {
    /// Events of one batch, each topic's in its order. Called before the callers of the batch get their answers.
    fn committed(&self, events: &[Arc<Committed>]);
    /// A session's write that produced no event: refused, or a repetition of a `client_id`.
    fn answered(&self, session: SessionKey, outcome: &Outcome);
}

/// Who logs in, with what to check the password against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user.
    pub user: UserId,
    /// Django's form, `pbkdf2_sha256$…`.
    pub password_hash: String,
    /// Deactivated users may not log in.
    pub is_active: bool,
}

/// A user's new password.
#[derive(Debug, Clone)]
pub struct PasswordChange {
    /// Whose.
    pub user: UserId,
    /// What the old password was checked against.
    pub old_hash: String,
    /// In Django's form.
    pub new_hash: String,
    /// The login that asked: all others end. `None`: none ends.
    pub spared: Option<FamilyId>,
}

/// What the time is. Tests bring their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One page of a list: `number` from 1, `size` rows a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// From 1.
    pub number: u32,
    /// Rows a page.
    pub size: u32,
}

/// Rows of one page and how many there are in all.
#[derive(Debug, Clone)]
pub struct PageOf<T> {
    /// Rows in all pages.
    pub count: u64,
    /// This page's rows; empty when the page is beyond the end.
    pub rows: Vec<T>,
}

/// Why registration wrote nothing.
#[derive(Debug)]
pub enum RegisterError {
    /// Somebody has this e-mail address, this username, or both.
    Taken {
        /// The address is taken.
        email: bool,
        /// The name is taken.
        username: bool,
    },
    /// The database failed.
    Store(StoreError),
}

/// Why a room was not made.
#[derive(Debug)]
pub enum NewRoomError {
    /// Some of the others do not exist or are inactive.
    UnknownUsers,
    /// The database failed.
    Store(StoreError),
}

/// Rows that name uploaded files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTable {
    /// Pictures, film, thumbnail, and the addresses of podcast and stream.
    Posts,
    /// Pictures.
    Comments,
}

/// What some rows of a table name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFiles {
    /// Columns as they are: paths below the media root, addresses, and lists of addresses as JSON. In no order.
    pub texts: Vec<String>,
    /// The last row's id; `None`: there are no more rows.
    pub last: Option<Uuid>,
}

/// The database did not do what was asked. The detail is for the log, never for a client.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// Retry later: busy, full, read-only, away, or shutting down.
    Unavailable(String),
    /// A defect: the rows or the query are not what the code expects.
    Broken(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(detail) => write!(f, "database unavailable: {detail}"),
            Self::Broken(detail) => write!(f, "unexpected answer from the database: {detail}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Reads and writes. Reads never block the caller's thread; writes go through the lanes.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Hands a write to its room's lane. Never blocks.
    ///
    /// # Errors
    /// The write comes back when the lane's queue is full or the store is closing: answer [`Refusal::Busy`].
    fn submit(&self, write: Box<Write>) -> Result<(), Box<Write>>;

    /// A write in a room by REST, awaited.
    async fn write(&self, actor: UserId, room: RoomId, action: Action) -> Outcome {
        self.request(actor, Intent::Chat { room, action }).await
    }

    /// A write about posts, people or notifications by REST, awaited.
    async fn write_feed(&self, actor: UserId, action: feed::write::Action) -> Outcome {
        self.request(actor, Intent::Feed(action)).await
    }

    /// Any write by REST, awaited.
    async fn request(&self, actor: UserId, intent: Intent) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let write = Box::new(Write {
            event_id: EventId::fresh(),
            actor,
            transport: Transport::Rest,
            intent,
            answer: AnswerTo::Caller(Box::new(move |outcome| drop(answer.send(outcome)))),
        });
        match self.submit(write) {
            Ok(()) => outcome.await.unwrap_or(Outcome::Refused(Refusal::Unavailable)),
            Err(_) => Outcome::Refused(Refusal::Busy),
        }
    }

    /// May `user` enter `room`? Cached for at most `limits::ADMISSION_CACHE_SECONDS`, invalidated by our own writes.
    async fn admission(&self, room: RoomId, user: UserId) -> Result<Admission, StoreError>;
    /// The answer of [`Self::admission`] when it is in the cache: costs no thread hop.
    fn cached_admission(&self, room: RoomId, user: UserId) -> Option<Admission>;
    /// The current participants of `rooms`, for the sweep that finds rows others deleted.
    async fn participants(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, UserId)>, StoreError>;

    /// A user by id, for token checks. Cached like admissions.
    async fn account(&self, user: UserId) -> Result<Option<Arc<Account>>, StoreError>;
    /// By lower-cased e-mail if it contains `@`, else (or on a miss) by lower-cased username.
    async fn credentials(&self, login: &str) -> Result<Option<Credentials>, StoreError>;
    /// A profile by id. Cached, invalidated by our own writes.
    async fn profile(&self, user: UserId) -> Result<Option<Arc<UserProfile>>, StoreError>;
    /// A profile by username, whatever its case.
    async fn profile_by_name(&self, username: &str) -> Result<Option<Arc<UserProfile>>, StoreError>;
    /// Makes a user.
    async fn register(&self, user: NewUser) -> Result<UserId, RegisterError>;
    /// Replaces a password hash; false when the old one is no longer the user's.
    async fn change_password(&self, change: PasswordChange) -> Result<bool, StoreError>;
    /// The user of a token, and whether the token's login is over. Cached like admissions.
    async fn bearer(&self, user: UserId, family: FamilyId) -> Result<Bearer, StoreError>;
    /// The answer of [`Self::bearer`] when it is in the cache: costs no thread hop.
    fn cached_bearer(&self, user: UserId, family: FamilyId) -> Option<Bearer>;
    /// Logins are over. Remembered until `expires`, when none of their tokens is good any more.
    async fn end_logins(&self, end: LoginEnd, expires: Timestamp) -> Result<(), StoreError>;
    /// Logins that ended since then; at most [`crate::limits::ENDED_LOGINS_MAX`], the newest.
    async fn ended_logins(&self, since: Timestamp) -> Result<Vec<LoginEnd>, StoreError>;
    /// Remembers until `expires` that the refresh token `jti` was used; false when it was used before.
    async fn use_up(&self, jti: String, expires: Timestamp) -> Result<bool, StoreError>;
    /// Remembers that the refresh token `jti` may not be used again, until it expires at `expires`.
    async fn revoke(&self, jti: String, expires: Timestamp) -> Result<(), StoreError>;
    /// Was [`Self::revoke`] called for it?
    async fn is_revoked(&self, jti: &str) -> Result<bool, StoreError>;

    /// The private room of two users, made if there is none; true when it was made. Races make one room.
    async fn open_private_room(&self, actor: UserId, other: UserId) -> Result<(RoomId, bool), StoreError>;
    /// Makes a room with its participants.
    async fn create_room(&self, room: NewRoom) -> Result<RoomId, NewRoomError>;
    /// Changes the viewer's own settings of a room; false when the viewer is no participant.
    async fn change_room_settings(
        &self,
        viewer: UserId,
        room: RoomId,
        patch: SettingsPatch,
    ) -> Result<bool, StoreError>;
    /// The viewer's rooms, newest message first, rooms without messages last. `is_active` defaults to active rooms.
    async fn rooms(
        &self,
        viewer: UserId,
        chat_type: Option<ChatType>,
        is_active: bool,
        page: PageRequest,
    ) -> Result<PageOf<ChatRoom>, StoreError>;
    /// One active room of the viewer's, with its first participants.
    async fn room(&self, viewer: UserId, room: RoomId) -> Result<Option<ChatRoom>, StoreError> {
        let first = PageRequest { number: 1, size: crate::limits::PARTICIPANTS_SHOWN_MAX };
        self.room_of_page(viewer, room, first).await
    }
    /// One active room of the viewer's, with the viewer and a page of its participants, oldest first.
    async fn room_of_page(
        &self,
        viewer: UserId,
        room: RoomId,
        participants: PageRequest,
    ) -> Result<Option<ChatRoom>, StoreError>;

    /// Messages that are not deleted, newest first (ties by id), only those created after `since` if given.
    async fn messages(
        &self,
        viewer: UserId,
        room: RoomId,
        since: Option<Timestamp>,
        page: PageRequest,
    ) -> Result<PageOf<Message>, StoreError>;
    /// One message that is not deleted.
    async fn message(&self, viewer: UserId, room: RoomId, message: MessageId) -> Result<Option<Message>, StoreError>;

    /// Active users whose username, display name, first or last name contain `text`, without the viewer; all when empty.
    async fn search_people(&self, viewer: UserId, text: &str, page: PageRequest) -> Result<PageOf<Person>, StoreError>;
    /// Friends of `of`, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn friends(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// One person as the viewer sees it.
    async fn person(&self, viewer: UserId, of: UserId) -> Result<Option<Person>, StoreError>;

    /// The answer of [`Self::account`] when it is in the cache: costs no thread hop.
    fn cached_account(&self, user: UserId) -> Option<Option<Arc<Account>>>;
    /// Which of `users` exist and are active, for the sweep of open sockets.
    async fn active_users(&self, users: &[UserId]) -> Result<Vec<UserId>, StoreError>;
    /// What decides on a post's rights. Cached like admissions.
    async fn post_head(&self, post: PostId) -> Result<Option<PostHead>, StoreError>;
    /// The answer of [`Self::post_head`] when it is in the cache: costs no thread hop.
    fn cached_post_head(&self, post: PostId) -> Option<Option<PostHead>>;
    /// Whose public posts a user hears of, beside the user's own: whom the user follows and is friends with, each once,
    /// in no order. 16 bytes each, and some follow thousands: not cached here.
    async fn feed_authors(&self, user: UserId) -> Result<Vec<UserId>, StoreError>;

    /// A whole post; without a viewer as frames show it. Who may see it is the caller's to decide.
    async fn post(&self, viewer: Option<UserId>, post: PostId) -> Result<Option<Post>, StoreError>;
    /// The post with a short id, whatever its case.
    async fn post_of_short_id(&self, short_id: &str) -> Result<Option<PostId>, StoreError>;
    /// Posts as the viewer sees them, newest first (ties by id).
    async fn posts(&self, viewer: UserId, list: PostList, page: PageRequest) -> Result<PageOf<Post>, StoreError>;
    /// What decides on a comment's rights.
    async fn comment_head(&self, comment: CommentId) -> Result<Option<CommentHead>, StoreError>;
    /// A comment with its first replies. Who may see it is the caller's to decide.
    async fn comment(&self, viewer: UserId, comment: CommentId) -> Result<Option<Comment>, StoreError>;
    /// A post's top-level comments, oldest first (ties by id).
    async fn comments(&self, viewer: UserId, post: PostId, page: PageRequest) -> Result<PageOf<Comment>, StoreError>;

    /// A comment's direct replies, oldest first (ties by id).
    async fn replies(
        &self,
        viewer: UserId,
        comment: CommentId,
        page: PageRequest,
    ) -> Result<PageOf<Comment>, StoreError>;

    /// Who follows `of`, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn followers(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// Whom `of` follows, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn following(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// Open friend requests to and from a user, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn friend_requests(&self, user: UserId) -> Result<Vec<FriendRequest>, StoreError>;

    /// A user's notifications, newest first (ties by id).
    async fn notifications(&self, user: UserId, page: PageRequest) -> Result<PageOf<Notification>, StoreError>;
    /// One of a user's notifications.
    async fn notification(
        &self,
        user: UserId,
        notification: NotificationId,
    ) -> Result<Option<Notification>, StoreError>;
    /// How many of a user's notifications are unread.
    async fn unread_notifications(&self, user: UserId) -> Result<u64, StoreError>;

    /// What the first [`crate::limits::LITTER_ROWS`] rows of a table behind `after`, by id, name.
    async fn named_files(&self, table: FileTable, after: Option<Uuid>) -> Result<NamedFiles, StoreError>;

    /// The files of those of `messages` that are deleted.
    async fn files_of_deleted(&self, messages: &[MessageId]) -> Result<Vec<String>, StoreError>;

    /// Does the database answer and take writes?
    async fn ping(&self) -> Result<(), StoreError>;
    /// Takes no more writes, commits what is queued, answers everybody, closes.
    async fn close(&self);
}
