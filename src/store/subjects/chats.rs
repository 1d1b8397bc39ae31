//! Rooms and their messages: admission, creation, lists.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::domain::chat::message::Message;
use crate::domain::chat::room::{ChatRoom, ChatType, NewRoom, SettingsPatch};
use crate::domain::chat::roster::{Member, Readers, Unread, UserPage};
use crate::domain::event::Cursor;
use crate::domain::login::Bearer;
use crate::domain::user::{Admission, Membership};
use crate::ids::{FamilyId, MessageId, RoomId, Topic, UserId};
use crate::store::backend::Backend;
use crate::store::sql::events::with_place;
use crate::store::sql::message_search::{self, MessagesFound};
use crate::store::sql::{messages, new_rooms, rooms, roster};
use crate::store::{PageOf, PageRequest, StoreError};

/// Why a room was not made.
#[derive(Debug)]
pub enum NewRoomError {
    /// Some of the others do not exist or are inactive.
    UnknownUsers,
    /// The database failed.
    Store(StoreError),
}

/// Rooms and messages.
#[async_trait]
pub trait Chats: Send + Sync + 'static {
    /// Whether `user` may enter `room`. Cached for at most `limits::ADMISSION_CACHE_SECONDS`; our own writes invalidate
    /// it.
    async fn admission(&self, room: RoomId, user: UserId) -> Result<Admission, StoreError>;
    /// The cached answer of [`Self::admission`], without a thread hop.
    fn cached_admission(&self, room: RoomId, user: UserId) -> Option<Admission>;
    /// Has the caches know these admissions, as [`Self::admission`] would each of them. Returns the number of queries.
    async fn know_admissions(&self, wanted: Vec<(RoomId, UserId)>) -> Result<u32, StoreError>;
    /// What a handshake for `room` asks: the bearer of its token and their admission, with one query. Cached like both.
    async fn entrance(&self, room: RoomId, user: UserId, family: FamilyId) -> Result<(Bearer, Admission), StoreError>;
    /// The current participants of `rooms`, for the sweep that finds rows deleted by other programs.
    async fn participants(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, UserId)>, StoreError>;

    /// The private room of two users, created if there is none; true if it was created. Concurrent calls create one
    /// room.
    async fn open_private_room(&self, actor: UserId, other: UserId) -> Result<(RoomId, bool), StoreError>;
    /// The private room of two users, if there is one.
    async fn known_private_room(&self, one: UserId, other: UserId) -> Result<Option<RoomId>, StoreError>;
    /// Creates a room with its participants.
    async fn create_room(&self, room: NewRoom) -> Result<RoomId, NewRoomError>;
    /// Changes the viewer's own settings of a room; false if the viewer is not a participant.
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
    /// One active room of the viewer, with its first participants.
    async fn room(&self, viewer: UserId, room: RoomId) -> Result<Option<ChatRoom>, StoreError> {
        let first = PageRequest::numbered(1, crate::limits::PARTICIPANTS_SHOWN_MAX);
        self.room_of_page(viewer, room, first).await
    }
    /// One active room of the viewer, with the viewer and a page of its participants, oldest first.
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
    /// Messages of the room that have all words of a text, newest first, behind the page's position. `None` if the viewer is no
    /// participant.
    async fn search_messages(
        &self,
        viewer: UserId,
        room: RoomId,
        text: String,
        page: PageRequest,
    ) -> Result<Option<MessagesFound>, StoreError>;
    /// The same as [`Self::messages`], and the place in the room's order that the page shows, if the room stood still for long enough.
    async fn messages_at(
        &self,
        viewer: UserId,
        room: RoomId,
        since: Option<Timestamp>,
        page: PageRequest,
    ) -> Result<(PageOf<Message>, Option<Cursor>), StoreError>;
    /// One message that is not deleted.
    async fn message(&self, viewer: UserId, room: RoomId, message: MessageId) -> Result<Option<Message>, StoreError>;

    /// Participants of a room behind a user, in the order of their ids.
    async fn roster(&self, room: RoomId, after: UserId, limit: u32) -> Result<UserPage<Member>, StoreError>;
    /// What a participant has not read; `None` if the user is none.
    async fn unread(&self, room: RoomId, user: UserId) -> Result<Option<Unread>, StoreError>;
    /// Who has read a message of a room: how many, and those behind a user, in the order of their ids. `None` if there is no
    /// such message that is not deleted.
    async fn readers(
        &self,
        room: RoomId,
        message: MessageId,
        after: UserId,
        limit: u32,
    ) -> Result<Option<Readers>, StoreError>;
}

#[async_trait]
impl<B: Backend> Chats for B {
    async fn admission(&self, room: RoomId, user: UserId) -> Result<Admission, StoreError> {
        match self.cached_admission(room, user) {
            Some(admission) => Ok(admission),
            None => self.read(move |view| Box::pin(rooms::admission(view, room, user))).await,
        }
    }

    fn cached_admission(&self, room: RoomId, user: UserId) -> Option<Admission> {
        self.caches().admission(room, user, self.now())
    }

