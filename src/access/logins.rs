//! How logins end: by a logout, a password change, or a refresh token that comes a second time.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::access::token::{Access, Refresh};
use crate::clock::Timestamp;
use crate::domain::login::{Ended, LoginEnd};
use crate::limits::REFRESH_TOKEN_SECONDS;
use crate::store::{PasswordChange, Store, StoreError};

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginTerms {
    /// A password change ends the user's other logins, a logout its own. Otherwise, as in Django, a logout takes back the
    /// refresh token that comes along, and nothing else ends.
    pub end: bool,
    /// A refresh token is good for one use; whoever uses it again ends the login.
    pub rotate: bool,
}

/// Ends logins, and rings for those who close their sockets.
pub struct Logins {
    store: Arc<dyn Store>,
    terms: LoginTerms,
    bell: Arc<Notify>,
}

impl Logins {
    /// Rings `bell` for each end.
    pub fn new(store: Arc<dyn Store>, terms: LoginTerms, bell: Arc<Notify>) -> Self {
        Self { store, terms, bell }
    }

    /// Logs out whoever shows `access`, and the login of a refresh token that comes along.
    ///
    /// # Errors
    /// The database did not take it.
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

    /// The login of a token is over: what was renewed from it, and what it was renewed from.
    async fn end(&self, token: &Access) -> Result<(), StoreError> {
        let at = Timestamp::now();
        // What was renewed just now lives as long as this; a token of another's making may live longer.
        let expires = at.plus_seconds(REFRESH_TOKEN_SECONDS).max(Timestamp(0).plus_seconds(token.expires));
        let end = LoginEnd { user: token.user, ended: Ended::Only(token.family), at };
        self.store.end_logins(end, expires).await?;
        self.bell.notify_one();
        Ok(())
    }

    /// Replaces the password of whoever shows `access`; false when another change was faster.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn change_password(
        &self,
        access: &Access,
        old_hash: String,
        new_hash: String,
    ) -> Result<bool, StoreError> {
        let spared = self.terms.end.then_some(access.family);
        let is_done =
            self.store.change_password(PasswordChange { user: access.user, old_hash, new_hash, spared }).await?;
        self.bell.notify_one();
        Ok(is_done)
    }

    /// May this refresh token be used now? Its login is not over.
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
