//! People as others see them: found, followed, befriended.

use async_trait::async_trait;

use crate::domain::people::FriendRequest;
use crate::domain::user::Person;
use crate::ids::UserId;
use crate::store::backend::Backend;
use crate::store::sql::{notifications, people};
use crate::store::{PageOf, PageRequest, StoreError};

/// People and what is between them.
#[async_trait]
pub trait People: Send + Sync + 'static {
    /// Active users whose username, display name, first or last name contain `text`, without the viewer; all when empty.
    async fn search_people(&self, viewer: UserId, text: &str, page: PageRequest) -> Result<PageOf<Person>, StoreError>;
    /// One person as the viewer sees it.
    async fn person(&self, viewer: UserId, of: UserId) -> Result<Option<Person>, StoreError>;
    /// Active users whom the viewer neither follows nor has as a friend, those first whom most others follow; at most
    /// [`crate::limits::SUGGESTED_MAX`].
    async fn suggested_people(&self, viewer: UserId) -> Result<Vec<Person>, StoreError>;
    /// Friends of `of`, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn friends(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// Who follows `of`, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn followers(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// Whom `of` follows, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn following(&self, viewer: UserId, of: UserId) -> Result<Vec<Person>, StoreError>;
    /// Whose public posts a user hears of, beside the user's own: whom the user follows and is friends with, each once,
    /// in no order. 16 bytes each, and some follow thousands: not cached here.
    async fn feed_authors(&self, user: UserId) -> Result<Vec<UserId>, StoreError>;
    /// Open friend requests to and from a user, newest first; at most [`crate::limits::PEOPLE_LISTED_MAX`].
    async fn friend_requests(&self, user: UserId) -> Result<Vec<FriendRequest>, StoreError>;
}

#[async_trait]
impl<B: Backend> People for B {
    async fn search_people(&self, viewer: UserId, text: &str, page: PageRequest) -> Result<PageOf<Person>, StoreError> {
        let text = text.to_owned();
        self.read(move |view| Box::pin(async move { people::search(view, viewer, &text, page).await })).await
    }

    async fn person(&self, viewer: UserId, of: UserId) -> Result<Option<Person>, StoreError> {
        self.read(move |view| Box::pin(people::person(view, viewer, of))).await
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
