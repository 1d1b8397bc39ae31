//! Accounts: credentials, profiles, passwords, logins, revoked tokens.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::domain::login::{Bearer, Ended, LoginEnd};
use crate::domain::rights::Mark;
use crate::domain::user::{Account, NewUser, ProfilePatch, UserProfile};
use crate::ids::{FamilyId, Topic, UserId};
use crate::store::backend::Backend;
use crate::store::sql::accounts::Registration;
use crate::store::sql::{accounts, logins, people};
use crate::store::{Credentials, PasswordChange, StoreError};

/// Why registration wrote nothing.
#[derive(Debug)]
pub enum RegisterError {
    /// The e-mail address, the username, or both are taken.
    Taken {
        /// The address is taken.
        email: bool,
        /// The name is taken.
        username: bool,
    },
    /// The database failed.
    Store(StoreError),
}

/// Accounts, by id or name.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// A user by id. Cached like admissions where a token of theirs was checked.
    async fn account(&self, user: UserId) -> Result<Option<Arc<Account>>, StoreError>;
    /// Those of `users` who exist and are active, for the sweep of open sockets.
    async fn active_users(&self, users: &[UserId]) -> Result<Vec<UserId>, StoreError>;
    /// By lower-cased e-mail if it contains `@`, else (or if that fails) by lower-cased username.
    async fn credentials(&self, login: &str) -> Result<Option<Credentials>, StoreError>;
    /// A profile by id. Cached; our own writes invalidate it.
    async fn profile(&self, user: UserId) -> Result<Option<Arc<UserProfile>>, StoreError>;
    /// A profile by username, ignoring case.
    async fn profile_by_name(&self, username: &str) -> Result<Option<Arc<UserProfile>>, StoreError>;
    /// Registers a user.
    async fn register(&self, user: NewUser) -> Result<UserId, RegisterError>;
    /// Replaces a password hash; false if the old one is no longer the user's.
    async fn change_password(&self, change: PasswordChange) -> Result<bool, StoreError>;
    /// The user of a token, and whether the token's login has ended. Cached like admissions.
    async fn bearer(&self, user: UserId, family: FamilyId) -> Result<Bearer, StoreError>;
    /// Has the caches know these bearers, as [`Self::bearer`] would each of them. Returns the number of queries.
    async fn know_bearers(&self, bearers: Vec<(UserId, FamilyId)>) -> Result<u32, StoreError>;
    /// The cached answer of [`Self::bearer`], without a thread hop.
    fn cached_bearer(&self, user: UserId, family: FamilyId) -> Option<Bearer>;
    /// What was taken from a user and in a topic so far, as far as this process knows. See [`Withdrawals`].
    ///
    /// [`Withdrawals`]: crate::domain::rights::Withdrawals
    fn rights_mark(&self, user: UserId, topic: Topic) -> Mark;
    /// Ends logins. The end is stored until `expires`, when none of their tokens is valid any more.
    async fn end_logins(&self, end: LoginEnd, expires: Timestamp) -> Result<(), StoreError>;
    /// The logins that ended since `since`, newest first; at most [`crate::limits::ENDED_LOGINS_MAX`].
    async fn ended_logins(&self, since: Timestamp) -> Result<Vec<LoginEnd>, StoreError>;
    /// Stores until `expires` that the refresh token `jti` was used; false if it was used before.
    async fn use_up(&self, jti: String, expires: Timestamp) -> Result<bool, StoreError>;
    /// Stores until `expires` that the refresh token `jti` is revoked.
    async fn revoke(&self, jti: String, expires: Timestamp) -> Result<(), StoreError>;
    /// Whether [`Self::revoke`] was called for this token.
    async fn is_revoked(&self, jti: &str) -> Result<bool, StoreError>;
    /// Changes a user's row and removes it from the caches. Returns the paths of pictures that the row no longer names;
    /// `None` if there is no such user.
    async fn change_profile(&self, user: UserId, patch: ProfilePatch) -> Result<Option<Vec<String>>, StoreError>;
    /// Another process has changed the user's row.
    fn profile_overtaken(&self, user: UserId);
}

#[async_trait]
impl<B: Backend> Accounts for B {
    async fn account(&self, user: UserId) -> Result<Option<Arc<Account>>, StoreError> {
        match self.caches().users.get(&user, self.now()) {
            Some(known) => Ok(known.account),
            None => self.read(move |view| Box::pin(people::account(view, user))).await,
        }
    }

