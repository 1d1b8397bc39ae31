//! Ends logins: after a logout, a password change, or the second use of a refresh token.

use std::sync::Arc;

use crate::access::token::{Access, Refresh};
use crate::clock::Timestamp;
use crate::domain::login::{Ended, LoginEnd};
use crate::limits::REFRESH_TOKEN_SECONDS;
use crate::store::{PasswordChange, Store, StoreError};

/// The operator's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginTerms {
    /// True: a password change ends the user's other logins, and a logout ends its own. False, as in Django: a logout
    /// revokes the refresh token sent with it, and nothing else ends.
    pub end: bool,
    /// True: a refresh token may be used once. A second use ends the login.
    pub rotate: bool,
}

/// Says that a login has ended. Never blocks.
pub type Bell = Box<dyn Fn() + Send + Sync>;

/// Ends logins, and wakes the task that closes their sockets.
pub struct Logins {
    store: Arc<dyn Store>,
    terms: LoginTerms,
    bell: Bell,
}

impl Logins {
    /// `bell` is called once for each end.
    pub fn new(store: Arc<dyn Store>, terms: LoginTerms, bell: Bell) -> Self {
        Self { store, terms, bell }
    }

    /// Logs out the login of `access`, and the login of the refresh token sent with it.
    ///
    /// # Errors
    /// The database did not accept it.
    pub async fn log_out(&self, access: &Access, refresh: Option<&Refresh>) -> Result<(), StoreError> {
        if self.terms.end {
            self.end(access).await?;
        }
        match refresh {
            Some(refresh) if !self.terms.end => {
                let expires = Timestamp(0).plus_seconds(refresh.token.expires);
                self.store.revoke(refresh.token.jti.clone(), expires).await
            }
            Some(refresh) if refresh.token.family != access.family => self.end(&refresh.token).await,
            _ => Ok(()),
        }
    }

    /// Ends the login of a token, with every token of that login.
    async fn end(&self, token: &Access) -> Result<(), StoreError> {
        let at = Timestamp::now();
        // Tokens renewed just now live until `expires`; a token that another program made may live longer.
        let expires = at.plus_seconds(REFRESH_TOKEN_SECONDS).max(Timestamp(0).plus_seconds(token.expires));
        let end = LoginEnd { user: token.user, ended: Ended::Only(token.family), at };
        self.store.end_logins(end, expires).await?;
        (self.bell)();
        Ok(())
    }

    /// Replaces the password of the user of `access`. Returns false when another change was faster.
    ///
    /// # Errors
    /// The database did not accept it.
    pub async fn change_password(
        &self,
        access: &Access,
        old_hash: String,
        new_hash: String,
    ) -> Result<bool, StoreError> {
        let spared = self.terms.end.then_some(access.family);
        let is_done =
            self.store.change_password(PasswordChange { user: access.user, old_hash, new_hash, spared }).await?;
        (self.bell)();
        Ok(is_done)
    }

    /// Whether this refresh token may be used now: its login has not ended.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn may_renew(&self, refresh: &Refresh) -> Result<bool, StoreError> {
        let Access { jti, expires, .. } = &refresh.token;
        if !self.terms.rotate {
            return Ok(!self.store.is_revoked(jti).await?);
        }
        let is_first = self.store.use_up(jti.clone(), Timestamp(0).plus_seconds(*expires)).await?;
        if !is_first {
            tracing::warn!(user = %refresh.token.user, "a refresh token was used a second time: its login ends");
            self.end(&refresh.token).await?;
        }
        Ok(is_first)
    }
}
