//! The caller of a request: its bearer token, checked against the user's row.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};

use crate::access::client_address::{self, PeerAddr};
use crate::access::token::{Access, TokenError};
use crate::clock::Timestamp;
use crate::domain::user::Account;
use crate::ids::UserId;
use crate::rest::app::App;
use crate::rest::error::{Error, Unauthorized};
use crate::store::Accounts;

/// The request's user, who exists and is active.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user.
    pub account: Arc<Account>,
    /// The token of the request.
    pub access: Access,
}

impl Caller {
    /// The user's id.
    pub fn id(&self) -> UserId {
        self.account.id
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let token = bearer(&parts.headers)?;
        let access = app.tokens.verify_access(token, Timestamp::now()).map_err(Unauthorized::Access)?;
        let account = bearer_of(&*app.store, &access).await?.ok_or(Unauthorized::Access(TokenError::Invalid))?;
        app.rates.request(account.id)?;
        Ok(Self { account, access })
    }
}

/// The account of a token's user; `None` if the token's login has ended.
///
/// # Errors
/// 401 if the user is gone or was deactivated.
pub async fn bearer_of(store: &dyn Accounts, access: &Access) -> Result<Option<Arc<Account>>, Error> {
    let bearer = match store.cached_bearer(access.user, access.family) {
        Some(bearer) => bearer,
        None => store.bearer(access.user, access.family).await?,
    };
    let account = bearer.account.ok_or(Unauthorized::NoUser)?;
    match account.is_active {
        true => Ok(Some(account).filter(|_| !bearer.is_over)),
        false => Err(Unauthorized::Inactive.into()),
    }
}

/// The single value after `Bearer`; like Django, it requires the capital B.
fn bearer(headers: &HeaderMap) -> Result<&str, Unauthorized> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split_ascii_whitespace();
    if parts.next() != Some("Bearer") {
        return Err(Unauthorized::Missing);
    }
    match (parts.next(), parts.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(Unauthorized::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_after_bearer() {
        let of = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer a.b.c"), Ok("a.b.c".to_owned()));
        assert_eq!(bearer(&HeaderMap::new()), Err(Unauthorized::Missing));
        assert_eq!(of("bearer a"), Err(Unauthorized::Missing));
        assert_eq!(of("Basic a"), Err(Unauthorized::Missing));
        assert_eq!(of("Bearer"), Err(Unauthorized::Malformed));
        assert_eq!(of("Bearer a b"), Err(Unauthorized::Malformed));
    }
}

/// The request's [`client_address::client`]; `None` if the connection layer did not provide it.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub Option<IpAddr>);

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<PeerAddr>();
        Ok(Self(peer.map(|peer| client_address::client(peer.0, &parts.headers, &app.trusted_proxies))))
    }
}