    async fn active_users(&self, users: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        let users = users.to_vec();
        self.read(move |view| Box::pin(async move { people::active(view, &users).await })).await
    }

    async fn credentials(&self, login: &str) -> Result<Option<Credentials>, StoreError> {
        let login = login.to_owned();
        self.read(move |view| Box::pin(async move { accounts::credentials(view, &login).await })).await
    }

    async fn profile(&self, user: UserId) -> Result<Option<Arc<UserProfile>>, StoreError> {
        match self.caches().profiles.get(&user, self.now()) {
            Some(profile) => Ok(Some(profile)),
            None => self.read(move |view| Box::pin(people::profile(view, user))).await,
        }
    }

    async fn profile_by_name(&self, username: &str) -> Result<Option<Arc<UserProfile>>, StoreError> {
        let username = username.to_owned();
        self.read(move |view| Box::pin(async move { people::profile_of_name(view, &username).await })).await
    }

    async fn register(&self, user: NewUser) -> Result<UserId, RegisterError> {
        let id: UserId = self.ids().fresh();
        let work = self.change(move |view| Box::pin(async move { accounts::register(view, id, &user).await }));
        match work.await.map_err(RegisterError::Store)? {
            Registration::Taken { email, username } => return Err(RegisterError::Taken { email, username }),
            Registration::Done => self.caches().forget_user(id),
        }
        Ok(id)
    }

    async fn change_password(&self, change: PasswordChange) -> Result<bool, StoreError> {
        let (user, spared) = (change.user, change.spared);
        let is_done =
            self.change(move |view| Box::pin(async move { logins::change_password(view, &change).await })).await?;
        match spared {
            Some(family) => self.caches().forget_logins(user, Ended::AllBut(family)),
            None => self.caches().users.forget(&user),
        }
        Ok(is_done)
    }

    async fn bearer(&self, user: UserId, family: FamilyId) -> Result<Bearer, StoreError> {
        match self.cached_bearer(user, family) {
            Some(bearer) => Ok(bearer),
            None => self.read(move |view| Box::pin(logins::bearer(view, user, family))).await,
        }
    }

    async fn know_bearers(&self, bearers: Vec<(UserId, FamilyId)>) -> Result<u32, StoreError> {
        if bearers.iter().all(|(user, family)| self.cached_bearer(*user, *family).is_some()) {
            return Ok(0);
        }
        self.read(move |view| {
            Box::pin(async move {
                logins::know(view, &bearers).await?;
                Ok(view.asked)
            })
        })
        .await
    }

    fn cached_bearer(&self, user: UserId, family: FamilyId) -> Option<Bearer> {
        logins::remembered(self.caches(), user, family, self.now())
    }

    fn rights_mark(&self, user: UserId, topic: Topic) -> Mark {
        self.caches().withdrawals.mark(user, topic)
    }

    async fn end_logins(&self, end: LoginEnd, expires: Timestamp) -> Result<(), StoreError> {
        self.change(move |view| Box::pin(logins::end(view, end, expires))).await?;
        self.caches().forget_logins(end.user, end.ended);
        Ok(())
    }

    async fn ended_logins(&self, since: Timestamp) -> Result<Vec<LoginEnd>, StoreError> {
        let ended = self.read(move |view| Box::pin(logins::ended_since(view, since))).await?;
        // Others may have ended them: what is remembered here says otherwise.
        ended.iter().for_each(|end| self.caches().forget_logins(end.user, end.ended));
        Ok(ended)
    }

    async fn use_up(&self, jti: String, expires: Timestamp) -> Result<bool, StoreError> {
        self.change(move |view| Box::pin(async move { logins::use_up(view, &jti, expires).await })).await
    }

    async fn revoke(&self, jti: String, expires: Timestamp) -> Result<(), StoreError> {
        self.change(move |view| Box::pin(async move { accounts::revoke(view, &jti, expires).await })).await
    }

    async fn is_revoked(&self, jti: &str) -> Result<bool, StoreError> {
        let jti = jti.to_owned();
        self.read(move |view| Box::pin(async move { accounts::is_revoked(view, &jti).await })).await
    }

    async fn change_profile(&self, user: UserId, patch: ProfilePatch) -> Result<Option<Vec<String>>, StoreError> {
        let left =
            self.change(move |view| Box::pin(async move { accounts::change_profile(view, user, &patch).await })).await;
        self.caches().forget_user(user);
        left
    }

    fn profile_overtaken(&self, user: UserId) {
        self.caches().forget_user(user);
    }
}