    async fn know_admissions(&self, wanted: Vec<(RoomId, UserId)>) -> Result<u32, StoreError> {
        if wanted.iter().all(|(room, user)| self.cached_admission(*room, *user).is_some()) {
            return Ok(0);
        }
        self.read(move |view| {
            Box::pin(async move {
                rooms::know(view, &wanted).await?;
                Ok(view.asked)
            })
        })
        .await
    }

    async fn entrance(&self, room: RoomId, user: UserId, family: FamilyId) -> Result<(Bearer, Admission), StoreError> {
        self.read(move |view| Box::pin(rooms::entrance(view, room, user, family))).await
    }

    async fn participants(&self, rooms: &[RoomId]) -> Result<Vec<(RoomId, UserId)>, StoreError> {
        let rooms = rooms.to_vec();
        self.read(move |view| Box::pin(async move { rooms::participants(view, &rooms).await })).await
    }

    async fn open_private_room(&self, actor: UserId, other: UserId) -> Result<(RoomId, bool), StoreError> {
        let fresh: RoomId = self.ids().fresh();
        let (room, is_new) =
            self.change(move |view| Box::pin(new_rooms::open_private(view, actor, other, fresh))).await?;
        if is_new {
            for user in [actor, other] {
                self.caches().forget_participant(room, user);
            }
        }
        Ok((room, is_new))
    }

    async fn known_private_room(&self, one: UserId, other: UserId) -> Result<Option<RoomId>, StoreError> {
        self.read(move |view| Box::pin(new_rooms::known_private(view, one, other))).await
    }

    async fn create_room(&self, room: NewRoom) -> Result<RoomId, NewRoomError> {
        let members: Vec<UserId> = room.others.iter().copied().chain([room.creator]).collect();
        let fresh: RoomId = self.ids().fresh();
        let work = self.change(move |view| Box::pin(async move { new_rooms::create(view, &room, fresh).await }));
        let id = work.await.map_err(NewRoomError::Store)?.ok_or(NewRoomError::UnknownUsers)?;
        for user in members {
            self.caches().forget_participant(id, user);
        }
        Ok(id)
    }

    async fn change_room_settings(
        &self,
        viewer: UserId,
        room: RoomId,
        patch: SettingsPatch,
    ) -> Result<bool, StoreError> {
        self.change(move |view| Box::pin(async move { new_rooms::change_settings(view, viewer, room, &patch).await }))
            .await
    }

    async fn rooms(
        &self,
        viewer: UserId,
        chat_type: Option<ChatType>,
        is_active: bool,
        page: PageRequest,
    ) -> Result<PageOf<ChatRoom>, StoreError> {
        self.read(move |view| Box::pin(rooms::list(view, viewer, chat_type, is_active, page))).await
    }

    async fn room_of_page(
        &self,
        viewer: UserId,
        room: RoomId,
        participants: PageRequest,
    ) -> Result<Option<ChatRoom>, StoreError> {
        self.read(move |view| Box::pin(rooms::one(view, viewer, room, participants))).await
    }

    async fn messages(
        &self,
        viewer: UserId,
        room: RoomId,
        since: Option<Timestamp>,
        page: PageRequest,
    ) -> Result<PageOf<Message>, StoreError> {
        self.read(move |view| Box::pin(messages::page(view, viewer, room, since, page))).await
    }

    async fn messages_at(
        &self,
        viewer: UserId,
        room: RoomId,
        since: Option<Timestamp>,
        page: PageRequest,
    ) -> Result<(PageOf<Message>, Option<Cursor>), StoreError> {
        self.read(move |view| {
            Box::pin(
                async move { with_place!(view, Topic::Room(room), messages::page(view, viewer, room, since, page)) },
            )
        })
        .await
    }

    async fn search_messages(
        &self,
        viewer: UserId,
        room: RoomId,
        text: String,
        page: PageRequest,
    ) -> Result<Option<MessagesFound>, StoreError> {
        self.search(move |view| {
            Box::pin(async move {
                match rooms::admission(view, room, viewer).await?.membership {
                    Membership::None => Ok(None),
                    Membership::Open | Membership::Closed => {
                        message_search::search(view, viewer, room, &text, page).await.map(Some)
                    }
                }
            })
        })
        .await
    }

    async fn message(&self, viewer: UserId, room: RoomId, message: MessageId) -> Result<Option<Message>, StoreError> {
        self.read(move |view| Box::pin(messages::one(view, viewer, room, message))).await
    }

    async fn roster(&self, room: RoomId, after: UserId, limit: u32) -> Result<UserPage<Member>, StoreError> {
        self.read(move |view| Box::pin(roster::members(view, room, after, limit))).await
    }

    async fn unread(&self, room: RoomId, user: UserId) -> Result<Option<Unread>, StoreError> {
        self.read(move |view| Box::pin(roster::unread(view, room, user))).await
    }

    async fn readers(
        &self,
        room: RoomId,
        message: MessageId,
        after: UserId,
        limit: u32,
    ) -> Result<Option<Readers>, StoreError> {
        self.read(move |view| Box::pin(roster::readers(view, room, message, after, limit))).await
    }
}
