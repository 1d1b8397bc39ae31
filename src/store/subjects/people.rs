//! People as others see them: search, profiles, follows, friends.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::people::FriendRequest;
use crate::domain::user::Person;
use crate::ids::UserId;
use crate::limits;
use crate::store::backend::Backend;
use crate::store::sql::search::Slice;
use crate::store::sql::{Dialect, Sql, notifications, people, search};
use crate::store::{PageOf, PageRequest, StoreError};

/// The pause between two slices of the search index, so that other queries get their turn.
const SLICE_PAUSE: Duration = Duration::from_millis(20);

/// People and the relations between them.
#[async_trait]
pub trait People: Send + Sync + 'static {
    /// Those whom the viewer has blocked, the last one first, at most [`crate::limits::BLOCKED_SHOWN_MAX`].
    async fn blocked(&self, viewer: UserId) -> Result<Vec<Person>, StoreError>;
    /// Whether one of these has blocked the viewer, or the viewer one of them.
    async fn is_blocked_among(&self, viewer: UserId, others: Vec<UserId>) -> Result<bool, StoreError>;
    /// Active users whose username, display name, first or last name has words that begin like those of `text`,
    /// ignoring case and accents, without the viewer; all users if it is empty. At most
    /// [`crate::limits::SEARCH_FOUND_MAX`].
    async fn search_people(&self, viewer: UserId, text: &str, page: PageRequest) -> Result<PageOf<Person>, StoreError>;
    /// Makes people findable by the names that other programs gave them, on databases without the triggers. May take
    /// long.
    async fn index_people(&self) -> Result<(), StoreError>;
    /// One person as the viewer sees them.
    async fn person(&self, viewer: UserId, of: UserId) -> Result<Option<Person>, StoreError>;
    /// Active users whom the viewer neither follows nor has as a friend, the most followed first; at most
    /// [`crate::limits::SUGGESTED_MAX`].
    async fn suggested_people(&self, viewer: UserId) -> Result<Vec<Person>, StoreError>;
    /// Friends of `of`, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn friends(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// The followers of `of`, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn followers(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// The users whom `of` follows, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn following(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// The other users whose public posts a user hears: those the user follows, and friends, each once, in no
    /// particular order. Not cached here, because each takes 16 bytes and some users follow thousands.
    async fn feed_authors(&self, user: UserId) -> Result<Vec<UserId>, StoreError>;
    /// Open friend requests to and from a user, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn friend_requests(&self, user: UserId) -> Result<Vec<FriendRequest>, StoreError>;
}

#[async_trait]
impl<B: Backend> People for B {
    async fn search_people(&self, viewer: UserId, text: &str, page: PageRequest) -> Result<PageOf<Person>, StoreError> {
        let text = text.to_owned();
        self.search(move |view| Box::pin(async move { search::search(view, viewer, &text, page).await })).await
    }

    /// Checks all users once, slice by slice. If the database fails, the finished slices stay.
    async fn index_people(&self) -> Result<(), StoreError> {
        if B::Driver::DIALECT == Dialect::Sqlite {
            return Ok(());
        }
        let mut after = UserId(Uuid::nil());
        loop {
            let Slice { changed, last } = self.search(move |view| Box::pin(search::not_indexed(view, after))).await?;
            for some in changed.chunks(limits::NAMES_WRITTEN_MAX) {
                let some = some.to_vec();
                self.change(move |view| Box::pin(async move { search::index_all(view, &some).await })).await?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
            tokio::time::sleep(SLICE_PAUSE).await;
        }
    }

    async fn person(&self, viewer: UserId, of: UserId) -> Result<Option<Person>, StoreError> {
        self.read(move |view| Box::pin(people::person(view, viewer, of))).await
    }

    async fn blocked(&self, viewer: UserId) -> Result<Vec<Person>, StoreError> {
        self.read(move |view| Box::pin(people::blocked(view, viewer))).await
    }

    async fn is_blocked_among(&self, viewer: UserId, others: Vec<UserId>) -> Result<bool, StoreError> {
        self.read(move |view| Box::pin(async move { people::is_blocked_among(view, viewer, &others).await })).await
    }

    async fn suggested_people(&self, viewer: UserId) -> Result<Vec<Person>, StoreError> {
        self.read(move |view| Box::pin(people::suggested(view, viewer))).await
    }

    async fn friends(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        self.read(move |view| Box::pin(people::friends(view, viewer, of))).await
    }

    async fn followers(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        self.read(move |view| Box::pin(people::followers(view, viewer, of))).await
    }

    async fn following(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError> {
        self.read(move |view| Box::pin(people::following(view, viewer, of))).await
    }

    async fn feed_authors(&self, user: UserId) -> Result<Vec<UserId>, StoreError> {
        self.read(move |view| Box::pin(people::feed_authors(view, user))).await
    }

    async fn friend_requests(&self, user: UserId) -> Result<Vec<FriendRequest>, StoreError> {
        self.read(move |view| Box::pin(notifications::friend_requests(view, user))).await
    }
}
